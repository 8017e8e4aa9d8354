"""`hrembed init`: a project whose sections are valid, whose files are never replaced unasked."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import typer
from exports import write_export
from hrembed.cli.app import main
from hrembed.commands.init.project import ARTEFACTS, PRESETS, installed_requirement
from hrembed.config.load import load_config
from hrembed.config.project import load_settings
from hrembed.config.recipe import RecipeConfig
from hrembed.config.source import parse
from hrembed.config.starters import config_file
from hrembed.data.locate import locate
from hrembed.runs.workspace import Workspace

COMMANDS = {
    "table": ["data-import-ats", "finetune", "eval", "bias-audit", "gate"],
    "titles": ["finetune", "eval", "bias-audit", "gate"],
    "audit": ["bias-audit"],
    "ci": ["eval", "bias-audit", "gate"],
}


@pytest.fixture
def export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Three tables in the working folder, as options."""
    monkeypatch.chdir(tmp_path)
    write_export(tmp_path)
    return ["--from", "jobs.csv", "--candidates", "candidates.csv", "--applications", "applications.csv"]


def settings(command: str) -> Any:
    return load_settings(command, None, [], Workspace(Path("runs")))


@pytest.mark.parametrize("preset", PRESETS)
def test_every_section_of_a_project_is_valid(preset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert main(["init", str(tmp_path / "own"), "--preset", preset]) == 0
    monkeypatch.chdir(tmp_path / "own")
    text = Path("hrembed.yaml").read_text(encoding="utf-8")
    values = parse(text, "hrembed.yaml").values
    schema = Path(text.splitlines()[0].partition("$schema=")[2])
    jsonschema.Draft202012Validator(json.loads(schema.read_text(encoding="utf-8"))).validate(values)
    assert [*values] == list(dict.fromkeys({"bias-audit": "audit"}.get(c, c.split("-")[0]) for c in COMMANDS[preset]))
    for command in COMMANDS[preset]:
        settings(command)
    if preset != "audit":
        assert settings("eval").models[-1] == settings("bias-audit").model, "what is gated is what is audited"


def test_the_project_of_titles_names_the_recipe_with_all_that_it_needs(tmp_path: Path):
    assert main(["init", str(tmp_path), "--preset", "titles"]) == 0
    lines = (tmp_path / "README.md").read_text(encoding="utf-8").splitlines()
    (words,) = [line.split() for line in lines if "--recipe" in line]
    assert words[:4] == ["hrembed", "finetune", "--recipe", "titles"]
    given = dict(zip(words[4::2], words[5::2], strict=True))
    needed = load_config(config_file("shipped:recipe/titles"), RecipeConfig).inputs
    assert list(given) == [f"--{name}" for name in needed]
    assert locate(given["--against"]).is_dir()


def test_the_columns_of_an_export_are_recognised_and_written_down(export: list[str], capsys):
    assert main(["init", *export]) == 0
    shown = capsys.readouterr().out
    assert "title           Title" in shown
    config = settings("data-import-ats")
    assert config.jobs.columns | {"id": "Job ID", "title": "Title", "text": "Description"} == config.jobs.columns
    assert config.candidates.path == "candidates.csv"
    assert config.candidates.columns["text"] == "Resume"
    assert settings("bias-audit").decisions.attributes == ("sex",)
    assert settings("eval").tasks[0].path == "data/ats/test/applications"
    ignored = Path(".gitignore").read_text(encoding="utf-8").splitlines()
    assert {"/runs/", "/data/", "/jobs.csv", "/candidates.csv", "/applications.csv"} <= {*ignored}


def test_what_is_not_recognised_is_asked_for_by_name(export: list[str], capsys):
    jobs = Path("jobs.csv").read_text(encoding="utf-8")
    Path("jobs.csv").write_text(jobs.replace("Job ID", "Kennung", 1), encoding="utf-8")
    assert main(["init", *export]) == 3
    err = " ".join(capsys.readouterr().err.split())
    assert "jobs.csv: no column recognised as `id`" in err
    assert "specify the column: --column jobs.id=NAME" in err
    assert not Path("hrembed.yaml").exists()
    assert main(["init", *export, "--column", "jobs.id=Kennung"]) == 0
    assert settings("data-import-ats").jobs.columns["id"] == "Kennung"
    assert main(["init", *export, "--column", "jobs.id=kenung"]) == 3
    assert "'jobs.csv': column 'kenung' not found (did you mean 'Kennung'?)" in " ".join(
        capsys.readouterr().err.split()
    )
    for wrong, said in (("jobs=x", "jobs.title=COLUMN"), ("jobs.titel=x", "did you mean 'title'?"), ("a.b=c", "jobs,")):
        assert main(["init", *export, "--column", wrong]) == 2
        assert said in " ".join(capsys.readouterr().err.split())


def test_an_unknown_status_stands_in_the_settings(export: list[str], monkeypatch: pytest.MonkeyPatch, capsys):
    text = Path("applications.csv").read_text(encoding="utf-8")
    Path("applications.csv").write_text(text.replace("Hired", "Zum Mond geflogen"), encoding="utf-8")
    assert main(["init", *export]) == 0
    assert "Zum Mond geflogen" in capsys.readouterr().out
    assert settings("data-import-ats").stages == {"Zum Mond geflogen": "pending"}
    person = Person(monkeypatch, True, True, True, "flown", "hired", True, *[False] * 9)
    assert main(["init", *export]) == 0
    assert (
        person.asked[3]
        == person.asked[4]
        == ("'Zum Mond geflogen' (hired, offer, interview, shortlisted, rejected, withdrawn, pending)")
    )
    assert settings("data-import-ats").stages == {"Zum Mond geflogen": "hired"}


def test_without_a_terminal_it_says_which_options_are_needed(tmp_path: Path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False)
    assert main(["init"]) == 2
    err = " ".join(capsys.readouterr().err.split())
    assert "--from, --candidates and --applications, or --preset" in err
    assert main(["init", "--from", "jobs.csv"]) == 2
    assert "--candidates and --applications is missing" in " ".join(capsys.readouterr().err.split())
    assert main(["init", "--preset", "ci", "--package", "hrembed==0.1.0"]) == 2
    assert "on a package index, this name may belong to someone else" in capsys.readouterr().err
    assert main(["init", "--preset", "ci", "--model", "hf:none"]) == 2
    assert [*tmp_path.iterdir()] == []


def test_a_second_init_changes_nothing_unasked(tmp_path: Path, capsys):
    argv = ["init", str(tmp_path), "--preset", "ci"]
    assert main(argv) == 0
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    capsys.readouterr()
    assert main(argv) == 0
    assert capsys.readouterr().out.count("unchanged") == len(before)
    (tmp_path / "hrembed.yaml").write_text("gate: {inconclusive: pass}\n", encoding="utf-8")
    assert main(argv) == 0
    shown = capsys.readouterr().out
    assert "-gate: {inconclusive: pass}" in shown
    assert "+  inconclusive: fail" in shown or "more lines" in shown
    assert "kept" in shown
    assert (tmp_path / "hrembed.yaml").read_text(encoding="utf-8") == "gate: {inconclusive: pass}\n"
    assert main([*argv, "--force"]) == 0
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before


def test_a_folder_in_the_way_is_named(tmp_path: Path, capsys):
    (tmp_path / "file").write_text("", encoding="utf-8")
    (tmp_path / "README.md").mkdir()
    assert main(["init", str(tmp_path / "file"), "--preset", "ci"]) == 2
    assert main(["init", str(tmp_path), "--preset", "ci"]) == 2
    assert "README.md' is a folder, but `init` needs to write a file there" in capsys.readouterr().err


def pages_below(runs: Path) -> set[str]:
    """Commands of which a run has a page: its own, or one beside the index."""
    own = {page.parent.parent.name for page in runs.glob("*/*/report.html")}
    return own | {page.name.partition("--")[0] for page in (runs / "reports").glob("*--*.html")}


class Person:
    """Somebody at a terminal, who gives these answers in turn."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *answers: object) -> None:
        self.answers, self.asked = list(answers), []
        monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
        monkeypatch.setattr(typer, "prompt", self.answer)
        monkeypatch.setattr(typer, "confirm", self.answer)

    def answer(self, question: str, **_: object) -> Any:
        self.asked.append(question)
        return self.answers.pop(0)


def test_at_a_terminal_it_asks(export: list[str], monkeypatch: pytest.MonkeyPatch, capsys):
    del export
    jobs = Path("jobs.csv").read_text(encoding="utf-8")
    Path("jobs.csv").write_text(jobs.replace("Job ID", "Kennung", 1), encoding="utf-8")
    files = ["jobs.csv", "candidates.csv", "applications.csv"]
    person = Person(monkeypatch, "tabel", "table", *files, "Kenung", "Kennung", True, True, True)
    assert main(["init"]) == 0
    assert person.answers == []
    assert person.asked.count("jobs: column for `id`") == 2
    assert "columns of the file: Kennung, Title" in capsys.readouterr().out
    assert settings("data-import-ats").jobs.columns["id"] == "Kennung"
    Path("hrembed.yaml").write_text("gate:\n", encoding="utf-8")
    person = Person(monkeypatch, "ci", *[False] * 9)
    assert main(["init"]) == 0
    assert "Replace hrembed.yaml?" in person.asked
    assert Path("hrembed.yaml").read_text(encoding="utf-8") == "gate:\n"


def test_a_recognised_column_is_left_out_where_a_person_says_so(export: list[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr(typer, "prompt", lambda asked, default="", **_: "-" if "`sex`" in asked else default)
    monkeypatch.setattr(typer, "confirm", lambda asked, **_: "candidates" not in asked)
    assert main(["init", *export]) == 0
    columns = settings("data-import-ats").candidates.columns
    assert columns["sex"] is None
    assert columns["text"] == "Resume"
    assert "summary" not in columns
    assert settings("bias-audit").decisions is None


def test_at_80_columns_no_word_is_broken(export: list[str], monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    head, *rows = Path("jobs.csv").read_text(encoding="utf-8").splitlines()
    more = ",".join(f"Further column {n}" for n in range(9))
    wide = [f"{head},{more}", *(f"{row}{',x' * 9}" for row in rows)]
    Path("jobs.csv").write_text("\n".join(wide), encoding="utf-8")
    assert main(["init", *export]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert next(line for line in lines if "Further column 8" in line).startswith(" " * 18)


def test_ci_never_installs_the_bare_name(tmp_path: Path):
    assert installed_requirement().startswith(("./wheels/hrembed-", "hrembed @ git+", "https://"))
    for ci, file in (("github", ".github/workflows/embeddings.yml"), ("gitlab", ".gitlab-ci.yml")):
        given = f"hrembed @ git+https://git.example/hrembed@{'a' * 40}"
        assert main(["init", str(tmp_path / ci), "--preset", "ci", "--ci", ci, "--package", given]) == 0
        text = (tmp_path / ci / file).read_text(encoding="utf-8")
        assert f'HREMBED: "{given}"' in text
        assert 'pip install --constraint constraints.txt "$HREMBED"' in text
    assert main(["init", str(tmp_path / "none"), "--preset", "ci", "--ci", "none"]) == 0
    assert not (tmp_path / "none" / "constraints.txt").exists()
    assert not [path for path in ARTEFACTS if "texts" in path or "cache" in path]


@pytest.mark.timeout(300)
def test_from_an_export_to_pages_without_writing_a_file(export: list[str], capsys):
    """The road of docs/start.md on a small export and a model of words; `slow` runs it as it is written."""
    assert main(["init", *export]) == 0
    few = ["--set", "stimuli.names_per_cell=2", "--set", "cues=[]", "--set", "self_check=0"]
    assert main(["data", "import", "ats", "--quiet"]) == 0
    changed = ["--set", "models.1.ref=tfidf", "--set", "robustness.changes=[]", "--set", "bootstrap.resamples=200"]
    assert main(["eval", "--quiet", *changed]) == 0
    assert main(["bias-audit", "--quiet", "--set", "model.ref=tfidf", *few]) == 0
    assert main(["gate", "--quiet"]) in {0, 5, 6}
    assert main(["runs", "report", "--quiet"]) == 0
    assert {"data-import-ats", "eval", "bias-audit", "gate"} <= pages_below(Path("runs"))
