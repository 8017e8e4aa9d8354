"""Our tasks in mteb, mteb's tasks here, and our scores in mteb's files. No network: a socket would be an error."""

from __future__ import annotations

import csv
import json
import math
import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hrembed.data.from_mteb import read_mteb
from hrembed.data.locate import shipped_root
from hrembed.data.read import read_task
from hrembed.errors import DataError
from hrembed.evaluation.task_result import SplitScores, content_subset, write_task_results
from hrembed.progress import Silent
from hrembed.types import LabelTask, PairTask, Task
from mteb_tasks import Oracle, scores

from conftest import jsonl

if TYPE_CHECKING:
    from pathlib import Path


pytestmark = [
    pytest.mark.usefixtures("no_network", "registry"),
    pytest.mark.filterwarnings("ignore"),  # mteb's own; what is compared is numbers
]


DATA = shipped_root() / "data"
CORE = DATA / "hr-core"


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
    with pytest.raises(DataError, match="mteb already has a task named 'STSBenchmark'"):
        registry.register(registry.retrieval_task(task, "STSBenchmark"))
    with pytest.raises(DataError, match="no split 'train'; available"):
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
    with pytest.raises(DataError, match="the data of task 'Mine' has changed since it was created"):
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


def test_mteb_reads_our_results_and_tells_checkpoints_apart(tmp_path: Path):
    import mteb

    def of(split, value, name="HrCoreTitle"):
        revision = mteb.get_task(name).metadata.revision
        return SplitScores(
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
    result = SplitScores("Mine", "test", "0", dict.fromkeys(names, 0.5), "map", seconds=0.0)
    place = write_task_results(task.parent, "tiny", "0", [result])
    (written,) = json.loads((place / "Mine.json").read_text(encoding="utf-8"))["scores"]["test"]
    assert set(written) - {"hrembed_version"} <= set(found)
