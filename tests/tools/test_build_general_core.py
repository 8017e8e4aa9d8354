"""Promises of the shipped probe of general English."""

from __future__ import annotations

import filecmp
import json
import re
import shutil
from collections import Counter
from typing import TYPE_CHECKING

import pytest
import yaml
from bm25s.stopwords import STOPWORDS_EN_PLUS
from hrembed.data.near_duplicates import Near, near_matches
from hrembed.data.read import read_task
from hrembed.errors import DataError
from hrembed.text import normalise
from places import DATA

from build_general_core import build, read_passages, read_questions
from build_hr_core import read_occupations

if TYPE_CHECKING:
    from pathlib import Path

CORE = DATA / "general-core"
TASK = read_task(CORE / "questions")
HARD = read_questions(CORE / "source" / "questions")  # those with distractors
PASSAGES = read_passages(CORE / "source" / "passages")
PAIRS = [json.loads(line) for line in (CORE / "similar" / "test.jsonl").read_text(encoding="utf-8").splitlines()]
DOCUMENTS = {document.id: document for document in TASK.documents}
ANSWERS = {query.id: next(iter(TASK.qrels[query.id])) for query in TASK.queries}
MAIN = {query.id for query in TASK.queries} - {f"{passage.id}-phrase" for passage in PASSAGES}
DISTRACTORS = {query.id: f"{query.id}-distractor" for query in TASK.queries if f"{query.id}-distractor" in DOCUMENTS}
SENTENCES = [row[key] for row in PAIRS for key in ("sentence1", "sentence2")]
TEXTS = [*(text.text for text in (*TASK.queries, *TASK.documents)), *SENTENCES]

# Words that a text on hiring would hold; also in other forms.
HIRING = re.compile(
    r"\b(jobs?|work\w*|hir(e|ed|es|ing)|salar\w+|wages?|employ\w*|unemploy\w*|vacanc\w+|recruit\w*|candidat\w+|appl(y|ied)"
    r"|applica\w+|interview\w*|r[eé]sum[eé]s?|cvs?|careers?|skill\w*|profession\w*|occupation\w*|staff\w*|manag\w+"
    r"|boss\w*|colleagues?|qualifi\w+|experience\w*|certificat\w+|trainees?|intern(s|ships?)?|apprentic\w+"
    r"|compan(y|ies)|business\w*|offices?|teams?|leadership|retire\w*|roles?|duties|hr)\b",
    re.IGNORECASE,
)


def content_words(text: str) -> set[str]:
    """Words that carry meaning, without the s of a plural."""
    words = (word for word in normalise(text).split() if word not in STOPWORDS_EN_PLUS and len(word) > 2)
    return {word.removesuffix("s") for word in words}


def shared(question: str, document: str) -> float:
    """Share of the question's content words that the document repeats."""
    asked = content_words(question)
    return len(asked & content_words(document)) / len(asked)


def test_it_is_as_large_as_promised():
    assert len(HARD.queries) + len(PASSAGES) >= 1_000
    assert len(TASK.queries) == len(HARD.queries) + 2 * len(PASSAGES)
    assert 0.45 <= len(DISTRACTORS) / len(HARD.queries) <= 0.55
    assert len(TASK.documents) == len(HARD.queries) + len(PASSAGES) + len(DISTRACTORS)
    assert len({query.group for query in TASK.queries}) >= 80
    assert len(PAIRS) >= 160
    topics = Counter(query.group for query in HARD.queries)
    assert len(topics) >= 20
    assert set(topics.values()) == {8}
    assert Counter(row["group"] for row in PAIRS) == dict.fromkeys(topics, 9)


def test_no_id_and_no_text_stands_twice():
    assert len({row["_id"] for row in PAIRS}) == len(PAIRS)
    assert [text for text, count in Counter(map(normalise, TEXTS)).items() if count > 1] == []


def test_nearly_equal_items_count_once_for_there_are_none():
    """A whole item decides, question and passage: 'What is a yurt?' and 'What is a kilt?' are not one."""
    questions = {query.id: query.text for query in TASK.queries}
    items = [normalise(f"{text} {DOCUMENTS[ANSWERS[key]].text}") for key, text in questions.items() if key in MAIN]
    for texts in (items, [normalise(text.text) for text in TASK.documents]):
        assert list(near_matches(texts, texts, Near(4, 0.34), lambda *_: None)) == []


def test_every_question_has_its_answer_and_that_alone_as_relevant():
    for query in TASK.queries:
        answer = query.id.removesuffix("-phrase") if query.id not in MAIN else query.id
        assert TASK.qrels[query.id] == {f"{answer}-answer": 1}
        assert DOCUMENTS[f"{answer}-answer"].group == query.group
    for key, other in DISTRACTORS.items():
        assert DOCUMENTS[other].group == DOCUMENTS[ANSWERS[key]].group


def test_texts_are_as_long_as_promised():
    assert {d.id: len(d.text.split()) for d in HARD.documents if not 25 <= len(d.text.split()) <= 60} == {}
    assert {of.id: of.text for of in PASSAGES if not 10 <= len(of.text.split()) <= 60} == {}
    asked = {query.text for query in TASK.queries} - {of.phrase for of in PASSAGES}
    assert [text for text in asked if not text.endswith("?") or not 3 <= len(text.split()) <= 20] == []
    assert [of.phrase for of in PASSAGES if of.phrase.endswith((".", "?")) or len(of.phrase.split()) > 12] == []
    assert all(text.endswith((".", "?")) and 3 <= len(text.split()) <= 20 for text in SENTENCES)


def test_nothing_is_about_hiring():
    assert [found.group() for text in TEXTS for found in HIRING.finditer(text)] == []
    occupations = read_occupations(DATA / "hr-core" / "source" / "families")
    titles = {normalise(title) for o in occupations for title in (o.title, *o.titles)}
    titles.remove("spread")  # slang for a plasterer
    words = " | ".join(map(normalise, TEXTS))
    assert [title for title in titles if f" {title} " in f" {words} "] == []


def test_the_scores_are_spread_evenly():
    assert set(Counter(row["score"] for row in PAIRS).values()) == {len(PAIRS) / 6}


def test_pairs_cannot_be_scored_by_counting_shared_words():
    overlap = {score: [] for score in range(6)}
    for row in PAIRS:
        first, second = (content_words(row[key]) for key in ("sentence1", "sentence2"))
        overlap[row["score"]].append(len(first & second) / len(first | second))
    assert sum(value >= 0.6 for score in (2, 3) for value in overlap[score]) >= 20  # negations, swapped roles
    assert sum(value <= 0.2 for score in (4, 5) for value in overlap[score]) >= 20  # paraphrases


def test_answers_hardly_repeat_their_question_but_distractors_do():
    questions = {query.id: query.text for query in HARD.queries}
    answers = [shared(text, DOCUMENTS[ANSWERS[key]].text) for key, text in questions.items()]
    distractors = [shared(questions[key], DOCUMENTS[other].text) for key, other in DISTRACTORS.items()]
    assert sum(answers) / len(answers) < 0.1
    assert max(answers) <= 0.5
    assert sum(distractors) / len(distractors) > 0.6


def test_a_lexical_search_does_not_solve_it():
    from hrembed.models.lexical import Bm25
    from hrembed.scoring.retrieval import score_task

    values = score_task(Bm25(), TASK, ["ndcg@10"])["ndcg@10"]
    hard = {query.id for query in HARD.queries}
    assert values[[query.id in hard for query in TASK.queries]].mean() < 0.2
    assert values[[query.id.endswith("-phrase") for query in TASK.queries]].mean() < 0.5


def test_building_it_again_gives_the_same_bytes(tmp_path: Path):
    shutil.copytree(CORE / "source", tmp_path / "source")
    counts = build(tmp_path)
    built = [p for p in CORE.rglob("*") if p.is_file() and "source" not in p.parts and p.name != "README.md"]
    for file in built:
        assert filecmp.cmp(file, tmp_path / file.relative_to(CORE), shallow=False), f"rebuild: {file}"
    assert sorted(p.relative_to(CORE).as_posix() for p in built) == sorted([*counts, "questions/qrels/test.tsv"])
    for name, count in counts.items():
        assert len((CORE / name).read_text(encoding="utf-8").splitlines()) == count


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda q, p: q["sea"].append({**q["sea"][0], "question": "Why?", "answer": "So."}), "this id stands twice"),
        (lambda q, p: q["sea"].append({**q["sea"][0], "id": "again", "answer": "So."}), "this text stands twice"),
        (lambda q, p: p["sea"][0].update(second=q["sea"][0]["question"].upper()), "this text stands twice"),
        (lambda q, p: p["sea"][0].update(score=6), "the score 6 of"),
        (lambda q, p: p["sea"][0].update(score=2.5), "the score 2.5 of"),
    ],
)
def test_a_broken_source_is_refused(tmp_path: Path, change, message):
    sources = {
        kind: yaml.safe_load((CORE / "source" / kind / "sea-and-space.yaml").read_text(encoding="utf-8"))
        for kind in ("questions", "similar")
    }
    change(sources["questions"], sources["similar"])
    for kind, content in sources.items():
        (tmp_path / "source" / kind).mkdir(parents=True)
        (tmp_path / "source" / kind / "a.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(DataError, match=message):
        build(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["source"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("Why? ||| Because.", "a.txt, line 2: this is not"),
        (
            "Why is it red? ||| colour of rust ||| Rust. It is iron.\nWhy? ||| red iron ||| Rust. So.",
            "this id stands twice",
        ),
    ],
)
def test_a_broken_line_of_passages_is_refused(tmp_path: Path, line, message):
    shutil.copytree(CORE / "source" / "questions", tmp_path / "source" / "questions")
    (tmp_path / "source" / "passages").mkdir()
    (tmp_path / "source" / "passages" / "a.txt").write_text(f"# metals\n{line}\n", encoding="utf-8")
    with pytest.raises(DataError, match=message):
        build(tmp_path)
