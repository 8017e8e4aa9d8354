"""A linear map as the last part of a Sentence Transformers pipeline."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hrembed.files import writing
from hrembed.models.transformer import load_model

if TYPE_CHECKING:
    from pathlib import Path

    from hrembed.metrics.erasure import Eraser


def save_with_projection(source: Path, eraser: Eraser, folder: Path) -> None:
    """Write a copy of a model whose vectors go through an affine map, and become unit vectors again.

    The map is an ordinary `Dense` module, so the folder loads anywhere, on both sides of a search.

    Args:
        source: Folder of the model.
        eraser: The map.
        folder: Where the copy goes; must not exist.

    Raises:
        ModelError: The model does not load.
        HrembedError: The folder cannot be written.
    """
    import torch
    from sentence_transformers.sentence_transformer.modules import Dense, Normalize

    model = load_model(source)
    # Erasers are fitted on unit vectors; a model that ends with other lengths gets them first.
    model.append(Normalize())
    size = len(eraser.bias)
    dense = Dense(in_features=size, out_features=size, bias=True, activation_function=torch.nn.Identity())
    with torch.no_grad():
        dense.linear.weight.copy_(torch.from_numpy(eraser.weight))
        dense.linear.bias.copy_(torch.from_numpy(eraser.bias))
    model.append(dense)
    model.append(Normalize())
    with writing(folder) as part:
        model.save_pretrained(str(part), create_model_card=False)
