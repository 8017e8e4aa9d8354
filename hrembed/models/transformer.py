"""Sentence Transformers models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hrembed.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from hrembed.types import Floats, Side


def load_model(
    folder: Path,
    *,
    dtype: str = "float32",
    max_tokens: int | None = None,
    trust_remote_code: bool = False,
    attention: str = "auto",
) -> Any:
    """Load a checked folder as a `SentenceTransformer`; plain checkpoints get mean pooling.

    The number format is always given: since transformers 5 a checkpoint stored in half precision
    would otherwise be loaded, and trained, in half precision.

    Raises:
        ModelError: The folder does not load, or would need its own code without permission.
    """
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    chosen = {} if attention == "auto" else {"attn_implementation": attention}
    try:
        model = SentenceTransformer(
            str(folder),
            trust_remote_code=trust_remote_code,
            local_files_only=True,
            model_kwargs={"dtype": dtype, "use_safetensors": True, **chosen},
        )
    except Exception as err:
        # Any library below may fail in its own way on a damaged folder; the user needs one message.
        raise ModelError(
            f"the model in '{folder}' does not load: {_first_line(err)}",
            hint="set `trust_remote_code: true` if it needs its own code and you trust it"
            if "remote" in str(err)
            else "",
        ) from err
    if max_tokens is not None:
        _limit_tokens(model, max_tokens, folder)
    return model


def compile_model(model: Any) -> Any:
    """Have the transformers of a model compiled when they first run, for any number of texts and tokens.

    Raises:
        ModelError: There is none.
    """
    import torch

    bodies = [route.model for route in _routes(model) if hasattr(route, "model")]
    if not bodies:
        raise ModelError("this model has no transformer to compile", hint="leave `compile` out")
    for body in bodies:
        # `body.compile()` would do nothing: Sentence Transformers calls `forward` itself.
        body.forward = torch.compile(body.forward, dynamic=True)
    return model


def _routes(model: Any) -> list[Any]:
    first = model[0]
    return [route[0] for route in first.sub_modules.values()] if hasattr(first, "sub_modules") else [first]


def _limit_tokens(model: Any, max_tokens: int, folder: Path) -> None:
    """Lower the limit of every route: a router reports its longest one, and would raise the others."""
    for route in _routes(model):
        limit = getattr(route, "max_seq_length", None)
        try:
            route.max_seq_length = max_tokens if limit is None else min(max_tokens, limit)
        except AttributeError:
            raise ModelError(
                f"the model in '{folder}' has no limit of tokens that could be lowered",
                hint="leave `max_tokens` out",
            ) from None


def _first_line(err: Exception) -> str:
    lines = str(err).strip().splitlines()
    return f"{type(err).__name__}: {lines[0] if lines else 'no message'}"


class TransformerBackend:
    """A Sentence Transformers model, loaded when the first text is embedded: vectors in the cache need none.

    Args:
        load: Returns the model.
        identity: Hash of weights, number format and length limit.
        source: Where it was read.
        batch_size: Texts encoded at once.
    """

    def __init__(self, load: Callable[[], Any], *, identity: str, source: str = "memory", batch_size: int = 32) -> None:
        self._load = load
        self._model: Any = None
        self.identity = identity
        self.source = source
        self.batch_size = batch_size

    def embed(self, texts: Sequence[str], side: Side, prompt: str) -> Floats:
        """Embed texts, shape (n, dim), with the model's own prompt for this side where `prompt` is empty.

        Raises:
            ModelError: The model does not load.
        """
        if self._model is None:
            self._model = self._load()
        encode = self._model.encode_query if side == "query" else self._model.encode_document
        vectors = encode(
            list(texts),
            prompt=prompt or None,
            batch_size=self.batch_size,
            show_progress_bar=False,
            convert_to_numpy=True,
            normalize_embeddings=True,
        )
        return np.asarray(vectors, dtype=np.float32)
