"""The Python door: light to import, the same settings and numbers as the command line."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import hrembed
import pytest
from hrembed.config.eval import EvalConfig
from hrembed.config.parts import BootstrapSection, ModelSection, TaskSection
from hrembed.errors import ConfigError, DataError
from hrembed.records.base import as_json
from places import ROOT

from conftest import jsonl

if TYPE_CHECKING:
    from pathlib import Path

PLAIN = {"baselines": [], "retention": [], "robustness": {"changes": []}, "bootstrap": {"resamples": 100}}


@pytest.fixture
def evaluated(task: Path, tmp_path: Path) -> hrembed.Outcome:
    return hrembed.evaluate(models=["tfidf", "bm25"], tasks=[{"path": str(task)}], runs_dir=tmp_path / "runs", **PLAIN)


def test_the_import_is_light():
    code = "import sys, hrembed; print(','.join(sys.modules))"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert {"numpy", "pydantic", "yaml", "torch", "typer", "rich"}.isdisjoint(modules.strip().split(","))


def test_the_record_is_what_the_run_wrote(evaluated: hrembed.Outcome):
    written = json.loads((evaluated.folder / "metrics.json").read_text(encoding="utf-8"))
    assert as_json(evaluated.record) == written
    assert evaluated.record.scores["task/test"]["tfidf"]["ndcg@10"].value == pytest.approx(
        written["scores"]["task/test"]["tfidf"]["ndcg@10"]["value"]
    )


def test_settings_change_what_they_name_and_nothing_else(evaluated: hrembed.Outcome):
    config = json.loads((evaluated.folder / "config.yaml").read_text(encoding="utf-8"))
    assert config["bootstrap"] == {"resamples": 100, "confidence": 0.95, "seed": 13}
    assert [model["ref"] for model in config["models"]] == ["tfidf", "bm25"]
    assert config["slices"]["min_queries"] == 20  # of the starter config


def test_a_config_object_is_complete(task: Path, tmp_path: Path):
    config = EvalConfig(
        models=(ModelSection(ref="tfidf"),),
        baselines=(),
        tasks=(TaskSection(path=str(task)),),
        bootstrap=BootstrapSection(resamples=100),
    )
    assert list(hrembed.evaluate(config, runs_dir=tmp_path).record.scores["task/test"]) == ["tfidf"]
    with pytest.raises(ConfigError, match="a config object cannot be combined with keyword settings: models"):
        hrembed.evaluate(config, models=["bm25"])


def test_a_mistyped_setting_gets_the_message_of_the_command_line():
    with pytest.raises(ConfigError, match=r"modles: unknown key \(did you mean 'models'\?\)"):
        hrembed.evaluate(modles=["tfidf"])


def test_a_past_run_is_read_by_its_hash(evaluated: hrembed.Outcome, tmp_path: Path):
    again = hrembed.load_run("eval/latest", runs_dir=tmp_path / "runs")
    assert as_json(again.record) == as_json(evaluated.record)
    assert again.folder == evaluated.folder
    assert "task/test.tfidf.ndcg@10" in again._repr_html_()
    (evaluated.folder / "metrics.json").write_text("{}", encoding="utf-8")
    with pytest.raises(DataError, match="was modified after the run: its SHA-256 differs from the manifest"):
        hrembed.load_run("eval/latest", runs_dir=tmp_path / "runs")


def test_a_notebook_shows_the_tables_and_escapes_what_users_wrote(evaluated: hrembed.Outcome):
    page = evaluated._repr_html_()
    assert "<td>tfidf</td>" in page
    assert "Paired differences" in page
    evil = hrembed.Outcome(evaluated.record, evaluated.folder, "ok", {"<b>": [{"<i>": "<script>"}]}, notice="<u>")
    assert not re.search("<(b>[^<]*<i|i|script|u)>", evil._repr_html_().replace("<b>ok</b>", ""))
    assert repr(evaluated) == f"<EvalRecord of {evaluated.folder}: ok>"


# No `if __name__ == "__main__"`: a worker that imported the script would start encoding as well.
SCRIPT = """
import sys, hrembed
runs = {"runs_dir": "runs"}
encoded = hrembed.encode(input="in.jsonl", out="vectors", model="wordllama", keep=["text"], workers=1, **runs)
built = hrembed.build_index(shards="vectors", out="index", **runs)
found = hrembed.match(job="dresses wounds", index="index", k=2, **runs)
print(encoded.record.rows, built.record.generation.rows, *(row.id for row in found.record.candidates))
"""


def test_a_table_becomes_ranked_candidates_in_a_plain_script(tmp_path: Path):
    rows = {"a": "Bakes bread before sunrise.", "b": "Dresses wounds on the ward.", "c": "Cleans wounds."}
    jsonl(tmp_path / "in.jsonl", [{"id": id_, "text": text} for id_, text in rows.items()])
    (tmp_path / "script.py").write_text(SCRIPT, encoding="utf-8")
    given = {"cwd": tmp_path, "env": {**os.environ, "PYTHONPATH": str(ROOT)}, "timeout": 300}
    done = subprocess.run([sys.executable, "script.py"], capture_output=True, text=True, check=False, **given)
    assert (done.stdout, done.stderr, done.returncode) == ("3 3 b c\n", "", 0)


def test_the_example_of_the_documents_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    (example,) = re.findall(
        r"```python\n(.*?)```", (ROOT / "docs" / "python.md").read_text(encoding="utf-8"), re.DOTALL
    )
    assert len([line for line in example.splitlines() if line]) == 5
    monkeypatch.chdir(tmp_path)
    exec(example, {})
    assert re.fullmatch(r"0\.\d{3}, 95 % interval 0\.\d{3} to 0\.\d{3}, \d+ groups\n", capsys.readouterr().out)
