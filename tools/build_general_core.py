"""Build `data/general-core` from its source: `python tools/build_general_core.py data/general-core`.

General English outside of hiring: what a model fine-tuned on hiring texts should not have lost. The same sources give
byte-equal files on every machine.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml
from hrembed.data.tasks import write_task
from hrembed.errors import DataError
from hrembed.files import write_jsonl
from hrembed.text import normalise
from hrembed.types import Task, Text

if TYPE_CHECKING:
    from collections.abc import Iterable

SCORES = range(6)


class ScoredPair(NamedTuple):
    """A pair of sentences, and how alike people find them.

    Attributes:
        topic: What both are about.
        first: One sentence.
        second: The other.
        score: 0 to 5, higher is more alike.
    """

    topic: str
    first: str
    second: str
    score: int


def build(folder: Path) -> Counter[str]:
    """Write the task `questions` and the scored pairs `similar` beside `folder/source`.

    Returns:
        Number of rows written, by file.

    Raises:
        DataError: An id or a text stands twice in the sources, or a score is not a whole number from 0 to 5.
    """
    task = read_questions(folder / "source" / "questions")
    pairs = read_pairs(folder / "source" / "similar")
    texts = [text.text for text in (*task.queries, *task.documents)]
    texts += [text for pair in pairs for text in (pair.first, pair.second)]
    _refuse_twice("text", map(normalise, texts))
    write_task(folder / "questions", "test", task)
    write_jsonl(folder / "similar" / "test.jsonl", _rows(pairs))
    return Counter(
        {
            "questions/queries.jsonl": len(task.queries),
            "questions/corpus.jsonl": len(task.documents),
            "similar/test.jsonl": len(pairs),
        }
    )


def read_questions(folder: Path) -> Task:
    """Read questions, answers and distractors, sorted by id; the group of each text is its topic.

    Returns:
        A task whose corpus is all answers and distractors; the one relevant document of a question is its answer.

    Raises:
        DataError: Two questions share an id.
    """
    rows = sorted(_read(folder), key=lambda of: str(of[1]["id"]))
    _refuse_twice("id", [row["id"] for _, row in rows])
    return Task(
        name="questions/test",
        queries=tuple(Text(row["id"], row["question"], topic) for topic, row in rows),
        documents=tuple(
            Text(f"{row['id']}-{kind}", row[kind], topic)
            for topic, row in rows
            for kind in ("answer", "distractor")
            if kind in row
        ),
        qrels={row["id"]: {f"{row['id']}-answer": 1} for _, row in rows},
    )


def read_pairs(folder: Path) -> list[ScoredPair]:
    """Read the scored pairs, sorted by topic and then as they stand.

    Raises:
        DataError: A score is not a whole number from 0 to 5.
    """
    pairs = [
        ScoredPair(topic, row["first"], row["second"], row["score"])
        for topic, row in sorted(_read(folder), key=lambda of: of[0])
    ]
    for pair in pairs:
        if pair.score not in SCORES:
            raise DataError(f"{pair.topic}: the score {pair.score} of '{pair.first}' is none of 0 to 5")
    return pairs


def _rows(pairs: Iterable[ScoredPair]) -> list[dict[str, str | int]]:
    """Number the pairs of each topic, as lines of `similar/test.jsonl`."""
    seen: Counter[str] = Counter()
    rows: list[dict[str, str | int]] = []
    for pair in pairs:
        rows.append(
            {
                "_id": f"{pair.topic}-{seen[pair.topic]}",
                "sentence1": pair.first,
                "sentence2": pair.second,
                "score": pair.score,
                "group": pair.topic,
            }
        )
        seen[pair.topic] += 1
    return rows


def _read(folder: Path) -> list[tuple[str, dict[str, Any]]]:
    """Every row of every source file with its topic, in the order of file names; people write these files."""
    return [
        (topic, row)
        for path in sorted(folder.glob("*.yaml"))
        for topic, rows in yaml.safe_load(path.read_text(encoding="utf-8")).items()
        for row in rows
    ]


def _refuse_twice(what: str, values: Iterable[str]) -> None:
    twice = [value for value, count in Counter(values).items() if count > 1]
    if twice:
        raise DataError(f"this {what} stands twice in the sources: '{twice[0]}'")


if __name__ == "__main__":
    for name, count in sorted(build(Path(sys.argv[1])).items()):
        sys.stdout.write(f"{count:6} {name}\n")
