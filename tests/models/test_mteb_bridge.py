"""Our tasks in mteb, mteb's tasks here, and our scores in mteb's files. No network: a socket would be an error."""

from __future__ import annotations

import csv
import hashlib
import json
import math
import os
import random
import shutil
import socket
import subprocess
import sys
from importlib import import_module
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hrembed.data.from_mteb import read_mteb
from hrembed.data.locate import shipped_root
from hrembed.data.read import read_task
from hrembed.errors import DataError
from hrembed.evaluation.task_result import content_subset, task_result_json, write_task_results
from hrembed.progress import Silent
from hrembed.types import LabelTask, PairTask, Task

from conftest import jsonl

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("ignore")  # mteb's own; what is compared is numbers

DATA = shipped_root() / "data"
CORE = DATA / "hr-core"


class Notes(Silent):
    def __init__(self):
        self.said = []

    def note(self, text):
        self.said.append(text)


class Oracle:
    """An encoder of mteb's whose vectors are looked up."""

    def __init__(self, vectors: dict[str, Any]):
        from mteb.models.model_meta import ModelMeta

        self.vectors = vectors
        self.mteb_model_meta = ModelMeta.create_empty({"name": "hrembed/oracle", "revision": "1"})

    def encode(self, inputs, **_):
        rows = [self.vectors[text] for batch in inputs for text in batch["text"]]
        return np.asarray(rows, dtype=np.float32)

    def similarity(self, first, second):
        import torch

        return torch.as_tensor(np.asarray(first)) @ torch.as_tensor(np.asarray(second)).T

    def similarity_pairwise(self, first, second):
        import torch

        return torch.as_tensor((np.asarray(first) * np.asarray(second)).sum(axis=1))


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*_):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture(autouse=True)
def registry(monkeypatch):
    """What a test registers is gone after it."""
    import hrembed.mteb as ours

    monkeypatch.setattr(ours._tasks, "_TASKS_REGISTRY", dict(ours._tasks._TASKS_REGISTRY))
    monkeypatch.setattr(ours._tasks, "TASK_LIST", ours._tasks.TASK_LIST)
    return ours


def scores(model, task, cache=None):
    import mteb

    found = mteb.evaluate(model, task, cache=cache, show_progress_bar=False).task_results[0]
    return {split: rows[0] for split, rows in found.scores.items()}


def ndcg_by_another_library(model, task: Task) -> float:
    import pytrec_eval

    queries, documents = (model.encode([t.text for t in side]) for side in (task.queries, task.documents))
    queries, documents = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (queries, documents))
    ranked = {
        query.id: {d.id: float(score) for d, score in zip(task.documents, row, strict=True)}
        for query, row in zip(task.queries, queries @ documents.T, strict=True)
    }
    judged = {query: dict(grades) for query, grades in task.qrels.items()}
    found = pytrec_eval.RelevanceEvaluator(judged, {"ndcg_cut.10"}).evaluate(ranked)
    return float(np.mean([found[query.id]["ndcg_cut_10"] for query in task.queries]))


def tiny(folder: Path):
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(folder), device="cpu")


def test_our_tasks_are_found_and_run_like_any_other(tiny_model: Path):
    import mteb

    (task,) = mteb.get_tasks(tasks=["HrCoreTitle"])
    model = tiny(tiny_model)
    found = scores(model, task)
    for split in ("dev", "test"):
        expected = ndcg_by_another_library(model, read_task(CORE / split / "title"))
        assert found[split]["main_score"] == pytest.approx(expected, abs=1e-5)
    assert abs(found["dev"]["main_score"] - found["test"]["main_score"]) > 0.01  # two corpora
    listed = {t.metadata.name for t in mteb.get_tasks(languages=["eng"], domains=["Constructed"])}
    assert {"HrCoreAdProfile", "HrCoreSkill", "HrCoreTitle", "HrCoreBiasLanguage", "HrCoreFamilies"} <= listed


def test_metadata_are_filled():
    import mteb

    for name in ("HrCoreAdProfile", "HrCoreBiasLanguage", "HrCoreFamilies"):
        task = mteb.get_task(name)
        metadata = task.metadata
        empty = {field for field in type(metadata).model_fields if getattr(metadata, field) is None}
        assert empty == {"reference", "adapted_from", "superseded_by"}
        assert (metadata.license, task.languages, metadata.is_public) == ("apache-2.0", ["eng"], True)
        assert len(metadata.revision) == 64
        assert task.hf_subsets == [content_subset(metadata.revision)]
    assert mteb.get_task("HrCoreAdProfile").eval_splits == ["dev", "test"]


def test_classification_has_the_labels_of_the_files():
    import mteb

    rows = {
        split: [json.loads(line) for line in (CORE / "bias-language" / f"{split}.jsonl").open(encoding="utf-8")]
        for split in ("train", "dev", "test")
    }
    truth = {row["text"]: row["label"] for split in rows.values() for row in split}
    vectors = {text: [1.0, 0.0] if label == "biased" else [0.0, 1.0] for text, label in truth.items()}
    perfect = scores(Oracle(vectors), mteb.get_task("HrCoreBiasLanguage"))
    assert {split: row["main_score"] for split, row in perfect.items()} == {"dev": 1.0, "test": 1.0}
    # A quarter of dev told the wrong way round costs a quarter of the accuracy there and nothing on test.
    for row in rows["dev"][::4]:
        vectors[row["text"]] = vectors[row["text"]][::-1]
    worse = scores(Oracle(vectors), mteb.get_task("HrCoreBiasLanguage"))
    assert {split: row["accuracy"] for split, row in worse.items()} == {"dev": 0.75, "test": 1.0}
    # Average precision is of finding what is biased: half of it is found without an error, the rest only with all.
    assert [row["label"] for row in rows["dev"][::4]] == ["biased"] * 24
    assert worse["dev"]["ap"] == pytest.approx(0.5 * 1 + 0.5 * 0.5)

    dev, test = read_mteb("HrCoreBiasLanguage", None, Silent())
    assert isinstance(dev, LabelTask)
    assert (dev.name, test.name, dev.goal) == ("HrCoreBiasLanguage/dev", "HrCoreBiasLanguage/test", "classification")
    assert [(t.text, label) for t, label in zip(dev.texts, dev.labels, strict=True)] == [
        (row["text"], row["label"]) for row in rows["train"] + rows["dev"]
    ]
    assert dev.train is not None
    assert dev.train.tolist() == [True] * len(rows["train"]) + [False] * len(rows["dev"])
    assert len({text.id for text in dev.texts}) == len(dev.texts)
    assert "biased or neutral" in dev.instruction


def test_clustering_is_by_family():
    import mteb

    with (CORE / "occupations.csv").open(encoding="utf-8", newline="") as stream:
        truth = {row["title"]: row["family"] for row in csv.DictReader(stream)}
    families = sorted(set(truth.values()))
    vectors = {title: np.eye(len(families))[families.index(family)] for title, family in truth.items()}
    assert scores(Oracle(vectors), mteb.get_task("HrCoreFamilies"))["test"]["v_measure"] == pytest.approx(1.0)
    (task,) = read_mteb("HrCoreFamilies", None, Silent())
    assert isinstance(task, LabelTask)
    assert (task.goal, task.train) == ("clustering", None)
    assert dict(zip([t.text for t in task.texts], task.labels, strict=True)) == truth


@pytest.mark.parametrize("folder", ["ad-profile", "title", "skill"])
def test_a_task_comes_back_as_it_went(folder):
    name = {"ad-profile": "HrCoreAdProfile", "title": "HrCoreTitle", "skill": "HrCoreSkill"}[folder]
    for split, back in zip(("dev", "test"), read_mteb(name, None, Silent()), strict=True):
        task = read_task(CORE / split / folder)
        assert isinstance(back, Task)
        assert back.name == f"{name}/{split}"
        assert [(q.id, q.text) for q in back.queries] == [(q.id, q.text) for q in task.queries]
        assert [(d.id, d.text) for d in back.documents] == [(d.id, d.text) for d in task.documents]
        assert back.qrels == task.qrels
        assert back.candidates is None
        assert back.instruction.startswith("Given a ")
    (only,) = read_mteb(name, "dev", Silent())
    assert only.name == f"{name}/dev"


def test_a_task_of_the_users_folder(task: Path, tiny_model: Path, registry):
    import mteb

    shutil.copy(task / "qrels" / "test.tsv", task / "qrels" / "dev.tsv")
    both = registry.retrieval_task(task, "Mine")
    registry.register(both)
    assert mteb.get_task("Mine").eval_splits == ["dev", "test"]
    registry.register(registry.retrieval_task(task, "Mine", "test"))  # its own name may be given again
    found = mteb.get_task("Mine")
    assert found.eval_splits == ["test"]
    assert [t.metadata.name for t in registry._tasks.TASK_LIST].count("Mine") == 1
    model = tiny(tiny_model)
    assert scores(model, found)["test"]["ndcg_at_10"] == pytest.approx(
        ndcg_by_another_library(model, read_task(task, "test")), abs=1e-5
    )
    with pytest.raises(DataError, match="mteb has a task called 'STSBenchmark'"):
        registry.register(registry.retrieval_task(task, "STSBenchmark"))
    with pytest.raises(DataError, match="no split 'train'"):
        registry.retrieval_task(task, "Mine", "train")
    shutil.rmtree(task / "qrels")
    with pytest.raises(DataError, match="has no folder `qrels`"):
        registry.retrieval_task(task, "Mine")


def test_a_revision_is_of_the_content(task: Path, tmp_path: Path, registry):
    first = registry.retrieval_task(task, "Mine")
    shutil.copytree(task, tmp_path / "elsewhere")
    assert registry.retrieval_task(tmp_path / "elsewhere", "Mine").metadata.revision == first.metadata.revision
    made = first()
    qrels = task / "qrels" / "test.tsv"
    qrels.write_text(qrels.read_text(encoding="utf-8").replace("q1\td1\t2", "q1\td1\t1"), encoding="utf-8")
    assert registry.retrieval_task(task, "Mine").metadata.revision != first.metadata.revision
    with pytest.raises(DataError, match="the data of task 'Mine' changed since it was made"):
        made.load_data()


def test_candidates_are_all_that_is_ranked(task: Path, registry, monkeypatch):
    plain = read_task(task)
    candidates = {"q1": ("d3", "d2"), "q2": ("d1", "d2"), "q3": ("d4",), "q4": ()}
    given = Task(plain.name, plain.queries, plain.documents, plain.qrels, candidates)
    monkeypatch.setattr(registry, "read_task", lambda *_: given)
    registry.register(registry.retrieval_task(task, "Mine"))
    import mteb

    # All texts are equal to the oracle but d3, which it likes most.
    vectors = {t.text: [1.0] for t in (*given.queries, *given.documents)}
    vectors[next(d.text for d in given.documents if d.id == "d3")] = [2.0]
    found = scores(Oracle(vectors), mteb.get_task("Mine"))["test"]
    # Recall: q1 has d2 of d1, d2; q2 both; q3 has d4 of d3, d4; q4 nothing.
    assert found["recall_at_10"] == pytest.approx((0.5 + 1 + 0.5 + 0) / 4)
    # Rank of the first relevant one: q1 2 (d3 is before), q2 1, q3 1.
    assert found["mrr_at_10"] == pytest.approx((0.5 + 1 + 1 + 0) / 4)
    (back,) = read_mteb("Mine", None, Silent())
    assert back.candidates == candidates


def test_general_core_is_there_when_its_folder_is(task: Path, tmp_path: Path, registry):
    from scipy.stats import spearmanr

    import mteb

    data = tmp_path / "data"
    shutil.copytree(CORE, data / "hr-core")
    before = {made.metadata.name: made.metadata.revision for made in registry._shipped(data)}
    assert not {"GeneralCoreQuestions", "GeneralCoreSimilar"} & set(before)
    shutil.copytree(task, data / "general-core" / "questions")
    grades = [0.0, 1.5, 3.0, 5.0, 4.0]
    rows = [{"sentence1": f"first {n}", "sentence2": f"second {n}", "score": s} for n, s in enumerate(grades)]
    jsonl(data / "general-core" / "similar" / "test.jsonl", rows)
    registry.register_shipped(data)
    cosines = [0.1, 0.9, 0.3, 0.8, 0.85]
    vectors = {f"first {n}": [1.0, 0.0] for n in range(5)}
    vectors |= {f"second {n}": [c, math.sqrt(1 - c * c)] for n, c in enumerate(cosines)}
    found = scores(Oracle(vectors), mteb.get_task("GeneralCoreSimilar"))["test"]
    assert found["main_score"] == pytest.approx(spearmanr(grades, cosines)[0], abs=1e-6)
    (pairs,) = read_mteb("GeneralCoreSimilar", None, Silent())
    assert isinstance(pairs, PairTask)
    assert pairs.scores.tolist() == grades
    assert [(a.text, b.text) for a, b in zip(pairs.first, pairs.second, strict=True)] == [
        (row["sentence1"], row["sentence2"]) for row in rows
    ]
    (questions,) = read_mteb("GeneralCoreQuestions", None, Silent())
    assert questions.qrels == read_task(task).qrels
    # The tasks of hr-core are those of this root now.
    assert mteb.get_task("HrCoreTitle").places["dev"] == data / "hr-core" / "dev" / "title"
    assert mteb.get_task("HrCoreTitle").metadata.revision == before["HrCoreTitle"]


# --- mteb's tasks here


def local_task(base: str, kind: str, dataset: Any, langs: Any = None, /, load_error: Any = None, **attributes: Any):
    """Register a task as mteb's own are: it loads what is given."""
    import hrembed.mteb as ours
    from mteb.abstasks.task_metadata import TaskMetadata

    module, _, name = base.partition(":")
    metadata = TaskMetadata(
        name="Theirs", description="made for a test", type=kind, category="t2t", main_score="ndcg_at_10",
        eval_langs=langs or ["eng-Latn"], dataset={"path": "local", "revision": "1"},
        prompt=attributes.pop("prompt", None), modalities=attributes.pop("modalities", ["text"]),
        eval_splits=attributes.pop("eval_splits", ["test"]),
    )  # fmt: skip

    def load_data(self, num_proc=None, **_):
        if load_error is not None:
            raise load_error
        self.dataset, self.data_loaded = dataset, True

    parent = getattr(import_module(f"mteb.abstasks.{module}"), name)
    made = type("Theirs", (parent,), {"metadata": metadata, "load_data": load_data, **attributes})
    ours._tasks._TASKS_REGISTRY["Theirs"] = made
    return made


def retrieval(corpus, queries, qrels, ranked=None):
    from datasets import Dataset

    return {
        "corpus": Dataset.from_list(corpus),
        "queries": Dataset.from_list(queries),
        "relevant_docs": qrels,
        "top_ranked": ranked,
    }


CORPUS = [
    {"id": "a", "title": "Nurse", "text": " dresses wounds "},
    {"id": "b", "title": "", "text": " bakes bread "},
    {"id": "q1", "title": "Copy", "text": "of a query"},
]
QUERIES = [{"id": "q1", "text": "ward"}, {"id": "q2", "text": "oven"}, {"id": "q3", "text": "not judged"}]


def test_retrieval_is_read_as_mteb_reads_it():
    from mteb._create_dataloaders import _retrieval_texts
    from mteb.types import PromptType

    asked = [{**row, "instruction": f"about {row['id']}"} for row in QUERIES]
    qrels = {"q1": {"a": 2, "q1": 1, "gone": 1}, "q2": {"b": 1, "a": -1}, "q3": {}}
    data = retrieval(CORPUS, asked, qrels)
    local_task("retrieval:AbsTaskRetrieval", "Retrieval", {"default": {"test": data}}, prompt={"query": "Find it"})
    notes = Notes()
    (task,) = read_mteb("Theirs", None, notes)
    assert task.name == "Theirs/test"
    assert task.instruction == "Find it"
    texts = {d.id: d.text for d in task.documents}
    assert [texts[row["id"]] for row in CORPUS] == _retrieval_texts(data["corpus"], PromptType.document)
    assert texts["a"] == "Nurse  dresses wounds"
    assert [d.id for d in task.documents] == sorted(texts, key=lambda key: hashlib.sha256(key.encode()).digest())
    assert [q.text for q in task.queries] == _retrieval_texts(data["queries"], PromptType.query)[:2]
    assert task.qrels == {"q1": {"a": 2, "q1": 1}, "q2": {"b": 1, "a": 0}}
    assert task.candidates is None
    assert notes.said == ["Theirs/test: 1 judgements are of documents that are not in the corpus; left out"]


def test_a_document_with_the_id_of_the_query_is_no_candidate_where_mteb_ignores_it():
    data = {"default": {"test": retrieval(CORPUS, QUERIES, {"q1": {"a": 1}, "q2": {"b": 1}})}}
    made = local_task("retrieval:AbsTaskRetrieval", "Retrieval", data, ignore_identical_ids=True)
    (task,) = read_mteb("Theirs", None, Silent())
    assert task.instruction == made.abstask_prompt
    assert set(task.candidates["q1"]) == {"a", "b"}
    assert set(task.candidates["q2"]) == {"a", "b", "q1"}
    # The oracle puts q1's copy first; mteb takes it out, so that `a` is first, as it is among the candidates.
    vectors = {text: [1.0] for text in ("Nurse  dresses wounds", "bakes bread", "ward", "oven", "not judged")}
    vectors |= {"Copy of a query": [9.0], "Nurse  dresses wounds": [2.0]}
    assert scores(Oracle(vectors), made())["test"]["mrr_at_1"] == 0.5
    data["default"]["test"]["queries"] = retrieval(CORPUS, QUERIES[1:], {})["queries"]
    (task,) = read_mteb("Theirs", None, Silent())
    assert task.candidates is None  # no query has the id of a document


def test_reranking_has_candidates_that_are_in_the_corpus():
    ranked = {"q1": ["b", "a", "b", "gone"], "q3": ["a"]}
    data = retrieval(CORPUS, QUERIES, {"q1": {"a": 1}, "q2": {"b": 1}}, ranked)
    local_task("retrieval:AbsTaskRetrieval", "Reranking", {"default": {"test": data}})
    (task,) = read_mteb("Theirs", None, Silent())
    assert task.candidates == {"q1": ("b", "a"), "q2": ()}


def test_only_english_subsets_are_read_and_the_filters_of_the_task_hold(monkeypatch):
    from datasets import Dataset

    import mteb

    def pairs(word):
        return Dataset.from_dict({"left": [word], "right": ["x"], "score": [1]})

    data = {lang: {"test": pairs(lang), "dev": pairs(f"{lang} dev")} for lang in ("en", "us", "de", "en-de")}
    langs = {"en": ["eng-Latn"], "us": ["eng-Latn"], "de": ["deu-Latn"], "en-de": ["eng-Latn", "deu-Latn"]}
    made = local_task("sts:AbsTaskSTS", "STS", data, langs, column_names=("left", "right"))
    read = read_mteb("Theirs", None, Silent())
    assert [(task.name, task.first[0].text) for task in read] == [("Theirs/en/test", "en"), ("Theirs/us/test", "us")]
    assert [task.first[0].text for task in read_mteb("Theirs", "dev", Silent())] == ["en dev", "us dev"]
    with pytest.raises(DataError, match="task 'Theirs' has no split 'train'; it has test, dev"):
        read_mteb("Theirs", "train", Silent())

    only_us = made().filter_languages(None, hf_subsets=["us", "de"])
    other = mteb.get_task("SprintDuplicateQuestions")
    german = made().filter_languages(["deu"], hf_subsets=["de"])
    benchmark = SimpleNamespace(tasks=[other, only_us, german])
    monkeypatch.setattr(mteb, "get_benchmark", lambda name: benchmark)
    notes = Notes()
    (task,) = read_mteb("Some benchmark", None, notes)
    assert task.name == "Theirs/us/test"
    assert only_us.hf_subsets == ["us", "de"]  # the benchmark's own task is left as it was
    assert notes.said == [
        "Some benchmark: left out SprintDuplicateQuestions, which is of the kind PairClassification",
        "Some benchmark: left out Theirs, which is in deu",
    ]
    benchmark.tasks = [other]
    with pytest.raises(DataError, match="benchmark 'Some benchmark' has no task that can be read"):
        read_mteb("Some benchmark", None, Silent())


def test_a_real_benchmark_is_read_task_by_task(monkeypatch):
    """`MTEB(eng, v2)`: which tasks are asked for, without their data."""
    import hrembed.data.from_mteb as module

    asked = []
    monkeypatch.setattr(module, "_read", lambda task, split, progress: asked.append(task) or [object()])
    notes = Notes()
    read_mteb("MTEB(eng, v2)", None, notes)
    names = {task.metadata.name: task for task in asked}
    assert len(names) == 37  # 41, without three of pair classification and one of summaries
    assert len(notes.said) == 4
    assert (names["STS17"].hf_subsets, names["STS22.v2"].hf_subsets) == (["en-en"], ["en"])
    assert {"STSBenchmark", "ArguAna", "AskUbuntuDupQuestions", "Banking77Classification"} <= set(names)
    asked.clear()
    read_mteb("CQADupstackRetrieval", None, notes)  # twelve in one
    assert len(asked) == 12


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("SprintDuplicateQuestions", "is of the kind PairClassification"),
        ("GermanQuAD-Retrieval", "is in deu"),
        ("MNIST", "is of the kind ImageClassification"),
    ],
)
def test_what_cannot_be_read_is_said_before_anything_is_loaded(name, reason):
    with pytest.raises(DataError, match=reason) as caught:
        read_mteb(name, None, Silent())
    assert "retrieval, reranking, STS" in caught.value.hint


def test_texts_with_pictures_cannot_be_read():
    local_task("retrieval:AbsTaskRetrieval", "Retrieval", {}, modalities=["text", "image"])
    with pytest.raises(DataError, match="task 'Theirs' is about text and image"):
        read_mteb("Theirs", None, Silent())


def test_cross_validation_has_no_division_and_long_training_is_drawn(monkeypatch):
    import hrembed.data.from_mteb as module
    from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

    features = Features({"text": Value("string"), "label": ClassLabel(names=["no", "yes"])})
    train = Dataset.from_dict({"text": [f"t{n}" for n in range(50)], "label": [n % 2 for n in range(50)]}, features)
    test = Dataset.from_dict({"text": ["x", "y"], "label": [1, 0]}, features)
    data = DatasetDict(train=train, test=test)
    local_task("classification:AbsTaskClassification", "Classification", data)
    monkeypatch.setattr(module, "_MOST_TRAINING", 20)
    notes = Notes()
    (task,) = read_mteb("Theirs", None, notes)
    assert task.train.sum() == 20
    assert task.labels[20:] == ("yes", "no")
    kept = [int(text.text[1:]) for text in task.texts[:20]]
    assert kept == sorted(set(kept))
    assert task.labels[:20] == tuple("yes" if n % 2 else "no" for n in kept)
    assert notes.said == ["Theirs/test: 20 of 50 training texts were drawn"]
    local_task(
        "classification:AbsTaskClassification", "Classification", data, is_cross_validation=True, eval_splits=["train"]
    )
    (task,) = read_mteb("Theirs", None, Silent())
    assert (task.train, len(task.texts)) == (None, 50)


def test_levels_of_labels_are_tasks_of_their_own():
    from datasets import Dataset

    rows = {"sentences": ["a", "b", "c"], "labels": [["x", "1"], ["x", "2"], ["y"]]}
    data = {"test": Dataset.from_dict(rows)}
    local_task("clustering:AbsTaskClustering", "Clustering", data, max_fraction_of_documents_to_embed=None)
    top, below = read_mteb("Theirs", None, Silent())
    assert (top.name, top.labels) == ("Theirs/test/level-0", ("x", "x", "y"))
    assert (below.name, below.labels, [t.text for t in below.texts]) == ("Theirs/test/level-1", ("1", "2"), ["a", "b"])
    local_task("clustering:AbsTaskClustering", "Clustering", data, max_fraction_of_documents_to_embed=None, max_depth=1)
    (top,) = read_mteb("Theirs", None, Silent())
    assert top.name == "Theirs/test"


def test_the_same_texts_are_clustered_that_mteb_draws():
    from datasets import Dataset

    texts = [f"text {n}" for n in range(100)]
    data = {"test": Dataset.from_dict({"sentences": texts, "labels": [n % 2 for n in range(100)]})}
    made = local_task("clustering:AbsTaskClustering", "Clustering", data, max_fraction_of_documents_to_embed=0.2)
    made.metadata.main_score = "v_measure"
    (task,) = read_mteb("Theirs", None, Silent())
    embedded = []

    class Listening(Oracle):
        def encode(self, inputs, **_):
            embedded.extend(text for batch in inputs for text in batch["text"])
            return np.random.default_rng(0).normal(size=(len(embedded), 3)).astype(np.float32)

    scores(Listening({}), made())
    assert [text.text for text in task.texts] == embedded
    assert len(embedded) == 20
    assert embedded == random.Random(42).sample(texts, 20)


def test_sets_of_older_clustering_tasks_are_tasks_of_their_own():
    from datasets import Dataset

    data = {"test": Dataset.from_dict({"sentences": [["a", "b"], ["c"]], "labels": [[1, 2], [1]]})}
    local_task("clustering_legacy:AbsTaskClusteringLegacy", "Clustering", data)
    first, second = read_mteb("Theirs", None, Silent())
    assert (first.name, first.labels, [t.text for t in first.texts]) == ("Theirs/test/set-0", ("1", "2"), ["a", "b"])
    assert (second.name, second.labels) == ("Theirs/test/set-1", ("1",))


@pytest.mark.parametrize(
    ("name", "close"),
    [("STSBenchmarc", "STSBenchmark"), ("HrCoreTitel", "HrCoreTitle"), ("MTEB(eng,v2)", r"MTEB\(eng, v2\)")],
)
def test_an_unknown_name_gets_the_nearest(name, close):
    with pytest.raises(DataError, match=rf"\(did you mean '{close}'\?\)"):
        read_mteb(name, None, Silent())


def offline_error():
    from huggingface_hub.errors import OfflineModeIsEnabled

    err = ConnectionError("Couldn't reach 'mteb/x' on the Hub (LocalEntryNotFoundError)\nsecond line")
    err.__cause__ = OfflineModeIsEnabled("offline")
    return err


def gated_error():
    from datasets.exceptions import DatasetNotFoundError

    return DatasetNotFoundError("Dataset 'x' is a gated dataset on the Hub. You must be authenticated to access it.")


def missing_error():
    from datasets.exceptions import DatasetNotFoundError

    return DatasetNotFoundError("Dataset 'x' doesn't exist on the Hub or cannot be accessed.")


@pytest.mark.parametrize(
    ("error", "told", "hint"),
    [
        (offline_error, "ConnectionError: Couldn't reach 'mteb/x' on the Hub", "is there a network, and is HF_HUB_OFF"),
        (gated_error, "DatasetNotFoundError: Dataset 'x' is a gated dataset", "accept the terms on the dataset's page"),
        (missing_error, "DatasetNotFoundError: Dataset 'x' doesn't exist", "the dataset is private or gone"),
        (lambda: RuntimeError(), "cannot be loaded: RuntimeError", "does `mteb run` load this task"),
        (lambda: ValueError("aggregated"), "ValueError: aggregated", "does `mteb run` load this task"),
    ],
    ids=["offline", "gated", "missing", "silent", "other"],
)
def test_data_that_cannot_be_had_is_one_sentence_and_what_to_do(error, told, hint):
    local_task("sts:AbsTaskSTS", "STS", {}, load_error=error())
    with pytest.raises(DataError) as caught:
        read_mteb("Theirs", None, Silent())
    assert str(caught.value).startswith("mteb task 'Theirs' cannot be loaded: ")
    assert told in str(caught.value)
    assert "second line" not in str(caught.value)
    assert hint in caught.value.hint


def test_what_really_happens_offline(tmp_path: Path):
    """`datasets` and the Hub's client as they are, in a process that starts offline with an empty cache."""
    code = (
        "from hrembed.data.from_mteb import read_mteb\n"
        "from hrembed.errors import DataError\n"
        "from hrembed.progress import Silent\n"
        "for name in ('STSBenchmark', 'ArguAna'):\n"
        "    try: read_mteb(name, None, Silent())\n"
        "    except DataError as err: print(err, '|', err.hint)\n"
    )
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path), "MTEB_CACHE": str(tmp_path / "mteb")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=True)
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    for name, line in zip(("STSBenchmark", "ArguAna"), lines, strict=True):
        assert line.startswith(f"mteb task '{name}' cannot be loaded: ")
        assert "is there a network, and is HF_HUB_OFFLINE unset?" in line


# --- our scores in mteb's files


def test_mteb_reads_our_results_and_tells_checkpoints_apart(tmp_path: Path):
    import mteb

    def of(split, value, name="HrCoreTitle"):
        revision = mteb.get_task(name).metadata.revision
        return task_result_json(
            task=name, split=split, data_hash=revision, scores={"ndcg@10": value, "map": math.nan}, main="ndcg@10",
            seconds=1.5, subset=content_subset(revision),
        )  # fmt: skip

    places = [
        write_task_results(tmp_path, "final", "a" * 64, [of("dev", 0.25), of("test", 0.5)]),
        write_task_results(tmp_path, "final", "b" * 64, [of("dev", 0.75), of("test", math.nan)]),
    ]
    one = mteb.TaskResult.from_disk(places[0] / "HrCoreTitle.json")
    assert one.get_score() == pytest.approx(0.375)
    assert one.scores["dev"][0]["ndcg_at_10"] == 0.25
    assert math.isnan(one.scores["dev"][0]["map_at_1000"])
    assert one.evaluation_time == 3.0
    assert one.date is not None
    one.to_disk(tmp_path / "again.json")  # what mteb writes of it is what stands there
    again = json.loads((tmp_path / "again.json").read_text(encoding="utf-8"))
    ours = json.loads((places[0] / "HrCoreTitle.json").read_text(encoding="utf-8"))
    assert json.dumps(again, sort_keys=True) == json.dumps(ours, sort_keys=True)

    loaded = mteb.ResultCache(tmp_path).load_results(tasks=[mteb.get_task("HrCoreTitle")], validate_and_filter=True)
    found = {m.model_name: m.task_results[0].get_score(splits=["dev"]) for m in loaded.model_results}
    assert found == {"hrembed/final-" + "a" * 12: 0.25, "hrembed/final-" + "b" * 12: 0.75}
    joined = loaded.join_revisions()
    assert {m.model_name for m in joined.model_results} == set(found)
    table = joined.to_dataframe()
    assert table.filter(like="final-a").iloc[0, 0] == pytest.approx(0.375)


def test_the_card_of_a_model_is_one_of_mteb(tmp_path: Path):
    from mteb.models.model_meta import ModelMeta

    place = write_task_results(tmp_path, "final", "a" * 64, [])
    text = (place / "model_meta.json").read_text(encoding="utf-8")
    meta = ModelMeta.model_validate_json_resolved(text)
    assert (meta.name, meta.revision) == ("hrembed/final-" + "a" * 12, "a" * 64)
    theirs = ModelMeta.create_empty({"name": meta.name, "revision": meta.revision}).to_dict()
    theirs.pop("is_cross_encoder")  # deprecated: mteb warns when it reads it
    assert json.loads(text) == json.loads(json.dumps(theirs, default=str))


def test_a_score_that_we_wrote_has_the_names_of_mteb(tiny_model: Path, task: Path, registry):
    """The keys of a real run, for every metric of ours."""
    found = scores(tiny(tiny_model), registry.retrieval_task(task, "Mine")())["test"]
    names = ["ndcg@10", "map", "map@10", "mrr@10", "recall@100", "precision@5", "hit@10"]
    written = task_result_json(
        task="Mine", split="test", data_hash="0", scores=dict.fromkeys(names, 0.5), main="map", seconds=0.0
    )["scores"]["test"][0]
    assert set(written) - {"hrembed_version"} <= set(found)
