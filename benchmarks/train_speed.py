"""Fine-tuning to the same dev nDCG@10: hrembed beside a plain `SentenceTransformerTrainer` in float32.

    python benchmarks/train_speed.py [--short]

MiniLM on the pairs of hr-core, batches of one size. The plain training is of all layers, with the library's loss and
batches without duplicates. Its best dev score is the goal; the time of each of ours ends at the first dev score that
reaches it, or not at all. Dev scores are taken at even distances by the same function, and their time is counted for
nobody. The trainings follow each other, in a new order in every round. Each has one learning rate, which nobody tuned
for it: another may suit the plain training better, and the ratio holds for these settings alone.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset
from hrembed.commands.finetune.models import load, score_dev_task
from hrembed.commands.finetune.phases import training_phases
from hrembed.commands.finetune.prepare import prepare, recipe_of
from hrembed.config.finetune import FinetuneConfig
from hrembed.config.proof import ProofSection
from hrembed.data.locate import locate
from hrembed.data.pairs import read_pairs
from hrembed.data.read import read_task
from hrembed.progress import Silent
from hrembed.runs.record import open_run
from hrembed.runs.workspace import Workspace
from hrembed.scoring.encoders import model_folder
from hrembed.training.processes import Processes
from hrembed.training.trainer import Context, train
from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
from sentence_transformers.sentence_transformer.training_args import BatchSamplers
from transformers import TrainerCallback

from measuring import arguments, record

BATCH, TOKENS = 32, 128
PARTIAL = {
    "method": {"name": "partial", "layers": 3},
    "train": {"learning_rate": 3e-4, "keep_frozen_mb": 4096, "precision": "bfloat16"},
}
FULL = {"method": {"name": "full"}, "train": {"learning_rate": 1e-4, "precision": "bfloat16"}}
TARGETS = {"partial": 5.0, "full": 2.5}

Curve = list[tuple[float, float]]


class Watch:
    """A clock that stands still while a model is scored."""

    def __init__(self, score: Any) -> None:
        self._score = score
        self.curve: Curve = []
        self.start()

    def start(self) -> None:
        """Start from nothing."""
        self._spent, self._started = 0.0, time.perf_counter()

    def __call__(self, model: Any) -> float:
        """Score, and note when."""
        now = time.perf_counter()
        found = float(np.nanmean(self._score(model)))
        self.curve.append((now - self._started - self._spent, found))
        self._spent += time.perf_counter() - now
        return found


def config_of(settings: dict[str, Any], epochs: int, limit: int | None, evaluations: int) -> FinetuneConfig:
    """Settings of one training of ours."""
    shared = {"epochs": epochs, "batch_size": BATCH, "max_tokens": TOKENS, "evaluations": evaluations, "saves": 0}
    return FinetuneConfig(
        method=settings["method"],
        train={**shared, **settings["train"]},
        sources=[{"limit": limit}],
        proof=ProofSection(tests=(), retention=(), strengths=()),
    )


def ours(config: FinetuneConfig, folder: Path) -> Curve:
    """Train as `hrembed finetune` does; the kept activations are computed within the time."""
    dev = read_task(locate(config.dev.path), config.dev.split)
    dump, phases = config.model_dump(mode="json"), training_phases(config)
    with open_run(Workspace(folder), "finetune", dump, seeds={}, phases=phases) as run:
        ready = prepare(config, run, Processes())
        watch = Watch(lambda model: score_dev_task(config, model, dev, Silent()))
        context = Context(0.0, watch, lambda: False, run.path / "checkpoints", Silent())
        train(ready.model, ready.plan, recipe_of(ready), context)
    return watch.curve


def plain(config: FinetuneConfig, folder: Path) -> Curve:
    """Train as the documentation of the library does."""
    dev = read_task(locate(config.dev.path), config.dev.split)
    known = read_pairs(locate(config.sources[0].path))
    pairs = [known[n] for n in sorted(np.random.default_rng(13).permutation(len(known))[: config.sources[0].limit])]
    model = load(config, model_folder(config.model, folder))
    steps = max(1, len(pairs) * config.train.epochs // BATCH // config.train.evaluations)
    watch = Watch(lambda trained: score_dev_task(config, trained, dev, Silent()))

    class Scores(TrainerCallback):
        def on_train_begin(self, *_: Any, **__: Any) -> None:
            watch.start()

        def on_step_end(self, args: Any, state: Any, control: Any, **now: Any) -> None:
            if state.global_step % steps == 0:
                model.eval()
                watch(model)
                model.train()

    trainer = SentenceTransformerTrainer(
        model=model,
        args=SentenceTransformerTrainingArguments(
            output_dir=str(folder / "plain"),
            num_train_epochs=config.train.epochs,
            per_device_train_batch_size=BATCH,
            learning_rate=FULL["train"]["learning_rate"],
            warmup_steps=0.1,
            use_cpu=True,
            seed=13,
            batch_sampler=BatchSamplers.NO_DUPLICATES,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
        ),
        train_dataset=Dataset.from_dict({"anchor": [p.anchor for p in pairs], "positive": [p.positive for p in pairs]}),
        loss=MultipleNegativesRankingLoss(model),
        callbacks=[Scores()],
    )
    trainer.train()
    return watch.curve


def untrained(config: FinetuneConfig) -> float:
    """Dev score of the base; a goal below it would mean nothing."""
    dev = read_task(locate(config.dev.path), config.dev.split)
    return float(np.nanmean(score_dev_task(config, load(config, model_folder(config.model, Path())), dev, Silent())))


def reached(curve: Curve, goal: float) -> float:
    """When a score was first reached; infinite where it never was."""
    return next((seconds for seconds, score in curve if score >= goal), float("inf"))


def main() -> None:
    """Measure, and write the rows."""
    options = arguments(__doc__ or "")
    rounds, epochs, limit, evaluations = (1, 1, 160, 2) if options.short else (3, 1, None, 8)
    ways = {"plain": FULL, "partial": PARTIAL, "full": FULL}
    before = untrained(config_of(FULL, epochs, limit, evaluations))
    speed: dict[str, list[float]] = {name: [] for name in TARGETS}
    curves: list[dict[str, Curve]] = []
    for number in range(rounds):
        names = [*ways][number % 3 :] + [*ways][: number % 3]
        found: dict[str, Curve] = {}
        for name in names:
            config = config_of(ways[name], epochs, limit, evaluations)
            with tempfile.TemporaryDirectory() as folder:
                found[name] = (plain if name == "plain" else ours)(config, Path(folder))
        goal = max(score for _, score in found["plain"])
        for name, ratios in speed.items():
            ratios.append(reached(found["plain"], goal) / reached(found[name], goal))
        curves.append(found)
    rows = [
        {
            "what": f"fine-tune `{name}` to the same dev nDCG@10, rate {ways[name]['train']['learning_rate']:g}",
            "against": f"`SentenceTransformerTrainer`, full, float32, same batch, {FULL['train']['learning_rate']:g}",
            "target": f"at least {target}",
            "value": float(np.median(speed[name])),
            "note": "0 means that the score was not reached",
            "dev_before": before,
            "curves": [{way: curve for way, curve in round_.items() if way in {"plain", name}} for round_ in curves],
        }
        for name, target in TARGETS.items()
    ]
    record("train_speed", options, rows)


if __name__ == "__main__":
    main()
