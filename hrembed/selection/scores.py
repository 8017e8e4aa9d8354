"""Leaderboard scores as a table of models and tasks, with where each of them comes from."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hrembed.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from hrembed.selection.benchmark import BenchmarkTask
    from hrembed.types import Bools, Floats

EXTERNAL = "external"  # mteb's name for what a model card says of itself
# Tasks whose older scores are known to be wrong: the newest version of mteb that is affected, and who says so.
INCOMPARABLE = {"TwitterHjerneRetrieval": ("1.18.0", "embeddings-benchmark/mteb issue 5228")}


class ScoreRow(NamedTuple):
    """One score as it stands in a source.

    Attributes:
        model: Hub id, or a name of the user's own.
        revision: Commit of the weights; `external` for what a model card says of itself.
        experiment: Settings that differ from the model's own (a shorter vector, a prompt); empty for none.
        task: Name of the task.
        split: Split of the task.
        subset: Subset (language) of the task.
        score: Main score, in [-1, 1].
        version: mteb that computed it; empty when unknown.
        place: `file:row`, for messages.
    """

    model: str
    revision: str
    experiment: str
    task: str
    split: str
    subset: str
    score: float
    version: str
    place: str


class Provenance(NamedTuple):
    """Where the score of a model on a task comes from.

    Attributes:
        revision: Commit of the weights.
        version: mteb that computed it, the oldest where cells differ; empty when unknown.
        origin: File or run.
    """

    revision: str
    version: str
    origin: str


@dataclass(frozen=True)
class ScoreTable:
    """Scores of models on tasks.

    Attributes:
        models: Row names.
        tasks: Column names.
        scores: Shape (models, tasks), in [-1, 1]; NaN where a model was not measured on every part that counts.
        origins: For each model and task, where the score comes from; None where there is none.
        repeated: Rows that stood more than once with the same score.
        experiments: Rows of models under other settings than their own, which do not count.
        partial: Model and task pairs of which only a part was measured; their score is missing.
    """

    models: tuple[str, ...]
    tasks: tuple[str, ...]
    scores: Floats
    origins: tuple[tuple[Provenance | None, ...], ...]
    repeated: int = 0
    experiments: int = 0
    partial: int = 0

    @property
    def filled(self) -> tuple[int, ...]:
        """For each model, tasks whose score comes from another revision than most of its scores."""
        counts = [[origin.revision for origin in row if origin is not None] for row in self.origins]
        return tuple(len(row) - max((row.count(r) for r in set(row)), default=0) for row in counts)


def tabulate(rows: Iterable[ScoreRow], tasks: Sequence[BenchmarkTask], source: str) -> ScoreTable:
    """Average the splits and subsets that count of each model and task; of several revisions, prefer one.

    The revision that covers most of the tasks comes first, then the one with the newest mteb. Others (older
    weights, or `external`) only fill its gaps. Rows of experiments do not count.

    Args:
        rows: Scores, in any order.
        tasks: What counts; rows of other tasks, splits and subsets are passed over.
        source: For messages.

    Raises:
        DataError: None of the tasks is there, or a score stands twice with two values.
    """
    wanted = {task.name: task for task in tasks}
    plain = [row for row in rows if row.task in wanted and _counts(wanted[row.task], row)]
    distinct, repeated = _distinct(row for row in plain if not row.experiment)
    cells: dict[str, dict[str, dict[str, list[ScoreRow]]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for row in distinct:
        cells[row.model][row.revision][row.task].append(row)
    if not cells:
        named = ", ".join(sorted(wanted)[:3])
        raise DataError(f"'{source}' has no scores for {named}{' ...' if len(wanted) > 3 else ''}")
    partial = _drop_partial(cells, wanted)
    models, columns = sorted(cells, key=str.casefold), sorted(wanted)
    merged = [_merge(cells[model], columns) for model in models]
    scores = np.array([[np.nan if cell is None else cell[0] for cell in row] for row in merged])
    origins = tuple(tuple(None if cell is None else cell[1] for cell in row) for row in merged)
    return ScoreTable(
        tuple(models), tuple(columns), scores, origins, repeated, sum(bool(row.experiment) for row in plain), partial
    )


def _counts(task: BenchmarkTask, row: ScoreRow) -> bool:
    return not np.isnan(row.score) and (task.cells is None or (row.split, row.subset) in task.cells)


def _distinct(rows: Iterable[ScoreRow]) -> tuple[list[ScoreRow], int]:
    """Drop rows that repeat another, and count them; two values for one score are an error."""
    seen: dict[tuple[str, ...], ScoreRow] = {}
    repeated = 0
    for row in rows:
        first = seen.setdefault((row.model, row.revision, row.task, row.split, row.subset), row)
        if first is row:
            continue
        if first.score != row.score:
            raise DataError(
                (
                    f"{row.place}: conflicting scores: {row.model} (revision {row.revision}) has {row.score:g} on "
                    f"{row.task}, but {first.score:g} at {first.place}"
                ),
                hint="remove the wrong row, or use different revisions for different runs of a model",
            )
        repeated += 1
    return list(seen.values()), repeated


def _drop_partial(
    cells: Mapping[str, Mapping[str, dict[str, list[ScoreRow]]]], wanted: Mapping[str, BenchmarkTask]
) -> int:
    """Drop the scores of tasks of which a revision has only some splits or subsets, and count them."""
    dropped = 0
    for revisions in cells.values():
        for tasks in revisions.values():
            short = [name for name, rows in tasks.items() if len(rows) < len(wanted[name].cells or ())]
            for name in short:
                del tasks[name]
            dropped += len(short)
    return dropped


def _merge(
    revisions: Mapping[str, Mapping[str, list[ScoreRow]]], tasks: Sequence[str]
) -> list[tuple[float, Provenance] | None]:
    """Score of a model on each task and where it comes from; None where no revision has one."""
    newest = {
        revision: max((version_key(row.version) for rows in of.values() for row in rows), default=())
        for revision, of in revisions.items()
    }
    order = sorted(revisions, key=lambda name: (len(revisions[name]), newest[name], name), reverse=True)
    merged: list[tuple[float, Provenance] | None] = []
    for task in tasks:
        rows = next((revisions[name][task] for name in order if task in revisions[name]), None)
        if rows is None:
            merged.append(None)
            continue
        oldest = min((row.version for row in rows), key=version_key)
        origin = rows[0].place.rpartition(":")[0] or rows[0].place
        merged.append((float(np.mean([row.score for row in rows])), Provenance(rows[0].revision, oldest, origin)))
    return merged


def version_key(text: str) -> tuple[int, ...]:
    """Order of versions: `2.10.0` comes after `2.9.1`; an unknown one comes first."""
    return tuple(int(part) for part in text.split(".") if part.isdigit())


def mark_incomparable(table: ScoreTable) -> Bools:
    """Mark scores that a version of mteb computed which is known to be wrong for the task, shape (models, tasks)."""
    marked = np.zeros(table.scores.shape, dtype=bool)
    for column, task in enumerate(table.tasks):
        if task in INCOMPARABLE:
            last = version_key(INCOMPARABLE[task][0])
            for line, origins in enumerate(table.origins):
                origin = origins[column]
                marked[line, column] = origin is not None and version_key(origin.version) <= last
    return marked


def versions_of(origins: Sequence[Provenance | None]) -> list[str]:
    """Major versions of mteb behind the scores of a model, `external` and `unknown` among them."""
    versions = set()
    for origin in origins:
        if origin is not None and origin.revision == EXTERNAL:
            versions.add(EXTERNAL)
        elif origin is not None:
            versions.add(origin.version.split(".")[0] if version_key(origin.version) else "unknown")
    return sorted(versions)


def mark_suspicious(scores: Floats) -> Bools:
    """Mark scores that do not fit the rest of the table: one wrong score can make a model first.

    A score is expected to be what the model does elsewhere plus how easy the task is (medians, polished); it is marked
    when it differs by more than six robust standard deviations of its task, and by more than 0.15.

    Args:
        scores: Shape (M, T); NaN where missing.

    Returns:
        Shape (M, T). Nothing is marked among fewer than eight models or four tasks.

    Source:
        Tukey (1977), Exploratory Data Analysis, chapter 11, on median polish.
    """
    models, tasks = scores.shape
    if models < _FEW_MODELS or tasks < _FEW_TASKS:
        return np.zeros(scores.shape, dtype=bool)
    rest = scores.copy()
    for _ in range(5):
        rest = rest - _median(rest, axis=1)
        rest = rest - _median(rest, axis=0)
    spread = 1.4826 * _median(np.abs(rest), axis=0)
    with np.errstate(invalid="ignore"):
        return (np.abs(rest) > 6 * spread) & (np.abs(rest) > _LARGE)


_FEW_MODELS, _FEW_TASKS, _LARGE = 8, 4, 0.15


def _median(values: Floats, *, axis: int) -> Floats:
    """Median of the finite values along an axis; 0 where there is none."""
    empty = np.isnan(values).all(axis=axis, keepdims=True)
    return np.nanmedian(np.where(empty, 0.0, values), axis=axis, keepdims=True)
