"""Recipes: several commands as one run, with the numbers of the single commands."""

from __future__ import annotations

import json
import shutil
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hrembed
import pytest
import yaml
from hrembed.cli.app import main
from hrembed.commands.recipe import _begun_training, _ended, _unchanged
from hrembed.commands.runs.pages import write_run_page
from hrembed.config.recipe import COMMANDS, load_recipe, recipe_file
from hrembed.config.schema import FinetuneConfig
from hrembed.errors import ConfigError, DataError
from hrembed.files import sha256
from hrembed.runs.past import find_run, past_runs
from hrembed.runs.record import open_run
from hrembed.runs.workspace import Workspace
from killing import KilledError, killed_at
from miniatures import CODES, onet_release, table
from places import ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence

PAIRS = ("onet", "onet-canonical", "esco", "esco-canonical")
JOBS = ("nurse", "baker", "roofer", "tailor", "miller")
# What makes the training of titles.yaml short; the sources, losses and branches are those that ship.
SHORT = {
    "method.name": "full",
    "train.precision": "float32",
    "train.batch_size": 8,
    "proof.retention": [],
    "proof.strengths": [],
    "proof.strength": 1.0,
    "bootstrap.resamples": 100,
}


@pytest.fixture
def esco(tmp_path: Path) -> Path:
    """Five occupations with three labels each."""
    uri, folder = "http://data.europa.eu/esco", tmp_path / "esco"
    rows = [f'{uri}/occupation/o{n}|{n}221|{job}|"ward {job}\nstaff {job}"|They {job}.' for n, job in enumerate(JOBS)]
    table(folder / "occupations_en.csv", "conceptUri|iscoGroup|preferredLabel|altLabels|description", rows, ",")
    skills = [
        f'{uri}/skill/s{n}|dress {job}|"bandage {job}\nwrap {job}"|How a {job} is cared for and dressed {n}.'
        for n, job in enumerate(JOBS)
    ]
    table(folder / "skills_en.csv", "conceptUri|preferredLabel|altLabels|description", skills, ",")
    relations = [f"{uri}/occupation/o1|essential|{uri}/skill/s1"]
    table(folder / "occupationSkillRelations_en.csv", "occupationUri|relationType|skillUri", relations, ",")
    return folder


@pytest.fixture
def onet(tmp_path: Path) -> Path:
    return onet_release(tmp_path)


@pytest.fixture
def leaking(tmp_path: Path) -> Path:
    """A task of which two answers stand in the taxonomies."""
    folder = tmp_path / "leaking"
    (folder / "qrels").mkdir(parents=True)
    rows = {"q1": ("Bakers number 1", "Bakers number 2"), "q2": ("ward nurse", "nurse"), "q3": ("pilot", "flies")}
    queries = [json.dumps({"_id": key, "text": query}) for key, (query, _) in rows.items()]
    corpus = [json.dumps({"_id": f"d{key}", "text": text}) for key, (_, text) in rows.items()]
    (folder / "queries.jsonl").write_text("\n".join(queries) + "\n", encoding="utf-8")
    (folder / "corpus.jsonl").write_text("\n".join(corpus) + "\n", encoding="utf-8")
    judged = "".join(f"{key}\td{key}\t1\n" for key in rows)
    (folder / "qrels" / "test.tsv").write_text(f"query-id\tcorpus-id\tscore\n{judged}", encoding="utf-8")
    return folder


def called(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> tuple[dict[str, Any], str]:
    """Run a command; returns what `--json` prints, and what was said on the way."""
    assert main([*words, "--json"]) == code
    shown = capsys.readouterr()
    assert "Traceback" not in shown.err
    return (json.loads(shown.out) if shown.out else {}), shown.err


def by_hand(capsys, root: Path, onet: Path, esco: Path, task: str, pairs: Path) -> None:
    """Make the pairs of `titles` as its single commands do, and put them where titles.yaml looks for them."""
    pairs.mkdir(parents=True)
    canonical = ["--set", "kinds=[canonical]", "--set", "per_group=60"]
    for taxonomy, source in (("onet", onet), ("esco", esco)):
        for name, more in ((taxonomy, []), (f"{taxonomy}-canonical", canonical)):
            runs = ["--runs-dir", str(root)]
            called(capsys, "data", "import", taxonomy, str(source), *more, *runs)
            words = ["data", "check", f"run:data-import-{taxonomy}/latest", "--against", task, "--fix", *runs]
            assert main([*words, "--quiet"]) in {0, 3}
            folder = Path(capsys.readouterr().out.strip())
            shutil.copy(folder / "pairs.parquet", pairs / f"{name}.parquet")


def own(tmp_path: Path, text: str) -> str:
    file = tmp_path / "own.yaml"
    file.write_text(text, encoding="utf-8")
    return str(file)


def short(model: Path, task: Path, step: str = "finetune.", sources: int = 11) -> list[str]:
    """`--set` options of a training that takes seconds."""
    settings = {**SHORT, "model.ref": f"path:{model}", "dev.path": str(task), "proof.tests": [{"path": str(task)}]}
    settings |= {f"sources.{n}.limit": 20 for n in range(sources)}
    return [word for key, value in settings.items() for word in ("--set", f"{step}{key}={json.dumps(value)}")]


def test_titles_in_one_command_gives_the_model_of_the_single_commands(
    capsys, tmp_path, monkeypatch, onet, esco, leaking, task, tiny_model
):
    monkeypatch.chdir(tmp_path)
    by_hand(capsys, tmp_path / "hand", onet, esco, str(leaking), tmp_path / "pairs")
    words = ["finetune", "shipped:finetune/titles", *short(tiny_model, task, step="")]
    single, _ = called(capsys, *words, "--runs-dir", "hand")
    given = ["--onet", str(onet), "--esco", str(esco), "--against", str(leaking)]
    result, said = called(capsys, "finetune", "--recipe", "titles", *given, *short(tiny_model, task), "--runs-dir", "r")

    steps = {step["name"]: step for step in result["metrics"]["steps"]}
    for name in PAIRS:
        made = find_run(Path("r"), steps[f"{name}-unseen"]["run"]).verified("pairs.parquet")
        assert made.read_bytes() == (tmp_path / "pairs" / f"{name}.parquet").read_bytes()
    trained = find_run(Path("r"), steps["finetune"]["run"])
    for file in ("model.safetensors", "config.json", "modules.json"):
        assert trained.verified(f"model/{file}").read_bytes() == (Path(single["run"]) / "model" / file).read_bytes()
    assert json.loads(trained.text("metrics.json"))["tuned"] == single["metrics"]["tuned"]

    assert "3 of 9: onet-canonical (data import onet)" in said
    assert result["metrics"]["model"] == f"run:{trained.path.name}"
    # What the checks took out is counted, and is no failure of the recipe.
    assert steps["onet-unseen"]["counts"]["removed"] > 0
    assert "relevant pairs of" in steps["onet-unseen"]["verdict"]
    manifest = json.loads((Path(result["run"]) / "manifest.json").read_text())
    assert manifest["status"] == "ok"
    assert manifest["inputs"]["against"]["sha256"] == sha256(leaking)
    assert manifest["inputs"]["step finetune"] == {
        "path": (trained.path / "manifest.json").as_posix(),
        "sha256": sha256(trained.path / "manifest.json"),
    }
    assert {"O*NET" in credit["name"] or "ESCO" in credit["name"] for credit in manifest["attributions"]} == {True}


@pytest.mark.slow
def test_skills_trains_on_sentences_and_labels_that_it_imports(
    capsys, tmp_path, monkeypatch, onet, esco, leaking, task, tiny_model
):
    monkeypatch.chdir(tmp_path)
    head = "O*NET-SOC Code|Title|Task ID|Task|DWA ID|DWA Title"
    links = [
        f"{c}|{t}|{n}{c[:2]}|Task {n} of {t}.|4.{n % 3}|Do work {n % 3}." for c, t in CODES.items() for n in range(6)
    ]
    table(onet / "Tasks to DWAs.txt", head, links)
    given = ["--onet", str(onet), "--esco", str(esco), "--against", str(leaking)]
    short_run = short(tiny_model, task, sources=7)
    result, _ = called(capsys, "finetune", "--recipe", "skills", *given, *short_run, "--runs-dir", "r")
    trained = find_run(Path("r"), next(s["run"] for s in result["metrics"]["steps"] if s["name"] == "finetune"))
    record = json.loads(trained.text("metrics.json"))
    assert [branch["sources"] for branch in record["branches"]] == [[0, 1], [2, 3, 4]]
    assert all(branch["steps"] > 0 for branch in record["branches"])
    assert all(source["rows"] > 1 for source in record["sources"])


SPLIT = """
inputs:
  table: {description: a table of titles, several: false}
  model: {kind: text, value: tfidf}
steps:
  - {name: import, run: data import table, config: {source: "input:table", columns: {group: job}}}
  - {name: split, run: data split, config: {pairs: "step:import", dev: 0.0, test: 0.4}}
  - name: eval
    run: eval
    config:
      models: ["input:model", bm25]
      tasks: [{path: "step:split/test/table"}]
      metrics: [map]
      baselines: []
      retention: []
      bootstrap: {resamples: 100}
    set: {bootstrap.seed: 14}
"""


@pytest.fixture
def titles(tmp_path: Path) -> Path:
    file = tmp_path / "titles.csv"
    rows = [f"{job} {n},{job} of the ward {n},{job}" for job in JOBS for n in range(3)]
    file.write_text("anchor,positive,job\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return file


def test_a_recipe_of_ones_own_with_other_steps(capsys, tmp_path, monkeypatch, titles):
    monkeypatch.chdir(tmp_path)
    words = ["finetune", "--recipe", own(tmp_path, SPLIT), "--input", f"table={titles}", "--set", "eval.metrics=[mrr]"]
    result, said = called(capsys, *words)
    names = [(step["name"], step["command"]) for step in result["metrics"]["steps"]]
    assert names == [("import", "data-import-table"), ("split", "data-split"), ("eval", "eval")]
    assert result["metrics"]["steps"][0]["counts"] == {
        "rows": 15, "pairs": 15, "repeated": 0, "missing": 0, "rejected": 0,
    }  # fmt: skip
    assert result["metrics"]["model"] is None
    assert "2 of 3: split (data split)" in said
    evaluated = find_run(Path("runs"), result["metrics"]["steps"][2]["run"])
    settings = evaluated.json("config.yaml")
    assert settings["models"][0]["ref"] == "tfidf"
    assert settings["metrics"] == ["mrr"]
    assert settings["bootstrap"]["seed"] == 14
    split = find_run(Path("runs"), result["metrics"]["steps"][1]["run"])
    assert settings["tasks"][0]["path"] == f"{split.path.as_posix()}/test/table"
    page = tmp_path / "page.html"
    write_run_page(find_run(Path("runs"), "recipe/latest"), page, ".")
    text = page.read_text(encoding="utf-8")
    assert "All 3 steps ended well" in text
    assert evaluated.name in text
    assert f"hrembed finetune --recipe {result['run']}/config.yaml" in text
    # The config that the run keeps repeats it, without any input.
    again, _ = called(capsys, "finetune", "--recipe", f"{result['run']}/config.yaml", "--runs-dir", "again")
    repeated = find_run(Path("again"), again["metrics"]["steps"][2]["run"])
    assert repeated.json("metrics.json")["scores"] == evaluated.json("metrics.json")["scores"]


CHECK = """
inputs: {table: {}, against: {several: true}}
steps:
  - {name: import, run: data import table, config: {source: "input:table"}}
  - {name: check, run: data check, config: {train: "step:import", against: "input:against"FIX}}
  - {name: split, run: data split, config: {pairs: "step:check"}}
"""


def test_a_limit_that_nothing_mended_stops_a_recipe_and_stays_unmet(capsys, tmp_path, monkeypatch, leaking):
    monkeypatch.chdir(tmp_path)
    table = tmp_path / "table.csv"
    table.write_text("anchor,positive\nward nurse,nurse\nbaker,bread\n", encoding="utf-8")
    given = ["--input", f"table={table}", "--against", str(leaking)]
    _, said = called(capsys, "finetune", "--recipe", own(tmp_path, CHECK.replace("FIX", "")), *given, code=3)
    assert "1 of 3 relevant pairs of" in said
    assert "to repeat this step and go on: `hrembed finetune --resume recipe/" in said
    (run,) = past_runs(Path("runs"), "recipe")
    assert run.status == "failed"
    # Going on repeats the check, which fails again, and not the import.
    _, said = called(capsys, "finetune", "--resume", "recipe/latest", code=3)
    assert "done already: 'data-import-table/" in said
    assert len(past_runs(Path("runs"), "data-import-table")) == 1
    assert len(past_runs(Path("runs"), "data-check")) == 2
    # A table without the leak is another input: it is read again.
    table.write_text("anchor,positive\nbaker,bread\nroofer,roofs\n", encoding="utf-8")
    _, said = called(capsys, "finetune", "--resume", "recipe/latest", code=3)
    assert "repeated: its settings, its data or hrembed changed" in said
    assert "data split" in said


def test_a_check_that_mends_what_it_finds_goes_on_with_the_rest_from_python_as_well(tmp_path, leaking):
    table = tmp_path / "table.csv"
    rows = ["ward nurse,nurse", *(f"{job} {n},{job}s work" for n, job in enumerate(JOBS))]
    table.write_text("\n".join(["anchor,positive", *rows]) + "\n", encoding="utf-8")
    text = CHECK.replace("FIX", ", fix: pairs").replace(
        '"input:against"', '["shipped:hr-core/test/title", "input:against"]'
    )
    inputs = {"table": str(table), "against": [str(leaking)]}
    outcome = hrembed.run_recipe(
        own(tmp_path, text), inputs, runs_dir=tmp_path / "runs", split={"dev": 0.2, "test": 0.2}
    )
    assert (outcome.failure, outcome.status) == (None, "ok")
    imported, check, split = outcome.record.steps
    assert (imported.counts["pairs"], check.counts["removed"]) == (6, 1)
    assert "1 of 3 relevant pairs of" in check.verdict
    read = find_run(tmp_path / "runs", check.run).json("config.yaml")
    assert read["against"] == ["shipped:hr-core/test/title", str(leaking)]
    settings = find_run(tmp_path / "runs", split.run).json("config.yaml")
    assert (settings["pairs"], settings["dev"]) == ((tmp_path / "runs" / check.run).as_posix(), 0.2)
    # What the fix leaves in is not mended: a limit on documents is still not met.
    strict = text.replace("fix: pairs", "fix: pairs, limits: {documents: 0.0}")
    with pytest.raises(DataError, match="documents of"):
        hrembed.run_recipe(own(tmp_path, strict), inputs, runs_dir=tmp_path / "runs")


def test_a_training_that_was_resumed_by_itself_is_not_done_again(tmp_path, monkeypatch):
    """The recipe was killed in its training, and `--resume latest` finished that alone."""
    settings = FinetuneConfig()
    with open_run(Workspace(tmp_path), "recipe", {}, seeds={}) as run:
        assert _begun_training(settings, run) is None
        with open_run(Workspace(tmp_path), "finetune", settings.model_dump(mode="json"), seeds={}) as training:
            pass
        found = _begun_training(settings, run)
        assert (found.path, _ended(found)) == (training.path, f"finetune/{training.path.name}")
        assert _unchanged(_ended(found), settings, run).path == training.path
        assert _unchanged(_ended(found), settings.model_copy(update={"delta": 0.5}), run) is None
        monkeypatch.setattr("hrembed.commands.recipe.__version__", "9.9")
        assert _unchanged(_ended(found), settings, run) is None


@pytest.mark.slow
def test_a_killed_recipe_goes_on_with_its_training(capsys, tmp_path, monkeypatch, titles, task, tiny_model):
    monkeypatch.chdir(tmp_path)
    file = own(
        tmp_path,
        f"""
inputs: {{table: {{}}}}
steps:
  - {{name: import, run: data import table, config: {{source: "input:table", columns: {{group: job}}}}}}
  - name: train
    run: finetune
    config:
      model: "path:{tiny_model}"
      sources: [{{path: "step:import"}}]
      method: {{name: full}}
      train: {{epochs: 3, batch_size: 4, max_tokens: 32, evaluations: 1, saves: 4}}
      dev: {{path: {task}}}
      proof: {{tests: [], retention: [], strengths: []}}
""",
    )
    words = ["finetune", "--recipe", file, "--input", f"table={titles}"]
    straight, _ = called(capsys, *words, "--runs-dir", "straight")
    with monkeypatch.context() as patch:
        killed_at(patch, 7)
        with pytest.raises(KilledError):
            main([*words, "--runs-dir", "killed"])
    capsys.readouterr()
    (before,) = past_runs(Path("killed"), "finetune")
    result, said = called(capsys, "finetune", "--resume", "recipe/latest", "--runs-dir", "killed")
    assert "done already: 'data-import-table/" in said
    assert "going on with the training of 'finetune/" in said
    (after,) = past_runs(Path("killed"), "finetune")
    assert (after.path, after.status, len(after.manifest.resumed)) == (before.path, "ok", 1)
    whole = find_run(Path("straight"), straight["metrics"]["steps"][1]["run"])
    weights = "model/model.safetensors"
    assert after.verified(weights).read_bytes() == whole.verified(weights).read_bytes()
    assert len(past_runs(Path("killed"), "data-import-table")) == 1
    assert json.loads((Path(result["run"]) / "manifest.json").read_text())["status"] == "ok"
    _, said = called(capsys, "finetune", "--resume", "recipe/latest", "--runs-dir", "killed", code=1)
    assert "finished successfully; there is nothing to resume" in said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--recipe", "titles"], "--esco: folder or ZIP of ESCO"),
        (["--recipe", "titles", "--onet", "none.zip", "--esco", ".", "--against", "."], "--onet: 'none.zip' does not"),
        (["--recipe", "titel"], "unknown recipe 'titel' (did you mean 'titles'?)"),
        (["--recipe", "none.yaml"], "config 'none.yaml' does not exist"),
        (["--recipe", "titles", "--input", "jobs=."], "the recipe 'titles' has no input 'jobs'"),
        (["--recipe", "titles", "--input", "jobs"], "`--input jobs`: expected NAME=VALUE"),
        (["--recipe", "titles", "--onet", ".", "--input", "onet=."], "takes one value, got 2"),
        (["--recipe", "titles", "--dry-run"], "`--recipe titles` and `--dry-run` cannot be combined"),
        (["shipped:finetune/titles", "--recipe", "titles"], "cannot be combined"),
        (["--onet", "."], "'onet' is an input of a recipe, but no recipe is named"),
        (["--resume", "recipe/latest", "--onet", "."], "a resumed run uses its original config"),
        (["--resume", "recipe/latest"], "no finished recipe run found"),
    ],
    ids=" ".join,
)
def test_what_is_wrong_with_a_call_is_said_before_anything_runs(capsys, tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    assert main(["finetune", *words]) in {2, 3}
    assert message in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


TABLE = '{name: import, run: data import table, config: {source: "input:table"}}'


@pytest.mark.parametrize(
    ("steps", "overrides", "message"),
    [
        ([TABLE, TABLE], (), "own.yaml:4: steps.1.name: 'import' is the name of an earlier step"),
        ([TABLE, "{name: x, run: data imprt table}"], (), "steps.1.run: no step can run 'data imprt table' (did you"),
        ([TABLE, '{name: x, run: data split, config: {pairs: "step:y"}}'], (), "'step:y' is no earlier step"),
        (['{name: x, run: data split, config: {pairs: "input:tab"}}'], (), "'input:tab' is no input of this recipe"),
        ([TABLE.replace("source", "sauce")], (), "own.yaml:3: steps.0.config.sauce: unknown key (did you mean"),
        (["{name: x, run: data split}"], (), "own.yaml:2: inputs.table: no step says `input:table`"),
        ([f"{TABLE[:-1]}, files: {{a.csv: b.csv}}}}"], (), "the settings of this step name no such file"),
        ([f"{TABLE[:-1]}, set: {{max_rejected: many}}}}"], (), "own.yaml:3: steps.0.config.max_rejected: "),
        ([TABLE], ("max_rejected=1",), "a key begins with the name of a step"),
        ([TABLE], ("import.max_rejected=many",), "--set import.max_rejected: "),
        ([TABLE.replace("{source", "{source: a, b")], (), "own.yaml:3: steps.0.config.b: unknown key"),
        (["{name: X, run: data split}"], (), "own.yaml:3: steps.0.name: string should match"),
        ([], (), "own.yaml:3: steps: "),
    ],
)
def test_what_is_wrong_with_a_recipe_names_the_line(tmp_path, steps: Sequence[str], overrides, message):
    text = "# A recipe.\ninputs: {table: {value: ROOT}}\nsteps: [" + ",\n  ".join(steps) + "]\n"
    file = own(tmp_path, text.replace("ROOT", str(tmp_path)))
    with pytest.raises(ConfigError) as caught:
        load_recipe(file, {}, overrides, Workspace(tmp_path / "runs"))
    assert message in str(caught.value)


def test_the_recipe_of_the_documents_can_be_run(tmp_path):
    blocks = (ROOT / "docs" / "finetuning.md").read_text(encoding="utf-8").split("```yaml\n")
    (text,) = [block.partition("```")[0] for block in blocks if block.startswith("inputs:")]
    recipe = load_recipe(own(tmp_path, text), {"onet": ["."], "against": ["."]}, [], Workspace(tmp_path / "runs"))
    assert [step.run for step in recipe.steps] == ["data-import-onet", "data-check", "finetune", "eval"]
    assert recipe.steps[2].config["sources"][0] == {
        "path": "step:unseen", "kinds": ["title"], "loss": {"name": "group-ranking"},
    }  # fmt: skip


def test_each_command_of_a_step_is_the_one_of_the_command_line():
    from hrembed.cli import app, data

    typed = {f"data-import-{name}" if place is data.imports else f"data-{name}": row[0]
             for (place, name), row in data.COMMANDS.items()}  # fmt: skip
    typed |= {name: row[0] for name, row in app.COMMANDS.items()}
    assert {name: typed.get(name, function) for name, function in COMMANDS.items()} == COMMANDS
    for function in COMMANDS.values():
        module, _, name = function.partition(":")
        assert callable(getattr(import_module(module), name))


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_pairs_of_titles_are_those_of_the_single_commands_in_full(capsys, tmp_path, monkeypatch, shared):
    monkeypatch.chdir(tmp_path)
    onet, esco = shared / "data" / "onet", shared / "data" / "esco"
    melo = shared / "data" / "benchmarks" / "melo_usa_q_en_c_en"
    by_hand(capsys, tmp_path / "hand", onet, esco, str(melo), tmp_path / "pairs")
    recipe = yaml.safe_load(recipe_file("titles").read_text(encoding="utf-8"))
    recipe["steps"] = [step for step in recipe["steps"] if step["run"] != "finetune"]
    file = own(tmp_path, yaml.safe_dump(recipe, sort_keys=False))
    given = ["--onet", str(onet), "--esco", str(esco), "--against", str(melo)]
    result, _ = called(capsys, "finetune", "--recipe", file, *given)
    steps = {step["name"]: step for step in result["metrics"]["steps"]}
    for name in PAIRS:
        made = find_run(Path("runs"), steps[f"{name}-unseen"]["run"])
        assert made.manifest.outputs["pairs.parquet"] == sha256(tmp_path / "pairs" / f"{name}.parquet")
    assert steps["onet"]["counts"]["pairs"] > 100_000
