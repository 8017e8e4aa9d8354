"""What `hrembed retrain` says at its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hrembed.commands.retrain.conclusion import conclusion_of
from hrembed.commands.retrain.page import write_report
from hrembed.config.retrain import RetrainConfig
from hrembed.records.retrain import Bridge, BridgeWay, RetrainedModel, Retraining, RetrainRecord, RetrainRuns
from hrembed.runs.record import open_run
from hrembed.runs.workspace import Workspace
from hrembed.types import Estimate

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = RetrainConfig(pairs="new.jsonl")
UNTOUCHED = RetrainRecord(verdict="not worth it", last="finetune/old", drift=None, drifted=(), retraining=None)
MODEL, GATE = "20260101T000000Z-00000000", "20260101T000100Z-11111111"


def way(score: float) -> BridgeWay:
    return BridgeWay(
        score=Estimate(score, score - 0.1, score + 0.1, 9, "queries"),
        difference=Estimate(score - 0.5, score - 0.6, score - 0.4, 9, "queries"),
    )


def record(verdict: str) -> RetrainRecord:
    ways = {"old model": way(0.5), "new queries, low rank map": way(0.55), "re-encoded": way(0.7)}
    bridge = Bridge(task="a", metric="ndcg@10", ways=ways, best="new queries, low rank map", survived=0.25, no_gain="")
    retraining = Retraining(
        plan="continue", why="3 % of the words are unknown", continuations=1,
        model=RetrainedModel(ref=f"run:{MODEL}", max_tokens=64),
        runs=RetrainRuns(finetune=f"runs/finetune/{MODEL}", eval="runs/eval/x", gate=f"runs/gate/{GATE}"),
        gate="fail" if verdict == "rejected" else "pass", bridge=bridge,
    )  # fmt: skip
    return RetrainRecord(verdict=verdict, last="finetune/old", drift=None, drifted=("length",), retraining=retraining)


@pytest.mark.parametrize(
    ("verdict", "outcome", "command"),
    [
        ("accepted", "passed its gate against finetune/old, and is in use now.", f"export --set model.ref=run:{MODEL}"),
        ("rejected", "ended with fail, so finetune/old stays in use.", f"runs show gate/{GATE}"),
        ("outdated", "accepted meanwhile, which stays in use.", f"eval --set models.1.ref=run:{MODEL}"),
    ],
)
def test_the_outcome_and_what_comes_next(verdict: str, outcome: str, command: str):
    drifted, trained, bridge, _, last = conclusion_of(record(verdict), CONFIG)
    assert drifted == "Beyond the limits of drift: length."
    assert trained.startswith("A model was trained (continue: 3 % of the words are unknown); ")
    assert trained.endswith(outcome)
    assert bridge.startswith("On old vectors of a: ndcg@10 0.550 through the best map")
    assert last == f"  hrembed {command}"


def test_without_drift_the_model_in_use_stays():
    first, *_, last = conclusion_of(UNTOUCHED, CONFIG)
    assert first.endswith("finetune/old stays in use.")
    assert last == "  hrembed retrain --set pairs=new.jsonl --set force=true"


@pytest.mark.parametrize(
    ("made", "headline", "kind"),
    [
        (record("accepted"), "The new model is in use now", "pass"),
        (record("rejected"), "The new model may not go live: finetune/old stays in use", "fail"),
        (record("outdated"), "The new model passed its gate, but another one was accepted meanwhile", ""),
        (UNTOUCHED, "No new model is needed: finetune/old stays in use", ""),
    ],
    ids=lambda value: value.verdict if isinstance(value, RetrainRecord) else None,
)
def test_the_page_begins_with_which_model_is_in_use(made: RetrainRecord, headline: str, kind: str, tmp_path: Path):
    with open_run(Workspace(tmp_path), "retrain", {}, seeds={}) as run:
        run.conclude(conclusion_of(made, CONFIG))
        write_report(run, CONFIG, made)
    page = (run.path / "report.html").read_text(encoding="utf-8")
    edge = f"answer verdict-{kind}" if kind else "answer"
    assert f'<section class="{edge}"><h2>{headline}</h2>' in page
    assert ("<td>re-encoded</td>" in page) is (made.retraining is not None)
    assert f"hrembed retrain {run.path / 'config.yaml'} --runs-dir" in page
