"""Measuring the shortlist on the user's own texts, by successive halving."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hrembed.commands.select.footprint import footprints
from hrembed.config.parts import ModelSection, form_of
from hrembed.data.locate import locate
from hrembed.data.pairs import pairs_file, read_pairs
from hrembed.data.split import build_task
from hrembed.errors import DataError
from hrembed.evaluation.subtask import subtask
from hrembed.models.refs import parse_ref
from hrembed.models.weights import at_hand
from hrembed.records.select import ProbedModel
from hrembed.scoring.encoders import use_of
from hrembed.scoring.retrieval import compare, estimate, groups_of, open_task, score_task
from hrembed.scoring.score_choice import settle_score
from hrembed.scoring.systems import names_of
from hrembed.text import counted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from hrembed.config.select import PairsSection, SelectConfig
    from hrembed.metrics.intervals import Difference
    from hrembed.progress import Progress
    from hrembed.records.select import Footprint
    from hrembed.runs.record import Run
    from hrembed.runs.workspace import Workspace
    from hrembed.selection.facts import Facts
    from hrembed.types import Encoder, Estimate, Floats, Task

_TIMED_TEXTS = 200  # half queries, half documents: a second on a small model
_MIN_QUERIES = 20  # fewest queries of a round; fewer give no interval that is worth anything


class Candidate(NamedTuple):
    """A model that is to be measured.

    Attributes:
        name: Name for tables.
        section: How it is loaded.
        encoder: Scores texts.
        facts: What is known of it; None for models of the config.
    """

    name: str
    section: ModelSection
    encoder: Encoder
    facts: Facts | None


class Probed(NamedTuple):
    """A model measured on a round of the probe.

    Attributes:
        candidate: The model.
        values: Metric of each query of the round, shape (Q,).
        estimate: Their mean.
        difference: Against the best of the round; None for the best itself.
        round: From 1; the last one is the whole task.
        queries: Queries of the round.
    """

    candidate: Candidate
    values: Floats
    estimate: Estimate
    difference: Difference | None
    round: int
    queries: int

    @property
    def name(self) -> str:
        """Name for tables."""
        return self.candidate.name


class Probe(NamedTuple):
    """What was measured.

    Attributes:
        task: On what.
        finalists: Measured on the whole of it, best first.
        dropped: Measured on a part of it, where they were clearly behind; the last dropped first.
        too_slow: Models that were slower than the config allows, with their milliseconds for a text.
        absent: Shortlisted models whose weights are not here.
        footprints: Name to what the model needs.
    """

    task: Task
    finalists: Sequence[Probed]
    dropped: Sequence[Probed]
    too_slow: Mapping[str, float]
    absent: Sequence[Facts]
    footprints: Mapping[str, Sequence[Footprint]]


def open_probe_task(config: SelectConfig, run: Run) -> Task:
    """Read the user's task, or make one of the user's pairs.

    Raises:
        DataError: Missing, malformed, or pairs of several kinds.
    """
    pairs = config.probe.pairs
    if pairs is None:
        return open_task(config.probe.task, run)
    path = locate(pairs.path)
    run.add_input("probe pairs", path)
    return task_of_pairs(pairs_file(path), pairs)


def task_of_pairs(file: Path, section: PairsSection) -> Task:
    """Make a search of pairs: an anchor asks for the positives of its group, or for its own where there is no group.

    Raises:
        DataError: Pairs of several kinds, of which none is named.
    """
    pairs = read_pairs(file, [section.kind] if section.kind else [], form_of(section))
    kinds = sorted({pair.kind for pair in pairs})
    if len(kinds) > 1:
        raise DataError(
            f"'{file}' contains pairs of several kinds: {', '.join(kinds)}", hint="choose one with `probe.pairs.kind`"
        )
    grouped = all(pair.group for pair in pairs)
    task = build_task(file.stem, pairs, {}, by_pair=not grouped, max_queries=section.max_queries, seed=0)
    if not task.queries:
        raise DataError(f"'{file}' contains no query with a relevant document")
    return task


def run_probe(config: SelectConfig, task: Task, shortlist: Sequence[Facts], run: Run) -> Probe:
    """Measure the models of the config and those of the shortlist that are on this machine.

    Raises:
        DataError: Every model is slower than the config allows.
        ModelError: A model cannot be run.
    """
    candidates, absent = _candidates(config, task, shortlist, run)
    limit = config.constraints.max_ms_per_text
    measured: dict[str, list[Footprint]] = {}
    too_slow: dict[str, float] = {}
    if limit is not None:
        measured = _footprints(config, candidates, task, run)
        milliseconds = {name: 1000 / devices[0].texts_per_second for name, devices in measured.items()}
        too_slow = {name: taken for name, taken in milliseconds.items() if taken > limit}
        candidates = [candidate for candidate in candidates if candidate.name not in too_slow]
        if too_slow and not candidates:
            fastest = min(too_slow, key=lambda name: too_slow[name])
            raise DataError(
                (
                    f"no model embeds a text within {limit:g} ms on this machine; the fastest, '{fastest}', takes "
                    f"{too_slow[fastest]:.1f}"
                ),
                hint="raise `constraints.max_ms_per_text`, or add a smaller model to `probe.models`",
            )
    finalists, dropped = successive_halving(config, candidates, task, run.progress)
    if limit is None and config.probe.cost.measure:
        measured = _footprints(config, [row.candidate for row in finalists], task, run)
    return Probe(task, finalists, dropped, too_slow, absent, measured)


def _candidates(
    config: SelectConfig, task: Task, shortlist: Sequence[Facts], run: Run
) -> tuple[list[Candidate], list[Facts]]:
    """Open each model that can be measured here, once; also returns the shortlisted models that cannot."""
    sections: list[tuple[ModelSection, Facts | None]] = [(section, None) for section in config.probe.models]
    taken = {section.ref for section in config.probe.models}
    absent = []
    for facts in shortlist if config.probe.shortlisted else ():
        ref = at_hand(facts.name, facts.revision)
        if ref is None:
            absent.append(facts)
        elif ref not in taken:
            sections.append((ModelSection(ref=ref), facts))
            taken.add(ref)
    cache = run.cache / "vectors"  # what one round embeds, the next one finds there
    settled = [settle_score(section, run, [task], cache=cache) for section, _ in sections]
    encoders = [each.open(run, cache=cache) for each in settled]
    names = names_of([section for section, _ in sections])
    candidates = [
        Candidate(name, each.section, encoder, facts)
        for name, encoder, each, (_, facts) in zip(names, encoders, settled, sections, strict=True)
    ]
    for candidate in candidates:
        run.add_model(candidate.name, candidate.encoder.identity, candidate.encoder.source, use_of(candidate.encoder))
    return candidates, absent


def _footprints(
    config: SelectConfig, candidates: Sequence[Candidate], task: Task, workspace: Workspace
) -> dict[str, list[Footprint]]:
    """Start each model in a process of its own; a service has no footprint here."""
    local = [candidate for candidate in candidates if not parse_ref(candidate.section.ref).is_endpoint]
    measured = {}
    with workspace.progress.bar("start-up, memory and speed", len(local)) as advance:
        for candidate in local:
            measured[candidate.name] = footprints(candidate.section, task, workspace.root, _TIMED_TEXTS)
            advance(1, candidate.name)
    return measured


def successive_halving(
    config: SelectConfig, candidates: Sequence[Candidate], task: Task, progress: Progress
) -> tuple[list[Probed], list[Probed]]:
    """Measure all models on a part of the task, drop those that are clearly behind, and double the part.

    The better half goes on, and at least as many as the config asks for. Another model is dropped when the interval of
    its paired difference to the best of the round lies below 0, so none is dropped by luck alone. Lexical baselines are
    cheap, and stay as a reference.

    Returns:
        Those measured on the whole task, best first, and those dropped, the last ones first.
    """
    section, seed = config.probe.halving, config.bootstrap.seed
    rounds = section.rounds if len(candidates) > section.finalists else 1
    left, dropped = list(candidates), list[Probed]()
    measured: list[Probed] = []
    for number in range(1, rounds + 1):
        share = 0.5 ** (rounds - number)
        part = subtask(task, share, min_queries=_MIN_QUERIES, seed=seed)
        if len(part.queries) == len(task.queries) and number < rounds:
            continue
        measured = _round(config, left, part, number, progress)
        if number < rounds:
            survivors = _survivors(measured, max(section.finalists, (len(left) + 1) // 2))
            dropped = [row for row in measured if row.name not in survivors] + dropped
            left = [candidate for candidate in left if candidate.name in survivors]
    return measured, dropped


def _survivors(measured: Sequence[Probed], places: int) -> set[str]:
    """Names that reach the next round, of models sorted by their score."""
    survivors = {row.name for row in measured[:places]}
    for row in measured[places:]:
        behind = row.difference is not None and row.difference.estimate.high < 0
        if not behind or parse_ref(row.candidate.section.ref).is_lexical:
            survivors.add(row.name)
    return survivors


def _round(
    config: SelectConfig, candidates: Sequence[Candidate], part: Task, number: int, progress: Progress
) -> list[Probed]:
    """Score models on a part of the task, best first."""
    metric, bootstrap, groups = config.probe.metric, config.bootstrap, groups_of(part)
    values: dict[str, Floats] = {}
    with progress.bar(
        f"probe: {counted(len(part.queries), 'query')}, {counted(len(part.documents), 'document')}", len(candidates)
    ) as step:
        for candidate in candidates:
            values[candidate.name] = score_task(candidate.encoder, part, [metric])[metric]
            step(1, candidate.name)
    best = max(values, key=lambda name: float(np.nanmean(values[name]))) if values else ""
    rows = [
        Probed(
            candidate,
            values[candidate.name],
            estimate(values[candidate.name], groups, bootstrap),
            None if candidate.name == best else compare(values[candidate.name], values[best], groups, bootstrap),
            number,
            len(part.queries),
        )
        for candidate in candidates
    ]
    return sorted(rows, key=lambda row: -row.estimate.value)


def probed_model(row: Probed) -> ProbedModel:
    """A measured model as the record holds it."""
    return ProbedModel(
        model=row.name,
        ref=row.candidate.section.ref,
        score=row.estimate,
        difference_to_best=None if row.difference is None else row.difference.estimate,
        round=row.round,
        queries=row.queries,
    )


def tied_with_best(finalists: Sequence[Probed]) -> list[str]:
    """Names of those that cannot be told from the best, which stands first."""
    return [row.name for row in finalists[1:] if row.difference is not None and not row.difference.estimate.high < 0]
