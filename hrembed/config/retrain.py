"""Settings of `retrain`."""

from __future__ import annotations

from pydantic import Field

from hrembed.config.finetune import FinetuneConfig
from hrembed.config.gate import GateConfig
from hrembed.config.section import Section

BASE = "base"


class DriftSection(Section):
    """Limits from which new data count as drifted; one of them is enough to retrain."""

    length: float = Field(default=0.2, gt=0, description="Relative change of the mean number of words.")
    vocabulary: float = Field(default=0.05, gt=0, lt=1, description="Share of words that no old text holds.")
    distance: float = Field(
        default=0.1, gt=0, description="Distance of the mean vectors, which must also be significant (p of 0.01)."
    )
    metric: float = Field(
        default=0.03,
        gt=0,
        lt=1,
        description="Drop of the MRR of the model in use, from old to new pairs.",
    )
    sample: int = Field(default=1000, ge=20, description="Largest number of old and of new pairs that are compared.")
    seed: int = Field(default=13, ge=0, description="Seed of the samples.")


class BridgeSection(Section):
    """Linear maps that let new queries search old document vectors."""

    rank: int = Field(
        default=128, ge=1, description="Rank of the low-rank map, which is fitted besides the orthogonal one."
    )
    ridge: float = Field(
        default=0.01,
        gt=0,
        description="Ridge penalty of the low-rank map, relative to the mean squared norm of a column.",
    )
    texts: int = Field(default=5000, ge=50, description="Largest number of documents on which the maps are fitted.")


class RetrainConfig(Section):
    """`hrembed retrain`: the periodic job."""

    last: str | None = Field(
        default=None,
        description="Finetune run of the model in use, or `base`; null is the accepted one of `runs/registry.json`, "
        "else the base (`finetune.model`).",
    )
    pairs: str = Field(
        default="shipped:hr-core/pairs/train.jsonl",
        description="New training pairs: a file, or the folder of a data run.",
    )
    drift: DriftSection = DriftSection()
    force: bool = Field(default=False, description="Retrain even if nothing drifted.")
    continuations: int = Field(
        default=3,
        ge=0,
        description="Times in a row that training continues from the model in use before it restarts from the base.",
    )
    restart: float = Field(
        default=0.3, gt=0, lt=1, description="Share of unknown words above which training restarts from the base."
    )
    replay: float = Field(
        default=0.5,
        gt=0,
        le=1,
        description="Replay: share of the old pairs that are trained on again with the new ones.",
    )
    finetune: FinetuneConfig = Field(
        default=FinetuneConfig(),
        description="Training; `sources` are filled in, `model` is the base of a restart.",
    )
    gate: GateConfig = Field(
        default=GateConfig(),
        description="Gate that the new model must pass against the model in use; the runs are filled in.",
    )
    bridge: BridgeSection = BridgeSection()
