"""What a model is measured on is compared with what it was trained on, without being asked."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hrembed.commands.eval.run import run_evaluate
from hrembed.commands.finetune.run import run_finetune
from hrembed.config.eval import EvalConfig
from hrembed.config.finetune import FinetuneConfig, PartialMethod, SourceSection, TrainSection
from hrembed.config.parts import ModelSection, TaskSection
from hrembed.config.proof import ProofSection
from hrembed.progress import Silent
from hrembed.runs.workspace import Workspace
from hrembed.scoring.leaks import dev_warnings, leak_warnings, training_leaks
from hrembed.types import LabelTask, Pair, PairTask, Task, Text

from conftest import DOCUMENTS, QUERIES, jsonl


def titles(*texts: str) -> tuple[Text, ...]:
    return tuple(Text(f"t-{n}", text) for n, text in enumerate(texts))


def test_every_kind_of_task_is_compared_with_every_kind_of_source():
    seen, unseen = "night nurse on the ward", "pastry cook in a bakery"
    labelled = LabelTask("l", "classification", titles(seen, unseen), ("a", "b"))
    rated = PairTask("p", titles(seen, unseen), titles("ward nurse at night", "cook"), np.arange(2.0))
    search = Task("s", titles(seen), (Text("d", "cares for patients"),), {"t-0": {"d": 1}})
    leaks = training_leaks(
        [
            [Pair(seen, "cares for patients")],
            LabelTask("src", "clustering", titles("other"), ("x",)),
            PairTask("src", titles("Night nurse, on the ward"), titles("Ward nurse at night"), np.ones(1)),
        ],
        [labelled, rated, search],
        Silent(),
    )
    assert {task: (leak["queries"].occur, leak["pairs"].occur) for task, leak in leaks.items()} == {
        "l": (1, 0),
        "p": (1, 1),
        "s": (1, 1),
    }
    warnings = leak_warnings(leaks)
    assert [warning.split(" occur")[0] for warning in warnings] == [
        "leak: 1 of 2 scored texts (50.0%) of l",
        "leak: 1 of 2 relevant pairs (50.0%) of p",
        "leak: 1 of 1 relevant pairs (100.0%) of s",
    ]
    assert leak_warnings(training_leaks([[Pair("smith", "forges iron")]], [search], Silent())) == []


def test_a_test_task_that_asks_what_the_dev_task_asks_is_named():
    dev = Task("dev", titles("nurse", "cook"), (), {})
    test = Task("test", titles("Cook", "smith"), (), {})
    assert "1 of 2 queries of the test task test" in dev_warnings(dev, [test])[0]
    assert dev_warnings(dev, [Task("other", titles("smith"), (), {})]) == []


@pytest.mark.parametrize("by", ["run", "folder"])
def test_finetune_and_eval_say_that_a_proof_was_trained_on(tiny_model: Path, task: Path, tmp_path: Path, by: str):
    rows = [{"anchor": QUERIES[q][0], "positive": DOCUMENTS[d]} for q, d in (("q1", "d1"), ("q3", "d3"), ("q4", "d5"))]
    source = jsonl(tmp_path / "train.jsonl", rows)
    config = FinetuneConfig(
        model=ModelSection(ref=f"path:{tiny_model}"),
        sources=(SourceSection(path=str(source)),),
        method=PartialMethod(name="partial", layers=(3,)),
        train=TrainSection(epochs=1, batch_size=2, max_tokens=32, evaluations=1),
        dev=TaskSection(path=str(task)),
        proof=ProofSection(tests=(TaskSection(path=str(task)),), retention=(), strengths=()),
    )
    result = run_finetune(config, Workspace(tmp_path / "runs"))
    assert result.metrics.leaks["task/test#2"]["pairs"].occur == 3
    texts = {
        "record": json.dumps(json.loads((Path(result.run) / "metrics.json").read_text(encoding="utf-8"))["warnings"]),
        "card": (Path(result.run) / "model" / "README.md").read_text(encoding="utf-8"),
        "log": (Path(result.run) / "log.txt").read_text(encoding="utf-8"),
        "table": json.dumps(result.tables["Warnings"]),
    }
    for where, text in texts.items():
        assert "3 of 8 relevant pairs" in text, where
        assert "also occur in the dev task" in text, where
    manifest = json.loads((Path(result.run) / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["models"]["base"]["pooling"] == manifest["models"]["tuned"]["pooling"] == "mean"
    ref = "run:latest" if by == "run" else f"path:{Path(result.run) / 'model'}"
    settings = {"tasks": (TaskSection(path=str(task)),), "retention": (), "baselines": ()}
    scored = run_evaluate(EvalConfig(models=(ModelSection(ref=ref),), **settings), Workspace(tmp_path / "runs"))
    (leaks,) = scored.metrics.leaks.values()
    assert leaks["task/test"]["pairs"].occur == 3
    assert any("3 of 8 relevant pairs" in warning for warning in scored.metrics.warnings)
    assert any("4 of 4 queries of task/test also occur in the dev task" in each for each in scored.metrics.warnings)
    source.write_text(source.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    again = run_evaluate(EvalConfig(models=(ModelSection(ref=ref),), **settings), Workspace(tmp_path / "runs"))
    assert any("not compared with the tasks" in warning for warning in again.metrics.warnings)
