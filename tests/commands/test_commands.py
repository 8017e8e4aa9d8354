"""The commands end to end, on models that need no weights."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hrembed.cli.app import main
from hrembed.commands.bias_audit.run import run_bias_audit
from hrembed.commands.eval.run import run_evaluate
from hrembed.commands.select.run import run_select
from hrembed.config.bias_audit import AuditConfig, LimitsSection, StimuliSection
from hrembed.config.eval import EvalConfig
from hrembed.config.parts import BootstrapSection, ModelSection, TaskSection
from hrembed.config.select import (
    ConstraintsSection,
    CostSection,
    ProbeSection,
    ScoresSection,
    SelectConfig,
)
from hrembed.errors import DataError, InconclusiveError, ThresholdError
from hrembed.files import sha256
from hrembed.runs.workspace import Workspace

TFIDF = ModelSection(ref="tfidf")


@pytest.fixture
def eval_config(task: Path) -> EvalConfig:
    return EvalConfig(models=(TFIDF,), baselines=("bm25",), tasks=(TaskSection(path=str(task)),))


@pytest.fixture
def audit_config(stimuli: dict[str, Path]) -> AuditConfig:
    return AuditConfig(
        model=TFIDF,
        stimuli=StimuliSection(**{k: str(v) for k, v in stimuli.items()}),
        fail_on="never",
        cues=(),
        self_check=0,
    )


def read(run: str, name: str = "metrics.json"):
    return json.loads((Path(run) / name).read_text(encoding="utf-8"))


def test_eval_writes_scores_differences_and_every_query(eval_config: EvalConfig, tmp_path: Path):
    result = run_evaluate(eval_config, Workspace(tmp_path / "runs"))
    metrics = read(result.run)
    scores = metrics["scores"]["task/test"]
    assert set(scores) == {"tfidf", "bm25"}
    assert set(scores["tfidf"]) == {"ndcg@10", "map", "mrr@10", "recall@100"}
    assert scores["tfidf"]["mrr@10"]["value"] == 1.0
    assert scores["tfidf"]["mrr@10"]["unit"] == "groups"
    assert scores["tfidf"]["mrr@10"]["n"] == 3  # nurse, mechanic, baker
    (difference,) = metrics["differences"]
    assert (difference["model"], difference["reference"], difference["metric"]) == ("bm25", "tfidf", "ndcg@10")
    rows = pq.read_table(Path(result.run) / "per_query.parquet").to_pydict()
    assert rows["query"] == ["q1", "q2", "q3", "q4"] * 2
    assert np.mean(rows["ndcg@10"][:4]) == pytest.approx(scores["tfidf"]["ndcg@10"]["value"])


def test_the_run_folder_explains_itself(eval_config: EvalConfig, tmp_path: Path):
    run = Path(run_evaluate(eval_config, Workspace(tmp_path / "runs")).run)
    manifest = read(str(run), "manifest.json")
    assert manifest["status"] == "ok"
    assert manifest["error"] is None
    assert manifest["seeds"] == {"bootstrap": 13, "robustness": 13}
    assert manifest["versions"]["sentence-transformers"]
    assert manifest["models"]["bm25"]["identity"].startswith("bm25s ")
    assert manifest["inputs"]["task/test"]["sha256"] == sha256(Path(eval_config.tasks[0].path))
    written = {name.split("/")[0] for name in manifest["outputs"]}
    assert written == {
        "cases.json",
        "config.yaml",
        "metrics.json",
        "mteb",
        "per_query.parquet",
        "scores.svg",
        "timings.json",
        "trec",
    }
    for name, digest in manifest["outputs"].items():
        assert sha256(run / name) == digest


def test_the_config_of_a_run_repeats_it_byte_for_byte(eval_config: EvalConfig, tmp_path: Path, capsys):
    first = Path(run_evaluate(eval_config, Workspace(tmp_path / "runs")).run)
    assert main(["eval", str(first / "config.yaml"), "--runs-dir", str(tmp_path / "runs"), "--quiet"]) == 0
    second = Path(capsys.readouterr().out.strip())
    assert second != first
    for name in ("config.yaml", "metrics.json", "per_query.parquet"):
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_the_same_model_twice_keeps_two_rows(eval_config: EvalConfig, tmp_path: Path):
    config = eval_config.model_copy(update={"models": (TFIDF, TFIDF), "baselines": ()})
    metrics = read(run_evaluate(config, Workspace(tmp_path)).run)
    assert set(metrics["scores"]["task/test"]) == {"tfidf#1", "tfidf#2"}
    assert metrics["differences"][0]["difference"]["value"] == 0.0
    assert metrics["differences"][0]["p_value"] == 1.0


def test_the_order_of_the_corpus_does_not_change_a_score(eval_config: EvalConfig, task: Path, tmp_path: Path):
    """A model that scores all documents alike must not profit from relevant ones that come first in the file."""
    queries = (task / "queries.jsonl").read_text(encoding="utf-8")
    (task / "queries.jsonl").write_text(queries.replace("car mechanic, brakes and engines", "zzz"), encoding="utf-8")
    before = read(run_evaluate(eval_config, Workspace(tmp_path / "a")).run)
    lines = (task / "corpus.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (task / "corpus.jsonl").write_text("".join(reversed(lines)), encoding="utf-8")
    assert read(run_evaluate(eval_config, Workspace(tmp_path / "b")).run) == before


def test_json_prints_one_object_and_nothing_else(task: Path, tmp_path: Path, capsys):
    argv = ["eval", "--set", "models=[{ref: tfidf}]", "--set", f"tasks=[{{path: {task}}}]", "--set", "baselines=[]"]
    assert main([*argv, "--runs-dir", str(tmp_path / "runs"), "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert set(content) == {"run", "status", "metrics"}
    assert content["metrics"] == read(content["run"])


def test_a_lexical_model_that_sees_every_name_alike_passes_the_gap(audit_config: AuditConfig, tmp_path: Path):
    """No name shares a word with a job, and all names are equally long: nothing can differ."""
    result = run_bias_audit(audit_config, Workspace(tmp_path))
    metrics = read(result.run)
    assert metrics["names"] == 16
    for found in metrics["attributes"].values():
        assert found["gap_verdict"] == "pass"
        assert all(gap["effect"]["value"] == pytest.approx(0, abs=1e-9) for gap in found["gaps"])
    assert "Local Law 144" in metrics["notice"]


def test_a_planted_preference_fails_and_ends_with_five(audit_config: AuditConfig, stimuli, tmp_path: Path):
    """Names of one group hold the words of the job: a lexical model must prefer them."""
    text = stimuli["names"].read_text(encoding="utf-8")
    stimuli["names"].write_text(text.replace("Namef", "wounds ward oil cars f"), encoding="utf-8")
    result = run_bias_audit(audit_config.model_copy(update={"fail_on": "fail"}), Workspace(tmp_path))
    metrics = read(result.run)
    assert metrics["verdict"] == "fail"
    assert metrics["attributes"]["gender"]["gap_verdict"] == "fail"
    assert metrics["attributes"]["gender"]["gaps"][0]["effect"]["value"] > 0.2
    assert metrics["attributes"]["gender"]["p_holm"] < 0.05
    assert metrics["attributes"]["race"]["p_holm"] > 0.05
    assert isinstance(result.failure, ThresholdError)
    assert read(result.run, "manifest.json")["status"] == "ok"


def test_too_few_names_are_inconclusive_and_end_with_six_on_request(audit_config: AuditConfig, stimuli, tmp_path: Path):
    rows = stimuli["names"].read_text(encoding="utf-8").splitlines()
    # Every second name of each group holds a word of a job: large spread, few names.
    noisy = [row if n % 2 else row.replace("Name", "wounds ward Name") for n, row in enumerate(rows)]
    stimuli["names"].write_text("\n".join([rows[0], *noisy[1:]]) + "\n", encoding="utf-8")
    strict = {"fail_on": "fail-or-inconclusive", "limits": LimitsSection(gap=0.01)}
    result = run_bias_audit(audit_config.model_copy(update=strict), Workspace(tmp_path))
    assert result.status == "inconclusive"
    assert isinstance(result.failure, InconclusiveError)


def test_names_per_cell_takes_so_many(audit_config: AuditConfig, tmp_path: Path):
    few = audit_config.model_copy(update={"stimuli": audit_config.stimuli.model_copy(update={"names_per_cell": 2})})
    assert read(run_bias_audit(few, Workspace(tmp_path)).run)["names"] == 8
    many = audit_config.model_copy(update={"stimuli": audit_config.stimuli.model_copy(update={"names_per_cell": 9})})
    with pytest.raises(DataError, match="only 4 names for female black; `names_per_cell` requires 9"):
        run_bias_audit(many, Workspace(tmp_path))


def leaderboard(path: Path) -> Path:
    """Three models on three tasks; the large one is best, the non-commercial one second."""
    names = {
        "intfloat/e5-large-v2": 0.60,  # 335 M parameters
        "sentence-transformers/all-MiniLM-L6-v2": 0.40,
        "BAAI/bge-small-en-v1.5": 0.50,
    }
    rows = [
        {
            "model": model, "revision": "r1", "task": task, "split": "test", "subset": "default",
            "main_score": score + shift, "mteb_version": "2.0.0",
        }
        for model, score in names.items()
        for task, shift in {"ArguAna": 0.0, "SCIDOCS": 0.02, "TRECCOVID": -0.01}.items()
    ]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


@pytest.fixture
def select_config(task: Path, tmp_path: Path) -> SelectConfig:
    return SelectConfig(
        scores=ScoresSection(
            path=str(leaderboard(tmp_path / "scores.parquet")), tasks=("ArguAna", "SCIDOCS", "TRECCOVID")
        ),
        constraints=ConstraintsSection(max_parameters=100_000_000),
        probe=ProbeSection(
            models=(TFIDF, ModelSection(ref="bm25")),
            shortlisted=False,
            task=TaskSection(path=str(task)),
            cost=CostSection(measure=False),
        ),
        bootstrap=BootstrapSection(resamples=200),
    )


def test_select_filters_ranks_and_probes(select_config: SelectConfig, tmp_path: Path):
    result = run_select(select_config, Workspace(tmp_path / "runs"))
    metrics = read(result.run)
    assert [row["model"] for row in metrics["leaderboard"]] == [
        "BAAI/bge-small-en-v1.5",
        "sentence-transformers/all-MiniLM-L6-v2",
    ]
    assert metrics["leaderboard"][0]["mean"] == pytest.approx(0.5 + 0.01 / 3, abs=1e-6)
    assert metrics["leaderboard"][1]["rank_interval"] == [2, 2]
    assert not metrics["leaderboard"][1]["tied_with_first"]
    assert metrics["scores"]["complete"] == 3
    assert metrics["registry"]["dropped_by"]["parameters"] > 100
    assert {row["model"] for row in metrics["probe"]} == {"tfidf", "bm25"}
    assert metrics["pick"]["model"] == metrics["probe"][0]["model"]


def test_select_reads_a_local_mteb_results_folder(select_config: SelectConfig, tmp_path: Path):
    for model, score in {"BAAI__bge-small-en-v1.5": 0.5, "sentence-transformers__all-MiniLM-L6-v2": 0.4}.items():
        for task in ("ArguAna", "SCIDOCS"):
            file = tmp_path / "results" / model / "rev" / f"{task}.json"
            file.parent.mkdir(parents=True, exist_ok=True)
            scores = {"test": [{"hf_subset": "default", "main_score": score}]}
            file.write_text(
                json.dumps({"task_name": task, "scores": scores, "mteb_version": "2.1.0"}), encoding="utf-8"
            )
    scores = ScoresSection(results_dir=str(tmp_path / "results"), tasks=("ArguAna", "SCIDOCS"))
    metrics = read(run_select(select_config.model_copy(update={"scores": scores}), Workspace(tmp_path / "runs")).run)
    assert [row["mean"] for row in metrics["leaderboard"]] == pytest.approx([0.5, 0.4])


def test_select_without_scores_lists_the_models_that_meet_the_constraints_and_still_probes(
    select_config: SelectConfig, tmp_path: Path
):
    constraints = ConstraintsSection(max_parameters=30_000_000, min_max_tokens=400)
    config = select_config.model_copy(update={"scores": ScoresSection(), "constraints": constraints, "shortlist": 3})
    result = run_select(config, Workspace(tmp_path / "runs"))
    record = read(result.run)
    assert record["leaderboard"] == []
    assert record["probe"]
    found = record["fitting"]
    assert len(found) == record["registry"]["fitting"] > 3
    assert all(model["parameters"] <= 30_000_000 for model in found)
    assert all(model["max_tokens"] is None or model["max_tokens"] >= 400 for model in found)
    assert [model["released"] or "" for model in found] == sorted((m["released"] or "" for m in found), reverse=True)
    (title,) = [title for title in result.tables if title.endswith("meet the constraints; the newest 3")]
    assert [row["model"] for row in result.tables[title]] == [model["model"] for model in found[:3]]
    every = result.tables["All models that meet the constraints, the newest first"]
    assert [row["model"] for row in every] == [model["model"] for model in found]
    assert result.details == ("All models that meet the constraints, the newest first",)


def test_a_constraint_that_nobody_fulfils_is_named(select_config: SelectConfig, tmp_path: Path):
    strict = select_config.model_copy(update={"constraints": ConstraintsSection(max_parameters=1000)})
    with pytest.raises(DataError, match="no model meets the constraints and has a score for every ranked task"):
        run_select(strict, Workspace(tmp_path / "runs"))
