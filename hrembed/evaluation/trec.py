"""Rankings as TREC run files, the form that `trec_eval` and other tools read."""

from __future__ import annotations

import math
from array import array
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hrembed.errors import DataError
from hrembed.files import instead_of, writing
from hrembed.types import Ranking

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from hrembed.types import Ints, Task, Text

_QUERIES_AT_ONCE = 1024
_COLUMNS = "query-id Q0 document-id rank score tag"


class ReadRun(NamedTuple):
    """A run file, read.

    Attributes:
        ranking: What stands first for each query of the task.
        missing: Queries of the task without a line; nothing is ranked for them.
        skipped: Queries of the file that the task does not have.
    """

    ranking: Ranking
    missing: int
    skipped: int


class _Lines(NamedTuple):
    """The lines of a run that speak of queries of the task, in columns of shape (n,)."""

    queries: Ints
    documents: Ints
    scores: np.ndarray[tuple[int], np.dtype[np.float64]]
    numbers: Ints
    skipped: int


def write_run(path: Path, task: Task, ranking: Ranking, tag: str) -> None:
    """Write a ranking, one line `query-id Q0 document-id rank score tag` for each ranked document.

    Scores are written so that they are read back exactly. Equal scores: `read_run` goes by the corpus, as the
    ranking does, but `trec_eval` by the document's id, so its numbers may differ where scores are equal.

    Args:
        path: The file.
        task: Queries and documents that the ranking speaks of.
        ranking: Shape (Q, K); what is -1 is not written.
        tag: Name of the model; white space becomes `_`.

    Raises:
        DataError: An id is empty or has white space, which the format cannot hold.
        HrembedError: The file cannot be written.
        ValueError: The ranking has another number of queries, or a score that is not finite.
    """
    if len(ranking.documents) != len(task.queries):
        raise ValueError(f"expected {len(task.queries)} rankings, one for each query, got {len(ranking.documents)}")
    if not np.isfinite(ranking.scores[ranking.documents >= 0]).all():
        raise ValueError("a ranked document has a score that is not finite")
    _check_ids("query", task.queries)
    _check_ids("document", task.documents)
    name = "_".join(tag.split()) or "_"
    with writing(path) as part, part.open("wb") as stream:
        for start in range(0, len(task.queries), _QUERIES_AT_ONCE):
            stream.write(_lines(task, ranking, slice(start, start + _QUERIES_AT_ONCE), name))


def _lines(task: Task, ranking: Ranking, rows: slice, name: str) -> bytes:
    """The lines of some queries; Arrow's columns are several times as fast as a string for each line."""
    import pyarrow as pa
    from pyarrow.compute import binary_join_element_wise

    kept = ranking.documents[rows] >= 0
    ranks = np.broadcast_to(np.arange(1, kept.shape[1] + 1), kept.shape)[kept]
    if not len(ranks):
        return b""
    numbers = pa.array(np.nonzero(kept)[0])
    columns = [
        pa.array([query.id for query in task.queries[rows]], pa.large_string()).take(numbers),
        pa.scalar("Q0", pa.large_string()),
        pa.array([document.id for document in task.documents], pa.large_string()).take(
            pa.array(ranking.documents[rows][kept])
        ),
        pa.array(ranks).cast(pa.large_string()),
        pa.array(ranking.scores[rows][kept].astype(np.float64)).cast(pa.large_string()),
        pa.scalar(name + "\n", pa.large_string()),
    ]
    return bytes(binary_join_element_wise(*columns, pa.scalar(" ", pa.large_string())).buffers()[2])


def _check_ids(side: str, texts: Iterable[Text]) -> None:
    for text in texts:
        if text.id.encode().split() != [text.id.encode()]:
            raise DataError(
                f"{side} id '{text.id}' is empty or contains whitespace, which run files do not allow",
                hint="use ids without whitespace",
            )


def read_run(path: Path, task: Task, depth: int) -> ReadRun:
    """Read a ranking of the documents of a task, made by any tool.

    Documents are ordered by falling score, equal ones as in `task.documents`. The second column, the rank and the tag
    are not looked at, as in `trec_eval`; the lines may be in any order. Empty lines are skipped.

    Args:
        path: Lines `query-id Q0 document-id rank score tag`, split by spaces or tabs.
        task: What was searched.
        depth: Most documents kept for each query.

    Returns:
        The ranking, shape (Q, K), K the smaller of `depth` and the number of documents, with scores in float64, and
        what was missing and skipped.

    Raises:
        DataError: The file cannot be read, or has no query of the task; a line has not six columns, a score that is no
            finite number, an unknown document, one that is not among the query's candidates, or one that the query
            has already.
    """
    lines = _read_lines(path, task)
    if not len(lines.queries):
        raise DataError(
            f"'{path}' contains no query of task '{task.name}'", hint=f"expected format of each line: `{_COLUMNS}`"
        )
    _check_once(path, task, lines)
    _check_candidates(path, task, lines)
    order = np.lexsort((lines.documents, -lines.scores, lines.queries))
    queries = lines.queries[order]
    counts = np.bincount(queries, minlength=len(task.queries))
    ranks = np.arange(len(queries)) - (np.cumsum(counts) - counts)[queries]
    kept = ranks < depth
    shape = len(task.queries), min(depth, len(task.documents))
    documents, scores = np.full(shape, -1, dtype=np.int64), np.full(shape, -np.inf)
    documents[queries[kept], ranks[kept]] = lines.documents[order][kept]
    scores[queries[kept], ranks[kept]] = lines.scores[order][kept]
    return ReadRun(Ranking(documents, scores), int((counts == 0).sum()), lines.skipped)


def _read_lines(path: Path, task: Task) -> _Lines:
    queries = {query.id.encode(): n for n, query in enumerate(task.queries)}
    documents = {document.id.encode(): n for n, document in enumerate(task.documents)}
    asked, ranked, scores, numbers = array("q"), array("q"), array("d"), array("q")
    skipped = set()
    for number, line in _numbered(path):
        cells = line.split()
        if len(cells) != 6:
            if not cells:
                continue
            raise DataError(
                f"{path}:{number}: expected 6 columns, got {len(cells)}", hint=f"expected format: `{_COLUMNS}`"
            )
        query = queries.get(cells[0])
        if query is None:
            skipped.add(cells[0])
            continue
        document = documents.get(cells[2])
        if document is None:
            raise DataError(f"{path}:{number}: document '{_shown(cells[2])}' is not in the corpus of '{task.name}'")
        asked.append(query)
        ranked.append(document)
        scores.append(_score(cells[4], path, number))
        numbers.append(number)
    return _Lines(np.asarray(asked), np.asarray(ranked), np.asarray(scores), np.asarray(numbers), len(skipped))


def _numbered(path: Path) -> Iterator[tuple[int, bytes]]:
    # As bytes: the format knows no white space but that of ASCII, and a million lines need no decoding.
    if path.is_dir():
        raise DataError(f"'{path}' is a folder, not a file")
    try:
        with path.open("rb") as stream:
            for number, line in enumerate(stream, start=1):
                yield number, line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
    except FileNotFoundError:
        raise DataError(f"'{path}' does not exist", hint=instead_of(path)) from None
    except OSError as err:
        raise DataError(f"'{path}' cannot be read: {err.strerror}") from None


def _score(cell: bytes, path: Path, number: int) -> float:
    try:
        score = float(cell)
    except ValueError:
        score = math.nan
    if not math.isfinite(score):
        raise DataError(f"{path}:{number}: score '{_shown(cell)}' is not a finite number")
    return score


def _shown(cell: bytes) -> str:
    return cell.decode(errors="replace")


def _check_once(path: Path, task: Task, lines: _Lines) -> None:
    joined = _joined(task, lines.queries, lines.documents)
    order = np.argsort(joined, kind="stable")
    again = order[1:][np.diff(joined[order]) == 0]
    if len(again):
        line = again.min()
        raise DataError(f"{_place(path, task, lines, line)} appears twice")


def _check_candidates(path: Path, task: Task, lines: _Lines) -> None:
    if task.candidates is None:
        return
    place = {document.id: n for n, document in enumerate(task.documents)}
    allowed = [
        _joined(task, n, np.array([place[key] for key in task.candidates.get(query.id, ())], dtype=np.int64))
        for n, query in enumerate(task.queries)
    ]
    outside = np.flatnonzero(~np.isin(_joined(task, lines.queries, lines.documents), np.concatenate(allowed)))
    if len(outside):
        raise DataError(
            f"{_place(path, task, lines, outside[0])} is not among its candidates",
            hint="this task ranks only the candidates of each query; remove all other documents from the run",
        )


def _joined(task: Task, queries: Ints | int, documents: Ints) -> Ints:
    """One number for each query and document."""
    joined: Ints = documents + queries * len(task.documents)
    return joined


def _place(path: Path, task: Task, lines: _Lines, line: int) -> str:
    query, document = task.queries[lines.queries[line]], task.documents[lines.documents[line]]
    return f"{path}:{lines.numbers[line]}: document '{document.id}' of query '{query.id}'"
