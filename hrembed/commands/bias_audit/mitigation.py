"""What could be done about a gap: each way measured before and after, with what it costs.

Names are split in three: one third teaches an eraser, one the probe that looks for what is left, one is asked. A probe
that is asked about the names an eraser was fitted on reads chance, whatever is left for others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hrembed.audit.stimuli import CROSS, fill, without_header, without_slots
from hrembed.commands.bias_audit.probes import numbered
from hrembed.errors import ModelError
from hrembed.evaluation.search import rank_all
from hrembed.metrics.counterfactual import deviations
from hrembed.metrics.erasure import leace, mean_difference
from hrembed.metrics.leakage import cross_fitted, folds_of, on_itself
from hrembed.models.dense import DenseEncoder, DenseSimilarity
from hrembed.models.folder import write_title_setting
from hrembed.models.projection import save_with_projection
from hrembed.models.refs import parse_ref
from hrembed.models.static import is_model2vec
from hrembed.records.bias_audit import Mitigation, MitigationState
from hrembed.scoring.encoders import model_folder
from hrembed.scoring.retrieval import open_task, score_ranking

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hrembed.commands.bias_audit.stimuli import Stimuli
    from hrembed.config.bias_audit import AuditConfig
    from hrembed.config.parts import ModelSection
    from hrembed.metrics.erasure import Eraser
    from hrembed.runs.record import Run
    from hrembed.types import Encoder, Floats, Ints, Side, TitleSides

_ERASERS: dict[str, Callable[[Floats, Ints], Eraser]] = {"leace": leace, "mean-difference": mean_difference}


def mitigate(config: AuditConfig, stimuli: Stimuli, encoder: Encoder, run: Run) -> tuple[Mitigation, ...]:
    """Measure every way of the config, before and after; erasers are saved with the model where it can be read.

    Raises:
        ModelError: The model gives no vectors.
    """
    section = config.mitigation
    if not section.ways:
        return ()
    if not isinstance(encoder, DenseEncoder) or config.model is None:
        raise ModelError("`mitigation` requires an embedding model", hint="lexical models have no embeddings to modify")
    bench = _open_bench(config, stimuli, encoder, run)
    rows = []
    for way in section.ways:
        run.progress.note(f"mitigation: {way}")
        titles = encoder.use.normalised_titles or "none"
        model = f"model-{way}" if way in _ERASERS and _save(config.model, bench, way, run, titles) else None
        rows.append(bench.measure(way, model))
    return tuple(rows)


def _save(section: ModelSection, bench: _Bench, way: str, run: Run, titles: TitleSides) -> bool:
    """Save the model with the eraser as its last module; False where its weights do not lie here as a transformer."""
    if not parse_ref(section.ref).has_weights:
        return False
    source = model_folder(section, run.root)
    if is_model2vec(source):
        return False
    folder = run.path / f"model-{way}"
    save_with_projection(source, bench.eraser(way), folder)
    write_title_setting(folder, titles)
    return True


@dataclass
class _Bench:
    """Vectors of jobs, résumés and names, and what is measured on them.

    Attributes:
        stimuli: Names and their groups.
        jobs: Shape (J, d).
        nameless: Résumés without a name, shape (R, d).
        headless: Résumés without the line that holds the name, shape (R, d).
        named: Résumés under every name, shape (R, N, d).
        queries: Of the utility task.
        documents: Of the utility task.
        metric: Name of the metric of the utility task.
        utility: Metric of the utility task from vectors of its queries and documents.
        thirds: Third of each name, shape (N,); the first one fits erasers.
        seed: Of folds.
    """

    stimuli: Stimuli
    jobs: Floats
    nameless: Floats
    headless: Floats
    named: Floats
    queries: Floats
    documents: Floats
    metric: str
    utility: Callable[[Floats, Floats], float]
    thirds: Ints
    seed: int

    def eraser(self, way: str) -> Eraser:
        """Fit on the named résumés of the first third of the names, all attributes together."""
        rows, names = self._fitting_rows()
        cells = numbered([*self.stimuli.names.groups.values()][-1])
        return _ERASERS[way](rows, np.tile(cells[names], len(self.named)))

    def measure(self, way: str, model: str | None) -> Mitigation:
        """Measure one way before and after; `model` is the folder that it was saved in."""
        plain_utility = self.utility(self.queries, self.documents)
        before = self._state(self.jobs, self.nameless, self.named, plain_utility)
        if way == "header":
            even = np.repeat(self.headless[:, None], self.named.shape[1], axis=1)
            after = self._state(self.jobs, self.headless, even, plain_utility)
            return Mitigation(way=way, metric=self.metric, before=before, after=after)
        if way == "average":
            mean = self.named.mean(axis=1)
            mean /= np.linalg.norm(mean, axis=1, keepdims=True)
            even = np.repeat(mean[:, None], self.named.shape[1], axis=1)
            after = self._state(self.jobs, mean, even, plain_utility)
            return Mitigation(way=way, metric=self.metric, before=before, after=after, cost=self.named.shape[1])
        erase = self.eraser(way)
        named = erase(self.named.reshape(-1, self.named.shape[2])).reshape(self.named.shape)
        utility = self.utility(erase(self.queries), erase(self.documents))
        after = self._state(erase(self.jobs), erase(self.nameless), named, utility)
        rows, names = self._fitting_rows()
        naive = {
            attribute: on_itself(erase.moved(rows), np.tile(labels[names], len(self.named)))
            for attribute, labels in self._labels().items()
        }
        return Mitigation(
            way=way, metric=self.metric, before=before, after=after, leakage_on_its_own_names=naive, model=model
        )

    def _fitting_rows(self) -> tuple[Floats, Ints]:
        """Vectors that erasers are fitted on, résumé by résumé, and the positions of their names."""
        names = np.flatnonzero(self.thirds == 0)
        return self.named[:, names].reshape(-1, self.named.shape[2]), names

    def _labels(self) -> dict[str, Ints]:
        return {name: numbered(groups) for name, groups in self.stimuli.names.groups.items() if CROSS not in name}

    def _state(self, jobs: Floats, nameless: Floats, named: Floats, utility: float) -> MitigationState:
        """Gap and leakage of the names that no eraser was fitted on."""
        unseen = np.flatnonzero(self.thirds > 0)
        scores = np.einsum("jd,rnd->jrn", jobs, named[:, unseen])
        effects = deviations(scores, jobs @ nameless.T).mean(axis=(0, 1))
        added = (named - nameless[:, None]).mean(axis=0)[unseen]
        largest_gap, leakage = 0.0, {}
        for attribute, labels in self._labels().items():
            groups = labels[unseen]
            means = [effects[groups == group].mean() for group in np.unique(groups)]
            largest_gap = max(largest_gap, float(max(means) - min(means)))
            if np.abs(added).max() < 1e-6:  # nothing of a name is left to look at
                leakage[attribute] = 1 / (int(groups.max()) + 1)
                continue
            folds = folds_of(groups, np.zeros_like(groups), 2, np.random.default_rng(self.seed))
            leakage[attribute] = float(cross_fitted(added, groups[None], folds)[0])
        return MitigationState(largest_gap=largest_gap, leakage=leakage, utility=utility)


def _open_bench(config: AuditConfig, stimuli: Stimuli, encoder: DenseEncoder, run: Run) -> _Bench:
    task = open_task(config.mitigation.task, run)
    instruction = task.instruction
    queries = encoder.vectors([query.text for query in task.queries], "query", instruction=instruction)
    documents = encoder.vectors([document.text for document in task.documents], "document", instruction=instruction)
    metric = config.mitigation.metric

    def utility(queries: Floats, documents: Floats) -> float:
        similarity = DenseSimilarity(queries.astype(np.float32), documents.astype(np.float32))
        ranking = rank_all(similarity, depth=1000, memory_mb=512)
        return float(np.nanmean(score_ranking(task, ranking, [metric])[metric]))

    names, seed = stimuli.names, config.bootstrap.seed
    named = encoder.vectors(fill(stimuli.resumes, names.names), "document").astype(np.float64)
    cells = numbered([*names.groups.values()][-1])
    return _Bench(
        stimuli=stimuli,
        jobs=_vectors(encoder, [job.text for job in stimuli.jobs], "query"),
        nameless=_vectors(encoder, without_slots(stimuli.resumes), "document"),
        headless=_vectors(encoder, without_header(stimuli.resumes), "document"),
        named=named.reshape(len(stimuli.resumes), len(names.names), -1),
        queries=queries.astype(np.float64),
        documents=documents.astype(np.float64),
        metric=metric,
        utility=utility,
        thirds=folds_of(cells, np.zeros_like(cells), 3, np.random.default_rng(seed)),
        seed=seed,
    )


def _vectors(encoder: DenseEncoder, texts: Sequence[str], side: Side) -> Floats:
    return encoder.vectors(texts, side).astype(np.float64)
