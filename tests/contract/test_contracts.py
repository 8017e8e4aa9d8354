"""Promises that hold for all of a kind."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING

import jsonschema
import pytest
import typer
from hrembed import errors, registry
from hrembed.cli.app import app, main
from hrembed.commands.schema import names, schema_text
from hrembed.config.load import load_config
from hrembed.config.recipe import RecipeConfig, load_recipe
from hrembed.config.schema import SCHEMAS
from hrembed.config.source import parse
from hrembed.errors import ConfigError
from hrembed.records.base import command_line
from hrembed.runs.workspace import Workspace
from places import ROOT

from write_docs import reference

if TYPE_CHECKING:
    from pathlib import Path


def words(key: str) -> list[str]:
    """Command line of a schema's command: `data-import-onet` is `data import onet`."""
    return key.split("-") if key.startswith(("data-", "index-")) else [key]


@pytest.mark.parametrize("key", SCHEMAS)
def test_the_line_that_repeats_a_run_gives_its_config_where_the_command_takes_one(key):
    command = typer.main.get_command(app)
    for word in words(key):
        command = command.commands[word]
    taken = {name for part in command.params for name in (*part.opts, part.metavar)}
    given = command_line(key).removeprefix(" ".join(words(key))).split()
    assert given[0] in taken, "a positional CONFIG would be read as something else"
    assert given[-1] == "CONFIG"


HEAVY = {
    "torch", "transformers", "sentence_transformers", "datasets", "peft", "mteb", "pandas",
    "numpy", "scipy", "sklearn", "pydantic_core._pydantic_core.SchemaValidator", "bm25s", "pyarrow", "yaml",
    "ray", "sqlalchemy", "fsspec", "lance", "lancedb",
}  # fmt: skip


def test_help_imports_nothing_heavy():
    """In one process for all commands, since each says what was imported so far."""
    commands = [["--help"], ["init", "--help"], *([*words(key), "--help"] for key in SCHEMAS)]
    code = (
        f"import sys; from hrembed.cli.app import main\nfor argv in {commands!r}:\n"
        f"    main(argv); print(*{HEAVY!r} & {{*sys.modules}}, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.count("Usage: hrembed") == len(commands)
    names = [" ".join(argv) for argv in commands]
    assert dict(zip(names, done.stderr.splitlines(), strict=True)) == dict.fromkeys(names, "")


def test_every_command_says_what_it_does_and_shows_an_example(capsys):
    from hrembed.cli.app import main

    for key in SCHEMAS:
        assert main([*words(key), "--help"]) == 0
        assert f"Example: hrembed {' '.join(words(key))}" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, table in registry.BUILTIN.items() for name in table])
def test_every_registered_name_can_be_imported(kind, name):
    assert callable(registry.resolve(kind, name))


def test_an_unknown_name_gets_the_nearest():
    with pytest.raises(ConfigError, match=r"unknown metric 'ndgc' \(did you mean 'ndcg'\?\)"):
        registry.resolve("metric", "ndgc")


def test_every_shipped_config_is_valid_and_says_how_it_is_used():
    files = sorted((ROOT / "configs").glob("*.yaml"))
    assert [file.stem for file in files] == sorted(SCHEMAS)
    for file in files:
        load_config(file, SCHEMAS[file.stem])
        head = file.read_text(encoding="utf-8").splitlines()[1:3]
        assert head[0].startswith("# ")
        assert f"hrembed {' '.join(words(file.stem))}" in head[1] or file.stem == "demo"


@pytest.mark.parametrize(
    "file",
    [file for file in sorted((ROOT / "configs").glob("*/*.yaml")) if file.parent.name in SCHEMAS],
    ids=lambda file: f"{file.parent.name}/{file.stem}",
)
def test_a_shipped_job_is_valid_and_says_how_it_is_used_and_what_came_out(file: Path):
    command = file.parent.name
    load_config(file, SCHEMAS[command])
    lines = file.read_text(encoding="utf-8").splitlines()
    option = "--config " if command in {"encode", "match"} else ""  # whose argument is data, or a job
    assert lines[2] == f"#   hrembed {command} {option}shipped:{command}/{file.stem}"
    assert any("easured" in line for line in lines if line.startswith("#"))


@pytest.mark.parametrize("file", sorted((ROOT / "configs" / "recipe").glob("*.yaml")), ids=lambda file: file.stem)
def test_a_shipped_recipe_is_valid_and_says_how_it_is_used_and_what_came_out(file: Path, tmp_path: Path):
    declared = load_config(file, RecipeConfig).inputs
    given = {name: [str(tmp_path)] for name, one in declared.items() if one.value is None}
    load_recipe(file.stem, given, [], Workspace(tmp_path / "runs"))
    lines = file.read_text(encoding="utf-8").splitlines()
    assert lines[2].startswith(f"#   hrembed finetune --recipe {file.stem}")
    assert any("easured" in line for line in lines if line.startswith("#"))


def test_the_reference_of_settings_is_the_generated_one():
    assert (ROOT / "docs" / "config.md").read_text(encoding="utf-8") == reference(), "run `make docs`"


def test_the_reference_of_settings_stays_readable():
    assert reference().count("\n") <= 600


@pytest.mark.parametrize("metrics", [False, True])
def test_the_schemas_in_the_documents_are_the_generated_ones(metrics: bool):
    kind = "metrics" if metrics else "config"
    known = names(metrics=metrics)
    files = sorted((ROOT / "docs" / "schema").glob(f"*.{kind}.json"))
    assert [file.name for file in files] == sorted(f"{name}.{kind}.json" for name in known)
    for file in files:
        name = file.name.removesuffix(f".{kind}.json")
        assert file.read_text(encoding="utf-8") == schema_text(name, metrics=metrics) + "\n", "run `make docs`"


@pytest.mark.parametrize("file", sorted((ROOT / "configs").rglob("*.yaml")), ids=lambda file: file.stem)
def test_a_starter_config_names_its_schema_and_fulfils_it(file: Path):
    text = file.read_text(encoding="utf-8")
    schema = file.parent / text.splitlines()[0].removeprefix("# yaml-language-server: $schema=")
    jsonschema.validate(parse(text, str(file)).values, json.loads(schema.read_text(encoding="utf-8")))


def test_a_mistyped_key_breaks_the_schema():
    with pytest.raises(jsonschema.ValidationError, match="'modles' was unexpected"):
        jsonschema.validate({"modles": []}, json.loads(schema_text("eval")))


def test_schema_prints_one_and_lists_all(capsys: pytest.CaptureFixture[str]):
    assert main(["schema", "eval", "--metrics"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "EvalRecord"
    assert main(["schema"]) == 0
    assert capsys.readouterr().out.split() == [*SCHEMAS, "recipe", "project"]
    assert main(["schema", "evl"]) == 2
    assert "did you mean 'eval'?" in capsys.readouterr().err


def test_every_error_stands_in_the_tree_with_its_code():
    tree = errors.__doc__ or ""
    classes = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, errors.HrembedError)]
    assert len(classes) == 8
    for cls in classes:
        line = next(line for line in tree.splitlines() if f" {cls.__name__} " in line)
        assert f" {cls.exit_code} " in line


def test_the_tested_set_is_pinned_and_torch_stays_in_its_range():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pinned = {line.split("==")[0].lower() for line in (ROOT / "constraints.txt").read_text().split() if "==" in line}
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    names = {text.split("[")[0].split(">")[0].split("=")[0].split("<")[0].lower() for text in wanted}
    assert names <= pinned
    assert any(text.startswith("torch") and text.endswith("<2.14") for text in project["dependencies"])


def test_the_wheel_carries_data_and_configs(tmp_path: Path):
    import zipfile

    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)],
        capture_output=True, check=True,
    )  # fmt: skip
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    shipped = {file.relative_to(ROOT).as_posix() for file in (ROOT / "configs").rglob("*.yaml")} | {
        "constraints.txt",
        "data/hr-core/test/ad-profile/corpus.jsonl",
        "data/hr-core/pairs/train.jsonl",
        "data/names/us-census-2020.csv",
        *(f"data/ats-example/{table}.csv" for table in ("jobs", "candidates", "applications")),
    }
    assert {f"hrembed/shipped/{name}" for name in shipped} <= names
    assert {file.relative_to(ROOT).as_posix() for file in (ROOT / "hrembed").rglob("*.j2")} <= names
    assert not [name for name in names if name.startswith("tools/") or "_core.py" in name], "builders stay behind"
