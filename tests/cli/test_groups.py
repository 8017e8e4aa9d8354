"""The groups of `hrembed --help`, and completion."""

import os
import subprocess
import sys

from hrembed.cli.app import app, main
from hrembed.cli.groups import GROUPS
from typer.main import get_command


def test_each_command_stands_in_one_group():
    grouped = [name for names in GROUPS.values() for name in names]

    assert sorted(grouped) == sorted(get_command(app).commands)


def test_a_command_takes_one_line(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")

    assert main(["--help"]) == 0

    printed = capsys.readouterr().out
    listed = [line for line in printed[printed.index("Start:") :].splitlines() if line.startswith("  ")]
    assert len(listed) == sum(map(len, GROUPS.values()))
    assert not [line for line in listed if line.endswith("...")]


def test_the_shell_completes_commands():
    asked = {"_HREMBED_COMPLETE": "complete_bash", "COMP_WORDS": "hrembed ev", "COMP_CWORD": "1"}

    done = subprocess.run(
        [sys.executable, "-m", "hrembed"], env={**os.environ, **asked}, capture_output=True, text=True, check=True
    )

    assert done.stdout.split() == ["eval"]
