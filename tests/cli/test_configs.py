"""The configs that ship are listed, printed, and taken in place of a file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hrembed.cli.app import main
from hrembed.config.load import load_config
from hrembed.config.recipe import RecipeConfig
from hrembed.config.schema import SCHEMAS
from hrembed.config.starters import config_file, starters
from places import ROOT

if TYPE_CHECKING:
    from pathlib import Path


def test_every_config_is_listed_with_what_it_is_for(capsys: pytest.CaptureFixture[str], monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["configs"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert {line.split()[0] for line in lines if line[0] != " "} == {
        file.relative_to(ROOT / "configs").with_suffix("").as_posix() for file in (ROOT / "configs").rglob("*.yaml")
    }
    assert all(row.summary.endswith((".", "?")) for row in starters())
    assert max(map(len, lines)) <= 80
    start = {line.index(row.summary[:10]) for row in starters() for line in lines if line.startswith(f"{row.name} ")}
    assert len(start) == 1, "the summaries stand below each other"


def test_a_printed_config_is_the_shipped_one_with_its_schema_beside_it(capsys, tmp_path: Path):
    for row in starters():
        assert main(["configs", row.name]) == 0
        printed = capsys.readouterr().out
        command = row.name.partition("/")[0]
        key = printed.splitlines()[0].removeprefix("# yaml-language-server: $schema=").removesuffix(".config.json")
        assert key == command or key.startswith(f"{command}-")
        (tmp_path / "own.yaml").write_text(printed, encoding="utf-8")
        schema = {**SCHEMAS, "recipe": RecipeConfig}[key]
        assert load_config(tmp_path / "own.yaml", schema) == load_config(row.path, schema)


def test_an_unknown_name_gets_the_nearest(capsys: pytest.CaptureFixture[str]):
    assert main(["configs", "finetune/title"]) == 2
    err = capsys.readouterr().err
    assert "unknown config 'finetune/title' (did you mean 'finetune/titles'?)" in err
    assert "hrembed configs" in err
    assert main(["eval", "shipped:evil"]) == 2
    assert "did you mean 'eval'?" in capsys.readouterr().err


def test_a_config_that_is_not_there_gets_one_that_is(capsys, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def hint(name: str) -> str:
        assert main(["finetune", name]) == 2
        return capsys.readouterr().err.strip().splitlines()[-1]

    assert hint(".") == "hint: `hrembed configs` lists the configs that ship"
    (tmp_path / "own.yaml").write_text("{}", encoding="utf-8")
    assert hint(".") == "hint: did you mean 'own.yaml'?"
    assert hint("won.yaml") == "hint: did you mean 'own.yaml'?"
    assert hint("finetune/titles") == hint("titles.yaml") == "hint: one ships with hrembed: `shipped:finetune/titles`"
    assert hint("nothing.yaml") == "hint: there is no 'nothing.yaml' in the current directory"


@pytest.mark.parametrize("ending", ["", ".yaml"])
def test_a_command_takes_a_shipped_config_by_its_name(ending: str, task: Path, tmp_path: Path, capsys):
    changed = [f"tasks=[{{path: {json.dumps(str(task))}}}]", "models=[tfidf]", "baselines=[]", "retention=[]"]
    sets = [word for text in [*changed, "worst=3"] for word in ("--set", text)]
    argv = ["eval", f"shipped:eval{ending}", "--runs-dir", str(tmp_path), "--quiet", *sets]
    assert main(argv) == 0
    written = json.loads((tmp_path / capsys.readouterr().out.strip() / "config.yaml").read_text(encoding="utf-8"))
    assert written["slices"]["min_queries"] == 20  # what only the file that ships says
    assert config_file("shipped:finetune/titles") == ROOT / "configs" / "finetune" / "titles.yaml"
