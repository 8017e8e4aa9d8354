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
from typing import TYPE_CHECKING

import forked
import launched
import numpy as np
import psutil
import pytest
import yaml
from hrembed.commands.finetune.distributed import _of_follower, _of_leader, check_alike, only_process
from hrembed.commands.finetune.run import run_finetune
from hrembed.config.finetune import FinetuneConfig, FullMethod, LoraMethod, SourceSection, TrainSection
from hrembed.config.losses import EmbeddingDistillationLoss
from hrembed.config.parts import ModelSection, TaskSection
from hrembed.config.proof import ProofSection
from hrembed.config.scratch import MaskedSection, ScratchMethod
from hrembed.errors import ConfigError, ModelError, StoppedError
from hrembed.models.transformer import load_model
from hrembed.runs.workspace import Workspace
from hrembed.training.plan import TrainingPlan, whole_rounds
from hrembed.training.processes import Failure, Processes, join, launch_lost
from hrembed.training.trainer import _planned

from conftest import jsonl

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.timeout(2400), pytest.mark.long]
SCRIPT = launched.__file__
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
    settings = {"epochs": 2, "batch_size": 8, "learning_rate": 5e-3, "max_tokens": 32, "evaluations": 1, "saves": 1}
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
    STARTED.append(subprocess.Popen([*LAUNCH, *arguments], env=environment, text=True, stdout=pipe, stderr=pipe))
    return STARTED[-1]


STARTED: list[subprocess.Popen[str]] = []


@pytest.fixture(autouse=True)
def _no_launch_outlives_its_test() -> Iterator[None]:
    """One that failed would take the processors from all that follow."""
    yield
    while STARTED:
        launcher = STARTED.pop()
        if launcher.poll() is None:
            for process in [*psutil.Process(launcher.pid).children(recursive=True), launcher]:
                process.kill()
            launcher.communicate()


def hrembed(*arguments: str) -> subprocess.Popen[str]:
    return launch("-m", "hrembed", "finetune", *arguments)


def ended(process: subprocess.Popen[str], seconds: float = 600) -> tuple[str, str]:
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
    """As long as it takes: a machine that does other work gives a launch a fiftieth of its time."""
    before = newest(runs)
    while newest(runs) == before:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


def family(launcher: subprocess.Popen[str]) -> list[psutil.Process]:
    process = psutil.Process(launcher.pid)
    workers = process.children(recursive=True)
    assert len(workers) == 2
    return [process, *workers]


def only(runs: Path) -> Path:
    (run,) = (runs / "finetune").iterdir()
    return run


def read(run: Path, name: str = "metrics.json"):
    return json.loads((run / name).read_text(encoding="utf-8"))


def vectors(run: Path) -> np.ndarray:
    return np.asarray(load_model(run / "model").encode_query(TEXTS))


def long_config(tiny_model: Path, pairs: Path, task: Path) -> FinetuneConfig:
    """Enough steps to be stopped in between; with dropout in model and adapters, different in each process."""
    train = {"epochs": 8, "saves": 24, "evaluations": 2, "learning_rate": 1e-3}
    method = LoraMethod(rank=4, dropout=0.2)
    return configure(tiny_model, {pairs: "ranking"}, task, train=train, method=method)


@pytest.fixture
def wide_teacher(tiny_model: Path, tmp_path: Path) -> ModelSection:
    """The tiny model with longer vectors: what is compared with it learns a projection."""
    import torch
    from sentence_transformers.sentence_transformer.modules import Dense

    model = load_model(tiny_model)
    torch.manual_seed(1)
    model.append(Dense(in_features=32, out_features=48, activation_function=torch.nn.Identity()))
    model.save_pretrained(str(tmp_path / "wide"), create_model_card=False)
    return ModelSection(ref=f"path:{tmp_path / 'wide'}")


@pytest.mark.slow
def test_two_processes_are_one_with_twice_the_accumulation(
    still_model, tiny_model, pairs, loose, task, tmp_path, wide_teacher
):
    """Adapters; a router with a frozen side and unused parameters; two losses in one step; a loss that learns.

    Random weights, which the first process teaches their texts.
    """
    small = {"vocabulary": 256, "layers": 1, "width": 16, "heads": 2, "feed_forward": 32, "dropout": 0.0}
    teaching = SourceSection(
        path=str(loose), loss=EmbeddingDistillationLoss(name="embedding-distillation", teacher=wide_teacher)
    )
    configs = {
        "lora": configure(still_model, {loose: "ranking"}, task, method=LoraMethod(rank=4)),
        "query": configure(
            still_model,
            {loose: "ranking"},
            task,
            method=FullMethod(name="full"),
            sides="query",
            train={"accumulate": 2},
        ),
        "mixed": configure(
            still_model, {loose: "cached-ranking", pairs: "group-ranking"}, task, method=FullMethod(name="full")
        ),
        "taught": configure(still_model, {loose: "ranking"}, task).model_copy(update={"sources": (teaching,)}),
        "scratch": configure(
            still_model,
            {loose: "ranking"},
            task,
            method=ScratchMethod(name="scratch", mlm=MaskedSection(epochs=1), **small),
        ),
    }
    (tmp_path / "plan.json").write_text(json.dumps({n: as_json(c) for n, c in configs.items()}), encoding="utf-8")
    leader, _ = forked.pair(launched.train, str(tmp_path / "plan.json"), said=tmp_path / "said")
    _, errors = forked.ended(leader, tmp_path / "said")
    assert leader.exitcode == 0, errors
    for name, config in configs.items():
        train = config.train.model_copy(update={"accumulate": 2 * config.train.accumulate})
        one = Path(run_finetune(config.model_copy(update={"train": train}), Workspace(tmp_path / "one" / name)).run)
        two = only(tmp_path / name)
        assert read(two)["steps"] == read(one)["steps"] >= 3
        assert read(two)["loss_history"] == pytest.approx(read(one)["loss_history"], abs=1e-4)
        assert np.abs(vectors(two) - vectors(one)).max() <= 1e-4
        assert read(two)["tuned"]["value"] == pytest.approx(read(one)["tuned"]["value"], abs=1e-6)
        assert read(one, "manifest.json")["processes"] == 1
        assert read(two, "manifest.json")["processes"] == 2


@pytest.mark.parametrize(
    "kill", [pytest.param(False, id="stopped"), pytest.param(True, marks=pytest.mark.slow, id="stopped and killed")]
)
def test_a_launch_that_did_not_finish_ends_as_if_nothing_had_happened(tiny_model, pairs, task, tmp_path, kill):
    """Two trainings in the first launch, and the last one without a launcher, since each takes seconds to import."""
    config = long_config(tiny_model, pairs, task)
    folders = str(tmp_path / "a"), str(tmp_path / "b")
    stopped = launch(SCRIPT, "twice", *folders, "finetune", written(config, tmp_path))
    wait_for_point(stopped, tmp_path / "b")
    for process in family(stopped):  # as Ctrl-C in a terminal does; the launcher then sends it on, a second time
        process.send_signal(signal.SIGINT)
    output, errors = ended(stopped)
    assert json.loads(output)["metrics"]["steps"] == read(only(tmp_path / "a"))["steps"] >= 24  # exactly one object
    assert stopped.returncode != 0
    manifest = read(only(tmp_path / "b"), "manifest.json")
    assert manifest["status"] == "interrupted"
    assert "stopped after" in manifest["error"]
    assert errors.count("stopping after this step") == 1
    assert errors.count("hrembed: error") == 1

    if kill:
        killed = hrembed("--resume", "latest", "--runs-dir", str(tmp_path / "b"))
        wait_for_point(killed, tmp_path / "b")
        for process in family(killed):
            process.kill()
        killed.communicate(timeout=300)
        assert read(only(tmp_path / "b"), "manifest.json")["status"] == "started"
    with pytest.raises(ModelError, match="the number of processes changed since the run was started"):
        run_finetune(config, Workspace(tmp_path / "b"), resume=only(tmp_path / "b").name)

    argv = ["finetune", "--resume", "latest", "--runs-dir", str(tmp_path / "b"), "--quiet"]
    leader, _ = forked.pair(forked.hrembed, *argv, said=tmp_path / "resumed")
    output, errors = forked.ended(leader, tmp_path / "resumed")
    assert leader.exitcode == 0, errors
    assert output == f"{only(tmp_path / 'b')}\n"
    assert (only(tmp_path / "b") / "metrics.json").read_bytes() == (only(tmp_path / "a") / "metrics.json").read_bytes()
    assert len(read(only(tmp_path / "b"), "manifest.json")["resumed"]) == (3 if kill else 2)


@pytest.mark.parametrize(
    "rank",
    [
        # A launch more; what the first one says is among what is said of another, and in the test of who leads below.
        pytest.param(0, marks=pytest.mark.slow, id="the first process"),
        pytest.param(1, id="another process"),
    ],
)
def test_one_process_that_fails_ends_all_and_the_manifest_says_why(tiny_model, pairs, task, tmp_path, rank):
    arguments = [written(long_config(tiny_model, pairs, task), tmp_path), "--runs-dir", str(tmp_path / "r")]
    process = launch(SCRIPT, "fail", str(rank), "5", "finetune", *arguments)
    wait_for_point(process, tmp_path / "r")
    _, errors = ended(process)
    assert process.returncode != 0
    manifest = read(only(tmp_path / "r"), "manifest.json")
    assert manifest["status"] == "failed"
    assert manifest["error"] == f"ModelError: {'process 1 failed: ' if rank else ''}the disk is on fire"
    assert errors.count("hrembed: error: the disk is on fire") == 1
    assert errors.count("hrembed: error: process 1 failed: the disk is on fire") == rank
    assert errors.count("exitcode  : 4 ") == 2


def test_a_round_without_a_batch_for_every_process_is_left_out():
    plan = TrainingPlan({}, {}, [[0, 1], [2, 3], [4, 5]], {}, {})
    assert whole_rounds(plan, 1) == plan
    assert whole_rounds(plan, 2).batches == [[0, 1], [2, 3]]
    with pytest.raises(ModelError, match="not enough batches"):
        whole_rounds(plan, 4)


def test_a_smaller_batch_at_the_end_of_a_round_is_trained_on():
    """accelerate drops the round when it is told a batch size, and the trainer tells one."""
    from accelerate.data_loader import BatchSamplerShard
    from torch.utils.data import BatchSampler, ConcatDataset, SequentialSampler

    plan = [[0, 1, 2], [3, 4], [5, 6, 7], [8, 9, 10]]
    rows = ConcatDataset([list(range(11))])
    sampler = _planned(plan)(rows, batch_samplers=[BatchSampler(SequentialSampler(rows), 3, drop_last=True)])

    def shares():
        return [list(BatchSamplerShard(sampler, 2, rank, even_batches=False)) for rank in (0, 1)]

    assert shares() == [[plan[0], plan[2]], [plan[1], plan[3]]]
    sampler.batch_size = 3
    assert shares() == [[plan[2]], [plan[3]]]


def test_who_follows_says_nothing_of_its_own_and_who_leads_says_what_stopped_it(monkeypatch):
    lost = RuntimeError("[/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:553] Connection closed by peer")
    leader, follower = Processes(0, 2), Processes(1, 2)
    monkeypatch.setattr(Processes, "failure_elsewhere", lambda self: None)
    assert str(_of_leader(leader, lost)) == "another process of this training run failed"
    assert str(_of_follower(follower, lost)) == str(_of_follower(follower, KeyboardInterrupt())) == ""
    assert _of_follower(follower, StoppedError("stopped after 3 of 9 steps")).exit_code == 130
    own = RuntimeError("out of memory")
    assert _of_leader(leader, own) is own
    assert _of_follower(follower, own) is own
    monkeypatch.setattr(Processes, "failure_elsewhere", lambda self: Failure(1 - self.rank, "no such file", 3))
    told = _of_leader(leader, KeyboardInterrupt())  # the launcher ends the first process of those that are left
    assert (str(told), told.exit_code) == ("process 1 failed: no such file", 3)
    assert _of_leader(leader, StoppedError("asked")).exit_code == 130
    assert _of_follower(follower, lost).exit_code == 3


def test_processes_that_read_different_files_do_not_train_together(monkeypatch):
    both = [{"the training data": "a", "steps": 1}, {"the training data": "b", "steps": 1}]
    monkeypatch.setattr(Processes, "gather", lambda self, value: both)
    with pytest.raises(ModelError, match="process 1 differs from process 0 in the training data"):
        check_alike(Processes(0, 2), both[0])
    check_alike(Processes(1, 2), both[1])  # the first one says it


def test_without_a_launch_nothing_is_opened():
    import torch

    assert join({}) == join({"WORLD_SIZE": "1"}) == Processes(0, 1, None)
    assert not torch.distributed.is_initialized()
    with pytest.raises(ConfigError, match="which shards the model across processes"):
        join({"WORLD_SIZE": "2", "ACCELERATE_USE_FSDP": "true"})


def test_a_call_that_cannot_share_its_work_refuses_a_launch(tiny_model, pairs, task, tmp_path, monkeypatch):
    assert only_process() == Processes(0, 1, None)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(
        ConfigError, match="several processes were launched, but this command does not support distributed runs"
    ):
        run_finetune(long_config(tiny_model, pairs, task), Workspace(tmp_path / "r"))
    assert not (tmp_path / "r").exists()


def test_a_launcher_that_started_one_process_of_two_is_noticed(tmp_path):
    """`accelerate launch --cpu --num_processes 2` does, without a word."""
    code = "import os; from hrembed.training.processes import launch_lost; print(os.getpid(), launch_lost())"
    (tmp_path / "one.py").write_text(code, encoding="utf-8")
    at = LAUNCH.index("--multi_gpu")
    command = [*LAUNCH[:at], "--cpu", *LAUNCH[at + 1 :], str(tmp_path / "one.py")]
    output = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout
    assert len(output.split()) == 2
    assert output.endswith("True\n")
    assert not launch_lost({})
    assert not launch_lost({"MASTER_ADDR": "::1", "ACCELERATE_MIXED_PRECISION": "no", "WORLD_SIZE": "2"})
