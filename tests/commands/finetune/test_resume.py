"""A training that was killed ends as if nothing had happened."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from hrembed.commands.finetune import finish
from hrembed.commands.finetune.run import run_finetune
from hrembed.config.finetune import FinetuneConfig, FullMethod, LoraMethod, PartialMethod, SourceSection, TrainSection
from hrembed.config.parts import ModelSection, TaskSection
from hrembed.config.proof import ProofSection
from hrembed.errors import HrembedError, ModelError
from hrembed.models.transformer import load_model
from hrembed.runs.workspace import Workspace
from killing import KilledError, killed_at, run_id

NO_PROOF = ProofSection(tests=(), retention=(), strengths=())
TEXTS = ["nurse for the ward", "car mechanic", "bakes bread before sunrise"]
METHODS = {
    "lora": LoraMethod(rank=4, dropout=0.2),
    "dora": LoraMethod(rank=4, dropout=0.2, dora=True),
    "partial": PartialMethod(name="partial", layers=2),
    "full": FullMethod(name="full"),
}


@pytest.fixture
def config(tiny_model: Path, pairs: Path, task: Path) -> FinetuneConfig:
    return FinetuneConfig(
        model=ModelSection(ref=f"path:{tiny_model}"),
        sources=(SourceSection(path=str(pairs)),),
        train=TrainSection(epochs=4, batch_size=8, learning_rate=5e-3, max_tokens=32, evaluations=3, saves=7),
        dev=TaskSection(path=str(task)),
        proof=NO_PROOF,
    )


def vectors(run: Path) -> np.ndarray:
    return np.asarray(load_model(run / "model").encode(TEXTS))


@pytest.mark.parametrize(
    "method",
    # The magnitudes of dora are trained parameters like the factors of lora; it is killed below as well.
    [pytest.param(name, marks=pytest.mark.slow) if name == "dora" else name for name in METHODS],
)
def test_a_resumed_run_gives_the_model_of_a_run_that_was_never_stopped(config, trained, tmp_path, monkeypatch, method):
    config = trained.settled(config.model_copy(update={"method": METHODS[method]}))
    straight = Path(trained(config).run)
    steps = json.loads((straight / "metrics.json").read_text())["steps"]
    assert steps >= 16
    for moment in (7, 15):  # neither a resume point nor an evaluation
        with monkeypatch.context() as patch:
            killed_at(patch, moment)
            with pytest.raises(KilledError):
                run_finetune(config, Workspace(tmp_path / "b"), resume=run_id(tmp_path / "b") if moment == 15 else None)
    resumed = Path(run_finetune(config, Workspace(tmp_path / "b"), resume=run_id(tmp_path / "b")).run)
    assert np.abs(vectors(resumed) - vectors(straight)).max() <= 1e-6
    assert (resumed / "metrics.json").read_bytes() == (straight / "metrics.json").read_bytes()
    assert len(json.loads((resumed / "manifest.json").read_text())["resumed"]) == 2


def test_a_run_killed_before_its_first_point_starts_again(config, trained, tmp_path, monkeypatch):
    config = trained.settled(config)
    straight = Path(trained(config).run)
    with monkeypatch.context() as patch:
        killed_at(patch, 1)
        with pytest.raises(KilledError):
            run_finetune(config, Workspace(tmp_path / "b"))
    resumed = Path(run_finetune(config, Workspace(tmp_path / "b"), resume=run_id(tmp_path / "b")).run)
    assert (resumed / "metrics.json").read_bytes() == (straight / "metrics.json").read_bytes()


def test_accumulated_batches_resume_at_the_right_one(config, trained, tmp_path, monkeypatch):
    config = trained.settled(config.model_copy(update={"train": config.train.model_copy(update={"accumulate": 3})}))
    straight = Path(trained(config).run)
    with monkeypatch.context() as patch:
        killed_at(patch, 4)
        with pytest.raises(KilledError):
            run_finetune(config, Workspace(tmp_path / "b"))
    resumed = Path(run_finetune(config, Workspace(tmp_path / "b"), resume=run_id(tmp_path / "b")).run)
    assert (resumed / "metrics.json").read_bytes() == (straight / "metrics.json").read_bytes()


def test_other_data_or_another_method_is_refused_before_anything_is_loaded(config, tmp_path, monkeypatch, pairs):
    with monkeypatch.context() as patch:
        killed_at(patch, 7)
        with pytest.raises(KilledError):
            run_finetune(config, Workspace(tmp_path / "b"))
    other = config.model_copy(update={"method": METHODS["partial"]})
    with pytest.raises(ModelError, match="the trained parameters changed since the run was started"):
        run_finetune(other, Workspace(tmp_path / "b"), resume=run_id(tmp_path / "b"))
    pairs.write_text(pairs.read_text().replace("ad 1 ", "advert 1 "))
    with pytest.raises(ModelError, match="the training data changed since the run was started"):
        run_finetune(config, Workspace(tmp_path / "b"), resume=run_id(tmp_path / "b"))


def test_a_damaged_point_is_named(config, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        killed_at(patch, 7)
        with pytest.raises(KilledError):
            run_finetune(config, Workspace(tmp_path / "b"))
    (file,) = (tmp_path / "b").rglob("state.safetensors")
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(ModelError, match="is corrupt"):
        run_finetune(config, Workspace(tmp_path / "b"), resume=run_id(tmp_path / "b"))


def test_what_cannot_be_resumed_is_named(config, tmp_path):
    done = Path(run_finetune(config, Workspace(tmp_path)).run).name
    with pytest.raises(HrembedError, match="finished successfully; there is nothing to resume"):
        run_finetune(config, Workspace(tmp_path), resume=done)
    with pytest.raises(HrembedError, match=f"no finetune run 'nine' found in .*; the newest is 'finetune/{done}'"):
        run_finetune(config, Workspace(tmp_path), resume="nine")


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("method", ["lora", "dora", "partial", "full"])
def test_kill_nine_at_ten_random_moments(config, tmp_path, method):
    """A real process, killed by the system; the moments are drawn from the time that the training takes."""
    train = config.train.model_copy(update={"epochs": 150, "evaluations": 20, "saves": 300, "learning_rate": 1e-3})
    config = config.model_copy(update={"method": METHODS[method], "train": train})
    straight = Path(run_finetune(config, Workspace(tmp_path / "a")).run)
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(json.loads(config.model_dump_json())), encoding="utf-8")
    draw, kills, command = random.Random(method), 0, [str(tmp_path / "c.yaml")]
    while kills < 10:
        with subprocess.Popen(
            [sys.executable, "-m", "hrembed", "finetune", *command, "--runs-dir", str(tmp_path / "b"), "--quiet"],
            env=os.environ.copy(),
        ) as process:
            before = newest(tmp_path / "b")
            while newest(tmp_path / "b") == before and process.poll() is None:
                time.sleep(0.01)
            time.sleep(draw.uniform(0, 1.2))
            assert process.poll() is None, "the training ended before it was killed ten times"
            process.send_signal(signal.SIGKILL)
        kills += 1
        command = ["--resume", "latest"]
    resumed = Path(run_finetune(config, Workspace(tmp_path / "b"), resume=run_id(tmp_path / "b")).run)
    assert np.abs(vectors(resumed) - vectors(straight)).max() <= 1e-6
    assert (resumed / "metrics.json").read_bytes() == (straight / "metrics.json").read_bytes()


def newest(runs: Path) -> str:
    return max((path.name for path in runs.rglob("step-*") if path.suffix != ".part"), default="")


def test_a_run_that_was_killed_between_training_and_card_goes_on(config, task, trained, tmp_path, monkeypatch):
    proof = ProofSection(tests=(TaskSection(path=str(task)),), retention=(), strengths=(), strength=0.5)
    config = trained.settled(config.model_copy(update={"proof": proof}))
    straight = Path(trained(config).run)

    def killed(*args, **kwargs):
        raise KilledError

    for where in ("prove", "model_card"):
        run = run_id(tmp_path / "b") if (tmp_path / "b").exists() else None
        with monkeypatch.context() as patch:
            patch.setattr(finish, where, killed)
            with pytest.raises(KilledError):
                run_finetune(config, Workspace(tmp_path / "b"), resume=run)
    resumed = Path(run_finetune(config, Workspace(tmp_path / "b"), resume=run_id(tmp_path / "b")).run)
    assert (resumed / "metrics.json").read_bytes() == (straight / "metrics.json").read_bytes()
