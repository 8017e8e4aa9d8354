"""Settings of `hrembed bias-audit`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from hrembed.config.finetune import DEV
from hrembed.config.parts import DELIMITER, ENCODING, BootstrapSection, ModelSection, TaskSection
from hrembed.config.section import Section


class StimuliSection(Section):
    """Stimuli: what the model is shown."""

    jobs: str = Field(
        default="shipped:hr-core/audit/jobs.jsonl",
        description="JSONL with `_id`, `text` and optionally `occupation`, which tells the relevant résumés of a job.",
    )
    resumes: str = Field(
        default="shipped:hr-core/audit/resumes.jsonl",
        description="JSONL with `_id`, `text` with the slot `{name}` (and slots of cues), and optionally `occupation`.",
    )
    names: str = Field(
        default="shipped:names/us-census-2020.csv",
        description="CSV with `name`, one column per attribute, and optionally `first_name_count`, on which names are "
        "matched.",
    )
    attributes: tuple[str, ...] = Field(
        default=("gender", "race"), min_length=1, description="Columns of the names table whose groups are compared."
    )
    half: Literal["all", "even", "odd"] = Field(
        default="all", description="Use every other name of each group: audit on one half, train on the other."
    )
    names_per_cell: int | None = Field(
        default=None,
        ge=2,
        description="Names per combination of attributes, matched on frequency, syllables and tokens of the "
        "model; null "
        "uses all.",
    )
    cues: str = Field(
        default="shipped:cues/cues.csv", description="CSV with `cue`, `variant`, `group`, `text`; see data/cues."
    )
    titles: str = Field(
        default="shipped:cues/titles.csv", description="CSV with `language`, `masculine`, `feminine` job titles."
    )
    words: str = Field(default="shipped:cues/words.csv", description="CSV with `set`, `word`, for association tests.")


class LimitsSection(Section):
    """Limits from which a difference matters. Engineering choices, not law."""

    gap: float = Field(
        default=0.2,
        gt=0,
        description="Largest acceptable mean score gap, in standard deviations of a job's scores over the nameless "
        "résumés.",
    )
    impact_ratio: float = Field(
        default=0.8,
        gt=0,
        lt=1,
        description="Smallest acceptable ratio of selection rates: of names at `headline_cut`, and of real decisions.",
    )
    flip: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="Largest acceptable excess of decisions that flip between names of two groups over those that flip "
        "between two names of one group; null does not judge it.",
    )
    recall: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="Largest acceptable gap of recall at `headline_cut`, where relevant résumés are known; null "
        "does not "
        "judge it.",
    )


class ScoresFile(Section):
    """Scores of another system on the same stimuli."""

    path: str = Field(
        description="CSV with `job`, `resume`, `name`, `score`: ids as in the stimuli; an empty name stands for the "
        "nameless résumé."
    )


class SmallSection(Section):
    """Categories with few people (6 RCNY section 5-301(d))."""

    share: float = Field(default=0.02, ge=0, lt=1, description="A category with a smaller share of people is small.")
    base: Literal["known", "all"] = Field(
        default="known",
        description="Share of which people: those whose category is known, or all (6 RCNY 5-301(d) says neither).",
    )
    treat: Literal["blank", "exclude", "count"] = Field(
        default="blank",
        description="A small category has its number and rate but no impact ratio, and is never the best; the same, "
        "named below the table instead of in it; or counts as any other (6 RCNY 5-301(d) leaves the choice to the "
        "auditor and asks for the reason).",
    )


class DecisionsSection(Section):
    """Real decisions about people, for the legal tables."""

    path: str = Field(description="Table with one row per person, or with counts (`applicants`).")
    delimiter: str | None = DELIMITER
    encoding: str = ENCODING
    attributes: tuple[str, ...] = Field(
        default=("sex", "race_ethnicity"), min_length=1, description="Columns of categories."
    )
    selected: str | None = Field(
        default="selected", description="Column with yes or no, or with the number selected; null where there is none."
    )
    score: str | None = Field(default=None, description="Score column; null where there is none.")
    job: str | None = Field(default=None, description="Job column, for comparisons within jobs.")
    applicants: str | None = Field(
        default=None,
        description="Column with the number of people of a row of counts (of people with one outcome, where `selected` "
        "says yes or no); null takes a column of that name, where it is there and holds numbers.",
    )
    scored: str | None = Field(
        default=None, description="Column with the number above the median, in rows of counts; null for none."
    )
    unknown: tuple[str, ...] = Field(
        default=("usual",),
        description="Answers that count as an unknown category, beside empty cells; `usual` stands for the usual ones "
        "(`N/A`, `Prefer not to say`, `Decline to self-identify`, also in other languages). The run names them.",
    )
    undecided: Literal["refuse", "drop"] = Field(
        default="refuse", description="A row without a decision or score: refuse the file, or drop the row and say so."
    )
    small: SmallSection = SmallSection()

    @model_validator(mode="after")
    def _something(self) -> DecisionsSection:
        if self.selected is None and self.score is None and self.scored is None:
            raise ValueError(
                "specify at least one of the columns `selected` and `score` (or `scored`, if rows are counts)"
            )
        return self

    @model_validator(mode="after")
    def _counts(self) -> DecisionsSection:
        if self.score is not None and (self.applicants is not None or self.scored is not None):
            raise ValueError(
                "rows with counts have no individual `score`; use `scored`, the number of people above the median"
            )
        return self


class MitigationSection(Section):
    """Mitigations, each measured before and after."""

    ways: tuple[Literal["header", "average", "leace", "mean-difference"], ...] = Field(
        default=(),
        description="Mitigations to measure: remove the header, average over names, or project the groups out of the "
        "vectors.",
    )
    task: TaskSection = DEV
    metric: str = Field(default="ndcg@10", description="Metric that should not suffer.")


class AuditConfig(Section):
    """`hrembed bias-audit`: the same résumés under different names."""

    model: ModelSection | None = Field(
        default=ModelSection(), description="Model to audit; null with `scores`, or with `decisions` alone."
    )
    stimuli: StimuliSection = StimuliSection()
    scores: ScoresFile | None = Field(
        default=None, description="Audit the scores of another system instead of a model."
    )
    decisions: DecisionsSection | None = Field(default=None, description="Real decisions, for the legal tables.")
    texts_only: bool = Field(
        default=False, description="Only write the texts to score (`texts.parquet`), for another system."
    )
    cues: tuple[str, ...] = Field(
        default=("pronouns", "affiliation", "graduation-year", "career-gap", "address", "spelling", "titles"),
        description="Cues besides names, each reported in a table of its own; they do not decide the verdict.",
    )
    controls: bool = Field(default=True, description="Also measure controls: typos, white space and a missing header.")
    cuts: tuple[float, ...] = Field(
        default=(0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5),
        min_length=1,
        description="Selection rates: shares of the candidates selected for a job.",
    )
    headline_cut: float = Field(default=0.1, gt=0, lt=1, description="The cut on which the verdict is based.")
    limits: LimitsSection = LimitsSection()
    fail_on: Literal["fail", "fail-or-inconclusive", "never"] = Field(
        default="fail",
        description="Verdicts that end the command with exit code 5 (fail) or 6 (inconclusive).",
    )
    mitigation: MitigationSection = MitigationSection()
    self_check: int = Field(
        default=200, ge=0, le=10_000, description="Random splits within groups for the A/A check; 0 leaves it out."
    )
    bootstrap: BootstrapSection = BootstrapSection()

    @field_validator("cuts")
    @classmethod
    def _shares(cls, values: tuple[float, ...]) -> tuple[float, ...]:
        wrong = [value for value in values if not 0 < value < 1]
        if wrong:
            raise ValueError(f"cuts must be between 0 and 1, got {wrong[0]}")
        return values

    @model_validator(mode="after")
    def _headline(self) -> AuditConfig:
        if self.headline_cut not in self.cuts:
            raise ValueError(
                f"`headline_cut` {self.headline_cut} is not one of `cuts` {list(self.cuts)}; add it to `cuts`"
            )
        return self

    @model_validator(mode="after")
    def _source(self) -> AuditConfig:
        if self.model is not None and self.scores is not None:
            raise ValueError("specify either `model` or `scores`, not both; to use `scores`, set `model: null`")
        if self.model is None and self.scores is None and self.decisions is None and not self.texts_only:
            raise ValueError("nothing to audit: set `model`, `scores` or `decisions`")
        if self.mitigation.ways and self.model is None:
            raise ValueError("`mitigation` requires a `model`")
        return self
