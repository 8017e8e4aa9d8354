"""`hrembed select`: from the leaderboard to the model that fits, measured on the user's own task."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hrembed.commands.select.leaderboard import open_catalogue, rank, shape_of
from hrembed.commands.select.metrics import (
    count_registry,
    fitting_models,
    leaderboard_columns,
    ranked_models,
    score_columns,
    summarise_ranking,
    summarise_scores,
)
from hrembed.commands.select.page import write_report
from hrembed.commands.select.pick import next_steps, notices, pick_model, write_pick
from hrembed.commands.select.probe import open_probe_task, probed_model, run_probe
from hrembed.commands.select.refresh import refresh as refresh_scores
from hrembed.commands.select.scores import open_scores
from hrembed.commands.select.tables import DETAILS, tables_of
from hrembed.commands.select.transfer import run_transfer, tuned_model
from hrembed.errors import ConfigError
from hrembed.records.select import ProbeTask, SelectRecord, SelectTimings
from hrembed.runs.record import open_run
from hrembed.scoring.encoders import pinned, usage_of
from hrembed.text import counted
from hrembed.types import CommandResult

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hrembed.commands.select.leaderboard import Catalogue
    from hrembed.commands.select.probe import Probe
    from hrembed.commands.select.transfer import Tuned
    from hrembed.config.select import SelectConfig
    from hrembed.records.select import RankedModel, RankingSummary, ScoresSummary
    from hrembed.runs.record import Run
    from hrembed.runs.workspace import Workspace
    from hrembed.types import Task

_PHASES = (_READ, _MEASURE, _TRAIN, _PICK) = (
    "read models and scores",
    "measure models",
    "train the best briefly",
    "pick",
)


class _Leaderboard(NamedTuple):
    """What the scores say; nothing without scores.

    Attributes:
        scores: What was read.
        ranking: What the ranking can say.
        ranked: All ranked models, best first.
    """

    scores: ScoresSummary | None = None
    ranking: RankingSummary | None = None
    ranked: tuple[RankedModel, ...] = ()


def run_select(config: SelectConfig, workspace: Workspace, *, refresh: bool = False) -> CommandResult[SelectRecord]:
    """Filter models by facts, rank them by leaderboard scores where there are some, and probe those at hand.

    Args:
        config: Validated settings.
        workspace: Where runs go, and who receives progress updates.
        refresh: Fetch the public scores first.

    Returns:
        Shortlist, probe and pick. What differs from run to run (speed, memory, ids) stands in `timings.json` only.

    Raises:
        HrembedError: Scores or task are not usable.
    """
    if refresh:
        workspace.progress.note(f"public scores were written to {refresh_scores(workspace.progress)}")
    probe_section = config.probe.model_copy(
        update={"models": tuple(pinned(model, workspace) for model in config.probe.models)}
    )
    config = config.model_copy(update={"probe": probe_section})
    seeds = {"bootstrap": config.bootstrap.seed}
    phases = [phase for phase in _PHASES if phase != _TRAIN or config.transfer.finalists]
    with open_run(workspace, "select", config.model_dump(mode="json"), seeds=seeds, phases=phases) as run:
        run.phases.begin(_READ)
        catalogue = open_catalogue(config)
        task = _task(config, run)
        leaderboard = _leaderboard(config, catalogue, task, run)
        run.phases.begin(_MEASURE)
        shortlist = [catalogue.facts[row.model] for row in leaderboard.ranked[: config.shortlist]]
        probe = None if task is None else run_probe(config, task, shortlist, run)
        if config.transfer.finalists:
            run.phases.begin(_TRAIN)
        tuned = [] if probe is None else run_transfer(config, probe, run)
        run.phases.begin(_PICK)
        record = _record(config, catalogue, leaderboard, probe, tuned)
        tables = tables_of(config, record, probe, tuned)
        _write_rows(run, leaderboard, probe, tuned)
        run.write_metrics(record)
        write_pick(run, record.pick)
        conclusion = [*record.pick.reasons, *next_steps(record.pick, run.path)]
        run.conclude(conclusion)
        write_report(run, config, record, leaderboard.ranked, tables, {} if probe is None else probe.footprints)
    notice = "\n".join([*record.notices, *conclusion])
    return CommandResult(str(run.path), "ok", record, tables, notice=notice, details=DETAILS)


def _task(config: SelectConfig, run: Run) -> Task | None:
    """Read the user's task where something is measured on it or compared with it."""
    asked = config.probe.models or config.probe.shortlisted
    return open_probe_task(config, run) if asked or config.weights.scheme == "like-mine" else None


def _leaderboard(config: SelectConfig, catalogue: Catalogue, task: Task | None, run: Run) -> _Leaderboard:
    opened = open_scores(config.scores, run)
    if opened is None:
        if not config.probe.models:
            raise ConfigError(
                f"there are no scores to rank the {counted(len(catalogue.fitting), 'model')} that meet the "
                "constraints, and no models to measure",
                hint="set `scores.path`, run `hrembed select --refresh`, or add models to `probe.models`",
            )
        return _Leaderboard()
    tasks, table = opened
    mine = None if task is None else shape_of(task)
    standing = rank(config, catalogue, tasks, table, mine)
    ranked = ranked_models(standing, catalogue)
    run.write_table("scores", score_columns(standing))
    return _Leaderboard(summarise_scores(table, catalogue), summarise_ranking(config, standing, ranked, mine), ranked)


def _record(
    config: SelectConfig, catalogue: Catalogue, leaderboard: _Leaderboard, probe: Probe | None, tuned: Sequence[Tuned]
) -> SelectRecord:
    shortlist = leaderboard.ranked[: config.shortlist]
    measured = () if probe is None else (*probe.finalists, *probe.dropped)
    too_slow = () if probe is None else probe.too_slow
    limit = config.constraints.max_ms_per_text
    return SelectRecord(
        registry=count_registry(catalogue),
        fitting=() if leaderboard.ranking else fitting_models(catalogue),
        scores=leaderboard.scores,
        ranking=leaderboard.ranking,
        leaderboard=shortlist,
        probe=tuple(probed_model(row) for row in measured),
        probe_task=None if probe is None else ProbeTask(name=probe.task.name, metric=config.probe.metric),
        not_here=() if probe is None else tuple(facts.name for facts in probe.absent),
        transfer=tuple(tuned_model(row) for row in tuned),
        pick=pick_model(config, leaderboard.ranked, probe, tuned),
        notices=(
            *notices(leaderboard.scores, leaderboard.ranking, shortlist),
            *(f"{name} takes more than {limit:g} ms per text on this machine; it was not scored." for name in too_slow),
        ),
    )


def _write_rows(run: Run, leaderboard: _Leaderboard, probe: Probe | None, tuned: Sequence[Tuned]) -> None:
    """Write the rows behind the numbers, and what differs from run to run."""
    if leaderboard.ranked:
        run.write_table("leaderboard", leaderboard_columns(leaderboard.ranked))
    if probe is None:
        return
    values = {row.name: [float(value) for value in row.values] for row in probe.finalists}
    run.write_table("probe_per_query", {"query": [query.id for query in probe.task.queries], **values})
    usage = {row.name: usage_of(row.candidate.encoder) for row in probe.finalists}
    run.write_timings(
        SelectTimings(
            footprints={name: tuple(devices) for name, devices in probe.footprints.items()},
            usage={name: counted for name, counted in usage.items() if counted},
            transfer_runs={row.base.name: row.run for row in tuned},
        )
    )
