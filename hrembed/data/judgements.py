"""Relevance judgements in the forms in which they are published: BEIR, TREC, and tables with other headers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hrembed.data.cells import CellError, Problem, key_cell
from hrembed.data.columns import plain
from hrembed.data.layout import AS_USUAL, Form
from hrembed.data.rows import format_of, read_rows, text_lines
from hrembed.errors import DataError
from hrembed.records.tables import report_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

QUERY, DOCUMENT, GRADE = "query-id", "corpus-id", "score"
_KNOWN_AS: Mapping[str, Sequence[str]] = {
    QUERY: ("query_id", "qid", "q_id", "queryid", "query", "topic", "topic_id"),
    DOCUMENT: (
        "corpus_id",
        "doc_id",
        "docid",
        "document_id",
        "c_id",
        "cid",
        "did",
        "pid",
        "passage_id",
        "docno",
        "document",
    ),
    GRADE: ("relevance", "rel", "grade", "label", "relevancy", "judgement", "judgment"),
}
_COLUMN_OF = {plain(other): column for column, others in _KNOWN_AS.items() for other in (column, *others)}
_ITERATION = {"iter", "iteration", "q0"}
_TEXT = {".tsv", ".txt", ".qrels", ".qrel", ".trec"}


def read_judgements(
    file: Path, queries: set[str], documents: set[str], *, form: Form = AS_USUAL
) -> dict[str, dict[str, int]]:
    """Read judgements: query id to document id to grade.

    Grades are whole numbers (`1.0` is one); a negative one, which TREC gives to spam, counts as 0. Judgements of a
    query or a document that is not there are left out. Both, and repeated lines, are counted in the report.

    Args:
        file: Tab-separated, with or without a header; TREC's four columns (`query 0 document grade`), divided by blanks
            or tabs; or any table with a header.
        queries: Ids that are there.
        documents: Ids that are there.
        form: Details of the file.

    Raises:
        DataError: Malformed; a query and a document stand twice with different grades; most judgements name an
            unknown id; or there are none.
    """
    qrels: dict[str, dict[str, int]] = {}
    lines: dict[tuple[str, str], int] = {}
    tally = _Tally(file)
    for line, (query, document, grade_text) in id_rows(file, (GRADE,), queries, form):
        tally.total += 1
        grade = tally.grade(grade_text, line)
        first = lines.setdefault((query, document), line)
        if first != line:
            tally.repeat(query, document, qrels.get(query, {}).get(document), grade, first, line)
        elif query not in queries:
            tally.dangling("query", query, line)
        elif document not in documents:
            tally.dangling("document", document, line)
            qrels.setdefault(query, {})
        else:
            qrels.setdefault(query, {})[document] = grade
    tally.check()
    return qrels


class _Tally:
    """Counts what is unusual in judgements."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.total = 0
        self._unknown: dict[str, tuple[int, str]] = {}
        self._negative = self._repeated = 0

    def grade(self, text: str, line: int) -> int:
        try:
            number = float(text)
        except ValueError:
            number = float("nan")
        if not number.is_integer():
            raise DataError(f"{self._file}:{line}: relevance must be an integer, got '{text}'")
        self._negative += number < 0
        return max(0, int(number))

    def repeat(self, query: str, document: str, before: int | None, grade: int, first: int, line: int) -> None:
        if before is not None and before != grade:
            raise DataError(
                (
                    f"{self._file}:{line}: conflicting judgements of document '{document}' for query '{query}': "
                    f"{before} on line {first}, {grade} on line {line}"
                ),
                hint="remove one of the two lines",
            )
        self._repeated += 1

    def dangling(self, what: str, key: str, line: int) -> None:
        count, first = self._unknown.get(what, (0, f"'{key}' on line {line}"))
        self._unknown[what] = count + 1, first

    def check(self) -> None:
        """Report what was counted.

        Raises:
            DataError: No judgements, or most of them name what is not there.
        """
        if not self.total:
            raise DataError(f"{self._file}: no judgements found")
        places = {"query": "queries", "document": "corpus"}
        notes = [
            f"skipped {count:,} of {self.total:,} judgements: the {what} is not in the {places[what]} (first {first})"
            + ("; trec_eval counts them as not retrieved, so its scores are lower" if what == "document" else "")
            for what, (count, first) in sorted(self._unknown.items())
        ]
        if 2 * sum(count for count, _ in self._unknown.values()) > self.total:
            raise DataError(
                f"{self._file}: {'; '.join(notes)}", hint="check that the ids match those of the queries and the corpus"
            )
        if self._negative:
            notes.append(f"grades below 0 are treated as 0 ({self._negative:,} in total)")
        if self._repeated:
            notes.append(f"duplicate judgements with the same grade count once ({self._repeated:,} in total)")
        report_table(self._file, notes=notes)


def id_rows(
    file: Path, others: Sequence[str], queries: set[str], form: Form = AS_USUAL
) -> Iterator[tuple[int, list[str]]]:
    """Yield line, query, document and the other columns of a file of judgements or of candidates.

    Args:
        file: As in `read_judgements`.
        others: Columns beside the two ids; `score` or none.
        queries: Ids that are there; a first line that begins with one of them is no header.
        form: Details of the file.

    Raises:
        DataError: Malformed.
    """
    columns = [QUERY, DOCUMENT, *others]
    given = {here: there for here, there in form.columns.items() if here in columns}
    if given or format_of(file) not in _TEXT:
        form = Form(form.delimiter, form.quoted, form.encoding, given)
        yield from _table_rows(file, columns, form)
        return
    places: Sequence[int] | None = None
    for line, text in text_lines(file, form):
        cells = [cell.strip() for cell in text.split("\t" if "\t" in text else None)]
        if places is None:
            places, is_header = _places(cells, columns, queries)
            if is_header:
                _report_header(file, cells, places, columns)
                continue
        if max(places) >= len(cells) or len(cells) not in {len(columns), _width(places)}:
            wanted = ", ".join(columns)
            raise DataError(
                f"{file}:{line}: expected {wanted} separated by tabs, or the four columns of TREC qrels; found "
                f"{len(cells)} columns"
            )
        yield line, [cells[place] for place in places]


def _width(places: Sequence[int]) -> int:
    return getattr(places, "width", max(places) + 1)


class _Places(list[int]):
    """Positions of query, document and grade in a line.

    Attributes:
        width: Cells of a whole line.
    """

    def __init__(self, places: Sequence[int], width: int) -> None:
        super().__init__(places)
        self.width = width


def _places(cells: Sequence[str], columns: Sequence[str], queries: set[str]) -> tuple[_Places, bool]:
    """Say by the first line where the columns stand, and whether it is a header."""
    named: dict[str, int] = {}
    for n, cell in enumerate(cells):
        named.setdefault(_COLUMN_OF.get(plain(cell), ""), n)
    trec = len(cells) == len(columns) + 1 and len(columns) == 3
    by_position = [0, 2, 3] if trec else list(range(len(columns)))
    if cells and cells[0] in queries:
        return _Places(by_position, len(cells)), False
    if all(column in named for column in columns):
        return _Places([named[column] for column in columns], len(cells)), True
    is_header = (len(columns) == 2 and DOCUMENT in named) or (len(columns) == 3 and not _is_number(cells[-1]))
    return _Places(by_position, len(cells)), is_header


def _report_header(file: Path, cells: Sequence[str], places: Sequence[int], columns: Sequence[str]) -> None:
    used = [cells[place] for place in places if place < len(cells)]
    unused = [cell for n, cell in enumerate(cells) if n not in places and plain(cell) not in _ITERATION]
    usual = [column for column, cell in zip(columns, used, strict=False) if plain(column) != plain(cell)]
    named = ", ".join(f"reading '{cell}' as `{column}`" for cell, column in zip(used, columns, strict=False))
    report_table(file, used=used, unused=unused, notes=[named] if usual else [])


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _table_rows(file: Path, columns: Sequence[str], form: Form) -> Iterator[tuple[int, list[str]]]:
    known_as = {column: _KNOWN_AS[column] for column in columns}
    for row in read_rows(file, columns, form, known_as):
        if isinstance(row, Problem):
            raise DataError(f"{file}:{row}")
        cells = []
        for column in columns:
            try:
                value = row.values.get(column)
                cells.append(str(value) if column == GRADE and value is not None else key_cell(row.values, column))
            except CellError as err:
                raise DataError(f"{file}:{row.number}: {err}") from None
        yield row.number, cells
