"""Several rankings of the same things as one."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    K = TypeVar("K", bound=Hashable)

RANK_CONSTANT = 60


def reciprocal_rank_fusion(rankings: Sequence[Sequence[K]], *, constant: int = RANK_CONSTANT) -> dict[K, float]:
    """Add up 1 / (constant + rank) over the rankings; what a ranking does not hold gets nothing from it.

    Scores are not used, so the rankings need no common scale; how deep they are decides how many things take part.

    Args:
        rankings: The things by rank, each once in a ranking, best first.
        constant: How little the first ranks count more than later ones, 0 or more.

    Returns:
        Each thing's sum, above 0, at most `len(rankings) / (constant + 1)`; in the order in which things first appear.

    Source:
        Cormack, Clarke & Büttcher (2009), doi:10.1145/1571941.1572114, with their constant of 60.
    """
    fused: dict[K, float] = {}
    for ranking in rankings:
        for rank, thing in enumerate(ranking, start=1):
            fused[thing] = fused.get(thing, 0.0) + 1 / (constant + rank)
    return fused
