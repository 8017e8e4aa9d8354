"""From scores to one number per name, and per pair of names: everything that group comparisons start from.

Jobs come in chunks, so that ten thousand of them need no more memory than one chunk.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from hrembed.metrics.agreement import rank_biased_overlap
from hrembed.metrics.counterfactual import (
    attention,
    deviations,
    disagreement,
    exposure,
    flips,
    pool_ranks,
    ranks_among,
    selection_rates,
    shifts,
    win_rates,
)
from hrembed.metrics.fairness import untied

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hrembed.types import Bools, Floats, Ints

_CELLS = 4_000  # jobs x résumés looked at for pairs of names
_RANKINGS = 40  # jobs whose whole rankings are kept
_DEPTH = 500  # ranks of those
_RESUMES = 48  # résumés of a ranking under one name


@dataclass
class Measurements:
    """What was measured of N names (or wordings) on J jobs and R résumés.

    Attributes:
        units: Measure -> one value per name, shape (N,).
        by_job: Mean score shift of each name for each job, in standard deviations, shape (J, N).
        by_resume: The same for each résumé, shape (R, N).
        pairs: Measure -> how much each two names differ, shape (N, N).
        orders: Names by rank for some jobs, shape (few, K), best first.
        jobs: Number of jobs.
        resumes: Number of résumés.
        effects: Score shifts of some jobs and résumés, shape (C, N), those behind `pairs`.
    """

    units: dict[str, Floats]
    by_job: Floats
    by_resume: Floats
    pairs: dict[str, Floats]
    orders: Ints
    jobs: int
    resumes: int
    effects: Floats

    @property
    def tested(self) -> Floats:
        """`units` as their tests take them, one row each: ties are broken by the score."""
        return untied(np.stack([*self.units.values()]), self.units["score"])


@dataclass
class Meter:
    """Accumulates measures from scores that come job by job.

    Attributes:
        cuts: Selected shares of the pool.
        headline: The cut of rank measures.
        jobs: Number of jobs that will be added; it decides which of them are sampled for pairs of names.
    """

    cuts: Sequence[float]
    headline: float
    jobs: int
    _sums: dict[str, Floats] = field(default_factory=dict)
    _weights: dict[str, int] = field(default_factory=dict)
    _by_job: list[Floats] = field(default_factory=list)
    _by_resume: list[Floats] = field(default_factory=list)
    _cells: list[tuple[Floats, Bools]] = field(default_factory=list)
    _pairs: list[tuple[Floats, Floats]] = field(default_factory=list)
    _orders: list[Ints] = field(default_factory=list)
    _seen: int = 0

    def add(self, scores: Floats, nameless: Floats, relevant: Bools | None) -> None:
        """Add a chunk of jobs.

        Args:
            scores: Shape (J, R, N).
            nameless: Shape (J, R), R of 2 or more.
            relevant: Which résumé answers which job, shape (J, R); None when unknown.
        """
        effects = deviations(scores, nameless)
        self._by_job.append(effects.mean(axis=1))
        self._by_resume.append(effects.sum(axis=0))
        ranks, among = pool_ranks(scores), ranks_among(scores, nameless)
        places = max(1, round(self.headline * nameless.shape[1]))
        nameless_ranks = ranks_among(nameless[:, :, None], nameless)
        self._mean("score", effects.mean(axis=(0, 1)), len(scores))
        for cut in self.cuts:
            self._mean(f"selected@{cut:g}", selection_rates(scores, cut), len(scores))
        self._mean("exposure", exposure(ranks).mean(axis=(0, 1)), len(scores))
        size = scores.shape[1] * scores.shape[2]
        self._mean("attention", attention(ranks, min(0.5, 10 / size)).mean(axis=(0, 1)), len(scores))
        self._mean("wins", win_rates(scores), len(scores))
        self._mean("rank shift", (among - nameless_ranks).mean(axis=(0, 1)) / nameless.shape[1], len(scores))
        top = nameless_ranks[:, :, 0] <= places
        self._mean("exclusion", (among[top] > places).mean(axis=0), int(top.sum()))
        if relevant is not None:
            self._known(scores, relevant, places)
        self._sample(scores, effects, among <= places, ranks)

    def _mean(self, name: str, value: Floats, weight: int) -> None:
        self._sums[name] = self._sums.get(name, np.zeros_like(value)) + weight * value
        self._weights[name] = self._weights.get(name, 0) + weight

    def _known(self, scores: Floats, relevant: Bools, places: int) -> None:
        """Recall and nDCG of the résumés under one name, for jobs that have a relevant one."""
        judged = relevant.any(axis=1)
        if not judged.any():
            return
        ranks, rel = stats.rankdata(-scores[judged], axis=1), relevant[judged][:, :, None]
        recall = ((ranks <= places) & rel).sum(axis=1) / rel.sum(axis=1)
        gain = np.where(rel & (ranks <= 10), 1 / np.log2(1 + ranks), 0).sum(axis=1)
        ideal = [np.sum(1 / np.log2(2 + np.arange(min(10, n)))) for n in rel.sum(axis=(1, 2))]
        self._mean("recall", recall.mean(axis=0), int(judged.sum()))
        self._mean("ndcg@10", (gain / np.array(ideal)[:, None]).mean(axis=0), int(judged.sum()))

    def _sample(self, scores: Floats, effects: Floats, inside: Bools, ranks: Floats) -> None:
        """Keep an evenly spaced sample of cells and rankings, for what compares two names at a time."""
        resumes, names = scores.shape[1:]
        step, every = max(1, -(-self.jobs * resumes // _CELLS)), max(1, -(-self.jobs // _RANKINGS))
        # Counted from the first job of all, so that what is kept does not depend on how jobs come in chunks.
        cells = slice(-self._seen * resumes % step, None, step)
        self._cells.append((effects.reshape(-1, names)[cells], inside.reshape(-1, names)[cells]))
        for job in range(-self._seen % every, len(scores), every):
            some = np.linspace(0, resumes - 1, min(_RESUMES, resumes)).astype(int)
            self._pairs.append(_two_by_two(scores[job][some]))
            order = np.argsort(ranks[job].ravel(), kind="stable")[:_DEPTH]
            self._orders.append(order % names)
        self._seen += len(scores)

    def read(self) -> Measurements:
        """Return the means over all jobs that were added."""
        effects, inside = (np.concatenate(parts) for parts in zip(*self._cells, strict=True))
        by_job = np.concatenate(self._by_job)
        pairs = {"shift": shifts(effects), "flip": flips(inside)}
        pairs |= dict(
            zip(("1 - RBO", "order"), (np.mean(part, axis=0) for part in zip(*self._pairs, strict=True)), strict=True)
        )
        return Measurements(
            units={name: value / self._weights[name] for name, value in self._sums.items()},
            by_job=by_job,
            by_resume=np.sum(self._by_resume, axis=0) / len(by_job),
            pairs=pairs,
            orders=np.stack(self._orders),
            jobs=len(by_job),
            resumes=self._by_resume[0].shape[0],
            effects=effects,
        )


def _two_by_two(scores: Floats) -> tuple[Floats, Floats]:
    """1 - RBO and share of turned pairs of each two names' rankings of the same résumés; `scores` is (R, N)."""
    names = scores.shape[1]
    orders = np.argsort(-scores, axis=0, kind="stable").T
    first, second = np.triu_indices(names, k=1)
    apart = np.zeros((names, names))
    apart[first, second] = 1 - rank_biased_overlap(orders[first], orders[second])
    return apart + apart.T, disagreement(scores)
