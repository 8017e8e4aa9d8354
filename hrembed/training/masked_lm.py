"""Masked language modelling: what a new encoder learns of the language before it sees a pair."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hrembed.errors import DataError, ModelError, StoppedError
from hrembed.training.callbacks import spread
from hrembed.training.checkpoints import (
    TrainingNotes,
    TrainingParts,
    random_state,
    restore_parameters,
    restore_random_state,
    save,
    write_resume_point,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from hrembed.progress import Advance, Progress
    from hrembed.records.finetune import Precision
    from hrembed.training.checkpoints import Fingerprint, ResumePoint, Tensors

_HELD_OUT = 0.02
_EVALUATIONS = 10
_WINDOW = 50  # batches among which texts are sorted by length
_PROBES = 4

Tokens = dict[str, list[int]]
"""A tokenised text, as Transformers' collators take it: `input_ids` and `special_tokens_mask`."""


@dataclass(frozen=True)
class MaskedRecipe:
    """How to train; units as in the config of `finetune`."""

    epochs: int
    batch_size: int
    learning_rate: float
    mask: float
    warmup: float
    weight_decay: float
    precision: Precision
    saves: int
    seed: int


class Corpus(NamedTuple):
    """Tokenised texts.

    Attributes:
        training: Texts that are trained on.
        held_out: Texts that are only measured on.
    """

    training: list[Tokens]
    held_out: list[Tokens]


@dataclass(frozen=True)
class MaskedContext:
    """What the training needs of those who start it.

    Attributes:
        stop_requested: Asked after every step; True saves and stops.
        checkpoints: Folder for `last`, when stopped, and `masked`, from which it goes on.
        progress: Receives progress updates.
        resume: Where to go on; None starts.
        fingerprint: What the training is made of; kept in the resume points, to be compared by who resumes.
    """

    stop_requested: Callable[[], bool]
    checkpoints: Path
    progress: Progress
    resume: ResumePoint[MaskedNotes] | None = None
    fingerprint: Fingerprint = field(default_factory=dict)


class MaskedNotes(TrainingNotes):
    """A `MaskedHistory` in a resume point.

    Attributes:
        losses: As there.
        held_out: As there.
    """

    losses: tuple[float, ...]
    held_out: tuple[tuple[int, float], ...]


@dataclass
class MaskedHistory:
    """What happened.

    Attributes:
        steps: Planned steps.
        losses: Loss of each step done. Batches of short texts, the hardest, weigh as much as those of long ones.
        held_out: (step, loss on the texts held out, all tokens alike); step 0 is before the training.
    """

    steps: int
    losses: list[float] = field(default_factory=list)
    held_out: list[tuple[int, float]] = field(default_factory=list)

    def notes(self, fingerprint: Fingerprint) -> MaskedNotes:
        """Write it for a resume point."""
        return MaskedNotes(fingerprint=dict(fingerprint), losses=tuple(self.losses), held_out=tuple(self.held_out))

    def restore(self, notes: MaskedNotes) -> None:
        """Read it from a resume point."""
        self.losses = list(notes.losses)
        self.held_out = list(notes.held_out)


@dataclass(frozen=True)
class MaskedEstimate:
    """What a training will take.

    Attributes:
        steps: Planned steps.
        seconds_per_batch: Number format to the mean seconds of a batch.
        training_seconds: Seconds of all steps.
    """

    steps: int
    seconds_per_batch: dict[Precision, float]
    training_seconds: float


def tokenise(tokenizer: Any, texts: Sequence[str], *, max_tokens: int, seed: int) -> Corpus:
    """Tokenise texts, cut them, and hold some out: 2 %, one at least.

    Raises:
        DataError: Fewer than two texts hold a token.
    """
    options = {"truncation": True, "max_length": max_tokens, "return_special_tokens_mask": True}
    encoded = tokenizer(list(texts), **options)
    keys = ("input_ids", "special_tokens_mask")
    rows = [dict(zip(keys, row, strict=True)) for row in zip(*(encoded[key] for key in keys), strict=True)]
    rows = [row for row in rows if not all(row["special_tokens_mask"])]
    if len(rows) < 2:
        raise DataError(f"training from scratch needs at least two texts, found {len(rows)}")
    order = np.random.default_rng(seed).permutation(len(rows))
    count = max(1, round(_HELD_OUT * len(rows)))
    return Corpus([rows[n] for n in sorted(order[count:])], [rows[n] for n in sorted(order[:count])])


def plan(lengths: Sequence[int], *, batch_size: int, epochs: int, rng: np.random.Generator) -> list[list[int]]:
    """Plan all steps: each text once an epoch, beside others of about its length, so that little is padded.

    Args:
        lengths: Tokens of each text.
        batch_size: Texts in a step; the last of an epoch may hold fewer.
        epochs: Passes over the texts.
        rng: Shuffles texts and batches, differently in every epoch.

    Returns:
        Positions into `lengths`, one list per step.
    """
    batches: list[list[int]] = []
    for _ in range(epochs):
        order = rng.permutation(len(lengths))
        windows = [order[n : n + _WINDOW * batch_size] for n in range(0, len(order), _WINDOW * batch_size)]
        by_length = [sorted(window.tolist(), key=lambda position: lengths[position]) for window in windows]
        epoch = [window[n : n + batch_size] for window in by_length for n in range(0, len(window), batch_size)]
        batches += [epoch[n] for n in rng.permutation(len(epoch))]
    return batches


def train_masked(model: Any, corpus: Corpus, recipe: MaskedRecipe, context: MaskedContext) -> MaskedHistory:
    """Train the encoder of a model in place.

    A share of the tokens is hidden, anew in each epoch: of these, 80 % become `[MASK]`, 10 % another token, and 10 %
    stay. Special tokens are never hidden.

    Args:
        model: A Sentence Transformers model that starts with a BERT.
        corpus: Texts, tokenised by the model's tokenizer.
        recipe: How to train.
        context: Where checkpoints go, and who receives progress updates.

    Raises:
        StoppedError: Somebody asked to stop.
        ModelError: The loss is not finite, or the resume point is of another training.

    Source:
        Devlin et al. (2019), arXiv:1810.04805, section 3.1.
    """
    batches = _batches(corpus, recipe)
    history, network = MaskedHistory(len(batches)), _with_head(model, recipe.seed)
    parts = _parts(network, recipe, len(batches))
    if context.resume is not None:
        history.restore(context.resume.notes)
        restore_parameters(network, context.resume, {})
        parts.restore(context.resume)
        restore_random_state(context.resume, rank=0)
    else:
        history.held_out.append((0, held_out_loss(network, model.tokenizer, corpus.held_out, recipe)))
    with context.progress.bar("masked language modelling", len(batches), len(history.losses)) as advance:
        _Loop(model, corpus, recipe, context, history, parts, advance).run(batches)
    model.eval()
    return history


def _batches(corpus: Corpus, recipe: MaskedRecipe) -> list[list[int]]:
    lengths = [len(row["input_ids"]) for row in corpus.training]
    rng = np.random.default_rng(recipe.seed)
    return plan(lengths, batch_size=recipe.batch_size, epochs=recipe.epochs, rng=rng)


def _with_head(model: Any, seed: int) -> Any:
    """Put BERT's language-modelling head on the encoder of a model, which is shared and not copied."""
    from transformers import BertForMaskedLM, set_seed

    set_seed(seed)
    encoder = model[0].model
    network = BertForMaskedLM(encoder.config)
    network.bert = encoder
    network.tie_weights()
    return network.to(encoder.device)


def _parts(network: Any, recipe: MaskedRecipe, steps: int) -> TrainingParts:
    from torch.optim import AdamW
    from transformers import get_scheduler

    optimizer = AdamW(network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    warmup = round(recipe.warmup * steps)
    return TrainingParts(network, optimizer, get_scheduler("linear", optimizer, warmup, steps))


class _Loop(NamedTuple):
    """The steps, and what happens between them."""

    model: Any
    corpus: Corpus
    recipe: MaskedRecipe
    context: MaskedContext
    history: MaskedHistory
    parts: TrainingParts
    advance: Advance

    def run(self, batches: Sequence[Sequence[int]]) -> None:
        """Do the steps that were not done before."""
        collate = collator(self.model.tokenizer, self.recipe.mask)
        self.parts.model.train()
        started, before = time.monotonic(), len(self.history.losses)
        for step, batch in enumerate(batches[before:], start=before + 1):
            self._step(step, collate([self.corpus.training[n] for n in batch]))
            texts = (step - before) * self.recipe.batch_size
            self.advance(1, self._note(texts / max(time.monotonic() - started, 1e-9)))
            if self._between(step):
                raise StoppedError(f"stopped after {step} of {len(batches)} steps of masked language modelling")

    def _step(self, step: int, batch: Tensors) -> None:
        from torch.nn.utils import clip_grad_norm_

        network, optimizer, scheduler = self.parts[:3]
        loss = masked_loss(network, batch, self.recipe.precision)
        if not np.isfinite(float(loss.detach())):
            raise ModelError(
                f"the loss of masked language modelling is {float(loss.detach())} at step {step}",
                hint="lower `method.mlm.learning_rate`",
            )
        loss.backward()
        clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()
        self.history.losses.append(float(loss.detach()))

    def _between(self, step: int) -> bool:
        """Measure and save where that is due; return whether to stop now."""
        steps = self.history.steps
        stopping = self.context.stop_requested() and step < steps
        if step in spread(steps, _EVALUATIONS):
            loss = held_out_loss(self.parts.model, self.model.tokenizer, self.corpus.held_out, self.recipe)
            self.history.held_out.append((step, loss))
        if stopping:
            save(self.model, self.context.checkpoints / "last")
        if self.recipe.saves and (stopping or step in spread(steps, self.recipe.saves)):
            notes = self.history.notes(self.context.fingerprint)
            parts = self.parts._replace(random_states=[random_state()])
            write_resume_point(self.context.checkpoints / "masked", step, notes, parts)
        return stopping

    def _note(self, speed: float) -> str:
        return f"loss {self.history.losses[-1]:.2f}  held out {self.history.held_out[-1][1]:.2f}  {speed:.0f} texts/s"


def collator(tokenizer: Any, mask: float) -> Any:
    """Return Transformers' collator, which pads rows to a batch and hides tokens with torch's random numbers."""
    from transformers import DataCollatorForLanguageModeling

    return DataCollatorForLanguageModeling(tokenizer, mlm_probability=mask)


def masked_loss(network: Any, batch: Tensors, precision: Precision = "float32") -> Any:
    """Mean cross-entropy of the hidden tokens in nats, a scalar tensor; 0 where none is hidden.

    Args:
        network: A `BertForMaskedLM`.
        batch: `input_ids`, `attention_mask` and `labels`, each of shape (B, T); -100 where nothing is hidden.
        precision: Number format of the arithmetic.
    """
    import torch
    from torch.nn.functional import cross_entropy

    ids, attended, labels = (batch[key].to(network.device) for key in ("input_ids", "attention_mask", "labels"))
    hidden = labels != -100
    with torch.autocast(network.device.type, dtype=torch.bfloat16, enabled=precision == "bfloat16"):
        states = network.bert(input_ids=ids, attention_mask=attended).last_hidden_state
        # Only for hidden tokens: the head costs almost as much as the encoder.
        logits = network.cls(states[hidden])
    return cross_entropy(logits.float(), labels[hidden], reduction="sum") / hidden.sum().clamp(min=1)


def held_out_loss(network: Any, tokenizer: Any, rows: Sequence[Tokens], recipe: MaskedRecipe) -> float:
    """Mean cross-entropy in nats over all tokens of some texts, each hidden once.

    In each of 1 / `mask` passes (rounded) another part of the tokens is `[MASK]`, evenly spaced. There is no chance in
    it, so that its changes are changes of the model. The network is left in training mode.
    """
    import torch

    every, total, count = max(1, round(1 / recipe.mask)), 0.0, 0
    ordered = sorted(rows, key=lambda row: len(row["input_ids"]))
    network.eval()
    for start in range(0, len(ordered), recipe.batch_size):
        batch = dict(tokenizer.pad(ordered[start : start + recipe.batch_size], return_tensors="pt"))
        special = batch.pop("special_tokens_mask").bool()
        place = (~special).cumsum(dim=1) + torch.arange(len(special))[:, None]
        for turn in range(every):
            hidden = ~special & (place % every == turn)
            masked = {
                **batch,
                "input_ids": batch["input_ids"].masked_fill(hidden, tokenizer.mask_token_id),
                "labels": batch["input_ids"].masked_fill(~hidden, -100),
            }
            with torch.no_grad():
                total += float(masked_loss(network, masked)) * int(hidden.sum())
            count += int(hidden.sum())
    network.train()
    return total / count


def estimate(model: Any, corpus: Corpus, recipe: MaskedRecipe, timed: Sequence[Precision]) -> MaskedEstimate:
    """Run forward and backward on a few batches, from the smallest to the largest, and go by their time per token.

    Weights and random numbers are left as they were.

    Args:
        model: What is trained.
        corpus: The texts.
        recipe: How to train.
        timed: Number formats, that of the recipe among them.
    """
    import torch

    batches, state = _batches(corpus, recipe), torch.get_rng_state()
    lengths = [len(row["input_ids"]) for row in corpus.training]
    sizes = np.array([len(batch) * max(lengths[n] for n in batch) for batch in batches])
    network, collate = _with_head(model, recipe.seed).train(), collator(model.tokenizer, recipe.mask)
    places = np.argsort(sizes)[np.linspace(0, len(batches) - 1, min(_PROBES, len(batches))).astype(int)]
    probes = [collate([corpus.training[row] for row in batches[n]]) for n in places]
    _probe(network, probes[0], "float32")  # warms up
    seconds = {}
    for precision in timed:
        took = sum(_probe(network, batch, precision) for batch in probes)
        seconds[precision] = float(took / sizes[places].sum() * sizes.mean())
    torch.set_rng_state(state)
    model.eval()
    return MaskedEstimate(len(batches), seconds, seconds[recipe.precision] * len(batches))


def _probe(network: Any, batch: Tensors, precision: Precision) -> float:
    """Return the seconds of forward and backward on a batch, and throw the gradients away."""
    started = time.perf_counter()
    masked_loss(network, batch, precision).backward()
    network.zero_grad(set_to_none=True)
    return time.perf_counter() - started
