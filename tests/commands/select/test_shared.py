"""Development data that is not part of the project: published files, read by us and by another engine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hrembed.selection.benchmark import benchmark_tasks
from hrembed.selection.ranking import borda_points, competition_ranks, rank_models
from hrembed.selection.read_scores import read_scores
from hrembed.selection.scores import tabulate
from places import SHARED

LEADERBOARD = SHARED / "data" / "leaderboard" / "mteb_results.parquet"


def table_of(*kinds: str):
    tasks = benchmark_tasks("MTEB(eng, v2)", kinds)
    return tabulate(read_scores(LEADERBOARD, {task.name for task in tasks}), tasks, str(LEADERBOARD))


@pytest.mark.usefixtures("shared")
def test_the_public_leaderboard_of_august_2026_can_be_read():
    """Counts of complete models as an independent reading of the same file gives them."""
    import pandas as pd

    table = table_of("Retrieval")
    frame = pd.read_parquet(LEADERBOARD)
    frame = frame[frame.task.isin(table.tasks) & frame.main_score.notna()]
    complete = frame.groupby("model").task.nunique() == len(table.tasks)
    found = {name for name, row in zip(table.models, table.scores, strict=True) if not (row != row).any()}
    assert len(table.tasks) == 10
    assert found == set(complete[complete].index)
    small = table.scores[table.models.index("BAAI/bge-small-en-v1.5")]
    assert small.mean() == pytest.approx(0.5386, abs=5e-4)


@pytest.mark.usefixtures("shared")
def test_mean_and_borda_of_the_complete_models_are_those_of_mteb_itself():
    """mteb makes its own summary of the same rows: those of the revision that we prefer, cell by cell."""
    import polars as pl
    from mteb.benchmarks._create_table import _create_summary_table

    import mteb

    table = table_of()
    complete = np.flatnonzero(np.isfinite(table.scores).all(axis=1))
    assert (len(table.tasks), len(complete)) == (41, 183)
    known = {meta.name for meta in mteb.get_model_metas()}  # mteb leaves two that it no longer knows out of its summary
    complete = np.array([n for n in complete if table.models[n] in known])
    assert len(complete) == 181
    rows = pl.read_parquet(LEADERBOARD)
    chosen = [
        (table.models[n], task, origin.revision)
        for n in complete
        for task, origin in zip(table.tasks, table.origins[n], strict=True)
        if origin is not None
    ]
    wanted = pl.DataFrame(chosen, schema=["model", "task", "revision"], orient="row")
    cells = [
        (task.metadata.name, split, subset)
        for task in mteb.get_benchmark("MTEB(eng, v2)").tasks
        for split in task.eval_splits
        for subset in task.hf_subsets
    ]
    counted = pl.DataFrame(cells, schema=["task", "split", "subset"], orient="row")
    long = rows.join(wanted, on=["model", "task", "revision"]).join(counted, on=["task", "split", "subset"])
    frame = long.select(
        pl.col("model").alias("model_name"), pl.col("task").alias("task_name"), "split", "subset",
        pl.col("main_score").cast(pl.Float64).alias("score"),
    )  # fmt: skip
    summary = _create_summary_table(frame).df
    names = [table.models[n] for n in complete]
    column = next(name for name in summary.columns if summary[name].dtype == pl.String and "/" in str(summary[name][0]))
    theirs = {
        str(row[column]).removeprefix("[").partition("]")[0]: (row["Mean (Task)"], row["Rank (Borda)"])
        for row in summary.iter_rows(named=True)
    }
    ours = competition_ranks(borda_points(table.scores[complete]).sum(axis=1))
    assert [theirs[name][1] for name in names] == ours.tolist()
    means = table.scores[complete].mean(axis=1)
    assert [theirs[name][0] for name in names] == pytest.approx(means.tolist(), abs=1e-9)
    assert sorted(names, key=lambda name: -theirs[name][0]) == [names[n] for n in np.argsort(-means, kind="stable")]


@pytest.mark.usefixtures("shared")
def test_at_least_nine_of_ten_neighbours_cannot_be_told_apart():
    """The notes found 178 of 182 by a bootstrap of their own, mteb issue 5208 found 176 of 180."""
    table = table_of()
    scores = table.scores[np.isfinite(table.scores).all(axis=1)]
    ranking = rank_models(scores, rng=np.random.default_rng(13), resamples=5000)
    assert 175 <= (~ranking.separable).sum() <= 181
    assert 2 <= ranking.tied.sum() <= 8


@pytest.mark.usefixtures("shared")
@pytest.mark.slow
def test_from_the_whole_registry_to_a_shortlist_in_ten_seconds_and_one_gigabyte(tmp_path: Path):
    """Time on the processor, so that other work on the machine does not count; no network is asked."""
    config = tmp_path / "select.yaml"
    config.write_text(
        f"scores: {{path: {LEADERBOARD}, task_types: []}}\nprobe: {{models: [], shortlisted: false}}\n",
        encoding="utf-8",
    )
    code = (
        "import json, os, socket, sys\n"
        "def refuse(*args, **kwargs): raise AssertionError('the network was asked')\n"
        "socket.socket.connect = refuse\n"
        "from hrembed.cli.app import main\n"
        "from hrembed.memory import peak_memory_mb\n"
        "status = main(sys.argv[1:])\n"
        "print(json.dumps([status, sum(os.times()[:2]), peak_memory_mb()]), file=sys.stderr)\n"
    )
    command = [sys.executable, "-c", code, "select", str(config), "--quiet", "--runs-dir", str(tmp_path / "runs")]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    status, seconds, memory = json.loads(done.stderr.splitlines()[-1])
    assert status == 0
    assert seconds < 10
    assert memory < 1000
    metrics = json.loads((Path(done.stdout.strip()) / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["registry"]["models"] == 969
    assert len(metrics["leaderboard"]) == 10
