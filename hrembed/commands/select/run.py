"""`hrembed select`: from the leaderboard to the model that fits, measured on the user's own task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hrembed.commands.select.leaderboard import open_catalogue, open_scores, rank, shape_of
from hrembed.commands.select.metrics import leaderboard_json, ranking_json, registry_json, score_columns, scores_json
from hrembed.commands.select.page import write_report
from hrembed.commands.select.pick import notices, pick_json, write_pick
from hrembed.commands.select.probe import open_probe_task, probe_json, run_probe
from hrembed.commands.select.refresh import refresh as refresh_scores
from hrembed.commands.select.tables import absent_rows, busy_words, leaderboard_rows, probe_rows, transfer_rows
from hrembed.commands.select.transfer import run_transfer, transfer_json
from hrembed.errors import ConfigError
from hrembed.runs.record import open_run
from hrembed.scoring.encoders import pinned
from hrembed.types import CommandResult

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hrembed.commands.select.leaderboard import Catalogue
    from hrembed.commands.select.probe import Probe
    from hrembed.commands.select.transfer import Tuned
    from hrembed.config.select import SelectConfig
    from hrembed.runs.record import Run
    from hrembed.runs.workspace import Workspace
    from hrembed.types import Task

_CHARACTERS_PER_TOKEN = 4  # of English, roughly: prices of a service are an estimate


class _Board(NamedTuple):
    """The leaderboard part of the metrics; `ranking` is None and there are no rows without scores."""

    scores: dict[str, Any] | None
    ranking: dict[str, Any] | None
    rows: list[dict[str, Any]]


def run_select(config: SelectConfig, workspace: Workspace, *, refresh: bool = False) -> CommandResult[Any]:
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
        workspace.progress.note(f"public scores are in {refresh_scores(workspace.progress)}")
    probe = config.probe.model_copy(update={"models": tuple(pinned(m, workspace.root) for m in config.probe.models)})
    config = config.model_copy(update={"probe": probe})
    seeds = {"bootstrap": config.bootstrap.seed, "probe": config.probe.halving.seed}
    with open_run(workspace, "select", config.model_dump(mode="json"), seeds=seeds) as run:
        workspace.progress.note("reading model facts from the installed mteb")
        catalogue = open_catalogue(config)
        task = _task(config, run)
        board = _leaderboard(config, catalogue, task, run)
        names = [row["model"] for row in board.rows[: config.shortlist]]
        shortlist = [catalogue.facts[name] for name in names]
        measured = None if task is None else run_probe(config, task, shortlist, run)
        tuned = [] if measured is None else run_transfer(config, measured, run)
        metrics = _metrics(config, catalogue, board, measured, tuned)
        tables = _tables(config, board, metrics, measured, tuned)
        _write_rows(run, board, measured, tuned)
        run.write_metrics(metrics)
        write_pick(run, metrics["pick"])
        write_report(run, metrics, board.rows, tables)
    notice = "\n".join([*metrics["pick"]["reasons"], *metrics["notices"]])
    return CommandResult(str(run.path), "ok", {**metrics, "notice": notice}, tables)


def _task(config: SelectConfig, run: Run) -> Task | None:
    """Read the user's task where something is measured on it or compared with it."""
    asked = config.probe.models or config.probe.shortlisted
    return open_probe_task(config, run) if asked or config.weights.scheme == "like-mine" else None


def _leaderboard(config: SelectConfig, catalogue: Catalogue, task: Task | None, run: Run) -> _Board:
    opened = open_scores(config, run)
    if opened is None:
        if not config.probe.models:
            raise ConfigError(
                "there are neither scores nor models to measure",
                hint="set `scores.path`, run `hrembed select --refresh`, or name `probe.models`",
            )
        return _Board(None, None, [])
    tasks, table = opened
    mine = None if task is None else shape_of(task)
    standing = rank(config, catalogue, tasks, table, mine)
    rows = leaderboard_json(standing, catalogue)
    run.write_table("scores", score_columns(standing))
    return _Board(scores_json(table, catalogue), ranking_json(config, standing, rows, mine), rows)


def _metrics(
    config: SelectConfig, catalogue: Catalogue, board: _Board, probe: Probe | None, tuned: Sequence[Tuned]
) -> dict[str, Any]:
    found: dict[str, Any] = {
        "registry": registry_json(catalogue),
        "scores": board.scores,
        "ranking": board.ranking,
        "leaderboard": board.rows[: config.shortlist],
        "probe": [],
        "probe_task": None,
        "not_here": [],
        "transfer": transfer_json(tuned),
        "pick": pick_json(config, board.rows, probe, tuned),
        "notices": notices(board.scores, board.ranking, board.rows, config.shortlist),
    }
    if probe is not None:
        found["probe"] = [probe_json(row) for row in (*probe.finalists, *probe.dropped)]
        found["probe_task"] = {"name": probe.task.name, "metric": config.probe.metric}
        found["not_here"] = [fact.name for fact in probe.absent]
        found["notices"] += [
            f"{name} takes more than {config.constraints.max_ms_per_text:g} ms for a text here; it was not scored."
            for name in probe.too_slow
        ]
    return found


def _write_rows(run: Run, board: _Board, probe: Probe | None, tuned: Sequence[Tuned]) -> None:
    """Write the rows behind the numbers, and what differs from run to run."""
    if board.rows:
        flat = [{key: _cell(value) for key, value in row.items()} for row in board.rows]
        run.write_table("leaderboard", {key: [row[key] for row in flat] for key in flat[0]})
    if probe is None:
        return
    values = {row.name: [float(v) for v in row.values] for row in probe.finalists}
    run.write_table("probe_per_query", {"query": [query.id for query in probe.task.queries], **values})
    needs = {name: [found._asdict() for found in need] for name, need in probe.footprints.items()}
    usage = {row.name: getattr(row.candidate.encoder, "usage", None) for row in probe.finalists}
    run.write_timings(
        {
            "footprints": needs,
            "usage": {name: counted for name, counted in usage.items() if counted},
            "transfer_runs": {row.base.name: row.run for row in tuned},
        }
    )


def _cell(value: Any) -> Any:
    """Lists become text, so that every column has one type."""
    return ", ".join(str(item) for item in value) if isinstance(value, list) else value


def _tables(
    config: SelectConfig, board: _Board, metrics: Mapping[str, Any], probe: Probe | None, tuned: Sequence[Tuned]
) -> dict[str, list[dict[str, str]]]:
    tables: dict[str, list[dict[str, str]]] = {}
    if board.ranking is not None:
        ranking = board.ranking
        tables[
            f"Leaderboard: {len(metrics['leaderboard'])} of {ranking['ranked']} that fulfil the constraints; "
            f"{ranking['adjacent_pairs_not_separable']} of {ranking['adjacent_pairs']} neighbours cannot be told apart"
        ] = leaderboard_rows(metrics["leaderboard"])
    else:
        registry = metrics["registry"]
        licences = ", ".join(f"{name} {count}" for name, count in registry["licences"].items())
        tables["Constraints (no leaderboard scores given: set `scores.path`)"] = [
            {"models that fulfil them": f"{registry['fitting']} of {registry['models']}", "by licence": licences}
        ]
    if probe is not None:
        texts = [len(text.text) for text in (*probe.task.queries, *probe.task.documents)]
        tokens = float(np.mean(texts)) / _CHARACTERS_PER_TOKEN
        tables[f"Measured here: {config.probe.metric} on {probe.task.name}{busy_words(probe)}"] = probe_rows(
            probe, metrics["probe"], config.probe.cost.machine_per_hour, tokens
        )
        absent = absent_rows(config, probe.absent, tokens)
        if absent:
            tables["Shortlisted, but not on this machine"] = absent
    if tuned:
        tables["After the same short fine-tuning"] = transfer_rows(tuned, metrics["transfer"])
    return tables
