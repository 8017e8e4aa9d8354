"""Selection measured on the user's own task: halving, footprint, brief trainings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hrembed.commands.select.probe import Candidate, successive_halving, task_of_pairs
from hrembed.commands.select.run import run_select
from hrembed.commands.select.transfer import brief
from hrembed.config.finetune import FinetuneConfig
from hrembed.config.parts import ModelSection, TaskSection
from hrembed.config.select import (
    ConstraintsSection,
    CostSection,
    HalvingSection,
    PairsSection,
    ProbeSection,
    ScoresSection,
    SelectConfig,
    TransferSection,
)
from hrembed.errors import DataError
from hrembed.evaluation.subtask import subtask
from hrembed.progress import Silent
from hrembed.runs.workspace import Workspace
from hrembed.types import Task, Text
from leaderboards import ANY, MEANS, TASKS, own, planted, run_planted, select

from conftest import jsonl


class Fake:
    """Scores the right document of every query with a given chance."""

    def __init__(self, name: str, chance: float) -> None:
        self.name, self.identity, self.source, self._chance = name, name, name, chance
        self.seen: list[int] = []

    def similarity(self, queries: Any, documents: Any, *, instruction: str = "") -> Any:
        self.seen.append(len(queries))
        rng = np.random.default_rng(abs(hash(self._chance)) % 1000)
        scores = rng.uniform(size=(len(queries), len(documents))) * 0.5
        for n, text in enumerate(queries):
            if np.random.default_rng(int(text)).uniform() < self._chance:
                scores[n, list(documents).index(text)] = 1.0
        return Fixed(scores)


class Fixed:
    def __init__(self, scores: Any) -> None:
        self._scores = scores
        self.shape = scores.shape

    def block(self, queries: slice, documents: Any) -> Any:
        return self._scores[queries][:, documents].astype(np.float32)


def large(n: int) -> Task:
    texts = tuple(Text(str(k), str(k)) for k in range(n))
    return Task("large", texts, texts, {str(k): {str(k): 1} for k in range(n)})


def test_halving_spends_the_whole_task_on_those_that_may_be_best():
    chances = {"best": 0.9, "near": 0.88, "fair": 0.8, "poor": 0.3, "worst": 0.05}
    fakes = {name: Fake(name, chance) for name, chance in chances.items()}
    section = ModelSection(ref="minilm")
    candidates = [Candidate(name, section, fake, None) for name, fake in fakes.items()]  # type: ignore[arg-type]
    config = SelectConfig(probe=ProbeSection(halving=HalvingSection(rounds=3, finalists=2)))
    finalists, dropped = successive_halving(config, candidates, large(400), Silent())
    assert [row.name for row in finalists][:2] == ["best", "near"]
    assert {row.name for row in dropped} >= {"poor", "worst"}
    assert all(row.queries == 400 for row in finalists)
    assert fakes["worst"].seen == [100]
    assert all(row.difference.estimate.high < 0 for row in dropped)


def test_nobody_is_dropped_by_luck_alone():
    chances = (0.8, 0.801, 0.802, 0.803, 0.804, 0.805)  # the same but for a hair
    section = ModelSection(ref="minilm")
    candidates = [Candidate(str(chance), section, Fake(str(chance), chance), None) for chance in chances]  # type: ignore[arg-type]
    config = SelectConfig(probe=ProbeSection(halving=HalvingSection(rounds=3, finalists=1)))
    finalists, dropped = successive_halving(config, candidates, large(200), Silent())
    assert (len(finalists), dropped) == (6, [])


def test_a_lexical_baseline_stays_however_far_behind_and_few_models_are_not_halved():
    candidates = [
        Candidate(name, ModelSection(ref=ref), Fake(name, chance), None)  # type: ignore[arg-type]
        for name, ref, chance in (
            ("a", "minilm", 0.9),
            ("b", "minilm", 0.9),
            ("bm25", "bm25", 0.1),
            ("c", "minilm", 0.1),
        )
    ]
    config = SelectConfig(probe=ProbeSection(halving=HalvingSection(rounds=2, finalists=1)))
    finalists, dropped = successive_halving(config, candidates, large(200), Silent())
    assert [row.name for row in dropped] == ["c"]
    assert "bm25" in {row.name for row in finalists}
    few = SelectConfig(probe=ProbeSection(halving=HalvingSection(rounds=3, finalists=4)))
    finalists, dropped = successive_halving(few, candidates, large(200), Silent())
    assert (len(finalists), dropped) == (4, [])


def test_parts_of_a_task_are_nested_and_hold_what_they_need():
    queries = tuple(Text(f"q{n}", "x", group=f"g{n // 3}") for n in range(60))
    documents = tuple(Text(f"d{n}", "x") for n in range(200))
    task = Task("t", queries, documents, {f"q{n}": {f"d{n}": 1, "d199": 0} for n in range(60)})
    small, middle = (subtask(task, share, min_queries=5, seed=1) for share in (0.25, 0.5))
    assert 15 <= len(small.queries) <= 17
    assert {q.id for q in small.queries} < {q.id for q in middle.queries}
    assert {d.id for d in small.documents} < {d.id for d in middle.documents}
    kept = {d.id for d in small.documents}
    assert all(f"d{q.id[1:]}" in kept for q in small.queries)
    groups = {q.group for q in small.queries}
    assert sum(q.group in groups for q in queries) == len(small.queries)
    assert 30 < len(small.documents) < 100
    assert subtask(task, 0.25, min_queries=100, seed=1) is task


def test_pairs_become_a_search(tmp_path: Path):
    rows = [{"anchor": f"ad {n}", "positive": f"profile {n}", "group": f"g{n % 4}"} for n in range(20)]
    task = task_of_pairs(jsonl(tmp_path / "pairs.jsonl", rows), PairsSection())
    assert (len(task.queries), len(task.documents)) == (20, 20)
    assert all(len(judged) == 5 for judged in task.qrels.values())
    mixed = [{**row, "kind": "a" if n else "b"} for n, row in enumerate(rows)]
    with pytest.raises(DataError, match="several kinds: a, b"):
        task_of_pairs(jsonl(tmp_path / "mixed.jsonl", mixed), PairsSection())
    theirs = "Stelle;Profil;Gruppe\n" + "".join(f"Bäcker {n};Profil {n};g{n % 4}\n" for n in range(20))
    (tmp_path / "own.csv").write_bytes(theirs.encode("latin-1"))
    columns = {"anchor": "Stelle", "positive": "Profil", "group": "Gruppe"}
    task = task_of_pairs(tmp_path / "own.csv", PairsSection(columns=columns, encoding="latin-1"))
    assert (len(task.queries), task.queries[0].text[:6]) == (20, "Bäcker")


def test_start_up_memory_and_speed_are_measured_in_a_process_of_its_own(tmp_path: Path, task: Path, tiny_model: Path):
    probe = ProbeSection(
        models=(ModelSection(ref=f"path:{tiny_model}"), ModelSection(ref="bm25")),
        shortlisted=False,
        task=TaskSection(path=str(task)),
    )
    file = planted(tmp_path, MEANS)
    run = Path(run_planted(tmp_path, file, probe=probe, constraints=ANY).run)
    needs = json.loads((run / "timings.json").read_text(encoding="utf-8"))["footprints"]
    (bm25,) = needs.pop("bm25")
    ((transformer,),) = needs.values()
    assert transformer["peak_memory_mb"] > bm25["peak_memory_mb"] + 50
    assert min(transformer["start_seconds"], bm25["start_seconds"]) > 0
    assert transformer["texts_per_second"] > 0
    written = (run / "metrics.json").read_text(encoding="utf-8")
    assert "start_seconds" not in written
    assert "texts_per_second" not in written
    slow = ConstraintsSection(**{**ANY.model_dump(), "max_ms_per_text": 1e-6})
    alone = probe.model_copy(update={"models": (ModelSection(ref="bm25"),)})
    with pytest.raises(DataError, match="no model embeds a text within 1e-06 ms on this machine; the fastest"):
        select(tmp_path, file, probe=alone, constraints=slow)


def test_finalists_are_tuned_alike_and_briefly(tmp_path: Path, task: Path, pairs: Path, tiny_model: Path):
    plan = tmp_path / "plan.yaml"
    plan.write_text(
        f"sources: [{{path: {pairs}}}]\nmethod: {{name: full}}\ndev: {{path: {task}}}\n"
        "train: {batch_size: 8, evaluations: 3}\n",
        encoding="utf-8",
    )
    probe = ProbeSection(
        models=(ModelSection(ref=f"path:{tiny_model}"), ModelSection(ref="bm25")),
        shortlisted=False,
        task=TaskSection(path=str(task)),
        cost=CostSection(measure=False),
    )
    transfer = TransferSection(finalists=2, config=str(plan), pairs=16)
    result = run_select(
        SelectConfig(
            probe=probe, transfer=transfer, scores=ScoresSection(path=planted(tmp_path, MEANS), tasks=TASKS),
            facts=tuple(own(n) for n in MEANS), constraints=ANY,
        ),
        Workspace(tmp_path / "runs"))  # fmt: skip
    (row,) = result.metrics.transfer  # BM25 has nothing to tune
    assert row.gain.value == pytest.approx(
        row.score.value - next(r.score.value for r in result.metrics.probe if r.model == row.base)
    )
    (run,) = (tmp_path / "runs" / "finetune").iterdir()
    tuned = json.loads((run / "config.yaml").read_text(encoding="utf-8"))
    assert (tuned["sources"][0]["limit"], tuned["train"]["evaluations"], tuned["proof"]["tests"]) == (16, 1, [])
    assert result.metrics.pick.section["ref"] == f"path:{tiny_model}"


def test_a_brief_training_never_takes_more_rows_than_the_plan_has():
    plan = FinetuneConfig.model_validate({"sources": [{"limit": 50}, {}]})
    found = brief(plan, TransferSection(pairs=200), ModelSection())
    assert [source.limit for source in found.sources] == [50, 200]
