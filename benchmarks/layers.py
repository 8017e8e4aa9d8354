"""Which layers are worth training: all 20 choices of three of MiniLM's six layers, trained with several seeds.

    python benchmarks/layers.py --seeds 13 14 15 16 17 [--threads 1] [--workers 2] [--results FOLDER] [--short]
    python benchmarks/layers.py --seeds 15 16 17 --choices 3,4,5 2,3,4 --rates 5e-5 2e-4
    python benchmarks/layers.py --report [--results FOLDER]

A training is that of `hrembed finetune` with `method: {name: partial, layers: [...]}` (a test compares the numbers), on
a sample of 700 of the pairs of hr-core, as in `finetune.py`. A seed draws the sample, the batches and dropout, so that
all choices of a seed see the same batches in the same order, at one learning rate. The last weights are kept, not the
best of several: dev may choose layers, but no step. Every training is a line of `layers.jsonl`: nDCG@10 of each query
of the dev and of the test side of ad-profile, of each topic of the retention probe, seconds until the last step, and
the largest memory until then. A line for each seed holds what the rules of `layer_rules.py` would choose, and the
scores of the base. What is there already, under a hash of its settings, is not computed again. `idle: false` says that
other programs ran meanwhile: seconds are then no measurement. Neither are they with several workers, each a process of
so many threads that trains its share of a seed's choices; no other number depends on them. A seed's trainings have one
number format, that of the machine: bfloat16 (seeds 13 and 14) or float32 (15 to 17).

Fixed before any result was seen. Regret of a rule: the mean over seeds of nDCG@10 on test of the one choice that has
the highest such mean on dev, less that of what the rule chooses for each seed; with a paired interval that draws
occupations and seeds anew. Decisions go by the regret itself; the upper end of its interval is stated beside it.

1. If the regret of `last` is below .005, the last layers become the default of all examples.
2. Of `fisher`, `snr` and `change`, a rule stays in the code only if it beats `last` by at least .005 on test, or by at
   least .005 on the retention probe while it loses less than .005 on test, and the interval of that difference lies
   above 0. If none does, `layers: auto` goes, with `choice.by` and `choice.control`.
3. If the regret of `last` is .005 or more, the default goes to whatever rule has less, if one is left by 2; if none is,
   no default changes, and the study goes on to equal seconds, learning rates for each choice, titles and noisy input.
4. If a random choice has a mean regret below .005 as well, the conclusion is that it does not matter which three of
   these layers are trained on such data, and that the cheapest are the last ones.

Power, with a spread of .008 over seeds in the paired difference (assumed), seeds alone: by the normal approximation 5
seeds find a difference of .01 in 80 % of such studies, and .005 needs 20; by the t distribution 5 seeds find .01 in
56 % and .005 in 19 %, 20 seeds find .005 in 76 %. So a difference between .005 and .01 may be missed.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from hrembed.commands.finetune.distributed import only_process
from hrembed.commands.finetune.models import encoder_of, load, score_dev_task
from hrembed.commands.finetune.phases import training_phases
from hrembed.commands.finetune.prepare import apply_method, prepare, recipe_of
from hrembed.commands.finetune.proof import as_eval
from hrembed.config.finetune import FinetuneConfig
from hrembed.memory import give_back_freed_memory, peak_memory_mb
from hrembed.models.machine import settled
from hrembed.progress import Silent
from hrembed.runs.environment import git_state
from hrembed.runs.record import open_run
from hrembed.runs.workspace import Workspace
from hrembed.scoring.measures import measure
from hrembed.scoring.retrieval import groups_of
from hrembed.scoring.systems import System
from hrembed.training.trainer import Context, train

from layer_regret import RATE, rates_report, read_study, report
from layer_rules import gradient_fisher, rank, representation_change, weight_signal
from measuring import arguments

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hrembed.commands.finetune.prepare import Prepared
    from hrembed.types import Floats

DEPTH, COUNT = 6, 3
SUBSETS = [*combinations(range(DEPTH), COUNT)]
LAST = SUBSETS[-1]
PAIRS = {False: 700, True: 64}


def settings_of(seed: int, layers: Sequence[int] = (), *, rate: float = RATE, short: bool) -> FinetuneConfig:
    """Settings of a training; without layers, of what a seed's trainings share, for which every parameter is free."""
    method = {"name": "partial", "layers": list(layers)} if layers else {"name": "full"}
    return FinetuneConfig.model_validate(
        {
            "sources": [{"limit": PAIRS[short]}],
            "method": method,
            "train": {"learning_rate": rate, "precision": settled("auto"), "evaluations": 1, "saves": 0, "seed": seed},
            "proof": {"tests": [{}], "strengths": [], **({"retention": []} if short else {})},
        }
    )


def key_of(config: FinetuneConfig) -> str:
    """Hash of the settings of one training."""
    return hashlib.sha256(json.dumps(config.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()[:16]


class Scores:
    """Scores a model on the tasks of a preparation.

    Args:
        prepared: The preparation.
    """

    def __init__(self, prepared: Prepared) -> None:
        self._prepared = prepared
        self._settings = as_eval(prepared.config)

    def dev(self, model: Any) -> Floats:
        """Score each query of the dev task."""
        return score_dev_task(self._prepared.config, model, self._prepared.tasks.dev, Silent())

    def others(self, model: Any) -> dict[str, list[float]]:
        """Score each query of the test task, and each topic of the retention probe (the sum over its queries)."""
        tasks = self._prepared.tasks
        found = {"test": _listed(self._items(model, tasks.tests[0]))}
        if tasks.retention:
            task = tasks.retention[0]
            _, topic = np.unique(groups_of(task), return_inverse=True)
            found["retention"] = _listed(np.bincount(topic, weights=self._items(model, task)))
        return found

    def _items(self, model: Any, task: Any) -> Floats:
        system = System("tuned", encoder_of(self._prepared.config, model))
        measured = measure(system, task, self._settings, Silent())
        return measured.items[measured.headline]


def _listed(values: Iterable[float]) -> list[float]:
    return [round(float(value), 6) for value in values]


def one_training(prepared: Prepared, config: FinetuneConfig, scores: Scores) -> dict[str, Any]:
    """Train with some settings from the base, and score what comes out."""
    reset_peak()
    started, computed = time.monotonic(), time.process_time()
    model = load(config, prepared.base_folder)
    plan = prepared.plan_for(model)
    again = replace(prepared, config=config, model=model, plan=plan, parameters=apply_method(config, model))
    found: dict[str, Any] = {}

    def score(plain: Any) -> float:
        found["seconds"] = round(time.monotonic() - started, 2)
        found["cpu_seconds"] = round(time.process_time() - computed, 2)
        found["peak_memory_mb"] = peak_memory_mb()
        values = scores.dev(plain)
        found.update(dev=_listed(values), **scores.others(plain))
        return float(values.mean())

    with tempfile.TemporaryDirectory() as folder:
        context = Context(
            base_score=float(prepared.base_scores.mean()),
            score_dev=score,
            stop_requested=lambda: False,
            checkpoints=Path(folder),
            progress=prepared.run.progress,
        )
        history = train(again.model, again.plan, recipe_of(again), context)
    batches = hashlib.sha256(json.dumps([list(map(int, batch)) for batch in again.plan.batches]).encode())
    return {
        **found,
        "steps": history.steps,
        "loss": round(history.losses[-1], 6),
        "batches": batches.hexdigest()[:16],
        "whole_cpu_seconds": round(time.process_time() - computed, 2),
    }


def reset_peak() -> None:
    """Give freed memory back, and start the largest memory of this process anew; does nothing but on Linux."""
    if sys.platform == "linux":
        give_back_freed_memory()
        Path("/proc/self/clear_refs").write_text("5")


def seed_facts(prepared: Prepared, scores: Scores) -> dict[str, Any]:
    """What all trainings of a seed share: choices of the rules, scores of the base, groups of queries."""
    model, plan = prepared.model, prepared.plan
    of_rules = {
        "fisher": gradient_fisher(model, plan, batches=4),
        "snr": weight_signal(model),
        "change": representation_change(model, plan, steps=8, seed=prepared.config.train.seed),
    }
    tasks = prepared.tasks
    dev, test = (groups_of(task) for task in (tasks.dev, tasks.tests[0]))
    topics = np.unique(groups_of(tasks.retention[0]), return_counts=True) if tasks.retention else ([], [])
    return {
        "rules": {rule: sorted(rank(values)[:COUNT]) for rule, values in of_rules.items()} | {"last": list(LAST)},
        "scores": {rule: [float(f"{value:.6g}") for value in values] for rule, values in of_rules.items()},
        "base": {
            "dev": _listed(prepared.base_scores),
            **scores.others(load(prepared.config, prepared.base_folder)),
        },
        "groups": {"dev": dev, "test": test, "retention": [str(name) for name in topics[0]]},
        "retention_queries": [int(count) for count in topics[1]],
    }


class Share(NamedTuple):
    """A part of a seed's trainings, for one worker.

    Attributes:
        seed: Of sample, batches and dropout.
        first: Number of the worker, from 0: the first training that it takes.
        of: How many workers share the seed; each takes one training in so many.
    """

    seed: int
    first: int = 0
    of: int = 1


Asked = tuple[tuple[int, ...], float]
"""Layers and a learning rate."""


def study(share: Share, asked: Sequence[Asked], file: Path, *, short: bool, idle: bool) -> None:
    """Train a share of what is asked for with a seed, and add what is missing to a file, a line each."""
    seed, shared = share.seed, settings_of(share.seed, short=short)
    known = {row["key"] for row in read_lines(file)}
    configs = {
        (layers, rate): settings_of(seed, layers, rate=rate, short=short)
        for layers, rate in asked[share.first :: share.of]
    }
    missing = {what: config for what, config in configs.items() if key_of(config) not in known}
    facts = share.first == 0 and key_of(shared) not in known
    if not missing and not facts:
        return
    precision = shared.train.precision
    with tempfile.TemporaryDirectory() as folder:
        dump, phases = shared.model_dump(mode="json"), training_phases(shared)
        with open_run(Workspace(Path(folder)), "finetune", dump, seeds={"train": seed}, phases=phases) as run:
            prepared = prepare(shared, run, only_process())
            scores = Scores(prepared)
            row: dict[str, Any] = {"key": key_of(shared), "seed": seed, "layers": [], "precision": precision}
            if facts:
                add_line(file, row | seed_facts(prepared, scores))
            state = git_state()
            for (layers, rate), config in missing.items():
                row = {"key": key_of(config), "seed": seed, "layers": list(layers), "rate": rate}
                row |= {"precision": precision, "idle": idle, "commit": state.commit[:7] if state else ""}
                row |= one_training(prepared, config, scores)
                add_line(file, row)
                shown = (f"{name} {np.mean(row[name]):.4f}" for name in ("dev", "test"))
                print(seed, layers, f"{rate:g}", *shown, f"{row['whole_cpu_seconds']:.0f} s of processor", flush=True)


def read_lines(file: Path) -> list[dict[str, Any]]:
    """Read what was computed so far; nothing where there is no file."""
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def add_line(file: Path, row: dict[str, Any]) -> None:
    """Append a line in one write, so that a kill leaves whole lines."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as stream:
        stream.write(json.dumps(row) + "\n")


def main() -> None:
    """Train what is missing, or report."""
    options = arguments(
        __doc__ or "",
        seeds={"type": int, "nargs": "+", "default": [13, 14, 15, 16, 17]},
        threads={"type": int, "default": 1},
        workers={"type": int, "default": 1, "help": "processes, each with so many threads"},
        choices={"nargs": "+", "help": "layers such as 3,4,5; all choices of three where none is named"},
        rates={"type": float, "nargs": "+", "default": [RATE], "help": "learning rates"},
        report={"action": "store_true", "help": "train nothing; print what the complete seeds say"},
        idle={"action": "store_true", "help": "nothing else runs on this machine, so seconds are a measurement"},
    )
    os.environ["OMP_NUM_THREADS"] = str(options.threads)  # read when torch is imported, which no import above does
    file = options.results / ("layers-short.jsonl" if options.short else "layers.jsonl")
    if options.report:
        rows = read_lines(file)
        print(report(read_study(rows, SUBSETS)), rates_report(rows), sep="\n", end="")
        return
    named = [tuple(map(int, choice.split(","))) for choice in options.choices or ()]
    choices = named or [LAST, *SUBSETS[:-1]][: 2 if options.short else None]
    asked = [(layers, rate) for layers in choices for rate in options.rates]
    idle = options.idle and options.workers == 1
    train_share = partial(study, asked=asked, file=file, short=options.short, idle=idle)
    shares = [Share(seed, first, options.workers) for seed in options.seeds for first in range(options.workers)]
    if options.workers == 1:
        for share in shares:
            train_share(share)
        return
    with ProcessPoolExecutor(options.workers, multiprocessing.get_context("spawn")) as pool:
        list(pool.map(train_share, shares))


if __name__ == "__main__":
    main()
