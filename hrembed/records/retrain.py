"""What `hrembed retrain` says."""

from __future__ import annotations

from typing import ClassVar, Literal

from hrembed.metrics.gating import Outcome
from hrembed.records.base import CommandRecord, Measured, Number, Record
from hrembed.records.registry import ModelStatus, Plan

DriftKind = Literal["length", "vocabulary", "distance", "metric"]


class DriftRow(Record):
    """How much new pairs differ from old ones in one respect.

    Attributes:
        found: The difference; null where it is undefined.
        limit: The smallest difference that counts as drift.
        drifted: Whether it counts.
    """

    found: Number
    limit: float
    drifted: bool


class LengthDrift(DriftRow):
    """Change of the mean length of a document, as a share.

    Attributes:
        words: Mean number of words of old and of new documents.
    """

    words: tuple[float, float]


class DistanceDrift(DriftRow):
    """Distance of the mean vectors.

    Attributes:
        p_value: Of a permutation test; a drift must also be more than chance.
    """

    p_value: float


class MetricDrift(DriftRow):
    """How much lower the model in use scores on new pairs.

    Attributes:
        old: Mean reciprocal rank on old pairs.
        new: The same on new pairs.
    """

    old: Measured
    new: Measured


class Drift(Record):
    """New pairs against old ones.

    Attributes:
        length: Change of the mean number of words, as a share.
        vocabulary: Share of the words of new documents that no old one holds.
        distance: Distance of the mean vectors.
        metric: Mean reciprocal rank of the model in use, old minus new.
    """

    length: LengthDrift
    vocabulary: DriftRow
    distance: DistanceDrift
    metric: MetricDrift

    def rows(self) -> dict[DriftKind, DriftRow]:
        """Return every kind of drift."""
        return {
            "length": self.length,
            "vocabulary": self.vocabulary,
            "distance": self.distance,
            "metric": self.metric,
        }

    def drifted(self) -> tuple[DriftKind, ...]:
        """Return the kinds that count as drift."""
        return tuple(kind for kind, row in self.rows().items() if row.drifted)


class BridgeWay(Record):
    """One way to search: which queries on which documents.

    Attributes:
        score: Mean of the metric.
        difference: That minus the score of the old model.
    """

    score: Measured
    difference: Measured


class Bridge(Record):
    """New queries on document vectors of the old model, beside full re-encoding.

    Attributes:
        task: Task on which it was measured.
        metric: Its metric.
        ways: Name of a way to search -> what it scored; `old model` and `re-encoded` are the ends.
        best: The map that was chosen on another task.
        survived: Share of the gain of re-encoding that this map keeps, negative where it loses; null where re-encoding
            shows no gain.
        no_gain: Why it shows none; empty otherwise.
    """

    task: str
    metric: str
    ways: dict[str, BridgeWay]
    best: str
    survived: float | None
    no_gain: str


class RetrainedModel(Record):
    """The new model, as configs name it.

    Attributes:
        ref: Its reference.
        max_tokens: Length at which its texts are cut.
    """

    ref: str
    max_tokens: int


class RetrainRuns(Record):
    """Folders of the runs of the commands that took part.

    Attributes:
        finetune: The training.
        eval: Both models on the tasks of the proof.
        gate: The new model against the old one.
    """

    finetune: str
    eval: str
    gate: str


class Retraining(Record):
    """A training that was worth it, and what came of it.

    Attributes:
        plan: Whether it went on from the model in use, or started from the base again.
        why: The reason.
        continuations: Times in a row that training went on from the model before.
        model: The new model.
        runs: What it was trained and measured by.
        gate: Verdict of the gate.
        bridge: What its queries find on old document vectors.
    """

    plan: Plan
    why: str
    continuations: int
    model: RetrainedModel
    runs: RetrainRuns
    gate: Outcome
    bridge: Bridge


class RetrainRecord(CommandRecord):
    """All that the periodic job says.

    Attributes:
        verdict: What became of the new model, or that none was trained.
        last: Run of the model in use; the reference of the base where none was accepted.
        drift: New pairs against those it was trained on; null for the base, which was trained on none of them.
        drifted: Kinds of drift that count.
        retraining: The training; null where it was not worth it.
    """

    command: ClassVar[str] = "retrain"

    verdict: Literal["not worth it"] | ModelStatus
    last: str
    drift: Drift | None
    drifted: tuple[DriftKind, ...]
    retraining: Retraining | None
