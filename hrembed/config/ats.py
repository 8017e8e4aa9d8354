"""Settings of `hrembed data import ats`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from hrembed.config.data import NearSection, PersonalSection
from hrembed.config.parts import DELIMITER, ENCODING, known_columns
from hrembed.config.section import Section
from hrembed.data.ats_columns import ATTRIBUTES, KNOWN_AS, NEEDED, TABLES
from hrembed.records.ats import Reached, Stage

_NAMES: tuple[str, ...] = Field(
    default=(),
    description="Further columns with names of people, as the file calls them; they are taken out of the texts of "
    "their row.",
)


class ExportTableSection(Section):
    """A table of the export; its columns are recognised by their usual names."""

    path: str | None = Field(default=None, description="The table; null looks for it in the folder `source`.")
    columns: dict[str, str | None] = Field(
        default={},
        description="Name of a column here: its name in the file, as `{text: Resume}`, or null to leave a recognised "
        "one out; others are found by their usual names.",
    )
    delimiter: str | None = DELIMITER
    encoding: str = ENCODING
    name_columns: tuple[str, ...] = _NAMES


class AtsAuditSection(Section):
    """Stimuli of an audit, drawn from the test side."""

    jobs: int = Field(default=10, ge=1, description="Most ads.")
    resumes: int = Field(default=24, ge=2, description="Most résumés; an audit shows each under every name.")


class ImportAtsConfig(Section):
    """`hrembed data import ats`: jobs, candidates and applications to pairs, a task, stimuli and decisions."""

    source: str = Field(
        default="shipped:ats-example",
        description="Folder with the tables `jobs`, `candidates` and `applications`, in any format.",
    )
    jobs: ExportTableSection = ExportTableSection()
    candidates: ExportTableSection = ExportTableSection()
    applications: ExportTableSection = ExportTableSection()
    out: str | None = Field(
        default=None,
        description="Folder for a copy of the products, so that other configs can name them; the next import replaces "
        "it.",
    )
    stages: dict[str, Stage] = Field(
        default={},
        description="Status: how far such an application came, beside the statuses that are recognised (docs/data.md).",
    )
    unknown_status: Literal["refuse", "leave-out"] = Field(
        default="refuse", description="What happens where nothing says how far a status is."
    )
    positive: Reached = Field(
        default="shortlisted",
        description="The smallest stage that makes a pair, a relevant résumé and a selected person.",
    )
    attributes: tuple[str, ...] = Field(
        default=ATTRIBUTES,
        description="Columns with categories of people; they go into the decisions, and nowhere else.",
    )
    negatives: int = Field(
        default=0,
        ge=0,
        description="Most people turned down for the job who are given to each of its pairs as hard negatives. 0 is "
        "the default, since a model would learn who was turned down, for good reasons or bad.",
    )
    dev: float = Field(default=0.15, ge=0, lt=1, description="Share of the jobs that go to the development side.")
    test: float = Field(default=0.25, gt=0, lt=1, description="Share of the jobs that go to the test side.")
    near: NearSection = NearSection()
    personal_data: PersonalSection = PersonalSection()
    audit: AtsAuditSection = AtsAuditSection()
    max_rejected: int = Field(
        default=0,
        ge=0,
        description="With more unusable rows than this the command fails; the products are written all the same.",
    )
    seed: int = Field(default=13, ge=0, description="Seed of the split and of every draw.")

    @model_validator(mode="after")
    def _known(self) -> ImportAtsConfig:
        for table in TABLES:
            columns = getattr(self, table).columns
            known_columns(columns, (*KNOWN_AS[table], *(self.attributes if table != "jobs" else ())))
            without = [column for column in NEEDED[table] if columns.get(column, "") is None]
            if without:
                raise ValueError(f"`{table}.columns`: '{without[0]}' is required")
        return self

    @model_validator(mode="after")
    def _room(self) -> ImportAtsConfig:
        if not self.dev + self.test < 1:
            raise ValueError(f"`dev` and `test` must add up to less than 1, got {self.dev + self.test}")
        return self

    @model_validator(mode="after")
    def _names(self) -> ImportAtsConfig:
        if "name" not in self.personal_data.types:
            raise ValueError("`personal_data.types` must contain `name`: résumés of an export contain names")
        return self
