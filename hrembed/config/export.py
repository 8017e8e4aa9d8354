"""What the config of `export` may hold."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from hrembed.config.parts import ModelSection
from hrembed.config.section import Section


class ExportConfig(Section):
    """`hrembed export`: write a model in a form that other software reads."""

    model: ModelSection = ModelSection()
    formats: tuple[Literal["legacy"], ...] = Field(
        default=("legacy",),
        min_length=1,
        description="`legacy`: the layout of Sentence Transformers before 5.4, for servers that misread the newer one.",
    )
