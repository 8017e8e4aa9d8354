"""Retrieval tasks as folders in BEIR's layout, written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hrembed.files import write_jsonl, write_text

if TYPE_CHECKING:
    from pathlib import Path

    from hrembed.types import Task, Text


def write_task(folder: Path, split: str, task: Task) -> None:
    """Write `queries.jsonl`, `corpus.jsonl` and `qrels/<split>.tsv`; groups go along, so intervals can be clustered.

    Args:
        folder: Where the task goes.
        split: Name of its judgements.
        task: Queries, documents and grades.

    Raises:
        HrembedError: A file cannot be written.
    """
    write_jsonl(folder / "queries.jsonl", [_row(text) for text in task.queries])
    write_jsonl(folder / "corpus.jsonl", [_row(text) for text in task.documents])
    rows = [(query, document, grade) for query, judged in task.qrels.items() for document, grade in judged.items()]
    lines = [f"{query}\t{document}\t{grade}\n" for query, document, grade in rows]
    write_text(folder / "qrels" / f"{split}.tsv", "query-id\tcorpus-id\tscore\n" + "".join(lines))


def _row(text: Text) -> dict[str, str]:
    return {"_id": text.id, "text": text.text, "group": text.group}
