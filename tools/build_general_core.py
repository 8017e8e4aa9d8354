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


SEPARATOR = " ||| "


class Passage(NamedTuple):
    """A passage, and two ways to ask for it.

    Attributes:
        topic: What it is about.
        id: Its title in lower case, with hyphens.
        question: A question that it answers.
        phrase: What somebody might type to find it, in other words.
        text: Its title and one or two sentences.
    """

    topic: str
    id: str
    question: str
    phrase: str
    text: str


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

    The task joins the questions with distractors and the passages, so that each is searched among the texts of both.

    Returns:
        Number of rows written, by file.

    Raises:
        DataError: An id or a text stands twice in the sources, a line of passages has not three parts, or a score is
            not a whole number from 0 to 5.
    """
    task = join(read_questions(folder / "source" / "questions"), read_passages(folder / "source" / "passages"))
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


def read_passages(folder: Path) -> list[Passage]:
    """Read the passages, one a line under the `# topic` above it: `question ||| phrase ||| Title. Sentences.`.

    Raises:
        DataError: A line has not three parts.
    """
    passages: list[Passage] = []
    for path in sorted(folder.glob("*.txt")):
        topic = ""
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            if line.startswith("# "):
                topic = line.removeprefix("# ")
            elif line:
                parts = line.split(SEPARATOR)
                if len(parts) != 3:
                    raise DataError(
                        f"{path.name}, line {number}: this is not 'question{SEPARATOR}phrase{SEPARATOR}text'"
                    )
                question, phrase, text = parts
                passages.append(
                    Passage(topic, normalise(text.partition(".")[0]).replace(" ", "-"), question, phrase, text)
                )
    return passages


def join(task: Task, passages: Iterable[Passage]) -> Task:
    """Add the passages, each as the one relevant document of its question and of its phrase.

    Raises:
        DataError: Two queries share an id.
    """
    queries, documents, qrels = list(task.queries), list(task.documents), dict(task.qrels)
    for of in passages:
        answer = f"{of.id}-answer"
        documents.append(Text(answer, of.text, of.topic))
        for id_, query in ((of.id, of.question), (f"{of.id}-phrase", of.phrase)):
            queries.append(Text(id_, query, of.topic))
            qrels[id_] = {answer: 1}
    _refuse_twice("id", [query.id for query in queries])
    return Task(
        name=task.name,
        queries=tuple(sorted(queries, key=lambda query: query.id)),
        documents=tuple(sorted(documents, key=lambda document: document.id)),
        qrels=dict(sorted(qrels.items())),
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
