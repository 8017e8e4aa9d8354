"""Texts that int8 is calibrated on."""

from __future__ import annotations

from pathlib import Path

import pytest
from exporting import settings_on
from hrembed.commands.export import checks as export_checks
from hrembed.commands.export.checks import calibration
from hrembed.config.export import ExportConfig
from hrembed.config.parts import ModelSection
from hrembed.data.read import read_task
from hrembed.errors import DataError
from hrembed.models import exported
from hrembed.models.transformer import load_model
from hrembed.runs.record import Run


@pytest.fixture
def settings(tiny_model: Path, tmp_path: Path):
    return settings_on(tmp_path / "data", tiny_model)


@pytest.fixture
def calibrated(tiny_model: Path, tmp_path: Path, monkeypatch):
    """A function from a config to the texts that calibration would give to the model."""

    def texts(config: ExportConfig) -> list[tuple[str, str]]:
        monkeypatch.setattr(export_checks, "transformer_inputs", lambda model, chosen, prompts: chosen)
        task = read_task(Path(config.compare_on.path), None)
        return calibration(config, task, None, Run(tmp_path, path=tmp_path), "none")

    return texts


def test_calibration_takes_a_seeded_sample_without_the_texts_of_the_comparison(settings, calibrated):
    everything = calibrated(settings("openvino-int8", calibration_texts=100))
    free = [("query", f"ad {n} for a nurse") for n in range(6)]
    assert sorted(everything) == sorted(free + [("document", f"profile {n}, a nurse") for n in range(6)])
    assert calibrated(settings("openvino-int8", calibration_texts=100, side="query")) == free
    few = [calibrated(settings("openvino-int8", calibration_texts=4, seed=seed)) for seed in (1, 1, 2)]
    assert len(few[0]) == 4
    assert few[0] == few[1] != few[2]


def test_calibration_on_the_comparison_itself_is_refused(settings, calibrated):
    config = settings("openvino-int8")
    with pytest.raises(DataError, match="0 of 10 texts are left for calibration"):
        calibrated(config.model_copy(update={"calibrate_on": config.compare_on.path}))


def test_calibration_inputs_hold_prompts_and_are_cut(tiny_model: Path):
    model = load_model(tiny_model, max_tokens=8)
    found = exported.transformer_inputs(
        model, [("query", "ab"), ("document", "ab"), ("query", "a" * 50)], {"query": "xyz ", "document": ""}
    )
    ids = [model.tokenizer.convert_ids_to_tokens(entry["input_ids"][0]) for entry in found]
    assert ids[0] == ["[CLS]", "x", "##y", "##z", "a", "##b", "[SEP]"]
    assert ids[1] == ["[CLS]", "a", "##b", "[SEP]"]
    assert len(ids[2]) == 8
    assert not model[0]._forward_pre_hooks


def test_half_precision_has_no_graph(tiny_model: Path):
    section = ModelSection(ref=f"path:{tiny_model}", dtype="bfloat16")
    with pytest.raises(ValueError, match="graphs are exported from float32"):
        ExportConfig(model=section, formats=("legacy", "onnx"))
    assert ExportConfig(model=section).formats == ("legacy",)
