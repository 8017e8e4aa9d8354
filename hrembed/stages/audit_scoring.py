"""What an audit shows, and the scores that come back: of a model, or of a file from another system."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hrembed.audit.cues import CUE_COLUMNS, SPELLING, TITLE_COLUMNS, foreign_english, read_cues, read_titles
from hrembed.audit.decisions import score_cell
from hrembed.audit.measures import Meter
from hrembed.audit.stimuli import (
    NAME_SLOT,
    Units,
    choose_names,
    fill,
    half_of,
    name_features,
    spaced,
    without_header,
    without_slots,
)
from hrembed.data.locate import locate
from hrembed.data.read import read_names, read_records, read_table
from hrembed.errors import DataError, ModelError
from hrembed.evaluation.perturb import perturb
from hrembed.metrics.counterfactual import deviations, ranks_among
from hrembed.models.tokenizer import open_tokenizer
from hrembed.stages.encoders import model_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from hrembed.audit.measures import Measured
    from hrembed.config.audit import AuditConfig
    from hrembed.runs.record import Run
    from hrembed.types import Bools, Encoder, Floats, Text

TITLES = "titles"
WORDINGS = 8  # seeds of typos and of foreign English
_NUMBERS = 4_000_000  # scores in memory at once


class Stimuli(NamedTuple):
    """What is shown.

    Attributes:
        jobs: Queries.
        resumes: Templates with `{name}`.
        names: Names and their groups, with the intersection of all attributes.
        features: What names were matched on, by feature.
        cues: Cue to its wordings; `spelling` holds seeds, see `cue_texts`.
        titles: Language, masculine and feminine job title.
    """

    jobs: Sequence[Text]
    resumes: Sequence[Text]
    names: Units
    features: dict[str, Floats]
    cues: dict[str, Units]
    titles: Sequence[tuple[str, str, str]]

    @property
    def relevant(self) -> Bools | None:
        """Which résumé answers which job, shape (J, R): those of its occupation; None when that is unknown."""
        found = np.array([[bool(_of(job)) and _of(job) == _of(own) for own in self.resumes] for job in self.jobs])
        return found if found.any() else None


def _of(text: Text) -> str:
    return text.group or text.fields.get("occupation", "")


def open_stimuli(config: AuditConfig, runs_dir: Path, run: Run) -> Stimuli:
    """Read jobs, résumés, names and cues; choose names that are alike in the eyes of the audited model.

    Raises:
        DataError: A file is missing or malformed, there are too few résumés or names, or one group only.
    """
    section = config.stimuli
    files = {part: locate(getattr(section, part)) for part in ("jobs", "resumes", "names")}
    wanted = [cue for cue in config.cues if cue not in (SPELLING, TITLES)] if config.scores is None else []
    if wanted:
        files["cues"] = locate(section.cues)
    if TITLES in config.cues and config.scores is None:
        files["titles"] = locate(section.titles)
    for part, path in files.items():
        run.add_input(part, path)
    jobs, resumes = read_records(files["jobs"], ""), read_records(files["resumes"], NAME_SLOT)
    if len(resumes) < 2:
        raise DataError(f"{files['resumes']}: an audit needs two résumés or more to know how much scores vary")
    rows = half_of(read_names(files["names"], section.attributes), section.attributes, section.half)
    tokens = _tokens(config, runs_dir, [row["name"] for row in rows])
    names = choose_names(rows, section.attributes, section.names_per_cell, tokens)
    features = name_features(rows, tokens)
    place = {row["name"]: n for n, row in enumerate(rows)}
    kept = [place[name] for name in names.names]
    cues = read_cues(files["cues"], read_table(files["cues"], CUE_COLUMNS), wanted) if wanted else {}
    if SPELLING in config.cues and config.scores is None:
        cues[SPELLING] = _spellings()
    return Stimuli(
        jobs,
        resumes,
        names.crossed(),
        {name: values[kept] for name, values in features.items()},
        {cue: cues[cue] for cue in config.cues if cue in cues},
        read_titles(files["titles"], read_table(files["titles"], TITLE_COLUMNS)) if "titles" in files else (),
    )


def _tokens(config: AuditConfig, runs_dir: Path, names: Sequence[str]) -> list[int] | None:
    """Tokens of each name for a model that has a tokenizer at hand; None for others."""
    if config.model is None:
        return None
    try:
        tokenizer, _, _ = open_tokenizer(model_folder(config.model, runs_dir))
    except ModelError:
        return None  # a lexical or remote model
    return [len(ids) for ids in tokenizer(list(names), add_special_tokens=False)["input_ids"]]


def _spellings() -> Units:
    """Foreign English against typos in the same résumé, one wording for each seed."""
    keys = [(str(seed), group) for group in ("foreign", "typos") for seed in range(WORDINGS)]
    names = tuple(f"{group} {seed}" for seed, group in keys)
    return Units(names, {SPELLING: tuple(group for _, group in keys)}, tuple(seed for seed, _ in keys))


def cue_texts(resumes: Sequence[Text], cue: str, units: Units) -> list[str]:
    """Write every résumé with every wording of a cue, R x N texts, résumé by résumé."""
    if cue != SPELLING:
        return fill(resumes, units.names, f"{{{cue}}}")
    changes = list(zip(units.held, units.groups[SPELLING], strict=True))
    return [
        foreign_english(text, int(seed)) if group == "foreign" else perturb(text, "typos", int(seed))
        for text in without_slots(resumes)
        for seed, group in changes
    ]


@dataclass
class ModelScores:
    """Scores of an encoder, jobs in chunks."""

    encoder: Encoder
    jobs: Sequence[Text]
    resumes: Sequence[Text]

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
            found = similarity.block(part, slice(None)).astype(np.float64)
            plain = found[:, :rows]
            flat = np.flatnonzero(plain.std(axis=1) == 0)
            if len(flat):
                raise ModelError(
                    f"model '{self.encoder.name}' gives every nameless résumé the same score for job "
                    f"'{self.jobs[start + int(flat[0])].id}'"
                )
            yield part, found[:, rows:].reshape(len(found), rows, -1), plain


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
    spots = [
        {text.id: n for n, text in enumerate(stimuli.jobs)},
        {text.id: n for n, text in enumerate(stimuli.resumes)},
        {name: n for n, name in enumerate(("", *stimuli.names.names))},
    ]
    table = np.full([len(spot) for spot in spots], np.nan)
    keys = ("job", "resume", "name")
    for line, row in read_table(file, (*keys, "score")):
        cell = []
        for spot, column in zip(spots, keys, strict=True):
            if row[column] not in spot:
                raise DataError(f"{file}:{line}: {column} '{row[column]}' is not among the stimuli")
            cell.append(spot[row[column]])
        if not np.isnan(table[tuple(cell)]):
            raise DataError(f"{file}:{line}: this job, résumé and name have a score already")
        table[tuple(cell)] = score_cell(file, line, row["score"])
    holes = np.argwhere(np.isnan(table))
    if len(holes):
        job, resume, name = ([*spot][n] for spot, n in zip(spots, holes[0], strict=True))
        raise DataError(
            f"{file}: {len(holes):,} scores are missing, the first: job '{job}', résumé '{resume}', '{name}'"
        )
    if (table[:, :, 0].std(axis=1) == 0).any():
        raise DataError(f"{file}: a job gives every nameless résumé the same score")
    return FileScores(table[:, :, 1:], table[:, :, 0])


def measure(
    source: ModelScores | FileScores,
    texts: Sequence[str],
    stimuli: Stimuli,
    config: AuditConfig,
    kept: list[Floats] | None = None,
) -> Measured:
    """Measure names or wordings, whose texts are R x N, on all jobs.

    Args:
        source: What scores them.
        texts: Résumé by résumé.
        stimuli: Jobs, and which résumés answer them.
        config: Cuts.
        kept: Takes the scores of each chunk of jobs, shape (J, R, 1 + N), the nameless résumé's first.
    """
    meter = Meter(config.cuts, config.headline_cut, len(stimuli.jobs))
    relevant = stimuli.relevant
    for part, scores, nameless in source.chunks(texts):
        meter.add(scores, nameless, None if relevant is None else relevant[part])
        if kept is not None:
            kept.append(np.concatenate([nameless[:, :, None], scores], axis=2))
    return meter.read()


class Control(NamedTuple):
    """How much a change that says nothing of a person moves scores.

    Attributes:
        name: What was changed.
        shift: Mean absolute score shift, in standard deviations.
        flip: Share of cells whose selection among the nameless turns.
    """

    name: str
    shift: float
    flip: float


def controls(source: ModelScores, stimuli: Stimuli, headline: float) -> list[Control]:
    """Measure typos (about one word in eight, eight times), white space, and the missing header."""
    plain = without_slots(stimuli.resumes)
    changed = {
        "typos": [perturb(text, "typos", seed) for text in plain for seed in range(WORDINGS)],
        "white space": spaced(plain),
        "header removed": without_header(stimuli.resumes),
    }
    return [_control(source, name, texts, headline) for name, texts in changed.items()]


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
    return Control(name, shift / jobs, flip / jobs)
