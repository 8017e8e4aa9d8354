"""Training pairs: read whole for training, written one at a time however many there are."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from hrembed.data.cells import MARKERS, CellError, Problem, id_cell, key_cell, text_cell
from hrembed.data.columns import plain
from hrembed.data.layout import AS_USUAL
from hrembed.data.rows import format_of, read_rows, rows_or_raise
from hrembed.errors import DataError
from hrembed.files import parquet_sink, write_parquet
from hrembed.records.tables import report_table
from hrembed.text import counted
from hrembed.types import Pair

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from hrembed.data.cells import Row
    from hrembed.data.layout import Form

PAIRS = "pairs.parquet"
RELATED = "related.parquet"
TextColumn = Literal["anchor", "positive", "group", "kind", "anchor_id", "positive_id", "family"]
PairColumn = TextColumn | Literal["negative"]
COLUMNS: tuple[TextColumn, ...] = ("anchor", "positive", "group", "kind", "anchor_id", "positive_id", "family")
NEGATIVE: Literal["negative"] = "negative"
KNOWN_AS: Mapping[str, Sequence[str]] = {
    "anchor": ("query", "question", "sentence1", "text1"),
    "positive": ("document", "pos", "positives", "answer", "passage", "response", "sentence2", "text2"),
    # Only in other spellings, such as `Group` and `anchor id`.
    "group": (),
    "kind": (),
    "anchor_id": (),
    "positive_id": (),
    "family": (),
}
"""Other usual names of the texts: of Sentence Transformers, FlagEmbedding and the Hub."""
_NEGATIVE = re.compile(r"(?:hard_)?neg(?:ative)?s?(?:_?([0-9]+))?")
_SCORES = ("label", "score", "similarity")


def pairs_file(path: Path) -> Path:
    """Give the pairs of a run folder; any other path as it is."""
    return path / PAIRS if path.is_dir() and (path / PAIRS).exists() else path


def read_pairs(path: Path, kinds: Sequence[str] = (), form: Form = AS_USUAL) -> list[Pair]:
    """Read training pairs: any table with `anchor`, `positive` and the optional columns of `Pair`.

    A list of positives gives a pair for each. Hard negatives stand in the column `negative` (a text, or a list of
    texts), or in `negative_1`, `negative_2` and so on.

    Args:
        path: The file, or the folder of a run that wrote pairs.
        kinds: Keep only these kinds; empty keeps all.
        form: Details of the file.

    Raises:
        DataError: Missing, empty or malformed, or none of the kinds asked for.
    """
    return [pair for _, pair in read_numbered_pairs(path, kinds, form)]


def read_numbered_pairs(path: Path, kinds: Sequence[str] = (), form: Form = AS_USUAL) -> list[tuple[int, Pair]]:
    """Read training pairs with the number of the row in which each stands, for messages; else as `read_pairs`."""
    file = pairs_file(path)
    pairs: list[tuple[int, Pair]] = []
    marked: list[int] = []
    for row in rows_or_raise(file, ("anchor", "positive"), form, KNOWN_AS, is_pair_column):
        refuse_scored(row, file, form)
        try:
            pairs += [(row.number, pair) for pair in pairs_of(row.values)]
        except MissingTextError:
            marked.append(row.number)
        except CellError as err:
            raise DataError(f"{file}:{row.number}: {CellError(row.theirs(err.column), err.reason)}") from None
    if marked:
        report_table(file, notes=[missing_note(len(marked), marked[0])])
    present = {pair.kind for _, pair in pairs}
    unknown = sorted(set(kinds) - present)
    if unknown:
        raise DataError(f"{file}: no pairs of kind '{unknown[0]}'; available: {', '.join(sorted(present))}")
    return [(number, pair) for number, pair in pairs if not kinds or pair.kind in kinds]


def missing_note(rows: int, first: int) -> str:
    """Say how many rows were left out because a text only marks that there is none."""
    return (
        f"skipped {counted(rows, 'row')}: the text is a missing-value marker such as N/A or nan (first in row {first})"
    )


def is_pair_column(column: str) -> bool:
    """Whether a column says something of a pair."""
    return column in COLUMNS or _NEGATIVE.fullmatch(plain(column)) is not None


def text_columns(file: Path, form: Form = AS_USUAL) -> tuple[str, ...]:
    """Columns with texts of pairs in a file, by their names here: anchors, positives, and all negatives.

    Raises:
        DataError: Missing, empty or malformed.
    """
    columns: dict[str, None] = {}
    for row in rows_or_raise(pairs_file(file), (), form, KNOWN_AS):
        columns.update(dict.fromkeys(row.values))
        if format_of(pairs_file(file)) not in {".jsonl", ".ndjson"}:  # others have the same in every row
            break
    return tuple(name for name in columns if name in {"anchor", "positive"} or _NEGATIVE.fullmatch(plain(name)))


def refuse_scored(row: Row, file: Path, form: Form) -> None:
    """Refuse two sentences with a score: a low one would be trained as a good pair.

    Raises:
        DataError: The row has both, and the settings do not name the texts.
    """
    score = next((column for column in _SCORES if column in row.values), None)
    if score and "anchor" not in form.columns and plain(row.theirs("anchor")) in {"sentence1", "text1"}:
        raise DataError(
            (
                f"{file}:{row.number}: columns '{row.theirs('anchor')}', '{row.theirs('positive')}' and "
                f"'{score}' contain scored pairs, but positive pairs are required"
            ),
            hint=(
                "to train on scores, use `finetune` with the loss `cosent`; to evaluate, use `eval`. If every "
                f"row is a positive pair, run `hrembed data import table {file} --set "
                f"columns.anchor={row.theirs('anchor')} --set columns.positive={row.theirs('positive')}`"
            ),
        )


class MissingTextError(CellError):
    """A text of a pair only marks that there is none, such as `N/A`."""


def pairs_of(values: Mapping[str, Any]) -> list[Pair]:
    """Make pairs of a row, whose columns are called as in `PairColumn`: one for each positive.

    Raises:
        MissingTextError: A text marks that there is none.
        CellError: A text is missing or blank, or an id is neither text nor whole number.
    """
    text_cell(values, "anchor")
    cell = values.get("positive")
    texts = cell if isinstance(cell, list) else [cell] if "positive" in values else []
    ids = values.get("positive_id")
    if len(texts) != 1 and not isinstance(cell, list):
        text_cell(values, "positive")
    if not texts:
        raise CellError("positive", "is an empty list")
    if not isinstance(ids, list):
        if len(texts) > 1 and ids not in (None, ""):
            raise CellError("positive_id", f"is a single id for {len(texts)} positives; use a list")
        ids = [ids] * len(texts)
    if len(ids) != len(texts):
        raise CellError("positive_id", f"has {len(ids)} ids for {len(texts)} positives")
    anchor, negatives = (
        _text({"anchor": values["anchor"]} if "anchor" in values else values, "anchor"),
        _negatives(values),
    )
    return [
        Pair(
            anchor=anchor,
            positive=_text({"positive": text}, "positive"),
            group=id_cell(values, "group"),
            kind=key_cell(values, "kind") or "pair",
            anchor_id=id_cell(values, "anchor_id"),
            positive_id=id_cell({"positive_id": key}, "positive_id"),
            family=id_cell(values, "family"),
            negatives=negatives,
        )
        for text, key in zip(texts, ids, strict=True)
    ]


def _text(values: Mapping[str, Any], column: str) -> str:
    text = text_cell(values, column)
    if text.strip().lower() in MARKERS:
        raise MissingTextError(column, f"'{text.strip()}' is a missing-value marker")
    return text


def _negatives(values: Mapping[str, Any]) -> tuple[str, ...]:
    """Hard negatives of a row, by the number of their column; an empty cell has none, a blank in a list is an error."""
    numbered = [(int(match[1] or 0), column) for column in values if (match := _NEGATIVE.fullmatch(plain(column)))]
    texts: list[str] = []
    for _, column in sorted(numbered):
        cell = values[column]
        if cell is not None and cell != "":
            texts += [text_cell({column: text}, column) for text in (cell if isinstance(cell, list) else [cell])]
    return tuple(text for text in texts if text.strip().lower() not in MARKERS)


def pair_row(pair: Pair) -> dict[str, str | list[str]]:
    """Write a pair as the row of which `pairs_of` makes it again."""
    row: dict[str, str | list[str]] = {
        "anchor": pair.anchor,
        "positive": pair.positive,
        "group": pair.group,
        "kind": pair.kind,
        "anchor_id": pair.anchor_id,
        "positive_id": pair.positive_id,
        "family": pair.family,
    }
    return {**row, NEGATIVE: list(pair.negatives)} if pair.negatives else row


@contextmanager
def pair_sink(path: Path, *, negatives: bool = False) -> Iterator[Callable[[Pair], None]]:
    """Open a Parquet file of pairs that is there whole or not at all.

    Args:
        path: The file.
        negatives: Also write hard negatives, as lists.

    Yields:
        A function that takes the next pair.
    """
    columns: dict[str, str] = dict.fromkeys(COLUMNS, "string")
    if negatives:
        columns[NEGATIVE] = "strings"
    with parquet_sink(path, columns) as add:
        yield lambda pair: add({"negative": [], **pair_row(pair)})


def write_pairs(path: Path, pairs: Sequence[Pair]) -> None:
    """Write pairs that are at hand."""
    with pair_sink(path, negatives=any(pair.negatives for pair in pairs)) as add:
        for pair in pairs:
            add(pair)


def write_related(path: Path, related: Mapping[str, Sequence[str]]) -> None:
    """Write which groups are related to which, beside the pairs; the order within a group is kept."""
    rows = [(group, other) for group, others in related.items() for other in others]
    write_parquet(path, {"group": [group for group, _ in rows], "related": [other for _, other in rows]})


def read_related(pairs: Path) -> dict[str, list[str]]:
    """Read `related.parquet` that lies beside a pairs file; empty when there is none.

    Raises:
        DataError: It is no Parquet file with `group` and `related`.
    """
    file = pairs.parent / RELATED
    related: dict[str, list[str]] = {}
    if file.exists():
        for row in read_rows(file, ("group", "related")):
            if isinstance(row, Problem):
                raise DataError(f"{file}:{row}")
            related.setdefault(row.values["group"], []).append(row.values["related"])
    return related
