"""How much of a new model's gain survives on document vectors of the old one, with and without a linear map."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hrembed.evaluation.search import rank_all
from hrembed.models.dense import DenseSimilarity
from hrembed.records.retrain import Bridge, BridgeWay
from hrembed.scoring.bridges import fit_maps, mapped
from hrembed.scoring.retrieval import DEPTH, MEMORY_MB, compare, estimate, groups_of, score_ranking

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from hrembed.config.parts import BootstrapSection
    from hrembed.config.retrain import BridgeSection
    from hrembed.types import Encoder, Estimate, Floats, Task

METRIC = "ndcg@10"
OLD, UNMAPPED, REENCODED = "old model", "new queries, no map", "re-encoded"


def fit_bridges(old: Encoder, new: Encoder, texts: Sequence[str], config: BridgeSection) -> dict[str, Floats]:
    """Fit maps from the new space to the old one on documents that both models embed.

    Args:
        old: The model whose document vectors are stored.
        new: The model that embeds queries from now on.
        texts: Documents, distinct, and none of a task that the bridge is measured on.
        config: Rank and ridge.

    Returns:
        `orthogonal` and `low rank`, each of shape (new dimensions, old dimensions).
    """
    source, target = new.vectors(texts, "document"), old.vectors(texts, "document")
    maps = fit_maps(source, target, rank=config.rank, ridge=config.ridge)
    return {kind: each for kind, each in maps.items()}


def measure_bridges(
    old: Encoder, new: Encoder, bridges: Mapping[str, Floats], task: Task, bootstrap: BootstrapSection
) -> dict[str, BridgeWay]:
    """Score new queries on old documents: as they are, through each map, and beside full re-encoding.

    Args:
        old: The model whose document vectors are stored.
        new: The model that embeds queries from now on.
        bridges: Name to map.
        task: What is asked; none of its documents should have been fitted on.
        bootstrap: How intervals are made.

    Returns:
        Way to search to its score; vectors of different lengths have none without a map.
    """
    groups, values = groups_of(task), {}
    for way, (queries, documents) in _ways(old, new, bridges, task).items():
        ranking = rank_all(DenseSimilarity(queries, documents), depth=DEPTH, memory_mb=MEMORY_MB)
        values[way] = score_ranking(task, ranking, [METRIC])[METRIC]
    return {
        way: BridgeWay(
            score=estimate(scores, groups, bootstrap),
            difference=compare(scores, values[OLD], groups, bootstrap).estimate,
        )
        for way, scores in values.items()
    }


def best_way(ways: Mapping[str, BridgeWay], bridges: Iterable[str]) -> str:
    """Name the way through the map that gains most."""
    return max((_through(name) for name in bridges), key=lambda way: ways[way].difference.value)


def judge_bridge(task: str, ways: dict[str, BridgeWay], best: str) -> Bridge:
    """Say how much of the gain of re-encoding survives.

    Args:
        task: Name of the task on which the ways were measured.
        ways: What each way scored.
        best: Way that was chosen on another task; one that is chosen on this one flatters itself a little.
    """
    gain = ways[REENCODED].difference
    no_gain = _why_no_gain(gain)
    survived = None if no_gain else ways[best].difference.value / gain.value
    return Bridge(task=task, metric=METRIC, ways=ways, best=best, survived=survived, no_gain=no_gain)


def _why_no_gain(gain: Estimate) -> str:
    """Say why an interval shows no gain, of which nothing could survive; empty where it shows one."""
    if np.isnan(gain.low):
        return "the gain from re-encoding has no interval"
    if gain.high < 0:
        return "re-encoding scores lower than the old model"
    if gain.low <= 0:
        return f"the interval of the gain, [{gain.low:+.3f}, {gain.high:+.3f}], includes 0"
    return ""


def bridge_sentence(bridge: Bridge) -> str:
    """Say what the bridge is worth."""
    score = {way: scored.score.value for way, scored in bridge.ways.items()}
    if bridge.survived is None:
        kept = f"{bridge.no_gain}, so there is no gain to preserve"
    else:
        kept = (
            f"{bridge.survived:.0%} of the gain is preserved"
            if bridge.survived > 0
            else "none of the gain is preserved"
        )
    unmapped = f", {score[UNMAPPED]:.3f} without a map" if UNMAPPED in score else ""
    return (
        f"On old vectors of {bridge.task}: {bridge.metric} {score[bridge.best]:.3f} through the best map"
        f"{unmapped}; old model {score[OLD]:.3f}, re-encoded {score[REENCODED]:.3f}: {kept}."
    )


def _through(name: str) -> str:
    return f"new queries, {name} map"


def _ways(old: Encoder, new: Encoder, bridges: Mapping[str, Floats], task: Task) -> dict[str, tuple[Floats, Floats]]:
    """Vectors of queries and of documents, for each way to search."""
    queries, documents = [query.text for query in task.queries], [document.text for document in task.documents]
    old_queries, new_queries = old.vectors(queries, "query"), new.vectors(queries, "query")
    old_documents, new_documents = old.vectors(documents, "document"), new.vectors(documents, "document")
    ways = {OLD: (old_queries, old_documents)}
    if new_queries.shape[1] == old_documents.shape[1]:
        ways[UNMAPPED] = (new_queries, old_documents)
    ways |= {_through(name): (mapped(new_queries, bridge), old_documents) for name, bridge in bridges.items()}
    return {**ways, REENCODED: (new_queries, new_documents)}
