"""Models of a fine-tuning: loaded as they are trained, and wrapped as `eval` would wrap them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hrembed.models.dense import DenseEncoder, Prompts
from hrembed.models.transformer import TransformerBackend, load_model
from hrembed.scoring.encoders import weights_identity
from hrembed.scoring.retrieval import score_task
from hrembed.training.methods import split_sides

if TYPE_CHECKING:
    from pathlib import Path

    from hrembed.config.finetune import FinetuneConfig
    from hrembed.progress import Progress
    from hrembed.types import Floats, Task, TitleSides


def load(config: FinetuneConfig, folder: Path) -> Any:
    """Load a model folder as it is trained."""
    return load_model(
        folder,
        dtype=config.model.dtype,
        max_tokens=config.train.max_tokens,
        trust_remote_code=config.model.trust_remote_code,
        pooling=config.model.pooling,
    )


def apply_sides(config: FinetuneConfig, model: Any) -> Any:
    """Give queries an encoder of their own, where the config asks for it."""
    return split_sides(model) if config.sides == "query" else model


def encoder_of(config: FinetuneConfig, model: Any, progress: Progress | None = None) -> DenseEncoder:
    """Wrap a loaded model as `eval` would."""
    backend = TransformerBackend(lambda: model, identity="", batch_size=config.model.batch_size)
    dimensions = config.model.dimensions
    return DenseEncoder(
        backend, name="dev", prompts=_prompts(config), titles=titles(config), dimensions=dimensions, progress=progress
    )


def identity_of(config: FinetuneConfig, folder: Path) -> str:
    """Hash of everything that decides the vectors of a model folder, as `eval` records it."""
    section = config.model
    identity = weights_identity(folder, section.dtype, section.max_tokens, section.pooling)
    backend = TransformerBackend(lambda: load(config, folder), identity=identity)
    dimensions = config.model.dimensions
    encoder = DenseEncoder(
        backend, name=str(folder), prompts=_prompts(config), titles=titles(config), dimensions=dimensions
    )
    return encoder.identity


def titles(config: FinetuneConfig) -> TitleSides:
    """Which texts have their job titles normalised: those of the training, of every score, and of the tuned model."""
    return config.model.normalise_titles or "none"


def _prompts(config: FinetuneConfig) -> Prompts:
    return Prompts(config.model.query_prompt, config.model.document_prompt)


def score_dev_task(config: FinetuneConfig, model: Any, task: Task, progress: Progress) -> Floats:
    """Score a loaded model on a task by the metric of the config, one number per query."""
    return score_task(encoder_of(config, model, progress), task, [config.metric])[config.metric]
