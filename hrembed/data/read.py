"""BEIR folders, stimuli and name tables to records; every complaint names file and line."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from hrembed.data.cells import CellError, key_cell, require_columns, text_cell
from hrembed.data.judgements import id_rows, read_judgements
from hrembed.data.layout import AS_USUAL
from hrembed.data.locate import named
from hrembed.data.rows import find_table, format_of, rows_or_raise, table_in
from hrembed.errors import DataError
from hrembed.records.tables import report_table
from hrembed.text import counted
from hrembed.types import Task, Text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from hrembed.data.cells import Row
    from hrembed.data.layout import Form


def is_task(folder: Path) -> bool:
    """Whether a folder is laid out as a retrieval task."""
    return folder.is_dir() and find_table(folder, "corpus") is not None


def read_task(folder: Path, split: str | None = None, form: Form = AS_USUAL) -> Task:
    """Read a BEIR folder: `corpus.jsonl`, `queries.jsonl`, `qrels/<split>.tsv`, for reranking `candidates/<split>.tsv`.

    Each file may be in any format of `read_rows`. Only queries that the split judges are kept, those without a relevant
    document as well. Documents are put in the order of a hash of their id, so that ties between scores are broken
    neutrally and always alike. A document's `title` is put in front of its text; a document without either is kept
    with an empty text, which no query finds. What else a row says is kept as fields.

    Judgements are read as BEIR, TREC and others write them (`read_judgements`); those of a query or document that is
    not there are left out and counted.

    Args:
        folder: The task.
        split: Name of the qrels file; None when there is only one.
        form: Details of the files.

    Raises:
        DataError: A file is missing, empty or malformed; an id stands for two texts; a document is judged twice for a
            query with different grades; most judgements name an unknown id; or no query has a relevant document.
    """
    if not folder.is_dir():
        raise DataError(
            f"task '{folder}' is not a folder", hint="a task is a folder in BEIR format: corpus, queries and qrels"
        )
    qrels_file = _qrels_file(folder, split)
    documents_file, queries_file = table_in(folder, "corpus"), table_in(folder, "queries")
    documents = read_texts(documents_file, form, may_be_empty=True)
    queries = read_texts(queries_file, form, may_be_empty=True)
    ids = {q.id for q in queries}, {d.id for d in documents}
    qrels = read_judgements(qrels_file, *ids, form=form)
    if not any(any(judged.values()) for judged in qrels.values()):
        raise DataError(
            f"{qrels_file}: no query has a relevant document", hint="relevant documents have a score of at least 1"
        )
    empty = [query.id for query in queries if query.id in qrels and not query.text]
    if empty:
        raise DataError(f"{queries_file}: query '{empty[0]}' has no text ({len(empty)} in total)")
    unreachable = sum(not document.text for document in documents)
    if unreachable:
        empty_documents = f"{unreachable:,} of {len(documents):,} documents have neither text nor title"
        report_table(documents_file, notes=[f"{empty_documents}: they count as documents but are never retrieved"])
    candidates = find_table(folder / "candidates", _stem(qrels_file))
    return Task(
        name=f"{named(folder).name}/{_stem(qrels_file)}",
        queries=tuple(q for q in queries if q.id in qrels),
        documents=tuple(sorted(documents, key=lambda d: hashlib.sha256(d.id.encode()).digest())),
        qrels=qrels,
        candidates=_read_candidates(candidates, *ids, qrels) if candidates else None,
    )


def _stem(file: Path) -> str:
    return Path(file.name.removesuffix(".gz")).stem


def read_every_split(folder: Path, name: str, form: Form = AS_USUAL) -> Task:
    """Read a BEIR folder with the judgements of all its splits.

    Args:
        folder: The task.
        name: What messages and tables call it.
        form: Details of the files.

    Raises:
        DataError: As `read_task`.
    """
    splits: list[str | None] = [*_splits(folder)]
    tasks = [read_task(folder, split, form) for split in splits or [None]]
    queries = {query.id: query for task in tasks for query in task.queries}
    qrels: dict[str, dict[str, int]] = {}
    for task in tasks:
        for query, judged in task.qrels.items():
            qrels.setdefault(query, {}).update(judged)
    return Task(name, tuple(queries.values()), tasks[0].documents, qrels)


_QRELS = (".tsv", ".txt", ".csv", ".jsonl", ".parquet", ".qrels", ".qrel", ".trec")


def _splits(folder: Path) -> dict[str, Path]:
    """Name of each split -> its file of judgements."""
    splits: dict[str, Path] = {}
    for file in sorted((folder / "qrels").glob("*")):
        if format_of(file) in _QRELS and not file.name.startswith("."):
            other = splits.setdefault(_stem(file), file)
            if other != file:
                raise DataError(f"'{other}' and '{file}' contain the same split", hint="remove one of them")
    return splits


def _qrels_file(folder: Path, split: str | None) -> Path:
    if not (folder / "qrels").is_dir():
        raise DataError(
            f"task '{folder}' has no folder `qrels`", hint="it must contain a file `<split>.tsv` for each split"
        )
    splits = _splits(folder)
    if split is None and len(splits) == 1:
        return next(iter(splits.values()))
    if split is None or split not in splits:
        asked = "specify a split" if split is None else f"no split '{split}'"
        raise DataError(f"task '{folder}': {asked}; available: {', '.join(splits) or 'none'}")
    return splits[split]


_OWN = {"_id", "text", "title", "group"}
TEXT_KNOWN_AS: Mapping[str, Sequence[str]] = {
    "_id": ("id", "doc_id", "docid", "docno", "query_id", "qid", "q_id", "c_id", "corpus_id", "pid", "passage_id"),
    "text": ("contents", "content", "body", "passage", "query", "document"),
}


def read_texts(file: Path, form: Form = AS_USUAL, *, may_be_empty: bool = False) -> list[Text]:
    """Read a table with `_id` and `text`, as queries and documents stand in it; a title goes in front of its text.

    Args:
        file: What `read_rows` reads.
        form: Details of the file.
        may_be_empty: Whether a row may have no text.

    Raises:
        DataError: Missing, empty or malformed; or two rows of one id differ.
    """
    texts: dict[str, Text] = {}
    numbers: dict[str, int] = {}
    repeated = 0
    used: dict[str, None] = {}
    unused: dict[str, None] = {}
    form = replace(form, columns={here: there for here, there in form.columns.items() if here in _OWN})
    for row in rows_or_raise(file, ("_id", "text") if not may_be_empty else ("_id",), form, TEXT_KNOWN_AS):
        where = f"{file}:{row.number}"
        key = _key(row, "_id", where) or _field(row, "_id", where)
        fields = {k: str(v) for k, v in row.values.items() if k not in _OWN and isinstance(v, str | int | float)}
        unused.update({k: None for k, v in row.values.items() if k not in _OWN and v and k not in fields})
        used.update({row.theirs(column): None for column in row.values if column in _OWN or column in fields})
        text = Text(key, _full_text(row, where, may_be_empty), _key(row, "group", where), fields)
        if texts.get(key, text) != text:
            raise DataError(f"{where}: duplicate id '{key}' (first on line {numbers[key]}) with different contents")
        repeated += key in texts
        texts[key] = text
        numbers.setdefault(key, row.number)
    notes = [f"{counted(repeated, 'duplicate row')} with the same contents, counted once"] if repeated else []
    report_table(file, used=[*used], unused=[*unused], notes=notes)
    return list(texts.values())


def _full_text(row: Row, where: str, may_be_empty: bool) -> str:
    """Title and text of a row; a title alone is enough, and where it may be, nothing is."""
    title = _key(row, "title", where)
    text = row.values.get("text")
    there = "text" in row.values or bool(title)
    if may_be_empty and there and (text is None or (isinstance(text, str) and not text.strip())):
        return title
    return f"{title} {_field(row, 'text', where)}".strip()


def _read_candidates(
    file: Path, queries: set[str], documents: set[str], judged: Mapping[str, object]
) -> dict[str, tuple[str, ...]]:
    candidates: dict[str, dict[str, None]] = {query: {} for query in judged}
    for line, (query, document) in id_rows(file, (), queries):
        if query not in queries:
            raise DataError(f"{file}:{line}: unknown query '{query}'")
        if document not in documents:
            raise DataError(f"{file}:{line}: unknown document '{document}'")
        if query in candidates:
            candidates[query][document] = None
    empty = [query for query, documents_of_query in candidates.items() if not documents_of_query]
    if empty:
        raise DataError(f"{file}: query '{empty[0]}' has no candidates ({len(empty)} in total)")
    return {query: tuple(documents_of_query) for query, documents_of_query in candidates.items()}


def read_records(file: Path, required: str, form: Form = AS_USUAL) -> list[Text]:
    """Read a table with `_id` and `text` where every text holds `required` (for example `{name}`).

    Raises:
        DataError: Missing, empty, malformed, or a text without `required`.
    """
    texts = read_texts(file, form)
    for text in texts:
        if required not in text.text:
            raise DataError(f"{file}: '{text.id}' has no {required} slot")
    return texts


def read_names(file: Path, attributes: Sequence[str]) -> list[dict[str, str]]:
    """Read the name table of an audit.

    Args:
        file: CSV with `name` and a column for each attribute.
        attributes: Columns that must be there and filled.

    Returns:
        One row per name, in the file's order.

    Raises:
        DataError: Missing, empty, without a column, an empty cell, or a name that stands twice.
    """
    rows: list[dict[str, str]] = []
    seen: set[str] = set()
    wanted = ("name", *attributes)
    for line, row in read_table(file, wanted, used=wanted.__contains__):
        empty = [column for column in wanted if not row[column].strip()]
        if empty:
            raise DataError(f"{file}:{line}: column '{empty[0]}' is empty")
        if row["name"] in seen:
            raise DataError(f"{file}:{line}: duplicate name '{row['name']}'")
        seen.add(row["name"])
        rows.append(row)
    return rows


def read_table(
    file: Path, columns: Sequence[str], form: Form = AS_USUAL, used: Callable[[str], bool] | None = None
) -> list[tuple[int, dict[str, str]]]:
    """Read a small table whole, as text.

    Args:
        file: What `read_rows` reads.
        columns: Columns that must be there; what else the file holds is given too.
        form: Details of the file.
        used: Whether a column is used; the others are reported. None reports nothing.

    Returns:
        Line and cells of each row, at least one; a missing value is an empty text.

    Raises:
        DataError: As `rows_or_raise`, or there are no rows.
    """
    rows = [
        (row.number, {name: "" if value is None else str(value) for name, value in row.values.items()})
        for row in rows_or_raise(file, columns, form, used=used)
    ]
    if not rows:
        raise DataError(f"{file}: no rows below the header")
    # A row of JSONL may lack a column; one that no row has is missing.
    require_columns(str(file), list(dict.fromkeys(name for _, row in rows for name in row)), columns)
    lacking = dict.fromkeys(columns, "")
    return [(line, lacking | row) for line, row in rows]


def _field(row: Row, column: str, where: str) -> str:
    try:
        return text_cell(row.values, column)
    except CellError as err:
        raise DataError(f"{where}: {CellError(row.theirs(column), err.reason)}") from None


def _key(row: Row, column: str, where: str) -> str:
    try:
        return key_cell(row.values, column)
    except CellError as err:
        raise DataError(f"{where}: {CellError(row.theirs(column), err.reason)}") from None
