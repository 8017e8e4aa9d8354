"""Rows of labelled texts and of scored pairs to tasks; every complaint names file and line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hrembed.data.cells import CellError, key_cell, text_cell
from hrembed.data.rows import rows_or_raise
from hrembed.errors import DataError
from hrembed.types import LabelTask, PairTask, Text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


_SENTENCES = ("sentence1", "sentence2")
TRAIN = "train"


def read_pair_task(file: Path, name: str, columns: tuple[str, str] = _SENTENCES) -> PairTask:
    """Read scored pairs: JSONL, CSV or Parquet with two texts and `score`, optional `_id` and `group`.

    Args:
        file: The rows.
        name: For tables.
        columns: Of the two texts.

    Raises:
        DataError: Missing, empty or malformed, or all scores are equal.
    """
    first, second, scores = [], [], []
    wanted = (*columns, "score")
    for row in rows_or_raise(file, wanted):
        where = f"{file}:{row.number}"
        one = _text(row.values, columns[0], where, row.number, wanted)
        first.append(one)
        second.append(Text(one.id, _cell(row.values, columns[1], where), one.group))
        scores.append(_score(row.values, where))
    if len(set(scores)) < 2:
        raise DataError(f"{file}: all scores are equal, so nothing can be correlated with them")
    return PairTask(name, tuple(first), tuple(second), np.array(scores))


def pair_columns(file: Path) -> tuple[str, str]:
    """Tell by its first row how a file of pairs names its texts: as a task does, or as training pairs do.

    Raises:
        DataError: Missing, empty or malformed.
    """
    first = next(iter(rows_or_raise(file, ()))).values
    return _SENTENCES if _SENTENCES[0] in first else ("anchor", "positive")


def read_label_task(
    path: Path,
    name: str,
    goal: Literal["classification", "clustering"],
    *,
    text: str = "text",
    label: str = "label",
    split: str | None = None,
) -> LabelTask:
    """Read labelled texts: a file, or a folder with `train.jsonl` to learn from and `<split>.jsonl` to score.

    Args:
        path: JSONL, CSV or Parquet with a text and a label, optional `_id` and `group`; or the folder.
        name: For tables.
        goal: What is done with the labels.
        text: Column of the text.
        label: Column of the label.
        split: Which part of a folder is scored, default `test`; of a file only rows whose column `split` says so.

    Raises:
        DataError: Missing, empty or malformed; fewer than two labels; a scored label that no training text has; or a
            group on both sides, which would give its answer away.
    """
    columns = (text, label)
    if path.is_dir():
        train = _labelled(path / f"{TRAIN}.jsonl", columns, None)
        scored = _labelled(path / f"{split or 'test'}.jsonl", columns, None)
    else:
        train, scored = {}, _labelled(path, columns, split)
    texts = [*train, *scored]
    labels = [*train.values(), *scored.values()]
    if len(set(labels)) < 2:
        raise DataError(f"{path}: all texts have the same label in column '{label}'")
    if not train or goal == "clustering":
        return LabelTask(name, goal, tuple(texts), tuple(labels))
    _check_sides(path, train, scored)
    return LabelTask(name, goal, tuple(texts), tuple(labels), np.arange(len(texts)) < len(train))


def _labelled(file: Path, columns: tuple[str, str], split: str | None) -> dict[Text, str]:
    wanted = columns if split is None else (*columns, "split")
    label_of = {}
    for row in rows_or_raise(file, wanted):
        if split is None or row.values["split"] == split:
            where = f"{file}:{row.number}"
            text = _text(row.values, columns[0], where, f"{file.stem}-{row.number}", (columns[0],))
            if text in label_of:
                raise DataError(f"{where}: the same id and text stand twice")
            label_of[text] = _cell(row.values, columns[1], where)
    if not label_of:
        raise DataError(f"{file}: no rows" + (f" of split '{split}'" if split else ""))
    return label_of


def _check_sides(path: Path, train: Mapping[Text, str], scored: Mapping[Text, str]) -> None:
    unseen = sorted(set(scored.values()) - set(train.values()))
    if unseen:
        raise DataError(f"{path}: label '{unseen[0]}' is scored, but no training text has it")
    both = sorted(({text.group for text in train} & {text.group for text in scored}) - {""})
    if both:
        raise DataError(
            f"{path}: group '{both[0]}' is both learned from and scored ({len(both)} such)",
            hint="keep the texts of a group on one side",
        )


def _text(values: Mapping[str, Any], column: str, where: str, key: object, used: tuple[str, ...]) -> Text:
    try:
        id_, group = key_cell(values, "_id"), key_cell(values, "group")
    except CellError as err:
        raise DataError(f"{where}: {err}") from None
    no_fields = {*used, "_id", "group"}
    fields = {k: str(v) for k, v in values.items() if k not in no_fields and isinstance(v, str | int | float)}
    return Text(id_ or str(key), _cell(values, column, where), group, fields)


def _cell(values: Mapping[str, Any], column: str, where: str) -> str:
    try:
        return text_cell(values, column)
    except CellError as err:
        raise DataError(f"{where}: {err}") from None


def _score(values: Mapping[str, Any], where: str) -> float:
    if "score" not in values:
        raise DataError(f"{where}: column 'score': is missing")
    try:
        score = float(values["score"])
    except (TypeError, ValueError):
        score = float("nan")
    if not np.isfinite(score):
        raise DataError(f"{where}: column 'score': is not a number")
    return score
