"""Exports of models with an encoder for each side."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from exporting import TEXTS, scale_a_weight, served, settings_on
from hrembed.commands.export.checks import Judge
from hrembed.commands.export.run import run_export
from hrembed.data.read import read_task
from hrembed.errors import ModelError
from hrembed.models.transformer import load_model
from hrembed.runs.workspace import Workspace
from hrembed.scoring.varied_texts import VARIED_TEXTS, Probe
from hrembed.training.methods import split_sides


@pytest.fixture
def settings(shallow_model: Path, tmp_path: Path):
    return settings_on(tmp_path / "data", shallow_model)


@pytest.fixture
def sided(shallow_model: Path, tmp_path: Path) -> Path:
    """A model whose queries have an encoder of their own, other than that of the documents."""
    model = split_sides(load_model(shallow_model))
    scale_a_weight(model[0].sub_modules["query"])
    model.save_pretrained(str(tmp_path / "sided"), create_model_card=False)
    return tmp_path / "sided"


@pytest.mark.parametrize("side", ["query", "document"])
def test_a_router_is_exported_one_side_at_a_time(side, sided: Path, settings, tmp_path: Path):
    config = settings("legacy", "openvino", "openvino-int8", model=sided, side=side)
    result = run_export(config, Workspace(tmp_path / "runs"))
    whole = load_model(sided)
    expected = {"query": whole.encode_query(TEXTS), "document": whole.encode_document(TEXTS)}
    other = {"query": "document", "document": "query"}[side]
    for found in (served(Path(result.run) / "openvino", TEXTS), load_model(Path(result.run) / "legacy").encode(TEXTS)):
        assert np.abs(found - expected[side]).max() < 1e-5
        assert np.abs(found - expected[other]).max() > 1e-4
    row = result.metrics.formats["openvino-int8"]
    assert row.cosine.vectors == 2 * len(VARIED_TEXTS) + {"query": 4, "document": 6}[side]


class OneSided:
    """A model that gives a fixed vector for each text, on the sides that it may be asked for."""

    def __init__(self, *sides: str) -> None:
        self.sides = sides

    def encode_query(self, texts, **_):
        assert "query" in self.sides
        return np.stack([[len(text), 1.0] for text in texts])

    def encode_document(self, texts, **_):
        assert "document" in self.sides
        return np.stack([[len(text), 1.0] for text in texts])


@pytest.mark.parametrize(("side", "asked"), [("query", 4), ("document", 6), (None, 10)])
def test_the_side_that_is_not_exported_is_still_embedded_by_the_source(side, asked, settings, tmp_path: Path):
    config = settings("onnx-int8", side=side)
    judge = Judge(
        config, read_task(Path(config.compare_on.path), None), OneSided("query", "document"), tmp_path, "none"
    )
    same = Probe(np.eye(2), np.eye(2))
    row = judge.judge("onnx-int8", OneSided(*([side] if side else ["query", "document"])), 1.5, same, same)
    assert (row.mb, row.cosine.vectors) == (1.5, 4 + asked)
    assert row.kept is True


def test_int8_that_is_undefined_for_padded_texts_alone_is_not_kept(settings, tmp_path: Path):
    """So does ModernBERT in OpenVINO: padding sees nothing in its window, and 0 times NaN is NaN."""
    config, both = settings("onnx-int8"), OneSided("query", "document")
    judge = Judge(config, read_task(Path(config.compare_on.path), None), both, tmp_path, "none")
    found = Probe(np.array([[1.0, 0.0], [np.nan, np.nan]]), np.eye(2))
    assert judge.judge("onnx-int8", both, 1.5, Probe(np.eye(2), np.eye(2)), found).kept is False


def test_a_router_needs_a_side_and_others_have_none(sided: Path, settings, tmp_path: Path):
    with pytest.raises(
        ModelError, match="this model has separate query and document encoders, but an export contains only one"
    ) as caught:
        run_export(settings("onnx", model=sided), Workspace(tmp_path / "runs"))
    assert "`side: query`" in caught.value.hint
    with pytest.raises(ModelError, match="this model uses the same encoder for queries and documents"):
        run_export(settings("onnx", side="query"), Workspace(tmp_path / "runs"))
