"""From the `tasks` of a config to tasks: folders in BEIR layout, files of rows, tasks of mteb."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Literal

import numpy as np

from hrembed.config.parts import form_of
from hrembed.data.from_mteb import read_mteb
from hrembed.data.labelled import TRAIN, has_scored_pairs, read_label_task, read_pair_task
from hrembed.data.locate import locate, named
from hrembed.data.read import read_task
from hrembed.data.rows import find_table
from hrembed.errors import DataError
from hrembed.scoring.copies import join_copies
from hrembed.scoring.self_retrieval import exclude_self
from hrembed.types import LabelTask, PairTask, Task

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hrembed.config.parts import TaskSection
    from hrembed.data.layout import Form
    from hrembed.progress import Progress
    from hrembed.records.eval import Kind
    from hrembed.runs.record import Run
    from hrembed.types import Text

    AnyTask = Task | PairTask | LabelTask

MTEB = "mteb:"


def open_tasks(sections: Sequence[TaskSection], run: Run, *, taken: Sequence[str] = ()) -> list[AnyTask]:
    """Read the tasks of all sections and record them; a benchmark of mteb gives several.

    Args:
        sections: What to read.
        run: Records files and their hashes.
        taken: Names that other tasks have; a name that is made of a path and is taken gets a number.

    Raises:
        DataError: One is missing or malformed, or has a name that is taken.
    """
    tasks: list[AnyTask] = []
    for section in sections:
        read_tasks = _read_section(section, run.progress)
        for note in _unused_settings(section, read_tasks):
            run.progress.note(note)
        for read in read_tasks:
            name = _name(section, read.name, {*taken, *(other.name for other in tasks)}, several=len(read_tasks) > 1)
            named_apart = replace(read, instruction=section.instruction or read.instruction)
            if section.name is None:  # a name of the user's is no part of the content
                named_apart = replace(named_apart, name=name)
            hashed, task = content_hash(named_apart), replace(named_apart, name=name)
            if isinstance(task, Task):
                task = exclude_self(task, section.exclude_self) if not section.path.startswith(MTEB) else task
            else:
                task = join_copies(task, section.path, keep_sides=section.path.startswith(MTEB))
            tasks.append(task)
            if section.path.startswith(MTEB):
                run.add_content(name, section.path, hashed)
            else:
                run.add_input(name, locate(section.path))
    return tasks


def _read_section(section: TaskSection, progress: Progress) -> Sequence[AnyTask]:
    if section.path.startswith(MTEB):
        return read_mteb(section.path.removeprefix(MTEB), section.split, progress)
    return [_read(locate(section.path), section)]


_OF_LABELS = {"text", "label"}
_OF_FILES = {"columns", "delimiter", "encoding"}


def _unused_settings(section: TaskSection, tasks: Sequence[AnyTask]) -> list[str]:
    """Say which settings of a task are not used: they belong to tasks of another kind."""
    unused: set[str] = set()
    if section.path.startswith(MTEB):
        unused |= _OF_LABELS | _OF_FILES | {"exclude_self"}
    if not any(isinstance(task, LabelTask) for task in tasks):
        unused |= _OF_LABELS
    if not any(isinstance(task, Task) for task in tasks):
        unused |= {"exclude_self"}
    usual = type(section)()
    given = [f"`{name}`" for name in sorted(unused) if getattr(section, name) != getattr(usual, name)]
    kinds = ", ".join(sorted({kind_of(task) for task in tasks}))
    return [f"warning: {section.path}: {', '.join(given)} is ignored by tasks of this kind ({kinds})"] if given else []


def _name(section: TaskSection, read: str, taken: set[str], *, several: bool) -> str:
    """Name a task as the config says, or as it was read; of several in one section each also by its own name.

    Raises:
        DataError: Another task has that name.
    """
    if section.name is None:
        return _free_name(read, taken)
    name = f"{section.name} {read}" if several else section.name
    if name in taken:
        raise DataError(f"{section.path}: another task is named '{name}', too", hint="choose another `name`")
    return name


def _free_name(name: str, taken: set[str]) -> str:
    return next(free for n in count(1) if (free := name if n == 1 else f"{name}#{n}") not in taken)


def content_hash(task: AnyTask) -> str:
    """SHA-256 of everything that decides the scores of a task: ids, texts, and what people said of them."""
    digest = hashlib.sha256()
    for name, value in sorted(vars(task).items()):
        if name in {"excluded", "warnings"}:  # follow from the others
            continue
        plain = value.tolist() if isinstance(value, np.ndarray) else value
        digest.update(f"{name}={plain!r};".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def _read(path: Path, section: TaskSection) -> AnyTask:
    kind = _kind(path, form_of(section)) if section.kind == "auto" else section.kind
    whole = named(path)
    name = whole.stem if section.split is None else f"{whole.stem}/{section.split}"
    if kind == "similarity":
        whole_name = f"{whole.parent.name}/{whole.stem}".lstrip("/")
        return read_pair_task(path, whole_name, split=section.split, form=form_of(section))
    if kind in {"classification", "clustering"}:
        goal: Literal["classification", "clustering"] = "clustering" if kind == "clustering" else "classification"
        return read_label_task(
            path, name, goal, text=section.text, label=section.label, split=section.split, form=form_of(section)
        )
    task = read_task(path, section.split, form_of(section))
    if kind == "retrieval":
        return replace(task, candidates=None)
    if task.candidates is None:
        raise DataError(f"task '{path}' has no candidates to rerank", hint="add them as `candidates/<split>.tsv`")
    return task


def _kind(path: Path, form: Form) -> Kind:
    if path.is_dir() and (path / "qrels").is_dir():
        return "reranking" if (path / "candidates").is_dir() else "retrieval"
    if path.is_dir():
        return "classification" if find_table(path, TRAIN) else "retrieval"
    return "similarity" if has_scored_pairs(path, form) else "classification"


def kind_of(task: AnyTask) -> Kind:
    """What is measured on a task."""
    if isinstance(task, PairTask):
        return "similarity"
    if isinstance(task, LabelTask):
        return task.goal
    return "retrieval" if task.candidates is None else "reranking"


def texts_in(task: AnyTask) -> int:
    """Count the texts that a model embeds for a task: what it takes."""
    if isinstance(task, Task):
        return len(task.queries) + len(task.documents)
    return 2 * len(task.first) if isinstance(task, PairTask) else len(task.texts)


def items_of(task: AnyTask) -> tuple[Text, ...]:
    """What is resampled: queries, pairs (by their first text), or the texts that are scored."""
    if isinstance(task, Task):
        return task.queries
    if isinstance(task, PairTask):
        return task.first
    if task.train is None:
        return task.texts
    return tuple(text for text, train in zip(task.texts, task.train, strict=True) if not train)
