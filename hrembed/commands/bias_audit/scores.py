"""What an audit shows, and the scores that come back: of a model, or of a file from another system."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hrembed.audit.decisions import score_cell
from hrembed.audit.measures import Meter
from hrembed.audit.stimuli import spaced, without_header, without_slots
from hrembed.commands.bias_audit.stimuli import WORDINGS
from hrembed.data.read import read_table
from hrembed.errors import DataError, ModelError
from hrembed.evaluation.perturb import perturb
from hrembed.metrics.counterfactual import deviations, ranks_among
from hrembed.records.bias_audit import Control

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from hrembed.audit.measures import Measurements
    from hrembed.audit.stimuli import Template
    from hrembed.commands.bias_audit.stimuli import Stimuli
    from hrembed.config.bias_audit import AuditConfig
    from hrembed.types import Encoder, Floats, Text

_NUMBERS = 4_000_000  # scores in memory at once


@dataclass
class ModelScores:
    """Scores of an encoder, jobs in chunks."""

    encoder: Encoder
    jobs: Sequence[Text]
    resumes: Sequence[Template]

    def chunks(self, texts: Sequence[str]) -> Iterator[tuple[slice, Floats, Floats]]:
        """Yield a range of jobs, scores (J, R, N) of `texts` (R x N), and scores (J, R) of the nameless résumés.

        Raises:
            ModelError: A text cannot be embedded, or a job scores every nameless résumé alike.
        """
        rows = len(self.resumes)
        queries = [job.text for job in self.jobs]
        similarity = self.encoder.similarity(queries, [*without_slots(self.resumes), *texts])
        step = max(1, _NUMBERS // (rows + len(texts)))
        for start in range(0, len(queries), step):
            part = slice(start, min(start + step, len(queries)))
            scores = similarity.block(part, slice(None)).astype(np.float64)
            nameless = scores[:, :rows]
            flat = np.flatnonzero(nameless.std(axis=1) == 0)
            if len(flat):
                raise ModelError(
                    f"model '{self.encoder.name}' gives all nameless résumés the same score for job "
                    f"'{self.jobs[start + int(flat[0])].id}'"
                )
            yield part, scores[:, rows:].reshape(len(scores), rows, -1), nameless


@dataclass
class FileScores:
    """Scores that another system gave to the names."""

    scores: Floats
    nameless: Floats

    def chunks(self, texts: Sequence[str]) -> Iterator[tuple[slice, Floats, Floats]]:
        """Yield all at once; the texts are those of the names."""
        yield slice(0, len(self.scores)), self.scores, self.nameless


def read_scores(file: Path, stimuli: Stimuli) -> FileScores:
    """Read scores of every job, résumé and name.

    Raises:
        DataError: A column or a score is missing, an id is unknown, a cell stands twice or is no number.
    """
    positions = {
        "job": {text.id: n for n, text in enumerate(stimuli.jobs)},
        "resume": {text.id: n for n, text in enumerate(stimuli.resumes)},
        "name": {name: n for n, name in enumerate(("", *stimuli.names.names))},
    }
    table = np.full([len(known) for known in positions.values()], np.nan)
    columns = (*positions, "score")
    for line, row in read_table(file, columns, used=columns.__contains__):
        cell = []
        for column, known in positions.items():
            if row[column] not in known:
                raise DataError(f"{file}:{line}: {column} '{row[column]}' is not among the stimuli")
            cell.append(known[row[column]])
        if not np.isnan(table[tuple(cell)]):
            raise DataError(f"{file}:{line}: duplicate score for this job, résumé and name")
        table[tuple(cell)] = score_cell(file, line, row["score"])
    holes = np.argwhere(np.isnan(table))
    if len(holes):
        job, resume, name = ([*known][n] for known, n in zip(positions.values(), holes[0], strict=True))
        raise DataError(f"{file}: {len(holes):,} scores are missing; first: job '{job}', résumé '{resume}', '{name}'")
    if (table[:, :, 0].std(axis=1) == 0).any():
        raise DataError(f"{file}: all nameless résumés have the same score for one job")
    return FileScores(table[:, :, 1:], table[:, :, 0])


def measure(
    source: ModelScores | FileScores,
    texts: Sequence[str],
    stimuli: Stimuli,
    config: AuditConfig,
    collected: list[Floats] | None = None,
) -> Measurements:
    """Measure names or wordings, whose texts are R x N, on all jobs.

    Args:
        source: What scores them.
        texts: Résumé by résumé.
        stimuli: Jobs, and which résumés answer them.
        config: Cuts.
        collected: Receives the scores of each chunk of jobs, shape (J, R, 1 + N), the nameless résumé's first; None
            keeps none.
    """
    meter = Meter(config.cuts, config.headline_cut, len(stimuli.jobs))
    relevant = stimuli.relevant
    for part, scores, nameless in source.chunks(texts):
        meter.add(scores, nameless, None if relevant is None else relevant[part])
        if collected is not None:
            collected.append(np.concatenate([nameless[:, :, None], scores], axis=2))
    return meter.read()


def controls(source: ModelScores, stimuli: Stimuli, headline: float) -> tuple[Control, ...]:
    """Measure typos (about one word in eight, eight times), white space, and the missing header."""
    nameless = without_slots(stimuli.resumes)
    changed = {
        "typos": [perturb(text, "typos", seed) for text in nameless for seed in range(WORDINGS)],
        "white space": spaced(nameless),
        "header removed": without_header(stimuli.resumes),
    }
    return tuple(_control(source, name, texts, headline) for name, texts in changed.items())


def _control(source: ModelScores, name: str, texts: Sequence[str], headline: float) -> Control:
    shift = flip = 0.0
    jobs = 0
    for _, scores, nameless in source.chunks(texts):
        places = max(1, round(headline * nameless.shape[1]))
        before = ranks_among(nameless[:, :, None], nameless) <= places
        after = ranks_among(scores, nameless) <= places
        shift += float(np.abs(deviations(scores, nameless)).mean()) * len(scores)
        flip += float((before != after).mean()) * len(scores)
        jobs += len(scores)
    return Control(name=name, shift=shift / jobs, flip=flip / jobs)
