"""Whether what a model is measured on was in its training, or chose its checkpoint: scores that flatter."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from hrembed.config.finetune import FinetuneConfig
from hrembed.config.losses import BatchHardLoss, CosentLoss, InvarianceLoss
from hrembed.config.parts import form_of
from hrembed.data.labelled import TRAIN, pair_columns, read_label_task, read_pair_task
from hrembed.data.leaks import MATCHES, TrainingTexts
from hrembed.data.locate import locate
from hrembed.data.near_duplicates import Near
from hrembed.data.pairs import pairs_file, read_pairs
from hrembed.data.read import read_task
from hrembed.data.rows import find_table
from hrembed.errors import DataError, HrembedError
from hrembed.files import sha256
from hrembed.models.refs import parse_ref
from hrembed.runs.past import read_run, training_run
from hrembed.scoring.tasks import items_of
from hrembed.text import normalise
from hrembed.types import LabelTask, Pair, PairTask, Task

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hrembed.config.finetune import SourceSection
    from hrembed.progress import Progress
    from hrembed.records.data import Leak, TaskPart
    from hrembed.runs.past import PastRun
    from hrembed.scoring.tasks import AnyTask
    from hrembed.types import Text

    Rows = Sequence[Pair] | LabelTask | PairTask
    Leaks = dict[str, dict[TaskPart, Leak]]  # task -> part -> what of it occurs in training

_NEAR = Near(min_words=5, max_changed=0.2)  # as `hrembed data check` compares


def training_leaks(rows: Iterable[Rows], tasks: Sequence[AnyTask], progress: Progress) -> Leaks:
    """Compare the rows of a training with tasks, as `hrembed data check` does.

    Scored texts of a classification and the pairs of a similarity task count as queries, and the latter as relevant
    pairs as well.

    Args:
        rows: Of each source.
        tasks: What is measured on.
        progress: Receives progress updates.
    """
    pairs = [pair for of_source in rows for pair in _as_pairs(of_source)]
    if not pairs or not tasks:
        return {}
    texts = TrainingTexts(pairs, MATCHES, _NEAR)
    with progress.bar("comparing tasks with the training data", len(texts)) as advance:
        return {of_task.task: dict(of_task.leaks) for of_task in texts.leaks([*map(_as_retrieval, tasks)], advance)}


def _as_pairs(rows: Rows) -> Sequence[Pair]:
    if isinstance(rows, LabelTask):
        return [Pair(text.text, text.text, text.group) for text in rows.texts]
    if isinstance(rows, PairTask):
        both = zip(rows.first, rows.second, strict=True)
        return [Pair(first.text, second.text, first.group) for first, second in both]
    return rows


def _as_retrieval(task: AnyTask) -> Task:
    """Write a task as queries and documents, with plain numbers as ids, which are never compared."""
    if isinstance(task, Task):
        return task
    queries = tuple(replace(text, id=str(n)) for n, text in enumerate(items_of(task)))
    documents = task.second if isinstance(task, PairTask) else ()
    return Task(
        task.name,
        queries,
        tuple(replace(text, id=str(n)) for n, text in enumerate(documents)),
        {query.id: {query.id: 1} if documents else {} for query in queries},
    )


def leak_warnings(leaks: Leaks, model: str = "the model") -> list[str]:
    """Say which tasks the training has seen: answers of a ranking, or scored texts of other tasks."""
    warnings = []
    for task, of_task in leaks.items():
        pairs, queries = of_task["pairs"], of_task["queries"]
        if pairs.occur:
            counted = f"{pairs.occur:,} of {pairs.total:,} relevant pairs ({pairs.share:.1%})"
        elif queries.occur and not pairs.total:
            counted = f"{queries.occur:,} of {queries.total:,} scored texts ({queries.share:.1%})"
        else:
            continue
        warnings.append(
            f"leak: {counted} of {task} occur in the training data of {model}, so its score on this task "
            "is not valid evidence; `hrembed data check` lists the rows, and `--fix` writes a set without "
            "them"
        )
    return warnings


def dev_warnings(dev: Task, tests: Sequence[AnyTask]) -> list[str]:
    """Say which test tasks ask what the dev task asks, which chose the checkpoint."""
    warnings = []
    for task in tests:
        items = items_of(task)
        shared = _shared_queries(dev, items)
        if shared:
            warnings.append(
                f"overlap: {shared:,} of {len(items):,} queries of the test task {task.name} also occur in the "
                f"dev task {dev.name}, which selects the checkpoint, so the test is not independent; use "
                "another task in `proof.tests`"
            )
    return warnings


def model_leaks(ref: str, runs_dir: Path, tasks: Sequence[AnyTask], progress: Progress) -> tuple[Leaks, list[str]]:
    """Compare tasks with what a model of ours was trained on, and with what its base was, where that is ours too.

    Returns:
        What occurs, empty for a model of another kind; and warnings: what could not be compared, and which tasks ask
        what the dev task asks that chose the checkpoint.
    """
    rows: list[Rows] = []
    missing: list[str] = []
    seen: set[str] = set()
    while ref not in seen and (run := _training_of(ref, runs_dir)) is not None:
        seen.add(ref)
        try:
            config = run.settings(FinetuneConfig)
        except DataError as err:
            missing.append(f"cannot compare the tasks with the training data of run '{run.name}': {err}")
            break
        missing += _choice_warnings(config, run, tasks)
        for number, section in enumerate(config.sources):
            read = _source_rows(section, number, run)
            if read is None:
                missing.append(
                    f"the training data '{section.path}' of run '{run.name}' is missing or has changed, so it was "
                    "not compared with the tasks"
                )
            else:
                rows.append(read)
        ref = config.model.ref
    return training_leaks(rows, tasks, progress), missing


def _choice_warnings(config: FinetuneConfig, run: PastRun, tasks: Sequence[AnyTask]) -> list[str]:
    """Say which tasks ask what the dev task of a training asked, where that is still here."""
    try:
        dev = read_task(locate(config.dev.path), config.dev.split, form_of(config.dev))
    except (HrembedError, OSError):
        return []
    return [
        (
            f"overlap: {shared:,} of {len(items):,} queries of {task.name} also occur in the dev task, "
            f"which selected the checkpoint of run '{run.name}', so its score there is not valid evidence"
        )
        for task in tasks
        if (shared := _shared_queries(dev, items := items_of(task)))
    ]


def _shared_queries(dev: Task, items: Sequence[Text]) -> int:
    """How many of some texts are queries of a dev task."""
    chosen = {normalise(query.text) for query in dev.queries}
    return sum(normalise(item.text) in chosen for item in items)


def _training_of(ref: str, runs_dir: Path) -> PastRun | None:
    """The run that trained a model, named by its id or by its folder; None for a model from elsewhere."""
    parsed = parse_ref(ref)
    if parsed.is_run:
        return training_run(runs_dir, parsed.target)
    folder = Path(parsed.target)
    if parsed.scheme != "path" or folder.name != "model" or not (folder.parent / "manifest.json").is_file():
        return None
    run = read_run(folder.parent)
    return run if run is not None and run.command == "finetune" else None


def _source_rows(section: SourceSection, number: int, run: PastRun) -> Rows | None:
    """Rows of a source, all of them where a sample was trained on; None where the file is gone or another one."""
    try:
        path = locate(section.path)
        labelled = find_table(path, TRAIN) if isinstance(section.loss, BatchHardLoss) and path.is_dir() else None
        path, form = labelled or pairs_file(path), form_of(section)
        entry = run.manifest.inputs.get(f"source-{number}")
        if entry is None or sha256(path) != entry.sha256:
            return None
        if isinstance(section.loss, InvarianceLoss):
            return []  # résumés with names, no rows of a task
        if isinstance(section.loss, BatchHardLoss):
            return read_label_task(path, path.stem, "clustering", form=form)
        if isinstance(section.loss, CosentLoss):
            return read_pair_task(path, path.stem, pair_columns(path, form), form=form)
        return read_pairs(path, section.kinds, form)
    except (HrembedError, OSError):
        return None
