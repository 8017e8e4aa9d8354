"""What `hrembed demo` says."""

from __future__ import annotations

from hrembed.records.base import Record
from hrembed.records.eval import EvalRecord


class RunOutcome(Record):
    """A run that the demo made.

    Attributes:
        run: Its folder.
        status: `ok`, or a verdict.
    """

    run: str
    status: str


class DemoRecord(Record):
    """The four runs, and the numbers of the evaluation.

    Attributes:
        runs: Command -> its run.
        eval_metrics: Base, tuned model and baselines on the held-out tasks.
    """

    runs: dict[str, RunOutcome]
    eval_metrics: EvalRecord
