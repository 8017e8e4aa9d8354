"""Texts that stand more than once in a task of labels or of rated pairs: they share a group, so no copy helps another.

A probe that learns from a text and is scored on its copy repeats a label that it was told, and an interval that counts
copies as independent items is too narrow.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from hrembed.errors import DataError
from hrembed.text import normalise
from hrembed.types import LabelTask, PairTask

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hrembed.types import Text

_NAMED = 5  # labels that a sentence names before it only counts


def join_copies(task: LabelTask | PairTask, where: str, *, keep_sides: bool = False) -> LabelTask | PairTask:
    """Put equal texts (or pairs of equal texts) into one group, and keep them on one side of a division.

    Texts are equal when they have the same words; see `normalise`. A text to learn from that also stands among the
    scored ones is left out, and so is a label with a single text or group where groups are held out in turn: nothing
    could be learned about it. The warnings of the task say what was done.

    Args:
        task: As it was read.
        where: File or folder of the task, for errors.
        keep_sides: Only count the texts on both sides of a division: a benchmark's numbers must stay comparable.

    Raises:
        DataError: Nothing is left to learn a label from, or fewer than two labels are left.
    """
    if isinstance(task, PairTask):
        return _join_pairs(task)
    task = _join_texts(task)
    if task.goal == "clustering":
        return task
    if task.train is None:
        return _without_lonely_labels(task, where)
    return _without_learned_copies(task, where, keep_sides=keep_sides)


def copies_of(texts: Sequence[Text]) -> list[str]:
    """What makes a text equal to another: its words, or the text itself where it has none."""
    return [normalise(text.text) or text.text for text in texts]


def count_copies(task: LabelTask | PairTask) -> int:
    """Items that repeat an earlier one."""
    keys = _keys(task)
    return len(keys) - len(set(keys))


def _keys(task: LabelTask | PairTask) -> list[str]:
    if isinstance(task, LabelTask):
        return copies_of(task.texts)
    return [f"{one}\0{other}" for one, other in zip(copies_of(task.first), copies_of(task.second), strict=True)]


def _join_pairs(task: PairTask) -> PairTask:
    copies = count_copies(task)
    if not copies:
        return task
    groups = _joined(_keys(task), task.first)
    return replace(
        task,
        first=tuple(replace(text, group=group) for text, group in zip(task.first, groups, strict=True)),
        warnings=(
            *task.warnings,
            (f"{task.name}: {copies:,} of {len(groups):,} pairs are copies of another pair; copies count as one unit"),
        ),
    )


def _join_texts(task: LabelTask) -> LabelTask:
    copies = count_copies(task)
    if not copies:
        return task
    groups = _joined(_keys(task), task.texts)
    fold = "; copies are kept in the same fold" if task.goal == "classification" and task.train is None else ""
    return replace(
        task,
        texts=tuple(replace(text, group=group) for text, group in zip(task.texts, groups, strict=True)),
        warnings=(
            *task.warnings,
            (
                f"{task.name}: {copies:,} of {len(groups):,} texts are copies of another text{fold}; copies "
                "count as one unit"
            ),
        ),
    )


def _joined(keys: Sequence[str], texts: Sequence[Text]) -> list[str]:
    """Group of each text, such that texts of one key are in one group; groups that share a text become one."""
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while parent.setdefault(name, name) != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    names = [text.group or f"copies of {text.id}#{n}" for n, text in enumerate(texts)]
    first: dict[str, str] = {}
    for key, name in zip(keys, names, strict=True):
        parent[root(name)] = root(first.setdefault(key, name))
    counts = Counter(keys)
    return [
        root(name) if text.group or counts[key] > 1 else "" for text, key, name in zip(texts, keys, names, strict=True)
    ]


def _without_learned_copies(task: LabelTask, where: str, *, keep_sides: bool) -> LabelTask:
    """Leave out what is to be learned from and stands among the scored texts as well, or only count it."""
    train = np.zeros(len(task.texts), dtype=bool) if task.train is None else task.train
    keys = copies_of(task.texts)
    scored = {key for key, learned in zip(keys, train, strict=True) if not learned}
    leaking = np.array([learned and key in scored for key, learned in zip(keys, train, strict=True)], dtype=bool)
    if not leaking.any():
        return task
    counted = f"{task.name}: {int(leaking.sum()):,} of {int(train.sum()):,} training texts also occur among the scored"
    if keep_sides:
        return replace(task, warnings=(*task.warnings, f"{counted} texts; the benchmark is defined this way"))
    left = {label for label, learned in zip(task.labels, train & ~leaking, strict=True) if learned}
    missing = sorted({label for label, learned in zip(task.labels, train, strict=True) if not learned} - left)
    if missing:
        raise DataError(
            (
                f"{where}: all training texts with label {_listed(missing)} also occur among the scored texts "
                f"({int(leaking.sum()):,} copies), so no training text remains for it"
            ),
            hint="keep each text in one split; on a single file, `hrembed eval` uses cross-validation",
        )
    return replace(
        _taken(task, ~leaking),
        warnings=(*task.warnings, f"{counted} texts and were excluded from training"),
    )


def _without_lonely_labels(task: LabelTask, where: str) -> LabelTask:
    """Leave out labels with a single group: held out, they could not be learned, and learned, not scored."""
    groups: dict[str, set[str]] = defaultdict(set)
    for n, (text, label) in enumerate(zip(task.texts, task.labels, strict=True)):
        groups[label].add(text.group or f"#{n}")
    lonely = sorted(label for label, of_label in groups.items() if len(of_label) < 2)
    if not lonely:
        return task
    if len(groups) - len(lonely) < 2:
        raise DataError(
            (
                f"{where}: {_listed(lonely)} {'has' if len(lonely) == 1 else 'have'} only one text (or group); "
                "a classifier needs two labels with at least two texts each"
            ),
            hint="add texts, or merge rare labels",
        )
    keep = np.array([label not in lonely for label in task.labels])
    return replace(
        _taken(task, keep),
        warnings=(
            *task.warnings,
            (
                f"{task.name}: {len(lonely):,} of {len(groups):,} labels have only one text (or group) and "
                f"were excluded: {_listed(lonely)}"
            ),
        ),
    )


def _taken(task: LabelTask, keep: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> LabelTask:
    positions = np.flatnonzero(keep)
    return replace(
        task,
        texts=tuple(task.texts[n] for n in positions),
        labels=tuple(task.labels[n] for n in positions),
        train=None if task.train is None else task.train[positions],
    )


def _listed(labels: Sequence[str]) -> str:
    named = ", ".join(f"'{label}'" for label in labels[:_NAMED])
    return named + (f" and {len(labels) - _NAMED:,} more" if len(labels) > _NAMED else "")
