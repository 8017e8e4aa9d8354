"""Planted leaderboards for tests of `select`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from hrembed.commands.select.run import run_select
from hrembed.config.select import (
    ConstraintsSection,
    FactSection,
    ProbeSection,
    ScoresSection,
    SelectConfig,
)
from hrembed.runs.workspace import Workspace

if TYPE_CHECKING:
    from pathlib import Path

    from hrembed.records.select import SelectRecord
    from hrembed.types import CommandResult

MINI = "sentence-transformers/all-MiniLM-L6-v2"
TASKS = ("ArguAna", "FiQA2018", "SCIDOCS", "TRECCOVID", "STSBenchmark")
# Names no task of these itself; the model that it was made of was trained on two of them.
ADAPTED = "GreenNode/GreenNode-Embedding-KaLM-Mini-Instruct-VN-V1"
NOTHING = ProbeSection(models=(), shortlisted=False)
ANY = ConstraintsSection(licences=(), languages=(), open_weights=None)


def own(name: str, **facts: Any) -> FactSection:
    """A model that only the config knows: small, permissive, trained on nothing that counts."""
    given = {"parameters": 10_000_000, "licence": "mit", "trained_on": (), "memory_mb": 40, "dimension": 64, **facts}
    return FactSection(name=name, **given)


def planted(folder: Path, means: dict[str, float], *extra: str, leave: frozenset[tuple[str, str]] = frozenset()) -> str:
    """A CSV of scores: what a model does, plus how easy the task is, plus a little noise."""
    rng = np.random.default_rng(0)
    lines = ["model,revision,task,split,subset,main_score,mteb_version"]
    for model, mean in means.items():
        for n, task in enumerate(TASKS):
            score = mean + 0.05 * n + rng.normal(scale=0.002)
            if (model, task) not in leave:
                lines.append(f"{model},r1,{task},test,default,{score:.4f},2.0.0")
    file = folder / "scores.csv"
    file.write_text("\n".join([*lines, *extra]) + "\n", encoding="utf-8")
    return str(file)


MEANS = {f"own/m{n}": 0.60 - 0.01 * n for n in range(10)}


def run_planted(
    tmp_path: Path, file: str, facts: tuple[FactSection, ...] = (), **other: Any
) -> CommandResult[SelectRecord]:
    scores = ScoresSection(path=file, tasks=TASKS, **other.pop("scores", {}))
    named = {section.name for section in facts}
    rest = tuple(own(name) for name in MEANS if name not in named)
    given = {"constraints": ConstraintsSection(languages=(), open_weights=None), "probe": NOTHING, **other}
    config = SelectConfig(scores=scores, facts=(*facts, *rest), **given)
    return run_select(config, Workspace(tmp_path / "runs"))


def select(tmp_path: Path, file: str, facts: tuple[FactSection, ...] = (), **other: Any) -> SelectRecord:
    return run_planted(tmp_path, file, facts, **other).metrics


def order(record: SelectRecord) -> list[str]:
    return [row.model for row in record.leaderboard]
