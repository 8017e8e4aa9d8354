"""Retrieval tasks as folders in BEIR's layout, written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hrembed.files import write_jsonl, write_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from hrembed.types import Text


def write_task(
    folder: Path,
    split: str,
    queries: Iterable[Text],
    documents: Iterable[Text],
    qrels: Mapping[str, Mapping[str, int]],
) -> None:
    """Write `queries.jsonl`, `corpus.jsonl` and `qrels/<split>.tsv`.

    Args:
        folder: The task.
        split: Name of the judgements.
        queries: Their group goes with them, so that intervals can be clustered.
        documents: The same.
        qrels: Query id to document id to grade.

    Raises:
        HrembedError: A file cannot be written.
    """
    write_jsonl(folder / "queries.jsonl", [_row(text) for text in queries])
    write_jsonl(folder / "corpus.jsonl", [_row(text) for text in documents])
    lines = [f"{query}\t{document}\t{grade}\n" for query, judged in qrels.items() for document, grade in judged.items()]
    write_text(folder / "qrels" / f"{split}.tsv", "query-id\tcorpus-id\tscore\n" + "".join(lines))


def _row(text: Text) -> dict[str, str]:
    return {"_id": text.id, "text": text.text, "group": text.group}
