"""JSONL, CSV and BEIR folders to records; every complaint names file and line."""

from __future__ import annotations

import csv
import hashlib
import json
from typing import TYPE_CHECKING, Any

from hrembed.errors import DataError
from hrembed.types import Pair, Task, Text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path


def read_task(folder: Path, split: str | None = None) -> Task:
    """Read a BEIR folder: `corpus.jsonl`, `queries.jsonl`, `qrels/<split>.tsv`.

    Only queries that the split judges are kept. Documents are put in the order of a hash of their id, so
    that ties between scores are broken neutrally and always alike. A document's `title` is put in front of its text.

    Args:
        folder: The task.
        split: Name of the qrels file; None when there is only one.

    Raises:
        DataError: A file is missing, empty or malformed; an id stands twice; qrels name an unknown
            id; or a judged query has no relevant document.
    """
    if not folder.is_dir():
        raise DataError(f"task '{folder}' is not a folder", hint="a task is a BEIR folder: corpus, queries, qrels")
    qrels_file = _qrels_file(folder, split)
    documents = _read_texts(folder / "corpus.jsonl")
    queries = _read_texts(folder / "queries.jsonl")
    qrels = _read_qrels(qrels_file, {q.id for q in queries}, {d.id for d in documents})
    return Task(
        name=f"{folder.name}/{qrels_file.stem}",
        queries=tuple(q for q in queries if q.id in qrels),
        documents=tuple(sorted(documents, key=lambda d: hashlib.sha256(d.id.encode()).digest())),
        qrels=qrels,
    )


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


def _read_texts(file: Path) -> list[Text]:
    found: dict[str, Text] = {}
    for line, row in read_jsonl(file):
        key = _field(row, "_id", file, line)
        if key in found:
            raise DataError(f"{file}:{line}: id '{key}' stands twice")
        text = _field(row, "text", file, line)
        title = row.get("title") or ""
        found[key] = Text(key, f"{title} {text}".strip(), str(row.get("group") or ""))
    return list(found.values())


def _read_qrels(file: Path, queries: set[str], documents: set[str]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for line, text in _lines(file):
        cells = text.split("\t")
        if line == 1 and cells[-1] == "score":
            continue
        if len(cells) != 3:
            raise DataError(
                f"{file}:{line}: expected query-id, corpus-id, score split by tabs, found {len(cells)} cells"
            )
        query, document, grade = cells
        if query not in queries:
            raise DataError(f"{file}:{line}: query '{query}' is not in queries.jsonl")
        if document not in documents:
            raise DataError(f"{file}:{line}: document '{document}' is not in corpus.jsonl")
        found.setdefault(query, {})[document] = _grade(grade, file, line)
    if not found:
        raise DataError(f"{file}: no judgements")
    bare = [query for query, judged in found.items() if not any(judged.values())]
    if bare:
        raise DataError(
            f"{file}: query '{bare[0]}' has no relevant document ({len(bare)} such)",
            hint="a query without positives has no defined score; remove its rows from the qrels",
        )
    return found


def _grade(text: str, file: Path, line: int) -> int:
    if not text.strip().isdigit():
        raise DataError(f"{file}:{line}: relevance '{text}' is not a whole number of 0 or more")
    return int(text)


def read_pairs(file: Path, kinds: Sequence[str] = ()) -> list[Pair]:
    """Read training pairs: JSONL with `anchor`, `positive` and optional `group`, `kind`.

    Args:
        file: The JSONL file.
        kinds: Keep only these kinds; empty keeps all.

    Raises:
        DataError: Missing, empty or malformed, or none of the kinds asked for.
    """
    pairs = [
        Pair(
            anchor=_field(row, "anchor", file, line),
            positive=_field(row, "positive", file, line),
            group=str(row.get("group") or ""),
            kind=str(row.get("kind") or "pair"),
        )
        for line, row in read_jsonl(file)
    ]
    unknown = set(kinds) - {pair.kind for pair in pairs}
    if unknown:
        present = ", ".join(sorted({pair.kind for pair in pairs}))
        raise DataError(f"{file}: no pairs of kind '{sorted(unknown)[0]}'; it has {present}")
    return [pair for pair in pairs if not kinds or pair.kind in kinds]


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
    rows = list(csv.DictReader(text for _, text in _lines(file)))
    if not rows:
        raise DataError(f"{file}: no names")
    missing = [column for column in ("name", *attributes) if column not in rows[0]]
    if missing:
        raise DataError(f"{file}:1: no column '{missing[0]}'; it has {', '.join(rows[0])}")
    seen: set[str] = set()
    for line, row in enumerate(rows, start=2):
        empty = [column for column in ("name", *attributes) if not (row[column] or "").strip()]
        if empty:
            raise DataError(f"{file}:{line}: '{empty[0]}' is empty")
        if row["name"] in seen:
            raise DataError(f"{file}:{line}: name '{row['name']}' stands twice")
        seen.add(row["name"])
    return rows


def read_jsonl(file: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield (line number from 1, object) of a JSONL file; blank lines are skipped.

    Raises:
        DataError: Missing, not UTF-8, empty, or a line that is no JSON object.
    """
    empty = True
    for line, text in _lines(file):
        try:
            row = json.loads(text, parse_constant=_refuse)
        except ValueError as err:
            reason = err.msg if isinstance(err, json.JSONDecodeError) else str(err)
            raise DataError(f"{file}:{line}: not valid JSON: {reason}") from None
        if not isinstance(row, dict):
            raise DataError(f"{file}:{line}: expected an object, found {type(row).__name__}")
        empty = False
        yield line, row
    if empty:
        raise DataError(f"{file} is empty")


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is not a value")


def _field(row: Mapping[str, Any], key: str, file: Path, line: int) -> str:
    value = row.get(key)
    if not isinstance(value, str) or not value.strip():
        problem = "is missing" if key not in row else f"must be a text that is not empty, found {value!r:.40}"
        raise DataError(f"{file}:{line}: `{key}` {problem}")
    return value


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
