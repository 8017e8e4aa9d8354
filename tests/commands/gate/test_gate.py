"""`hrembed gate` on runs whose answer is known, and everything that it must refuse."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from gates import audit_run, eval_run, values
from hrembed.cli.app import main
from hrembed.commands.gate.inputs import registry_status
from hrembed.commands.gate.run import run_gate
from hrembed.commands.gate.tables import model_row
from hrembed.config.gate import GateConfig
from hrembed.errors import ConfigError, DataError, InconclusiveError, ThresholdError
from hrembed.records.gate import GateRecord, JudgedModel
from hrembed.runs.model_registry import register
from hrembed.runs.past import find_run
from hrembed.runs.record import open_run
from hrembed.runs.workspace import Workspace

TODAY = date(2026, 6, 1)


def gate(runs: Path, **more):
    return run_gate(GateConfig(**more), Workspace(runs), today=TODAY)


def waiver(**more):
    own = {"check": "quality task/test ndcg@10 loss", "owner": "Ada", "expires": "2026-06-01", "reason": "until Monday"}
    return own | more


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return tmp_path / "runs"


def test_an_equal_model_passes_and_a_worse_one_fails(runs: Path, task: Path):
    eval_run(runs, {"old": values(0), "new": values(0, seed=2)}, task)
    result = gate(runs)
    assert (result.status, result.failure) == ("pass", None)
    assert [check.outcome for check in result.metrics.checks] == ["pass"]
    eval_run(runs, {"old": values(0), "new": values(-0.08, seed=2)}, task)
    result = gate(runs)
    assert result.status == "fail"
    assert isinstance(result.failure, ThresholdError)
    (check,) = result.metrics.checks
    assert check.found.value == pytest.approx(-0.08, abs=0.01)
    assert 0.01 <= check.detectable < 0.04


def test_an_open_question_is_a_choice(runs: Path, task: Path):
    wild = values(-0.01) + np.random.default_rng(5).normal(0, 0.2, size=80)
    eval_run(runs, {"old": values(0), "new": np.clip(wild, 0, 1)}, task)
    closed = gate(runs)
    assert closed.status == "inconclusive"
    assert isinstance(closed.failure, InconclusiveError)
    assert "<failure" in (Path(closed.run) / "junit.xml").read_text(encoding="utf-8")
    let_through = gate(runs, inconclusive="pass")
    assert let_through.failure is None
    assert "<skipped" in (Path(let_through.run) / "junit.xml").read_text(encoding="utf-8")


def test_every_kind_of_rule_is_checked(runs: Path, task: Path):
    eval_run(runs, {"old": values(0), "new": values(0.05, seed=2)}, task)
    rules = [{"gain": 0.02, "at_least": 0.5, "at_most": 0.6, "margin": 0.02, "min_effect": 0.01}]
    checks = gate(runs, quality=rules).metrics.checks
    assert {check.name.split()[-1]: check.outcome for check in checks} == {
        "loss": "pass", "gain": "pass", "least": "pass", "most": "fail",
    }  # fmt: skip
    turned = gate(runs, quality=[{"direction": "lower"}]).metrics.checks
    assert turned[0].outcome == "fail"
    assert turned[0].found.value < 0


def test_two_runs_and_absolute_limits_alone(runs: Path, task: Path):
    old = eval_run(runs, {"old": values(0)}, task)
    eval_run(runs, {"new": values(0, seed=2)}, task)
    assert gate(runs, baseline={"eval": old.name}).status == "pass"
    assert gate(runs, baseline=None, quality=[{"margin": None, "at_least": 0.9}], retention=[]).status == "fail"


def test_other_data_is_refused(runs: Path, task: Path):
    old = eval_run(runs, {"old": values(0)}, task)
    (task / "corpus.jsonl").write_text('{"_id": "d1", "text": "swapped"}\n', encoding="utf-8")
    eval_run(runs, {"new": values(0)}, task)
    with pytest.raises(DataError, match="the data of 'task/test' differs between the runs"):
        gate(runs, baseline={"eval": old.name})


def test_edited_files_are_refused(runs: Path, task: Path):
    folder = eval_run(runs, {"old": values(0), "new": values(-0.2)}, task)
    for name in ("metrics.json", "per_query.parquet", "config.yaml"):
        file = folder / name
        before = file.read_bytes()
        file.write_bytes(before + b" ")
        with pytest.raises(
            DataError, match=f"{name}' was modified after the run: its SHA-256 differs from the manifest"
        ):
            gate(runs)
        file.write_bytes(before)
    assert gate(runs).status == "fail"


def stopped_run(runs: Path, command: str) -> str:
    """Leave a run that was interrupted; returns its name."""
    with pytest.raises(KeyboardInterrupt), open_run(Workspace(runs), command, {}, seeds={}) as stopped:
        raise KeyboardInterrupt
    return f"{command}/{stopped.path.name}"


def test_a_run_that_did_not_end_well_is_refused(runs: Path, task: Path):
    eval_run(runs, {"old": values(0), "new": values(0)}, task)
    with pytest.raises(DataError, match="has status 'interrupted', so its results are incomplete"):
        gate(runs, candidate={"eval": stopped_run(runs, "eval").partition("/")[2]})


def test_latest_is_refused_where_a_newer_run_did_not_end_well(runs: Path, task: Path):
    folder = eval_run(runs, {"old": values(0), "new": values(0)}, task)
    stopped = stopped_run(runs, "eval")
    with pytest.raises(
        DataError, match=f"`candidate.eval: latest` resolves to 'eval/{folder.name}' .*, but '{stopped}'"
    ) as caught:
        gate(runs)
    assert "hrembed runs prune --command eval" in caught.value.hint
    allowed = gate(runs, stale="allow")
    assert allowed.metrics.candidate.overtaken_by == (stopped,)
    assert stopped in allowed.tables["Models"][0]["later runs that did not end well"]
    named = gate(runs, candidate={"eval": folder.name})
    assert (named.status, named.metrics.candidate.overtaken_by) == ("pass", ())
    with pytest.raises(DataError, match=r"`baseline\.eval: eval/latest` resolves to"):
        gate(runs, candidate={"eval": folder.name}, baseline={"eval": "eval/latest", "model": "path:old"})
    assert main(["runs", "prune", "--runs-dir", str(runs), "--command", "eval", "--yes"]) == 0
    assert gate(runs).metrics.candidate.run == f"eval/{folder.name}"
    assert (runs / "gate").is_dir()


def test_latest_is_refused_where_the_manifest_of_a_newer_run_is_damaged(runs: Path, task: Path):
    eval_run(runs, {"old": values(0), "new": values(0)}, task)
    newer = eval_run(runs, {"old": values(0), "new": values(-0.3)}, task)
    (newer / "manifest.json").write_text('{"status": "o', encoding="utf-8")
    with pytest.raises(DataError, match=f"but 'eval/{newer.name}' .*, damaged\\) was started later"):
        gate(runs)


def test_the_latest_audit_is_refused_where_a_newer_one_did_not_end_well(runs: Path, task: Path):
    eval_run(runs, {"old": values(0), "new": values(0, seed=2)}, task)
    audit = audit_run(runs, "new")
    stopped = stopped_run(runs, "bias-audit")
    asked = {"candidate": {"audit": "latest"}, "fairness": {"verdict": "pass"}}
    with pytest.raises(
        DataError, match=f"`candidate.audit: latest` resolves to 'bias-audit/{audit.name}' .*, but '{stopped}'"
    ):
        gate(runs, **asked)
    assert gate(runs, **asked, stale="allow").metrics.candidate.audit == f"bias-audit/{audit.name}"
    assert gate(runs, candidate={"audit": "latest"}).status == "pass"  # nothing is required of the audit


def test_both_sides_are_named_with_run_date_status_and_model(runs: Path, task: Path, capsys):
    old = eval_run(runs, {"old": values(0)}, task)
    new = eval_run(runs, {"new": values(0, seed=2)}, task)
    assert main(["gate", "--runs-dir", str(runs), "--set", f"baseline.eval={old.name}", "--verbose"]) == 0
    printed = capsys.readouterr().out
    run = find_run(runs, "gate/latest")
    record = run.record(GateRecord)
    main(["runs", "report", "--runs-dir", str(runs), "--quiet"])
    page = (runs / "reports" / f"gate--{run.path.name}.html").read_text(encoding="utf-8")
    summary = (run.path / "summary.md").read_text(encoding="utf-8")
    for side, folder, model in ((record.candidate, new, "new"), (record.baseline, old, "old")):
        past = find_run(runs, folder.name)
        assert (side.run, side.started, side.status) == (past.name, past.manifest.started, "ok")
        assert (side.model, side.reference, side.source) == (f"path:{model}", f"path:{model}", f"folder-{model}")
        for text in (folder.name, past.manifest.started[:10], f"path:{model}"):
            assert text in printed
            assert text in page
            assert text in summary


def test_the_registry_says_whether_a_trained_candidate_was_rejected(runs: Path):
    assert registry_status(runs, "minilm") == ""
    assert registry_status(runs, "run:m1") == "not gated"
    register(runs, {"model": "m1", "status": "rejected"})
    assert registry_status(runs, "run:finetune/m1") == "rejected"


def test_waivers_hold_until_their_day(runs: Path, task: Path):
    eval_run(runs, {"old": values(0), "new": values(-0.08)}, task)
    result = gate(runs, waivers=[waiver()])
    assert (result.status, result.failure) == ("pass", None)
    assert result.metrics.checks[0].status == "waived"
    assert result.metrics.checks[0].outcome == "fail"
    assert result.tables["Gate"][0]["waiver"] == "Ada until 2026-06-01: until Monday"
    with pytest.raises(ConfigError, match="waiver by Ada for 'quality task/test ndcg@10 loss' expired on 2026-05-31"):
        gate(runs, waivers=[waiver(expires="2026-05-31")])
    with pytest.raises(
        ConfigError, match=r"refers to an unknown check: 'quality .* los' \(did you mean 'quality .* loss'\?\)"
    ):
        gate(runs, waivers=[waiver(check="quality task/test ndcg@10 los")])


def test_what_a_gate_wrote_is_read_back_as_it_was(runs: Path, task: Path):
    eval_run(runs, {"old": values(0), "new": values(-0.08)}, task)
    record = gate(runs, waivers=[waiver()], quality=[{"at_least": 0.1}]).metrics
    assert find_run(runs, "gate/latest").record(GateRecord) == record
    assert [check.status for check in record.checks] == ["pass", "waived"]
    assert record.checks[1].waiver.expires == TODAY
    assert record.checks[0].detectable is None


def test_fairness_is_judged_on_the_same_stimuli(runs: Path, task: Path):
    eval_run(runs, {"old": values(0), "new": values(0, seed=2)}, task)
    before, after = audit_run(runs, "old"), audit_run(runs, "new", verdict="inconclusive", gap=0.3)
    sides = {"candidate": {"audit": after.name}, "baseline": {"audit": before.name}}
    checks = gate(runs, **sides, fairness={"verdict": "no-worse", "gap_growth": 0.1}).metrics.checks
    assert [check.outcome for check in checks if check.section == "fairness"] == ["fail", "fail"]
    assert checks[-1].found.value == pytest.approx(0.28, abs=0.05)
    asked = gate(runs, **sides, fairness={"verdict": "pass"}).metrics.checks
    assert asked[-1].outcome == "inconclusive"
    other = audit_run(runs, "old", stimuli="s2")
    with pytest.raises(DataError, match="the audits used different stimuli: s1 in"):
        gate(runs, candidate={"audit": after.name}, baseline={"audit": other.name}, fairness={"gap_growth": 0.1})
    with pytest.raises(DataError, match="' was run on a different model than 'path:new' in '"):
        gate(runs, candidate={"audit": before.name}, fairness={"verdict": "pass"})
    with pytest.raises(ConfigError, match=r"requires `candidate\.audit`"):
        gate(runs, fairness={"verdict": "pass"})


def test_a_rule_that_fits_nothing_is_a_mistake(runs: Path, task: Path):
    eval_run(runs, {"old": values(0), "new": values(0)}, task)
    with pytest.raises(ConfigError, match=r"no task in run 'eval/.*' matches 'tsk/test'"):
        gate(runs, quality=[{"task": "tsk/test"}])
    with pytest.raises(ConfigError, match="has no metric 'map'"):
        gate(runs, quality=[{"metric": "map"}])
    with pytest.raises(ConfigError, match=r"has no model 'path:nwe' \(did you mean 'path:new'\?\)"):
        gate(runs, candidate={"model": "path:nwe"})
    with pytest.raises(ConfigError, match="is both candidate and baseline"):
        gate(runs, candidate={"model": "path:old"})


def test_size_and_latency_are_measured_on_the_models(tiny_model: Path, task: Path, runs: Path):
    arguments = ["eval", "--quiet", "--runs-dir", str(runs), "--set", f"models=[{{ref: 'path:{tiny_model}'}}]",
                 "--set", f"tasks=[{{path: '{task}'}}]", "--set", "retention=[]", "--set", "slices.by=[]",
                 "--set", "robustness.changes=[]", "--set", "baselines=[tfidf]"]  # fmt: skip
    assert main(arguments) == 0
    rules = {"baseline": None, "quality": [{"margin": None, "at_least": 0}], "retention": []}
    limits = {"latency": {"p95_ms": 1e5, "texts": 10}, "size": {"model_mb": 0.001, "dimensions": 32}}
    result = gate(runs, **rules, **limits)
    assert {check.name: check.outcome for check in result.metrics.checks if check.section != "quality"} == {
        "size model": "fail", "size dimensions": "pass", "latency query p95": "pass",
    }  # fmt: skip
    timings = json.loads((Path(result.run) / "timings.json").read_text(encoding="utf-8"))
    assert timings["latency"]["latency query p95"]["value"] > 0
    written = json.loads((Path(result.run) / "metrics.json").read_text(encoding="utf-8"))["checks"][-1]
    assert (written["name"], written["found"], written["shown"]) == ("latency query p95", None, "")
    assert result.tables["Gate"][-1]["found"].split()[1] == "ms"
    with pytest.raises(ConfigError, match="'tfidf' has no embeddings, so"):
        gate(runs, **rules, **limits, candidate={"model": "tfidf"})


def test_the_command_ends_with_the_code_of_the_verdict(runs: Path, task: Path, capsys):
    folder = eval_run(runs, {"old": values(0), "new": values(-0.08)}, task)
    command = ["gate", "--runs-dir", str(runs)]
    assert main(command) == 5
    assert "the gate failed: quality task/test ndcg@10 loss" in capsys.readouterr().err
    assert main([*command, "--set", "candidate.model=path:old", "--set", "baseline.model=path:new"]) == 0
    heads = [file.read_text(encoding="utf-8").splitlines()[0] for file in (runs / "gate").glob("*/summary.md")]
    assert sorted(heads) == ["## Gate: fail", "## Gate: pass"]
    (folder / "metrics.json").write_text("{}", encoding="utf-8")
    assert main(command) == 3
    assert main([*command, "--set", "waivers=[{check: x, owner: Ada, reason: y, expires: 2020-01-01}]"]) == 2


def test_a_scoring_of_its_own_stands_in_the_table_of_models():
    facts = {"run": "r", "started": "", "status": "ok", "model": "m", "reference": "m", "source": "s", "identity": "i"}
    assert "scores by" not in model_row("candidate", JudgedModel(**facts))
    assert model_row("candidate", JudgedModel(**facts, scoring="windows"))["scores by"] == "windows"
