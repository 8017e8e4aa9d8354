"""`hrembed data split`: pairs to sides by group, and the held-out sides to retrieval tasks."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from hrembed.config.parts import form_of
from hrembed.data.leaks import MATCHES, TrainingTexts
from hrembed.data.locate import locate
from hrembed.data.near_duplicates import Near
from hrembed.data.pairs import PAIRS, RELATED, pairs_file, read_pairs, read_related, write_pairs, write_related
from hrembed.data.split import GRADED_KINDS, SIDES, assign_groups, build_task, group_of
from hrembed.data.tasks import write_task
from hrembed.errors import DataError
from hrembed.records.data import DataSplitRecord, SideCounts, TaskSize
from hrembed.reports.conclusions import listed
from hrembed.runs.record import open_run
from hrembed.text import counted
from hrembed.types import CommandResult

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from hrembed.config.data import DataSplitConfig
    from hrembed.progress import Progress
    from hrembed.records.data import SplitSide
    from hrembed.runs.workspace import Workspace
    from hrembed.types import Pair, Task

_PHASES = (_READ, _DIVIDE, _LEAKS, _WRITE) = ("read the pairs", "divide them", "look for shared answers", "write")


def run_split(config: DataSplitConfig, workspace: Workspace) -> CommandResult[DataSplitRecord]:
    """Split pairs so that no group, and no relevant pair of texts, stands on two sides.

    The run folder gets `train/pairs.parquet`, `dev/pairs.parquet`, `test/pairs.parquet`, and for each
    kind of pair a task folder such as `test/title`.

    Args:
        config: Validated settings.
        workspace: Where runs go, and who receives progress updates.

    Returns:
        Groups and pairs of every side, and the tasks.

    Raises:
        DataError: The pairs are missing or malformed, or too few groups to fill every side.
    """
    seeds = {"split": config.seed}
    with open_run(workspace, "data-split", config.model_dump(mode="json"), seeds=seeds, phases=_PHASES) as run:
        run.phases.begin(_READ)
        file = pairs_file(locate(config.pairs))
        run.add_input("pairs", file)
        pairs, related = read_pairs(file, form=form_of(config)), read_related(file)
        run.phases.begin(_DIVIDE)
        sides = _divide(pairs, config)
        tasks = _build_tasks(sides, related, config, workspace.progress)
        run.phases.begin(_LEAKS)
        leaking = _rows_that_show_answers(sides["train"], list(tasks.values()), config, workspace.progress)
        sides["train"] = [pair for n, pair in enumerate(sides["train"]) if n not in leaking]
        run.phases.begin(_WRITE)
        for side in [side for side in SIDES if sides[side]]:
            write_pairs(run.path / side / PAIRS, sides[side])
            _write_related(run.path / side, sides[side], related)
        for name, task in tasks.items():
            write_task(run.path / name, name.partition("/")[0], task)
        record = DataSplitRecord(
            sides={side: _counts(sides[side]) for side in SIDES},
            dropped_from_train=len(leaking),
            tasks={name: _size(task) for name, task in tasks.items()},
        )
        run.write_metrics(record)
        notice = run.conclude(_conclusion(record, run.path))
    return CommandResult(str(run.path), "ok", record, _tables(record), notice=notice)


def _divide(pairs: Sequence[Pair], config: DataSplitConfig) -> dict[SplitSide, list[Pair]]:
    side_of = assign_groups(pairs, dev=config.dev, test=config.test, seed=config.seed)
    sides: dict[SplitSide, list[Pair]] = {side: [] for side in SIDES}
    for pair in pairs:
        sides[side_of[group_of(pair)]].append(pair)
    shares: dict[SplitSide, float] = {"train": 1, "dev": config.dev, "test": config.test}
    empty = [side for side in SIDES if shares[side] and not sides[side]]
    if empty:
        raise DataError(
            f"{config.pairs}: too few groups ({len(side_of)}) to assign any to '{empty[0]}'",
            hint="increase its share, or split the groups in column `group` further",
        )
    return sides


def _write_related(folder: Path, pairs: Sequence[Pair], related: Mapping[str, Sequence[str]]) -> None:
    present = {group_of(pair) for pair in pairs}
    on_side = {group: [other for other in related.get(group, ()) if other in present] for group in sorted(present)}
    if any(on_side.values()):
        write_related(folder / RELATED, on_side)


def _build_tasks(
    sides: Mapping[SplitSide, Sequence[Pair]],
    related: Mapping[str, Sequence[str]],
    config: DataSplitConfig,
    progress: Progress,
) -> dict[str, Task]:
    """Make one task for each kind and held-out side; a kind without any query is left out."""
    tasks = {}
    for side in SIDES[1:]:
        pairs_of: dict[str, list[Pair]] = defaultdict(list)
        for pair in sides[side]:
            pairs_of[pair.kind].append(pair)
        for kind, pairs in sorted(pairs_of.items()):
            name = f"{side}/{kind}"
            graded = related if kind in GRADED_KINDS else {}
            task = build_task(
                name, pairs, graded, by_pair=kind in config.by_pair, max_queries=config.task_queries, seed=config.seed
            )
            if task.queries:
                tasks[name] = task
            else:
                progress.note(f"skipping task '{name}': no query would have a relevant document of its own")
    return tasks


def _rows_that_show_answers(
    train: Sequence[Pair], tasks: Sequence[Task], config: DataSplitConfig, progress: Progress
) -> set[int]:
    """Training rows that `hrembed data check` would call a leak.

    Two titles may stand together in a training group and in a held-out one: the groups were kept apart, but training
    on the first teaches the answer of the second.
    """
    texts = TrainingTexts(train, MATCHES, Near(config.near.min_words, config.near.max_changed))
    with progress.bar("searching for shared answers", len(texts)) as advance:
        return {row for leaks in texts.leaks(tasks, advance) for row in leaks.rows["pairs"]}


def _size(task: Task) -> TaskSize:
    judgements = sum(map(len, task.qrels.values()))
    return TaskSize(queries=len(task.queries), documents=len(task.documents), judgements=judgements)


def _counts(pairs: Sequence[Pair]) -> SideCounts:
    return SideCounts(
        pairs=len(pairs),
        groups=len({group_of(pair) for pair in pairs}),
        families=len({pair.family for pair in pairs}),
        kinds=dict(sorted(Counter(pair.kind for pair in pairs).items())),
    )


def _conclusion(record: DataSplitRecord, folder: Path) -> list[str]:
    """Say what the sides hold, and how to train on one and measure on the others."""
    parts = [
        f"{counted(counts.pairs, 'pair')} of {counted(counts.groups, 'group')} for {side}"
        for side, counts in record.sides.items()
        if counts.pairs
    ]
    found = f"{listed(parts)}; no group is on two sides."
    train = f"sources.0.path={folder / 'train'}"
    tasks = {side: next((name for name in record.tasks if name.startswith(f"{side}/")), None) for side in SIDES[1:]}
    sets = [f"--set {key}={folder / name}" for key, name in (("dev.path", tasks["dev"]),) if name]
    return [
        found,
        "Next, train on the first and measure on the others:",
        " ".join([f"  hrembed finetune --set {train}", *sets]),
    ]


def _tables(record: DataSplitRecord) -> dict[str, list[dict[str, str]]]:
    sides = [
        {
            "side": side,
            "pairs": f"{counts.pairs:,}",
            "groups": f"{counts.groups:,}",
            "families": f"{counts.families:,}",
        }
        for side, counts in record.sides.items()
    ]
    tasks = [
        {
            "task": task,
            "queries": f"{size.queries:,}",
            "documents": f"{size.documents:,}",
            "judgements": f"{size.judgements:,}",
        }
        for task, size in record.tasks.items()
    ]
    dropped = {
        "training pairs dropped": f"{record.dropped_from_train:,}",
        "why": "they reveal answers of a held-out task, by the rules of `hrembed data check`",
    }
    return {"Sides": sides, "Retrieval tasks": tasks, "Overlap": [dropped]}
