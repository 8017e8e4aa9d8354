"""Training pairs: read whole for training, written one at a time however many there are."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from hrembed.data.cells import CellError, Problem, key_cell, text_cell
from hrembed.data.rows import read_rows, rows_or_raise
from hrembed.errors import DataError
from hrembed.files import parquet_sink, write_parquet
from hrembed.types import Pair

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

PAIRS = "pairs.parquet"
RELATED = "related.parquet"
TextColumn = Literal["anchor", "positive", "group", "kind", "anchor_id", "positive_id", "family"]
PairColumn = TextColumn | Literal["negative"]
COLUMNS: tuple[TextColumn, ...] = ("anchor", "positive", "group", "kind", "anchor_id", "positive_id", "family")
NEGATIVE: Literal["negative"] = "negative"


def pairs_file(path: Path) -> Path:
    """Give the pairs of a run folder; any other path as it is."""
    return path / PAIRS if path.is_dir() and (path / PAIRS).exists() else path


def read_pairs(path: Path, kinds: Sequence[str] = ()) -> list[Pair]:
    """Read training pairs: JSONL, CSV or Parquet with `anchor`, `positive` and the optional columns of `Pair`.

    Hard negatives stand in the column `negative`: a text, or a list of texts.

    Args:
        path: The file, or the folder of a run that wrote pairs.
        kinds: Keep only these kinds; empty keeps all.

    Raises:
        DataError: Missing, empty or malformed, or none of the kinds asked for.
    """
    return list(read_numbered_pairs(path, kinds).values())


def read_numbered_pairs(path: Path, kinds: Sequence[str] = ()) -> dict[int, Pair]:
    """Read training pairs with the number of the row in which each stands, for messages; else as `read_pairs`."""
    file = pairs_file(path)
    pairs = {
        row.number: _strict(row.values, f"{file}:{row.number}") for row in rows_or_raise(file, ("anchor", "positive"))
    }
    present = {pair.kind for pair in pairs.values()}
    unknown = sorted(set(kinds) - present)
    if unknown:
        raise DataError(f"{file}: no pairs of kind '{unknown[0]}'; it has {', '.join(sorted(present))}")
    return {number: pair for number, pair in pairs.items() if not kinds or pair.kind in kinds}


def _strict(values: Mapping[str, Any], where: str) -> Pair:
    """Make a pair of a row of the user's table, or say where it is wrong."""
    try:
        return pair_of(values)
    except CellError as err:
        raise DataError(f"{where}: {err}") from None


def pair_of(values: Mapping[str, Any]) -> Pair:
    """Make a pair of a row of the user's table, whose columns are called as in `PairColumn`.

    Raises:
        CellError: A text is missing or blank, or an id is neither text nor whole number.
    """
    return Pair(
        anchor=text_cell(values, "anchor"),
        positive=text_cell(values, "positive"),
        group=key_cell(values, "group"),
        kind=key_cell(values, "kind") or "pair",
        anchor_id=key_cell(values, "anchor_id"),
        positive_id=key_cell(values, "positive_id"),
        family=key_cell(values, "family"),
        negatives=_negatives(values),
    )


def _negatives(values: Mapping[str, Any]) -> tuple[str, ...]:
    """Hard negatives of a row; an empty cell has none, a blank text in a list is an error."""
    cell = values.get(NEGATIVE)
    if cell is None or cell == "":
        return ()
    texts = cell if isinstance(cell, list) else [cell]
    return tuple(text_cell({NEGATIVE: text}, NEGATIVE) for text in texts)


def pair_row(pair: Pair) -> dict[str, str | list[str]]:
    """Write a pair as the row of which `pair_of` makes it again."""
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
