"""A model folder in the layout of Sentence Transformers before 5.4, which older servers read rightly.

Newer releases write other module names and `"pooling_mode": "mean"` alone. Servers that look for the older keys find
none, and some then take the first token's vector without a word.
"""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

from hrembed.errors import ModelError
from hrembed.files import write_json, writing

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_TYPES = {name: f"sentence_transformers.models.{name}" for name in ("Transformer", "Pooling", "Normalize", "Dense")}
_FLAGS = {
    "cls": "pooling_mode_cls_token",
    "mean": "pooling_mode_mean_tokens",
    "max": "pooling_mode_max_tokens",
    "mean_sqrt_len_tokens": "pooling_mode_mean_sqrt_len_tokens",
    "weightedmean": "pooling_mode_weightedmean_tokens",
    "lasttoken": "pooling_mode_lasttoken",
}


def write_legacy(model: Any, folder: Path, graph: Callable[[Path], None] | None = None) -> None:
    """Write a Sentence Transformers model in the older layout, whole or not at all.

    Args:
        model: Modules in a row: a transformer, pooling, projections, normalisation.
        folder: Where to.
        graph: Writes into a folder what takes the place of the transformer's torch weights; None keeps them.

    Raises:
        ModelError: It has other modules (a router), which the older layout cannot say.
    """
    with writing(folder) as part:
        model.save_pretrained(str(part), create_model_card=False)
        modules = json.loads((part / "modules.json").read_text(encoding="utf-8"))
        for module, entry in zip(model, modules, strict=True):
            name = entry["type"].rpartition(".")[2]
            if name not in _TYPES:
                raise ModelError(
                    f"the older layout does not support the module '{name}'",
                    hint="serve the folder that `finetune` wrote",
                )
            entry["type"] = _TYPES[name]
            if name == "Pooling":
                write_json(part / entry["path"] / "config.json", _pooling(module))
            if name == "Transformer" and graph is not None:
                for file in (part / entry["path"]).glob("model*.safetensors*"):
                    file.unlink()
        write_json(part / "modules.json", modules)
        write_json(part / "sentence_bert_config.json", {"max_seq_length": model.max_seq_length, "do_lower_case": False})
        if graph is not None:
            graph(part)


def _pooling(module: Any) -> dict[str, bool | int]:
    """Settings of a pooling with the keys of Sentence Transformers before 5.4."""
    modes = (module.pooling_mode,) if isinstance(module.pooling_mode, str) else module.pooling_mode
    unknown = sorted(set(modes) - _FLAGS.keys())
    if unknown:
        raise ModelError(f"the older layout does not support the pooling mode '{unknown[0]}'")
    return {
        "word_embedding_dimension": module.embedding_dimension,
        **{flag: mode in modes for mode, flag in _FLAGS.items()},
        "include_prompt": module.include_prompt,
    }


def remove(folder: Path) -> None:
    """Remove an export that turned out wrong."""
    shutil.rmtree(folder, ignore_errors=True)
