"""What the config of `export` may hold."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from hrembed.config.parts import BootstrapSection, ModelSection, TaskSection, check_vectors_alone
from hrembed.config.section import Section
from hrembed.records.export import ExportFormat


class ExportConfig(Section):
    """`hrembed export`: write a model in a form that other software reads."""

    model: ModelSection = ModelSection()
    formats: tuple[ExportFormat, ...] = Field(
        default=("legacy",),
        min_length=1,
        description="`legacy`: the layout of Sentence Transformers before 5.4, for servers that misread the newer one. "
        "The others are that layout with a graph in place of the torch weights, and need `hrembed[export]`.",
    )
    side: Literal["query", "document"] | None = Field(
        default=None, description="Which encoder, of a model with one for each side (`sides: query`)."
    )
    compare_on: TaskSection = Field(
        default=TaskSection(path="shipped:hr-core/dev/ad-profile"),
        description="Retrieval task on which int8 is compared with its source, and whose documents are timed.",
    )
    max_loss: float = Field(
        default=0.01, ge=0, lt=1, description="int8: largest loss of mean nDCG@10; beyond it the export is removed."
    )
    min_cosine: float = Field(
        default=0.95,
        ge=0,
        le=1,
        description="int8: lowest mean cosine of a text's vector to the source's; below it the export is removed.",
    )
    calibrate_on: str = Field(
        default="shipped:hr-core/pairs/train.jsonl",
        description="`openvino-int8`: pairs or a retrieval task, whose texts show the range of the activations; texts "
        "of `compare_on` are left out.",
    )
    calibration_texts: int = Field(default=300, ge=2, le=100_000, description="Size of their seeded sample.")
    seed: int = Field(default=13, ge=0, description="Seed of that sample.")
    bootstrap: BootstrapSection = BootstrapSection()

    _model = field_validator("model")(check_vectors_alone)

    @model_validator(mode="after")
    def _whole_numbers_come_from_float32(self) -> ExportConfig:
        if self.model.dtype != "float32" and self.formats != ("legacy",):
            raise ValueError("graphs are exported from float32; remove `model.dtype`")
        return self
