"""Files without personal data: placeholders in, everything else as it was, and back again where a map was kept.

In CSV and JSONL only the characters of a finding change, and a row without any keeps its
bytes. Everything streams; a broken row stops the work, since it cannot be said to be clean.
"""

from __future__ import annotations

import gzip
import io
import json
import re
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from hrembed.data.cells import Problem, Row
from hrembed.data.layout import DELIMITERS, is_wide
from hrembed.data.locate import locate
from hrembed.data.person_names import NamesOf, Vocabulary
from hrembed.data.personal import TAGS, TYPES, Finder, Finding, replaced
from hrembed.data.rows import SAMPLE, header_of, is_divided, layout_of, read_jsonl, read_rows, rows_or_raise
from hrembed.errors import DataError
from hrembed.files import parquet_sink, writing
from hrembed.records.data import PersonalCounts, PersonalTypeCounts

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from hrembed.data.layout import Form
    from hrembed.records.data import PersonalType

_FINDINGS = {"row": "int64", "field": "string", "type": "string", "start": "int64", "end": "int64"}
_FIRST_ROWS = 5
_TYPE_OF_TAG = {tag: type_ for type_, tag in TAGS.items()}
_NUMBERED = re.compile(rf"\[({'|'.join(TAGS.values())})_([0-9]+)\]".encode())
_MAX_DIGITS = 9
_BATCH = 10_000


@contextmanager
def findings_sink(path: Path) -> Iterator[Callable[[int, str, Finding], None]]:
    """Open a Parquet file that lists where findings stand, never what they are; there whole or not at all.

    Yields:
        A function that takes the number of a row, the column, and a finding in it.
    """
    with parquet_sink(path, _FINDINGS) as add:
        yield lambda row, column, finding: add(
            {"row": row, "field": column, "type": finding.type, "start": finding.start, "end": finding.end}
        )


class Reader:
    """Looks at the chosen columns of row after row, and counts.

    Args:
        finder: Finds personal data in a text.
        fields: Columns to look at, where a row has them.
        add: Takes the number of a row, a column and each finding in it.
        advance: Called after each row.
        name_columns: Columns with names of the person whom a row is about; they and their parts are found in all
            fields of the row.
        cells: Whether the cells of `name_columns` are findings as well.
        lists: Whether a cell may be a list of texts, each of which is looked at by itself.
    """

    def __init__(
        self,
        finder: Finder,
        fields: Sequence[str],
        add: Callable[[int, str, Finding], None] = lambda row, column, finding: None,
        advance: Callable[[], None] = lambda: None,
        name_columns: Sequence[str] = (),
        *,
        cells: bool = False,
        lists: bool = False,
    ) -> None:
        self.fields, self.name_columns, self._cells, self._lists = fields, name_columns, cells, lists
        self._finder, self._add, self._advance = finder, add, advance
        self._rows = self._rows_with_any = 0
        self._findings: Counter[PersonalType] = Counter()
        self._rows_with: Counter[PersonalType] = Counter()
        self._first_rows: dict[PersonalType, list[int]] = {type_: [] for type_ in TYPES}

    def look(self, row: Row, where: str) -> dict[str, list[Finding]]:
        """Find what a row holds: column to findings, only columns with any.

        Raises:
            DataError: A column holds something that is no text.
        """
        cells = {column: text for column, text in _texts(row, self.name_columns, where) if text.strip()}
        names = NamesOf(cells.values(), self._finder.common) if cells else None
        searched: dict[str, list[Finding]] = {}
        for column, text in _texts(row, self.fields, where, lists=self._lists):
            searched.setdefault(column, []).extend(self._finder.find(text, names))
        if self._cells:
            searched |= {column: [Finding("name", 0, len(text))] for column, text in cells.items()}
        findings_of = {column: findings for column, findings in searched.items() if findings}
        self._count(row.number, findings_of)
        self._advance()
        return findings_of

    def above(self, text: str, placeholders: Placeholders) -> str:
        """Replace what stands in the title lines above a header, where there are some; they count as no row."""
        findings = self._finder.find(text)
        for finding in findings:
            self._add(0, "", finding)
            self._findings[finding.type] += 1
        return replaced(text, findings, placeholders)

    def _count(self, number: int, findings_of: Mapping[str, Sequence[Finding]]) -> None:
        self._rows += 1
        self._rows_with_any += bool(findings_of)
        types: Counter[PersonalType] = Counter()
        for column, findings in findings_of.items():
            for finding in findings:
                self._add(number, column, finding)
                types[finding.type] += 1
        self._findings += types
        for type_ in types:
            self._rows_with[type_] += 1
            if len(self._first_rows[type_]) < _FIRST_ROWS:
                self._first_rows[type_].append(number)

    def counts(self) -> PersonalCounts:
        """What was found so far."""
        return PersonalCounts(
            rows=self._rows,
            rows_with_any=self._rows_with_any,
            findings=self._findings.total(),
            types={
                type_: PersonalTypeCounts(
                    count=self._findings[type_],
                    rows=self._rows_with[type_],
                    first_rows=tuple(self._first_rows[type_]),
                )
                for type_ in TYPES
            },
        )


class Placeholders:
    """Gives the placeholder of a value: the same for all of a type, or numbered so that there is a way back.

    Args:
        above: Type to the highest number that the file already uses, for numbered placeholders; None for plain ones.

    Attributes:
        originals: Numbered placeholder to what stood there; empty for plain ones.
    """

    def __init__(self, above: Mapping[PersonalType, int] | None = None) -> None:
        self.originals: dict[str, str] = {}
        self._given: dict[tuple[str, str], str] = {}
        self._last = None if above is None else Counter(above)

    def __call__(self, finding: Finding, original: str) -> str:
        """Say what replaces a finding."""
        tag, key = TAGS[finding.type], (finding.type, original)
        if self._last is None:
            return f"[{tag}]"
        if key not in self._given:
            self._last[finding.type] += 1
            self._given[key] = f"[{tag}_{self._last[finding.type]}]"
            self.originals[self._given[key]] = original
        return self._given[key]


def ordinary_words() -> Vocabulary:
    """Give the lower-case words of the shipped corpus, to which others can be added."""
    return Vocabulary(_shipped_words())


@cache
def _shipped_words() -> frozenset[str]:
    vocabulary = Vocabulary()
    for file in sorted(locate("shipped:hr-core").rglob("*.jsonl")):
        for _, values in read_jsonl(file):
            for key in ("text", "anchor", "positive"):
                if isinstance(text := values.get(key), str):
                    vocabulary.add(text)
    return vocabulary.so_far()


@cache
def given_names() -> frozenset[str]:
    """Read the first names of the shipped table, in lower case."""
    rows = rows_or_raise(locate("shipped:names/us-census-2020.csv"), ("name",))
    return frozenset(str(row.values["name"]).split()[0].lower() for row in rows)


def finder_of(
    texts: Iterable[str], types: Collection[PersonalType] = TYPES, regions: Sequence[str] = ("US", "GB")
) -> Finder:
    """Make a finder that knows the ordinary words of the shipped corpus and of these texts."""
    vocabulary = ordinary_words()
    shipped = vocabulary.so_far()
    for text in texts:
        vocabulary.add(text)
    return Finder(types, regions, vocabulary, given_names(), shipped)


def survey(
    file: Path,
    fields: Sequence[str],
    learn: Callable[[str], None],
    form: Form,
    name_columns: Sequence[str] = (),
    known_as: Mapping[str, Sequence[str]] = {},
) -> tuple[int, tuple[str, ...]]:
    """Read a file once, give `learn` every text of the columns, and count the rows.

    With `known_as`, other usual names of columns as in `read_rows`, a cell may be a list of texts.

    Returns:
        The number of rows, and the columns of the file that are neither among the fields nor among the name columns.

    Raises:
        DataError: A row cannot be read, the file is empty, has none of the columns, or lacks a name column.
        ConfigError: The encoding is unknown.
    """
    if _kind(file) in DELIMITERS:
        header = header_of(file, form)
        twice = next((name for name in (*fields, *name_columns) if header.count(name) > 1), None)
        if twice is not None:
            raise DataError(f"{file}: column '{twice}' appears twice in the header", hint="rename one of the columns")
    rows, columns = 0, dict[str, None]()
    for row in _rows(file, form, known_as):
        rows += 1
        columns.update(dict.fromkeys(row.values))
        for _, text in _texts(row, fields, f"{file}:{row.number}", lists=bool(known_as)):
            learn(text)
    if not rows:
        raise DataError(f"{file} is empty")
    if not any(name in columns for name in fields):
        listed = ", ".join(map(repr, columns))[:300]
        raise DataError(
            f"{file}: column {' or '.join(map(repr, fields))} not found; available: {listed}", hint="set `fields`"
        )
    missing = [name for name in name_columns if name not in columns]
    if missing:
        listed = ", ".join(map(repr, columns))[:300]
        raise DataError(
            f"{file}: column {missing[0]!r} in `name_columns` not found; available: {listed}", hint="set `name_columns`"
        )
    return rows, tuple(name for name in columns if name not in {*fields, *name_columns})


def _rows(file: Path, form: Form, known_as: Mapping[str, Sequence[str]] = {}) -> Iterator[Row]:
    for row in read_rows(file, (), form, known_as):
        if isinstance(row, Problem):
            raise DataError(f"{file}:{row}")
        yield row


def _texts(row: Row, fields: Iterable[str], where: str, *, lists: bool = False) -> Iterator[tuple[str, str]]:
    """Give the texts of a row; what is no text might hide personal data, and is refused."""
    for name in fields:
        value = row.values.get(name)
        if isinstance(value, str):
            yield name, value
        elif lists and isinstance(value, list) and all(isinstance(item, str) for item in value):
            yield from ((name, item) for item in value)
        elif value is not None:
            raise DataError(f"{where}: column '{name}': expected text, got {type(value).__name__}")


def scan(file: Path, reader: Reader, form: Form, known_as: Mapping[str, Sequence[str]] = {}) -> PersonalCounts:
    """Look at every row without writing anything; `known_as` as in `read_rows`.

    Raises:
        DataError: A row cannot be read.
    """
    for row in _rows(file, form, known_as):
        reader.look(row, f"{file}:{row.number}")
    return reader.counts()


def redact(file: Path, target: Path, reader: Reader, placeholders: Placeholders, form: Form) -> PersonalCounts:
    """Write a file again with placeholders.

    CSV and JSONL keep every byte outside the findings; Parquet keeps its schema and all other values. `originals` of
    the placeholders then holds what stood in the file, in the file's own spelling (a JSON text may be escaped).

    Raises:
        DataError: A row cannot be read, holds a column twice, or its encoding cannot be written back.
    """
    if _kind(file) == ".parquet":
        _redact_parquet(file, target, reader, placeholders)
        return reader.counts()
    form = _writable(file, form)
    encoding = "utf-8" if form.encoding.lower().replace("_", "-") == "utf-8-sig" else form.encoding
    delimiter = _delimiter(file, form) if _kind(file) in DELIMITERS else ""
    columns = header_of(file, form) if delimiter else []
    titles = layout_of(file, form).skipped if delimiter else 0
    with _sink(target) as out:
        for row, record in _records(file, form):
            if row is None and titles:
                lines = io.BytesIO(record).readlines()
                above = b"".join(lines[:titles]).decode(encoding)
                record = b"".join([reader.above(above, placeholders).encode(encoding), *lines[titles:]])
            if row is not None:
                where = f"{file}:{row.number}"
                findings_of = reader.look(row, where)
                text = record.decode(encoding)
                cells = _csv_cells(text, columns, delimiter) if delimiter else _json_cells(text, where)
                if findings_of and text.encode(encoding) != record:
                    raise DataError(f"{where}: cannot be encoded as {encoding}", hint="convert the file to UTF-8")
                record = _edited(text, cells, findings_of, placeholders).encode(encoding) if findings_of else record
            out.write(record)
    return reader.counts()


def _writable(file: Path, form: Form) -> Form:
    """Settings of a text file with what was recognised of it, for files that can be written back byte for byte.

    Raises:
        DataError: A spreadsheet, or text whose bytes do not tell its lines.
    """
    if _kind(file) in {".xlsx", ".xlsm"}:
        raise DataError(f"'{file}': writing spreadsheets is not supported", hint="save the sheet as CSV in UTF-8 first")
    layout = layout_of(file, form)
    with _source(file) as stream:
        if not is_divided(stream.read(SAMPLE)):
            raise DataError(
                f"'{file}': files with carriage returns as line endings are not supported for writing",
                hint="convert the line endings to LF or CRLF first",
            )
    if is_wide(layout.encoding):
        encoding = layout.encoding.upper()
        raise DataError(
            f"'{file}': encoding {encoding} is not supported for writing", hint="convert the file to UTF-8 first"
        )
    return replace(form, delimiter=layout.delimiter) if _kind(file) in DELIMITERS else form


def _kind(file: Path) -> str:
    return Path(file.name.removesuffix(".gz")).suffix.lower()


@contextmanager
def _sink(target: Path) -> Iterator[BinaryIO]:
    with writing(target) as part, part.open("wb") as raw:
        if target.suffix == ".gz":
            # Name and time of writing stay out of the header, so the same rows give the same bytes.
            with gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as packed:
                yield packed  # type: ignore[misc]
        else:
            yield raw


def _source(file: Path) -> BinaryIO:
    return gzip.open(file) if file.suffix == ".gz" else file.open("rb")  # type: ignore[return-value]


def _records(file: Path, form: Form) -> Iterator[tuple[Row | None, bytes]]:
    """Yield each row with its bytes, up to where the next row begins; first None with what stands above all rows."""
    with _source(file) as lines:
        at, row = 1, None
        for following in _rows(file, form):
            yield row, b"".join(islice(lines, following.number - at))
            at, row = following.number, following
        yield row, b"".join(lines)


# Where a text begins and ends in a record, and how one character of it is written there.
_Cell = tuple[int, int, re.Pattern[str]]
_PLAIN = re.compile(r"[\s\S]")
_QUOTED = re.compile(r'""|[\s\S]')
_ESCAPED = re.compile(r"\\u[dD][89abAB]..\\u[dD][c-fC-F]..|\\u....|\\.|[\s\S]")


def _delimiter(file: Path, form: Form) -> str:
    delimiter = form.delimiter or DELIMITERS[_kind(file)]
    if delimiter.isalnum() or delimiter in '[]_"':
        raise DataError(f"'{file}': placeholders would be ambiguous in a file with delimiter {delimiter!r}")
    return delimiter


def _csv_cells(text: str, columns: Sequence[str], delimiter: str) -> dict[str, _Cell]:
    shape = re.compile(rf'"[^"]*(?:""[^"]*)*"|[^{re.escape(delimiter)}\r\n]*')
    cells, at = {}, 0
    for name in columns:
        start, end = shape.match(text, at).span()  # type: ignore[union-attr]  # it matches nothing as well
        quoted = text.startswith('"', start, end)
        if name:
            cells[name] = (start + quoted, end - quoted, _QUOTED if quoted else _PLAIN)
        at = end + 1
    return cells


def _json_cells(text: str, where: str) -> dict[str, _Cell]:
    """Walk over the keys of an object that is known to be valid; the cell of a value that is no text means nothing.

    Raises:
        DataError: A key stands twice: whoever reads the row sees only one of the two.
    """
    decoder, cells = json.JSONDecoder(), dict[str, _Cell]()
    at = _behind_space(text, text.index("{") + 1)
    while text[at] != "}":
        key, at = decoder.raw_decode(text, at)
        if key in cells:
            raise DataError(f"{where}: column '{key}' appears twice in the row")
        at = _behind_space(text, _behind_space(text, at) + 1)
        _, end = decoder.raw_decode(text, at)
        cells[key] = (at + 1, end - 1, _ESCAPED)
        at = _behind_space(text, end)
        at = _behind_space(text, at + 1) if text[at] == "," else at
    return cells


def _behind_space(text: str, at: int) -> int:
    while text[at] in " \t\r\n":
        at += 1
    return at


def _edited(
    text: str, cells: Mapping[str, _Cell], findings_of: Mapping[str, Sequence[Finding]], placeholders: Placeholders
) -> str:
    parts, at = [], 0
    for name in sorted(findings_of, key=lambda name: cells[name][0]):
        start, end, character = cells[name]
        parts += [text[at:start], replaced(character.findall(text, start, end), findings_of[name], placeholders)]
        at = end
    return "".join([*parts, text[at:]])


def _redact_parquet(file: Path, target: Path, reader: Reader, placeholders: Placeholders) -> None:
    def clean(texts: dict[str, list[str]], first: int) -> set[str]:
        changed = set()
        for n, values in enumerate(zip(*texts.values(), strict=True)):
            row = Row(first + n, dict(zip(texts, values, strict=True)))
            for name, findings in reader.look(row, f"{file}:{row.number}").items():
                texts[name][n] = replaced(texts[name][n], findings, placeholders)
                changed.add(name)
        return changed

    _rewrite_parquet(file, target, clean, (*reader.fields, *reader.name_columns))


def _rewrite_parquet(
    file: Path, target: Path, change: Callable[[dict[str, list[Any]], int], set[str]], fields: Collection[str] = ()
) -> None:
    """Write a Parquet file again.

    `change` is given columns (without `fields` all of them) and the number of the first row, and says which it changed.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(file) as source, writing(target) as part:
        schema, first = source.schema_arrow, 1
        # The items of lists keep their name only like this.
        with pq.ParquetWriter(part, schema, compression="zstd", use_compliant_nested_type=False) as writer:
            for batch in source.iter_batches(_BATCH):
                texts = {
                    name: batch.column(name).to_pylist() for name in schema.names if name in (fields or schema.names)
                }
                for name in sorted(change(texts, first)):
                    at = schema.get_field_index(name)
                    column = pa.array(texts[name], type=schema.field(at).type)
                    batch = batch.set_column(at, schema.field(at), column)
                writer.write_batch(batch)
                first += batch.num_rows


def numbers_in_use(file: Path) -> Counter[PersonalType]:
    """Highest number of each type among the numbered placeholders that a file already holds, anywhere in it.

    Raises:
        DataError: A number is too long to count on from.
    """
    highest: Counter[PersonalType] = Counter()
    for raw in _raw_texts(file):
        for tag, number in _NUMBERED.findall(raw):
            type_ = _TYPE_OF_TAG[tag.decode()]
            if len(number) > _MAX_DIGITS:
                raise DataError(f"'{file}' contains a placeholder for {type_} with a number of {len(number)} digits")
            highest[type_] = max(highest[type_], int(number))
    return highest


def _raw_texts(file: Path) -> Iterator[bytes]:
    if _kind(file) != ".parquet":
        with _source(file) as lines:
            yield from lines
        return
    import pyarrow.parquet as pq

    with pq.ParquetFile(file) as source:
        for batch in source.iter_batches(_BATCH):
            for column in batch.columns:
                yield from (value.encode() for value in column.to_pylist() if isinstance(value, str))


def restore(file: Path, target: Path, originals: Mapping[str, str], encoding: str = "utf-8") -> None:
    """Undo `redact` with numbered placeholders.

    CSV and JSONL come back byte for byte, Parquet value for value.

    Args:
        file: What `redact` wrote.
        target: Where to write.
        originals: Numbered placeholder to what stood there: the content of `map.json`.
        encoding: Of the file, where it is text.

    Raises:
        HrembedError: The target cannot be written.
    """
    known = {placeholder.encode(): original.encode(encoding) for placeholder, original in originals.items()}

    def undo(raw: bytes) -> bytes:
        return _NUMBERED.sub(lambda match: known.get(match.group(), match.group()), raw)

    def undo_columns(texts: dict[str, list[Any]], _: int) -> set[str]:
        before = dict(texts)
        for name, values in before.items():
            texts[name] = [undo(value.encode()).decode() if isinstance(value, str) else value for value in values]
        return {name for name in texts if texts[name] != before[name]}

    if _kind(file) == ".parquet":
        _rewrite_parquet(file, target, undo_columns)
        return
    with _source(file) as lines, _sink(target) as out:
        out.writelines(map(undo, lines))
