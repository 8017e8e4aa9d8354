"""Every command that the README shows is run, in its order, in an empty folder."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

import pytest
from hrembed.cli.app import main
from places import ROOT

if TYPE_CHECKING:
    from pathlib import Path

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```bash\n(.*?)```", README, flags=re.DOTALL)
LINES = [line.split("#")[0].strip() for block in BLOCKS for line in block.splitlines() if line.strip()]


def test_every_line_is_a_make_target_or_a_command_of_ours():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert len(LINES) >= 6
    for line in LINES:
        program, target = line.split()[:2]
        assert program in {"make", "hrembed"}
        if program == "make":
            assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), line


OURS = [
    [line for line in block.splitlines() if line.startswith("hrembed ")]
    for block in BLOCKS
    if "\nhrembed " in f"\n{block}"
]


@pytest.mark.long
@pytest.mark.timeout(1200)  # minutes even on a machine that does nothing else
@pytest.mark.usefixtures("minilm")
@pytest.mark.parametrize("lines", OURS, ids=lambda lines: lines[0].split()[1])
def test_the_commands_of_a_block_run_one_after_the_other(lines, tmp_path: Path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    expected = set()
    for line in lines:
        words = shlex.split(line.split("#")[0])[1:]
        assert main(words) == 0, f"{line}\n{capsys.readouterr().err}"
        expected.add("-".join(words[:3] if words[:2] == ["data", "import"] else words[: 1 + (words[0] == "data")]))
    assert {folder.name for folder in (tmp_path / "runs").iterdir()} - {".cache"} == expected
    if "eval" in expected:
        assert "Paired differences" in capsys.readouterr().out


def test_the_links_point_at_files():
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target
