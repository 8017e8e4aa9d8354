"""`hrembed runs`: what lies there, what differs, and pages of all of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from gates import audit_run, eval_run, values
from hrembed.cli.app import main
from hrembed.commands.runs.browse import diff_runs, list_runs, report_runs, show_run
from hrembed.errors import DataError
from hrembed.records.base import write_record
from hrembed.records.cases import RankedDocument, TaskCases, WorstCase
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
    with pytest.raises(DataError, match=r"there is no eval run 'x' in .*; the newest is 'eval/"):
        find_run(runs, "x", "eval")
    with pytest.raises(DataError, match="is of `bias-audit`, where one of `eval` is needed"):
        find_run(runs, str(past_runs(runs, "bias-audit")[0].path), "eval")


def test_the_list_tells_status_and_verdict(runs: Path):
    rows = list_runs(runs, None).tables["Runs"]
    assert [row["status"] for row in rows] == ["ok", "ok", "failed", "ok"]
    assert rows[-1]["verdict"] == "fail"
    edited = past_runs(runs, "bias-audit")[0].path / "metrics.json"
    edited.write_text('{"verdict": "pass"}', encoding="utf-8")
    assert list_runs(runs, "bias-audit").tables["Runs"][0]["verdict"] == "edited"
    with pytest.raises(DataError, match="is not what the run wrote"):
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
        f"path:{name}.{key}" for name in ("new", "other") for key in ("identity", "source")
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


def test_what_a_user_wrote_stays_text(runs: Path):
    with open_run(Workspace(runs), "eval", {"text": EVIL}, seeds={}) as run:
        run.add_model(EVIL, EVIL, EVIL)
        run.write_metrics({EVIL: {"value": 1.0, "interval": [0.5, 1.0], "n": 3, "unit": EVIL}})
        first = RankedDocument(id=EVIL, text=EVIL, score=0.5, grade=None)
        case = WorstCase(value=0.0, query=EVIL, text=EVIL, ranked_first=(first,), relevant=0, should_have=())
        write_record(run.path / "cases.json", {EVIL: TaskCases(worst={EVIL: (case,)}, won_and_lost={})})
        (run.path / 'evil"><b>.txt').write_text("x", encoding="utf-8")
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
    with pytest.raises(DataError, match="is not what the run wrote"):
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
