"""What a long training will take, and what looks wrong with it, before its first step."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from hrembed.errors import HrembedError, ModelError
from hrembed.memory import MB, peak_memory_mb
from hrembed.records.finetune import Preflight, Probe, Truncation
from hrembed.training.methods import count_parameters
from hrembed.training.plan import batch_loss

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hrembed.records.finetune import Precision
    from hrembed.training.plan import Recipe, TrainingPlan

EASY_LOSS = 0.05
_TEXTS = 20_000  # texts whose tokens are counted
_PROBES = 4


def check(
    model: Any,
    plan: TrainingPlan,
    recipe: Recipe,
    folder: Path,
    *,
    timed: Sequence[Precision] = (),
    trainings: int = 1,
) -> Preflight:
    """Look at a training before it starts; weights and random numbers are left as they were.

    Args:
        model: What is trained, adapters and frozen parts in place.
        plan: Rows, batches and losses.
        recipe: How to train.
        folder: Where checkpoints will go.
        timed: Number formats in which a few steps are run, for time, memory and loss, float32 and that of the recipe
            among them; none runs no step.
        trainings: How many such trainings there will be, the files of all kept at once.

    Raises:
        ModelError: Nothing would be trained.
        HrembedError: The disk is too small.
    """
    parameters = count_parameters(model)
    if not parameters.trainable:
        raise ModelError(
            "no parameters to train",
            hint="a loaded adapter is frozen; fine-tune its base model, or the merged model",
        )
    disk_mb = _disk(model, folder, trainings)
    cut = _truncation(model, plan, recipe.seed)
    probed = _probe(model, plan, recipe, timed) if timed and plan.batches else None
    return Preflight(
        parameters=parameters,
        steps=-(-len(plan.batches) // recipe.batches_per_step),
        rows_per_batch=float(np.mean([len(batch) for batch in plan.batches])) if plan.batches else 0.0,
        disk_mb=disk_mb,
        cut=cut,
        probe=probed,
        warnings=(
            *_truncation_warnings(cut),
            *_batch_warnings(plan, recipe),
            *(_probe_warnings(probed, recipe) if probed else ()),
        ),
    )


def _disk(model: Any, folder: Path, trainings: int) -> int:
    """MB that the run will write: last and best model, a resume point and the one that replaces it; the final model.

    The best model is written beside the one it replaces.
    """
    whole = sum(p.numel() * p.element_size() for p in model.parameters())
    trained = sum(p.numel() * p.element_size() for p in model.parameters() if p.requires_grad)
    needed, free = trainings * (2 * whole + 2 * 3 * trained) + 2 * whole, shutil.disk_usage(folder).free
    if needed > free:
        raise HrembedError(
            f"the run needs about {needed // MB} MB in '{folder}', but only {free // MB} MB are free",
            hint="free up disk space, or choose another folder with `--runs-dir`",
        )
    return int(needed // MB)


def _truncation(model: Any, plan: TrainingPlan, seed: int) -> dict[str, Truncation]:
    """Count for each column what is cut off; nothing for a model without a limit."""
    limit, cut = model.max_seq_length, {}
    if limit is None:
        return {}
    for name in sorted({column for columns in plan.columns.values() for column in columns}):
        texts = sorted({text for columns in plan.columns.values() for text in columns.get(name, ())})
        if len(texts) > _TEXTS:
            chosen = np.random.default_rng(seed).choice(len(texts), _TEXTS, replace=False)
            texts = [texts[n] for n in sorted(chosen)]
        prompt = plan.prompts.get(name, "")
        tokens = np.array([len(ids) for ids in _token_ids(model, [prompt + text for text in texts])])
        cut[name] = Truncation(
            limit=limit,
            texts=float((tokens > limit).mean()),
            tokens=float(np.maximum(tokens - limit, 0).sum() / tokens.sum()),
        )
    return cut


def _token_ids(model: Any, texts: Sequence[str]) -> list[list[int]]:
    return list(model.tokenizer(list(texts), truncation=False, verbose=False)["input_ids"])


def _probe(model: Any, plan: TrainingPlan, recipe: Recipe, timed: Sequence[Precision]) -> Probe:
    """Run forward and backward on the largest batch and on some at even distances."""
    import torch

    sizes = [sum(len(text) for text in plan.texts(batch)) for batch in plan.batches]
    places = np.linspace(0, len(plan.batches) - 1, min(_PROBES, len(plan.batches))).astype(int)
    random = torch.get_rng_state()
    model.train()
    _step(model, plan, plan.batches[int(np.argmax(sizes))], recipe.precision)  # the first step also warms up
    runs = {precision: [_step(model, plan, plan.batches[n], precision) for n in places] for precision in timed}
    torch.set_rng_state(random)
    ranked = [
        loss
        for n, (loss, _) in zip(places, runs["float32"], strict=True)
        if plan.locate(plan.batches[n])[0] not in plan.without_batch_negatives
    ]
    seconds = {precision: float(np.median([took for _, took in steps])) for precision, steps in runs.items()}
    return Probe(
        seconds_per_batch=seconds,
        training_seconds=seconds[recipe.precision] * len(plan.batches) / recipe.processes,
        peak_memory_mb=round(peak_memory_mb()),
        loss=float(np.mean([loss for loss, _ in runs["float32"]])),
        ranking_loss=float(np.mean(ranked)) if ranked else float("nan"),
    )


def _step(model: Any, plan: TrainingPlan, batch: Sequence[int], precision: Precision) -> tuple[float, float]:
    """Return loss and seconds of one batch, and throw the gradients away."""
    import torch

    started = time.perf_counter()
    with torch.autocast(model.device.type, dtype=torch.bfloat16, enabled=precision == "bfloat16"):
        loss = batch_loss(model, plan, batch)
    loss.backward()
    model.zero_grad(set_to_none=True)
    return float(loss.detach()), time.perf_counter() - started


def _truncation_warnings(cut: dict[str, Truncation]) -> list[str]:
    return [
        (
            f"{lost.texts:.0%} of the texts in `{column}` exceed {lost.limit} tokens; {lost.tokens:.0%} of "
            "all their tokens are truncated (`train.max_tokens`), in every score of this run and of its base as well"
        )
        for column, lost in cut.items()
        if lost.texts > 0.05
    ]


def _batch_warnings(plan: TrainingPlan, recipe: Recipe) -> list[str]:
    warnings = []
    small = float(np.mean([len(batch) < 4 for batch in plan.batches])) if plan.batches else 0.0
    if small > 0.1:
        warnings.append(
            f"{small:.0%} of the batches contain fewer than four rows, so there are hardly any in-batch negatives"
        )
    if recipe.batches_per_step > 1:
        who = f", one of each of {recipe.processes} processes," if recipe.processes > 1 else ""
        warnings.append(
            f"gradients are accumulated over {recipe.batches_per_step} batches{who}, which does not add "
            "negatives; for more negatives, use a larger `train.batch_size` with the loss `cached-ranking`"
        )
    return warnings


def _probe_warnings(probe: Probe, recipe: Recipe) -> list[str]:
    warnings = []
    if probe.ranking_loss < EASY_LOSS:
        warnings.append(
            f"the loss before training is already {probe.ranking_loss:.3f}: the negatives are too easy; "
            "use larger batches or harder negatives (`mine`)"
        )
    for other, seconds in probe.seconds_per_batch.items():
        ratio = probe.seconds_per_batch[recipe.precision] / seconds
        if ratio > 1.2:
            warnings.append(f"`train.precision: {other}` is {ratio:.1f} times faster on this machine")
    return warnings
