"""Several processes reach what one reaches with as much accumulation, and end together whatever happens."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import yaml
from hrembed.config.parts import ModelSection, TaskSection
from hrembed.config.proof import ProofSection
from hrembed.config.training import FinetuneConfig, FullMethod, LoraMethod, PartialMethod, SourceSection, TrainSection
from hrembed.errors import ConfigError, ModelError
from hrembed.models.transformer import load_model
from hrembed.stages.finetune import run_finetune
from hrembed.training.processes import Processes, join, launch_lost
from hrembed.training.trainer import Feed, _planned, whole_rounds

from tests.conftest import jsonl

pytestmark = pytest.mark.timeout(300)
SCRIPT = str(Path(__file__).with_name("launched.py"))
TEXTS = ["nurse for the ward", "car mechanic", "bakes bread before sunrise"]
LAUNCH = [
    sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1",
    "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0",
]  # fmt: skip


@pytest.fixture
def still_model(tiny_model: Path, tmp_path: Path) -> Path:
    """The tiny model without dropout, whose masks would differ between one process and two."""
    folder = tmp_path / "still"
    shutil.copytree(tiny_model, folder)
    settings = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    settings |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (folder / "config.json").write_text(json.dumps(settings), encoding="utf-8")
    return folder


@pytest.fixture
def loose(tmp_path: Path) -> Path:
    """Forty-four pairs without groups: six batches of an epoch, the last one of four rows."""
    return jsonl(
        tmp_path / "loose.jsonl", [{"anchor": f"ad {n} for it", "positive": f"profile {n} of it"} for n in range(44)]
    )


def configure(model: Path, sources: dict[Path, str], task: Path, *, train=None, **changes) -> FinetuneConfig:
    settings = {"epochs": 2, "batch_size": 8, "learning_rate": 5e-3, "max_tokens": 32, "evaluations": 2, "saves": 2}
    return FinetuneConfig(
        model=ModelSection(ref=f"path:{model}"),
        sources=tuple(SourceSection(path=str(path), loss={"name": loss}) for path, loss in sources.items()),
        train=TrainSection(**{**settings, **(train or {})}),
        dev=TaskSection(path=str(task)),
        proof=ProofSection(tests=(), retention=(), strengths=()),
        **changes,
    )


def as_json(config: FinetuneConfig):
    return json.loads(config.model_dump_json())


def written(config: FinetuneConfig, folder: Path) -> str:
    (folder / "c.yaml").write_text(yaml.safe_dump(as_json(config)), encoding="utf-8")
    return str(folder / "c.yaml")


def launch(*arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    pipe = subprocess.PIPE
    return subprocess.Popen([*LAUNCH, *arguments], env=environment, text=True, stdout=pipe, stderr=pipe)


def hrembed(*arguments: str) -> subprocess.Popen[str]:
    return launch("-m", "hrembed", "finetune", *arguments)


def ended(process: subprocess.Popen[str], seconds: float = 120) -> tuple[str, str]:
    """Wait for launcher and processes, and leave none behind."""
    started = psutil.Process(process.pid).children(recursive=True)
    try:
        return process.communicate(timeout=seconds)
    finally:
        left = [child for child in started if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
        for child in left:
            child.kill()
        process.kill()
        assert not left, "a process outlived its launcher"


def newest(runs: Path) -> str:
    return max((path.name for path in runs.rglob("step-*") if path.suffix != ".part"), default="")


def wait_for_point(process: subprocess.Popen[str], runs: Path) -> None:
    before, deadline = newest(runs), time.monotonic() + 120
    while newest(runs) == before:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def only(runs: Path) -> Path:
    (run,) = (runs / "finetune").iterdir()
    return run


def read(run: Path, name: str = "metrics.json"):
    return json.loads((run / name).read_text(encoding="utf-8"))


def vectors(run: Path) -> np.ndarray:
    return np.asarray(load_model(run / "model").encode_query(TEXTS))


def long_config(tiny_model: Path, pairs: Path, task: Path) -> FinetuneConfig:
    """Enough steps to be stopped in between; with dropout in model and adapters, different in each process."""
    train = {"epochs": 30, "saves": 60, "evaluations": 3, "learning_rate": 1e-3}
    method = LoraMethod(rank=4, dropout=0.2)
    return configure(tiny_model, {pairs: "ranking"}, task, train=train, method=method)


def test_two_processes_are_one_with_twice_the_accumulation(still_model, tiny_model, pairs, loose, task, tmp_path):
    """Adapters; a router with a frozen side and unused parameters; two losses that meet in one step."""
    configs = {
        "lora": configure(still_model, {loose: "ranking"}, task, method=LoraMethod(rank=4)),
        "query": configure(
            still_model, {loose: "ranking"}, task, method=FullMethod(name="full"), sides="query", train={"accumulate": 2}
        ),
        "mixed": configure(
            still_model, {loose: "cached-ranking", pairs: "group-ranking"}, task, method=FullMethod(name="full")
        ),
    }
    (tmp_path / "plan.json").write_text(json.dumps({n: as_json(c) for n, c in configs.items()}), encoding="utf-8")
    process = launch(SCRIPT, "train", str(tmp_path / "plan.json"))
    _, errors = ended(process)
    assert process.returncode == 0, errors
    for name, config in configs.items():
        train = config.train.model_copy(update={"accumulate": 2 * config.train.accumulate})
        one = Path(run_finetune(config.model_copy(update={"train": train}), tmp_path / "one" / name).run)
        two = only(tmp_path / name)
        assert read(two)["steps"] == read(one)["steps"] >= 3
        assert read(two)["loss_history"] == pytest.approx(read(one)["loss_history"], abs=1e-4)
        assert np.abs(vectors(two) - vectors(one)).max() <= 1e-4
        assert read(two)["tuned"]["value"] == pytest.approx(read(one)["tuned"]["value"], abs=1e-6)
        assert read(one, "manifest.json")["processes"] == 1
        assert read(two, "manifest.json")["processes"] == 2
