"""`hrembed serve-check`: does somebody's server give the vectors of this model?"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from hrembed.commands.serve_check.advice import ADVICE
from hrembed.commands.serve_check.canary import compare_canary
from hrembed.commands.serve_check.checks import Findings, failed, inspect
from hrembed.commands.serve_check.model import open_served
from hrembed.commands.serve_check.page import write_report
from hrembed.commands.serve_check.ranking import METRIC, rank_through
from hrembed.commands.serve_check.server import Server
from hrembed.commands.serve_check.tables import tables_of
from hrembed.errors import ModelError, ThresholdError
from hrembed.files import write_text
from hrembed.records.serve_check import ServeCheckRecord
from hrembed.reports.estimates import format_estimate
from hrembed.runs.record import open_run
from hrembed.scoring.encoders import pinned
from hrembed.scoring.retrieval import open_task
from hrembed.types import CommandResult

if TYPE_CHECKING:
    from hrembed.commands.serve_check.model import Served
    from hrembed.config.parts import ModelSection
    from hrembed.config.serve_check import ServeCheckConfig
    from hrembed.records.serve_check import CanaryComparison, ServedCheck, ServedRanking
    from hrembed.runs.record import Run
    from hrembed.runs.workspace import Workspace
    from hrembed.types import Task


def run_serve_check(
    config: ServeCheckConfig, workspace: Workspace, *, accept: bool = False
) -> CommandResult[ServeCheckRecord]:
    """Compare the vectors of a server with those of the model that it should run, and with what it gave before.

    Args:
        config: Validated settings.
        workspace: Where runs go, and who receives progress updates.
        accept: Keep what the endpoint gives now, unless a check fails that looks at a model.

    Returns:
        What was found; the failure is set when a check failed. Requests are counted in `timings.json`.

    Raises:
        ConfigError: The server has several models, and none was named.
        DataError: The task is missing or malformed.
        ModelError: The model cannot be opened, or the server gives an ordinary text no vector.
    """
    if config.model is not None:
        config = config.model_copy(update={"model": pinned(config.model, workspace)})
    seeds = {"bootstrap": config.bootstrap.seed}
    with open_run(workspace, "serve-check", config.model_dump(mode="json"), seeds=seeds) as run:
        server = Server(config, workspace.progress)
        workspace.progress.note(f"checking '{server.name}' at {server.url}")
        findings = Findings()
        ranking = None if config.model is None else _check_model(config, config.model, server, findings, run)
        canary = compare_canary(config, server, findings, run, accept=accept)
        record = _record(config, server, findings, ranking, canary)
        words = _words(record)
        run.write_metrics(record)
        run.write_timings({"usage": server.usage})
        write_report(run, config, record, [words, *([_first_cause(record).advice] if record.verdict == "fail" else [])])
    return CommandResult(
        str(run.path), record.verdict, record, tables_of(record), _failure(record, words), notice=_notice(record, run)
    )


def _check_model(
    config: ServeCheckConfig, section: ModelSection, server: Server, findings: Findings, run: Run
) -> ServedRanking | None:
    """Look at everything that a server may do otherwise than the model; gives the ranking, where there is one."""
    task = None if config.task is None else open_task(config.task, run)
    served = open_served(section, config.side, run)
    run.add_model("model", served.whole.identity, served.whole.source, served.use)
    inspect(config, served, server, findings)
    ranking = None if task is None else _rank(config, section, task, served, server, findings, run)
    if not failed(findings):
        _write_section(config, section, server, served, findings.most_at_once, run)
    return ranking


def _rank(
    config: ServeCheckConfig,
    section: ModelSection,
    task: Task,
    served: Served,
    server: Server,
    findings: Findings,
    run: Run,
) -> ServedRanking | None:
    """Rank the task where its vectors can be compared."""
    if any(check.check == "dimensions" and check.outcome == "fail" for check in findings.checks):
        findings.add(METRIC, "not checked", "the server's vectors are of another dimension")
        return None
    run.progress.note(f"ranking {task.name} through the server and by the model")
    cache = run.cache / "vectors"
    try:
        ranking = rank_through(
            config, section, task, served, server, at_once=findings.most_at_once, cache=cache, progress=run.progress
        )
    except ModelError as err:
        findings.add(METRIC, "fail", f"{task.name} could not be ranked: {err}", ADVICE["busy"])
        return None
    findings.cosines.append(ranking.lowest_cosine)
    near = ranking.lowest_cosine >= config.min_cosine
    words = f"lowest cosine {ranking.lowest_cosine:.6f} over {ranking.texts:,} texts of {task.name}"
    findings.add("vectors of the task", "pass" if near else "fail", words, "" if near else ADVICE["task"])
    same = abs(ranking.difference.value) <= config.max_difference
    words = f"{format_estimate(ranking.difference, sign=True)} through the server"
    findings.add(METRIC, "pass" if same else "fail", words, "" if same else ADVICE["task"])
    return ranking


def _record(
    config: ServeCheckConfig,
    server: Server,
    findings: Findings,
    ranking: ServedRanking | None,
    canary: CanaryComparison | None,
) -> ServeCheckRecord:
    return ServeCheckRecord(
        server=server.url,
        name=server.name,
        model=config.model.ref if config.model else None,
        verdict="fail" if failed(findings) else "pass",
        lowest_cosine=min(findings.cosines, default=float("nan")),
        checks=tuple(findings.checks),
        texts=tuple(findings.texts),
        explanations=tuple(findings.explanations),
        ranking=ranking,
        canary=canary,
    )


def _words(record: ServeCheckRecord) -> str:
    """Say what came of it in a sentence."""
    which = f"'{record.name}' at {record.server}"
    if record.model is None:
        (check,) = record.checks
        return f"{which}: {check.found}."
    lowest = f" (lowest cosine {record.lowest_cosine:.6f})" if np.isfinite(record.lowest_cosine) else ""
    if record.verdict == "pass":
        return f"{which} gives the vectors of '{record.model}'{lowest}."
    cause = _first_cause(record)
    return f"{which} does not give the vectors of '{record.model}'{lowest}: {cause.check}: {cause.found}."


def _first_cause(record: ServeCheckRecord) -> ServedCheck:
    """The failed check that says most: a named cause before what it causes."""
    wrong = [check for check in record.checks if check.outcome == "fail"]
    named = [check for check in wrong if check.check in {"pooling", "Dense module", "prompts", "order"}]
    return (named or wrong)[0]


def _failure(record: ServeCheckRecord, words: str) -> ThresholdError | None:
    if record.verdict == "pass":
        return None
    return ThresholdError(words.removesuffix("."), hint=_first_cause(record).advice)


def _write_section(
    config: ServeCheckConfig, model: ModelSection, server: Server, served: Served, at_once: int, run: Run
) -> None:
    """Write `served.yaml`: the `model` section with which other commands get these vectors from the server.

    Raises:
        HrembedError: The file cannot be written.
    """
    prompts = served.prompts if config.prompts == "client" else ("", "")
    section = {
        "ref": f"openai:{server.name}",
        "endpoint": config.endpoint.model_dump(mode="json", exclude_defaults=True) | {"base_url": server.url},
        "batch_size": min(at_once, model.batch_size),
        "query_prompt": prompts[0],
        "document_prompt": prompts[1],
        "normalise_titles": served.titles,
        "dimensions": served.dimensions,
    }
    lines = [
        f"# The vectors of {json.dumps(model.ref)} from a server, which `hrembed serve-check` compared.",
        f"#   hrembed eval --set models.0={run.path}/served.yaml",
        *(
            f"{key}: {json.dumps(value, ensure_ascii=False)}"
            for key, value in section.items()
            if value not in ("", None)
        ),
    ]
    write_text(run.path / "served.yaml", "\n".join(lines) + "\n")


def _notice(record: ServeCheckRecord, run: Run) -> str:
    if record.verdict == "fail" or record.model is None:
        return f"Details: {run.path}/report.html"
    return f"To use the server in other commands:\n  hrembed eval --set models.0={run.path}/served.yaml"
