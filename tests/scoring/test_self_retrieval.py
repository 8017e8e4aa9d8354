"""Queries that are documents of the corpus do not find themselves, unless that is asked for."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hrembed.models.lexical import Bm25, TfIdf
from hrembed.scoring.measures import _undecided, _without_shared_words
from hrembed.scoring.retrieval import rank_task, score_task
from hrembed.scoring.self_retrieval import exclude_self
from hrembed.types import LabelTask, Task, Text

JOBS = {
    "job-1": "night nurse on the ward",
    "job-2": "nurse on the ward",
    "job-3": "pastry cook in a bakery",
    "job-4": "cook in a bakery",
}
TWINS = {"job-1": "job-2", "job-2": "job-1", "job-3": "job-4", "job-4": "job-3"}


def similar_jobs(prefix: str = "") -> Task:
    texts = tuple(Text(prefix + key, text) for key, text in JOBS.items())
    qrels = {prefix + query: {prefix + document: 1} for query, document in TWINS.items()}
    return Task("jobs", texts, texts, qrels)


def ndcg(task: Task) -> float:
    return float(score_task(TfIdf(), task, ["ndcg@10"])["ndcg@10"].mean())


def test_a_row_of_the_corpus_is_left_out_of_its_own_ranking_and_that_is_said():
    assert ndcg(exclude_self(similar_jobs(), False)) == pytest.approx(0.631, abs=1e-3)
    task = exclude_self(similar_jobs(), None)
    assert ndcg(task) == 1
    assert "4 of 4 queries are also documents of the corpus; each is excluded" in task.warnings[0]
    ranking = rank_task(TfIdf(), task, depth=2)
    for row, query in enumerate(task.queries):
        assert query.id not in [task.documents[n].id for n in ranking.documents[row] if n >= 0]
    assert (ranking.documents[:, :1] >= 0).all()


def test_candidates_and_grades_lose_the_query_as_well():
    task = similar_jobs()
    qrels = {query: {**judged, query: 0} for query, judged in task.qrels.items()}
    judged = exclude_self(replace(task, qrels=qrels, candidates=dict.fromkeys(JOBS, tuple(JOBS))), None)
    assert judged.qrels == similar_jobs().qrels
    assert judged.candidates is not None
    assert all(query not in listed for query, listed in judged.candidates.items())
    assert ndcg(judged) == 1


def test_ids_that_coincide_and_own_answers_stay():
    numbers = tuple(Text(str(n), text) for n, text in enumerate(JOBS.values()))
    other = tuple(Text(str(n), f"who is a {word}") for n, word in enumerate(("nurse", "carer", "cook", "baker")))
    counted = Task("t", other, numbers, {str(n): {str(n): 1} for n in range(4)})
    assert exclude_self(counted, None) is counted
    assert exclude_self(counted, True).excluded == frozenset("0123")
    own = similar_jobs()
    own = exclude_self(replace(own, qrels={key: {key: 1} for key in JOBS}), None)
    assert not own.excluded
    assert "judged relevant to themselves" in own.warnings[0]


def test_what_was_asked_for_and_changes_nothing_is_said():
    task = replace(similar_jobs(), queries=(Text("q", "nurse"),), qrels={"q": {"job-1": 1}})
    assert (
        "`exclude_self` has no effect, because no query has the id of a document"
        in exclude_self(task, True).warnings[0]
    )


def test_a_lexical_baseline_reads_both_normal_forms_and_shows_where_it_is_blind():
    composed, decomposed = "caf\u00e9 in Z\u00fcrich", "cafe\u0301 in Zu\u0308rich"
    documents = (Text("d1", "office in Bern"), Text("d2", decomposed), Text("d3", "shop"))
    task = Task("t", (Text("q", composed),), documents, {"q": {"d2": 1}})
    for encoder in (Bm25(), TfIdf()):
        assert score_task(encoder, task, ["mrr@10"])["mrr@10"][0] == 1
        assert _undecided(rank_task(encoder, task)) == 0
    joined = tuple(Text(f"d{n}", text) for n, text in enumerate(("護士夜班工作", "廚師麵包店", "汽車維修")))
    blind = Task("t", (Text("q", "護士"),), joined, {"q": {"d0": 1}})
    assert _undecided(rank_task(Bm25(), blind)) == 1


def test_words_that_no_other_text_holds_are_counted_for_labels():
    texts = tuple(Text(str(n), text) for n, text in enumerate(("護士夜班", "廚師麵包", "red oak", "red elm")))
    task = LabelTask("t", "classification", texts, ("a", "b", "a", "b"))
    assert _without_shared_words(TfIdf(), task) == 2
    assert _without_shared_words(Bm25(), task) is None


@pytest.mark.parametrize("encoder", [Bm25(), TfIdf()])
def test_documents_of_signs_or_stop_words_alone_score_zero(encoder):
    similarity = encoder.similarity(["nurse", "the"], ["!!!", "???"])
    assert similarity.shape == (2, 2)
    assert (similarity.block(slice(None), slice(None)) == 0).all()
    if encoder.name == "tfidf":
        assert encoder.vectors(["!!!", "?"], "query").sum() == 0
