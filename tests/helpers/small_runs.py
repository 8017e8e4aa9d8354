"""Small runs of every command with a page of its own: real ones where no model has to be trained or loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from gates import run_full_of
from hrembed.commands.bias_audit.run import run_bias_audit
from hrembed.commands.eval.run import run_evaluate
from hrembed.commands.gate.run import run_gate
from hrembed.config.bias_audit import AuditConfig
from hrembed.config.eval import EvalConfig
from hrembed.config.finetune import FinetuneConfig
from hrembed.config.gate import GateConfig
from hrembed.records.finetune import DevScore, FinetuneRecord, ParameterCounts, SourceRecord, TunedComparison
from hrembed.runs.record import open_run
from hrembed.runs.workspace import Workspace
from hrembed.types import Estimate

from conftest import jsonl

if TYPE_CHECKING:
    from pathlib import Path

CANDIDATES = 300
LONG = "An account of fifteen years of work in hospitals and offices, in plain words. " * 40
EVIL = "<script>window.hacked = true</script>"
_SYLLABLES = ("bak", "cook", "nurs", "weld", "teach", "driv", "sing", "farm", "paint", "clean", "writ", "print")


def make_runs(folder: Path, stimuli: dict[str, Path]) -> Path:
    """Make an evaluation of 300 long résumés, a training, an audit and a gate; returns the folder of runs."""
    runs = folder / "runs"
    workspace = Workspace(runs)
    evaluation = EvalConfig(
        models=({"ref": "tfidf"}, {"ref": "char-tfidf"}), baselines=("bm25",), retention=(), show_text=True,
        tasks=({"path": str(titles(folder / "titles"))},), robustness={"changes": ()},
        bootstrap={"resamples": 300},
    )  # fmt: skip
    run_evaluate(evaluation, workspace)
    run_evaluate(evaluation, workspace)  # a history needs two
    write_training(workspace)
    run_bias_audit(
        AuditConfig(
            model={"ref": "char-tfidf"}, stimuli={part: str(path) for part, path in stimuli.items()}, fail_on="never",
            self_check=20, bootstrap={"resamples": 300},
        ),
        workspace,
    )  # fmt: skip
    quality = {"margin": 0.02, "at_least": 0.0}
    sides = {"candidate": {"model": "tfidf"}, "baseline": {"model": "char-tfidf"}}
    run_gate(GateConfig(**sides, quality=(quality,), retention=()), workspace)
    run_full_of(EVIL, runs)
    return runs


def titles(folder: Path) -> Path:
    """A task in which letters help and whole words do not: the query is a form of the word in the right document."""
    words = [f"{first}{second}" for first in _SYLLABLES for second in _SYLLABLES[:3]]
    documents = [{"_id": f"d{n}", "text": f"{LONG} {word}ing"} for n, word in enumerate(words)]
    others = [{"_id": f"d{n}", "text": f"{LONG} number {n}"} for n in range(len(words), CANDIDATES)]
    jsonl(folder / "corpus.jsonl", [*documents, *others])
    jsonl(folder / "queries.jsonl", [{"_id": f"q{n}", "text": f"{word}er"} for n, word in enumerate(words)])
    (folder / "qrels").mkdir()
    rows = "".join(f"q{n}\td{n}\t1\n" for n in range(len(words)))
    (folder / "qrels" / "test.tsv").write_text(f"query-id\tcorpus-id\tscore\n{rows}", encoding="utf-8")
    return folder


def write_training(workspace: Workspace) -> None:
    """Write a training of two losses as it lies on disk, with numbers of ours."""
    config = FinetuneConfig(sources=({"path": "pairs.jsonl"}, {"path": "scored.jsonl"}))

    def compared(task: str, gain: float, verdict: str) -> TunedComparison:
        base, tuned = (Estimate(value, value - 0.04, value + 0.04, 40, "groups") for value in (0.6, 0.6 + gain))
        difference = Estimate(gain, gain - 0.03, gain + 0.03, 40, "groups")
        return TunedComparison(
            task=task, model="tuned", reference="base", metric="ndcg@10", difference=difference, better=20, worse=10,
            p_value=0.01, p_holm=0.02, detectable=0.04, verdict=verdict, base=base, tuned=tuned,
        )  # fmt: skip

    test, kept = compared("titles/test", 0.1, "better"), compared("questions/test", -0.005, "cannot tell")
    losses = np.linspace(2, 1, 40) + np.tile([0.0, 5.0], 20)
    sources = [
        SourceRecord(kind=kind, loss=loss, rows=100, batches=20, mined=None)
        for kind, loss in (("pairs", "ranking"), ("scored pairs", "cosent"))
    ]
    record = FinetuneRecord(
        verdict="better", delta=0.02, confidence=0.95, task="titles/dev", metric="ndcg@10", base=test.base,
        tuned=test.tuned, difference=test.difference, p_value=0.01, tests=(test,), retention=(kept,), strength=1.0,
        strengths=(), branches=(), pretraining=None,
        parameters=ParameterCounts(trainable=10, all=100), pairs=200, sources=tuple(sources), steps=40, steps_done=40,
        best_step=20, dev_history=tuple(DevScore(step=n, score=0.6 + n / 400) for n in (0, 20, 40)),
        loss_history=tuple(losses), step_sources=(0, 1) * 20, warnings=("The pairs overlap with the test.",),
    )  # fmt: skip
    with open_run(workspace, "finetune", config.model_dump(mode="json"), seeds={"train": 1}) as run:
        run.write_metrics(record)
