"""From random weights to an encoder that has read the training texts: what `method: scratch` does before the losses."""

from __future__ import annotations

import hashlib
import json
import shutil
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hrembed.files import write_json, writing
from hrembed.models.transformer import load_model
from hrembed.text import normalise
from hrembed.training.checkpoints import check_same, check_saved, read_resume_point, sample_vectors
from hrembed.training.interrupts import deferred_stop
from hrembed.training.masked_lm import MaskedContext, MaskedRecipe, estimate, tokenise, train_masked
from hrembed.training.scratch import Shape, build_encoder
from hrembed.training.vocabulary import train_tokenizer, unknown_share

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from hrembed.config.finetune import FinetuneConfig
    from hrembed.config.scratch import ScratchMethod
    from hrembed.progress import Progress
    from hrembed.runs.record import Run
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
        facts: Number of texts, vocabulary, share of unknown tokens.
        method: Settings.
    """

    model: Any
    corpus: Corpus
    sample: Sequence[str]
    facts: Mapping[str, Any]
    method: ScratchMethod


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
    shape = Shape(**{name: getattr(method, name) for name in Shape.__dataclass_fields__})
    facts = {
        "texts": len(corpus.training),
        "texts_held_out": len(corpus.held_out),
        "vocabulary": len(tokenizer),
        "unknown_share": unknown_share(tokenizer, every),
    }
    model = build_encoder(tokenizer, shape, max_tokens=tokens, seed=seed)
    return Untrained(model, corpus, distinct[:8], facts, method)


def look_ahead(config: FinetuneConfig, untrained: Untrained, *, probe: bool) -> tuple[dict[str, Any], list[str]]:
    """Say what masked language modelling will take, for `--dry-run`, and what looks wrong; trains nothing."""
    facts = dict(untrained.facts)
    if probe:
        facts |= estimate(untrained.model, untrained.corpus, _recipe(config, untrained.method))
    unknown, warnings = facts["unknown_share"], []
    if unknown > _UNKNOWN:
        warnings.append(f"{unknown:.1%} of the tokens are unknown: words of more than 100 characters without a space")
    return facts, warnings


def pretrain(config: FinetuneConfig, untrained: Untrained, run: Run, *, launched: bool = False) -> dict[str, Any]:
    """Train the encoder on its texts in place, or put back what an interrupted run had finished.

    The result is `checkpoints/pretrained`, a plain model. Its weights are read back from there in both cases, so that
    a run that goes on after this phase starts its losses from the same numbers.

    Returns:
        The part `pretraining` of `metrics.json`.

    Raises:
        StoppedError: Somebody asked to stop.
        ModelError: The loss is not finite, or what an interrupted run left is of another training.
    """
    checkpoints = run.path / "checkpoints"
    finished, made_of = checkpoints / "pretrained", _made_of(config, untrained, run)
    if not finished.exists():
        with deferred_stop(run.progress.note, launched=launched) as stop_requested:
            history = _train(config, untrained, checkpoints, made_of, run.progress, stop_requested)
        _keep(untrained, finished, history, made_of)
        shutil.rmtree(checkpoints / "masked", ignore_errors=True)
    notes = json.loads((finished / _NOTES).read_text(encoding="utf-8"))
    check_same(notes["made_of"], made_of)
    untrained.model.load_state_dict(load_model(finished).state_dict())
    check_saved(np.array(notes["vectors"]), sample_vectors(untrained.model, untrained.sample))
    found: dict[str, Any] = notes["metrics"]
    return found


def _train(
    config: FinetuneConfig,
    untrained: Untrained,
    checkpoints: Path,
    made_of: Mapping[str, Any],
    progress: Progress,
    stop_requested: Callable[[], bool],
) -> MaskedHistory:
    point = read_resume_point(checkpoints / "masked")
    if point is not None:
        check_same(point.notes["made_of"], made_of)
        progress.note(f"going on after step {point.step} of masked language modelling")
    context = MaskedContext(stop_requested, checkpoints, progress, point, made_of)
    return train_masked(untrained.model, untrained.corpus, _recipe(config, untrained.method), context)


def _keep(untrained: Untrained, folder: Path, history: MaskedHistory, made_of: Mapping[str, Any]) -> None:
    """Write model and numbers as one folder, whole or not at all."""
    first, last = history.held_out[0][1], history.held_out[-1][1]
    metrics = {
        **untrained.facts,
        "steps": history.steps,
        "loss_history": _thinned(history.losses),
        "held_out": [{"step": step, "loss": loss} for step, loss in history.held_out],
        "perplexity": {"before": float(np.exp(first)), "after": float(np.exp(last))},
    }
    vectors = sample_vectors(untrained.model, untrained.sample)
    with writing(folder) as part:
        untrained.model.save_pretrained(str(part), create_model_card=False)
        write_json(part / _NOTES, {"metrics": metrics, "made_of": made_of, "vectors": vectors.tolist()})


def _thinned(losses: Sequence[float]) -> list[dict[str, float]]:
    """Means of neighbouring steps, each with its last step: at most 200, however long the training was."""
    parts = np.array_split(np.array(losses), min(_POINTS, len(losses)))
    ends = np.cumsum([len(part) for part in parts])
    return [{"step": int(end), "loss": float(part.mean())} for end, part in zip(ends, parts, strict=True)]


def _recipe(config: FinetuneConfig, method: ScratchMethod) -> MaskedRecipe:
    common = ("warmup", "weight_decay", "precision", "saves", "seed")
    return MaskedRecipe(**method.mlm.model_dump(), **{name: getattr(config.train, name) for name in common})


def _made_of(config: FinetuneConfig, untrained: Untrained, run: Run) -> dict[str, Any]:
    """Say what this phase is made of, as the losses' resume points do."""
    vocabulary = untrained.model.tokenizer.get_vocab()
    return {
        "the training data": [v.sha256 for k, v in run.manifest.inputs.items() if k.startswith("source-")],
        "the vocabulary": hashlib.sha256(json.dumps(vocabulary, sort_keys=True).encode()).hexdigest(),
        "the settings of `method`": untrained.method.model_dump(mode="json"),
        "the settings of `train`": config.train.model_dump(mode="json"),
    }
