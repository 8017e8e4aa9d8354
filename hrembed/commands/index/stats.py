"""`hrembed index stats`: what is in an index, and how well it is searched."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hrembed.commands.index.recall_queries import draws, recall_queries
from hrembed.commands.index.shown import below, how_searched, in_mb, index_folder, recall_rows, size_of
from hrembed.commands.index.update import unindexed_of
from hrembed.errors import ThresholdError
from hrembed.index.erase import is_unfinished
from hrembed.index.lance import LanceIndex
from hrembed.index.open import open_index, read_manifest
from hrembed.index.recall import conditions_of, measure_all
from hrembed.index.tombstones import Tombstones
from hrembed.records.index import GenerationStats, IndexStatsRecord
from hrembed.runs.record import open_run
from hrembed.types import CommandResult

if TYPE_CHECKING:
    from pathlib import Path

    from hrembed.config.index import IndexStatsConfig
    from hrembed.records.index import Generation
    from hrembed.runs.workspace import Workspace


def run_stats(config: IndexStatsConfig, workspace: Workspace) -> CommandResult[IndexStatsRecord]:
    """Say what an index holds, whether all rows are indexed, and on request measure recall again.

    Args:
        config: Validated settings.
        workspace: Where runs go, and who receives progress updates.

    Returns:
        Generations, sizes and recall; the failure says where recall is too low or rows are in no index.

    Raises:
        DataError: It is no index, or damaged.
    """
    with open_run(workspace, "index-stats", config.model_dump(mode="json"), seeds={"recall": config.seed}) as run:
        folder = index_folder(config.index)
        manifest = read_manifest(folder)
        generations = tuple(_stats(folder, generation) for generation in manifest.generations)
        recall, words = manifest.generation.recall, manifest.generation.recall_queries
        if config.measure:
            index = open_index(folder)
            queries = recall_queries(index, config.recall, draws(config.seed, 0))
            recall = measure_all(index, queries, config.recall.k, config.recall.filtered, draws(config.seed, 1))
            words = queries.words
        unfinished = is_unfinished(folder)
        wrong = below(recall, config.recall.least)
        wrong += [
            f"{each.unindexed:,} rows of {each.generation.name} are in no index"
            for each in generations
            if each.unindexed
        ]
        wrong += ["an erasure was begun and not finished"] if unfinished else []
        record = IndexStatsRecord(
            index=config.index,
            current=manifest.current,
            generations=generations,
            forgotten=len(Tombstones(folder)),
            unfinished=unfinished,
            recall=recall,
            recall_queries=words,
            verdict="; ".join(wrong) or "all rows are indexed",
        )
        run.write_metrics(record)
    hint = (
        "finish it: `index forget` with the same ids"
        if unfinished
        else "repeat `index update`, or build the index again"
    )
    failure = ThresholdError(f"{config.index}: {record.verdict}", hint=hint) if wrong else None
    return CommandResult(
        str(run.path),
        "limits exceeded" if wrong else "ok",
        record,
        _tables(record),
        failure,
        f"Verdict: {record.verdict}.",
    )


def _stats(folder: Path, generation: Generation) -> GenerationStats:
    index = open_index(folder, generation.name)
    indexed = tuple(generation.filters)
    if isinstance(index, LanceIndex):
        tried = {each.column: each for each in conditions_of(index, 0, np.random.default_rng(0))}
        indexed = tuple(name for name, each in tried.items() if f"@filter {name}(" in index.plan([each]))
    return GenerationStats(
        generation=generation,
        rows=index.count(),
        unindexed=unindexed_of(index),
        indexed_filters=indexed,
        bytes=size_of(folder / generation.folder),
    )


def _tables(record: IndexStatsRecord) -> dict[str, list[dict[str, str]]]:
    rows = [
        {
            "generation": each.generation.name + (" (searched)" if each.generation.name == record.current else ""),
            "model": str(each.generation.space.model.get("ref", "")),
            "identity": each.generation.space.identity[:12],
            "rows": f"{each.rows:,}",
            "unindexed": f"{each.unindexed:,}",
            "search": how_searched(each.generation),
            "indexed filters": ", ".join(each.indexed_filters) or "none",
            "zero vectors": f"{each.generation.zero_vectors:,}",
            "changed": each.generation.changed,
            "size": in_mb(each.bytes),
        }
        for each in record.generations
    ]
    tables = {f"Index ({record.forgotten:,} forgotten)": rows}
    if record.recall:
        tables[f"Recall against comparing all rows ({record.recall_queries})"] = recall_rows(record.recall)
    return tables
