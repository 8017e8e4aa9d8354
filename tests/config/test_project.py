"""One file for all commands: each reads its section, and runs are named by `latest` or a short id."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hrembed.cli.app import main
from hrembed.commands.schema import schema_text
from hrembed.config.data import DataSplitConfig
from hrembed.config.eval import EvalConfig
from hrembed.config.project import PROJECT, load_settings, section_path
from hrembed.config.schema import SCHEMAS
from hrembed.config.source import parse
from hrembed.errors import ConfigError
from hrembed.files import write_text
from hrembed.runs.record import open_run
from hrembed.runs.workspace import Workspace

TEXT = """
data:
  split: {test: 0.2}
  import:
    table:
      source: jobs.csv
select:
eval:
  models: [bm25]
  tasks:
    - path: tasks/own
audit:
  fail_on: never
"""


class Notes:
    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, text: str) -> None:
        self.said.append(text)


def load(command: str, config: str | None = None, *overrides: str, runs: Path = Path("runs")) -> tuple[Any, list[str]]:
    notes = Notes()
    return load_settings(command, config, overrides, Workspace(runs, notes)), notes.said  # type: ignore[arg-type]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_text(tmp_path / PROJECT, TEXT)
    return tmp_path


@pytest.mark.usefixtures("project")
def test_each_command_reads_its_section_and_says_so():
    config, said = load("eval")
    assert [model.ref for model in config.models] == ["bm25"]
    assert config.retention == (), "a section is the whole config, not a change of the default"
    assert said == ["reading section `eval` of hrembed.yaml"]
    assert load("bias-audit")[0].fail_on == "never"
    assert load("data-split")[0] == DataSplitConfig(test=0.2)
    assert load("data-import-table")[0].source == "jobs.csv"
    assert load("select") == (SCHEMAS["select"](), ["reading section `select` of hrembed.yaml"])
    assert load("eval", None, "models.1.ref=tfidf")[0].models[1].ref == "tfidf"


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(("command", "section"), [("gate", "gate"), ("data-check", "data.check"), ("demo", "demo")])
def test_without_a_section_the_default_that_ships_is_taken(command: str, section: str):
    config, said = load(command)
    assert config == load(command, f"shipped:{command}")[0]
    assert said == [f"hrembed.yaml has no section `{section}`; using the built-in defaults"]


def test_a_project_of_another_name_is_known_by_its_sections(project: Path):
    (project / PROJECT).rename(project / "other.yaml")
    assert load("eval", "other.yaml")[1] == ["reading section `eval` of other.yaml"]
    assert load("eval")[1] == [], "only hrembed.yaml is read unasked"
    write_text(project / "compare.yaml", "models: [bm25]\ncompare: {delta: 0.1}\n")
    assert load("eval", "compare.yaml")[0].compare.delta == 0.1  # a key of `eval`, although also a command's
    for command in ("demo", "decision"):  # whose keys are names of commands
        write_text(project / "own.yaml", "eval: {bootstrap: {resamples: 1234}}\n")
        assert load(command, "own.yaml")[0].eval.bootstrap.resamples == 1234
    write_text(project / "odd.yaml", "modles: [bm25]\n")
    with pytest.raises(ConfigError, match=r"^odd\.yaml:1: modles: unknown key \(did you mean 'models'\?\)"):
        load("eval", "odd.yaml")


@pytest.mark.parametrize(
    ("old", "new", "command", "message"),
    [
        ("audit:", "bias-audit:", "eval", r"hrembed.yaml:12: bias-audit: unknown section (did you mean 'audit'?)"),
        ("  split:", "  splitt:", "eval", r"hrembed.yaml:3: data.splitt: unknown section (did you mean 'split'?)"),
        ("    table:", "    tables:", "eval", r"hrembed.yaml:5: data.import.tables: unknown section (did you mean"),
        ("- path:", "- pth:", "eval", r"hrembed.yaml:11: eval.tasks.0.pth: unknown key (did you mean 'path'?)"),
        ("never", "nver", "bias-audit", r"hrembed.yaml:13: audit.fail_on: input should be"),
        ("\neval:", "\neval: 3\nx:", "select", r"hrembed.yaml:9: x: unknown section"),
        ("select:", "select: 3", "select", r"hrembed.yaml:7: select: must be a section of `key: value` lines, got 3"),
        ("data:", "data: 3\nexport:", "select", r"hrembed.yaml:2: data: must be a section"),
    ],
)
def test_mistakes_are_named_by_file_line_and_key(project: Path, old: str, new: str, command: str, message: str):
    write_text(project / PROJECT, TEXT.replace(old, new))
    with pytest.raises(ConfigError) as refused:
        load(command)
    assert message in str(refused.value).splitlines()[-1]


def test_a_mistake_in_another_section_does_not_stop_a_command(project: Path):
    write_text(project / PROJECT, TEXT.replace("fail_on", "failon"))
    assert load("eval")[0].models[0].ref == "bm25"


def test_the_schema_of_a_project_holds_every_command_and_refuses_what_the_reader_refuses():
    schema = jsonschema.Draft202012Validator(json.loads(schema_text("project")))
    schema.validate(parse(TEXT, "x").values)
    for old, new in (("audit:", "bias-audit:"), ("  split:", "  splitt:"), ("- path:", "- pth:")):
        assert not schema.is_valid(parse(TEXT.replace(old, new), "x").values)
    for command in SCHEMAS:
        values: Any = {}
        for part in reversed(section_path(command)):
            values = {part: values}
        schema.validate(values)


def run_of(root: Path, command: str, *, fails: bool = False) -> Path:
    try:
        with open_run(Workspace(root), command, {}, seeds={}) as run:
            write_text(run.path / "dev" / "table" / "queries.jsonl", "")
            if fails:
                raise KeyboardInterrupt
    except KeyboardInterrupt:
        pass
    return run.path


@pytest.mark.parametrize("runs", ["runs", "elsewhere"])
def test_latest_and_short_ids_stand_for_what_a_run_wrote(project: Path, runs: str):
    run = run_of(Path(runs), "data-split")
    newer = run_of(Path(runs), "data-split", fails=True)
    short = run.name[: 1 + max(n for n in range(40) if run.name[:n] == newer.name[:n])]
    for name in ("latest", short, run.name):
        for start in ("run:", f"{runs}/"):
            write_text(project / PROJECT, f"eval: {{tasks: [{{path: '{start}data-split/{name}/dev/table'}}]}}")
            config, said = load("eval", runs=Path(runs))
            assert config.tasks[0].path == f"{run.as_posix()}/dev/table"
            assert len(said) == 1 + (name == "latest"), said
    sets = f"pairs=run:data-split/{short}"
    assert load("data-split", None, sets, runs=Path(runs))[0].pairs == run.as_posix()


def test_a_run_that_is_not_there_is_named_with_its_line(project: Path):
    run, newer = run_of(Path("runs"), "data-split"), run_of(Path("runs"), "data-split")
    write_text(project / PROJECT, "eval:\n  tasks:\n    - path: run:data-splt/latest/dev/table\n")
    message = r"^hrembed\.yaml:3: eval\.tasks\.0\.path: no finished data-splt run found in 'runs'"
    with pytest.raises(ConfigError, match=message):
        load("eval")
    with pytest.raises(ConfigError, match=r"^--set pairs: several runs start with '20'") as several:
        load("data-split", None, "pairs=run:data-split/20")
    assert several.value.hint == f"use data-split/{run.name} or data-split/{newer.name}"
    assert load("data-split", None, "pairs=runs/data-split/none")[0].pairs == "runs/data-split/none"


def test_a_model_by_a_short_id_is_kept_by_its_whole_one(project: Path):
    run = run_of(Path("runs"), "finetune")
    write_text(project / PROJECT, f"eval: {{models: [bm25, 'run:{run.name[:15]}', run:latest, run:none]}}")
    refs = [model.ref for model in load("eval")[0].models]
    assert refs == ["bm25", f"run:{run.name}", "run:latest", "run:none"]


def test_the_command_line_reads_the_project_and_keeps_what_it_read(task: Path, project: Path, capsys):
    text = json.dumps({"eval": {"models": ["tfidf"], "tasks": [{"path": str(task)}], "metrics": ["map"]}})
    write_text(project / PROJECT, text)
    assert main(["eval"]) == 0
    shown = capsys.readouterr()
    assert "reading section `eval` of hrembed.yaml" in shown.err
    written = EvalConfig.model_validate_json(next(Path("runs/eval").glob("*/config.yaml")).read_text(encoding="utf-8"))
    assert written.metrics == ("map",)
