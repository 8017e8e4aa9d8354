"""How much each layer of an encoder matters for a training, by three rules that hrembed offered until this study.

Scores are comparable within a rule and a model only. Every function leaves weights, `requires_grad`, training mode and
random numbers as they were, and throws gradients away.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from hrembed.training.methods import blocks, transformer_of
from hrembed.training.plan import batch_loss, features_of, require_batches

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hrembed.training.plan import TrainingPlan
    from hrembed.types import Floats

_SAMPLE = 64  # texts on which representations are compared
_RATE = 5e-5  # step size of the short run: usual for training all of an encoder
_GRID = 2000


def stack_of(model: Any) -> list[Any]:
    """Return the layers that can be trained, lowest first; of a router those of the queries' side.

    Raises:
        ConfigError: The model has no stack of layers.
        ModelError: It does not start with a transformer.
    """
    return blocks(transformer_of(model).model)


def rank(scores: Floats) -> list[int]:
    """Order layers from the highest score to the lowest; of equal ones the upper first, which is faster to train."""
    return sorted(range(len(scores)), key=lambda layer: (-scores[layer], -layer))


def gradient_fisher(model: Any, plan: TrainingPlan, *, batches: int) -> Floats:
    """Score layers by the mean squared gradient of their parameters: the diagonal of the empirical Fisher matrix.

    The loss of a batch is one observation, since a contrastive loss has no value for a pair alone. Dropout is off.

    Args:
        model: A Sentence Transformers model.
        plan: The planned training.
        batches: How many planned batches, at even distances; all where there are fewer.

    Returns:
        One score per layer, 0 the lowest, shape (layers,), 0 or more.

    Raises:
        ModelError: No batch is planned.

    Source:
        Lodha et al. (2023), On Surgical Fine-tuning for Language Encoders, arXiv:2310.17041; here divided by the number
        of parameters, so that larger layers do not win for their size.
    """
    stack = stack_of(model)
    sums, used = np.zeros(len(stack)), _spaced(plan, batches)
    with _restored(model, plan, seed=0):
        model.eval()
        for block in stack:
            block.requires_grad_(True)
        for batch in used:
            batch_loss(model, plan, batch).backward()
            sums += [_squared_gradients(block) for block in stack]
            model.zero_grad(set_to_none=True)
    sizes = np.array([sum(parameter.numel() for parameter in block.parameters()) for block in stack])
    return np.asarray(sums / len(used) / sizes)


def _squared_gradients(block: Any) -> float:
    return sum(float(p.grad.double().square().sum()) for p in block.parameters() if p.grad is not None)


def weight_signal(model: Any) -> Floats:
    """Score layers by the mean `signal_to_noise` of their weight matrices; needs no data.

    Args:
        model: A Sentence Transformers model.

    Returns:
        One score per layer, 0 the lowest, shape (layers,), 0 or more; NaN where a matrix has no noise.
    """
    scores = []
    for block in stack_of(model):
        matrices = [p.detach().cpu().float().numpy() for p in block.parameters() if p.ndim == 2]
        scores.append(np.mean([signal_to_noise(matrix) for matrix in matrices]) if matrices else np.nan)
    return np.array(scores)


def signal_to_noise(matrix: Floats) -> float:
    """Divide the singular values that stand out of noise by the others, then by the largest.

    Spectrum takes the noise level from the quartiles of the singular values as if they were normally distributed. Those
    of pure noise are not: a part of them then counts as signal, and the division by the largest can rank pure noise
    above a matrix with structure. Here the noise level is the one whose median singular value is the matrix's own,
    so that pure noise has its largest singular value at the edge.

    Args:
        matrix: Weights, shape (rows, columns).

    Returns:
        0 or more, in units of one over a weight; NaN when no noise is left to divide by.

    Source:
        Hartford et al. (2024), Spectrum, arXiv:2406.06623; noise level from Gavish & Donoho (2014),
        doi:10.1109/TIT.2014.2323359.
    """
    wide = (matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T).astype(np.float64)
    # By the eigenvalues of the smaller product, ten times as fast; what that rounds away lies far below the edge.
    values = np.sqrt(np.maximum(np.linalg.eigvalsh(wide @ wide.T)[::-1], 0))
    ratio = min(matrix.shape) / max(matrix.shape)
    edge = np.median(values) * (1 + np.sqrt(ratio)) / np.sqrt(marchenko_pastur_median(ratio))
    noise = values[values <= edge].sum()
    return float(values[values > edge].sum() / noise / values[0]) if noise > 0 else float("nan")


def marchenko_pastur_median(ratio: float) -> float:
    """Return the median of the Marchenko-Pastur distribution with variance 1.

    It is the limit of the squared singular values of a noise matrix with n rows and m columns, divided by m.

    Args:
        ratio: n / m, above 0 and at most 1.

    Source:
        Marchenko & Pastur (1967), doi:10.1070/SM1967v001n04ABEH001994.
    """
    low, high = (1 - np.sqrt(ratio)) ** 2, (1 + np.sqrt(ratio)) ** 2
    # With t = low + (high - low)(1 - cos a)/2 the density has no infinite slope at its ends.
    angle = np.arange(_GRID + 1) * np.pi / _GRID
    middle, end = (low + (high - low) * (1 - np.cos(a)) / 2 for a in (angle[1:] - np.pi / _GRID / 2, angle[1:]))
    mass = np.cumsum(np.sin(angle[1:] - np.pi / _GRID / 2) ** 2 / middle)
    return float(np.interp(0.5, mass / mass[-1], end))


def representation_change(model: Any, plan: TrainingPlan, *, steps: int, seed: int) -> Floats:
    """Score layers by what they add to the change of representations under a short run of training.

    A layer's output changes because the layer changed, and because its input did: the change of all layers below is
    handed up. The raw change therefore mostly grows with the height, and would rank layers by their place. The
    increase over the layer below credits a layer with what it adds itself; for the lowest layer, over the output of
    the embeddings. It is negative where a layer takes back a change, and a layer that enlarges what comes from below is
    credited with that too. A text is represented by the mean of its tokens.

    The run trains every parameter that is not frozen with AdamW, one step on each of some planned batches.

    Args:
        model: A Sentence Transformers model.
        plan: The planned training.
        steps: Planned batches, at even distances; all where there are fewer.
        seed: Chooses texts, and draws dropout.

    Returns:
        For each layer, 0 the lowest, (1 - CKA before and after) minus the same of the layer below, shape (layers,), in
        [-1, 1]; NaN when all texts have one representation.

    Raises:
        ModelError: No batch is planned.

    Source:
        Kornblith et al. (2019), arXiv:1905.00414, for the linear CKA.
    """
    texts = _sample(plan, seed)
    with _restored(model, plan, seed=seed):
        before = _representations(model, plan, texts)
        _short_run(model, plan, steps)
        after = _representations(model, plan, texts)
    return np.diff([1 - linear_cka(one, other) for one, other in zip(before, after, strict=True)])


def linear_cka(one: Floats, other: Floats) -> float:
    """Compare two representations of the same texts; rotations and scale do not matter.

    Args:
        one: Shape (n, d).
        other: Shape (n, e).

    Returns:
        In [0, 1], 1 is the same; NaN when one of them does not vary.

    Source:
        Kornblith et al. (2019), arXiv:1905.00414.
    """
    x, y = (side.astype(np.float64) - side.mean(axis=0, dtype=np.float64) for side in (one, other))
    norms = np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y)
    return float(np.linalg.norm(y.T @ x) ** 2 / norms) if norms > 0 else float("nan")


def _short_run(model: Any, plan: TrainingPlan, steps: int) -> None:
    from torch.optim import AdamW

    optimizer = AdamW([p for p in model.parameters() if p.requires_grad], lr=_RATE, weight_decay=0.0)
    model.train()
    for batch in _spaced(plan, steps):
        batch_loss(model, plan, batch).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)


def _representations(model: Any, plan: TrainingPlan, texts: Sequence[tuple[str, str]]) -> Floats:
    """Mean of the tokens of each text below and above every layer, shape (layers + 1, texts, dim).

    One text at a time: without padding there is nothing to leave out of the mean, however a model packs its batches.
    """
    import torch

    stack, rows = stack_of(model), []
    model.eval()
    for column, text in texts:
        seen: list[Any] = []
        handles = [stack[0].register_forward_pre_hook(_see_input(seen), with_kwargs=True)]
        handles += [block.register_forward_hook(_see_output(seen)) for block in stack]
        try:
            with torch.no_grad():
                model(features_of(model, [text], plan.prompts.get(column), plan.routes.get(column)))
        finally:
            for handle in handles:
                handle.remove()
        rows.append(torch.stack(seen).cpu().numpy())
    return np.stack(rows, axis=1)


def _see_input(seen: list[Any]) -> Any:
    return lambda block, args, kwargs: seen.append(_mean(args[0] if args else kwargs["hidden_states"]))


def _see_output(seen: list[Any]) -> Any:
    return lambda block, args, output: seen.append(_mean(output[0] if isinstance(output, tuple) else output))


def _mean(hidden: Any) -> Any:
    return hidden.reshape(-1, hidden.shape[-1]).mean(dim=0)


def _sample(plan: TrainingPlan, seed: int) -> list[tuple[str, str]]:
    """Draw (column, text) of what the trained side embeds."""
    columns = [item for columns in plan.columns.values() for item in columns.items()]
    trained = {name for name, _ in columns if plan.routes.get(name) != "document"}
    pool = sorted({(name, text) for name, texts in columns if name in trained for text in texts})
    chosen = np.random.default_rng(seed).choice(len(pool), min(_SAMPLE, len(pool)), replace=False)
    return [pool[n] for n in sorted(chosen)]


def _spaced(plan: TrainingPlan, count: int) -> list[Sequence[int]]:
    """Take planned batches at even distances, or all where there are fewer."""
    require_batches(plan)
    places = np.linspace(0, len(plan.batches) - 1, min(count, len(plan.batches))).astype(int)
    return [plan.batches[n] for n in places]


@contextmanager
def _restored(model: Any, plan: TrainingPlan, *, seed: int) -> Iterator[None]:
    """Put weights, flags, modes and random numbers back at the end, whatever happens; seed them inside."""
    import torch

    tensors = [(value, value.detach().clone()) for value in (*model.parameters(), *model.buffers())]
    flags = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    modes = [(module, module.training) for module in model.modules()]
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        try:
            yield
        finally:
            for part in (model, *plan.losses.values()):  # a loss may have a projection of its own
                part.zero_grad(set_to_none=True)
            with torch.no_grad():
                for value, before in tensors:
                    value.copy_(before)
            for parameter, flag in flags:
                parameter.requires_grad_(flag)
            for module, mode in modes:
                module.training = mode
