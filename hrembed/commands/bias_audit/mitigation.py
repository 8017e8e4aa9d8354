"""What could be done about a gap: each way measured before and after, with what it costs.

Names are split in three: one third teaches an eraser, one the probe that looks for what is left, one is asked. A probe
that is asked about the names an eraser was fitted on reads chance, whatever is left for others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hrembed.audit.stimuli import CROSS, fill, without_header, without_slots
from hrembed.commands.bias_audit.probes import numbered
from hrembed.errors import ModelError
from hrembed.evaluation.search import rank_all
from hrembed.metrics.counterfactual import deviations
from hrembed.metrics.erasure import leace, mean_difference
from hrembed.metrics.leakage import cross_fitted, folds_of, on_itself
from hrembed.models.dense import DenseEncoder, DenseSimilarity
from hrembed.models.projection import save_with_projection
from hrembed.models.refs import parse_ref
from hrembed.models.static import is_model2vec
from hrembed.scoring.encoders import model_folder
from hrembed.scoring.retrieval import open_task, score_ranking

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hrembed.audit.findings import Method
    from hrembed.commands.bias_audit.stimuli import Stimuli
    from hrembed.config.bias_audit import AuditConfig
    from hrembed.runs.record import Run
    from hrembed.types import Encoder, Floats, Ints, Side

_ERASERS = {"leace": leace, "mean-difference": mean_difference}


def mitigate(config: AuditConfig, stimuli: Stimuli, encoder: Encoder, method: Method, run: Run) -> list[dict[str, Any]]:
    """Measure every way of the config.

    Returns:
        For each way: the largest score gap, leakage of every attribute on unseen names (and, for erasers, what a probe
        on the eraser's own names reads), and the metric of the utility task, before and after.

    Raises:
        ModelError: The model gives no vectors.
    """
    section = config.mitigation
    if not section.ways:
        return []
    if not isinstance(encoder, DenseEncoder) or config.model is None:
        raise ModelError("`mitigation` needs a model with vectors", hint="a lexical one has none to change")
    bench = _bench(config, stimuli, encoder, run)
    rows = []
    for way in section.ways:
        run.progress.note(f"mitigation: {way}")
        before, after, own = bench.measured(way)
        rows.append({"way": way, "metric": section.metric, "before": before, "after": after} | own)
        if way in _ERASERS and parse_ref(config.model.ref).scheme in {"catalogue", "path", "run", "hf"}:
            source = model_folder(config.model, run.root)
            if not is_model2vec(source):
                save_with_projection(source, bench.eraser(way), run.path / f"model-{way}")
                rows[-1]["model"] = f"model-{way}"
    return rows


@dataclass
class _Bench:
    """Vectors, and what is asked of them."""

    stimuli: Stimuli
    jobs: Floats
    plain: Floats
    header: Floats
    named: Floats  # (R, N, d)
    queries: Floats
    documents: Floats
    utility: Callable[[Floats, Floats], float]
    thirds: Ints
    seed: int

    def eraser(self, way: str) -> Any:
        """Fit on the named résumés of the first third of the names, all attributes together."""
        fit = np.flatnonzero(self.thirds == 0)
        cells = numbered([*self.stimuli.names.groups.values()][-1])
        rows = self.named[:, fit].reshape(-1, self.named.shape[2])
        return _ERASERS[way](rows, np.tile(cells[fit], len(self.named)))

    def measured(self, way: str) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        rest = np.flatnonzero(self.thirds > 0)
        before = self._facts(self.jobs, self.plain, self.named, rest, self.utility(self.queries, self.documents))
        if way == "header":
            bare = np.repeat(self.header[:, None], self.named.shape[1], axis=1)
            utility = self.utility(self.queries, self.documents)
            return before, self._facts(self.jobs, self.header, bare, rest, utility), {}
        if way == "average":
            mean = self.named.mean(axis=1)
            mean /= np.linalg.norm(mean, axis=1, keepdims=True)
            even = np.repeat(mean[:, None], self.named.shape[1], axis=1)
            utility = self.utility(self.queries, self.documents)
            return before, self._facts(self.jobs, mean, even, rest, utility), {"cost": self.named.shape[1]}
        erase = self.eraser(way)
        named = erase(self.named.reshape(-1, self.named.shape[2])).reshape(self.named.shape)
        utility = self.utility(erase(self.queries), erase(self.documents))
        after = self._facts(erase(self.jobs), erase(self.plain), named, rest, utility)
        fit = np.flatnonzero(self.thirds == 0)
        taught = erase.moved(self.named[:, fit].reshape(-1, self.named.shape[2]))
        naive = {
            name: on_itself(taught, np.tile(labels[fit], len(self.named))) for name, labels in self._labels().items()
        }
        return before, after, {"leakage_on_its_own_names": naive}

    def _labels(self) -> dict[str, Ints]:
        return {name: numbered(own) for name, own in self.stimuli.names.groups.items() if CROSS not in name}

    def _added(self, named: Floats, plain: Floats) -> Floats:
        return np.asarray((named - plain[:, None]).mean(axis=0))

    def _facts(self, jobs: Floats, plain: Floats, named: Floats, rest: Ints, utility: float) -> dict[str, Any]:
        """Gap and leakage of the names that taught no eraser."""
        scores = np.einsum("jd,rnd->jrn", jobs, named[:, rest])
        effects = deviations(scores, jobs @ plain.T).mean(axis=(0, 1))
        added, gap, leak = self._added(named, plain)[rest], 0.0, {}
        for name, labels in self._labels().items():
            own = labels[rest]
            means = [effects[own == group].mean() for group in np.unique(own)]
            gap = max(gap, float(max(means) - min(means)))
            if np.abs(added).max() < 1e-6:  # nothing of a name is left to look at
                leak[name] = 1 / (int(own.max()) + 1)
                continue
            folds = folds_of(own, np.zeros_like(own), 2, np.random.default_rng(self.seed))
            leak[name] = float(cross_fitted(added, own[None], folds)[0])
        return {"largest_gap": gap, "leakage": leak, "utility": utility}


def _bench(config: AuditConfig, stimuli: Stimuli, encoder: DenseEncoder, run: Run) -> _Bench:
    task = open_task(config.mitigation.task, run)
    instruction = task.instruction
    queries = encoder.vectors([own.text for own in task.queries], "query", instruction=instruction)
    documents = encoder.vectors([own.text for own in task.documents], "document", instruction=instruction)
    metric = config.mitigation.metric

    def utility(one: Floats, other: Floats) -> float:
        ranking = rank_all(DenseSimilarity(one.astype(np.float32), other.astype(np.float32)), depth=1000, memory_mb=512)
        return float(np.nanmean(score_ranking(task, ranking, [metric])[metric]))

    names, seed = stimuli.names, config.bootstrap.seed
    named = encoder.vectors(fill(stimuli.resumes, names.names), "document").astype(np.float64)
    cells = numbered([*names.groups.values()][-1])
    return _Bench(
        stimuli=stimuli,
        jobs=_vectors(encoder, [job.text for job in stimuli.jobs], "query"),
        plain=_vectors(encoder, without_slots(stimuli.resumes), "document"),
        header=_vectors(encoder, without_header(stimuli.resumes), "document"),
        named=named.reshape(len(stimuli.resumes), len(names.names), -1),
        queries=queries.astype(np.float64),
        documents=documents.astype(np.float64),
        utility=utility,
        thirds=folds_of(cells, np.zeros_like(cells), 3, np.random.default_rng(seed)),
        seed=seed,
    )


def _vectors(encoder: DenseEncoder, texts: Sequence[str], side: Side) -> Floats:
    return encoder.vectors(texts, side).astype(np.float64)
