"""Embed the texts of a batch without paying for padding: short ones beside short ones, equal ones once."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hrembed.training.plan import Features

ROWS = 64  # texts of one forward pass: fewer waste less on padding, more fill the matrix products better
# Tokens of a step on a CPU whose activations are kept for the way back: 0.4 GB for six layers of 384 numbers. What
# is beyond is computed again, in a third more time for these tokens alone.
_KEPT_TOKENS = 2048
# Tokens of which the input of every layer is kept, a fifteenth as much, so that one layer is computed again at a time.
# Of what is beyond nothing is kept, and a part is computed again whole.
_KEPT_INPUTS = 32_768


def embed_by_length(model: Any, columns: Sequence[Features], *, rows: int = ROWS) -> list[Any]:
    """Embed every column of a batch, with gradients, as one call of the model for each would.

    Titles have 4 to 40 tokens: padded to the longest of a batch, most of the work is on padding. Here equal texts are
    embedded once, and all are sorted by length and embedded in parts, each as wide as its longest text. Without dropout
    the vectors are those of the plain calls up to rounding; with it, equal texts share a draw. On a CPU the activations
    of the longest parts of a large batch are not kept but computed again on the way back, layer by layer or, beyond
    another limit, part by part, from the same random numbers: memory is bounded, and no number changes.

    Args:
        model: A Sentence Transformers model.
        columns: What its `preprocess` gave for each column. Columns of another side or prompt are embedded apart;
            inputs that are no rows of token ids, padded at their end, by plain calls.
        rows: Most texts in one forward pass.

    Returns:
        One tensor of shape (n, dim) a column.
    """
    embedded: list[Any] = [None] * len(columns)
    for places in _alike(columns):
        for place, vectors in zip(places, _embed(model, [columns[n] for n in places], rows), strict=True):
            embedded[place] = vectors
    return embedded


def _alike(columns: Sequence[Features]) -> list[list[int]]:
    """Places of columns that differ in nothing but their rows: same side, same prompt, same kinds of input."""
    groups: dict[str, list[int]] = {}
    for place, column in enumerate(columns):
        kind = {key: "" if _by_token(column[key]) else repr(column[key]) for key in sorted(column)}
        groups.setdefault(repr(kind), []).append(place)
    return list(groups.values())


def _by_token(value: Any) -> bool:
    """Whether an input has one number for each token, shape (n, width)."""
    return getattr(value, "ndim", 0) == 2


def _embed(model: Any, columns: Sequence[Features], rows: int) -> list[Any]:
    import torch

    if not all(can_be_cut(column) for column in columns):
        return [model(dict(column))["sentence_embedding"] for column in columns]
    whole = _stacked(columns)
    lengths = whole["attention_mask"].sum(dim=1)
    firsts, inverse = _distinct(whole["input_ids"], lengths)
    order = lengths[firsts].argsort(stable=True)
    parts = [_cut(whole, firsts[places], int(lengths[firsts[places[-1]]])) for places in order.split(rows)]
    vectors = torch.cat(_in_turn(model, parts))
    return list(vectors[order.argsort()[inverse]].split([len(column["input_ids"]) for column in columns]))


def _in_turn(model: Any, parts: Sequence[Features]) -> list[Any]:
    """Embed part by part; on a CPU, parts beyond `_KEPT_TOKENS` keep the inputs of layers, or nothing."""
    from torch.utils.checkpoint import checkpoint

    layers = _layers(model)
    vectors, tokens = [], 0
    for part in parts:
        tokens += part["input_ids"].numel()
        if tokens <= _KEPT_TOKENS or model.device.type != "cpu":
            vectors.append(_vectors(model, part))
        elif layers and tokens <= _KEPT_INPUTS:
            with _inputs_alone(layers):
                vectors.append(_vectors(model, part))
        else:
            vectors.append(checkpoint(_vectors, model, part, use_reentrant=False))
    return vectors


def _layers(model: Any) -> list[Any]:
    """Layers that can be computed again on the way back by themselves; none in a model that transformers has not."""
    from transformers.modeling_layers import GradientCheckpointingLayer

    return [part for part in model.modules() if isinstance(part, GradientCheckpointingLayer)]


@contextmanager
def _inputs_alone(layers: Sequence[Any]) -> Iterator[None]:
    """While the block runs, layers in training keep their input, and compute what follows from it again."""
    from torch.utils.checkpoint import checkpoint

    for layer in layers:
        layer._gradient_checkpointing_func = partial(checkpoint, use_reentrant=False)
        layer.gradient_checkpointing = True
    try:
        yield
    finally:
        for layer in layers:
            del layer._gradient_checkpointing_func, layer.gradient_checkpointing


def _vectors(model: Any, part: Features) -> Any:
    return model(dict(part))["sentence_embedding"]


def can_be_cut(column: Features) -> bool:
    """Whether an input is rows of token ids, padded at their end."""
    tokens, mask = column.get("input_ids"), column.get("attention_mask")
    return mask is not None and _by_token(tokens) and _by_token(mask) and bool((mask.diff(dim=1) <= 0).all())


def _stacked(columns: Sequence[Features]) -> Features:
    """Stack all columns, padded to one width; the padding is never attended to."""
    import torch
    from torch.nn.functional import pad

    width = max(column["input_ids"].shape[1] for column in columns)
    return {
        key: torch.cat([pad(column[key], (0, width - column[key].shape[1])) for column in columns])
        if _by_token(value)
        else value
        for key, value in columns[0].items()
    }


def _distinct(ids: Any, lengths: Any) -> tuple[Any, Any]:
    """Row of the first text of each kind, and for every row the number of its kind."""
    import torch

    numbers: dict[bytes, int] = {}
    texts = [row[:length].tobytes() for row, length in zip(ids.cpu().numpy(), lengths.tolist(), strict=True)]
    inverse = [numbers.setdefault(text, len(numbers)) for text in texts]
    firsts = {number: row for row, number in reversed(list(enumerate(inverse)))}
    return torch.tensor([firsts[number] for number in range(len(numbers))]), torch.tensor(inverse)


def _cut(whole: Features, places: Any, width: int) -> Features:
    return {key: value[places, :width] if _by_token(value) else value for key, value in whole.items()}
