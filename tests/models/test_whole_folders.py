"""Model folders that were not copied whole are refused before anything is computed, or what is left out is named."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest
from hrembed.cli.app import main
from hrembed.errors import ModelError
from hrembed.models.folder import StoredSettings, read_settings
from hrembed.models.weights import check_whole

if TYPE_CHECKING:
    from pathlib import Path


def copy(model: Path, folder: Path) -> Path:
    shutil.copytree(model, folder)
    return folder


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda whole: whole[:-7], "is not a complete safetensors file"),
        (lambda whole: whole + b"\0", "is not a complete safetensors file"),
        (lambda whole: b"", "is not a complete safetensors file"),
        (lambda whole: b"\2\0\0\0\0\0\0\0[]", "is not a complete safetensors file"),
        (lambda whole: b"\xff" * 100, "is not a complete safetensors file"),
        (lambda whole: b"version https://git-lfs.github.com/spec/v1\noid", "is a Git LFS pointer, not the weights"),
    ],
)
def test_weights_that_are_cut_short_or_only_pointed_at_are_refused(tiny_model, tmp_path: Path, content, message):
    folder = copy(tiny_model, tmp_path / "m")
    check_whole(folder)
    file = folder / "model.safetensors"
    file.write_bytes(content(file.read_bytes()))
    with pytest.raises(ModelError, match=message):
        check_whole(folder)


def test_a_broken_second_model_ends_the_command_before_the_first_is_scored(tiny_model, task, tmp_path: Path, capsys):
    file = copy(tiny_model, tmp_path / "m") / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-7])
    sets = [f"models=[{{ref: bm25}}, {{ref: path:{tmp_path / 'm'}}}]", f"tasks=[{{path: {task}}}]", "baselines=[]"]
    command = ["eval", "--runs-dir", str(tmp_path / "runs"), *(part for each in sets for part in ("--set", each))]
    assert main(command) == 4
    shown = capsys.readouterr()
    assert "is not a complete safetensors file" in " ".join(shown.err.split())
    assert "scoring" not in shown.err + shown.out
    (run,) = (tmp_path / "runs" / "eval").iterdir()
    assert not (run / "trec").exists()


def test_modules_without_the_file_that_names_them_are_refused(tiny_model, tmp_path: Path):
    folder = copy(tiny_model, tmp_path / "m")
    (folder / "modules.json").unlink()
    with pytest.raises(ModelError, match=r"contains 1_Pooling, but no `modules\.json`"):
        check_whole(folder)


def test_a_module_that_is_not_listed_is_named(tiny_model, tmp_path: Path):
    folder = copy(tiny_model, tmp_path / "m")
    (folder / "2_Dense").mkdir()
    (folder / "2_Dense" / "config.json").write_text(json.dumps({"in_features": 32}), encoding="utf-8")
    check_whole(folder)
    assert any("contains 2_Dense, which `modules.json` does not" in each for each in read_settings(folder).remarks("m"))
    assert not any("modules.json" in each for each in read_settings(tiny_model).remarks("m"))


def test_a_masked_language_model_may_be_a_sparse_encoder():
    masked = StoredSettings(assumed_pooling="mean", architecture="BertForMaskedLM")
    assert any("SPLADE" in remark for remark in masked.remarks("m"))
    assert any("SPLADE" in remark for remark in masked.remarks("m", "mean"))
    assert not any("SPLADE" in remark for remark in StoredSettings(architecture="BertForMaskedLM").remarks("m"))
