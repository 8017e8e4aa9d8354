"""`hrembed gate` on the search of an index: its evaluation and its audit are read as those of a model are."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hrembed.cli.app import main
from hrembed.commands.gate.run import run_gate
from hrembed.config.gate import GateConfig
from hrembed.errors import ConfigError, DataError
from hrembed.runs.workspace import Workspace
from searching import text_index

from conftest import DOCUMENTS

if TYPE_CHECKING:
    from pathlib import Path

    from hrembed.records.gate import GateRecord

ALONE, PLAIN, FUSED, FILTERED = "wordllama", "search", "fused", "filtered"
SETTINGS = {FUSED: {"stages": {"bm25": True}}, FILTERED: {"where": ["ward=1"]}}


@pytest.fixture
def models(tmp_path: Path) -> dict[str, str]:
    """The model alone, its search, and the same with words, or with a condition that keeps half of the rows out."""
    index = text_index(tmp_path / "idx", DOCUMENTS, {"ward": [n % 2 for n in range(len(DOCUMENTS))]})
    sections = {ALONE: "{ref: wordllama}", PLAIN: f"{{ref: 'index:{index}', name: {PLAIN}}}"}
    for name, settings in SETTINGS.items():
        file = tmp_path / f"{name}.yaml"
        file.write_text(json.dumps(settings), encoding="utf-8")
        sections[name] = f"{{ref: 'index:{index}', search: {file}, name: {name}}}"
    return sections


@pytest.fixture
def runs(models: dict[str, str], task: Path, tmp_path: Path) -> Path:
    """One evaluation of all of them."""
    settings = [f"models=[{', '.join(models.values())}]", f"tasks=[{{path: {task}}}]", "baselines=[]", "retention=[]"]
    started("eval", [*settings, "worst=0", "robustness.changes=[]", "bootstrap.resamples=200"], tmp_path / "runs")
    return tmp_path / "runs"


def started(command: str, settings: list[str], runs: Path) -> str:
    """Run a command; returns the name of its run."""
    assert main([command, *(w for each in settings for w in ("--set", each)), "--runs-dir", str(runs), "--quiet"]) == 0
    return max((runs / command).iterdir(), key=lambda folder: folder.stat().st_mtime_ns).name


def gate(runs: Path, candidate: str, audits: tuple[str, str] | None = None, **more: Any) -> GateRecord:
    sides = {"candidate": {"model": candidate}, "baseline": {"model": ALONE}}
    for side, audit in zip(sides, audits or (), strict=False):
        sides[side]["audit"] = audit
    return run_gate(GateConfig.model_validate(sides | more), Workspace(runs)).metrics


def test_the_quality_of_a_search_is_judged_against_its_model(runs: Path):
    same = gate(runs, PLAIN)
    assert (same.verdict, same.candidate.model, same.candidate.reference[:6]) == ("pass", PLAIN, "index:")
    (check,) = same.checks
    assert check.found is not None
    assert check.found.value == pytest.approx(0, abs=1e-9)
    filtered = gate(runs, FILTERED)
    (check,) = filtered.checks
    assert check.found is not None
    assert check.found.value < -0.2, "half of the documents cannot be found"
    assert filtered.verdict != "pass"
    limited = gate(runs, FILTERED, quality=[{"margin": None, "at_least": 0.99}])
    assert limited.verdict == "fail"


def test_the_groups_of_a_search_are_judged_against_those_of_its_model(
    models: dict[str, str], runs: Path, stimuli: dict[str, Path]
):
    shared = [f"stimuli.{kind}={path}" for kind, path in stimuli.items()]
    shared += ["fail_on=never", "controls=false", "stimuli.names_per_cell=4", "cues=[]"]
    audits = {name: started("bias-audit", [*shared, f"model={models[name]}"], runs) for name in (ALONE, PLAIN, FUSED)}
    asked = {"fairness": {"verdict": "no-worse", "gap_growth": 0.05}, "quality": [{"margin": 1.0}]}

    same = gate(runs, PLAIN, (audits[PLAIN], audits[ALONE]), **asked)
    assert same.verdict == "pass"
    grown = {check.name: check.found for check in same.checks if check.name.endswith("growth")}
    assert {"fairness gender female - male growth", "fairness race black - white growth"} <= grown.keys()
    for growth in grown.values():
        assert growth is not None
        assert growth.value == pytest.approx(0, abs=1e-5)
    assert same.candidate.audit == f"bias-audit/{audits[PLAIN]}"

    fused = gate(runs, FUSED, (audits[FUSED], audits[ALONE]), **asked)
    moved = [check.found for check in fused.checks if check.name.endswith("growth")]
    assert any(growth is not None and abs(growth.value) > 1e-4 for growth in moved), "words rank other names first"

    for audit in (audits[PLAIN], audits[ALONE]):  # of another search, or of its model alone
        with pytest.raises(DataError, match=f"audit '{audit}' was run on a different model than 'fused'"):
            gate(runs, FUSED, (audit, audits[ALONE]), **asked)


def test_a_search_has_no_vectors_whose_time_or_length_could_be_limited(runs: Path):
    for limit in ({"latency": {"p95_ms": 50}}, {"size": {"dimensions": 300}}):
        with pytest.raises(ConfigError, match=r"'search' has no embeddings, so `latency` and `size.dimensions`"):
            gate(runs, PLAIN, **limit)
    sized = gate(runs, PLAIN, size={"model_mb": 50})
    shown = {check.name: (check.outcome, check.shown) for check in sized.checks}
    assert shown["size model"] == ("inconclusive", "no weights on this machine")
