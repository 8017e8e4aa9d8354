"""`hrembed data check`: what training data gives away of the tasks that it will be judged by."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hrembed.commands.data.anonymise import FINDINGS, scan
from hrembed.commands.data.check_page import ALL_MET, PART_NAMES, tables_of
from hrembed.config.parts import form_of
from hrembed.data.leaks import PARTS, TrainingTexts
from hrembed.data.locate import locate
from hrembed.data.near_duplicates import Near
from hrembed.data.negatives import false_negatives
from hrembed.data.pairs import (
    PAIRS,
    RELATED,
    pairs_file,
    read_pairs,
    read_related,
    text_columns,
    write_pairs,
    write_related,
)
from hrembed.data.personal import CANNOT_SEE
from hrembed.data.read import read_every_split
from hrembed.errors import DataError, MendedError
from hrembed.records.data import DataCheckRecord
from hrembed.runs.record import open_run
from hrembed.text import counted
from hrembed.training.batches import schedule
from hrembed.types import CommandResult

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from hrembed.config.data import DataCheckConfig, LeakLimits
    from hrembed.data.leaks import TaskLeaks
    from hrembed.progress import Progress
    from hrembed.records.data import Batching, NegativeCounts, PersonalCounts, TaskPart
    from hrembed.runs.record import Run
    from hrembed.runs.workspace import Workspace
    from hrembed.types import Pair, Task

_PHASES = (_READ, _LEAKS, _NEGATIVES, _PERSONAL, _WRITE) = (
    "read pairs and tasks",
    "look for leaks",
    "count false negatives",
    "look for personal data",
    "write what was found",
)
_SAMPLED_BATCHES = 500
# What must go for a fix: a row that holds an answer also holds its query, a row with a query may be harmless.
_FIX: Mapping[str, tuple[TaskPart, ...]] = {
    "none": (),
    "pairs": ("pairs",),
    "queries": ("pairs", "queries"),
    "documents": PARTS,
}


def run_check(config: DataCheckConfig, workspace: Workspace) -> CommandResult[DataCheckRecord]:
    """Look for leaks between training pairs and tasks, for false negatives, and on request for personal data.

    Args:
        config: Validated settings.
        workspace: Where runs go, and who receives progress updates.

    Returns:
        A verdict and tables; `flagged.parquet` lists every training row in which something was found, and with
        `fix` the set without the leaking ones is in `pairs.parquet`; `findings.parquet` lists where personal data
        stands. The failure says which limits were exceeded.

    Raises:
        DataError: Data is missing or malformed.
    """
    seeds = {"batches": config.seed}
    phases = [phase for phase in _PHASES if phase != _PERSONAL or config.personal]
    with open_run(workspace, "data-check", config.model_dump(mode="json"), seeds=seeds, phases=phases) as run:
        run.phases.begin(_READ)
        file = pairs_file(locate(config.train))
        run.add_input("train", file)
        pairs, tasks = read_pairs(file, form=form_of(config)), _open_tasks(config, run)
        run.phases.begin(_LEAKS)
        leaks = _find_leaks(config, pairs, tasks, workspace.progress)
        run.phases.begin(_NEGATIVES)
        negatives = _count_negatives(config, pairs)
        if config.personal:
            run.phases.begin(_PERSONAL)
        personal = _count_personal(config, run, file)
        run.phases.begin(_WRITE)
        run.write_table("flagged", _flagged(leaks))
        removed = None if config.fix == "none" else _write_fixed(config, run, file, pairs, leaks)
        by_leaks = _exceeded_by_leaks(config.limits, leaks)
        exceeded = [
            *by_leaks.values(),
            *_exceeded_by_negatives(config.limits, negatives["batches of hrembed"]),
            *_exceeded_by_personal(config.limits, personal),
        ]
        mended = len(exceeded) == len(by_leaks) and set(by_leaks) <= set(_FIX[config.fix])
        record = DataCheckRecord(
            rows=len(pairs),
            tasks={of_task.task: dict(of_task.leaks) for of_task in leaks},
            false_negatives=negatives,
            personal=personal,
            removed=removed,
            verdict="; ".join(exceeded) or ALL_MET,
        )
        run.write_metrics(record)
        notice = run.conclude(_conclusion(config, record, run))
    failure = MendedError if mended else DataError
    return CommandResult(
        str(run.path),
        "limits exceeded" if exceeded else "clean",
        record,
        tables_of(record),
        failure(f"{config.train}: {record.verdict}", hint=_hint(config, run)) if exceeded else None,
        notice=notice,
    )


def _open_tasks(config: DataCheckConfig, run: Run) -> list[Task]:
    tasks = []
    for reference in config.against:
        folder = locate(reference)
        run.add_input(reference, folder)
        tasks.append(read_every_split(folder, reference))
    return tasks


def _find_leaks(
    config: DataCheckConfig, pairs: Sequence[Pair], tasks: Sequence[Task], progress: Progress
) -> list[TaskLeaks]:
    texts = TrainingTexts(pairs, config.match, Near(config.near.min_words, config.near.max_changed))
    with progress.bar("comparing texts", len(texts)) as advance:
        return texts.leaks(tasks, advance)


def _count_negatives(config: DataCheckConfig, pairs: Sequence[Pair]) -> dict[Batching, NegativeCounts]:
    """Count in random batches, and in those that `finetune` would plan; of many batches a sample is counted."""
    rng = np.random.default_rng(config.seed)
    order = rng.permutation(len(pairs))
    size = config.batch_size
    random = [order[start : start + size].tolist() for start in range(0, len(pairs), size)]
    planned = schedule(pairs, batch_size=size, epochs=1, rng=rng)
    return {
        "random batches": false_negatives(pairs, random[:_SAMPLED_BATCHES]),
        "batches of hrembed": false_negatives(pairs, planned[:_SAMPLED_BATCHES]),
    }


def _count_personal(config: DataCheckConfig, run: Run, file: Path) -> PersonalCounts | None:
    """Look for personal data where the config asks for it, and list where it stands."""
    if not config.personal:
        return None
    findings = run.path / FINDINGS
    form = form_of(config)
    return scan(file, text_columns(file, form), config.personal_data, findings, run.progress, config.name_columns, form)


def _write_fixed(
    config: DataCheckConfig, run: Run, file: Path, pairs: Sequence[Pair], leaks: Sequence[TaskLeaks]
) -> int:
    """Write the pairs without the rows that must go, and return how many went."""
    leaking = {row for of_task in leaks for part in _FIX[config.fix] for row in of_task.rows[part]}
    if len(leaking) == len(pairs):
        raise DataError(f"{config.train}: every row leaks; no training data would remain")
    write_pairs(run.path / PAIRS, [pair for n, pair in enumerate(pairs) if n not in leaking])
    related = read_related(file)
    if related:
        write_related(run.path / RELATED, related)
    return len(leaking)


def _exceeded_by_leaks(limits: LeakLimits, leaks: Sequence[TaskLeaks]) -> dict[TaskPart, str]:
    """Name, for each part of a task whose limit is exceeded, the task with the largest share."""
    limit_of: dict[TaskPart, float | None] = {
        "documents": limits.documents,
        "queries": limits.queries,
        "pairs": limits.pairs,
    }
    exceeded: dict[TaskPart, str] = {}
    for part, limit in limit_of.items():
        worst = max(leaks, key=lambda of_task: of_task.leaks[part].share, default=None)
        if limit is None or worst is None or worst.leaks[part].share <= limit:
            continue
        leak = worst.leaks[part]
        exceeded[part] = (
            f"{leak.occur:,} of {leak.total:,} {PART_NAMES[part]} of '{worst.task}' occur in the training data "
            f"({leak.share:.1%}, limit {limit:.1%})"
        )
    return exceeded


def _exceeded_by_negatives(limits: LeakLimits, negatives: NegativeCounts) -> list[str]:
    limit = limits.false_negatives
    if limit is None or not negatives.share > limit:  # an undefined share exceeds nothing
        return []
    return [f"{negatives.share:.2%} of the negatives are relevant (limit {limit:.2%})"]


def _exceeded_by_personal(limits: LeakLimits, personal: PersonalCounts | None) -> list[str]:
    limit = limits.personal
    if personal is None or limit is None or personal.findings <= limit:
        return []
    return [
        (
            f"{counted(personal.findings, 'occurrence')} of personal data in "
            f"{counted(personal.rows_with_any, 'row')} (limit {limit:,})"
        )
    ]


def _conclusion(config: DataCheckConfig, record: DataCheckRecord, run: Run) -> list[str]:
    """Say which limits are exceeded, and what may be trained on; what to do about a limit is the error's hint."""
    sentences = [f"{config.train} ({counted(record.rows, 'pair')}): {record.verdict}."]
    if config.personal:
        sentences.append(f"Personal data: {CANNOT_SEE}.")
    if record.removed is not None:
        cleaned = run.path / PAIRS
        sentences += [
            f"{counted(record.removed, 'leaking row')} left out. Next, train on the others:",
            f"  hrembed finetune --set sources.0.path={cleaned}",
        ]
    elif record.verdict == ALL_MET:
        sentences += ["Next, train on them:", f"  hrembed finetune --set sources.0.path={config.train}"]
    return sentences


def _hint(config: DataCheckConfig, run: Run) -> str:
    if config.fix == "none":
        return (
            f"leaking rows are listed in '{run.path / 'flagged.parquet'}'; use `--fix` to write a set "
            "without them, or `hrembed data anonymise` to remove personal data"
        )
    return f"the cleaned set is '{run.path / PAIRS}'; run the check on it again"


def _flagged(leaks: Sequence[TaskLeaks]) -> dict[str, Sequence[int] | Sequence[str]]:
    """List every leak as columns: training row from 1, task, part of the task, and how it was recognised."""
    flagged = sorted(
        (row + 1, of_task.task, part, match)
        for of_task in leaks
        for part in PARTS
        for row, match in of_task.rows[part].items()
    )
    return {
        "row": [row for row, _, _, _ in flagged],
        "task": [task for _, task, _, _ in flagged],
        "what": [part for _, _, part, _ in flagged],
        "how": [match for _, _, _, match in flagged],
    }
