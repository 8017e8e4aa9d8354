"""What takes part in an evaluation: models that score texts, and rankings that were made elsewhere."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from hrembed.config.parts import ModelSection
from hrembed.data.locate import locate
from hrembed.errors import DataError
from hrembed.evaluation.trec import read_run
from hrembed.files import sha256, user_path
from hrembed.models.refs import parse_ref
from hrembed.scoring.encoders import use_of
from hrembed.scoring.retrieval import rank_task
from hrembed.scoring.score_choice import settle_score
from hrembed.scoring.self_retrieval import without_self

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hrembed.config.eval import EvalConfig
    from hrembed.progress import Progress
    from hrembed.runs.record import Run
    from hrembed.runs.workspace import Workspace
    from hrembed.scoring.tasks import AnyTask
    from hrembed.types import Encoder, Ranking, Task


@dataclass(frozen=True)
class System:
    """One column of the results.

    Attributes:
        name: Unique in this evaluation.
        encoder: Scores texts; None for rankings that were made elsewhere.
        rankings: TREC run: a file, or a folder with one `<task>.run` each; None for an encoder.
    """

    name: str
    encoder: Encoder | None = None
    rankings: Path | None = None

    def rank(self, task: Task, config: EvalConfig, progress: Progress) -> Ranking:
        """Rank a task, or read its ranking.

        Raises:
            DataError: The TREC run does not fit the task.
            ModelError: A text cannot be embedded.
        """
        if self.encoder is not None:
            return rank_task(self.encoder, task, depth=config.search.depth, memory_mb=config.search.memory_mb)
        file = self._file(task)
        run = read_run(file, task, config.search.depth + bool(task.excluded))
        if run.missing:
            progress.note(f"{file}: no ranking for {run.missing} of {len(task.queries)} queries of {task.name}")
        return without_self(task, run.ranking, config.search.depth)

    def _file(self, task: Task) -> Path:
        path = self.rankings or Path()
        if path.is_file():
            return path
        file = path / run_file(task.name)
        if not file.is_file():
            raise DataError(f"'{path}' contains no ranking for {task.name}", hint=f"expected file: '{file}'")
        return file


def run_file(task: str) -> str:
    """Name of the TREC file of a task."""
    return f"{task.replace('/', '--')}.run"


def open_systems(config: EvalConfig, tasks: Sequence[AnyTask], run: Run) -> list[System]:
    """Open all models and baselines, name them apart, and record them.

    Args:
        config: Models and baselines.
        tasks: What is reported, on which no model may choose how it scores.
        run: Records what takes part.

    Raises:
        DataError: The dev task of a scoring cannot be used.
        ModelError: A model cannot be found.
    """
    cache = cache_folder(config, run)
    opened = []
    sections = sections_of(config)
    for section in sections:
        ref = parse_ref(section.ref)
        if ref.is_rankings:
            opened.append(System(ref.short_name, rankings=locate(ref.target)))
        else:
            memory_mb = config.search.memory_mb
            encoder = settle_score(section, run, tasks, cache=cache, memory_mb=memory_mb).open(
                run, cache=cache, memory_mb=memory_mb
            )
            opened.append(System(encoder.name, encoder))
    systems = [replace(system, name=name) for name, system in zip(names_of(sections), opened, strict=True)]
    for system in systems:
        if system.encoder is not None:
            run.add_model(system.name, system.encoder.identity, system.encoder.source, use_of(system.encoder))
        elif system.rankings is not None:
            run.add_model(system.name, sha256(system.rankings), str(system.rankings))
    return systems


def cache_folder(config: EvalConfig, workspace: Workspace) -> Path | None:
    """Where vectors are kept; None when they are not."""
    if not config.cache.use:
        return None
    return user_path(config.cache.folder) if config.cache.folder else workspace.cache / "vectors"


def sections_of(config: EvalConfig) -> list[ModelSection]:
    """Models of an evaluation, its baselines last."""
    return [*config.models, *(ModelSection(ref=name) for name in config.baselines)]


def names_of(sections: Sequence[ModelSection]) -> list[str]:
    """Name models apart: by the names that the config gives them, the others by their references.

    References that come more than once, or that another model has as its name, are numbered: `a`, `b#1`, `b#2`.
    """
    given = {section.name for section in sections if section.name is not None}
    short = [parse_ref(section.ref).short_name for section in sections if section.name is None]
    counts, seen = Counter(short), Counter[str]()
    names = []
    for section in sections:
        name = section.name
        if name is None:
            name = parse_ref(section.ref).short_name
            seen[name] += 1
            name = f"{name}#{seen[name]}" if counts[name] > 1 or name in given else name
        names.append(name)
    return names
