"""`hrembed runs`: what lies there, what differs, and pages of all of it."""

from __future__ import annotations

import io
import json
import sys
from typing import TYPE_CHECKING

import hrembed
import pytest
from gates import audit_run, eval_run, run_full_of, values
from hrembed.cli.app import main
from hrembed.commands.runs.browse import diff_runs, list_runs, report_runs, show_run
from hrembed.commands.runs.decide import decide_on_run
from hrembed.commands.runs.prune import prune_runs
from hrembed.errors import ConfigError, DataError, ModelError
from hrembed.files import write_json, write_text
from hrembed.records.base import write_record
from hrembed.records.cases import RankedDocument, TaskCases, WorstCase
from hrembed.records.manifest import ModelEntry
from hrembed.runs.model_registry import register
from hrembed.runs.past import find_run, past_runs
from hrembed.runs.record import open_run
from hrembed.runs.workspace import Workspace

if TYPE_CHECKING:
    from pathlib import Path

EVIL = "<script>window.hacked = true</script>"


@pytest.fixture
def runs(tmp_path: Path, task: Path) -> Path:
    """Two eval runs, one that failed, one that wrote its own page."""
    root = tmp_path / "runs"
    eval_run(root, {"old": values(0), "new": values(0.05)}, task)
    eval_run(root, {"old": values(0), "other": values(0.05)}, task)
    with pytest.raises(ZeroDivisionError), open_run(Workspace(root), "finetune", {}, seeds={}):
        raise ZeroDivisionError(EVIL)
    audit_run(root, "new", verdict="fail", page="its own")
    return root


def test_runs_are_found_by_every_name(runs: Path):
    first, second = past_runs(runs, "eval")
    for reference in (second.path.name, second.name, str(second.path), "eval/latest"):
        assert find_run(runs, reference).path == second.path
    assert find_run(runs, "latest").command == "bias-audit"
    assert find_run(runs, first.path.name, "eval").path == first.path
    start = 1 + max(n for n in range(30) if first.path.name[:n] == second.path.name[:n])
    assert find_run(runs, f"eval/{second.path.name[:start]}").path == second.path
    assert find_run(runs, first.path.name[:start], "eval").path == first.path
    with pytest.raises(DataError, match=r"several runs start with '20'") as several:
        find_run(runs, "20", "eval")
    assert several.value.hint == f"use {first.name} or {second.name}"
    with pytest.raises(DataError, match=r"no eval run 'x' found in .*; the newest is 'eval/"):
        find_run(runs, "x", "eval")
    with pytest.raises(DataError, match="belongs to `bias-audit`, but `eval` is required"):
        find_run(runs, str(past_runs(runs, "bias-audit")[0].path), "eval")


def test_the_list_tells_status_and_verdict(runs: Path):
    rows = list_runs(runs, None).tables["Runs"]
    assert [row["status"] for row in rows] == ["ok", "ok", "failed", "ok"]
    assert rows[-1]["verdict"] == "fail"
    edited = past_runs(runs, "bias-audit")[0].path / "metrics.json"
    edited.write_text('{"verdict": "pass"}', encoding="utf-8")
    assert list_runs(runs, "bias-audit").tables["Runs"][0]["verdict"] == "edited"
    with pytest.raises(DataError, match="was modified after the run: its SHA-256 differs from the manifest"):
        show_run(runs, "bias-audit/latest")


def test_one_run_is_shown_with_its_numbers(runs: Path):
    shown = show_run(runs, "bias-audit/latest").tables["Numbers"]
    assert shown == [
        {"number": "attributes.gender.gaps.female male.effect", "value": "0.300 [0.200, nan]", "counted": "40 names"}
    ]
    failed = show_run(runs, past_runs(runs, "finetune")[0].name)
    assert failed.tables["Error"] == [{"error": f"ZeroDivisionError: {EVIL}"}]


def test_a_difference_names_settings_models_and_numbers(runs: Path):
    first, second = past_runs(runs, "eval")
    tables = diff_runs(runs, first.name, second.name).tables
    assert tables["Settings"] == [
        {"what": "models.1.ref", first.name: "path:new", second.name: "path:other"},
    ]
    assert "Data" not in tables
    assert {row["what"] for row in tables["Models"]} == {
        f"path:{name}.{key}" for name in ("new", "other") for key in ModelEntry.model_fields
    }
    assert diff_runs(runs, first.name, first.name).status == "no difference"


def test_pages_are_written_beside_the_runs_and_linked(runs: Path):
    before = {run.path: sorted(run.path.rglob("*")) for run in past_runs(runs)}
    result = report_runs(runs, [])
    index = (runs / "reports" / "index.html").read_text(encoding="utf-8")
    for run in past_runs(runs):
        own = f"../bias-audit/{run.path.name}/report.html"
        link = own if run.command == "bias-audit" else f"./{run.command}--{run.path.name}.html"
        assert f'href="{link}"' in index
        assert sorted(run.path.rglob("*")) == before[run.path]
    assert len(result.metrics.pages) == 4
    name = past_runs(runs, "eval")[0].path.name
    page = (runs / "reports" / f"eval--{name}.html").read_text(encoding="utf-8")
    assert f'href="../eval/{name}/per_query.parquet"' in page


def test_a_page_shows_ids_of_worst_queries_and_texts_only_after_redaction(runs: Path):
    """Also a run of an earlier version, whose file holds texts that nobody redacted."""
    document = RankedDocument(id="d-17", text="Ola Nordby, ola@example.net", score=0.5, grade=None)
    case = WorstCase(value=0.0, query="q-9", text="clerk", ranked_first=(document,), relevant=0, should_have=())
    for redacted in (False, True):
        with open_run(Workspace(runs), "eval", {}, seeds={}) as run:
            cases = TaskCases(worst={"m": (case,)}, won_and_lost={}, redacted=redacted)
            write_record(run.path / "cases.json", {"t": cases})
        report_runs(runs, [])
        page = (runs / "reports" / f"eval--{run.path.name}.html").read_text(encoding="utf-8")
        assert "q-9" in page
        assert "d-17" in page
        assert ("ola@example.net" in page) == redacted
        assert ("no name inside a sentence" if redacted else "show_text: true") in page


def test_what_a_user_wrote_stays_text(runs: Path):
    run_full_of(EVIL, runs)
    report_runs(runs, [])
    for page in (runs / "reports").glob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert EVIL not in text
        assert '"><b>' not in text
        assert text.count("<script>") == 1


def test_an_edited_run_has_no_page_and_the_index_says_so(runs: Path):
    edited = past_runs(runs, "eval")[0]
    (edited.path / "metrics.json").write_text("{}", encoding="utf-8")
    report_runs(runs, [])
    index = (runs / "reports" / "index.html").read_text(encoding="utf-8")
    assert "Not written" in index
    assert f"eval--{edited.path.name}.html" not in index
    with pytest.raises(DataError, match="was modified after the run: its SHA-256 differs from the manifest"):
        report_runs(runs, [edited.name])


def test_the_commands_print_tables_or_one_object(runs: Path, capsys):
    at = ["--runs-dir", str(runs)]
    assert main(["runs", "list", *at, "--command", "eval", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["metrics"]["runs"]) == 2
    assert main(["runs", "show", "eval/latest", *at]) == 0
    assert "path:other" in capsys.readouterr().out
    ids = [run.name for run in past_runs(runs, "eval")]
    assert main(["runs", "diff", *ids, *at]) == 0
    assert "models.1.ref" in capsys.readouterr().out
    assert main(["runs", "report", *at, "--quiet"]) == 0
    assert capsys.readouterr().out.strip() == str(runs / "reports" / "index.html")
    assert main(["runs", "show", "nothing", *at]) == 3


def trained(root: Path) -> str:
    """A finetune run that ended well; returns its id."""
    with open_run(Workspace(root), "finetune", {}, seeds={}) as run:
        write_text(run.path / "model" / "config.json", "{}")
    return run.path.name


def test_a_person_decides_and_the_list_and_the_run_say_so(runs: Path, capsys):
    first, second = trained(runs), trained(runs)
    at = ["--by", "Ada Lovelace", "--why", "reviewed with HR", "--runs-dir", str(runs)]
    assert main(["runs", "accept", first, *at]) == 0
    assert f"The model in use is now run:{first}." in capsys.readouterr().out
    assert main(["runs", "accept", f"finetune/{second}", *at]) == 0
    assert main(["runs", "rollback", first, *at]) == 0
    rows = {row["run"]: row["registry"] for row in list_runs(runs, None).tables["Runs"]}
    assert rows[f"finetune/{first}"] == "accepted"
    assert rows[f"finetune/{second}"] == "rejected"
    assert all(not status for name, status in rows.items() if not name.endswith((first, second)))
    shown = show_run(runs, first).tables["Registry"]
    assert [(row["decision"], row["by"], row["why"]) for row in shown] == [
        ("accept", "Ada Lovelace", "reviewed with HR"), ("rollback", "Ada Lovelace", "reviewed with HR"),
    ]  # fmt: skip
    capsys.readouterr()
    assert main(["runs", "reject", first, *at]) == 0
    assert "No model is in use; `hrembed retrain` starts from the base" in " ".join(capsys.readouterr().out.split())
    assert main(["runs", "reject", first, "--by", "Ada", "--runs-dir", str(runs)]) == 2


def test_a_decision_names_its_run_and_a_whole_model(runs: Path):
    model = trained(runs)
    with pytest.raises(
        ConfigError, match=r"a decision requires a run id: 'latest' currently means 'finetune/"
    ) as caught:
        decide_on_run(runs, "accept", "latest", by="Ada", why="x")
    assert f"hrembed runs accept {model} --by NAME --why TEXT" in caught.value.hint
    with pytest.raises(ConfigError, match="`--why` is empty"):
        decide_on_run(runs, "accept", model, by="Ada", why=" ")
    with pytest.raises(DataError, match="belongs to `bias-audit`, but `finetune` is required"):
        decide_on_run(runs, "reject", str(past_runs(runs, "bias-audit")[0].path), by="Ada", why="x")
    failed = past_runs(runs, "finetune")[0].path.name
    with pytest.raises(ModelError, match="has status 'failed' and no final model"):
        decide_on_run(runs, "accept", failed, by="Ada", why="x")
    (runs / "finetune" / model / "model" / "config.json").write_text("[]", encoding="utf-8")
    with pytest.raises(ModelError, match="was modified after the run: its SHA-256 differs from the manifest"):
        decide_on_run(runs, "accept", model, by="Ada", why="x")
    assert decide_on_run(runs, "reject", model, by="Ada", why="edited").status == "rejected"


def test_pruning_lists_first_and_removes_only_what_did_not_end_well(runs: Path, capsys):
    left = [run.path for run in past_runs(runs) if run.status == "ok"]
    (failed,) = [run.path for run in past_runs(runs) if run.status != "ok"]
    running = runs / "eval" / "29990101T000000Z-00000000"
    write_json(running / "manifest.json", {"command": "eval", "status": "started"})
    damaged = runs / "eval" / "20200101T000000Z-00000000"
    write_text(damaged / "manifest.json", "{")
    assert main(["runs", "prune", "--runs-dir", str(runs)]) == 0
    assert "Nothing has been removed yet; add --yes to remove these runs" in capsys.readouterr().out
    outcomes = {row.run: row.outcome for row in prune_runs(runs, None, remove=False).metrics.runs}
    assert outcomes.pop(f"eval/{running.name}").startswith(
        "kept: modified less than 60 minutes ago, so it may still be running"
    )
    assert outcomes == {f"finetune/{failed.name}": "would be removed", f"eval/{damaged.name}": "would be removed"}
    assert failed.is_dir()
    prune_runs(runs, "eval", remove=True)
    assert (failed.is_dir(), damaged.is_dir(), running.is_dir()) == (True, False, True)
    assert main(["runs", "prune", "--runs-dir", str(runs), "--yes", "--idle", "0"]) == 0
    assert [run.path for run in past_runs(runs)] == left


def test_pruning_keeps_what_the_registry_names(runs: Path):
    (failed,) = [run.path for run in past_runs(runs, "finetune") if run.status != "ok"]
    register(runs, {"model": failed.name, "status": "rejected"})

    (row,) = prune_runs(runs, "finetune", remove=True).metrics.runs

    assert row.outcome == "kept: listed in the registry"
    assert failed.is_dir()


@pytest.mark.parametrize(("answer", "left"), [("y\n", False), ("\n", True)])
def test_pruning_asks_where_somebody_can_answer(runs: Path, capsys, monkeypatch, answer: str, left: bool):
    (failed,) = [run.path for run in past_runs(runs) if run.status != "ok"]
    monkeypatch.setattr("hrembed.cli.runs.can_ask", lambda: True)
    monkeypatch.setattr(sys, "stdin", io.StringIO(answer))

    assert main(["runs", "prune", "--runs-dir", str(runs)]) == 0

    assert "Remove 1 run?" in capsys.readouterr().out
    assert failed.is_dir() is left


def test_a_damaged_manifest_is_a_row_and_hides_no_other_run(runs: Path):
    damaged = runs / "eval" / "20200101T000000Z-00000000"
    write_text(damaged / "manifest.json", '{"models": null}')
    rows = list_runs(runs, None).metrics.runs
    assert (rows[0].run, rows[0].status, rows[0].started) == (
        f"eval/{damaged.name}", "damaged", "2020-01-01T00:00:00+00:00",
    )  # fmt: skip
    assert len(rows) == 5
    assert len(report_runs(runs, []).metrics.pages) == 5
    with pytest.raises(DataError, match=r"manifest.json"):
        show_run(runs, damaged.name)


def test_whoever_looks_at_the_latest_run_is_told_of_a_newer_one_that_failed(runs: Path, capsys):
    with pytest.raises(ZeroDivisionError), open_run(Workspace(runs), "eval", {}, seeds={}) as failed:
        raise ZeroDivisionError
    first = past_runs(runs, "eval")[0].name
    for words in (["show", "eval/latest"], ["diff", first, "eval/latest"], ["report", "eval/latest"]):
        assert main(["runs", *words, "--runs-dir", str(runs)]) == 0
        said = " ".join(capsys.readouterr().err.split())
        assert f"but 'eval/{failed.path.name}' ({failed.manifest.started}, failed) was started later" in said
    with pytest.warns(UserWarning, match=f"'eval/latest' resolves to .*, but 'eval/{failed.path.name}'"):
        hrembed.load_run("eval/latest", runs_dir=runs)
