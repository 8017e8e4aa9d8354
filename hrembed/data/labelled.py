"""Rows of labelled texts and of scored pairs to tasks; every complaint names file and line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hrembed.data.cells import CellError, key_cell, listed, text_cell
from hrembed.data.columns import Names
from hrembed.data.layout import AS_USUAL, Form
from hrembed.data.rows import rows_or_raise, table_in
from hrembed.errors import DataError
from hrembed.registry import nearest
from hrembed.text import decimal
from hrembed.types import LabelTask, PairTask, Text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from hrembed.data.cells import Row

SENTENCES = ("sentence1", "sentence2")
TRAIN = "train"
_KNOWN_AS: Mapping[str, Sequence[str]] = {
    "sentence1": ("sentence_a", "sentencea", "text1", "text_a", "query", "anchor"),
    "sentence2": ("sentence_b", "sentenceb", "text2", "text_b", "document", "positive"),
    "anchor": ("query", "question"),
    "positive": ("document", "passage", "answer"),
    "score": ("label", "similarity", "similarity_score", "relevance"),
}
_LABELLED_AS: Mapping[str, Sequence[str]] = {"text": ("sentence", "content"), "label": ("labels", "target", "class")}


def read_pair_task(
    file: Path,
    name: str,
    columns: tuple[str, str] = SENTENCES,
    *,
    split: str | None = None,
    form: Form = AS_USUAL,
) -> PairTask:
    """Read scored pairs: a table with two texts and `score`, optional `_id` and `group`.

    Args:
        file: The rows.
        name: For tables.
        columns: Of the two texts.
        split: Only rows whose column `split` says so; None takes all.
        form: Details of the file.

    Raises:
        DataError: Missing, empty or malformed, no row of the split, or all scores are equal.
    """
    first, second, scores = [], [], []
    wanted = (*columns, "score")
    known_as = {column: _KNOWN_AS.get(column, ()) for column in wanted}
    for row in _rows_of_split(file, wanted, split, form, known_as):
        where = f"{file}:{row.number}"
        one = _text(row, columns[0], where, row.number, wanted)
        first.append(one)
        second.append(Text(one.id, _cell(row, columns[1], where), one.group))
        scores.append(_score(row, where))
    if len(set(scores)) < 2:
        raise DataError(f"{file}: all scores are equal, so the correlation is undefined")
    return PairTask(name, tuple(first), tuple(second), np.array(scores))


def pair_columns(file: Path, form: Form = AS_USUAL) -> tuple[str, str]:
    """Tell by its first row how a file of pairs names its texts: as a task does, or as training pairs do.

    Raises:
        DataError: Missing, empty or malformed.
    """
    if SENTENCES[0] in form.columns:
        return SENTENCES
    first = next(iter(rows_or_raise(file, (), Form(form.delimiter, form.quoted, form.encoding)))).values
    others = ("anchor", "positive")
    names = Names(str(file), others, {}, {column: _KNOWN_AS[column] for column in others})
    return others if "anchor" in form.columns or names.fit(list(first)) or not _has_sentences(first) else SENTENCES


def has_scored_pairs(file: Path, form: Form = AS_USUAL) -> bool:
    """Whether the first row of a file has two texts and a score, by their usual names or by the settings."""
    if SENTENCES[0] in form.columns:
        return True
    return _has_sentences(next(iter(rows_or_raise(file, (), form))).values)


def _has_sentences(values: Mapping[str, Any]) -> bool:
    return Names("", (*SENTENCES, "score"), {}, _KNOWN_AS).fit(list(values)) or SENTENCES[0] in values


def _rows_of_split(
    file: Path, wanted: Sequence[str], split: str | None, form: Form, known_as: Mapping[str, Sequence[str]]
) -> Iterator[Row]:
    """Yield the rows of a split; all of them where none is named.

    Raises:
        DataError: As `rows_or_raise`, or no row is of the split.
    """
    columns = wanted if split is None else (*wanted, "split")
    splits: dict[str, int] = {}
    for row in rows_or_raise(file, columns, form, known_as, lambda column: column != "split" or split is not None):
        if split is not None:
            theirs = _key(row, "split", f"{file}:{row.number}")
            splits[theirs] = splits.get(theirs, 0) + 1
            if theirs != split:
                continue
        yield row
    if split is not None and split not in splits:
        present = ", ".join(f"'{each}'" for each in sorted(splits))
        raise DataError(f"{file}: no rows with split '{split}'{nearest(split, splits)}; available: {present}")


def read_label_task(
    path: Path,
    name: str,
    goal: Literal["classification", "clustering"],
    *,
    text: str = "text",
    label: str = "label",
    split: str | None = None,
    form: Form = AS_USUAL,
) -> LabelTask:
    """Read labelled texts: a file, or a folder with `train.jsonl` to learn from and `<split>.jsonl` to score.

    Args:
        path: A table with a text and a label, optional `_id` and `group`; or the folder.
        name: For tables.
        goal: What is done with the labels.
        text: Column of the text.
        label: Column of the label.
        split: Which part of a folder is scored, default `test`; of a file only rows whose column `split` says so.
        form: Details of the files.

    Raises:
        DataError: Missing, empty or malformed; fewer than two labels; a scored label that no training text has; or a
            group on both sides, which would give its answer away.
    """
    columns = (text, label)
    if path.is_dir():
        train = _labelled(table_in(path, TRAIN), columns, None, form)
        scored = _labelled(table_in(path, split or "test"), columns, None, form)
    else:
        train, scored = {}, _labelled(path, columns, split, form)
    texts = [*train, *scored]
    labels = [*train.values(), *scored.values()]
    if len(set(labels)) < 2:
        raise DataError(f"{path}: all texts have the same label in column '{label}'")
    if not train or goal == "clustering":
        return LabelTask(name, goal, tuple(texts), tuple(labels))
    _check_sides(path, train, scored)
    return LabelTask(name, goal, tuple(texts), tuple(labels), np.arange(len(texts)) < len(train))


def _labelled(file: Path, columns: tuple[str, str], split: str | None, form: Form) -> dict[Text, str]:
    known_as = {column: _LABELLED_AS[column] for column in columns if column in _LABELLED_AS}
    label_of = {}
    for row in _rows_of_split(file, columns, split, form, known_as):
        where = f"{file}:{row.number}"
        text = _text(row, columns[0], where, f"{file.stem}-{row.number}", (columns[0],))
        if text in label_of:
            raise DataError(f"{where}: duplicate id and text")
        label_of[text] = _label(row, columns[1], where)
    if not label_of:
        raise DataError(f"{file}: no rows found")
    return label_of


def _label(row: Row, column: str, where: str) -> str:
    """Label of a row: a text, a whole number (`1.0` is `1`, as in CSV) or a truth value."""
    value = row.values.get(column)
    label = str(value).lower() if isinstance(value, bool) else _key(row, column, where)
    return label or _cell(row, column, where)


def _check_sides(path: Path, train: Mapping[Text, str], scored: Mapping[Text, str]) -> None:
    unseen = sorted(set(scored.values()) - set(train.values()))
    if unseen:
        raise DataError(f"{path}: label '{unseen[0]}' occurs in the scored texts, but not in the training texts")
    both = sorted(({text.group for text in train} & {text.group for text in scored}) - {""})
    if both:
        raise DataError(
            (f"{path}: group '{both[0]}' occurs in both training and scored texts ({len(both)} groups in total)"),
            hint="keep all texts of a group in the same split",
        )


def _text(row: Row, column: str, where: str, key: object, used: tuple[str, ...]) -> Text:
    id_, group = _key(row, "_id", where), _key(row, "group", where)
    no_fields = {*used, "_id", "group"}
    fields = {k: str(v) for k, v in row.values.items() if k not in no_fields and isinstance(v, str | int | float)}
    return Text(id_ or str(key), _cell(row, column, where), group, fields)


def _key(row: Row, column: str, where: str) -> str:
    try:
        return key_cell(row.values, column)
    except CellError as err:
        raise DataError(f"{where}: {CellError(row.theirs(column), err.reason)}") from None


def _cell(row: Row, column: str, where: str) -> str:
    try:
        return text_cell(row.values, column)
    except CellError as err:
        raise DataError(f"{where}: {CellError(row.theirs(column), err.reason)}") from None


def _score(row: Row, where: str) -> float:
    column = row.theirs("score")
    if "score" not in row.values:
        raise DataError(f"{where}: column '{column}': missing; the row has {listed(row.values)}")
    value = row.values["score"]
    score = decimal(value) if isinstance(value, str) else float(value) if isinstance(value, int | float) else np.nan
    if not np.isfinite(score):
        raise DataError(f"{where}: column '{column}': not a number")
    return score
