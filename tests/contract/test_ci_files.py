"""The workflow files for CI systems are those that `init` writes, pass their linter, and call commands that exist."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from fnmatch import fnmatch
from typing import TYPE_CHECKING

import pytest
import yaml
from hrembed.cli.app import main
from places import ROOT

from write_docs import ci_files

if TYPE_CHECKING:
    from pathlib import Path

CI = ROOT / "docs" / "ci"
FILES = {
    "github-actions.yml": ["--builtin-schema", "vendor.github-workflows"],
    "gitlab-ci.yml": ["--builtin-schema", "vendor.gitlab-ci", "--data-transform", "gitlab-ci"],
}


def lint(file: Path, options: list[str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "check_jsonschema", *options, str(file)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_every_file_is_the_one_that_init_writes_and_is_linted():
    assert {file.name: file.read_text(encoding="utf-8") for file in CI.glob("*.yml")} == ci_files(), "run `make docs`"
    assert sorted(file.name for file in CI.glob("*.yml")) == sorted(FILES)


@pytest.mark.parametrize("name", FILES)
def test_a_file_passes_the_schema_of_its_system(name: str, tmp_path: Path):
    done = lint(CI / name, FILES[name])
    assert done.returncode == 0, done.stdout
    text = (CI / name).read_text(encoding="utf-8")
    broken = text.replace("runs-on:", "run-on:").replace("  script:", "  scripts:")
    assert broken != text
    (tmp_path / name).write_text(broken, encoding="utf-8")
    assert lint(tmp_path / name, FILES[name]).returncode == 1


@pytest.mark.parametrize("name", FILES)
def test_every_command_in_a_file_exists_and_the_gate_comes_last(name: str, capsys):
    yaml.safe_load((CI / name).read_text(encoding="utf-8"))
    lines = re.findall(r"^[\s-]*(?:run: )?(hrembed [^\n|>]+)$", (CI / name).read_text(encoding="utf-8"), re.MULTILINE)
    commands = [shlex.split(line)[1:] for line in lines]
    assert [words[0] for words in commands] == ["eval", "bias-audit", "gate", "runs"]
    for words in commands:
        assert main([words[0], *(["report"] if words[0] == "runs" else words[1:]), "--help"]) == 0
        capsys.readouterr()


TEXTS = ("bias-audit/1/texts.parquet", "data-inspect/1/examples.jsonl", "data-anonymise/1/map.json",
         "data-anonymise/1/cv.jsonl", "data-split/1/train.parquet", ".cache/vectors/1.npy",
         "finetune/1/log.txt", "data-restore/1/cv.csv")  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_no_file_uploads_texts_of_candidates(name: str):
    workflow = yaml.safe_load((CI / name).read_text(encoding="utf-8"))
    if name == "gitlab-ci.yml":
        paths = workflow["embeddings"]["artifacts"]["paths"]
    else:
        [upload] = [step for step in workflow["jobs"]["gate"]["steps"] if step.get("name") == "Upload"]
        paths = upload["with"]["path"].split()
    patterns = [f"{path}*" if path.endswith("/") else path for path in paths]
    assert any(fnmatch(f"runs/{file}", pattern) for pattern in patterns for file in ("eval/1/metrics.json",))
    assert any(fnmatch(f"runs/{file}", pattern) for pattern in patterns for file in ("reports/index.html",))
    for file in TEXTS:
        assert not any(fnmatch(f"runs/{file}", pattern) for pattern in patterns), file


@pytest.mark.parametrize("name", FILES)
def test_a_file_caches_vectors_uploads_the_report_and_runs_on_a_schedule(name: str):
    text = (CI / name).read_text(encoding="utf-8")
    for part in ("runs/.cache", "runs report", "schedule", "constraints.txt", "runs/gate/*/"):
        assert part in text, part
