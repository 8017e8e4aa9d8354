"""`hrembed data check`: what training data gives away of the tasks that it will be judged by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hrembed.commands.data.anonymise import FOUND, as_metrics, scan, table
from hrembed.data.leaks import HOW, WHAT, TrainingTexts
from hrembed.data.locate import locate
from hrembed.data.near_duplicates import Near
from hrembed.data.negatives import false_negatives
from hrembed.data.pairs import PAIRS, RELATED, pairs_file, read_pairs, read_related, write_pairs, write_related
from hrembed.data.read import read_every_split
from hrembed.errors import DataError
from hrembed.runs.record import open_run
from hrembed.training.batches import schedule
from hrembed.types import CommandResult

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from hrembed.config.data import DataCheckConfig
    from hrembed.data.leaks import Leaks, What
    from hrembed.data.negatives import Negatives
    from hrembed.data.redact import Found
    from hrembed.progress import Progress
    from hrembed.runs.record import Run
    from hrembed.runs.workspace import Workspace
    from hrembed.types import Pair, Task

_SAMPLED_BATCHES = 500
# What must go for a fix: a row that holds an answer also holds its query, a row with a query may be harmless.
_FIX: Mapping[str, tuple[What, ...]] = {
    "none": (),
    "pairs": ("pairs",),
    "queries": ("pairs", "queries"),
    "documents": WHAT,
}


def run_check(config: DataCheckConfig, workspace: Workspace) -> CommandResult[Any]:
    """Look for leaks between training pairs and tasks, for false negatives, and on request for personal data.

    Args:
        config: Validated settings.
        workspace: Where runs go, and who receives progress updates.

    Returns:
        A verdict and tables; `flagged.parquet` lists every training row in which something was found, and with
        `fix` the set without the leaking ones is in `pairs.parquet`; `findings.parquet` lists where personal data
        stands. The failure says which limits were passed.

    Raises:
        DataError: Data is missing or malformed.
    """
    with open_run(workspace, "data-check", config.model_dump(mode="json"), seeds={"batches": config.seed}) as run:
        file = pairs_file(locate(config.train))
        run.add_input("train", file)
        pairs, tasks = read_pairs(file), _open_tasks(config, run)
        leaks = _leaks(config, pairs, tasks, workspace.progress)
        negatives = _negatives(config, pairs)
        personal = _personal(config, run, file)
        metrics = _metrics(pairs, leaks, negatives, personal)
        run.write_table("flagged", _flagged(leaks))
        if config.fix != "none":
            metrics["removed"] = _fix(config, run, file, pairs, leaks)
        problems = _problems(config, leaks, negatives) + _personal_problem(config, personal)
        metrics["verdict"] = "; ".join(problems) or "no limit of the config is passed"
        metrics["notice"] = f"Verdict: {metrics['verdict']}."
        run.write_metrics(metrics)
    failure = DataError(f"{config.train}: {metrics['verdict']}", hint=_hint(config, run)) if problems else None
    status = "limits passed" if problems else "clean"
    return CommandResult(str(run.path), status, metrics, _tables(metrics, personal), failure)


def _open_tasks(config: DataCheckConfig, run: Run) -> list[Task]:
    tasks = []
    for reference in config.against:
        folder = locate(reference)
        run.add_input(reference, folder)
        tasks.append(read_every_split(folder, reference))
    return tasks


def _leaks(config: DataCheckConfig, pairs: Sequence[Pair], tasks: Sequence[Task], progress: Progress) -> list[Leaks]:
    texts = TrainingTexts(pairs, config.match, Near(config.near.min_words, config.near.max_changed))
    with progress.bar("comparing texts", len(texts)) as advance:
        return texts.leaks(tasks, advance)


def _negatives(config: DataCheckConfig, pairs: Sequence[Pair]) -> dict[str, Negatives]:
    """Count in random batches, and in those that `finetune` would plan; of many batches a sample is looked at."""
    rng = np.random.default_rng(config.seed)
    order = rng.permutation(len(pairs))
    size = config.batch_size
    random = [order[start : start + size].tolist() for start in range(0, len(pairs), size)]
    planned = schedule(pairs, batch_size=size, epochs=1, rng=rng)
    return {
        "random batches": false_negatives(pairs, random[:_SAMPLED_BATCHES]),
        "batches of hrembed": false_negatives(pairs, planned[:_SAMPLED_BATCHES]),
    }


def _fix(config: DataCheckConfig, run: Run, file: Path, pairs: Sequence[Pair], leaks: Sequence[Leaks]) -> int:
    """Write the pairs without the rows that must go, and return how many went."""
    bad = {row for found in leaks for what in _FIX[config.fix] for row in found.rows[what]}
    if len(bad) == len(pairs):
        raise DataError(f"{config.train}: every row leaks, nothing would be left to train on")
    write_pairs(run.path / PAIRS, [pair for n, pair in enumerate(pairs) if n not in bad])
    related = read_related(file)
    if related:
        write_related(run.path / RELATED, related)
    return len(bad)


def _problems(config: DataCheckConfig, leaks: Sequence[Leaks], negatives: Mapping[str, Negatives]) -> list[str]:
    """Say which limits are passed, in words."""
    said = []
    for what in WHAT:
        limit = getattr(config.limits, what)
        worst = max(leaks, key=lambda found: found.share(what), default=None)
        if limit is not None and worst is not None and worst.share(what) > limit:
            name = "relevant pairs" if what == "pairs" else what
            number = sum(worst.found[what].values())
            said.append(
                f"{number:,} of {worst.totals[what]:,} {name} of '{worst.task}' occur in training "
                f"({worst.share(what):.1%}, limit {limit:.1%})"
            )
    share = negatives["batches of hrembed"].share
    if config.limits.false_negatives is not None and (share or 0) > config.limits.false_negatives:
        said.append(f"{share:.2%} of the negatives are relevant (limit {config.limits.false_negatives:.2%})")
    return said


def _personal(config: DataCheckConfig, run: Run, file: Path) -> Found | None:
    """Look for personal data where the config asks for it, and list where it stands."""
    if not config.personal:
        return None
    return scan(file, ("anchor", "positive"), config.personal_data, run.path / FOUND, run.progress)


def _personal_problem(config: DataCheckConfig, found: Found | None) -> list[str]:
    limit = config.limits.personal
    if found is None or limit is None or found.counts.total() <= limit:
        return []
    return [f"{found.counts.total():,} pieces of personal data in {found.touched:,} rows (limit {limit:,})"]


def _hint(config: DataCheckConfig, run: Run) -> str:
    if config.fix == "none":
        return (
            f"leaking rows are listed in '{run.path / 'flagged.parquet'}'; `--fix` writes a set without them, "
            "`hrembed data anonymise` one without personal data"
        )
    return f"the cleaned set is '{run.path / PAIRS}'; check it once more"


def _metrics(
    pairs: Sequence[Pair], leaks: Sequence[Leaks], negatives: Mapping[str, Negatives], personal: Found | None
) -> dict[str, Any]:
    metrics: dict[str, Any] = {
        "rows": len(pairs),
        "tasks": {found.task: _as_metrics(found) for found in leaks},
        "false_negatives": {name: _counted(found) for name, found in negatives.items()},
    }
    return metrics | ({"personal": as_metrics(personal)} if personal is not None else {})


def _as_metrics(found: Leaks) -> dict[str, Any]:
    return {
        what: {
            "total": found.totals[what],
            "occur": sum(found.found[what].values()),
            "share": found.share(what),
            "by": dict(found.found[what]),
            "rows": len(found.rows[what]),
        }
        for what in WHAT
    }


def _counted(found: Negatives) -> dict[str, Any]:
    return {"false": found.false, "all": found.all, "share": found.share}


def _flagged(leaks: Sequence[Leaks]) -> dict[str, list[Any]]:
    rows = [
        (row + 1, found.task, what, how) for found in leaks for what in WHAT for row, how in found.rows[what].items()
    ]
    rows.sort()
    names = ("row", "task", "what", "how")
    return {name: [row[n] for row in rows] for n, name in enumerate(names)}


def _tables(metrics: Mapping[str, Any], personal: Found | None) -> dict[str, list[dict[str, str]]]:
    leaks = [
        {
            "task": task,
            "what": "relevant pairs" if what == "pairs" else what,
            "occur": f"{entry['occur']:,} of {entry['total']:,} ({entry['share']:.1%})",
            **{how: f"{entry['by'][how]:,}" for how in HOW},
            "training rows": f"{entry['rows']:,}",
        }
        for task, found in metrics["tasks"].items()
        for what, entry in found.items()
    ]
    negatives = [
        {
            "batches": name,
            "false": f"{entry['false']:,} of {entry['all']:,}",
            "share": "no negatives" if entry["share"] is None else f"{entry['share']:.2%}",
        }
        for name, entry in metrics["false_negatives"].items()
    ]
    tables = {"What of the tasks occurs in training": leaks, "In-batch negatives that are relevant": negatives}
    return tables | ({"Personal data in anchors and positives": table(personal)} if personal is not None else {})
