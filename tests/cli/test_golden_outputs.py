"""What every command prints at 80 columns is what was looked at; `python tools/golden_outputs.py` writes it anew."""

from __future__ import annotations

import re
from difflib import unified_diff
from typing import TYPE_CHECKING

import pytest
from golden import FOLDER, QUICK, TRAINED, WIDTH, all_commands, file_of, outputs, prepare

if TYPE_CHECKING:
    from pathlib import Path

    from golden import Step

# Without a golden text of their own: each needs what a test cannot have, and says here what.
EXEMPT = {"serve-check": "a server, whose port and speed differ each time"}
_PART_OF_RUN_ID = re.compile(r"\d{8}T\d{6}Z-(?!x{8})|(?<!-)\bx{8}\b")


def test_every_command_has_a_golden_text():
    missing = [name for name in all_commands() if not file_of(name).exists() and name not in EXEMPT]
    assert not missing, f"add steps to tests/helpers/golden.py and run tools/golden_outputs.py: {', '.join(missing)}"
    known = {file_of(name) for name in all_commands()}
    assert set(FOLDER.iterdir()) <= known


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.txt")), ids=lambda file: file.stem)
def test_nothing_is_wider_than_the_terminal_and_no_run_id_is_broken(file: Path):
    if file.stem == "schema":  # JSON for editors
        return
    lines = [line for line in file.read_text(encoding="utf-8").splitlines() if not line.startswith("$ ")]
    wide = [line for line in lines if len(line) > WIDTH and len(line.split()) > 1]
    assert wide == []
    assert [line for line in lines if _PART_OF_RUN_ID.search(line)] == []


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.txt")), ids=lambda file: file.stem)
def test_one_of_a_thing_is_not_several(file: Path):
    text = file.read_text(encoding="utf-8")
    plural = re.findall(
        r"(?<![\d.,#])(?<!of )\b1 (?:rows|pairs|groups|queries|runs|names|texts|jobs|tasks|models|checks|kinds)\b", text
    )
    assert plural == []
    assert "δ" not in text


def different(steps: tuple[Step, ...], folder: Path) -> str:
    """What the commands of some steps print otherwise than their golden texts say, as a diff."""
    prepare(folder)
    lines: list[str] = []
    for command, text in outputs(steps, folder).items():
        golden = file_of(command).read_text(encoding="utf-8").splitlines()
        lines += unified_diff(golden, text.splitlines(), f"golden {command}", "printed", lineterm="")
    return "\n".join(lines)


@pytest.mark.mteb
@pytest.mark.torch
@pytest.mark.timeout(1200)
def test_commands_print_their_golden_texts(tmp_path: Path):
    assert different(QUICK, tmp_path) == ""


@pytest.mark.long
@pytest.mark.torch
@pytest.mark.timeout(1800)
def test_commands_that_train_print_their_golden_texts(tmp_path: Path):
    assert different(TRAINED, tmp_path) == ""
