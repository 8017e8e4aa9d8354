"""Files as they are published or exported: what is there is used, counted, or refused with file and line."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hrembed.data.labelled import read_label_task, read_pair_task
from hrembed.data.layout import Form
from hrembed.data.pairs import read_numbered_pairs, read_pairs
from hrembed.data.read import read_task
from hrembed.errors import DataError
from hrembed.models.lexical import Bm25
from hrembed.records.tables import collecting
from hrembed.scoring.retrieval import score_task

if TYPE_CHECKING:
    from hrembed.records.tables import TableUse

DOCUMENTS = [
    {"_id": 1, "title": "Tailor", "text": "sews coats and repairs seams"},
    {"_id": 2, "title": "Mason", "text": "builds walls from stone"},
    {"_id": 3, "title": "Florist", "text": ""},
]
QUERIES = [
    {"_id": "a", "text": "who sews coats"},
    {"_id": "b", "text": "walls of stone"},
    {"_id": "c", "text": "florist"},
]
GOOD = {"a": {"1": 2}, "b": {"2": 1}, "c": {"3": 1}}


def jsonl(file: Path, rows: list[dict]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


def beir(folder: Path, qrels: str, *, name: str = "test.tsv", documents: list[dict] = DOCUMENTS) -> Path:
    jsonl(folder / "corpus.jsonl", documents)
    jsonl(folder / "queries.jsonl", QUERIES)
    (folder / "qrels").mkdir(exist_ok=True)
    (folder / "qrels" / name).write_text(qrels, encoding="utf-8")
    return folder


def notes_of(act) -> dict[str, TableUse]:
    tables: dict[str, TableUse] = {}
    with collecting(tables, lambda text: None):
        act()
    return {Path(file).name: use for file, use in tables.items()}


@pytest.mark.parametrize(
    ("name", "qrels"),
    [
        ("test.tsv", "query-id\tcorpus-id\tscore\na\t1\t2\nb\t2\t1\nc\t3\t1\n"),
        ("test.tsv", "a\t1\t2\nb\t2\t1\nc\t3\t1\n"),
        ("test.tsv", "a 0 1 2\nb 0 2 1\nc 0 3 1\n"),
        ("test.txt", "a\t0\t1\t2.0\nb\t0\t2\t1.0\nc\tQ0\t3\t1\n"),
        ("test.qrels", "a  0  1  2\nb  0  2  1\nc  0  3  1\n"),
        ("test.tsv", "q_id\tc_id\trelevance\na\t1\t2\nb\t2\t1\nc\t3\t1\n"),
        ("test.tsv", "topic\tjudge\trelevance\tdocno\na\tx\t2\t1\nb\tx\t1\t2\nc\ty\t1\t3\n"),
        ("test.tsv", "search\tprofile\tfit\na\t1\t2\nb\t2\t1\nc\t3\t1\n"),
        ("test.csv", "query_id,doc_id,label\na,1,2\nb,2,1\nc,3,1\n"),
        ("test.jsonl", "".join(json.dumps({"qid": q, "docid": int(d), "rel": g}) + "\n" for q, d, g in
                               [("a", 1, 2), ("b", 2, 1.0), ("c", 3, 1)])),
    ],
)  # fmt: skip
def test_judgements_are_read_in_the_forms_in_which_they_are_published(tmp_path, name, qrels):
    task = read_task(beir(tmp_path / "t", qrels, name=name))
    assert task.qrels == GOOD
    assert score_task(Bm25(), task, ["ndcg@10"])["ndcg@10"].tolist() == [1, 1, 1]


def test_negative_repeated_and_dangling_judgements_are_counted(tmp_path):
    lines = ["a\t1\t2", "a\t2\t-2", "b\t2\t1", "b\t2\t1", "c\t3\t1", "c\tgone\t1", "who\t1\t1"]
    folder = beir(tmp_path / "t", "\n".join(lines) + "\n")
    task = read_task(folder)
    assert task.qrels == {"a": {"1": 2, "2": 0}, "b": {"2": 1}, "c": {"3": 1}}
    notes = notes_of(lambda: read_task(folder))["test.tsv"].notes
    assert notes == (
        "skipped 1 of 7 judgements: the document is not in the corpus (first 'gone' on line 6); trec_eval counts them "
        "as not retrieved, so its scores are lower",
        "skipped 1 of 7 judgements: the query is not in the queries (first 'who' on line 7)",
        "grades below 0 are treated as 0 (1 in total)",
        "duplicate judgements with the same grade count once (1 in total)",
    )


@pytest.mark.parametrize(("first", "second"), [("2", "0"), ("1", "2.0"), ("1", "-1")])
def test_two_grades_for_one_document_are_refused_and_both_lines_named(tmp_path, first, second):
    folder = beir(tmp_path / "t", f"a\t1\t{first}\nb\t2\t1\na\t1\t{second}\n")
    with pytest.raises(
        DataError, match=r"test.tsv:3: conflicting judgements of document '1' for query 'a': \d on line 1, \d on line 3"
    ):
        read_task(folder)


def test_judgements_of_another_corpus_are_refused(tmp_path):
    with pytest.raises(DataError, match="2 of 3 judgements: the") as caught:
        read_task(beir(tmp_path / "t", "a\tD1\t1\nb\tD2\t1\nc\t3\t1\n"))
    assert "ids" in caught.value.hint
    with pytest.raises(DataError, match=r"test.tsv:1: relevance must be an integer, got '0.5'"):
        read_task(beir(tmp_path / "t", "a\t1\t0.5\n"))


def test_documents_without_a_text_count_and_are_never_found(tmp_path):
    empty = [*DOCUMENTS, {"_id": 4, "title": "", "text": ""}, {"_id": "5", "text": None}]
    folder = beir(tmp_path / "t", "a\t4\t1\nb\t2\t1\nc\t3\t1\n", documents=empty)
    task = read_task(folder)
    assert len(task.documents) == 5
    assert score_task(Bm25(), task, ["recall@5"])["recall@5"].tolist() == [0, 1, 1]
    assert (
        "2 of 5 documents have neither text nor title" in notes_of(lambda: read_task(folder))["corpus.jsonl"].notes[0]
    )


def test_a_group_of_zero_is_a_group(tmp_path):
    documents = [{**row, "group": 0} for row in DOCUMENTS]
    task = read_task(beir(tmp_path / "t", "a\t1\t1\n", documents=documents))
    assert {document.group for document in task.documents} == {"0"}
    (tmp_path / "p.jsonl").write_text('{"anchor": "x", "positive": "y", "group": 0}\n', encoding="utf-8")
    assert read_pairs(tmp_path / "p.jsonl")[0].group == "0"


def test_the_files_of_a_task_may_have_any_format(tmp_path):
    folder = beir(tmp_path / "t", "a\t1\t2\nb\t2\t1\nc\t3\t1\n")
    expected = read_task(folder)
    (folder / "corpus.jsonl").unlink()
    text = pa.array([row["text"] for row in DOCUMENTS])
    table = pa.table({"docno": [1, 2, 3], "title": [row["title"] for row in DOCUMENTS], "contents": text})
    pq.write_table(table, folder / "corpus.parquet")
    queries = "qid\tquery\n" + "".join(f"{row['_id']}\t{row['text']}\n" for row in QUERIES)
    (folder / "queries.jsonl").unlink()
    (folder / "queries.tsv.gz").write_bytes(gzip.compress(queries.encode()))
    read = read_task(folder)
    assert (read.queries, read.documents, read.qrels) == (expected.queries, expected.documents, expected.qrels)


def test_a_split_of_scored_pairs_is_used_and_an_unknown_one_is_refused(tmp_path):
    rows = [
        {"sentence1": f"x{n}", "sentence2": f"y{n}", "score": n % 3, "split": "dev" if n < 4 else "test"}
        for n in range(9)
    ]
    file = jsonl(tmp_path / "s.jsonl", rows)
    assert len(read_pair_task(file, "s", split="dev").first) == 4
    with pytest.raises(
        DataError, match=r"no rows with split 'tset' \(did you mean 'test'\?\); available: 'dev', 'test'"
    ):
        read_pair_task(file, "s", split="tset")
    assert notes_of(lambda: read_pair_task(file, "s"))["s.jsonl"].unused == ("split",)
    (tmp_path / "s.csv").write_text("sentence1,sentence2,score\nx,y,1\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"s.csv:1: column 'split' not found"):
        read_pair_task(tmp_path / "s.csv", "s", split="dev")


@pytest.mark.parametrize("values", [[0, 1], [0.0, 1.0], [False, True], ["x", "y"]])
def test_labels_may_be_whole_numbers_and_truth_values(tmp_path, values):
    file = jsonl(tmp_path / "l.jsonl", [{"text": f"text {n}", "label": values[n % 2]} for n in range(4)])
    labels = read_label_task(file, "l", "classification").labels
    assert len(set(labels)) == 2
    pq.write_table(pa.table({"sentence": ["a", "b"], "labels": values}), tmp_path / "l.parquet")
    assert read_label_task(tmp_path / "l.parquet", "l", "classification").labels == labels[:2]


def test_numbered_negatives_and_lists_of_positives_are_used(tmp_path):
    rows = [{"query": "x", "pos": ["p", "q"], "neg": ["n"]}, {"query": "y", "pos": ["r"], "neg": ["m", "o"]}]
    pairs = read_numbered_pairs(jsonl(tmp_path / "flag.jsonl", rows))
    assert [(number, pair.anchor, pair.positive, pair.negatives) for number, pair in pairs] == [
        (1, "x", "p", ("n",)), (1, "x", "q", ("n",)), (2, "y", "r", ("m", "o")),
    ]  # fmt: skip
    numbered = {"anchor": "x", "positive": "p", **{f"negative_{n}": f"n{n}" for n in (10, 2, 1)}}
    assert read_pairs(jsonl(tmp_path / "n.jsonl", [numbered]))[0].negatives == ("n1", "n2", "n10")
    (tmp_path / "n.csv").write_text("Query;Document;hard_negative_1;note\nx;p;n;?\n", encoding="utf-8")
    assert read_pairs(tmp_path / "n.csv")[0].negatives == ("n",)
    assert notes_of(lambda: read_pairs(tmp_path / "n.csv"))["n.csv"].unused == ("note",)


def test_scored_sentences_are_no_pairs_unless_the_settings_say_so(tmp_path):
    (tmp_path / "s.csv").write_text("sentence1,sentence2,label\nx,p,1\nx,q,0\n", encoding="utf-8")
    with pytest.raises(
        DataError,
        match=r"s.csv:2: columns 'sentence1', 'sentence2' and 'label' contain scored pairs",
    ) as caught:
        read_pairs(tmp_path / "s.csv")
    assert "hrembed data import table" in caught.value.hint
    named = Form(columns={"anchor": "sentence1", "positive": "sentence2"})
    assert len(read_pairs(tmp_path / "s.csv", form=named)) == 2
    assert read_pair_task(tmp_path / "s.csv", "s").scores.tolist() == [1, 0]


@pytest.mark.parametrize("marker", ["N/A", "nan", "NULL", "-", "#NAME?", " None ", "<NA>"])
def test_markers_of_missing_values_are_no_texts_and_no_groups(tmp_path, marker):
    rows = [{"anchor": "x", "positive": "p", "group": marker}, {"anchor": "y", "positive": marker, "group": "g"}]
    file = jsonl(tmp_path / "m.jsonl", rows)
    (pair,) = read_pairs(file)
    assert (pair.anchor, pair.group) == ("x", "")
    assert (
        "skipped 1 row: the text is a missing-value marker such as N/A or nan"
        in notes_of(lambda: read_pairs(file))["m.jsonl"].notes[0]
    )


def test_a_column_named_in_the_settings_must_be_there(tmp_path):
    (tmp_path / "p.csv").write_text("anchor,positive\nx,p\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"p.csv:1: column 'job' not found"):
        read_pairs(tmp_path / "p.csv", form=Form(columns={"group": "job"}))
    (tmp_path / "o.csv").write_text("title,text\nx,p\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"column 'anchor' not found; available: 'title', 'text'") as caught:
        read_pairs(tmp_path / "o.csv")
    assert f"hrembed data import table {tmp_path / 'o.csv'} --set columns.anchor=NAME" in caught.value.hint


def test_a_document_that_stands_twice_counts_once_unless_its_contents_differ(tmp_path):
    folder = beir(tmp_path / "t", "a\t1\t1\n", documents=[*DOCUMENTS, DOCUMENTS[0]])
    assert len(read_task(folder).documents) == len(DOCUMENTS)
    assert notes_of(lambda: read_task(folder))["corpus.jsonl"].notes == (
        "1 duplicate row with the same contents, counted once",
    )
    folder = beir(tmp_path / "u", "a\t1\t1\n", documents=[*DOCUMENTS, {**DOCUMENTS[0], "text": "another"}])
    with pytest.raises(
        DataError, match=r"corpus\.jsonl:\d+: duplicate id '1' \(first on line 1\) with different contents"
    ):
        read_task(folder)


def test_columns_of_pairs_are_known_in_other_spellings(tmp_path):
    file = tmp_path / "pairs.csv"
    file.write_text("Query,Document,Group,Anchor ID\na,b,g,1\n", encoding="utf-8")
    (pair,) = read_pairs(file)
    assert (pair.anchor, pair.positive, pair.group, pair.anchor_id) == ("a", "b", "g", "1")
