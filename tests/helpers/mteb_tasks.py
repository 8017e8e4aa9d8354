"""Shared by tests of both directions between mteb and hrembed."""

from __future__ import annotations

from typing import Any

import numpy as np


class Oracle:
    """An encoder of mteb's whose vectors are looked up."""

    def __init__(self, vectors: dict[str, Any]):
        from mteb.models.model_meta import ModelMeta

        self.vectors = vectors
        self.mteb_model_meta = ModelMeta.create_empty({"name": "hrembed/oracle", "revision": "1"})

    def encode(self, inputs, **_):
        rows = [self.vectors[text] for batch in inputs for text in batch["text"]]
        return np.asarray(rows, dtype=np.float32)

    def similarity(self, first, second):
        import torch

        return torch.as_tensor(np.asarray(first)) @ torch.as_tensor(np.asarray(second)).T

    def similarity_pairwise(self, first, second):
        import torch

        return torch.as_tensor((np.asarray(first) * np.asarray(second)).sum(axis=1))


def scores(model, task, cache=None):
    import mteb

    found = mteb.evaluate(model, task, cache=cache, show_progress_bar=False).task_results[0]
    return {split: rows[0] for split, rows in found.scores.items()}
