"""`encode --dry-run`: what all of it would take, from two hundred rows."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from hrembed.commands.encode.base import BaseRows
from hrembed.commands.encode.planning import make_plan
from hrembed.commands.encode.rows import open_sources
from hrembed.commands.encode.run import open_model, worker_count
from hrembed.commands.encode.work import Job, Worker
from hrembed.memory import MB
from hrembed.records.encode import EncodeDryRunRecord, EncodeEstimate
from hrembed.runs.record import open_run
from hrembed.scoring.encoders import pinned
from hrembed.types import CommandResult

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hrembed.config.encode import EncodeConfig
    from hrembed.records.encode import EncodePlan, ShardPlan
    from hrembed.runs.workspace import Workspace

_SAMPLE = 200
_WARM = 8


def run_dry(config: EncodeConfig, workspace: Workspace) -> CommandResult[EncodeDryRunRecord]:
    """Read the whole input, encode a sample of it, and write no shard.

    Args:
        config: Validated settings.
        workspace: Where runs go, and who receives progress updates.

    Returns:
        Rows, shards and bytes; hours are in `timings.json`.

    Raises:
        DataError: A row cannot be used.
        ModelError: The model cannot be had, or a text has no vector.
    """
    config = config.model_copy(update={"model": pinned(config.model, workspace)})
    with open_run(workspace, "encode-dry-run", config.model_dump(mode="json"), seeds={}) as run:
        opened = open_model(config, run)
        base = BaseRows(config.base, opened.settings) if config.base is not None else None
        began = time.monotonic()
        plan = make_plan(config, opened.settings, open_sources(config), base, run.progress)
        planning = time.monotonic() - began
        worker = Worker(Job(config, plan.settings, str(run.root.absolute()), str(run.path)))
        items = [item for shard in _spread(plan) for item in worker.read(shard)]
        step = max(1, len(items) // _SAMPLE)
        items = items[::step][:_SAMPLE]
        worker.vectors(worker.prepare(items[:_WARM])[0])  # weights are loaded now
        began = time.monotonic()
        measured = worker.measure(items)
        rate = len(items) / (time.monotonic() - began) if items else 0.0
        workers = worker_count(config)
        record = EncodeDryRunRecord(
            rows=plan.rows,
            shards=len(plan.shards),
            empty_texts=plan.empty_texts,
            sample=len(items),
            dim=measured.dim,
            bytes=round(measured.bytes_per_row * plan.rows),
        )
        hours = (planning + plan.rows / (rate * workers)) / 3600 if rate else planning / 3600
        estimate = EncodeEstimate(texts_per_second=round(rate, 1), workers=workers, hours=round(hours, 4))
        run.add_model("model", opened.settings.identity, opened.source, opened.use)
        run.write_metrics(record)
        run.write_timings(estimate)
    notice = "Workers are taken not to slow each other down; the sample was encoded by one of them."
    tables = {f"To encode {config.input}": _table(record, estimate)}
    return CommandResult(str(run.path), "ok", record, tables, notice=notice)


def _spread(plan: EncodePlan) -> Sequence[ShardPlan]:
    """Give up to four shards, evenly spread."""
    return plan.shards[:: max(1, len(plan.shards) // 4)][:4]


def _table(record: EncodeDryRunRecord, estimate: EncodeEstimate) -> list[Mapping[str, str]]:
    return [
        {
            "rows": f"{record.rows:,}",
            "shards": f"{record.shards:,}",
            "MB": f"{record.bytes / MB:,.1f}",
            "texts a second and worker": f"{estimate.texts_per_second:,.0f}",
            "workers": f"{estimate.workers:,}",
            "hours": f"{estimate.hours:,.2f}",
        }
    ]
