"""`hrembed retrain` on a tiny model, its registry, and what counts as drift."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hrembed.commands.finetune.run import run_finetune
from hrembed.commands.retrain.bridge import bridge_sentence, judge_bridge
from hrembed.commands.retrain.drift import measure_drift, unknown_share
from hrembed.commands.retrain.run import _last, run_retrain
from hrembed.config.finetune import FinetuneConfig, SourceSection, TrainSection
from hrembed.config.parts import BootstrapSection, ModelSection, TaskSection
from hrembed.config.proof import ProofSection
from hrembed.config.retrain import DriftSection, RetrainConfig
from hrembed.errors import InconclusiveError, ModelError, ThresholdError
from hrembed.files import write_text
from hrembed.records.retrain import BridgeWay, RetrainRecord
from hrembed.runs.model_registry import decide, read_registry, register
from hrembed.runs.past import find_run
from hrembed.runs.record import open_run
from hrembed.runs.workspace import Workspace
from hrembed.scoring.encoders import open_encoder
from hrembed.types import Estimate, Pair

from conftest import jsonl


def finetune(model: Path, pairs: Path, task: Path) -> FinetuneConfig:
    return FinetuneConfig(
        model=ModelSection(ref=f"path:{model}"),
        sources=(SourceSection(path=str(pairs)),),
        train=TrainSection(epochs=1, batch_size=8, evaluations=1, max_tokens=32),
        dev=TaskSection(path=str(task)),
        proof=ProofSection(tests=(TaskSection(path=str(task)),), retention=(), strengths=()),
    )


def test_pairs_that_differ_drift_and_equal_ones_do_not():
    old = [Pair(f"nurse {n}", f"cleans wounds on ward {n}", f"g{n}") for n in range(60)]
    new = [
        Pair(f"pilot {n}", f"flies {n} aeroplanes over very distant mountains every morning", f"h{n}")
        for n in range(60)
    ]
    encoder = open_encoder(ModelSection(ref="tfidf"), Workspace(Path()))

    class Dense:
        """TF-IDF over all texts as dense rows."""

        def vectors(self, texts, side):
            every = [pair.positive for pair in (*old, *new)] + [pair.anchor for pair in (*old, *new)]
            return encoder.vectors([*every, *texts], side).toarray()[len(every) :]

    bootstrap = BootstrapSection(resamples=200)
    assert measure_drift(Dense(), old, old, DriftSection(), bootstrap).drifted() == ()
    found = measure_drift(Dense(), old, new, DriftSection(), bootstrap).drifted()
    assert set(found) >= {"length", "vocabulary", "distance"}
    assert unknown_share(["a b"], ["b c c d"]) == 0.75


def bridged(gain: tuple[float, float, float], through: float):
    """A bridge of which only the gain of re-encoding and what a map keeps of it matter."""

    def way(value: float, low: float, high: float) -> BridgeWay:
        score = Estimate(0.5 + value, 0.4, 0.7, 9, "groups")
        return BridgeWay(score=score, difference=Estimate(value, low, high, 9, "groups"))

    mapped = "new queries, orthogonal map"
    ways = {"old model": way(0, 0, 0), mapped: way(through, through - 0.1, through + 0.1), "re-encoded": way(*gain)}
    return judge_bridge("task/test", ways, mapped)


def test_a_share_of_the_gain_is_told():
    bridge = bridged((0.1, 0.04, 0.16), through=0.07)
    assert (bridge.survived, bridge.no_gain) == (pytest.approx(0.7), "")
    assert bridge_sentence(bridge) == (
        "On old vectors of task/test: ndcg@10 0.570 through the best map; old model 0.500, re-encoded 0.600: "
        "70% of the gain is preserved."
    )


@pytest.mark.parametrize(
    ("gain", "why"),
    [
        ((0.1, -0.01, 0.21), "the interval of the gain, [-0.010, +0.210], includes 0"),
        ((0.1, 0.0, 0.2), "the interval of the gain, [+0.000, +0.200], includes 0"),
        ((-0.02, -0.1, 0.06), "the interval of the gain, [-0.100, +0.060], includes 0"),
        ((-0.1, -0.2, -0.01), "re-encoding scores lower than the old model"),
        ((0.1, np.nan, np.nan), "the gain from re-encoding has no interval"),
    ],
)
def test_without_a_gain_there_is_no_share_of_it(gain, why):
    bridge = bridged(gain, through=-0.03)
    assert bridge.survived is None
    assert "%" not in bridge_sentence(bridge)
    assert bridge_sentence(bridge).endswith(f": {why}, so there is no gain to preserve.")
    assert bridge.no_gain == why


def test_a_map_that_loses_keeps_nothing_of_a_gain():
    bridge = bridged((0.1, 0.04, 0.16), through=-0.03)
    assert bridge.survived == pytest.approx(-0.3)
    assert bridge_sentence(bridge).endswith(": none of the gain is preserved.")


def test_a_model_is_retrained_gated_registered_and_bridged(tiny_model: Path, pairs: Path, task: Path, tmp_path: Path):
    runs, settings = tmp_path / "runs", finetune(tiny_model, pairs, task)
    first = Path(run_finetune(settings, Workspace(runs)).run).name
    fresh = jsonl(
        tmp_path / "fresh.jsonl",
        [{"anchor": f"advert {n} for work {n % 12}", "positive": f"person {n}, skill {n % 12}", "group": f"f{n % 12}"}
         for n in range(48)],
    )  # fmt: skip
    lenient = {"quality": [{"margin": 0.99}], "inconclusive": "pass"}
    settled = RetrainConfig(pairs=str(pairs), finetune=settings, gate=lenient)
    decide(runs, first, "accept", by="Ada", why="gated by hand")
    assert run_retrain(settled, Workspace(runs)).status == "not worth it"
    assert len(read_registry(runs)) == 1
    result = run_retrain(settled.model_copy(update={"pairs": str(fresh)}), Workspace(runs))
    assert (result.status, result.failure) == ("accepted", None)
    assert "vocabulary" in result.metrics.drifted
    assert result.metrics.retraining.plan == "restart"  # most words are unknown
    before, entry = read_registry(runs).models
    assert (before.status, entry.status, entry.previous) == ("superseded", "accepted", f"finetune/{first}")
    assert find_run(runs, result.run).record(RetrainRecord) == result.metrics
    assert list(result.metrics.retraining.bridge.ways) == [
        "old model", "new queries, no map", "new queries, orthogonal map", "new queries, low rank map", "re-encoded",
    ]  # fmt: skip
    assert "On old vectors of task/test: ndcg@10" in result.notice
    assert (Path(result.run) / "bridge-low-rank.parquet").is_file()
    strict = settled.model_copy(
        update={"force": True, "gate": settled.gate.model_validate({"quality": [{"margin": None, "at_least": 2}]})}
    )
    refused = run_retrain(strict, Workspace(runs))
    assert refused.status == "rejected"
    assert isinstance(refused.failure, ThresholdError)
    assert refused.metrics.retraining.plan == "continue"
    assert [entry.status for entry in read_registry(runs).models] == ["superseded", "accepted", "rejected"]
    assert refused.metrics.last == f"finetune/{entry.model}"
    manifest = json.loads((Path(refused.run) / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["status"] == "ok"


def trained(runs: Path, config: FinetuneConfig) -> str:
    """A finetune run that ended well, without a training; returns its id."""
    with open_run(Workspace(runs), "finetune", config.model_dump(mode="json"), seeds={}) as run:
        write_text(run.path / "model" / "config.json", "{}")
    return run.path.name


def test_only_an_accepted_model_is_in_use_and_else_the_base(tiny_model: Path, pairs: Path, task: Path, tmp_path: Path):
    runs, settings = tmp_path / "runs", finetune(tiny_model, pairs, task)
    config = RetrainConfig(pairs=str(pairs), finetune=settings)
    first, second = trained(runs, settings), trained(runs, settings)  # as a retraining that was killed leaves them
    base = _last(config, runs)
    assert (base.run.name, base.run.path.name) == (f"path:{tiny_model}", tiny_model.name)
    assert (base.section.ref, base.section.max_tokens, base.sources) == (f"path:{tiny_model}", 32, ())
    register(runs, {"model": first, "status": "accepted"})
    register(runs, {"model": second, "status": "rejected", "from": f"finetune/{first}"})
    assert _last(config, runs).run.path.name == first
    assert _last(config.model_copy(update={"last": "base"}), runs).run.name == f"path:{tiny_model}"
    assert (
        _last(config.model_copy(update={"last": second}), runs).section.ref == f"run:{second}"
    )  # who names it means it
    with pytest.raises(ModelError, match="which is marked as rejected in the registry"):
        _last(config.model_copy(update={"last": "latest"}), runs)
    decide(runs, first, "reject", by="Ada", why="complaints")
    assert _last(config, runs).run.name == f"path:{tiny_model}"


def test_the_first_retraining_starts_from_the_base_and_one_of_yesterday_supersedes_nothing(
    tiny_model: Path, pairs: Path, task: Path, tmp_path: Path
):
    runs, settings = tmp_path / "runs", finetune(tiny_model, pairs, task)
    lenient = {"quality": [{"margin": 0.99}], "inconclusive": "pass"}
    config = RetrainConfig(pairs=str(pairs), finetune=settings, gate=lenient)
    result = run_retrain(config, Workspace(runs))
    record = result.metrics
    assert (result.status, record.drift, record.last) == ("accepted", None, f"path:{tiny_model}")
    assert record.retraining.why == "no model has been accepted, so training starts from the base"
    assert "Drift" not in result.tables
    assert json.loads((Path(result.run) / "config.yaml").read_text(encoding="utf-8"))["last"] == "base"
    (entry,) = read_registry(runs).models
    assert (entry.status, entry.previous) == ("accepted", f"path:{tiny_model}")
    late = run_retrain(
        config.model_copy(update={"last": "base"}), Workspace(runs)
    )  # as one that began before the first
    assert late.status == "outdated"
    assert isinstance(late.failure, InconclusiveError)
    assert f"the model in use is '{entry.model}'" in str(late.failure)
    assert [each.status for each in read_registry(runs).models] == ["accepted", "outdated"]
