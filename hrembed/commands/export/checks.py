"""How an export compares with its source: vectors, rankings, time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from hrembed.data.locate import locate
from hrembed.data.pairs import pairs_file, read_pairs
from hrembed.data.read import is_task, read_task
from hrembed.errors import DataError
from hrembed.metrics.agreement import top_overlap
from hrembed.models.dense import DenseEncoder, Prompts, normalises
from hrembed.models.exported import transformer_inputs
from hrembed.models.transformer import TransformerBackend
from hrembed.records.export import Cosines, QuantisedExport, RankingComparison, Speed
from hrembed.scoring.retrieval import compare, estimate, groups_of, rank_task, score_ranking
from hrembed.scoring.varied_texts import row_cosines
from hrembed.text import normalise
from hrembed.titles import normal_form

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from hrembed.config.export import ExportConfig
    from hrembed.records.export import ExportFormat
    from hrembed.runs.record import Run
    from hrembed.scoring.varied_texts import Probe
    from hrembed.types import Backend, Floats, Ints, Side, Task, Text, TitleSides

METRIC = "ndcg@10"
DEPTH = 10
_REPEATS = 3
_TIMED = 32


class Served:
    """A model as servers run it: queries come one at a time, documents in batches.

    A graph that quantises activations while it runs takes their range over the batch, so a text has other vectors in
    other company; a query embedded among others would be measured under a condition that it never meets.

    Args:
        query: Embeds queries.
        document: Embeds documents.
        identity: Names both.
    """

    def __init__(self, query: Backend, document: Backend, *, identity: str) -> None:
        self._sides: Mapping[Side, Backend] = {"query": query, "document": document}
        self.identity = identity
        self.source = document.source
        self.batch_size = document.batch_size

    def embed(self, texts: Sequence[str], side: Side, prompt: str) -> Floats:
        """Embed texts, shape (n, dim)."""
        batches = [texts] if side == "document" else [[text] for text in texts]
        return np.concatenate([self._sides[side].embed(batch, side, prompt) for batch in batches])


class Judge:
    """Compares int8 exports with their source on a task.

    Args:
        config: Validated settings.
        task: What is ranked.
        whole: The source with all its sides.
        cache: Folder for vectors, so that the source's are computed once.
        titles: Which texts have their job titles normalised.
    """

    def __init__(self, config: ExportConfig, task: Task, whole: Any, cache: Path, titles: TitleSides) -> None:
        self._config = config
        self._task = task
        self._whole = self._backend(whole)
        self._cache = cache
        self._titles = titles
        self._source = self._encoder(Served(self._whole, self._whole, identity="source"))

    def _backend(self, model: Any) -> Backend:
        return TransformerBackend(lambda: model, identity="", batch_size=self._config.model.batch_size)

    def _encoder(self, backend: Backend) -> DenseEncoder:
        section = self._config.model
        prompts = Prompts(section.query_prompt, section.document_prompt)
        return DenseEncoder(
            backend,
            name=backend.identity,
            prompts=prompts,
            titles=self._titles,
            dimensions=section.dimensions,
            cache=self._cache,
        )

    def judge(self, form: ExportFormat, model: Any, mb: float, expected: Probe, found: Probe) -> QuantisedExport:
        """Compare vectors and rankings, and say whether the export is within the limits.

        Args:
            form: Name of the format.
            model: The export, opened.
            mb: Its size, MB.
            expected: Of the source.
            found: Of the export.

        Raises:
            ModelError: A vector is not finite.
        """
        config, other = self._config, self._backend(model)
        sides = [self._whole if config.side not in (None, side) else other for side in ("query", "document")]
        export = self._encoder(Served(*sides, identity=form))
        cosines = self._cosines(export, expected, found)
        mean, ranking = float(cosines.mean()), self._compare_rankings(export)
        return QuantisedExport(
            mb=mb,
            cosine=Cosines(mean=mean, lowest=float(cosines.min()), vectors=len(cosines)),
            lowest_cosine_alone_to_batch=float(row_cosines(found.alone, found.together).min()),
            ranking=ranking,
            kept=mean >= config.min_cosine and ranking.difference.value >= -config.max_loss,
        )

    def _cosines(self, export: DenseEncoder, expected: Probe, found: Probe) -> Floats:
        parts = [row_cosines(np.concatenate(expected), np.concatenate(found))]
        texts: dict[Side, Sequence[Text]] = {"query": self._task.queries, "document": self._task.documents}
        for side, rows in texts.items():
            if self._config.side in (None, side):
                both = (encoder.vectors([row.text for row in rows], side) for encoder in (self._source, export))
                parts.append(row_cosines(*both))
        return np.concatenate(parts)

    def _compare_rankings(self, export: DenseEncoder) -> RankingComparison:
        task, bootstrap, groups = self._task, self._config.bootstrap, groups_of(self._task)
        rankings = [rank_task(encoder, task, depth=DEPTH) for encoder in (self._source, export)]
        before, after = (score_ranking(task, ranking, [METRIC])[METRIC] for ranking in rankings)
        shared = top_overlap(rankings[0].documents, rankings[1].documents, DEPTH)
        return RankingComparison(
            task=task.name,
            metric=METRIC,
            source=estimate(before, groups, bootstrap),
            export=estimate(after, groups, bootstrap),
            difference=compare(after, before, groups, bootstrap).estimate,
            same_top_10=float(np.nanmean(shared)),
        )


def calibration(config: ExportConfig, task: Task, source: Any, run: Run, titles: TitleSides) -> list[dict[str, Ints]]:
    """Embed a seeded sample of texts with the source, and record the inputs of its transformer: name to array.

    Raises:
        DataError: There are no such texts, or none outside of the comparison.
    """
    path = pairs_file(locate(config.calibrate_on))
    run.add_input("calibration", path)
    compared = {normalise(text.text) for text in (*task.queries, *task.documents)}
    texts = [(side, text) for side, text in _texts(path) if config.side in (None, side)]
    free = list(dict.fromkeys(entry for entry in texts if normalise(entry[1]) not in compared))
    if len(free) < 2:
        raise DataError(
            (
                f"{path}: only {len(free)} of {len(texts)} texts are left for calibration; the others are used "
                "for the comparison"
            ),
            hint="set `calibrate_on` to different data than `compare_on`",
        )
    size = min(config.calibration_texts, len(free))
    chosen = np.sort(np.random.default_rng(config.seed).choice(len(free), size, replace=False))
    section = config.model
    prompts: dict[Side, str] = {
        "query": section.query_prompt.replace("{instruction}", task.instruction),
        "document": section.document_prompt.replace("{instruction}", task.instruction),
    }
    seen = [(side, normal_form(text) if normalises(titles, side) else text) for side, text in (free[n] for n in chosen)]
    return transformer_inputs(source, seen, prompts)


def _texts(path: Path) -> list[tuple[Side, str]]:
    if is_task(path):
        task = read_task(path, None)
        return [("query", text.text) for text in task.queries] + [("document", text.text) for text in task.documents]
    pairs = read_pairs(path)
    return [("query", pair.anchor) for pair in pairs] + [("document", pair.positive) for pair in pairs]


def measure_speed(models: Mapping[str, Any], task: Task, batch_size: int) -> dict[str, Speed]:
    """Time models on the first documents of a task, in turns, so that what else the machine does meets all of them.

    Args:
        models: Name to model, the reference first.
        task: Whose documents are embedded.
        batch_size: Texts embedded at once.
    """
    texts = [document.text for document in task.documents[:_TIMED]]
    seconds: dict[str, list[float]] = {name: [] for name in models}
    for repeat in range(_REPEATS + 1):
        for name, model in models.items():
            started = time.perf_counter()
            model.encode(texts, batch_size=batch_size, show_progress_bar=False)
            if repeat:  # the first warms up
                seconds[name].append(time.perf_counter() - started)
    medians = {name: float(np.median(values)) for name, values in seconds.items()}
    reference = next(iter(medians.values()))
    return {
        name: Speed(seconds_per_1000_texts=median / len(texts) * 1000, share_of_reference=median / reference)
        for name, median in medians.items()
    }
