"""What an audit shows: jobs, r?sum?s, names and cues, as the config names them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hrembed.audit.answers import read_answers
from hrembed.audit.cues import CUE_COLUMNS, SPELLING, TITLE_COLUMNS, foreign_english, read_cues, read_titles
from hrembed.audit.stimuli import (
    NAME_SLOT,
    Units,
    choose_names,
    fill,
    half_of,
    name_features,
    templates,
    without_slots,
    words_in_braces,
)
from hrembed.data.locate import locate
from hrembed.data.read import read_names, read_records, read_table
from hrembed.errors import DataError, ModelError
from hrembed.evaluation.perturb import perturb
from hrembed.models.tokenizer import open_tokenizer
from hrembed.scoring.encoders import model_folder
from hrembed.text import counted

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hrembed.audit.cues import JobTitle
    from hrembed.audit.stimuli import Template
    from hrembed.config.bias_audit import AuditConfig
    from hrembed.runs.record import Run
    from hrembed.types import Bools, Floats, Text


TITLES = "titles"


_LISTED = 5
WORDINGS = 8  # seeds of typos and of foreign English


class Stimuli(NamedTuple):
    """What is shown.

    Attributes:
        jobs: Queries.
        resumes: Templates with `{name}`.
        names: Names and their groups, with the intersection of all attributes.
        features: Feature that names were matched on -> its value for each name, shape (N,).
        cues: Cue -> its wordings; `spelling` holds seeds, see `cue_texts`.
        titles: Job titles in two grammatical genders; none where they are not asked for.
    """

    jobs: Sequence[Text]
    resumes: Sequence[Template]
    names: Units
    features: dict[str, Floats]
    cues: dict[str, Units]
    titles: Sequence[JobTitle]

    @property
    def relevant(self) -> Bools | None:
        """Which résumé answers which job, shape (J, R): those of its occupation; None when that is unknown."""
        matches = np.array(
            [
                [bool(_occupation(job)) and _occupation(job) == _occupation(resume) for resume in self.resumes]
                for job in self.jobs
            ]
        )
        return matches if matches.any() else None


def _occupation(text: Text) -> str:
    return text.group or text.fields.get("occupation", "")


def open_stimuli(config: AuditConfig, run: Run) -> Stimuli:
    """Read jobs, résumés, names and cues; choose names that are alike in the eyes of the audited model.

    Raises:
        DataError: A file is missing or malformed, there are too few résumés or names, or one group only.
    """
    section = config.stimuli
    files = {"jobs": locate(section.jobs), "resumes": locate(section.resumes), "names": locate(section.names)}
    wanted = [cue for cue in config.cues if cue not in (SPELLING, TITLES)] if config.scores is None else []
    if wanted:
        files["cues"] = locate(section.cues)
    if TITLES in config.cues and config.scores is None:
        files["titles"] = locate(section.titles)
    for part, path in files.items():
        run.add_input(part, path)
    jobs = read_records(files["jobs"], "")
    resumes = templates(read_records(files["resumes"], NAME_SLOT), [cue for cue in config.cues if cue != SPELLING])
    if len(resumes) < 2:
        raise DataError(f"{files['resumes']}: at least two résumés are needed to estimate how much scores vary")
    _name_words_in_braces(resumes, run)
    rows = half_of(_read_groups(files["names"], section.attributes, run), section.attributes, section.half)
    tokens = _tokens(config, run.root, [row["name"] for row in rows])
    names = choose_names(rows, section.attributes, section.names_per_cell, tokens)
    features = name_features(rows, tokens)
    positions = {row["name"]: n for n, row in enumerate(rows)}
    chosen = [positions[name] for name in names.names]
    cues = read_cues(files["cues"], read_table(files["cues"], CUE_COLUMNS), wanted) if wanted else {}
    if SPELLING in config.cues and config.scores is None:
        cues[SPELLING] = _spellings()
    return Stimuli(
        jobs=jobs,
        resumes=resumes,
        names=names.crossed(),
        features={name: values[chosen] for name, values in features.items()},
        cues={cue: cues[cue] for cue in config.cues if cue in cues},
        titles=read_titles(files["titles"], read_table(files["titles"], TITLE_COLUMNS)) if "titles" in files else (),
    )


def _read_groups(file: Path, attributes: Sequence[str], run: Run) -> list[dict[str, str]]:
    """Read names, with one spelling for each group.

    Raises:
        DataError: As `read_names`, or a group is an answer that names none.
    """
    rows = read_names(file, attributes)
    for attribute in attributes:
        answers = read_answers([row[attribute] for row in rows], [1] * len(rows))
        for row, group in zip(rows, answers.categories, strict=True):
            if group is None:
                raise DataError(
                    (
                        f"{file}: name '{row['name']}': '{row[attribute].strip()}' in column '{attribute}' is not a "
                        "group"
                    ),
                    hint="remove names whose group is unknown; otherwise they would be compared as one group",
                )
            row[attribute] = group
        for group, others in answers.spellings.items():
            run.progress.note(f"{attribute}: '{group}' is also spelled {', '.join(map(repr, others))}; merged")
    return rows


def _name_words_in_braces(resumes: Sequence[Template], run: Run) -> None:
    counts = words_in_braces(resumes)
    if counts:
        listed = ", ".join(f"{word} in {number:,}" for word, number in list(counts.items())[:_LISTED])
        further = f" and {len(counts) - _LISTED:,} more words" if len(counts) > _LISTED else ""
        slots = ", ".join(sorted({NAME_SLOT, *resumes[0].slots}))
        run.progress.note(
            f"{listed}{further} in {counted(len(resumes), 'résumé')}: left unchanged; supported slots: {slots}"
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


def cue_texts(resumes: Sequence[Template], cue: str, units: Units) -> list[str]:
    """Write every résumé with every wording of a cue, R x N texts, résumé by résumé."""
    if cue != SPELLING:
        return fill(resumes, units.names, f"{{{cue}}}")
    changes = list(zip(units.held, units.groups[SPELLING], strict=True))
    return [
        foreign_english(text, int(seed)) if group == "foreign" else perturb(text, "typos", int(seed))
        for text in without_slots(resumes)
        for seed, group in changes
    ]
