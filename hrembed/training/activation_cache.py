"""What the frozen lower layers make of a text, computed once and kept on disk.

Below the lowest layer that is trained nothing changes, so that in every epoch the same numbers would be computed again.
With dropout they would not be the same: it is off in frozen layers while their activations are kept.
"""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from hrembed.errors import HrembedError
from hrembed.memory import MB
from hrembed.training.by_length import ROWS, can_be_cut
from hrembed.training.methods import blocks, transformer_of
from hrembed.training.plan import features_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from hrembed.training.plan import TrainingPlan
    from hrembed.types import Floats

_TEXTS_AT_ONCE = 1024


class _ReachedError(Exception):
    """Ends a forward pass where the last frozen layer has given its activations."""


class FrozenLayers:
    """The lower layers of a model, whose activations come from a file wherever a text is known.

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
        self._held: Floats = np.empty((0, 0), dtype=np.float32)
        self._given: Any = None
        self._in_tuple = False

    def keep(self, model: Any, plan: TrainingPlan, folder: Path, limit_mb: int) -> None:
        """Compute and keep the activations of every text, in an order that depends on the texts alone.

        A resumed training computes the same numbers, to the last bit.

        Args:
            model: The model in training.
            plan: Whose texts.
            folder: For the file, which vanishes with this object: it says much about the texts.
            limit_mb: Most MB.

        Raises:
            HrembedError: They would take more; nothing is computed.
        """
        rows, form = _token_rows(model, plan)
        dim = int(self._transformer.model.config.hidden_size)
        count = sum(len(row) // 8 for row in rows)
        needed = count * dim * 4 / MB
        if needed > limit_mb:
            raise HrembedError(f"they would take {needed:,.0f} MB, `train.keep_frozen_mb` allows {limit_mb:,}")
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            self._held = np.memmap(file, dtype=np.float32, mode="w+", shape=(max(count, 1), dim))
        start = 0
        for place in range(0, len(rows), ROWS):
            part = rows[place : place + ROWS]
            hidden = self._activations(part, form)
            for row, key in enumerate(part):
                length = len(key) // 8
                self._held[start : start + length] = hidden[row, :length]
                self._starts[key] = start
                start += length

    def _activations(self, rows: list[bytes], form: Mapping[str, Any]) -> Floats:
        """Run the frozen layers, shape (rows, tokens, dim)."""
        import torch

        ids = [torch.frombuffer(bytearray(row), dtype=torch.int64) for row in rows]
        padded = torch.nn.utils.rnn.pad_sequence(ids, batch_first=True, padding_value=form["pad"])
        lengths = torch.tensor([len(row) for row in ids])
        mask = (torch.arange(padded.shape[1]) < lengths[:, None]).to(torch.int64)
        features = {**form["features"], "input_ids": padded, "attention_mask": mask}
        if form["types"]:
            features["token_type_ids"] = torch.zeros_like(padded)
        found: list[Any] = []

        def reached(block: Any, given: Any, output: Any) -> None:
            self._in_tuple = isinstance(output, tuple)
            found.append(output[0] if self._in_tuple else output)
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
        return np.asarray(found[0].numpy())

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """While the block runs, known texts skip the frozen layers; others run through them, without dropout."""
        patched = [self._transformer, *self._lower]
        own = [self._forward(self._transformer.forward), *(self._skipping(n) for n in range(len(self._lower)))]
        try:
            for part, forward in zip(patched, own, strict=True):
                part.forward = forward
            yield
        finally:
            # Nothing stays on the modules: a copy of the model would call these layers, not its own.
            for part in patched:
                part.__dict__.pop("forward", None)

    def _forward(self, whole: Callable[..., Any]) -> Callable[..., Any]:
        def forward(features: Mapping[str, Any], **more: Any) -> Any:
            for part in self._frozen:
                part.training = False
            self._given = self._look_up(features)
            try:
                return whole(features, **more)
            finally:
                self._given = None

        return forward

    def _skipping(self, place: int) -> Callable[..., Any]:
        whole, last = self._lower[place].forward, place == len(self._lower) - 1

        def forward(*args: Any, **named: Any) -> Any:
            if self._given is None:
                return whole(*args, **named)
            hidden = self._given if last else (args[0] if args else named["hidden_states"])
            return (hidden,) if self._in_tuple else hidden

        return forward

    def _look_up(self, features: Mapping[str, Any]) -> Any:
        """Activations of these texts, shape (n, tokens, dim), 0 at padding; None where one is not known."""
        import torch

        if not can_be_cut(features):
            return None
        ids, lengths = features["input_ids"].numpy(), features["attention_mask"].sum(dim=1).tolist()
        starts = [self._starts.get(row[:length].tobytes()) for row, length in zip(ids, lengths, strict=True)]
        found = np.zeros((*ids.shape, self._held.shape[1]), dtype=np.float32)
        for row, (start, length) in enumerate(zip(starts, lengths, strict=True)):
            if start is None:
                return None
            found[row, :length] = self._held[start : start + length]
        return torch.from_numpy(found)


def frozen_depth(model: Any) -> int:
    """How many of the lowest layers, and the embeddings below them, no step changes; 0 for a model with sides."""
    if hasattr(model[0], "sub_modules") or not hasattr(model[0], "model"):
        return 0
    backbone = transformer_of(model).model
    stack = blocks(backbone)
    trained = {id(value) for value in backbone.parameters() if value.requires_grad}
    inside = [{id(value) for value in block.parameters()} for block in stack]
    depth = next((n for n, own in enumerate(inside) if own & trained), len(stack))
    above: set[int] = set().union(*inside[depth:])
    return depth if depth < len(stack) and trained <= above else 0


def keep_frozen(
    model: Any, plan: TrainingPlan, folder: Path, limit_mb: int, say: Callable[[str], None]
) -> FrozenLayers | None:
    """Keep what the frozen layers give for the texts of a training.

    Args:
        model: The model in training, on the CPU.
        plan: Whose texts.
        folder: For the file.
        limit_mb: Most MB; 0 keeps nothing.
        say: Told why nothing is kept, where that was asked for.

    Returns:
        The layers, or None where nothing is kept.
    """
    if not limit_mb:
        return None
    depth = frozen_depth(model)
    reason = "no layer below the trained ones is frozen" if not depth else ""
    if model.device.type != "cpu":
        reason = "that is for trainings on the CPU"
    if not reason:
        layers = FrozenLayers(model, depth)
        try:
            layers.keep(model, plan, folder, limit_mb)
        except HrembedError as err:
            reason = str(err)
        else:
            return layers
    say(f"activations are not kept: {reason}")
    return None


def _token_rows(model: Any, plan: TrainingPlan) -> tuple[list[bytes], dict[str, Any]]:
    """Token numbers of every distinct text as bytes, the shortest first, and how a batch is made of them.

    Raises:
        HrembedError: The model pads texts in front.
    """
    found: dict[bytes, None] = {}
    form: dict[str, Any] = {"features": {}, "types": False, "pad": model.tokenizer.pad_token_id or 0}
    for columns in plan.columns.values():
        for name in (name for name in columns if name != "label"):
            texts = list(dict.fromkeys(columns[name]))
            for start in range(0, len(texts), _TEXTS_AT_ONCE):
                part = texts[start : start + _TEXTS_AT_ONCE]
                features = features_of(model, part, plan.prompts.get(name), plan.routes.get(name))
                if not can_be_cut(features):
                    raise HrembedError("the model does not pad texts at their end")
                lengths = features["attention_mask"].sum(dim=1).tolist()
                rows = zip(features["input_ids"].numpy(), lengths, strict=True)
                found |= dict.fromkeys(row[:length].tobytes() for row, length in rows)
                form["features"] = {key: value for key, value in features.items() if not hasattr(value, "ndim")}
                form["types"] = "token_type_ids" in features
    return sorted(found, key=lambda row: (len(row), row)), form
