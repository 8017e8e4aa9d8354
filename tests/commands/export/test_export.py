"""An export gives the vectors of its source, also to software that knows only the older layout."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from hrembed.cli.app import main
from hrembed.commands.export.run import run_export
from hrembed.config.export import ExportConfig
from hrembed.config.load import load_config
from hrembed.config.parts import ModelSection
from hrembed.data.locate import shipped_root
from hrembed.errors import ModelError
from hrembed.models.folder import read_settings
from hrembed.models.transformer import load_model
from hrembed.records.export import ExportFormat, ExportRecord
from hrembed.runs.past import find_run
from hrembed.runs.workspace import Workspace
from hrembed.training.methods import split_sides

TEXTS = ["nurse for the ward", "car mechanic", "bakes bread before sunrise " * 3]


def old_server(folder: Path) -> np.ndarray:
    """Read a folder as servers of 2025 do: flags of the pooling, and the first token where no flag is set."""
    from transformers import AutoModel, AutoTokenizer

    modules = json.loads((folder / "modules.json").read_text())
    known = [m for m in modules if m["type"].startswith("sentence_transformers.models.")]
    pooling = json.loads((folder / "1_Pooling" / "config.json").read_text())
    limit = json.loads((folder / "sentence_bert_config.json").read_text()).get("max_seq_length", 512)
    tokens = AutoTokenizer.from_pretrained(folder)(
        TEXTS, padding=True, truncation=True, max_length=limit, return_tensors="pt"
    )
    with torch.no_grad():
        hidden = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()(**tokens).last_hidden_state
    mask = tokens["attention_mask"][..., None]
    vectors = (hidden * mask).sum(1) / mask.sum(1) if pooling.get("pooling_mode_mean_tokens") else hidden[:, 0]
    if any(m["type"].endswith("Normalize") for m in known):
        vectors = torch.nn.functional.normalize(vectors)
    return vectors.numpy()


@pytest.fixture
def config(tiny_model: Path) -> ExportConfig:
    return ExportConfig(model=ModelSection(ref=f"path:{tiny_model}"))


def test_trap_10_an_old_server_misreads_the_new_layout_and_reads_the_export(config, tiny_model: Path, tmp_path: Path):
    expected = np.asarray(load_model(tiny_model).encode(TEXTS))
    assert np.abs(old_server(tiny_model) - expected).max() > 1e-2
    folder = Path(run_export(config, Workspace(tmp_path)).run) / "legacy"
    assert np.abs(old_server(folder) - expected).max() < 1e-5
    assert np.abs(np.asarray(load_model(folder).encode(TEXTS)) - expected).max() < 1e-6


@pytest.mark.usefixtures("minilm")
def test_the_export_of_minilm_has_the_flags_of_its_first_release(tmp_path: Path):
    folder = Path(run_export(ExportConfig(), Workspace(tmp_path)).run) / "legacy"
    pooling = json.loads((folder / "1_Pooling" / "config.json").read_text())
    assert pooling["pooling_mode_mean_tokens"] is True
    assert pooling["pooling_mode_cls_token"] is False
    assert pooling["word_embedding_dimension"] == 384
    types = [module["type"] for module in json.loads((folder / "modules.json").read_text())]
    assert types == [f"sentence_transformers.models.{name}" for name in ("Transformer", "Pooling", "Normalize")]
    assert json.loads((folder / "sentence_bert_config.json").read_text())["max_seq_length"] == 256


def test_a_router_has_no_form_as_a_whole(tiny_model: Path, tmp_path: Path):
    split_sides(load_model(tiny_model)).save_pretrained(str(tmp_path / "m"), create_model_card=False)
    with pytest.raises(
        ModelError, match="this model has separate query and document encoders, but an export contains only one"
    ):
        run_export(ExportConfig(model=ModelSection(ref=f"path:{tmp_path / 'm'}")), Workspace(tmp_path))
    assert not list(tmp_path.glob("export/*/legacy*"))


def test_who_asks_for_nothing_is_told_of_graphs_and_how_to_ask_for_them(tiny_model: Path, tmp_path: Path, capsys):
    argv = ["export", "--runs-dir", str(tmp_path / "runs"), "--set", f"model.ref=path:{tiny_model}"]
    assert main(argv) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "OpenVINO" in shown
    assert "ONNX" in shown
    assert "pip install 'hrembed[export]'" in shown
    (asked,) = re.findall(r"`--set '(.+?)'`", shown)
    config = load_config(shipped_root() / "configs" / "export.yaml", ExportConfig, [asked])
    assert {"legacy", *config.formats} == set(get_args(ExportFormat))


def test_who_cannot_have_a_graph_is_not_told_of_it(tiny_model: Path, tmp_path: Path):
    half = ExportConfig(model=ModelSection(ref=f"path:{tiny_model}", dtype="bfloat16"))
    notice = run_export(half, Workspace(tmp_path)).notice
    assert "legacy" in notice
    assert "OpenVINO" not in notice


def test_what_an_export_says_is_read_back_as_it_was(config, tmp_path: Path):
    result = run_export(config, Workspace(tmp_path))
    assert find_run(tmp_path, "latest", "export").record(ExportRecord) == result.metrics


def test_an_export_keeps_what_is_done_to_titles(config, tiny_model: Path, tmp_path: Path):
    section = config.model.model_copy(update={"normalise_titles": "queries"})
    first = Path(run_export(config.model_copy(update={"model": section}), Workspace(tmp_path)).run) / "legacy"
    assert read_settings(first).normalise_titles == "queries"
    again = config.model_copy(update={"model": ModelSection(ref=f"path:{first}")})
    second = Path(run_export(again, Workspace(tmp_path)).run) / "legacy"
    assert read_settings(second).normalise_titles == "queries"
    assert not (Path(run_export(config, Workspace(tmp_path)).run) / "legacy/hrembed.json").exists()
