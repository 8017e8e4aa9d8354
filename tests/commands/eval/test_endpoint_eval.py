"""A whole evaluation against a server that misbehaves: right numbers, or one clear error and nothing partial."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from answering import KEY, PASSING, VARIABLE, fixed, made
from hrembed.commands.eval.run import run_evaluate
from hrembed.config.eval import EvalConfig
from hrembed.config.parts import EndpointSection, ModelSection, TaskSection
from hrembed.errors import ModelError
from hrembed.runs.workspace import Workspace

if TYPE_CHECKING:
    from answering import Server


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hrembed.models.endpoint.random.Random.uniform", lambda self, low, high: 0.0)


def config(url: str, task: Path) -> EvalConfig:
    endpoint = EndpointSection(
        base_url=url, api_key_env=VARIABLE, timeout_seconds=0.3, price_per_million_tokens=2.0, canary=None
    )
    return EvalConfig(
        models=(ModelSection(ref="openai:m", batch_size=2, endpoint=endpoint),),
        baselines=(),
        tasks=(TaskSection(path=str(task)),),
    )


def everything_written(runs: Path) -> str:
    return "".join(file.read_text(errors="replace") for file in runs.rglob("*") if file.is_file())


def test_a_busy_server_gives_the_numbers_of_a_healthy_one(server: Server, task: Path, tmp_path: Path):
    healthy = run_evaluate(config(server.url, task), Workspace(tmp_path / "healthy"))
    asked = len(server.seen)
    assert asked == 5  # four queries and six documents, two at a time
    names = ["429", "500", "truncated", "half", "drip"]
    server.script = [PASSING[name][0] for name in names]
    busy = run_evaluate(config(server.url, task), Workspace(tmp_path / "busy"))
    assert busy.metrics == healthy.metrics
    usage = json.loads((Path(busy.run) / "timings.json").read_text(encoding="utf-8"))["usage"]["openai:m"]
    assert (usage["requests"], usage["retries"]) == (10, 5)
    assert KEY not in everything_written(tmp_path)


@pytest.mark.parametrize("name", ["500", "truncated", "drip", "one too few", "refused"])
def test_a_server_that_stays_broken_ends_the_run_and_nothing_partial_is_scored(
    server: Server,
    task: Path,
    tmp_path: Path,
    name: str,
):
    steps = {
        "one too few": made(lambda answer: {**answer, "data": answer["data"][:-1]}),
        "refused": fixed(401, {"error": {"message": f"wrong key {KEY}"}}),
    }
    step = steps[name] if name in steps else PASSING[name][0]
    good_first = [made(lambda answer: answer)] * 3
    server.script = [*good_first, *[step] * 6]
    with pytest.raises(ModelError):
        run_evaluate(config(server.url, task), Workspace(tmp_path / "runs"))
    (run,) = (tmp_path / "runs" / "eval").iterdir()
    manifest = json.loads((run / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["status"] == "failed"
    assert not (run / "metrics.json").exists()
    assert KEY not in everything_written(tmp_path)

    server.script.clear()
    before = len(server.seen)
    again = run_evaluate(config(server.url, task), Workspace(tmp_path / "runs"))
    assert len(server.seen) - before == 2  # three of five batches were kept
    assert again.metrics == run_evaluate(config(server.url, task), Workspace(tmp_path / "fresh")).metrics
