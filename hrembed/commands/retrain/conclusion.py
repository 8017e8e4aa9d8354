"""What a periodic job found, in two or three sentences, and what to do next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hrembed.commands.retrain.bridge import bridge_sentence
from hrembed.reports.conclusions import listed

if TYPE_CHECKING:
    from hrembed.config.retrain import RetrainConfig
    from hrembed.records.retrain import Retraining, RetrainRecord


def conclusion_of(record: RetrainRecord, config: RetrainConfig) -> list[str]:
    """Say whether anything drifted, whether the new model is in use, and which command comes next.

    Args:
        record: What the job said.
        config: Its settings, which name the new pairs.
    """
    if record.retraining is None:
        return [
            f"The new pairs do not differ from the old ones beyond the limits of drift: {record.last} stays in use.",
            "Next, look again when there are more pairs, or train all the same:",
            f"  hrembed retrain --set pairs={config.pairs} --set force=true",
        ]
    drifted = f"Beyond the limits of drift: {listed(record.drifted)}." if record.drifted else ""
    return [
        *([drifted] if drifted else []),
        _outcome(record, record.retraining),
        bridge_sentence(record.retraining.bridge),
        *_next(record, record.retraining),
    ]


def _outcome(record: RetrainRecord, retraining: Retraining) -> str:
    trained = f"A model was trained ({retraining.plan}: {retraining.why})"
    against = f"its gate against {record.last}"
    if record.verdict == "accepted":
        return f"{trained}; it passed {against}, and is in use now."
    if record.verdict == "outdated":
        return f"{trained}; it passed {against}, but another model was accepted meanwhile, which stays in use."
    return f"{trained}; {against} ended with {retraining.gate}, so {record.last} stays in use."


def _next(record: RetrainRecord, retraining: Retraining) -> list[str]:
    ref = retraining.model.ref
    if record.verdict == "accepted":
        return [
            "Next, write it for a server, and embed the documents again:",
            f"  hrembed export --set model.ref={ref}",
        ]
    if record.verdict == "outdated":
        return ["Next, compare both, then decide:", f"  hrembed eval --set models.1.ref={ref}"]
    return ["Next, see which checks did not hold:", f"  hrembed runs show gate/{_id_of(retraining.runs.gate)}"]


def _id_of(folder: str) -> str:
    return folder.rpartition("/")[2]
