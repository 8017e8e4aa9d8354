"""Whose vectors belong together: two models of the same dimension give plausible scores and no error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hrembed.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hrembed.index.open import Index
    from hrembed.records.index import VectorSpace
    from hrembed.shards.reading import ShardSet
    from hrembed.types import Floats


def check_same_space(shards: ShardSet, space: VectorSpace, index: str) -> None:
    """Refuse shards of another model than that of an index: LanceDB would take them where the dimensions agree.

    Raises:
        ModelError: They are; the message has both hashes.
    """
    manifest, where = shards.manifest, shards.folder.reference
    if manifest.identity == space.identity and manifest.dim == space.dim:
        return
    raise ModelError(
        f"'{where}' was encoded by {_described(manifest.model, manifest.identity)}, and index '{index}' holds vectors "
        f"of {_described(space.model, space.identity)}: weights, prompts, truncation or titles differ",
        hint=f"encode with the model of the index ({settings_of(space.model)}), or add a generation for the new model: "
        f"`index build {where} --out {index}`",
    )


def query_map(index: Index, identity: str, model: Mapping[str, Any]) -> Floats | None:
    """Say how vectors of queries come into the space of an index.

    Args:
        index: What is searched.
        identity: Identity of the encoder of the queries: it must be that of the documents, since it covers both sides.
        model: Its `model` section, for messages.

    Returns:
        None where the encoder is that of the documents; the map of a bridge, shape (its dimensions, dimensions of the
        index), where one was fitted for it.

    Raises:
        ModelError: It is another encoder; the message has both hashes.
    """
    space = index.generation.space
    if identity == space.identity:
        return None
    for bridge in index.generation.bridges:
        if bridge.identity == identity:
            file = index.folder / index.generation.name / bridge.file
            return np.asarray(np.load(file, allow_pickle=False), dtype=np.float32)
    raise ModelError(
        f"'{model.get('ref', 'unknown')}' is not the model of index '{index.folder}': its identity is {identity[:12]}, "
        f"that of the index {space.identity[:12]} ('{space.model.get('ref', 'unknown')}'); weights, prompts, "
        "truncation or titles differ",
        hint=f"use the model of the index ({settings_of(space.model)}); or `encode` the documents with the new model "
        f"and `index build` a generation beside it; until then, `index switch --bridge` carries its queries",
    )


def settings_of(model: Mapping[str, Any]) -> str:
    """Write the settings of a model that are not the usual ones as options of a command."""
    names = ("ref", "query_prompt", "document_prompt", "dimensions", "normalise_titles", "max_tokens", "pooling")
    return " ".join(f"--set model.{name}={model[name]}" for name in names if model.get(name) not in {None, ""})


def _described(model: Mapping[str, Any], identity: str) -> str:
    return f"'{model.get('ref', 'unknown')}' (identity {identity[:12]})"
