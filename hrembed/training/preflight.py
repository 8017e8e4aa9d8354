"""What is said before a long training: what it will take, and what looks wrong."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hrembed.errors import HrembedError, ModelError
from hrembed.memory import MB, peak_memory_mb
from hrembed.training.methods import count_parameters
from hrembed.training.plan import _place, _texts, batch_loss

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hrembed.training.plan import Recipe, TrainingPlan

EASY_LOSS = 0.05
_TEXTS = 20_000  # texts whose tokens are counted
_PROBES = 4


@dataclass(frozen=True)
class Preflight:
    """Facts and warnings.

    Attributes:
        facts: What was found, for `metrics.json`.
        warnings: One sentence each; empty when nothing looks wrong.
    """

    facts: dict[str, Any]
    warnings: tuple[str, ...]


def check(
    model: Any, plan: TrainingPlan, recipe: Recipe, folder: Path, *, probe: bool, trainings: int = 1
) -> Preflight:
    """Look at a training before it starts; weights and random numbers are left as they were.

    Args:
        model: What is trained, adapters and frozen parts in place.
        plan: Rows, batches and losses.
        recipe: How.
        folder: Where checkpoints will go.
        probe: Also run a few steps, for time, memory and loss.
        trainings: How many such trainings there will be, while the files of all are there.

    Raises:
        ModelError: Nothing would be trained.
        HrembedError: The disk is too small.
    """
    trainable, total = count_parameters(model)
    if not trainable:
        raise ModelError(
            "no parameter would be trained",
            hint="an adapter that was loaded as a model is frozen; fine-tune its base, or the merged model",
        )
    facts: dict[str, Any] = {
        "parameters": {"trainable": trainable, "all": total},
        "steps": -(-len(plan.batches) // recipe.batches_per_step),
        "rows_per_batch": float(np.mean([len(batch) for batch in plan.batches])) if plan.batches else 0.0,
        "disk_mb": _disk(model, folder, trainings),
        "cut": _cut(model, plan, recipe.seed),
    }
    if probe and plan.batches:
        facts["probe"] = _probe(model, plan, recipe)
    return Preflight(facts, tuple(_warnings(facts, plan, recipe)))


def _disk(model: Any, folder: Path, trainings: int) -> int:
    """MB that the run will write: last and best model, a resume point and the one that replaces it; the final model.

    The best model is written beside the one it replaces.
    """
    whole = sum(p.numel() * p.element_size() for p in model.parameters())
    trained = sum(p.numel() * p.element_size() for p in model.parameters() if p.requires_grad)
    needed, free = trainings * (2 * whole + 2 * 3 * trained) + 2 * whole, shutil.disk_usage(folder).free
    if needed > free:
        raise HrembedError(
            f"the run needs about {needed // MB} MB below '{folder}', where {free // MB} MB are free",
            hint="free some space, or choose another folder with `--runs-dir`",
        )
    return int(needed // MB)


def _cut(model: Any, plan: TrainingPlan, seed: int) -> dict[str, dict[str, float]]:
    """For each column: the share of the texts that are too long, and of the tokens that are lost."""
    limit, found = model.max_seq_length, {}
    if limit is None:
        return {}
    for name in sorted({column for columns in plan.columns.values() for column in columns} - {"label"}):
        texts = sorted({text for columns in plan.columns.values() for text in columns.get(name, ())})
        if len(texts) > _TEXTS:
            chosen = np.random.default_rng(seed).choice(len(texts), _TEXTS, replace=False)
            texts = [texts[n] for n in sorted(chosen)]
        prompt = plan.prompts.get(name, "")
        tokens = np.array([len(ids) for ids in _token_ids(model, [prompt + text for text in texts])])
        found[name] = {
            "limit": limit,
            "texts": float((tokens > limit).mean()),
            "tokens": float(np.maximum(tokens - limit, 0).sum() / tokens.sum()),
        }
    return found


def _token_ids(model: Any, texts: Sequence[str]) -> list[list[int]]:
    return list(model.tokenizer(list(texts), truncation=False, verbose=False)["input_ids"])


def _probe(model: Any, plan: TrainingPlan, recipe: Recipe) -> dict[str, Any]:
    """Run forward and backward on the largest batch and on some at even distances."""
    import torch

    size = [sum(len(text) for text in _texts(plan, batch)) for batch in plan.batches]
    places = np.linspace(0, len(plan.batches) - 1, min(_PROBES, len(plan.batches))).astype(int)
    random = torch.get_rng_state()
    model.train()
    _step(model, plan, plan.batches[int(np.argmax(size))], recipe.precision)  # the first step also warms up
    runs = {kind: [_step(model, plan, plan.batches[n], kind) for n in places] for kind in ("float32", "bfloat16")}
    torch.set_rng_state(random)
    ranked = [
        loss
        for n, (loss, _) in zip(places, runs["float32"], strict=True)
        if _place(plan, plan.batches[n])[0] not in plan.given
    ]
    seconds = {kind: float(np.median([took for _, took in steps])) for kind, steps in runs.items()}
    return {
        "seconds_per_batch": seconds,
        "training_seconds": seconds[recipe.precision] * len(plan.batches) / recipe.processes,
        "peak_memory_mb": round(peak_memory_mb()),
        "loss": float(np.mean([loss for loss, _ in runs["float32"]])),
        "ranking_loss": float(np.mean(ranked)) if ranked else float("nan"),
    }


def _step(model: Any, plan: TrainingPlan, batch: Sequence[int], precision: str) -> tuple[float, float]:
    """Return loss and seconds of one batch, and throw the gradients away."""
    import torch

    started = time.perf_counter()
    with torch.autocast(model.device.type, dtype=torch.bfloat16, enabled=precision == "bfloat16"):
        loss = batch_loss(model, plan, batch)
    loss.backward()
    model.zero_grad(set_to_none=True)
    return float(loss.detach()), time.perf_counter() - started


def _warnings(facts: dict[str, Any], plan: TrainingPlan, recipe: Recipe) -> list[str]:
    found = []
    for column, cut in facts["cut"].items():
        if cut["texts"] > 0.05:
            found.append(
                f"{cut['texts']:.0%} of the texts in `{column}` are longer than {cut['limit']} tokens; "
                f"{cut['tokens']:.0%} of all tokens there are cut off (`train.max_tokens`)"
            )
    small = float(np.mean([len(batch) < 4 for batch in plan.batches])) if plan.batches else 0.0
    if small > 0.1:
        found.append(f"{small:.0%} of the batches hold fewer than four rows, so there are hardly any negatives")
    if recipe.batches_per_step > 1:
        who = f", one of each of {recipe.processes} processes," if recipe.processes > 1 else ""
        found.append(
            f"gradients of {recipe.batches_per_step} batches{who} are added up, which does not give a row more "
            "negatives; a larger `train.batch_size` with the loss `cached-ranking` does"
        )
    probe = facts.get("probe")
    if probe and probe["ranking_loss"] < EASY_LOSS:
        found.append(
            f"the loss is {probe['ranking_loss']:.3f} before training: the negatives are too easy to learn from; use a "
            "larger batch or closer negatives (`mine`)"
        )
    if probe:
        seconds = probe["seconds_per_batch"]
        other = "bfloat16" if recipe.precision == "float32" else "float32"
        ratio = seconds[recipe.precision] / seconds[other]
        if ratio > 1.2:
            found.append(f"`train.precision: {other}` is {ratio:.1f} times faster on this machine")
    return found
