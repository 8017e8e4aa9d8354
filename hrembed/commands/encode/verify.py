"""`encode --verify`: is a folder what it says, and would the model give these vectors again?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hrembed.commands.encode.run import open_model
from hrembed.commands.encode.work import Job, Worker
from hrembed.config.encode import EncodeConfig
from hrembed.config.parts import ModelSection
from hrembed.errors import DataError, ModelError
from hrembed.records.encode import EncodeVerifyRecord
from hrembed.runs.record import open_run
from hrembed.shards.folder import open_folder
from hrembed.shards.plan import finished_shards, read_plan
from hrembed.shards.reading import open_shards
from hrembed.shards.shard import numbers_of, parse_shard, restored, shard_name
from hrembed.types import CommandResult

if TYPE_CHECKING:
    from hrembed.records.encode import EncodePlan, ShardPlan
    from hrembed.runs.record import Run
    from hrembed.runs.workspace import Workspace
    from hrembed.shards.reading import ShardSet
    from hrembed.types import Floats

_SAMPLE = 100
_AT_ONCE = 10
# A row may differ from the stored one by rounding: of other batches, and of the stored type.
_LOWEST_COSINE = {"float32": 0.9999, "float16": 0.9999, "int8": 0.999}


def run_verify(config: EncodeConfig, workspace: Workspace, *, folder: str) -> CommandResult[EncodeVerifyRecord]:
    """Check every file of a folder, and encode a hundred of its rows again.

    Args:
        config: Settings of the command; the model and the input are those of the folder.
        workspace: Where runs go, and who receives progress updates.
        folder: What `encode` wrote.

    Returns:
        What was checked.

    Raises:
        DataError: The folder is not finished, or a file of it is damaged; or the input is gone and no text was kept.
        ModelError: The model is not there, is another one, or gives other vectors.
    """
    with open_run(workspace, "encode-verify", config.model_dump(mode="json"), seeds={}) as run:
        shards = open_shards(folder)
        plan = read_plan(open_folder(folder))
        if plan is None:
            raise DataError(f"'{folder}' has no plan", hint="repeat the `encode` command that wrote it")
        _check_files(shards, plan)
        stored, again = _encoded_again(config, shards, plan, run)
        cosines = (stored * again).sum(axis=1) + (~again.any(axis=1) & ~stored.any(axis=1))
        record = EncodeVerifyRecord(
            folder=folder,
            rows=shards.manifest.rows,
            shards=len(shards.manifest.shards),
            sample=len(stored),
            lowest_cosine=float(cosines.min(initial=1.0)) if len(stored) else np.nan,
            largest_difference=float(np.abs(stored - again).max(initial=0.0)) if len(stored) else np.nan,
        )
        run.write_metrics(record)
        if record.lowest_cosine < _LOWEST_COSINE[shards.manifest.dtype]:
            raise ModelError(
                f"'{folder}': a row encoded again has a cosine of {record.lowest_cosine:.6f} to its stored vector",
                hint="the vectors were not made by this model: remove the folder, and encode again",
            )
    return CommandResult(str(run.path), "ok", record, {f"Checked {folder}": [_row(record)]})


def _row(record: EncodeVerifyRecord) -> dict[str, str]:
    return {
        "rows": f"{record.rows:,}",
        "shards": f"{record.shards:,}",
        "encoded again": f"{record.sample:,}",
        "lowest cosine": f"{record.lowest_cosine:.6f}",
        "largest difference": f"{record.largest_difference:.1e}",
    }


def _check_files(shards: ShardSet, plan: EncodePlan) -> None:
    """Compare files with the manifest, and their rows and vectors with plan and footers.

    Raises:
        DataError: One differs.
    """
    done = finished_shards(shards.folder, plan)
    listed = {entry.name: entry.sha256 for entry in shards.manifest.shards}
    for shard in plan.shards:
        name = shard_name(shard.number)
        receipt = done.get(shard.number)
        if receipt is None or listed.get(name) != receipt.entry.sha256:
            raise DataError(
                f"'{shards.folder.reference}/{name}' is damaged, or not the shard that was planned",
                hint="repeat the `encode` command that wrote the folder: it writes such shards again",
            )


def _encoded_again(config: EncodeConfig, shards: ShardSet, plan: EncodePlan, run: Run) -> tuple[Floats, Floats]:
    """Give stored and new vectors of a sample, shape (n, dim) each."""
    settings = plan.settings
    model = ModelSection.model_validate(plan.model)
    anonymised = {"anonymise": True, "personal_data": {"types": settings.redaction, "regions": settings.regions}}
    again = EncodeConfig.model_validate(
        {**plan.reading, "model": model, "side": settings.side, "threads": config.threads}
        | (anonymised if settings.redaction else {})
    )
    opened = open_model(again, run)
    if opened.settings.identity != settings.identity:
        raise ModelError(
            f"the model '{model.ref}' here is not the one that encoded '{shards.folder.reference}': "
            f"{opened.settings.identity[:12]}, there {settings.identity[:12]}",
            hint="use the same weights and settings, or encode again",
        )
    run.add_model("model", opened.settings.identity, opened.source, opened.use)
    worker = Worker(Job(again, settings, str(run.root.absolute()), shards.folder.reference))
    before, after = [], []
    for shard in plan.shards[:: max(1, len(plan.shards) * _AT_ONCE // _SAMPLE)][: _SAMPLE // _AT_ONCE]:
        vectors, texts = _sample(shards, plan, shard, worker)
        before.append(vectors)
        after.append(worker.vectors(texts))
    return np.concatenate(before), np.concatenate(after)


def _sample(shards: ShardSet, plan: EncodePlan, shard: ShardPlan, worker: Worker) -> tuple[Floats, list[str]]:
    """Give vectors and texts of some rows of a shard; texts that were not kept are read from the input again."""
    name = shard_name(shard.number)
    table, footer = parse_shard(shards.folder.read(name), name)
    rows = np.unique(np.linspace(0, len(table) - 1, _AT_ONCE).astype(int))
    if "text" in table.column_names:
        texts = [table.column("text")[int(n)].as_py() for n in rows]
    else:
        changed = worker.has_changed(shard.part, plan.parts[shard.part].sha256)
        items = [] if changed else worker.read(shard)
        if [item.id for item in items] != table.column("id").to_pylist():
            raise DataError(
                f"the input of '{shards.folder.reference}' has changed, and its texts were not kept",
                hint="repeat the `encode` command, which encodes what has changed",
            )
        texts = worker.prepare([items[int(n)] for n in rows])[0]
    return restored(*numbers_of(table, footer.dim))[rows], texts
