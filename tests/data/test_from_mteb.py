"""Tasks of mteb as tasks of ours: what is read, what is not, and what is said when data cannot be had."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
from importlib import import_module
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hrembed.data.from_mteb import read_mteb
from hrembed.errors import DataError
from hrembed.progress import Silent
from mteb_tasks import Oracle, scores

if TYPE_CHECKING:
    from pathlib import Path


pytestmark = [
    pytest.mark.usefixtures("no_network", "registry"),
    pytest.mark.filterwarnings("ignore"),  # mteb's own; what is compared is numbers
]


class Notes(Silent):
    def __init__(self):
        self.said = []

    def note(self, text):
        self.said.append(text)


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
    assert notes.said == ["Theirs/test: ignoring 1 judgement of documents that are not in the corpus"]


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
    with pytest.raises(DataError, match="mteb task 'Theirs' has no split 'train'; available: test, dev"):
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
        "Some benchmark: skipping SprintDuplicateQuestions, which has the type PairClassification",
        "Some benchmark: skipping Theirs, which is in deu",
    ]
    benchmark.tasks = [other]
    with pytest.raises(DataError, match="mteb benchmark 'Some benchmark' has no supported task"):
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
        ("SprintDuplicateQuestions", "has the type PairClassification"),
        ("GermanQuAD-Retrieval", "is in deu"),
        ("MNIST", "has the type ImageClassification"),
    ],
)
def test_what_cannot_be_read_is_said_before_anything_is_loaded(name, reason):
    with pytest.raises(DataError, match=reason) as caught:
        read_mteb(name, None, Silent())
    assert "retrieval, reranking, STS" in caught.value.hint


def test_texts_with_pictures_cannot_be_read():
    local_task("retrieval:AbsTaskRetrieval", "Retrieval", {}, modalities=["text", "image"])
    with pytest.raises(DataError, match="task 'Theirs' uses text and image"):
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
    assert notes.said == ["Theirs/test: sampled 20 of 50 training texts"]
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
        (offline_error, "ConnectionError: Couldn't reach 'mteb/x' on the Hub", "it must be downloaded once"),
        (gated_error, "DatasetNotFoundError: Dataset 'x' is a gated dataset", "accept the terms on the dataset's page"),
        (missing_error, "DatasetNotFoundError: Dataset 'x' doesn't exist", "the dataset is private or was deleted"),
        (lambda: RuntimeError(), "cannot load mteb task", "check whether `mteb run` can load this task in the same"),
        (lambda: ValueError("aggregated"), "ValueError: aggregated", "check whether `mteb run` can load this task"),
    ],
    ids=["offline", "gated", "missing", "silent", "other"],
)
def test_data_that_cannot_be_had_is_one_sentence_and_what_to_do(error, told, hint):
    local_task("sts:AbsTaskSTS", "STS", {}, load_error=error())
    with pytest.raises(DataError) as caught:
        read_mteb("Theirs", None, Silent())
    assert str(caught.value).startswith("cannot load mteb task 'Theirs'")
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
        assert line.startswith(f"cannot load mteb task '{name}'")
        assert "it must be downloaded once; check the network connection and HF_HUB_OFFLINE" in line
