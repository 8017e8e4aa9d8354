"""Metrics and resamples: hrembed beside pytrec_eval and ranx on the same scores, and what 10,000 resamples take.

    python benchmarks/statistics_speed.py [--short]

Ours starts from a matrix of scores, and sorts it; the others start from nested dictionaries that were built before.
ranx takes part where it is installed, which hrembed does not need.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np
import pytrec_eval
from hrembed.evaluation.search import graded, rank_all
from hrembed.metrics.intervals import mean_interval, sign_flip_p
from hrembed.metrics.ranking import average_precision, ndcg, recall
from hrembed.types import Task, Text

from measuring import arguments, in_turns, ratio, record

RELEVANT = 10


class Matrix:
    """Given scores, as a similarity."""

    def __init__(self, scores: Any) -> None:
        self.scores = scores
        self.shape = scores.shape

    def block(self, queries: slice, documents: Any) -> Any:
        """Return a part."""
        return self.scores[queries, documents]


def task_of(queries: int, documents: int, rng: np.random.Generator) -> Task:
    """A task whose relevant documents are drawn."""
    relevant = rng.integers(0, documents, (queries, RELEVANT))
    qrels = {f"q{n}": {f"d{d}": 1 for d in row} for n, row in enumerate(relevant)}
    ids = [tuple(Text(f"{kind}{n}", "") for n in range(count)) for kind, count in (("q", queries), ("d", documents))]
    return Task("drawn", ids[0], ids[1], qrels)


def main() -> None:
    """Measure, and write the rows."""
    options = arguments(__doc__ or "")
    queries, documents, repeats = (500, 200, 2) if options.short else (10_000, 1_000, 5)
    rng = np.random.default_rng(0)
    task, scores = task_of(queries, documents, rng), rng.random((queries, documents), dtype=np.float32)
    run = {f"q{n}": {f"d{d}": float(s) for d, s in enumerate(row)} for n, row in enumerate(scores)}
    evaluator = pytrec_eval.RelevanceEvaluator(task.qrels, {"ndcg_cut.10", "map", "recall.100"})

    def ours() -> Any:
        ranked = graded(task, rank_all(Matrix(scores), depth=documents, memory_mb=512))
        return ndcg(ranked, k=10), average_precision(ranked), recall(ranked, k=100)

    ways = {"ours": ours, "pytrec_eval": lambda: evaluator.evaluate(run)}
    if find_spec("ranx"):
        from ranx import Qrels, Run, evaluate

        theirs = Qrels(dict(task.qrels)), Run(run)
        ways["ranx"] = lambda: evaluate(*theirs, ["ndcg@10", "map", "recall@100"], make_comparable=False)
    found = np.array([row["ndcg_cut_10"] for row in evaluator.evaluate(run).values()])
    if np.abs(found - ours()[0]).max() > 1e-6:
        raise SystemExit("the metrics differ")
    taken = in_turns(ways, repeats)
    what = f"metrics of {queries:,} queries x {documents:,} documents"
    rows: list[dict[str, Any]] = [
        {"what": what, "against": name, "target": "at least 2", "value": ratio(taken[name], taken["ours"])}
        for name in ways
        if name != "ours"
    ]
    rows += resamples(queries, repeats)
    record("statistics_speed", options, rows)


def resamples(count: int, repeats: int) -> list[dict[str, Any]]:
    """Seconds of the bootstrap and of the test, each beside what a plain script does."""
    rng = np.random.default_rng(1)
    first, second, groups = rng.random(count), rng.random(count), [""] * count

    def plain_bootstrap() -> Any:
        draws = np.random.default_rng(0)
        return [first[draws.integers(0, count, count)].mean() for _ in range(count)]

    def plain_signs() -> Any:
        draws, delta = np.random.default_rng(0), first - second
        return [(delta * draws.choice([-1, 1], count)).sum() for _ in range(count)]

    taken = in_turns(
        {
            "bootstrap": lambda: mean_interval(first, groups, rng=np.random.default_rng(0), resamples=count),
            "plain bootstrap": plain_bootstrap,
            "signs": lambda: sign_flip_p(first, second, groups, rng=np.random.default_rng(0), resamples=count),
            "plain signs": plain_signs,
        },
        repeats,
    )
    return [
        {
            "what": f"{name} of {count:,} queries, {count:,} resamples",
            "against": "a loop in NumPy",
            "target": "under 2 seconds",
            "value": ratio(taken[f"plain {key}"], taken[key]),
            "seconds": float(np.median(taken[key])),
        }
        for key, name in (("bootstrap", "bootstrap"), ("signs", "sign-flip test"))
    ]


if __name__ == "__main__":
    main()
