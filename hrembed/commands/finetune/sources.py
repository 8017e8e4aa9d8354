"""The `sources` of a config as rows: pairs, labelled texts or scored pairs, checked for what their loss needs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from hrembed.audit.stimuli import NAME_SLOT, fill, half_of, templates
from hrembed.config.losses import TAKE_NEGATIVES, BatchHardLoss, CosentLoss, InvarianceLoss
from hrembed.config.parts import form_of
from hrembed.data.labelled import TRAIN, pair_columns, read_label_task, read_pair_task
from hrembed.data.locate import locate
from hrembed.data.pairs import NEGATIVE, pairs_file, read_numbered_pairs
from hrembed.data.read import read_names, read_records
from hrembed.data.rows import find_table
from hrembed.errors import DataError
from hrembed.models.dense import normalises
from hrembed.records.finetune import ScoreRange, SourceFacts
from hrembed.text import normalise
from hrembed.titles import normal_form
from hrembed.types import LabelTask, Pair, PairTask

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from hrembed.config.finetune import FinetuneConfig, SourceSection
    from hrembed.records.finetune import MiningFacts
    from hrembed.runs.record import Run
    from hrembed.types import Floats, Ints, Side, Text

    Rows = Sequence[Pair] | LabelTask | PairTask

PLAIN_PAIRS = SourceFacts(kind="pairs")


@dataclass(frozen=True)
class Source:
    """What a source gives to the training.

    Attributes:
        rows: Pairs, labelled texts or scored pairs.
        facts: What was found in them.
        targets: What the loss compares each row with: its label's number or its score, shape (n,); a teacher's
            differences, shape (n, k); its vectors, one array of shape (n, width) for anchors and one for positives.
            None for losses that rank.
        columns: Of scored pairs, the names of the texts.
        mined: How hard negatives were found; None where none were mined.
    """

    rows: Rows
    facts: SourceFacts = PLAIN_PAIRS
    targets: Floats | Ints | tuple[Floats, ...] | None = None
    columns: tuple[str, str] = ("anchor", "positive")
    mined: MiningFacts | None = None

    @property
    def size(self) -> int:
        """Number of rows."""
        if isinstance(self.rows, LabelTask):
            return len(self.rows.texts)
        return len(self.rows.first) if isinstance(self.rows, PairTask) else len(self.rows)


def open_sources(config: FinetuneConfig, run: Run) -> list[Source]:
    """Read the rows of every source, and record them in the run.

    Raises:
        DataError: A source is missing, malformed, too small, or lacks what its loss needs.
    """
    return [_open(section, number, config, run) for number, section in enumerate(config.sources)]


def normalise_titles(config: FinetuneConfig, sources: Sequence[Source]) -> Sequence[Source]:
    """Normalise the job titles that the encoder will see normalised, where the config says so.

    It is done to the rows and not to the columns that are embedded, so that a batch holds no text twice.
    """
    chosen = config.model.normalise_titles or "none"
    if chosen == "none":
        return sources

    def form(side: Side) -> Callable[[str], str]:
        return normal_form if normalises(chosen, side) else str

    return [
        replace(source, rows=_rewritten(source.rows, *map(form, _sides(section))))
        for section, source in zip(config.sources, sources, strict=True)
    ]


def _sides(section: SourceSection) -> tuple[Side, Side]:
    """Sides on which the first and the second text of a row are embedded."""
    if isinstance(section.loss, BatchHardLoss):
        return section.loss.side, section.loss.side
    if isinstance(section.loss, CosentLoss):
        return "query", "query"
    return ("document" if isinstance(section.loss, InvarianceLoss) else "query"), "document"


def _rewritten(rows: Rows, first: Callable[[str], str], second: Callable[[str], str]) -> Rows:
    def each(texts: Sequence[Text], form: Callable[[str], str]) -> tuple[Text, ...]:
        return tuple(replace(text, text=form(text.text)) for text in texts)

    if isinstance(rows, LabelTask):
        return replace(rows, texts=each(rows.texts, first))
    if isinstance(rows, PairTask):
        return replace(rows, first=each(rows.first, first), second=each(rows.second, second))
    return [
        replace(
            pair,
            anchor=first(pair.anchor),
            positive=second(pair.positive),
            negatives=tuple(second(text) for text in pair.negatives),
        )
        for pair in rows
    ]


def _open(section: SourceSection, number: int, config: FinetuneConfig, run: Run) -> Source:
    path = _file(locate(section.path), section)
    rng = np.random.default_rng(config.train.seed)
    if isinstance(section.loss, BatchHardLoss):
        source = _labelled(path, section, rng)
    elif isinstance(section.loss, CosentLoss):
        source = _scored(path, section, rng)
    elif isinstance(section.loss, InvarianceLoss):
        source = _swapped(path, section.loss, section, rng)
    else:
        source = _pairs(path, section, rng)
    run.add_input(f"source-{number}", path)
    return source


def _file(path: Path, section: SourceSection) -> Path:
    if isinstance(section.loss, BatchHardLoss) and path.is_dir() and (train := find_table(path, TRAIN)):
        return train
    return pairs_file(path)


def _sample(rows: int, limit: int | None, rng: np.random.Generator) -> list[int]:
    """Positions of the rows that are used, in their order."""
    if limit is None or limit >= rows:
        return list(range(rows))
    return [int(n) for n in sorted(rng.choice(rows, limit, replace=False))]


def _labelled(path: Path, section: SourceSection, rng: np.random.Generator) -> Source:
    """Read texts with labels, of which two or more must stand for two texts or more."""
    task = read_label_task(path, path.stem, "clustering", form=form_of(section))
    sample = _sample(len(task.texts), section.limit, rng)
    labels = tuple(task.labels[n] for n in sample)
    counts = Counter(labels)
    if sum(number > 1 for number in counts.values()) < 2:
        raise DataError(
            f"{path}: the loss `batch-hard` needs at least two labels with two texts each, found {dict(counts)}"
        )
    numbers = {label: n for n, label in enumerate(sorted(counts))}
    rows = replace(task, texts=tuple(task.texts[n] for n in sample), labels=labels)
    facts = SourceFacts(kind="labelled texts", labels=dict(sorted(counts.items())))
    return Source(rows, facts, np.array([numbers[label] for label in labels]))


def _swapped(path: Path, loss: InvarianceLoss, section: SourceSection, rng: np.random.Generator) -> Source:
    """Write every résumé under pairs of names that differ in a group."""
    resumes = templates(read_records(path, NAME_SLOT, form_of(section)))
    names = half_of(read_names(locate(loss.names), loss.attributes), loss.attributes, loss.half)
    groups = [tuple(row[attribute] for attribute in loss.attributes) for row in names]
    if len(set(groups)) < 2:
        raise DataError(f"{locate(loss.names)}: `invariance` needs names from at least two groups")
    pairs = []
    for resume in resumes:
        for _ in range(loss.swaps):
            first = int(rng.integers(len(names)))
            others = [n for n, group in enumerate(groups) if group != groups[first]]
            chosen = [names[n]["name"] for n in (first, int(rng.choice(others)))]
            one, two = fill([resume], chosen)
            pairs.append(Pair(one, two, group=resume.id, kind="swap"))
    rows = [pairs[n] for n in _sample(len(pairs), section.limit, rng)]
    return Source(rows, SourceFacts(kind="swapped names", names=len(names), resumes=len(resumes)))


def _scored(path: Path, section: SourceSection, rng: np.random.Generator) -> Source:
    columns = pair_columns(path, form_of(section))
    task = read_pair_task(path, path.stem, columns, form=form_of(section))
    sample = _sample(len(task.first), section.limit, rng)
    scores = task.scores[sample]
    if len(set(scores.tolist())) < 2:
        raise DataError(f"{path}: all scores in the sample are equal", hint="raise `limit`")
    rows = replace(
        task, first=tuple(task.first[n] for n in sample), second=tuple(task.second[n] for n in sample), scores=scores
    )
    score_range = ScoreRange(low=float(scores.min()), high=float(scores.max()))
    return Source(rows, SourceFacts(kind="scored pairs", scores=score_range), scores, columns)


def _pairs(path: Path, section: SourceSection, rng: np.random.Generator) -> Source:
    numbered = read_numbered_pairs(path, section.kinds, form_of(section))
    numbered = [numbered[n] for n in _sample(len(numbered), section.limit, rng)]
    if len(numbered) < 2:
        raise DataError(f"{path}: training needs at least two pairs, found {len(numbered)}")
    if section.loss.name not in TAKE_NEGATIVES:
        return Source([replace(pair, negatives=()) for _, pair in numbered])
    source = _with_equal_negatives(path, numbered)
    _check_negatives(path, source.facts.negatives or 0, section)
    return source


def _with_equal_negatives(path: Path, numbered: Sequence[tuple[int, Pair]]) -> Source:
    """Give every row equally many negatives: its first ones, as many as the row with the fewest has."""
    for number, pair in numbered:
        if normalise(pair.positive) in map(normalise, pair.negatives):
            raise DataError(f"{path}:{number}: column '{NEGATIVE}': same text as the positive")
    counts = [len(pair.negatives) for _, pair in numbered]
    if not any(counts):
        return Source([pair for _, pair in numbered])
    fewest = min(counts)
    if not fewest:
        without = [number for (number, _), count in zip(numbered, counts, strict=True) if not count]
        raise DataError(
            (
                f"{path}:{without[0]}: column '{NEGATIVE}': empty, but other rows have a value ({len(without)} "
                "empty in total)"
            ),
            hint="add a negative to every row, or remove the column",
        )
    unused = sum(counts) - fewest * len(counts)
    return Source(
        [replace(pair, negatives=pair.negatives[:fewest]) for _, pair in numbered],
        SourceFacts(kind="pairs", negatives=fewest, negatives_unused=unused),
    )


def _check_negatives(path: Path, given: int, section: SourceSection) -> None:
    name, mined = section.loss.name, section.mine.count if section.mine else 0
    if name == "margin-mse" and not given + mined:
        raise DataError(
            f"{path}: column '{NEGATIVE}' is missing; the loss `margin-mse` requires it",
            hint="add the column, or set `mine`",
        )
    if name == "gist" and given + mined > 1:
        raise DataError(
            f"{path}: the loss `gist` expects one negative per row, found {given + mined}",
            hint="keep one negative and remove `mine`, or use the loss `group-ranking`",
        )
