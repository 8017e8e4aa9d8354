"""Leaderboard scores from a file or from a local mteb results folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hrembed.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from pathlib import Path

    from hrembed.types import Floats

COLUMNS = ("model", "revision", "task", "split", "subset", "main_score", "mteb_version")


@dataclass(frozen=True)
class ScoreTable:
    """Scores of models on tasks.

    Attributes:
        models: Row names.
        tasks: Column names.
        scores: Shape (models, tasks), in [0, 1]; NaN where a model was not measured.
        filled: For each model, tasks whose score comes from another revision than the others.
    """

    models: tuple[str, ...]
    tasks: tuple[str, ...]
    scores: Floats
    filled: tuple[int, ...]


def read_parquet(path: Path, tasks: Collection[str]) -> ScoreTable:
    """Read scores of the given tasks from a Parquet file.

    Raises:
        DataError: Missing, not Parquet, without a column, or without any of the tasks.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        raise DataError(f"scores file '{path}' does not exist" if not path.exists() else f"'{path}' is not a file")
    try:
        table = pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as err:
        raise DataError(f"'{path}' is not a readable Parquet file: {str(err).splitlines()[0]}") from None
    missing = [column for column in COLUMNS if column not in table.column_names]
    if missing:
        raise DataError(f"'{path}' has no column '{missing[0]}'; it needs {', '.join(COLUMNS)}")
    return tabulate(table.select(COLUMNS).to_pylist(), tasks, str(path))


def read_results_dir(folder: Path, tasks: Collection[str]) -> ScoreTable:
    """Read scores from the layout that mteb writes: `MODEL/REVISION/TASK.json`, optionally below `results`.

    Raises:
        DataError: Missing, a file that is no task result, or none of the tasks.
    """
    if not folder.is_dir():
        raise DataError(f"results folder '{folder}' does not exist")
    root = folder / "results" if (folder / "results").is_dir() else folder
    rows = [
        row
        for file in sorted(root.glob("*/*/*.json"))
        if file.name != "model_meta.json" and file.stem in tasks
        for row in _task_rows(file)
    ]
    return tabulate(rows, tasks, str(folder))


def _task_rows(file: Path) -> Iterable[dict[str, Any]]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        for split, results in content["scores"].items():
            for result in results:
                yield {
                    "model": file.parent.parent.name.replace("__", "/"),
                    "revision": file.parent.name,
                    "task": content["task_name"],
                    "split": split,
                    "subset": result.get("hf_subset", "default"),
                    "main_score": result["main_score"],
                    "mteb_version": content.get("mteb_version"),
                }
    except (ValueError, KeyError, TypeError, AttributeError) as err:
        raise DataError(f"'{file}' is not an mteb task result: {type(err).__name__} {err}") from None


def tabulate(rows: Sequence[dict[str, Any]], tasks: Collection[str], source: str) -> ScoreTable:
    """Average splits and subsets of each model and task; where there are several revisions, prefer one.

    The revision that covers most of the tasks comes first, then the one with the newest mteb. Others (older
    weights, or `external`: what a model card says of itself) only fill its gaps, and how often is counted.

    Raises:
        DataError: None of the tasks is there.
    """
    cells: dict[str, dict[str, dict[str, list[float]]]] = {}  # model -> revision -> task -> scores
    newest: dict[tuple[str, str], tuple[int, ...]] = {}
    for row in rows:
        if row["task"] not in tasks or row["main_score"] is None:
            continue
        model, revision = str(row["model"]), str(row["revision"])
        of_revision = cells.setdefault(model, {}).setdefault(revision, {})
        of_revision.setdefault(row["task"], []).append(float(row["main_score"]))
        newest[model, revision] = max(newest.get((model, revision), ()), _version(row["mteb_version"]))
    if not cells:
        raise DataError(
            f"'{source}' has no scores for {', '.join(sorted(tasks)[:3])}{' ...' if len(tasks) > 3 else ''}"
        )
    models, columns = sorted(cells, key=str.casefold), sorted(tasks)
    merged = [_merge(cells[model], {r: newest[model, r] for r in cells[model]}, columns) for model in models]
    scores = np.array([row for row, _ in merged])
    return ScoreTable(tuple(models), tuple(columns), scores, tuple(filled for _, filled in merged))


def _merge(
    found: dict[str, dict[str, list[float]]], newest: dict[str, tuple[int, ...]], tasks: Sequence[str]
) -> tuple[list[float], int]:
    """Return one score per task (NaN where there is none), and how many come from another than the first revision."""
    order = sorted(found, key=lambda revision: (len(found[revision]), newest[revision], revision), reverse=True)
    sources = [next((revision for revision in order if task in found[revision]), None) for task in tasks]
    scores = [
        float(np.mean(found[source][task])) if source is not None else float("nan")
        for task, source in zip(tasks, sources, strict=True)
    ]
    return scores, sum(source not in {order[0], None} for source in sources)


def _version(text: str | None) -> tuple[int, ...]:
    return tuple(int(part) for part in str(text or "").split(".") if part.isdigit())


def tasks_of(benchmark: str, types: Collection[str]) -> list[str]:
    """Names of the tasks of an mteb benchmark that are of the given types.

    Raises:
        DataError: The installed mteb has no such benchmark, or it has no task of these types.
    """
    import mteb

    try:
        found = mteb.get_benchmark(benchmark).tasks
    except (KeyError, ValueError):
        raise DataError(f"the installed mteb has no benchmark '{benchmark}'", hint="try 'MTEB(eng, v2)'") from None
    names = sorted(task.metadata.name for task in found if task.metadata.type in types)
    if not names:
        present = sorted({task.metadata.type for task in found})
        raise DataError(f"'{benchmark}' has no tasks of type {', '.join(types)}; it has {', '.join(present)}")
    return names
