"""Cross-encoders: models that read a query and a document together and give one score, too slow for more than a few."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hrembed.errors import ModelError
from hrembed.files import sha256
from hrembed.models.folder import check_weights
from hrembed.models.refs import parse_ref
from hrembed.models.weights import check_whole, from_hub

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hrembed.types import Floats


class CrossEncoder:
    """A cross-encoder, loaded when the first pair is scored.

    Args:
        folder: Its folder.
        name: For tables.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._model = folder, None
        self.name = name
        self.identity = sha256(folder)

    def scores(self, query: str, documents: Sequence[str]) -> Floats:
        """Score a query with each document, shape (n,); higher is closer, on a scale of the model's own.

        Raises:
            ModelError: It does not load, gives several scores a pair, or one that is not finite.
        """
        model: Any = self._model or self._load()
        self._model = model
        if not documents:
            return np.zeros(0, dtype=np.float32)
        scores = np.asarray(model.predict([(query, each) for each in documents], show_progress_bar=False))
        if scores.shape != (len(documents),):
            raise ModelError(
                f"cross-encoder '{self.name}' returns {scores.shape[-1]} scores per pair, expected one",
                hint="use one that was trained to rank, such as those of MS MARCO",
            )
        if not np.isfinite(scores).all():
            raise ModelError(f"cross-encoder '{self.name}' returned NaN or infinite scores")
        return scores.astype(np.float32)

    def _load(self) -> Any:
        from sentence_transformers import CrossEncoder as Loaded
        from transformers.utils import logging as transformers_logging

        transformers_logging.set_verbosity_error()
        transformers_logging.disable_progress_bar()
        try:
            return Loaded(str(self._folder), local_files_only=True, model_kwargs={"use_safetensors": True})
        except Exception as err:  # only a library runs in this block, which fails in many ways on a damaged folder
            raise ModelError(
                f"cannot load the cross-encoder in '{self._folder}': {type(err).__name__}: {str(err).splitlines()[0]}"
            ) from err


def open_cross_encoder(reference: str) -> CrossEncoder:
    """Find a cross-encoder.

    Args:
        reference: `path:DIR` or `hf:ORG/NAME@REVISION`.

    Raises:
        ConfigError: The reference has no known form.
        ModelError: It is not there, has no safe weights, or is an embedding model.
    """
    ref = parse_ref(reference)
    if ref.scheme not in {"path", "hf"}:
        raise ModelError(
            f"'{reference}' is not a cross-encoder", hint="use `path:DIR` or `hf:ORG/NAME@REVISION` of one"
        )
    folder = from_hub(ref.target, ref.revision) if ref.scheme == "hf" else Path(ref.target)
    if not (folder / "config.json").is_file():
        raise ModelError(
            f"'{folder}' is not a model folder: it contains no `config.json`",
            hint="use `path:DIR` or `hf:ORG/NAME@REVISION` of a cross-encoder",
        )
    check_weights(folder)
    check_whole(folder)
    if "ForSequenceClassification" not in (folder / "config.json").read_text(encoding="utf-8", errors="replace"):
        raise ModelError(
            f"the model in '{folder}' is not a cross-encoder (no `ForSequenceClassification` in its config.json)",
            hint="an embedding model is set as `model`, when the index is encoded",
        )
    return CrossEncoder(folder, ref.short_name)
