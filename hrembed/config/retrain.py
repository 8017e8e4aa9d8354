"""What the config of `retrain` may hold."""

from __future__ import annotations

from pydantic import Field

from hrembed.config.finetune import FinetuneConfig
from hrembed.config.gate import GateConfig
from hrembed.config.section import Section


class DriftSection(Section):
    """From where new data count as different; one of them makes retraining worth it."""

    length: float = Field(default=0.2, gt=0, description="Change of the mean number of words, as a share.")
    vocabulary: float = Field(default=0.05, gt=0, lt=1, description="Share of the words that old data never hold.")
    distance: float = Field(
        default=0.1, gt=0, description="Distance of mean vectors; it must also be more than chance (p of 0.01)."
    )
    metric: float = Field(
        default=0.03,
        gt=0,
        lt=1,
        description="How much lower the last model scores (MRR) on new pairs than on old ones.",
    )
    sample: int = Field(default=1000, ge=20, description="Most pairs of each side that are looked at.")
    seed: int = Field(default=13, ge=0, description="Seed of the samples.")


class BridgeSection(Section):
    """A linear map that lets new queries search old document vectors."""

    rank: int = Field(
        default=128, ge=1, description="Rank of the low-rank map, which is fitted beside the orthogonal one."
    )
    ridge: float = Field(
        default=0.01, gt=0, description="Its ridge, as a share of the mean squared length of a column."
    )
    texts: int = Field(default=5000, ge=50, description="Most documents of the training pairs that it is fitted on.")


class RetrainConfig(Section):
    """`hrembed retrain`: the periodic job."""

    last: str | None = Field(
        default=None,
        description="Finetune run in use; null is the accepted one of `runs/registry.json`, else the newest.",
    )
    pairs: str = Field(
        default="shipped:hr-core/pairs/train.jsonl",
        description="New training pairs: a file, or the folder of a data run.",
    )
    drift: DriftSection = DriftSection()
    force: bool = Field(default=False, description="Retrain even where nothing drifted.")
    continuations: int = Field(
        default=3, ge=0, description="Continue from the last model this many times in a row, then start from the base."
    )
    restart: float = Field(
        default=0.3, gt=0, lt=1, description="Share of unknown words from which training starts from the base again."
    )
    replay: float = Field(
        default=0.5, gt=0, le=1, description="Share of the old pairs that are trained on again beside the new ones."
    )
    finetune: FinetuneConfig = Field(
        default=FinetuneConfig(),
        description="How it is trained; `sources` are filled in, `model` is what a restart takes.",
    )
    gate: GateConfig = Field(
        default=GateConfig(), description="What the new model must hold against the last one; the runs are filled in."
    )
    bridge: BridgeSection = BridgeSection()
