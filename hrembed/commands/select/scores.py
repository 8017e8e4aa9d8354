"""Scores from all the sources that the config names, as one table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hrembed.config.parts import form_of
from hrembed.data.locate import locate
from hrembed.models.refs import CATALOGUE
from hrembed.records.eval import EvalRecord
from hrembed.runs.past import find_run, finished
from hrembed.selection.benchmark import BenchmarkTask, benchmark_tasks, named_tasks
from hrembed.selection.read_scores import read_results_dir, read_scores
from hrembed.selection.refresh import refreshed_scores
from hrembed.selection.scores import ScoreRow, tabulate

if TYPE_CHECKING:
    from hrembed.config.select import ScoresSection
    from hrembed.runs.past import PastRun
    from hrembed.runs.record import Run
    from hrembed.selection.scores import ScoreTable


def open_scores(section: ScoresSection, run: Run) -> tuple[tuple[BenchmarkTask, ...], ScoreTable] | None:
    """Read the scores of all sources; None where there is none.

    The public scores that were fetched last are read where the config names no source. Tasks of evaluations count
    beside those of a file, or alone.

    Returns:
        Tasks that count, sorted by name, and their scores.

    Raises:
        DataError: A source is not usable.
    """
    evaluations = [finished(find_run(run.root, reference, "eval", progress=run.progress)) for reference in section.runs]
    source = section.path or section.results_dir
    refreshed = None if source or evaluations else refreshed_scores()
    if not (source or evaluations or refreshed):
        return None
    tasks = (
        named_tasks(section.tasks, section.benchmark)
        if section.tasks
        else benchmark_tasks(section.benchmark, section.task_types)
    )
    wanted = {task.name for task in tasks}
    rows: list[ScoreRow] = []
    for evaluation in evaluations:
        run.add_input(evaluation.path.name, evaluation.path / "metrics.json")
        rows += eval_rows(evaluation)
    evaluated = [BenchmarkTask(name, "own") for name in sorted({row.task for row in rows} - wanted)]
    if evaluations and not (source or section.tasks):
        tasks = []
    if source:
        path = locate(source)
        run.add_input("scores", path)
        rows += (
            read_scores(path, wanted, section.unit, form_of(section))
            if section.path
            else read_results_dir(path, wanted)
        )
    elif refreshed is not None:
        run.add_input("scores", refreshed)
        rows += read_scores(refreshed, wanted)
    counted = tuple(sorted([*tasks, *evaluated], key=lambda task: task.name))
    return counted, tabulate(rows, counted, source or (str(refreshed) if refreshed else ", ".join(section.runs)))


def eval_rows(evaluation: PastRun) -> list[ScoreRow]:
    """Read the headline scores of an evaluation that ended well; only tasks of hiring, not those of retention.

    Models of the catalogue get the names that they have on the leaderboard.

    Raises:
        DataError: Its `metrics.json` was edited, or has another shape.
    """
    record = evaluation.record(EvalRecord)
    return [
        ScoreRow(
            model=CATALOGUE.get(model, model.removeprefix("hf:").partition("@")[0]),
            revision=evaluation.manifest.models[model].identity[:12],
            experiment="",
            task=task,
            split="test",
            subset="default",
            score=scores[record.headlines[task]].value,
            version=evaluation.manifest.versions.get("mteb", ""),
            place=f"{evaluation.path}:1",
        )
        for task, models in record.scores.items()
        if task not in record.retention
        for model, scores in models.items()
    ]
