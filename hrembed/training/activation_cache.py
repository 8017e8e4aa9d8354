"""Activations of the frozen lower layers, computed once for each text and cached on disk.

Below the lowest layer that is trained nothing changes, so that every epoch would compute the same numbers again. With
dropout they would not be the same: it is off in frozen layers while their activations are cached.
"""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hrembed.errors import HrembedError
from hrembed.memory import MB
from hrembed.training.by_length import ROWS, can_be_cut
from hrembed.training.methods import blocks, transformer_of
from hrembed.training.plan import features_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from hrembed.training.plan import Features, TrainingPlan
    from hrembed.types import Floats

_TEXTS_AT_ONCE = 1024


class _ReachedError(Exception):
    """Ends a forward pass after the last frozen layer."""


class _Tokens(NamedTuple):
    """The distinct texts of a training as token ids.

    Attributes:
        rows: Ids of each text as the bytes of int64 numbers, the shortest first.
        settings: What else the model takes with a batch of them.
        pad: Id that fills a batch up.
        with_types: Whether the model takes token types, which are all 0 here.
    """

    rows: list[bytes]
    settings: Features
    pad: int
    with_types: bool


class FrozenLayers:
    """The lower layers of a model, whose activations are read from a file wherever a text is known.

    Args:
        model: The model in training.
        depth: Layers that are frozen, 1 or more.
    """

    def __init__(self, model: Any, depth: int) -> None:
        self._transformer = transformer_of(model)
        stack = blocks(self._transformer.model)
        self._lower = stack[:depth]
        upper = {id(part) for block in stack[depth:] for part in block.modules()}
        self._frozen = [part for part in self._transformer.modules() if id(part) not in upper]
        self._starts: dict[bytes, int] = {}
        self._cached: Floats = np.empty((0, 0), dtype=np.float32)
        self._batch: Any = None
        self._in_tuple = False

    def fill(self, model: Any, plan: TrainingPlan, folder: Path, limit_mb: int) -> None:
        """Compute the activations of every text, in an order that depends on the texts alone.

        A resumed training computes the same numbers, to the last bit.

        Args:
            model: The model in training.
            plan: The planned training, whose texts are cached.
            folder: Where the file goes, which vanishes with this object: it says much about the texts.
            limit_mb: Largest size in MB.

        Raises:
            HrembedError: They would take more; nothing is computed.
        """
        tokens = _tokenise(model, plan)
        rows = tokens.rows
        dim = int(self._transformer.model.config.hidden_size)
        count = sum(len(row) // 8 for row in rows)
        needed = count * dim * 4 / MB
        if needed > limit_mb:
            raise HrembedError(f"they would need {needed:,.0f} MB, but `train.keep_frozen_mb` allows {limit_mb:,} MB")
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            self._cached = np.memmap(file, dtype=np.float32, mode="w+", shape=(max(count, 1), dim))
        start = 0
        for place in range(0, len(rows), ROWS):
            part = rows[place : place + ROWS]
            hidden = self._activations(part, tokens)
            for row, key in enumerate(part):
                length = len(key) // 8
                self._cached[start : start + length] = hidden[row, :length]
                self._starts[key] = start
                start += length

    def _activations(self, rows: list[bytes], tokens: _Tokens) -> Floats:
        """Run the frozen layers on some rows, shape (rows, tokens, dim)."""
        import torch

        ids = [torch.frombuffer(bytearray(row), dtype=torch.int64) for row in rows]
        padded = torch.nn.utils.rnn.pad_sequence(ids, batch_first=True, padding_value=tokens.pad)
        lengths = torch.tensor([len(row) for row in ids])
        mask = (torch.arange(padded.shape[1]) < lengths[:, None]).to(torch.int64)
        features = {**tokens.settings, "input_ids": padded, "attention_mask": mask}
        if tokens.with_types:
            features["token_type_ids"] = torch.zeros_like(padded)
        hidden: list[Any] = []

        def reached(block: Any, inputs: Any, output: Any) -> None:
            self._in_tuple = isinstance(output, tuple)
            hidden.append(output[0] if self._in_tuple else output)
            raise _ReachedError

        hook = self._lower[-1].register_forward_hook(reached)
        training = self._transformer.training
        try:
            self._transformer.eval()
            with torch.no_grad():
                self._transformer(features)
        except _ReachedError:
            pass
        finally:
            hook.remove()
            self._transformer.train(training)
        return np.asarray(hidden[0].numpy())

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """While the block runs, known texts skip the frozen layers; others run through them, without dropout."""
        patched = [self._transformer, *self._lower]
        forwards = [self._forward(self._transformer.forward), *(self._skipping(n) for n in range(len(self._lower)))]
        try:
            for part, forward in zip(patched, forwards, strict=True):
                part.forward = forward
            yield
        finally:
            # Nothing stays on the modules: a copy of the model would call these layers, not its own.
            for part in patched:
                part.__dict__.pop("forward", None)

    def _forward(self, whole: Callable[..., Any]) -> Callable[..., Any]:
        def forward(features: Features, **options: Any) -> Any:
            for part in self._frozen:
                part.training = False
            self._batch = self._look_up(features)
            try:
                return whole(features, **options)
            finally:
                self._batch = None

        return forward

    def _skipping(self, place: int) -> Callable[..., Any]:
        whole, last = self._lower[place].forward, place == len(self._lower) - 1

        def forward(*args: Any, **named: Any) -> Any:
            if self._batch is None:
                return whole(*args, **named)
            hidden = self._batch if last else (args[0] if args else named["hidden_states"])
            return (hidden,) if self._in_tuple else hidden

        return forward

    def _look_up(self, features: Features) -> Any:
        """Activations of these texts, shape (n, tokens, dim), 0 at padding; None where one is not known."""
        import torch

        if not can_be_cut(features):
            return None
        ids, lengths = features["input_ids"].numpy(), features["attention_mask"].sum(dim=1).tolist()
        starts = [self._starts.get(row[:length].tobytes()) for row, length in zip(ids, lengths, strict=True)]
        hidden = np.zeros((*ids.shape, self._cached.shape[1]), dtype=np.float32)
        for row, (start, length) in enumerate(zip(starts, lengths, strict=True)):
            if start is None:
                return None
            hidden[row, :length] = self._cached[start : start + length]
        return torch.from_numpy(hidden)


def frozen_depth(model: Any) -> int:
    """Count the lowest layers that no step changes, with the embeddings below them; 0 for a model with a router."""
    if hasattr(model[0], "sub_modules") or not hasattr(model[0], "model"):
        return 0
    backbone = transformer_of(model).model
    stack = blocks(backbone)
    trained = {id(value) for value in backbone.parameters() if value.requires_grad}
    inside = [{id(value) for value in block.parameters()} for block in stack]
    depth = next((n for n, parameters in enumerate(inside) if parameters & trained), len(stack))
    above: set[int] = set().union(*inside[depth:])
    return depth if depth < len(stack) and trained <= above else 0


def keep_frozen(
    model: Any, plan: TrainingPlan, folder: Path, limit_mb: int, note: Callable[[str], None]
) -> FrozenLayers | None:
    """Cache the activations of the frozen layers for the texts of a training.

    Args:
        model: The model in training, on the CPU.
        plan: The planned training, whose texts are cached.
        folder: Where the file goes.
        limit_mb: Largest size in MB; 0 caches nothing.
        note: Receives the reason where nothing is cached though that was asked for.

    Returns:
        The layers, or None where nothing is cached.
    """
    if not limit_mb:
        return None
    depth = frozen_depth(model)
    reason = "no layer below the trained ones is frozen" if not depth else ""
    if model.device.type != "cpu":
        reason = "supported only for training on the CPU"
    if not reason:
        layers = FrozenLayers(model, depth)
        try:
            layers.fill(model, plan, folder, limit_mb)
        except HrembedError as err:
            reason = str(err)
        else:
            return layers
    note(f"activations are not cached: {reason}")
    return None


def _tokenise(model: Any, plan: TrainingPlan) -> _Tokens:
    """Tokenise every distinct text of a training.

    Raises:
        HrembedError: The model pads texts in front.
    """
    rows: set[bytes] = set()
    settings: Features = {}
    with_types = False
    for columns in plan.columns.values():
        for name, column in columns.items():
            texts = list(dict.fromkeys(column))
            for start in range(0, len(texts), _TEXTS_AT_ONCE):
                part = texts[start : start + _TEXTS_AT_ONCE]
                features = features_of(model, part, plan.prompts.get(name), plan.routes.get(name))
                if not can_be_cut(features):
                    raise HrembedError("the model does not use right padding")
                lengths = features["attention_mask"].sum(dim=1).tolist()
                batch = zip(features["input_ids"].numpy(), lengths, strict=True)
                rows.update(row[:length].tobytes() for row, length in batch)
                settings = {key: value for key, value in features.items() if not hasattr(value, "ndim")}
                with_types = "token_type_ids" in features
    ordered = sorted(rows, key=lambda row: (len(row), row))
    return _Tokens(ordered, settings, model.tokenizer.pad_token_id or 0, with_types)
