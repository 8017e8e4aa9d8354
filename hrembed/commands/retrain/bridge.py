"""How much of a new model's gain survives on document vectors of the old one, with and without a linear map."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hrembed.evaluation.search import rank_all
from hrembed.metrics.bridging import low_rank_map, orthogonal_map
from hrembed.models.dense import DenseSimilarity
from hrembed.reports.estimates import as_json
from hrembed.scoring.retrieval import DEPTH, MEMORY_MB, compare, estimate, groups_of, score_ranking

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hrembed.config.parts import BootstrapSection
    from hrembed.config.retrain import BridgeSection
    from hrembed.types import Encoder, Floats, Task

METRIC = "ndcg@10"


def fit_bridges(old: Encoder, new: Encoder, texts: Sequence[str], config: BridgeSection) -> dict[str, Floats]:
    """Fit maps from the new space to the old one on documents that both models embed; no labels are needed.

    A query lies near its documents in the new space, so a map that brings new documents onto old ones brings new
    queries there as well.

    Args:
        old: The model whose document vectors are stored.
        new: The model that embeds queries from now on.
        texts: Documents, distinct, and none of a task that the bridge is measured on.
        config: Rank and ridge.

    Returns:
        `orthogonal` and `low rank`, each of shape (new dimensions, old dimensions).
    """
    source, target = new.vectors(texts, "document"), old.vectors(texts, "document")
    rank = min(config.rank, *source.shape, *target.shape)
    return {
        "orthogonal": orthogonal_map(source, target),
        "low rank": low_rank_map(source, target, rank=rank, ridge=config.ridge),
    }


def measure_bridges(
    old: Encoder,
    new: Encoder,
    bridges: dict[str, Floats],
    task: Task,
    bootstrap: BootstrapSection,
    best: str | None = None,
) -> dict[str, Any]:
    """Score new queries on old documents: as they are, through each map, and beside full re-encoding.

    Args:
        old: The model whose document vectors are stored.
        new: The model that embeds queries from now on.
        bridges: Name to map.
        task: What is asked; none of its documents should have been fitted on.
        bootstrap: How intervals are made.
        best: Way that was chosen on another task; None chooses on this one, which flatters it a little.

    Returns:
        Way to its score and, but for the first, its difference to `old model`; `survived` is the share of the gain of
        full re-encoding that the best map keeps, None where there is no gain.
    """
    groups, values = groups_of(task), {}
    for way, sides in _ways(old, new, bridges, task).items():
        ranking = rank_all(DenseSimilarity(*sides), depth=DEPTH, memory_mb=MEMORY_MB)
        values[way] = score_ranking(task, ranking, [METRIC])[METRIC]
    found: dict[str, Any] = {
        way: {
            "score": as_json(estimate(own, groups, bootstrap)),
            "difference": as_json(compare(own, values["old model"], groups, bootstrap).estimate),
        }
        for way, own in values.items()
    }
    gains = {way: entry["difference"]["value"] for way, entry in found.items()}
    chosen = best or max((_way(name) for name in bridges), key=lambda way: gains[way])
    whole = gains["re-encoded"]
    kept = gains[chosen] / whole if whole > 0 else None
    return {"task": task.name, "metric": METRIC, "ways": found, "best": chosen, "survived": kept}


def _way(name: str) -> str:
    return f"new queries, {name} map"


def _ways(old: Encoder, new: Encoder, bridges: dict[str, Floats], task: Task) -> dict[str, tuple[Floats, Floats]]:
    """Vectors of queries and of documents, for each way to search."""
    queries, documents = [query.text for query in task.queries], [document.text for document in task.documents]
    asked = {"old": old.vectors(queries, "query"), "new": new.vectors(queries, "query")}
    stored, fresh = old.vectors(documents, "document"), new.vectors(documents, "document")
    ways = {"old model": (asked["old"], stored)}
    if asked["new"].shape[1] == stored.shape[1]:
        ways["new queries, no map"] = (asked["new"], stored)
    ways |= {_way(name): (_unit(asked["new"] @ bridge), stored) for name, bridge in bridges.items()}
    return {**ways, "re-encoded": (asked["new"], fresh)}


def in_one_line(found: dict[str, Any]) -> str:
    """Say what the bridge is worth."""
    score = {way: entry["score"]["value"] for way, entry in found["ways"].items()}
    kept = "re-encoding gains nothing" if found["survived"] is None else f"{found['survived']:.0%} of the gain survives"
    raw = score.get("new queries, no map")
    without = "" if raw is None else f", {raw:.3f} without a map"
    return (
        f"On old vectors of {found['task']}: {found['metric']} {score[found['best']]:.3f} through the best map"
        f"{without}; old model {score['old model']:.3f}, re-encoded {score['re-encoded']:.3f}: {kept}."
    )


def _unit(vectors: Floats) -> Floats:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1), dtype=np.float32)
