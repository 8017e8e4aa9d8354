"""How torch computes a model: other attentions, compiled, on a GPU where there is one."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hrembed.config.parts import ModelSection
from hrembed.errors import ModelError
from hrembed.models.transformer import compile_model
from hrembed.runs.workspace import Workspace
from hrembed.scoring.encoders import open_encoder

if TYPE_CHECKING:
    from pathlib import Path

TEXTS = ["nurse", "repairs engines of cars", "bakes bread " * 20, ""]


def encoder(folder: Path, runs: Path, **settings: object):
    return open_encoder(ModelSection(ref=f"path:{folder}", **settings), Workspace(runs))


def cuda() -> bool:
    import torch

    return bool(torch.cuda.is_available())


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_attention_is_the_one_that_was_asked_for(tiny_model: Path, tmp_path: Path, attention: str) -> None:
    plain, found = encoder(tiny_model, tmp_path), encoder(tiny_model, tmp_path, attention=attention)
    assert np.abs(found.vectors(TEXTS, "query") - plain.vectors(TEXTS, "query")).max() < 1e-5
    assert found._backend._model[0].model.config._attn_implementation == attention
    assert found.identity != plain.identity


@pytest.mark.slow  # a minute of compiling
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler on the CPU")
def test_a_compiled_model_gives_the_same_vectors(tiny_model: Path, tmp_path: Path) -> None:
    import torch

    plain = encoder(tiny_model, tmp_path)
    torch._dynamo.utils.counters.clear()
    found = encoder(tiny_model, tmp_path, compile=True)
    assert np.abs(found.vectors(TEXTS, "query") - plain.vectors(TEXTS, "query")).max() < 1e-5
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > 0  # it was compiled
    assert found.identity != plain.identity


def test_what_has_no_transformer_is_not_compiled() -> None:
    with pytest.raises(ModelError, match="no transformer to compile"):
        compile_model([object()])


@pytest.mark.skipif("not cuda()", reason="no GPU here")
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_on_a_gpu_is_near(tiny_model: Path, tmp_path: Path, dtype: str) -> None:
    plain, found = encoder(tiny_model, tmp_path), encoder(tiny_model, tmp_path, dtype=dtype, compile=True)
    vectors = found.vectors(TEXTS, "query")
    assert found._backend._model.device.type == "cuda"
    assert (vectors * plain.vectors(TEXTS, "query")).sum(axis=1).min() > 0.99


@pytest.mark.skipif("not cuda()", reason="no GPU here")
def test_flash_attention_on_a_gpu_is_near(tiny_model: Path, tmp_path: Path) -> None:
    pytest.importorskip("flash_attn", reason="flash-attn is not installed")
    found = encoder(tiny_model, tmp_path, dtype="bfloat16", attention="flash_attention_2")
    plain = encoder(tiny_model, tmp_path)
    assert (found.vectors(TEXTS, "query") * plain.vectors(TEXTS, "query")).sum(axis=1).min() > 0.99


def test_torch_ways_do_not_go_with_openvino() -> None:
    with pytest.raises(
        ValueError, match="`attention` and `compile` are only supported by torch; remove `backend` and `precision`"
    ):
        ModelSection(backend="openvino", compile=True)
    with pytest.raises(
        ValueError, match="`attention` and `compile` are only supported by torch; remove `backend` and `precision`"
    ):
        ModelSection(precision="int8", attention="eager")
