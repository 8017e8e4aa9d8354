"""Names of models and tasks: those of the config stand everywhere, and runs are matched by their data all the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from gates import eval_run, values
from hrembed.cli.app import main
from hrembed.commands.bias_audit.run import run_bias_audit
from hrembed.commands.compare.run import run_compare
from hrembed.commands.eval.run import run_evaluate
from hrembed.commands.gate.run import run_gate
from hrembed.commands.runs.pages import write_run_page
from hrembed.commands.select.pick import pick_model
from hrembed.commands.select.probe import probed_model, run_probe
from hrembed.config.bias_audit import AuditConfig, StimuliSection
from hrembed.config.compare import CompareConfig
from hrembed.config.eval import EvalConfig
from hrembed.config.export import ExportConfig
from hrembed.config.finetune import FinetuneConfig
from hrembed.config.gate import GateConfig
from hrembed.config.parts import ModelSection, TaskSection
from hrembed.config.select import CostSection, ProbeSection, SelectConfig
from hrembed.errors import DataError
from hrembed.runs.past import find_run
from hrembed.runs.record import open_run
from hrembed.runs.workspace import Workspace
from hrembed.scoring.past_evals import open_evaluated_model
from hrembed.scoring.retrieval import open_task
from hrembed.scoring.systems import names_of
from hrembed.scoring.tasks import content_hash, open_tasks
from pydantic import ValidationError

MODELS = ({"ref": "tfidf", "name": "search of today"}, {"ref": "tfidf", "name": "Löffel 2"})


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "a name must not be empty"),
        ("  ", "a name must not be empty"),
        (" tuned", "must not begin or end with a space"),
        ("a\tb", "control characters"),
        ("a\u202eb", "control characters"),
        ("../tuned", "must not begin with '.'"),
        ("_tuned", "must not begin with '_'"),
        ("a/b", "must not contain '/'"),
        ("a\\b", "must not contain '\\'"),
        ("tuned#2", "must not contain '#'"),
        ("tuned*", r"must not contain '*'"),
        ("run:x", "must not contain ':'"),
        ("x" * 61, "at most 60 characters, this one has 61"),
    ],
)
@pytest.mark.parametrize("section", [ModelSection, TaskSection])
def test_a_name_that_is_no_part_of_a_file_name_is_refused(section: type, name: str, message: str):
    with pytest.raises(ValidationError) as caught:
        section(name=name)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: EvalConfig(models=({"name": "a"}, {"name": "a"})), "two models are named 'a'"),
        (lambda: EvalConfig(models=({"name": "a b"}, {"name": "A-b"})), "'a b' gives the same file as 'A-b'"),
        (lambda: EvalConfig(tasks=({"name": "a"},), retention=({"name": "a"},)), "two tasks are named 'a'"),
        (lambda: ProbeSection(models=({"name": "a"}, {"name": "a"})), "two models are named 'a'"),
        (lambda: FinetuneConfig(dev={"name": "a"}, proof={"tests": [{"name": "a"}]}), "two tasks are named 'a'"),
        (lambda: ExportConfig(model={"name": "base"}), "`name` has no effect; remove it"),
    ],
)
def test_a_name_that_would_stand_for_two_or_for_nothing_is_refused(make, message: str):
    with pytest.raises(ValidationError) as caught:
        make()
    assert message in str(caught.value)


def test_models_without_a_name_are_numbered_around_those_with_one():
    sections = [ModelSection(ref=ref, name=name) for ref, name in
                (("tfidf", None), ("minilm", "bm25"), ("tfidf", None), ("bm25", None), ("minilm", None))]  # fmt: skip
    assert names_of(sections) == ["tfidf#1", "bm25", "tfidf#2", "bm25#1", "minilm"]


def test_names_stand_in_tables_files_and_pages(task: Path, tmp_path: Path, capsys):
    settings = {
        "models": MODELS, "baselines": ["bm25"], "tasks": [{"path": str(task), "name": "ward titles"}],
        "retention": [{"path": str(task), "name": "outside"}], "metrics": ["map"], "bootstrap": {"resamples": 100},
    }  # fmt: skip
    sets = [word for key, value in settings.items() for word in ("--set", f"{key}={json.dumps(value)}")]
    assert main(["eval", *sets, "--runs-dir", str(tmp_path / "runs")]) == 0
    shown = capsys.readouterr().out
    for word in ("search of today", "Löffel 2", "ward titles", "outside"):
        assert word in shown
    assert "tfidf#" not in shown
    run = find_run(tmp_path / "runs", "eval/latest")
    record = run.json("metrics.json")
    models = ["search of today", "Löffel 2", "bm25"]
    assert {task: list(scores) for task, scores in record["scores"].items()} == {
        "ward titles": models,
        "outside": models,
    }
    assert record["retention"] == ["outside"]
    assert {(row["model"], row["reference"]) for row in record["differences"]} >= {("Löffel 2", "search of today")}
    rows = run.table("per_query")
    assert (set(rows["model"]), set(rows["task"])) == ({*models}, {"ward titles", "outside"})
    assert list(run.json("cases.json")) == ["ward titles"]
    assert {"trec/search-of-today/ward titles.run", "trec/Löffel-2/ward titles.run"} <= set(run.manifest.outputs)
    assert set(run.manifest.models) == {*models}
    assert run.manifest.models["Löffel 2"].identity == run.manifest.models["search of today"].identity
    page = tmp_path / "page.html"
    write_run_page(run, page, ".")
    assert "Löffel 2" in page.read_text(encoding="utf-8")


def gate(runs: Path, baseline: Path, **more):
    return run_gate(GateConfig(baseline={"eval": str(baseline), "model": "path:old"}, **more), Workspace(runs))


def test_a_gate_matches_tasks_of_two_runs_by_their_data(task: Path, tmp_path: Path):
    runs = tmp_path / "runs"
    old = eval_run(runs, {"old": values(0)}, task)
    eval_run(runs, {"new": values(0, seed=2)}, task, called="ward titles")
    result = gate(runs, old, quality=[{"task": "ward*"}])
    assert [check.name for check in result.metrics.checks] == ["quality ward titles ndcg@10 loss"]
    assert result.status == "pass"
    with (task / "queries.jsonl").open("a", encoding="utf-8") as stream:
        stream.write('{"_id": "q9", "text": "one more"}\n')
    eval_run(runs, {"new": values(0, seed=2)}, task, called="ward titles")
    with pytest.raises(DataError, match=r"has no scores of 'path:old' on 'ward titles'"):
        gate(runs, old)
    eval_run(runs, {"new": values(0, seed=2)}, task)
    with pytest.raises(DataError, match="the data of 'task/test' differs between the runs"):
        gate(runs, old)


def test_compare_matches_tasks_of_two_runs_by_their_data(task: Path, tmp_path: Path):
    runs = tmp_path / "runs"
    old = eval_run(runs, {"old": values(0)}, task)
    new = eval_run(runs, {"new": values(0.1, seed=2)}, task, called="ward titles")
    record = run_compare(CompareConfig(runs=(str(old), str(new)), load=None), Workspace(runs)).metrics
    (row,) = record.differences
    assert (row.task, row.model, row.reference) == ("task/test", "path:new", "path:old")
    assert row.difference.value == pytest.approx(0.1, abs=0.02)
    assert {label: list(scores) for label, scores in record.accuracy.items()} == {
        "path:old": ["task/test"], "path:new": ["task/test"],
    }  # fmt: skip


def test_two_names_that_changed_places_are_matched_by_their_data(task: Path, tmp_path: Path):
    """The same name on both sides must not hide that other data are meant."""
    other = tmp_path / "other"
    (other / "qrels").mkdir(parents=True)
    for file in ("corpus.jsonl", "queries.jsonl", "qrels/test.tsv"):
        lines = (task / file).read_text(encoding="utf-8").splitlines()
        kept = lines[:-1] if file.startswith("qrels") else lines
        (other / file).write_text("\n".join(kept) + "\n", encoding="utf-8")
    workspace = Workspace(tmp_path / "runs")
    runs = []
    for first, second in ((task, other), (other, task)):
        tasks = (TaskSection(path=str(first), name="a"), TaskSection(path=str(second), name="b"))
        config = EvalConfig(models=MODELS[:1], baselines=(), tasks=tasks, metrics=("map",), worst=0)
        runs.append(Path(run_evaluate(config, workspace).run))
    first, second = (open_evaluated_model(workspace.root, str(run), None, last=True) for run in runs)
    assert (second.named_as(first).renamed, first.named_as(first).renamed) == ({"a": "b", "b": "a"}, {})
    settings = GateConfig(candidate={"eval": str(runs[0])}, baseline={"eval": str(runs[1])}, quality=[{"margin": 0.02}])
    result = run_gate(settings, workspace)
    assert [(check.name.split()[1], check.found.value) for check in result.metrics.checks] == [("a", 0.0), ("b", 0.0)]


def test_where_two_tasks_hold_the_same_data_their_names_decide(task: Path, tmp_path: Path):
    """They may differ in what is no data, such as the instruction."""
    workspace = Workspace(tmp_path / "runs")
    sides = []
    for names in (("a", "b"), ("c", "b")):
        tasks = tuple(TaskSection(path=str(task), name=name) for name in names)
        config = EvalConfig(models=MODELS[:1], baselines=(), tasks=tasks, metrics=("map",), worst=0)
        run = run_evaluate(config, workspace).run
        sides.append(open_evaluated_model(workspace.root, run, None, last=True))
    assert sides[1].named_as(sides[0]).renamed == {"a": "c"}


def test_select_measures_under_the_names_of_the_config_and_the_pick_has_none(task: Path, tmp_path: Path):
    probe = ProbeSection(models=MODELS, shortlisted=False, task={"path": str(task), "name": "ward titles"},
                         cost=CostSection(measure=False))  # fmt: skip
    config = SelectConfig(probe=probe)
    with open_run(Workspace(tmp_path / "runs"), "select", {}, seeds={}) as run:
        found = run_probe(config, open_task(probe.task, run), [], run)
        assert found.task.name == "ward titles"
        assert [probed_model(row).model for row in found.finalists] == ["search of today", "Löffel 2"]
        assert set(run.manifest.models) == {"search of today", "Löffel 2"}
    pick = pick_model(config, [], found, [])
    assert pick.model == "search of today"
    assert pick.section == {"ref": "tfidf"}


def test_an_audit_records_the_name_of_its_model(stimuli: dict[str, Path], tmp_path: Path):
    section = StimuliSection(**{part: str(path) for part, path in stimuli.items()})
    config = AuditConfig(model={"ref": "tfidf", "name": "search of today"}, stimuli=section, fail_on="never",
                         self_check=0, bootstrap={"resamples": 100})  # fmt: skip
    run = find_run(tmp_path, run_bias_audit(config, Workspace(tmp_path / "runs")).run)
    assert list(run.manifest.models) == ["search of today"]


def test_a_name_changes_neither_the_content_nor_its_hash(task: Path, tmp_path: Path, monkeypatch):
    with open_run(Workspace(tmp_path / "runs"), "eval", {}, seeds={}) as run:
        (plain,) = open_tasks([TaskSection(path=str(task))], run)
        (named,) = open_tasks([TaskSection(path=str(task), name="ward titles")], run)
        assert run.manifest.inputs["task/test"] == run.manifest.inputs["ward titles"]
        assert named.name == "ward titles"
        assert vars(plain) == {**vars(named), "name": "task/test"}
        monkeypatch.setattr("hrembed.scoring.tasks.read_mteb", lambda *_: [plain])
        open_tasks([TaskSection(path="mteb:Ward"), TaskSection(path="mteb:Ward", name="of mteb")], run)
        assert run.manifest.inputs["of mteb"].sha256 == run.manifest.inputs["task/test"].sha256 == content_hash(plain)
        with pytest.raises(DataError, match="another task is named 'ward titles', too"):
            open_tasks([TaskSection(path=str(task), name="ward titles")], run, taken=["ward titles"])
