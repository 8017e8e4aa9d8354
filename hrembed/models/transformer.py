"""Sentence Transformers models as encoders."""

from __future__ import annotations

import hashlib
import logging
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hrembed.errors import ModelError
from hrembed.files import sha256
from hrembed.progress import Silent

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hrembed.progress import Progress
    from hrembed.types import Floats

_log = logging.getLogger("hrembed")


def load_model(
    folder: Path, *, dtype: str = "float32", max_tokens: int | None = None, trust_remote_code: bool = False
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
    try:
        model = SentenceTransformer(
            str(folder),
            trust_remote_code=trust_remote_code,
            local_files_only=True,
            model_kwargs={"dtype": dtype, "use_safetensors": True},
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
        limit = model.max_seq_length
        model.max_seq_length = max_tokens if limit is None else min(max_tokens, limit)
    return model


def _first_line(err: Exception) -> str:
    lines = str(err).strip().splitlines()
    return f"{type(err).__name__}: {lines[0] if lines else 'no message'}"


class TransformerEncoder:
    """Cosine similarity of the sentence embeddings of a transformer."""

    def __init__(
        self,
        model: Any,
        *,
        name: str,
        identity: str,
        source: str = "memory",
        batch_size: int = 32,
        prompts: tuple[str, str] = ("", ""),
        progress: Progress | None = None,
    ) -> None:
        self._model = model
        self._batch_size = batch_size
        self._prompts = {"query": prompts[0], "document": prompts[1]}
        self._progress = progress or Silent()
        self.name = name
        self.identity = identity
        self.source = source

    def similarity(self, queries: Sequence[str], documents: Sequence[str]) -> Floats:
        """Cosine of each query and document, shape (Q, D), float32, in [-1, 1] up to rounding.

        Raises:
            ModelError: A vector is not finite.
        """
        return self.encode(queries, "query") @ self.encode(documents, "document").T

    def encode(self, texts: Sequence[str], side: Literal["query", "document"]) -> Floats:
        """Embed texts as unit rows, shape (n, dim), float32; each distinct text is computed once.

        Raises:
            ModelError: A vector is not finite.
        """
        distinct = sorted(dict.fromkeys(texts), key=len, reverse=True)
        step = self._batch_size
        parts = []
        with self._progress.bar(f"{self.name}: {side} vectors", len(distinct)) as advance:
            for start in range(0, len(distinct), step):
                chunk = distinct[start : start + step]
                parts.append(self._embed(chunk, side))
                advance(len(chunk), "")
        vectors = np.concatenate(parts)
        if not np.isfinite(vectors).all():
            bad = int((~np.isfinite(vectors)).any(axis=1).sum())
            raise ModelError(f"model '{self.name}' gives NaN or infinite vectors for {bad} of {len(distinct)} texts")
        row = {text: n for n, text in enumerate(distinct)}
        return np.asarray(vectors[[row[text] for text in texts]])

    def _embed(self, texts: list[str], side: Literal["query", "document"]) -> Floats:
        encode = self._model.encode_query if side == "query" else self._model.encode_document
        vectors = encode(
            texts,
            prompt=self._prompts[side] or None,
            batch_size=self._batch_size,
            show_progress_bar=False,
            convert_to_numpy=True,
            normalize_embeddings=True,
        )
        return np.asarray(vectors, dtype=np.float32)


def folder_identity(folder: Path, settings: Sequence[object]) -> str:
    """Hash weights, tokenizer and pooling of a folder together with what else decides its vectors."""
    return hashlib.sha256(repr((sha256(folder), *settings)).encode()).hexdigest()
