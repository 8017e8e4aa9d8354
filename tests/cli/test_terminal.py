"""What reaches the terminal: control characters as text, and outputs that refuse to be written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hrembed.cli.app import main
from hrembed.text import printable, printable_json

TITLE = "\x1b]0;owned\x07"
CONFIG = (
    "models: [{ref: tfidf}]\nbaselines: []\nrobustness: {changes: []}\nretention: []\nbootstrap: {resamples: 100}\n"
)


def eval_command(task: Path, folder: Path) -> list[str]:
    config = folder / "eval.yaml"
    config.write_text(f"{CONFIG}tasks: [{{path: {json.dumps(str(task))}}}]\n", encoding="utf-8")
    return ["eval", str(config)]


def import_command(pairs: Path, folder: Path) -> list[str]:
    """A command that loads no model, in a process of its own."""
    command = [sys.executable, "-m", "hrembed", "data", "import", "table", str(pairs), "--runs-dir"]
    return [*command, str(folder / "runs")]


@pytest.mark.parametrize("letter", ["\x1b", "\x07", "\r", "\x7f", "\x9b", "\u202e", "\u2028", "\ud800"])
def test_a_control_character_is_shown_as_text(letter: str):
    shown = printable(f"a{letter}b\tc\nd")
    assert letter not in shown
    assert shown.startswith("a\\")
    assert shown.endswith("b\tc\nd")


def test_json_with_control_characters_means_the_same():
    content = {"a": "\x1b[31m\x9b2J\u202e", "b": "née"}
    text = printable_json(json.dumps(content, ensure_ascii=False))
    assert json.loads(text) == content
    assert printable(text) == text


@pytest.mark.parametrize("option", [[], ["--json"], ["--quiet"]])
def test_names_from_data_do_not_reach_the_terminal_as_they_are(capsys, task: Path, tmp_path: Path, option: list[str]):
    odd = task.rename(tmp_path / f"jobs{TITLE}\x9b2J")
    assert main([*eval_command(odd, tmp_path), "--runs-dir", str(tmp_path / "runs"), *option]) == 0
    done = capsys.readouterr()
    for text in done:
        assert not set(text) & {"\x1b", "\x07", "\x9b"}
    if not option:
        assert "\\x1b]0;owned" in done.out
    if option == ["--json"]:
        assert f"jobs{TITLE}\x9b2J/test" in json.loads(done.out)["metrics"]["scores"]


@pytest.mark.parametrize(
    "argv",
    [
        [f"no{TITLE}"],
        ["eval", "--set", f"no{TITLE}=1"],
        ["eval", f"no{TITLE}.yaml"],
        ["runs", "show", f"no{TITLE}"],
        ["eval", "--set", f"models=[{{ref: {json.dumps('path:' + TITLE)}}}]"],
    ],
)
def test_errors_show_control_characters_as_text(capsys, tmp_path: Path, monkeypatch, argv: list[str]):
    monkeypatch.chdir(tmp_path)
    assert main(argv) != 0
    assert "\x1b" not in capsys.readouterr().err


def test_a_warning_of_a_library_shows_control_characters_as_text(capsys, monkeypatch):
    def warn(*_: Any, **__: Any) -> None:
        sys.stderr.write(f"library says {TITLE}\n")

    monkeypatch.setattr("hrembed.cli.app._command_line", lambda: warn)
    assert main([]) == 0
    assert capsys.readouterr().err == "library says \\x1b]0;owned\\x07\n"


def run_with(argv: list[str], shell: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command in a shell that does something to its streams; `"$@"` stands for the command."""
    script = ["bash", "-c", shell, "bash", *argv]
    return subprocess.run(script, capture_output=True, text=True, check=False, cwd=folder)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize(
    ("shell", "code", "message"),
    [
        ('"$@" >&-', 1, "cannot write to standard output: Bad file descriptor"),
        ('"$@" >/dev/full', 1, "cannot write to standard output: No space left on device"),
        ('"$@" | :; exit ${PIPESTATUS[0]}', 141, "standard output was closed by the reading program"),
        ('"$@" --json >/dev/full', 1, "cannot write to standard output"),
        ('"$@" --quiet >/dev/full', 1, "cannot write to standard output"),
    ],
)
def test_output_that_cannot_be_written_is_one_sentence_and_the_run_is_whole(
    pairs: Path, tmp_path: Path, shell: str, code: int, message: str
):
    done = run_with(import_command(pairs, tmp_path), shell, tmp_path)
    assert done.returncode == code
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    first, hint = done.stderr.splitlines()[-2:]
    assert first.startswith("hrembed: error: ")
    assert message in first or "it is closed" in first
    (run,) = (tmp_path / "runs" / "data-import-table").iterdir()
    assert hint == f"hint: all results were written: {run} (ok)"
    assert json.loads((run / "manifest.json").read_text(encoding="utf-8"))["status"] == "ok"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize(
    ("what", "shell"),
    [
        *((what, '"$@" >/dev/full') for what in ("--help", "--version", "schema eval", "runs list")),
        *((what, shell) for what in ("--help", "runs list") for shell in ('"$@" >&-', '"$@" >/dev/full 2>/dev/full')),
        *((what, '"$@" >&- 2>&-') for what in ("--version", "runs list")),
    ],
)
def test_no_command_ends_in_a_traceback_on_a_bad_output(tmp_path: Path, what: str, shell: str):
    done = run_with([sys.executable, "-m", "hrembed", *what.split()], shell, tmp_path)
    assert done.returncode in {0, 1}  # Python itself is content with a closed stream
    assert "Traceback" not in done.stderr


def test_a_full_standard_error_does_not_stop_a_run(pairs: Path, tmp_path: Path):
    done = run_with(import_command(pairs, tmp_path), '"$@" 2>/dev/full', tmp_path)
    assert done.returncode == 0
    assert "ok: " in done.stdout


def test_an_encoding_that_lacks_characters_is_no_traceback(pairs: Path, tmp_path: Path):
    done = subprocess.run(
        import_command(pairs, tmp_path),
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"},
    )
    assert done.returncode == 0, done.stderr
    assert "ok: " in done.stdout


@pytest.mark.parametrize(
    ("folder", "message"),
    [
        ("", "`--runs-dir` is empty"),
        ("  ", "`--runs-dir` is empty"),
        ("bad\udcff", "folder names must be valid UTF-8"),
        ("/tmp/" + "x/" * 1900, "the path of the run folder is too long: it has"),
        ("z" * 300, "File name too long"),
    ],
)
def test_a_folder_of_runs_that_cannot_be_used_is_refused_before_the_work(
    capsys, task: Path, tmp_path: Path, monkeypatch, folder: str, message: str
):
    monkeypatch.chdir(tmp_path)
    code = main([*eval_command(task, tmp_path), "--runs-dir", folder])
    assert code in {1, 2}
    assert message in capsys.readouterr().err
    assert sorted(item.name for item in tmp_path.iterdir()) == ["eval.yaml", "task"]


@pytest.mark.parametrize("length", range(3300, 4100, 160))
def test_a_path_of_any_length_is_a_result_or_a_sentence(capsys, task: Path, tmp_path: Path, length: int):
    folder = tmp_path
    while len(str(folder)) < length:
        folder /= "y" * min(99, max(1, length - len(str(folder)) - 1))
    code = main([*eval_command(task, tmp_path), "--runs-dir", str(folder)])
    assert code == 0 or "hrembed: error: " in capsys.readouterr().err


@pytest.mark.parametrize("folder", ["~/runs", "~nobody-of-that-name/runs"])
def test_a_tilde_is_the_home_folder(task: Path, tmp_path: Path, monkeypatch, folder: str):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    assert main([*eval_command(task, tmp_path), "--runs-dir", folder, "--quiet"]) == 0
    place = tmp_path / "home" / "runs" if folder == "~/runs" else tmp_path / folder
    assert list(place.glob("eval/*/metrics.json"))


def test_a_bug_of_ours_stays_a_traceback_with_a_line_that_says_how_to_report_it(tmp_path: Path):
    code = (
        "import sys\nfrom hrembed.cli import app\n"
        "def fault(*_, **__): raise KeyError('ours\\x1b[31m')\n"
        "app._command_line = lambda: fault\nsys.argv = ['hrembed']\napp.entry_point()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 1
    assert "Traceback (most recent call last)" in done.stderr
    assert "KeyError" in done.stderr
    assert "\x1b" not in done.stderr
    assert "this is a bug in hrembed. Please report it" in done.stderr.splitlines()[-1]


def test_a_closed_stream_does_not_give_its_number_to_a_file_of_the_run(pairs: Path, tmp_path: Path):
    run_with(import_command(pairs, tmp_path), '"$@" >&- 2>&-', tmp_path)
    (run,) = (tmp_path / "runs" / "data-import-table").iterdir()
    assert "hrembed: " not in "".join(file.read_text(encoding="utf-8") for file in run.glob("*.json"))
