"""Training: on a tiny random model for every mechanism, on MiniLM for the two methods that users take."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import forked
import numpy as np
import pytest
import yaml
from hrembed.cli.app import main
from hrembed.commands.eval.run import run_evaluate
from hrembed.commands.finetune.run import run_finetune
from hrembed.commands.finetune.sources import normalise_titles, open_sources
from hrembed.config.eval import EvalConfig
from hrembed.config.finetune import FinetuneConfig, LoraMethod, PartialMethod, SourceSection, TrainSection
from hrembed.config.parts import ModelSection, TaskSection
from hrembed.config.proof import ProofSection
from hrembed.errors import ConfigError, ModelError
from hrembed.models.folder import read_settings
from hrembed.models.refs import parse_ref
from hrembed.models.transformer import load_model
from hrembed.models.weights import locate_weights
from hrembed.runs.past import trained_model
from hrembed.runs.workspace import Workspace
from hrembed.scoring.encoders import open_encoder
from safetensors.numpy import load_file

from conftest import jsonl

if TYPE_CHECKING:
    from hrembed.records.finetune import FinetuneRecord
    from hrembed.types import CommandResult

NO_PROOF = ProofSection(tests=(), retention=(), strengths=())
TEXTS = ["nurse for the ward", "car mechanic", "bakes bread before sunrise"]


def read(run: str, name: str = "metrics.json"):
    return json.loads((Path(run) / name).read_text(encoding="utf-8"))


def copied(result: CommandResult[FinetuneRecord], runs: Path) -> Path:
    """The folder of a run, copied to where a test may change it, and where `latest` finds it."""
    run = Path(result.run)
    return Path(shutil.copytree(run, runs / run.parent.name / run.name))


def vectors(folder: Path) -> np.ndarray:
    return np.asarray(load_model(folder).encode(TEXTS))


@pytest.fixture
def tiny_config(tiny_model: Path, pairs: Path, task: Path) -> FinetuneConfig:
    return FinetuneConfig(
        model=ModelSection(ref=f"path:{tiny_model}"),
        sources=(SourceSection(path=str(pairs)),),
        train=TrainSection(epochs=2, batch_size=8, learning_rate=5e-3, max_tokens=32, evaluations=2),
        dev=TaskSection(path=str(task)),
        proof=NO_PROOF,
    )


def test_a_run_keeps_the_best_model_and_says_how_it_was_made(tiny_config: FinetuneConfig, trained):
    result = trained(trained.settled(tiny_config))
    run = Path(result.run)
    metrics = read(result.run)
    assert sorted(item.name for item in run.iterdir()) == [
        "adapter", "config.yaml", "dev.svg", "log.txt", "manifest.json", "metrics.json", "model", "per_query.parquet",
        "training.svg",
    ]  # fmt: skip
    assert len(metrics["loss_history"]) == metrics["steps"] >= 12
    assert metrics["step_sources"] == [0] * metrics["steps"]
    best = max(entry["score"] for entry in metrics["dev_history"][1:])
    assert metrics["tuned"]["value"] == pytest.approx(best, abs=1e-6)
    assert metrics["dev_history"][0]["score"] == pytest.approx(metrics["base"]["value"])
    assert result.status == metrics["verdict"]
    card = (run / "model" / "README.md").read_text(encoding="utf-8")
    assert metrics["verdict"] in card
    assert "method: name lora, rank 16" in card.lower()


def test_titles_are_trained_scored_and_saved_as_they_are_embedded(tiny_model: Path, task: Path, tmp_path: Path):
    rows = [{"anchor": f"{word}s, night shift", "positive": f"bakes {word}s"} for word in ("baker", "cook", "tester")]
    jsonl(tmp_path / "titles.jsonl", rows * 4)
    config = FinetuneConfig(
        model=ModelSection(ref=f"path:{tiny_model}", normalise_titles="queries"),
        sources=(SourceSection(path=str(tmp_path / "titles.jsonl")),),
        train=TrainSection(epochs=1, batch_size=3, max_tokens=32, evaluations=1),
        dev=TaskSection(path=str(task)),
        proof=NO_PROOF,
    )
    (source,) = normalise_titles(config, open_sources(config, SimpleNamespace(add_input=lambda *_: None)))
    assert source.rows[0].anchor == "night shift baker"
    assert source.rows[0].positive == "bakes bakers"
    run = Path(run_finetune(config, Workspace(tmp_path)).run)
    assert read_settings(run / "model").normalise_titles == "queries"
    assert "hrembed.titles.normal_form" in (run / "model/README.md").read_text(encoding="utf-8")
    recorded = read(str(run), "manifest.json")["models"]["tuned"]
    assert recorded["normalised_titles"] == "queries"
    section = ModelSection(ref=f"path:{run / 'model'}")
    assert open_encoder(section, Workspace(tmp_path)).identity == recorded["identity"]
    again = config.model_copy(update={"model": ModelSection(ref=f"path:{run / 'model'}")})
    second = Path(run_finetune(again, Workspace(tmp_path)).run)
    assert read_settings(second / "model").normalise_titles == "queries"


def test_adapter_plus_base_gives_the_saved_model(tiny_config: FinetuneConfig, tiny_model: Path, trained):
    """The merged folder, and PEFT's own way of loading the adapter, are two engines for one model."""
    from peft import PeftModel

    run = Path(trained(trained.settled(tiny_config)).run)
    base = load_model(tiny_model)
    before = np.asarray(base.encode(TEXTS))
    base[0].model = PeftModel.from_pretrained(base[0].model, str(run / "adapter")).merge_and_unload()
    saved = vectors(run / "model")
    assert np.abs(np.asarray(base.encode(TEXTS)) - saved).max() < 1e-5
    assert np.abs(before - saved).max() > 1e-2


def test_adapters_on_the_last_layers_touch_no_other(tiny_config: FinetuneConfig, tiny_model: Path, tmp_path: Path):
    config = tiny_config.model_copy(update={"method": LoraMethod(layers=1)})
    changed = changed_layers(tiny_model, Path(run_finetune(config, Workspace(tmp_path)).run) / "model")
    assert changed == {"encoder.layer.3"}


def test_top_layers_train_these_and_nothing_else(tiny_config: FinetuneConfig, tiny_model: Path, tmp_path: Path):
    config = tiny_config.model_copy(update={"method": PartialMethod(name="partial", layers=2)})
    run = Path(run_finetune(config, Workspace(tmp_path)).run)
    assert changed_layers(tiny_model, run / "model") == {"encoder.layer.2", "encoder.layer.3"}
    assert not (run / "adapter").exists()


def changed_layers(base: Path, tuned: Path) -> set[str]:
    before, after = load_file(base / "model.safetensors"), load_file(tuned / "model.safetensors")
    assert before.keys() - after.keys() <= {"embeddings.position_ids"}  # a counter that old checkpoints store
    changed = [name for name in after if not np.array_equal(before[name], after[name])]
    return {".".join(name.removeprefix("bert.").split(".")[:3]) for name in changed}


def test_more_layers_than_there_are_is_an_error(tiny_config: FinetuneConfig, tmp_path: Path):
    config = tiny_config.model_copy(update={"method": PartialMethod(name="partial", layers=9)})
    with pytest.raises(ConfigError, match=r"`method\.layers` is 9, but the model has 4 layers"):
        run_finetune(config, Workspace(tmp_path))


def test_the_same_config_gives_the_same_numbers(tiny_config: FinetuneConfig, trained, tmp_path: Path):
    config = trained.settled(tiny_config)
    first, second = Path(trained(config).run), Path(run_finetune(config, Workspace(tmp_path)).run)
    assert (first / "metrics.json").read_bytes() == (second / "metrics.json").read_bytes()


def test_a_tuned_model_can_be_named_by_its_run(tiny_config: FinetuneConfig, trained, task: Path, tmp_path: Path):
    run = copied(trained(trained.settled(tiny_config)), tmp_path)
    config = EvalConfig(
        models=(ModelSection(ref="run:latest", max_tokens=32),), baselines=(), tasks=(TaskSection(path=str(task)),)
    )
    metrics = read(run_evaluate(config, Workspace(tmp_path)).run)
    score = metrics["scores"]["task/test"][f"run:{run.name}"]["ndcg@10"]["value"]
    assert score == pytest.approx(read(str(run))["tuned"]["value"], abs=1e-6)


def test_weights_that_changed_after_the_run_are_refused(tiny_config: FinetuneConfig, trained, tmp_path: Path):
    run = copied(trained(trained.settled(tiny_config)), tmp_path)
    with (run / "model" / "model.safetensors").open("ab") as stream:
        stream.write(b"x")
    with pytest.raises(ModelError, match="was modified after the run: its SHA-256 differs from the manifest"):
        trained_model(tmp_path, run.name)


def test_a_half_precision_checkpoint_is_loaded_in_float32(tiny_model: Path, tmp_path: Path):
    """transformers 5 would keep float16, and train in it."""
    import torch

    load_model(tiny_model).half().save_pretrained(str(tmp_path / "half"), create_model_card=False)
    assert {p.dtype for p in load_model(tmp_path / "half").parameters()} == {torch.float32}


def test_a_learning_rate_that_destroys_the_model_is_not_called_a_success(tiny_config: FinetuneConfig, tmp_path: Path):
    train = tiny_config.train.model_copy(update={"learning_rate": 0.9})
    config = tiny_config.model_copy(update={"train": train, "method": PartialMethod(name="partial", layers=4)})
    result = run_finetune(config, Workspace(tmp_path))
    assert result.metrics.tuned.value < result.metrics.base.value
    assert result.status != "better"


def test_a_loss_that_is_no_number_ends_the_run(tiny_config: FinetuneConfig, tmp_path: Path):
    """By default the trainer logs 0 in its place."""
    train = tiny_config.train.model_copy(update={"temperature": 1e-42})
    with pytest.raises(ModelError, match="the loss is nan at step 1"):
        run_finetune(tiny_config.model_copy(update={"train": train}), Workspace(tmp_path))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_an_interrupted_run_says_so_and_its_last_checkpoint_loads(tiny_config, tmp_path: Path, number):
    train = tiny_config.train.model_copy(update={"epochs": 1000, "evaluations": 100})
    config = tiny_config.model_copy(update={"train": train})
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(json.loads(config.model_dump_json())), encoding="utf-8")
    argv = ["finetune", str(tmp_path / "c.yaml"), "--runs-dir", str(tmp_path / "r")]
    process = forked.start(forked.hrembed, *argv, said=tmp_path / "said")
    forked.wait_until(lambda: any(tmp_path.glob("r/finetune/*/checkpoints/last/model.safetensors")), process)
    os.kill(process.pid, number)
    _, errors = forked.ended(process, tmp_path / "said")
    assert process.exitcode == 130
    assert "Traceback" not in errors
    (run,) = (tmp_path / "r" / "finetune").iterdir()
    manifest = read(str(run), "manifest.json")
    assert manifest["status"] == "interrupted"
    assert "stopped after" in manifest["error"]
    assert not (run / "model").exists()
    assert np.isfinite(vectors(run / "checkpoints" / "last")).all()
    with pytest.raises(ModelError, match=r"has status 'interrupted'.*") as caught:
        trained_model(tmp_path / "r", run.name)
    assert "checkpoints/last" in caught.value.hint


@pytest.mark.long
@pytest.mark.usefixtures("minilm")
@pytest.mark.parametrize(
    "method",
    [
        # test_readme trains real weights with adapters as well, by the README's block.
        pytest.param("{name: lora, rank: 8, layers: 3}", marks=pytest.mark.slow, id="lora"),
        pytest.param("{name: partial, layers: 2}", marks=pytest.mark.slow, id="partial"),
    ],
)
def test_real_weights_learn_to_match_ads_with_profiles(tmp_path: Path, capsys, method):
    """A short real run of each method beats the base on occupations that it never saw."""
    argv = [
        "finetune", "--runs-dir", str(tmp_path), "--json", "--set", f"method={method}",
        "--set", "sources.0.kinds=[ad-profile]", "--set", "sources.0.limit=96", "--set", "train.evaluations=1",
        "--set", "train.max_tokens=64", "--set", "train.batch_size=16",
        "--set", "proof={tests: [], retention: [], strengths: []}",
        "--set", f"train.learning_rate={'1e-3' if 'lora' in method else '1e-4'}",
    ]  # fmt: skip
    assert main(argv) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["metrics"]["base"]["value"] == pytest.approx(0.5241, abs=0.005)
    assert content["metrics"]["difference"]["value"] > 0.05
    assert content["status"] == "better"
    layers = changed_layers(locate_weights(parse_ref("minilm")), Path(content["run"]) / "model")
    assert layers == {f"encoder.layer.{n}" for n in ((3, 4, 5) if "lora" in method else (4, 5))}
