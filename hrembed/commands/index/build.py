"""`hrembed index build`: vectors to an index, or to one more generation of it."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from hrembed.commands.index.recall_queries import draws, recall_queries
from hrembed.commands.index.shown import below, how_searched, in_mb, index_folder, recall_rows, size_of
from hrembed.errors import DataError, ThresholdError
from hrembed.index.lock import locked
from hrembed.index.open import FILE, open_generation, read_manifest
from hrembed.index.recall import fewest_probes, measure_all
from hrembed.index.sources import Rows, check_documents, choose_filters, kept_columns, source_of, space_of
from hrembed.index.tombstones import Tombstones
from hrembed.index.writing import now, versions, write_manifest, write_rows
from hrembed.records.index import Generation, IndexBuildRecord, IndexManifest
from hrembed.runs.record import open_run
from hrembed.shards.reading import open_shards
from hrembed.text import counted
from hrembed.types import CommandResult

if TYPE_CHECKING:
    from pathlib import Path

    from hrembed.config.index import IndexBuildConfig
    from hrembed.records.index import Backend
    from hrembed.runs.record import Run
    from hrembed.runs.workspace import Workspace
    from hrembed.shards.reading import ShardSet


_PHASES = _WRITE, _MEASURE = "write and index the rows", "measure recall"


def run_build(config: IndexBuildConfig, workspace: Workspace) -> CommandResult[IndexBuildRecord]:
    """Write an index of a folder of vectors, and measure how much of the exact answer it finds.

    In a folder that holds an index already, the new vectors become a generation beside those that are searched.

    Args:
        config: Validated settings.
        workspace: Where runs go, and who receives progress updates.

    Returns:
        What was built, with recall without and with filters; the failure says where recall is too low.

    Raises:
        ConfigError: A filter cannot be one.
        DataError: The vectors are missing, damaged, or of queries.
        HrembedError: Another process writes to the index.
    """
    seeds = {"recall": config.seed}
    with open_run(workspace, "index-build", config.model_dump(mode="json"), seeds=seeds, phases=_PHASES) as run:
        run.phases.begin(_WRITE)
        shards = open_shards(config.shards)
        run.add_content("vectors", config.shards, shards.sha256)
        _check(shards, config)
        folder = index_folder(config.out)
        with locked(folder, "index build", config.wait):
            before = read_manifest(folder) if (folder / FILE).is_file() else None
            tombstones = Tombstones(folder)
            rows = Rows(shards, kept_columns(shards.manifest), tombstones)
            generation = _write(folder, _planned(config, shards, before), rows)
            run.phases.begin(_MEASURE)
            generation = _measured(config, folder, generation, run)
            generations = (*(before.generations if before else ()), generation)
            current = before.current if before else generation.name
            write_manifest(folder, IndexManifest(current=current, generations=generations))
        wrong = below(generation.recall, config.recall.least)
        record = IndexBuildRecord(
            index=config.out,
            generation=generation,
            current=current == generation.name,
            kept_out=rows.kept_out,
            bytes=size_of(folder / generation.folder),
            verdict="; ".join(wrong) or "recall is as high as asked for",
        )
        run.write_metrics(record)
        notice = run.conclude(_conclusion(record))
    failure = ThresholdError(f"{config.out}: {record.verdict}", hint=_HINT) if wrong else None
    status = "recall too low" if wrong else "ok"
    return CommandResult(str(run.path), status, record, _tables(record), failure, notice)


_HINT = "the index was written; raise `refine`, or compare all rows with `backend: exact`"


def _check(shards: ShardSet, config: IndexBuildConfig) -> None:
    check_documents(shards)
    if shards.manifest.base is not None:
        raise DataError(
            f"'{config.shards}' holds only what changed since '{shards.manifest.base.folder}'",
            hint=f"`index build` that folder first, then `index update` with '{config.shards}'",
        )
    if not shards.manifest.rows:
        raise DataError(f"'{config.shards}' holds no rows", hint="check the input of `encode`")


def _planned(config: IndexBuildConfig, shards: ShardSet, before: IndexManifest | None) -> Generation:
    manifest = shards.manifest
    numbers = [int(each.name.removeprefix("g")) for each in before.generations] if before else []
    columns = kept_columns(manifest)
    backend: Backend = "exact" if manifest.rows <= config.exact_up_to else "lancedb"
    if config.backend != "auto":
        backend = config.backend
    return Generation(
        name=f"g{max(numbers, default=0) + 1:03d}",
        version=1,
        made=now(),
        changed=now(),
        space=space_of(manifest),
        backend=backend,
        rows=manifest.rows,
        zero_vectors=0,
        columns=columns,
        filters=choose_filters(manifest, config.filters, config.shards),
        text_column=manifest.text_column,
        lexical=config.lexical and manifest.text_column is not None,
        partitions=0,
        probes=None,
        refine=config.refine,
        count_first=config.count_first,
        sources=(source_of(shards),),
        versions=versions(backend),
    )


def _write(folder: Path, generation: Generation, rows: Rows) -> Generation:
    partitions = write_rows(folder, generation, rows, rows.schema)
    if not rows.rows:
        raise DataError("every row belongs to somebody who was forgotten", hint="encode other rows")
    counted = {"rows": rows.rows, "zero_vectors": rows.zero_vectors, "partitions": partitions}
    return generation.model_copy(update=counted)


def _measured(config: IndexBuildConfig, folder: Path, generation: Generation, run: Run) -> Generation:
    """Choose the probes where not all partitions are to be read, and measure recall; `exact` needs neither."""
    if generation.space.dtype == "int8":
        run.warn(
            "the vectors are int8: the order of close candidates differs from float32 for about half of all queries"
        )
    if generation.zero_vectors:
        run.warn(f"{generation.zero_vectors:,} rows have a vector of zeros: the model knows no word of their texts")
    if not generation.partitions:
        return generation
    index = open_generation(folder, IndexManifest(current=generation.name, generations=(generation,)), generation)
    queries = recall_queries(index, config.recall, draws(config.seed, 0))
    if generation.rows > config.all_partitions_up_to:
        probes = fewest_probes(index, queries, config.recall.k, generation.partitions, config.recall.least or 0.0)
        generation = generation.model_copy(update={"probes": probes})
        index.generation = generation
    recall = measure_all(index, queries, config.recall.k, config.recall.filtered, draws(config.seed, 1))
    return generation.model_copy(update={"recall": recall, "recall_queries": queries.words})


def _tables(record: IndexBuildRecord) -> dict[str, list[dict[str, str]]]:
    generation = record.generation
    row = {
        "generation": generation.name,
        "rows": f"{generation.rows:,}",
        "model": str(generation.space.model.get("ref", "")),
        "dimensions": f"{generation.space.dim:,}",
        "search": how_searched(generation),
        "filters": ", ".join(generation.filters) or "none",
        "words": "yes" if generation.lexical else "no",
        "size": in_mb(record.bytes),
    }
    tables = {"Index": [row]}
    if generation.recall:
        tables[f"Recall against comparing all rows ({generation.recall_queries})"] = recall_rows(generation.recall)
    return tables


def _conclusion(record: IndexBuildRecord) -> list[str]:
    """Say what of the table is not plain, and what to do with the index."""
    said = []
    if record.kept_out:
        said.append(f"{counted(record.kept_out, 'row')} of people who were forgotten: left out.")
    if not record.generation.recall:
        said.append("All rows are compared, so recall is 1 by construction.")
    index = shlex.quote(record.index)
    if record.current:
        return [*said, "Next, rank its rows for a text:", f'  hrembed match "night nurse" --index {index}']
    said.append(f"The index goes on being searched by its older generation. To search {record.generation.name}:")
    return [*said, f"  hrembed index switch {index}"]
