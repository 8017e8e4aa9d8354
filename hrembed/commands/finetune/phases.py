"""The phases of a fine-tuning, and what each takes in texts to embed, by which the time to come is estimated."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hrembed.config.scratch import ScratchMethod
from hrembed.models.machine import multiplies_bfloat16
from hrembed.scoring.tasks import texts_in

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hrembed.commands.finetune.proof import Tasks
    from hrembed.config.finetune import FinetuneConfig
    from hrembed.scoring.tasks import AnyTask
    from hrembed.training.plan import TrainingPlan

READ = "read data and tasks"
BASE = "score the base"
PREPARE = "plan the training"
PROBE = "try a few steps"
PRETRAIN = "read texts (masked language modelling)"
TRAIN = "train, with dev scores"
STRENGTHS = "choose the strength"
PROVE = "proof: base against tuned"
WRITE = "write model and report"

_BACKWARD = 2  # a text that is trained on takes about twice as long on the way back as on the way there


def training_phases(config: FinetuneConfig) -> tuple[str, ...]:
    """Name the phases that a config leads to."""
    scratch = isinstance(config.method, ScratchMethod)
    return (
        *(READ, BASE, PREPARE),
        *([PROBE] if probes(config) else []),
        *([PRETRAIN] if scratch else []),
        *([branch_phase(branch) for branch in config.branches] if len(config.branches) > 1 else [TRAIN]),
        *([STRENGTHS] if config.proof.strengths and not scratch else []),
        *(PROVE, WRITE),
    )


def probes(config: FinetuneConfig) -> bool:
    """Whether a few steps are timed before a training: those in a bfloat16 that has to be emulated would take long."""
    return config.train.precision == "bfloat16" and multiplies_bfloat16()


def preflight_phases() -> tuple[str, ...]:
    """Name the phases of a dry run."""
    return (READ, BASE, PREPARE, PROBE)


def branch_phase(branch: int) -> str:
    """Name the training of a branch."""
    return f"train branch {branch}, with dev scores"


def expected_work(config: FinetuneConfig, tasks: Tasks, plan: TrainingPlan, processes: int) -> dict[str, float]:
    """Count the texts of each phase that embeds any.

    Args:
        config: Validated settings.
        tasks: What is measured on.
        plan: The planned batches.
        processes: How many share them.
    """
    dev, tests, retention = _texts([tasks.dev]), _texts(tasks.tests), _texts(tasks.retention)
    training = _trained(plan) / processes + config.train.evaluations * dev
    branches = [branch_phase(branch) for branch in config.branches] if len(config.branches) > 1 else [TRAIN]
    strengths = len({0.0, *config.proof.strengths, 1.0})
    work = {
        BASE: dev,
        **dict.fromkeys(branches, training / len(branches)),
        STRENGTHS: strengths * (dev + retention),
        PROVE: 2 * (tests + retention) + dev,
    }
    return {name: work[name] for name in training_phases(config) if name in work}


def _texts(tasks: Sequence[AnyTask]) -> int:
    return sum(texts_in(task) for task in tasks)


def _trained(plan: TrainingPlan) -> float:
    """Texts of all batches, in texts that are only embedded."""
    columns = {name: len(texts) for name, texts in plan.columns.items()}
    texts = sum(len(batch) * columns[plan.locate(batch)[0]] for batch in plan.batches)
    return float((1 + _BACKWARD) * texts)
