"""A module of a model that lies behind a link takes part: it is read, and it is part of the identity."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from hrembed.config.parts import ModelSection
from hrembed.runs.workspace import Workspace
from hrembed.scoring.encoders import open_encoder

if TYPE_CHECKING:
    from pathlib import Path


def test_a_pooling_behind_a_link_is_part_of_the_model(tiny_model: Path, tmp_path: Path):
    model, pooling = tmp_path / "model", tmp_path / "pooling"
    shutil.copytree(tiny_model, model)
    shutil.move(model / "1_Pooling", pooling)
    (model / "1_Pooling").symlink_to(pooling, target_is_directory=True)
    section, workspace = ModelSection(ref=f"path:{model}"), Workspace(tmp_path / "runs")
    before = open_encoder(section, workspace)
    vectors = before.vectors(["nurse for the ward"], "query")
    settings = (pooling / "config.json").read_text(encoding="utf-8")
    (pooling / "config.json").write_text(settings.replace('"mean"', '"cls"'), encoding="utf-8")
    after = open_encoder(section, workspace)
    assert after.identity != before.identity
    assert abs(after.vectors(["nurse for the ward"], "query") - vectors).max() > 1e-3
