"""What a fine-tuning writes to metrics.json."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hrembed.metrics.intervals import sign_flip_p
from hrembed.metrics.verdicts import judge
from hrembed.reports.estimates import as_json
from hrembed.scoring.retrieval import compare, estimate, groups_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hrembed.config.finetune import FinetuneConfig
    from hrembed.training.callbacks import History
    from hrembed.training.plan import TrainingPlan
    from hrembed.types import Floats, Task


def dev_metrics(config: FinetuneConfig, base: Floats, tuned: Floats, task: Task, history: History) -> dict[str, Any]:
    """Compare base and tuned model on the dev task, and write down the training."""
    bootstrap, groups = config.bootstrap, groups_of(task)
    before, after = estimate(base, groups, bootstrap), estimate(tuned, groups, bootstrap)
    difference = compare(tuned, base, groups, bootstrap)
    p_value = sign_flip_p(tuned, base, groups, rng=np.random.default_rng(bootstrap.seed))
    alpha = 1 - bootstrap.confidence
    return {
        "verdict": judge(difference.estimate, p_value, alpha=alpha, delta=config.delta),
        "delta": config.delta,
        "p_value": p_value,
        "task": task.name,
        "metric": config.metric,
        "confidence": bootstrap.confidence,
        "base": as_json(before),
        "tuned": as_json(after),
        "difference": as_json(difference.estimate),
        "steps": history.steps,
        "steps_done": len(history.losses),
        "best_step": history.best_step,
        "dev_history": [{"step": step, "score": score} for step, score in history.dev],
        "loss_history": history.losses,
    }


class Branch(NamedTuple):
    """What came of the sources of a branch.

    Attributes:
        number: As in the config.
        folder: Of its checkpoints, in the run folder.
        plan: Its rows and batches.
        history: Its training.
    """

    number: int
    folder: str
    plan: TrainingPlan
    history: History


def branches_json(trained: Sequence[Branch]) -> dict[str, Any]:
    """Write down each branch and its dev score; nothing where there is only one."""
    if len(trained) == 1:
        return {}
    rows = [
        {
            "branch": own.number,
            "sources": [int(name.removeprefix("source-")) for name in own.plan.columns],
            "steps": own.history.steps,
            "best_step": own.history.best_step,
            "dev": dict(own.history.dev)[own.history.best_step],
        }
        for own in trained
    ]
    return {"branches": rows}
