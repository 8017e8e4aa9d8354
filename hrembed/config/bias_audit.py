"""Settings of `hrembed bias-audit`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from hrembed.config.finetune import DEV
from hrembed.config.parts import BootstrapSection, ModelSection, TaskSection
from hrembed.config.section import Section


class StimuliSection(Section):
    """What is shown to the model."""

    jobs: str = Field(
        default="shipped:hr-core/audit/jobs.jsonl",
        description="JSONL with `_id` and `text`, and `occupation` where it is known which résumé answers which job.",
    )
    resumes: str = Field(
        default="shipped:hr-core/audit/resumes.jsonl",
        description="JSONL with `_id` and `text` holding `{name}`, perhaps slots of cues, and `occupation`.",
    )
    names: str = Field(
        default="shipped:names/us-census-2020.csv",
        description="CSV with `name` and one column for each group attribute; `first_name_count` to match on.",
    )
    attributes: tuple[str, ...] = Field(
        default=("gender", "race"), min_length=1, description="Columns of the names table that are compared."
    )
    half: Literal["all", "even", "odd"] = Field(
        default="all", description="Every other name of each combination: audit with one half, train with the other."
    )
    names_per_cell: int | None = Field(
        default=None,
        ge=2,
        description="Names of each combination of attributes, chosen alike in frequency, syllables and tokens of the "
        "model; null uses all.",
    )
    cues: str = Field(
        default="shipped:cues/cues.csv", description="CSV with `cue`, `variant`, `group`, `text`; see data/cues."
    )
    titles: str = Field(
        default="shipped:cues/titles.csv", description="CSV with `language`, `masculine`, `feminine` job titles."
    )
    words: str = Field(default="shipped:cues/words.csv", description="CSV with `set`, `word`, for association tests.")


class LimitsSection(Section):
    """Engineering choices, not law: where a difference starts to matter."""

    gap: float = Field(
        default=0.2,
        gt=0,
        description="Largest mean score gap, in standard deviations of a job's scores over nameless résumés.",
    )
    impact_ratio: float = Field(
        default=0.8, gt=0, lt=1, description="Smallest ratio of selection rates at `headline_cut`."
    )
    flip: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="How much more often a decision may turn between names of two groups than between two names of "
        "one; null does not judge it.",
    )
    recall: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="Largest gap of recall at `headline_cut`, where it is known which résumés are relevant; null does "
        "not judge it.",
    )


class ScoresFile(Section):
    """Scores of another system on the same stimuli."""

    path: str = Field(
        description="CSV with `job`, `resume`, `name`, `score`: ids of the stimuli files; an empty name is the résumé "
        "without one."
    )


class DecisionsSection(Section):
    """Real decisions about people, for the tables of the law."""

    path: str = Field(description="CSV with one row for each person.")
    attributes: tuple[str, ...] = Field(
        default=("sex", "race_ethnicity"), min_length=1, description="Columns with categories; empty cells are unknown."
    )
    selected: str | None = Field(default="selected", description="Column with yes or no; null for none.")
    score: str | None = Field(default=None, description="Column with the score; null for none.")
    job: str | None = Field(default=None, description="Column with the job, for comparisons within jobs.")

    @model_validator(mode="after")
    def _something(self) -> DecisionsSection:
        if self.selected is None and self.score is None:
            raise ValueError("name a column: `selected`, `score` or both")
        return self


class MitigationSection(Section):
    """What could be done, each measured before and after."""

    ways: tuple[Literal["header", "average", "leace", "mean-difference"], ...] = Field(
        default=(), description="Leave the header out, average over names, or project groups out of the vectors."
    )
    task: TaskSection = DEV
    metric: str = Field(default="ndcg@10", description="What must not suffer.")


class AuditConfig(Section):
    """`hrembed bias-audit`: the same résumés under different names."""

    model: ModelSection | None = Field(
        default=ModelSection(), description="What is audited; null with `scores`, or with `decisions` alone."
    )
    stimuli: StimuliSection = StimuliSection()
    scores: ScoresFile | None = Field(default=None, description="Audit these scores in place of a model.")
    decisions: DecisionsSection | None = Field(default=None, description="Also make the tables of the law from these.")
    texts_only: bool = Field(
        default=False, description="Only write the texts that would be scored (`texts.parquet`), for another system."
    )
    cues: tuple[str, ...] = Field(
        default=("pronouns", "affiliation", "graduation-year", "career-gap", "address", "spelling", "titles"),
        description="Cues beside names, each with a table of its own; they do not decide the verdict.",
    )
    controls: bool = Field(default=True, description="Also measure typos, white space and the missing header.")
    cuts: tuple[float, ...] = Field(
        default=(0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5),
        min_length=1,
        description="Shares of the candidates that are selected for a job.",
    )
    headline_cut: float = Field(default=0.1, gt=0, lt=1, description="The cut that the verdict looks at.")
    limits: LimitsSection = LimitsSection()
    fail_on: Literal["fail", "fail-or-inconclusive", "never"] = Field(
        default="fail",
        description="Which verdict ends the command with exit code 5 (fail) or 6 (inconclusive).",
    )
    mitigation: MitigationSection = MitigationSection()
    self_check: int = Field(
        default=200, ge=0, le=10_000, description="Random splits of the names of equal groups for the A/A check."
    )
    bootstrap: BootstrapSection = BootstrapSection()

    @field_validator("cuts")
    @classmethod
    def _shares(cls, values: tuple[float, ...]) -> tuple[float, ...]:
        wrong = [value for value in values if not 0 < value < 1]
        if wrong:
            raise ValueError(f"a cut is a share between 0 and 1, got {wrong[0]}")
        return values

    @model_validator(mode="after")
    def _headline(self) -> AuditConfig:
        if self.headline_cut not in self.cuts:
            raise ValueError(f"`headline_cut` {self.headline_cut} is not one of `cuts` {list(self.cuts)}; add it there")
        return self

    @model_validator(mode="after")
    def _source(self) -> AuditConfig:
        if self.model is not None and self.scores is not None:
            raise ValueError("give `model` or `scores`, not both; write `model: null`")
        if self.model is None and self.scores is None and self.decisions is None and not self.texts_only:
            raise ValueError("nothing to audit: give `model`, `scores` or `decisions`")
        if self.mitigation.ways and self.model is None:
            raise ValueError("`mitigation` needs a `model`")
        return self
