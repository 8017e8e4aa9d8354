"""BEIR folders, stimuli and name tables to records; every complaint names file and line."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from hrembed.data.cells import CellError, text_cell
from hrembed.data.locate import named
from hrembed.data.rows import read_jsonl, rows_or_raise
from hrembed.errors import DataError
from hrembed.types import Task, Text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path


def read_task(folder: Path, split: str | None = None) -> Task:
    """Read a BEIR folder: `corpus.jsonl`, `queries.jsonl`, `qrels/<split>.tsv`, for reranking `candidates/<split>.tsv`.

    Only queries that the split judges are kept, those without a relevant document as well. Documents are put in the
    order of a hash of their id, so that ties between scores are broken neutrally and always alike. A document's `title`
    is put in front of its text; what else a row says is kept as fields.

    Args:
        folder: The task.
        split: Name of the qrels file; None when there is only one.

    Raises:
        DataError: A file is missing, empty or malformed; an id stands twice; qrels or candidates name an unknown
            id; or no query has a relevant document.
    """
    if not folder.is_dir():
        raise DataError(f"task '{folder}' is not a folder", hint="a task is a BEIR folder: corpus, queries, qrels")
    qrels_file = _qrels_file(folder, split)
    documents = _read_texts(folder / "corpus.jsonl")
    queries = _read_texts(folder / "queries.jsonl")
    ids = {q.id for q in queries}, {d.id for d in documents}
    qrels = _read_qrels(qrels_file, *ids)
    candidates = folder / "candidates" / qrels_file.name
    return Task(
        name=f"{named(folder).name}/{qrels_file.stem}",
        queries=tuple(q for q in queries if q.id in qrels),
        documents=tuple(sorted(documents, key=lambda d: hashlib.sha256(d.id.encode()).digest())),
        qrels=qrels,
        candidates=_read_candidates(candidates, *ids, qrels) if candidates.exists() else None,
    )


def read_every_split(folder: Path, name: str) -> Task:
    """Read a BEIR folder with the judgements of all its splits.

    Args:
        folder: The task.
        name: What messages and tables call it.

    Raises:
        DataError: As `read_task`.
    """
    splits: list[str | None] = [file.stem for file in sorted((folder / "qrels").glob("*.tsv"))]
    tasks = [read_task(folder, split) for split in splits or [None]]
    queries = {query.id: query for task in tasks for query in task.queries}
    qrels: dict[str, dict[str, int]] = {}
    for task in tasks:
        for query, judged in task.qrels.items():
            qrels.setdefault(query, {}).update(judged)
    return Task(name, tuple(queries.values()), tasks[0].documents, qrels)


def _qrels_file(folder: Path, split: str | None) -> Path:
    if not (folder / "qrels").is_dir():
        raise DataError(f"task '{folder}' has no folder `qrels`", hint="it holds one `<split>.tsv` for each split")
    present = sorted(file.stem for file in (folder / "qrels").glob("*.tsv"))
    if split is None and len(present) == 1:
        return folder / "qrels" / f"{present[0]}.tsv"
    if split is None or split not in present:
        asked = "no split is named" if split is None else f"no split '{split}'"
        raise DataError(f"task '{folder}': {asked}; it has {', '.join(present) or 'none'}")
    return folder / "qrels" / f"{split}.tsv"


_OWN = {"_id", "text", "title", "group"}


def _read_texts(file: Path) -> list[Text]:
    texts: dict[str, Text] = {}
    for line, row in read_jsonl(file):
        key = _field(row, "_id", file, line)
        if key in texts:
            raise DataError(f"{file}:{line}: id '{key}' stands twice")
        text = _field(row, "text", file, line)
        title = row.get("title") or ""
        fields = {k: str(v) for k, v in row.items() if k not in _OWN and isinstance(v, str | int | float)}
        texts[key] = Text(key, f"{title} {text}".strip(), str(row.get("group") or ""), fields)
    return list(texts.values())


def _read_qrels(file: Path, queries: set[str], documents: set[str]) -> dict[str, dict[str, int]]:
    qrels: dict[str, dict[str, int]] = {}
    for line, (query, document, grade) in _id_rows(file, ("query-id", "corpus-id", "score"), queries, documents):
        qrels.setdefault(query, {})[document] = _grade(grade, file, line)
    if not qrels:
        raise DataError(f"{file}: no judgements")
    if not any(any(judged.values()) for judged in qrels.values()):
        raise DataError(f"{file}: no query has a relevant document", hint="a relevant one has a score of 1 or more")
    return qrels


def _read_candidates(
    file: Path, queries: set[str], documents: set[str], judged: Mapping[str, object]
) -> dict[str, tuple[str, ...]]:
    candidates: dict[str, dict[str, None]] = {query: {} for query in judged}
    for _, (query, document) in _id_rows(file, ("query-id", "corpus-id"), queries, documents):
        if query in candidates:
            candidates[query][document] = None
    empty = [query for query, documents_of_query in candidates.items() if not documents_of_query]
    if empty:
        raise DataError(f"{file}: query '{empty[0]}' has no candidates ({len(empty)} such)")
    return {query: tuple(documents_of_query) for query, documents_of_query in candidates.items()}


def _id_rows(
    file: Path, columns: tuple[str, ...], queries: set[str], documents: set[str]
) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and cells of a tab-separated file that starts with a query and a document."""
    for line, text in _lines(file):
        cells = text.split("\t")
        if line == 1 and cells[-1] == columns[-1]:
            continue
        if len(cells) != len(columns):
            raise DataError(f"{file}:{line}: expected {', '.join(columns)} split by tabs, found {len(cells)} cells")
        if cells[0] not in queries:
            raise DataError(f"{file}:{line}: query '{cells[0]}' is not in queries.jsonl")
        if cells[1] not in documents:
            raise DataError(f"{file}:{line}: document '{cells[1]}' is not in corpus.jsonl")
        yield line, cells


def _grade(text: str, file: Path, line: int) -> int:
    if not text.strip().isdigit():
        raise DataError(f"{file}:{line}: relevance '{text}' is not a whole number of 0 or more")
    return int(text)


def read_records(file: Path, required: str) -> list[Text]:
    """Read JSONL with `_id` and `text` where every text holds `required` (for example `{name}`).

    Raises:
        DataError: Missing, empty, malformed, or a text without `required`.
    """
    texts = _read_texts(file)
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
    for line, row in read_table(file, ("name", *attributes)):
        empty = [column for column in ("name", *attributes) if not row[column].strip()]
        if empty:
            raise DataError(f"{file}:{line}: '{empty[0]}' is empty")
        if row["name"] in seen:
            raise DataError(f"{file}:{line}: name '{row['name']}' stands twice")
        seen.add(row["name"])
        rows.append(row)
    return rows


def read_table(file: Path, columns: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """Read a small table whole, as text.

    Args:
        file: What `read_rows` reads.
        columns: Columns that must be there; what else the file holds is given too.

    Returns:
        Line and cells of each row, at least one; a missing value is an empty text.

    Raises:
        DataError: As `rows_or_raise`, or there are no rows.
    """
    rows = [
        (row.number, {name: "" if value is None else str(value) for name, value in row.values.items()})
        for row in rows_or_raise(file, columns)
    ]
    if not rows:
        raise DataError(f"{file}: no rows below the header")
    return rows


def _field(row: Mapping[str, Any], key: str, file: Path, line: int) -> str:
    try:
        return text_cell(row, key)
    except CellError as err:
        raise DataError(f"{file}:{line}: {err}") from None


def _lines(file: Path) -> Iterator[tuple[int, str]]:
    if file.is_dir():
        raise DataError(f"'{file}' is a folder, not a file")
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            for number, text in enumerate(stream, start=1):
                if text.strip():
                    yield number, text.rstrip("\r\n")
    except FileNotFoundError:
        raise DataError(f"'{file}' does not exist") from None
    except UnicodeDecodeError as err:
        raise DataError(f"'{file}' is not UTF-8 text (byte {err.start})") from None
    except OSError as err:
        raise DataError(f"'{file}' cannot be read: {err.strerror}") from None
