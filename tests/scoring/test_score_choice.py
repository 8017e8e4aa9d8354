"""What `score: auto` chooses, on which task, and where it stands afterwards."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hrembed.commands.bias_audit.run import run_bias_audit
from hrembed.commands.eval.run import run_evaluate
from hrembed.config.bias_audit import AuditConfig
from hrembed.config.eval import EvalConfig
from hrembed.config.export import ExportConfig
from hrembed.config.finetune import FinetuneConfig
from hrembed.config.parts import ModelSection, ScoreSection
from hrembed.errors import ConfigError, DataError
from hrembed.records.manifest import Scoring
from hrembed.runs.past import read_run
from hrembed.runs.workspace import Workspace
from hrembed.scoring.encoders import open_encoder
from hrembed.scoring.past_evals import evaluated_models
from hrembed.scoring.score_choice import WEIGHTS, WINDOWS
from pydantic import ValidationError

from conftest import DOCUMENTS, QUERIES, jsonl

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def dev(tmp_path: Path) -> Path:
    """Sentences that name what they look for among much else; the documents are those of `task`."""
    folder = tmp_path / "dev"
    jsonl(folder / "corpus.jsonl", [{"_id": key, "text": text} for key, text in DOCUMENTS.items()])
    asked = {"a": "we look for somebody who repairs brakes", "b": "early in the morning: bakes bread, and so on"}
    jsonl(folder / "queries.jsonl", [{"_id": key, "text": text} for key, text in asked.items()])
    (folder / "qrels").mkdir()
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\na\td3\t1\nb\td5\t1\n", encoding="utf-8")
    return folder


def evaluated(model: dict, task: Path, runs: Path, **settings):
    config = EvalConfig(
        models=[model], baselines=[], tasks=[{"path": str(task)}], worst=0, bootstrap={"resamples": 100}, **settings
    )
    result = run_evaluate(config, Workspace(runs))
    return result, read_run(next((runs / "eval").iterdir()))


def test_the_best_of_all_ways_is_taken_recorded_and_used_again(tiny_model, task, dev, tmp_path):
    score = {"windows": "auto", "lexical": "auto", "dev": {"path": str(dev)}, "metric": "mrr"}
    section = {"ref": f"path:{tiny_model}", "score": score}
    result, run = evaluated(section, task, tmp_path / "runs")
    (scoring,) = result.metrics.scorings.values()
    choice = scoring.choice
    assert (choice.task, choice.metric, choice.queries) == ("dev/test", "mrr", 2)
    assert [(trial.windows, trial.lexical) for trial in choice.tried] == [(w, x) for w in WINDOWS for x in WEIGHTS]
    best = max(choice.tried, key=lambda trial: trial.mean)
    assert (scoring.windows, scoring.lexical) == (best.windows, best.lexical)
    assert best.mean > choice.tried[0].mean
    assert "dev/test" in run.manifest.inputs
    (entry,) = run.manifest.models.values()
    assert entry.scoring == scoring
    (past,) = evaluated_models(run)  # what gate and compare open: chosen already
    assert open_encoder(past.section, Workspace(tmp_path / "runs")).identity == entry.identity
    assert "windows" in result.tables["How models score"][0]["score"] or best.windows == ()
    plain = open_encoder(ModelSection(ref=f"path:{tiny_model}"), Workspace(tmp_path / "runs"))
    assert plain.identity != entry.identity


def test_each_trial_is_what_an_evaluation_with_that_scoring_gives(tiny_model, task, dev, tmp_path):
    ref = f"path:{tiny_model}"
    score = {"windows": [2], "lexical": "auto", "dev": {"path": str(dev)}, "side": "document"}
    result, _ = evaluated({"ref": ref, "score": score}, task, tmp_path / "chosen")
    (scoring,) = result.metrics.scorings.values()
    for trial in scoring.choice.tried[:2]:
        fixed = {"windows": trial.windows, "lexical": trial.lexical, "side": "document"}
        there, _ = evaluated({"ref": ref, "score": fixed}, dev, tmp_path / f"{trial.lexical}", metrics=["map"])
        ((scores),) = there.metrics.scores["dev/test"].values()
        assert trial.mean == pytest.approx(scores["map"].value)


def test_a_dev_task_with_a_query_of_the_test_is_refused(tiny_model, task, tmp_path):
    section = {"ref": f"path:{tiny_model}", "score": {"lexical": "auto", "dev": {"path": str(task)}}}
    with pytest.raises(DataError, match="on which `score` would be chosen, so its scores would be biased") as caught:
        evaluated(section, task, tmp_path / "runs")
    assert "score.dev" in caught.value.hint


def test_a_dev_task_must_rank_documents(tiny_model, task, tmp_path):
    rated = tmp_path / "rated.csv"
    rated.write_text("sentence1,sentence2,score\na,b,1\nc,d,2\n", encoding="utf-8")
    section = {"ref": f"path:{tiny_model}", "score": {"lexical": "auto", "dev": {"path": str(rated)}}}
    with pytest.raises(DataError, match="is not a single ranking task, so `score` cannot be chosen on it"):
        evaluated(section, task, tmp_path / "runs")


def test_elsewhere_nothing_is_chosen(tiny_model, dev, tmp_path):
    section = ModelSection(ref=f"path:{tiny_model}", score={"lexical": "auto", "dev": {"path": str(dev)}})
    with pytest.raises(ConfigError, match="has not been chosen yet"):
        open_encoder(section, Workspace(tmp_path))


@pytest.mark.parametrize(
    ("score", "says"),
    [
        ({"windows": "auto"}, "`auto` needs a task that is not reported; set it as `dev`"),
        ({"side": "document"}, "`side` has no effect without `windows`"),
        ({"windows": [3], "lexical_kind": "bm25"}, "`lexical_kind` has no effect without `lexical`"),
        ({"windows": [3], "dev": {"path": "x"}}, "`dev` has no effect without"),
        ({"lexical": 0.5, "metric": "mrr"}, "`metric` has no effect without"),
        ({"windows": [0]}, "window sizes must be between 1 and 64 tokens"),
        ({"lexical": -1}, "weights must not be negative"),
    ],
)
def test_settings_that_nobody_would_read_are_refused(score, says):
    with pytest.raises(ValidationError, match=says):
        ScoreSection.model_validate(score)


@pytest.mark.parametrize("ref", ["bm25", "char-tfidf", "trec:rankings"])
def test_only_models_with_vectors_are_scored_in_another_way(ref):
    with pytest.raises(ValidationError, match="has its own scores"):
        ModelSection(ref=ref, score={"lexical": 0.5})


@pytest.mark.parametrize("ref", ["openai:m", "vectors:v.parquet"])
def test_a_model_of_whole_vectors_takes_a_lexical_part_and_no_windows(ref):
    assert ModelSection(ref=ref, score={"lexical": 0.5}).score.lexical == 0.5
    with pytest.raises(ValidationError, match="token windows are not available"):
        ModelSection(ref=ref, score={"windows": [3]})


@pytest.mark.parametrize("schema", [FinetuneConfig, ExportConfig])
def test_commands_that_use_vectors_alone_refuse_a_scoring(schema):
    with pytest.raises(ValidationError, match="only embeddings are used here, so `score` has no effect; remove it"):
        schema(model={"ref": "minilm", "score": {"windows": [3]}})


def test_a_teacher_is_asked_for_vectors_alone():
    loss = {"name": "embedding-distillation", "teacher": {"ref": "minilm", "score": {"lexical": 1}}}
    with pytest.raises(ValidationError, match="only embeddings are used here, so `score` has no effect; remove it"):
        FinetuneConfig(sources=[{"loss": loss}])


def test_settings_survive_the_record():
    for scoring in (
        Scoring(),
        Scoring(windows=(3, 4), side="document"),
        Scoring(lexical=0.5, lexical_kind="bm25"),
        Scoring(windows=(2,), lexical=0.3),
    ):
        section = ScoreSection.of(scoring)
        again = ScoreSection.model_validate(json.loads(section.model_dump_json()))
        assert again == section
        assert (again.windows, again.lexical) == (scoring.windows, scoring.lexical)
    assert (
        Scoring(windows=(3, 4), lexical=0.5).in_words == "best window of 3 and 4 tokens of each query + 0.5 char-tfidf"
    )


def test_every_ranked_task_is_split_by_shared_words(tiny_model, task, tmp_path):
    queries = [{"_id": key, "text": text, "group": group} for key, (text, group) in QUERIES.items()]
    queries[3]["text"] = "croissants"
    jsonl(task / "queries.jsonl", queries)
    result, _ = evaluated({"ref": f"path:{tiny_model}"}, task, tmp_path / "runs", slices={"by": ["length"]})
    rows = {row.slice: row for row in result.metrics.slices["task/test"]["shared-words"].rows}
    assert {name: row.queries for name, row in rows.items()} == {"shares a word": 3, "shares no word": 1}
    assert np.isfinite(rows["shares no word"].score.value)  # a single query is shown, with its number
    (shown,) = result.tables["Queries with and without a word of their answer"]
    assert "(1 query)" in shown["shares no word"]


def test_an_audit_audits_the_scoring_and_says_what_it_is_no_part_of(tiny_model, stimuli, tmp_path):
    def audit(runs: str, score: dict):
        config = AuditConfig(
            model={"ref": f"path:{tiny_model}", "score": score},
            stimuli={key: str(path) for key, path in stimuli.items()},
            fail_on="never",
            bootstrap={"resamples": 100},
        )
        return run_bias_audit(config, Workspace(tmp_path / runs)).metrics

    plain, scored = audit("plain", {}), audit("scored", {"windows": [3], "lexical": 0.5})
    assert plain.scoring is None
    assert scored.scoring == Scoring(windows=(3,), lexical=0.5)
    assert plain.attributes["gender"] != scored.attributes["gender"]
    assert plain.leakage == scored.leakage
    assert "look at whole vectors" in scored.notice
    assert "look at whole vectors" not in plain.notice
