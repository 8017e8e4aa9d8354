"""From random weights to an encoder that has read the training texts: what `method: scratch` does before the losses."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hrembed.commands.finetune.fingerprints import pretraining_fingerprint
from hrembed.files import write_json, writing
from hrembed.models.machine import settled, worth_timing
from hrembed.models.transformer import load_model
from hrembed.records.base import as_json
from hrembed.records.finetune import CorpusFacts, Perplexity, Pretraining, PretrainingEstimate, StepLoss
from hrembed.text import normalise
from hrembed.training.checkpoints import TrainingNotes, check_same, check_saved, read_resume_point, sample_vectors
from hrembed.training.interrupts import deferred_stop
from hrembed.training.masked_lm import (
    MaskedContext,
    MaskedNotes,
    MaskedRecipe,
    estimate,
    tokenise,
    train_masked,
)
from hrembed.training.scratch import Shape, build_encoder
from hrembed.training.vocabulary import train_tokenizer, unknown_share

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from hrembed.config.finetune import FinetuneConfig
    from hrembed.config.scratch import ScratchMethod
    from hrembed.progress import Progress
    from hrembed.runs.record import Run
    from hrembed.training.checkpoints import Fingerprint
    from hrembed.training.masked_lm import Corpus, MaskedHistory

_NOTES = "pretraining.json"
_POINTS = 200  # of the loss in `metrics.json`
_UNKNOWN = 0.001


class Untrained(NamedTuple):
    """A model with random weights, and what it is to read.

    Attributes:
        model: A `SentenceTransformer`.
        corpus: Distinct texts, tokenised.
        sample: A few of them, whose vectors tell whether a saved model is the trained one.
        facts: What is in the corpus.
        method: Settings.
    """

    model: Any
    corpus: Corpus
    sample: Sequence[str]
    facts: CorpusFacts
    method: ScratchMethod


class _FinishedNotes(TrainingNotes):
    """What stands beside a model whose masked language modelling has ended.

    Attributes:
        pretraining: What is said of it.
        vectors: Those of a few texts, by which the model is known again.
    """

    pretraining: Pretraining
    vectors: tuple[tuple[float, ...], ...]


def from_random_weights(config: FinetuneConfig, method: ScratchMethod, texts: Iterable[str]) -> Untrained:
    """Learn a tokenizer from the texts of the sources, and build an encoder for it. Dev and test tasks have no part.

    Raises:
        ConfigError: The vocabulary is too small for the characters.
        DataError: There are too few texts.
    """
    every = list(dict.fromkeys(texts))
    tokens, seed = config.train.max_tokens, config.train.seed
    tokenizer = train_tokenizer(every, size=method.vocabulary, max_tokens=tokens)
    distinct = list({normalise(text) or text: text for text in every}.values())
    corpus = tokenise(tokenizer, distinct, max_tokens=tokens, seed=seed)
    shape = Shape(method.layers, method.width, method.heads, method.feed_forward, method.dropout)
    facts = CorpusFacts(
        texts=len(corpus.training),
        texts_held_out=len(corpus.held_out),
        vocabulary=len(tokenizer),
        unknown_share=unknown_share(tokenizer, every),
    )
    model = build_encoder(tokenizer, shape, max_tokens=tokens, seed=seed)
    return Untrained(model, corpus, distinct[:8], facts, method)


def estimate_pretraining(config: FinetuneConfig, untrained: Untrained) -> PretrainingEstimate:
    """Estimate what masked language modelling will take; trains nothing."""
    recipe = _recipe(config, untrained.method)
    took = estimate(untrained.model, untrained.corpus, recipe, worth_timing(recipe.precision))
    return PretrainingEstimate(
        **dict(untrained.facts),
        steps=took.steps,
        seconds_per_batch=took.seconds_per_batch,
        training_seconds=took.training_seconds,
    )


def corpus_warnings(facts: CorpusFacts) -> list[str]:
    """Say what looks wrong with the texts that a model from random weights reads."""
    if facts.unknown_share <= _UNKNOWN:
        return []
    return [f"{facts.unknown_share:.1%} of the tokens are unknown: words of more than 100 characters without a space"]


def pretrain(config: FinetuneConfig, untrained: Untrained, run: Run, *, launched: bool = False) -> Pretraining:
    """Train the encoder on its texts in place, or put back what an interrupted run had finished.

    The result is `checkpoints/pretrained`, a plain model. Its weights are read back from there in both cases, so that
    a run that goes on after this phase starts its losses from the same numbers.

    Args:
        config: Validated settings.
        untrained: The model, and what it reads.
        run: Its checkpoints, and who receives progress updates.
        launched: A launcher started this process, which sends every signal twice.

    Raises:
        StoppedError: Somebody asked to stop.
        ModelError: The loss is not finite, or what an interrupted run left is of another training.
    """
    checkpoints = run.path / "checkpoints"
    finished = checkpoints / "pretrained"
    fingerprint = pretraining_fingerprint(run, config.train, untrained.method, untrained.model.tokenizer)
    if not finished.exists():
        with deferred_stop(run.progress.note, launched=launched) as stop_requested:
            history = _train(config, untrained, checkpoints, fingerprint, run.progress, stop_requested)
        _keep(untrained, finished, history, fingerprint)
        shutil.rmtree(checkpoints / "masked", ignore_errors=True)
    notes = _FinishedNotes.model_validate(json.loads((finished / _NOTES).read_text(encoding="utf-8")))
    check_same(notes.fingerprint, fingerprint)
    untrained.model.load_state_dict(load_model(finished).state_dict())
    check_saved(np.array(notes.vectors), sample_vectors(untrained.model, untrained.sample))
    return notes.pretraining


def _train(
    config: FinetuneConfig,
    untrained: Untrained,
    checkpoints: Path,
    fingerprint: Fingerprint,
    progress: Progress,
    stop_requested: Callable[[], bool],
) -> MaskedHistory:
    point = read_resume_point(checkpoints / "masked", MaskedNotes)
    if point is not None:
        check_same(point.notes.fingerprint, fingerprint)
        progress.note(f"resuming masked language modelling after step {point.step}")
    context = MaskedContext(stop_requested, checkpoints, progress, point, fingerprint)
    return train_masked(untrained.model, untrained.corpus, _recipe(config, untrained.method), context)


def _keep(untrained: Untrained, folder: Path, history: MaskedHistory, fingerprint: Fingerprint) -> None:
    """Write model and numbers as one folder, whole or not at all."""
    first, last = history.held_out[0][1], history.held_out[-1][1]
    pretraining = Pretraining(
        **dict(untrained.facts),
        steps=history.steps,
        loss_history=_thinned(history.losses),
        held_out=tuple(StepLoss(step=step, loss=loss) for step, loss in history.held_out),
        perplexity=Perplexity(before=float(np.exp(first)), after=float(np.exp(last))),
    )
    vectors = sample_vectors(untrained.model, untrained.sample)
    notes = _FinishedNotes(
        fingerprint=dict(fingerprint), pretraining=pretraining, vectors=tuple(map(tuple, vectors.tolist()))
    )
    with writing(folder) as part:
        untrained.model.save_pretrained(str(part), create_model_card=False)
        write_json(part / _NOTES, as_json(notes))


def _thinned(losses: Sequence[float]) -> tuple[StepLoss, ...]:
    """Means of neighbouring steps, each with its last step: at most 200, however long the training was."""
    parts = np.array_split(np.array(losses), min(_POINTS, len(losses)))
    ends = np.cumsum([len(part) for part in parts])
    return tuple(StepLoss(step=int(end), loss=float(part.mean())) for end, part in zip(ends, parts, strict=True))


def _recipe(config: FinetuneConfig, method: ScratchMethod) -> MaskedRecipe:
    train = config.train
    return MaskedRecipe(
        **method.mlm.model_dump(),
        warmup=train.warmup,
        weight_decay=train.weight_decay,
        precision=settled(train.precision),
        saves=train.saves,
        seed=train.seed,
    )
