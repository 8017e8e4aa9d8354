"""The deployed search as a system: what it ranks is what `match` ranks, and other documents are refused or indexed."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hrembed.cli.app import main
from hrembed.config.parts import ModelSection
from hrembed.data.read import read_task
from hrembed.errors import DataError, ModelError
from hrembed.runs.workspace import Workspace
from hrembed.scoring.encoders import open_encoder
from hrembed.scoring.index_system import Stimuli, open_index_system
from hrembed.scoring.retrieval import rank_task
from searching import text_index

if TYPE_CHECKING:
    from pathlib import Path

    from hrembed.types import Task


@pytest.fixture
def read(task: Path) -> Task:
    return read_task(task)


@pytest.fixture
def index(read: Task, tmp_path: Path) -> Path:
    texts = {document.id: document.text for document in read.documents}
    return text_index(tmp_path / "idx", texts, {"ward": [n % 2 for n in range(len(texts))]})


def system(index: Path, tmp_path: Path, settings: dict[str, Any] | None = None, **given: Any):
    section = {"ref": f"index:{index}"}
    if settings is not None:
        (tmp_path / "match.yaml").write_text(json.dumps(settings), encoding="utf-8")
        section["search"] = str(tmp_path / "match.yaml")
    return open_index_system(ModelSection.model_validate(section), Workspace(tmp_path), **given)


@pytest.mark.parametrize("backend", ["exact", "lancedb"])
def test_a_task_is_ranked_as_the_model_alone_ranks_it(read: Task, tmp_path: Path, backend: str):
    """Cosines alone: the same order and scores to 1e-6."""
    if backend == "lancedb":
        pytest.importorskip("lance")
    texts = {document.id: document.text for document in read.documents}
    index = text_index(tmp_path / "idx", texts, {}, backend=backend)
    alone = rank_task(open_encoder(ModelSection(ref="wordllama"), Workspace(tmp_path)), read)
    deployed = rank_task(system(index, tmp_path), read)
    np.testing.assert_array_equal(deployed.documents[:, : alone.documents.shape[1]], alone.documents)
    np.testing.assert_allclose(deployed.scores[:, : alone.scores.shape[1]], alone.scores, atol=1e-6)


def test_match_and_the_system_give_one_order(read: Task, index: Path, tmp_path: Path, capsys):
    deployed = rank_task(system(index, tmp_path, {"stages": {"bm25": True}}), read)
    for row, query in enumerate(read.queries):
        words = ["match", query.text, "--index", str(index), "--bm25", "--runs-dir", str(tmp_path / "runs"), "--json"]
        assert main(words) == 0
        found = json.loads(capsys.readouterr().out)["metrics"]["candidates"]
        expected = [read.documents[n].id for n in deployed.documents[row] if n >= 0]
        assert [each["id"] for each in found] == expected
        np.testing.assert_allclose([each["fused"] for each in found], deployed.scores[row, : len(found)], atol=1e-6)


def test_what_a_condition_or_the_depth_keeps_out_is_not_ranked(read: Task, index: Path, tmp_path: Path):
    ranking = rank_task(system(index, tmp_path, {"where": ["ward=1"], "stages": {"depth": 2}}), read)
    assert ((ranking.documents >= 0).sum(axis=1) == 2).all()
    assert set(ranking.documents[ranking.documents >= 0] % 2) == {1}


def test_rows_that_are_not_the_documents_are_refused_with_the_commands(read: Task, index: Path, tmp_path: Path):
    deployed = system(index, tmp_path)
    fewer = replace(read, documents=read.documents[:-1])
    with pytest.raises(DataError, match="does not hold the documents of") as err:
        rank_task(deployed, fewer)
    assert "hrembed encode CORPUS --model wordllama --keep text" in err.value.hint
    first = replace(read.documents[0], text="another text")
    with pytest.raises(DataError, match="holds other texts than"):
        rank_task(deployed, replace(read, documents=(first, *read.documents[1:])))
    with pytest.raises(DataError, match="its own candidates"):
        rank_task(deployed, replace(read, candidates={query.id: () for query in read.queries}))


def test_other_documents_are_indexed_with_the_same_settings(index: Path, tmp_path: Path):
    """As an audit does: a temporary index, whose scores are those of the model where nothing else ranks."""
    queries, documents = ["nurse on the ward", "bread"], ["dresses wounds on the ward", "bakes bread", "bakes bread"]
    alone = open_encoder(ModelSection(ref="wordllama"), Workspace(tmp_path)).similarity(queries, documents)
    found = system(index, tmp_path).similarity(queries, documents)
    everything = slice(0, 2), slice(0, 3)
    np.testing.assert_allclose(found.block(*everything), alone.block(*everything), atol=1e-6)
    np.testing.assert_array_equal(found.block(slice(1, 2), np.array([2, 0])), found.block(*everything)[1:, [2, 0]])
    fused = system(index, tmp_path, {"stages": {"bm25": True}}).similarity(queries, documents).block(*everything)
    assert fused.max() <= 2 / 61
    assert fused[1].argmax() in {1, 2}


def test_a_later_stage_gives_ranks(index: Path, tmp_path: Path):
    settings = {"score": {"windows": [2]}, "stages": {"rescore": 2}}
    scores = system(index, tmp_path, settings).similarity(["bread"], ["bakes bread", "oil", "wounds"]).matrix
    assert sorted(scores[0], reverse=True) == pytest.approx([1, 1 / 2, 1 / 3])


def test_redaction_is_part_of_the_search(read: Task, tmp_path: Path):
    """The deployed index was encoded from redacted texts: what is measured is redacted as well."""
    texts = {document.id: document.text for document in read.documents}
    index = text_index(tmp_path / "idx", texts, {}, anonymised=True)
    documents = ["jane@example.org\nbakes bread", "mary@example.org\nbakes bread"]
    plain = text_index(tmp_path / "plain", texts, {})
    redacted = system(index, tmp_path).similarity(["bread"], documents).block(slice(0, 1), slice(0, 2))[0]
    as_is = system(plain, tmp_path).similarity(["bread"], documents).block(slice(0, 1), slice(0, 2))[0]
    assert redacted[0] == pytest.approx(redacted[1], abs=1e-6)
    assert abs(as_is[0] - as_is[1]) > 1e-3


def test_conditions_need_columns_of_what_is_measured(index: Path, tmp_path: Path):
    settings = {"where": ["ward=1"]}
    with pytest.raises(DataError, match="have no column 'ward'"):
        system(index, tmp_path, settings).similarity(["bread"], ["bakes bread"])
    stimuli = Stimuli({"ward": "int64"}, {"bakes bread": {"ward": 1}, "sells bread": {"ward": 2}})
    found = system(index, tmp_path, settings, stimuli=stimuli).similarity(["bread"], ["sells bread", "bakes bread"])
    scores = found.block(slice(0, 1), slice(0, 2))[0]
    assert scores[0] == -1
    assert scores[1] > 0


def test_a_search_has_no_vectors(index: Path, tmp_path: Path):
    with pytest.raises(ModelError, match="is a search, which has no vectors") as err:
        system(index, tmp_path).vectors(["text"], "query")
    assert "wordllama" in err.value.hint


def test_the_identity_is_that_of_all_that_ranks(index: Path, tmp_path: Path):
    plain = system(index, tmp_path).identity
    others = [{"stages": {"bm25": True}}, {"stages": {"depth": 7}}, {"where": ["ward=1"]}, {"score": {"windows": [2]}}]
    identities = [plain, *(system(index, tmp_path, each).identity for each in others)]
    assert len(set(identities)) == len(identities)
    assert system(index, tmp_path).identity == plain


def test_eval_measures_the_search_beside_its_model(task: Path, index: Path, tmp_path: Path, capsys):
    (tmp_path / "match.yaml").write_text(json.dumps({"where": ["ward=1"]}), encoding="utf-8")
    models = (
        f"[wordllama, 'index:{index}', {{ref: 'index:{index}', search: {tmp_path / 'match.yaml'}, name: filtered}}]"
    )
    given = ["--set", f"models={models}", "--set", f"tasks=[{{path: {task}}}]", "--set", "baselines=[]"]
    given += ["--set", "retention=[]", "--set", "worst=0", "--set", "robustness.changes=[]"]
    assert main(["eval", *given, "--runs-dir", str(tmp_path / "runs"), "--json"]) == 0
    (scores,) = json.loads(capsys.readouterr().out)["metrics"]["scores"].values()
    values = {name: each["ndcg@10"]["value"] for name, each in scores.items()}
    alone, deployed, filtered = values.values()
    assert deployed == pytest.approx(alone, abs=1e-9)
    assert filtered < alone
    assert [*values][2] == "filtered"


def test_bias_audit_measures_the_search(stimuli: dict[str, Path], index: Path, tmp_path: Path, capsys):
    (tmp_path / "match.yaml").write_text(json.dumps({"stages": {"bm25": True}}), encoding="utf-8")
    shared = [f"stimuli.{kind}={path}" for kind, path in stimuli.items()] + ["fail_on=never", "controls=false"]
    shared += ["stimuli.names_per_cell=4", "cues=[]"]
    gaps = {}
    for name, model in {
        "alone": "{ref: wordllama}",
        "deployed": f"{{ref: 'index:{index}'}}",
        "fused": f"{{ref: 'index:{index}', search: {tmp_path / 'match.yaml'}}}",
    }.items():
        words = [word for each in [*shared, f"model={model}"] for word in ("--set", each)]
        code = main(["bias-audit", *words, "--runs-dir", str(tmp_path / name), "--json"])
        shown = capsys.readouterr()
        assert code == 0, shown.err
        gaps[name] = json.loads(shown.out)["metrics"]["gates"]
    for alone, deployed in zip(gaps["alone"], gaps["deployed"], strict=True):
        assert deployed["worst"]["effect"]["value"] == pytest.approx(alone["worst"]["effect"]["value"], abs=1e-3)
    assert gaps["fused"] != gaps["alone"]


def test_what_has_no_effect_is_refused(tmp_path: Path, capsys):
    for words, said in (
        ("models=[{ref: wordllama, search: match.yaml}]", "`search` has no effect with `wordllama`"),
        ("models=[{ref: 'index:x', score: {windows: [2]}}]", "remove `score`"),
    ):
        assert main(["eval", "--set", words, "--runs-dir", str(tmp_path)]) == 2
        assert said in " ".join(capsys.readouterr().err.split())
