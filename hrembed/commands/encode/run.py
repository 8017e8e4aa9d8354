"""`hrembed encode`: plan, encode what is missing, manifest."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from hrembed.commands.encode.base import BaseRows, check_columns
from hrembed.commands.encode.local import encode_locally
from hrembed.commands.encode.on_ray import check_ray, encode_on_ray
from hrembed.commands.encode.planning import make_plan, still_valid
from hrembed.commands.encode.rows import open_sources
from hrembed.commands.encode.tables import conclusion, tables
from hrembed.commands.encode.work import Job
from hrembed.errors import DataError, ModelError
from hrembed.models.refs import parse_ref
from hrembed.records.encode import EncodeRecord, EncodeSettings, EncodeTimings
from hrembed.runs.environment import machine
from hrembed.runs.record import open_run
from hrembed.scoring.encoders import open_encoder, pinned, use_of
from hrembed.shards.folder import LocalFolder, is_url, open_folder
from hrembed.shards.plan import MANIFEST, PLAN, content_hash, finish, finished_shards, read_plan, write_record
from hrembed.types import CommandResult

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from hrembed.config.encode import EncodeConfig
    from hrembed.records.encode import EncodeManifest, EncodePlan, ShardPlan
    from hrembed.records.manifest import ModelUse
    from hrembed.runs.record import Run
    from hrembed.runs.workspace import Workspace
    from hrembed.shards.folder import Folder
    from hrembed.shards.plan import Receipt


_PHASES = _PLAN, _ENCODE = "read the input and plan shards", "encode shards"


def run_encode(config: EncodeConfig, workspace: Workspace) -> CommandResult[EncodeRecord]:
    """Embed a table into a folder of shards; a folder that was begun is gone on with.

    Args:
        config: Validated settings.
        workspace: Where runs go, and who receives progress updates.

    Returns:
        Counts, sizes, and a hash of all shards. Timings are in `timings.json`.

    Raises:
        DataError: A row cannot be used, the input changed meanwhile, or the folder holds vectors of other settings.
        ModelError: The model cannot be had, or a text has no vector.
    """
    if config.engine == "ray":
        check_ray()
    config = config.model_copy(update={"model": pinned(config.model, workspace)})
    with open_run(workspace, "encode", config.model_dump(mode="json"), seeds={}, phases=_PHASES) as run:
        run.phases.begin(_PLAN)
        folder = open_folder(config.out)
        with folder.locked():
            if isinstance(folder, LocalFolder):
                folder.remove_parts()
            opened = open_model(config, run)
            began = time.monotonic()
            plan = _planned(config, opened.settings, folder, run)
            planned = time.monotonic()
            run.phases.begin(_ENCODE)
            outcome = _encode(config, plan, folder, opened.use, run)
        encoded = time.monotonic()
        _note_inputs(run, plan)
        run.add_model("model", opened.settings.identity, opened.source, opened.use)
        fresh = sum(shard.rows for shard in outcome.fresh)
        run.write_timings(
            EncodeTimings(
                engine=config.engine,
                workers=outcome.workers,
                planning_seconds=round(planned - began, 3),
                encoding_seconds=round(encoded - planned, 3),
                texts_per_second=round(fresh / (encoded - planned), 1) if fresh else None,
            )
        )
        record = _record(config, plan, outcome)
        run.write_metrics(record)
        notice = run.conclude(conclusion(config, outcome.manifest))
    return CommandResult(str(run.path), "ok", record, tables(record, outcome.manifest), notice=notice)


class OpenModel(NamedTuple):
    """The model of a run before its weights are loaded.

    Attributes:
        settings: What decides the bytes of a shard, without the types of kept columns.
        use: Prompts and pooling.
        source: Where it was read.
    """

    settings: EncodeSettings
    use: ModelUse | None
    source: str


def open_model(config: EncodeConfig, workspace: Workspace) -> OpenModel:
    """Find out what decides the vectors; what is compiled once (graphs) is compiled now, not by each worker.

    Raises:
        ModelError: It cannot be had.
    """
    encoder = open_encoder(config.model, workspace)
    if config.model.backend == "openvino" or config.model.precision != "float32":
        encoder.vectors(["a text"], config.side)
    use = use_of(encoder)
    prompt = (use.query_prompt if config.side == "query" else use.document_prompt) if use else None
    settings = EncodeSettings(
        identity=encoder.identity,
        side=config.side,
        prompt_hash=hashlib.sha256((prompt or "").encode("utf-8", "surrogatepass")).hexdigest(),
        dtype=config.dtype,
        rows_per_shard=config.rows_per_shard,
        columns={},
        redaction=config.personal_data.types if config.anonymise else (),
        regions=config.personal_data.regions if config.anonymise else (),
        name_columns=config.name_columns,
    )
    return OpenModel(settings, use, encoder.source)


def _planned(config: EncodeConfig, settings: EncodeSettings, folder: Folder, run: Run) -> EncodePlan:
    """Plan the folder; where the input is the same as before, its plan is kept.

    Raises:
        DataError: The folder holds vectors of other settings or of another input.
    """
    old = read_plan(folder)
    if old is not None:
        _refuse_others(config, settings, old, folder)
    elif any(name.startswith("shard-") for name in folder.names()):
        raise DataError(
            f"'{folder.reference}' contains shards and no plan", hint="remove the folder, or choose another `--out`"
        )
    base = BaseRows(config.base, settings) if config.base is not None else None
    sources = open_sources(config)
    if old is not None and still_valid(old, config, settings, base.source if base else None, sources):
        return old
    plan = make_plan(config, settings, sources, base, run.progress)
    if plan.base is not None:
        check_columns(plan.base, plan.settings)
    if plan != old:
        folder.remove(MANIFEST)  # what is planned is not what it speaks of
        write_record(folder, PLAN, plan)
    return plan


def _refuse_others(config: EncodeConfig, settings: EncodeSettings, old: EncodePlan, folder: Folder) -> None:
    hint = "choose another folder with `--out`, or remove this one"
    if old.settings.identity != settings.identity:
        other = f"{old.model.get('ref')}, {old.settings.identity[:12]}"
        raise ModelError(
            f"'{folder.reference}' holds vectors of another model or of other settings of it "
            f"({other}; here {config.model.ref}, {settings.identity[:12]})",
            hint=hint,
        )
    for field in EncodeSettings.model_fields:
        theirs, ours = getattr(old.settings, field), getattr(settings, field)
        if field == "columns":
            theirs, ours = list(theirs), list(config.kept_types)
        if theirs != ours:
            raise DataError(f"'{folder.reference}' was begun with another `{field}`: {theirs}, here {ours}", hint=hint)
    if old.input != config.input:
        raise DataError(f"'{folder.reference}' holds vectors of '{old.input}', not of '{config.input}'", hint=hint)
    if (old.base and old.base.folder) != config.base:
        raise DataError(
            f"'{folder.reference}' was begun with the base {old.base and old.base.folder}, here {config.base}",
            hint=hint,
        )


class Outcome(NamedTuple):
    """What came of a run.

    Attributes:
        manifest: Of the whole folder.
        fresh: Shards that were encoded now.
        workers: How many workers there were.
    """

    manifest: EncodeManifest
    fresh: Sequence[ShardPlan]
    workers: int


def _encode(config: EncodeConfig, plan: EncodePlan, folder: Folder, use: ModelUse | None, run: Run) -> Outcome:
    receipts = finished_shards(folder, plan)
    missing = [shard for shard in plan.shards if shard.number not in receipts]
    workers = worker_count(config)
    if receipts and missing:
        run.progress.note(f"{len(receipts):,} of {len(plan.shards):,} shards are finished; encoding the others")
    if missing:
        folder.remove(MANIFEST)
        out = config.out if is_url(config.out) else str(Path(folder.reference).absolute())
        job = Job(config, plan.settings, str(run.root.absolute()), out)

        def started(count: int) -> None:
            nonlocal workers
            workers = count

        with run.progress.bar("Encoding", sum(shard.rows for shard in missing)) as advance:
            for receipt in _engine(config, job, missing, workers, started):
                receipts[receipt.footer.number] = receipt
                advance(receipt.entry.rows, f"{len(receipts):,} of {len(plan.shards):,} shards")
    return Outcome(finish(folder, plan, receipts, use), missing, workers)


def worker_count(config: EncodeConfig) -> int:
    """How many workers there are on this machine."""
    return config.workers or (1 if parse_ref(config.model.ref).is_endpoint else machine().cores or 1)


def _engine(
    config: EncodeConfig, job: Job, shards: Sequence[ShardPlan], workers: int, started: Callable[[int], None]
) -> Iterator[Receipt]:
    if config.engine == "local":
        return encode_locally(job, shards, workers)
    joined = config.ray.address is not None and config.workers is None
    return encode_on_ray(job, shards, None if joined else workers, started)


def _note_inputs(run: Run, plan: EncodePlan) -> None:
    """Name the input by its hash; a database by the hash of its rows."""
    rows = hashlib.sha256("".join(shard.input_hash for shard in plan.shards).encode()).hexdigest()
    for part in plan.parts:
        run.add_content(part.name, part.name, part.sha256 or rows)
    if plan.base is not None:
        run.add_content("base", plan.base.folder, plan.base.sha256)


def _record(config: EncodeConfig, plan: EncodePlan, outcome: Outcome) -> EncodeRecord:
    manifest = outcome.manifest
    return EncodeRecord(
        out=config.out,
        rows=manifest.rows,
        distinct_texts=manifest.distinct_texts,
        dim=manifest.dim,
        dtype=manifest.dtype,
        bytes=sum(shard.bytes for shard in manifest.shards),
        shards=len(manifest.shards),
        reused=len(manifest.shards) - len(outcome.fresh),
        zero_vectors=manifest.zero_vectors,
        truncated_texts=manifest.truncated_texts,
        empty_texts=manifest.empty_texts,
        anonymised=manifest.anonymised,
        replaced=manifest.replaced,
        unchanged=plan.unchanged,
        changed=plan.changed,
        removed=len(plan.removed_ids),
        content=content_hash(manifest.shards),
    )
