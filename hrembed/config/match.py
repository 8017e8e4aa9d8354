"""What the config of `match` may hold."""

from __future__ import annotations

from pydantic import Field, field_validator, model_validator

from hrembed.config.eval import CacheSection
from hrembed.config.parts import ModelSection, ScoreSection, StagesSection, TaskSection
from hrembed.config.section import Section
from hrembed.records.match import GroupMethod

ENDINGS = (".json", ".jsonl", ".csv", ".parquet", ".html")


def _usual(section: type[Section], key: str) -> object:
    return section.model_fields[key].default


class WhySection(Section):
    """Sentences that carried a cosine, shown only for models with which they were measured to do so."""

    show: bool = Field(default=False, description="Show sentences that carried the cosine.")
    sentences: int = Field(default=3, ge=1, le=20, description="Of each text.")
    needed: float = Field(
        default=0.8, ge=0.5, le=1, description="Share of pairs in which they must carry it, else none are shown."
    )
    task: TaskSection = Field(
        default=TaskSection(path="shipped:hr-core/test/ad-profile"),
        description="Retrieval task on which that is measured, once for a model.",
    )


class GroupRerankSection(Section):
    """Places for groups. Acting on a protected attribute may itself be unlawful."""

    method: GroupMethod = Field(
        default="none",
        description="`det-greedy` (every group's share of the pool in every top) or `fa-star` (moves `protected` up "
        "where chance does not explain how few there are); may itself be unlawful.",
    )
    protected: str | None = Field(default=None, min_length=1, description="The group.")
    alpha: float = Field(default=0.1, gt=0, lt=1, description="Chance to change a random ranking.")

    @model_validator(mode="after")
    def _all_used(self) -> GroupRerankSection:
        star = self.method == "fa-star"
        if star and self.protected is None:
            raise ValueError("`method: fa-star` needs `protected`, the group that it moves up")
        for key in ("protected", "alpha"):
            if not star and getattr(self, key) != _usual(type(self), key):
                raise ValueError(f"`{key}` has no effect without `method: fa-star`")
        return self


class GroupsSection(Section):
    """What groups of people get of the ranking. Groups are read for this report, and never enter the index."""

    file: str | None = Field(default=None, min_length=1, description="Table with the columns `id` and `group`.")
    cuts: tuple[int, ...] = Field(default=(10, 25, 100), min_length=1, description="Ranks at which they are counted.")
    smallest: int = Field(
        default=5, ge=1, description="Groups with fewer members in the pool are left out: they would name people."
    )
    rerank: GroupRerankSection = GroupRerankSection()

    @field_validator("cuts")
    @classmethod
    def _in_order(cls, values: tuple[int, ...]) -> tuple[int, ...]:
        if any(not 1 <= value <= 1000 for value in values):
            raise ValueError("cuts must be between 1 and 1000")
        return tuple(sorted(set(values)))

    @model_validator(mode="after")
    def _all_used(self) -> GroupsSection:
        given = [key for key in ("cuts", "smallest", "rerank") if getattr(self, key) != _usual(type(self), key)]
        if self.file is None and given:
            raise ValueError(f"`{given[0]}` has no effect without `file`")
        return self


class MatchConfig(Section):
    """`hrembed match`: candidates of an index, ranked for a job."""

    index: str | None = Field(default=None, min_length=1, description="Folder that `hrembed index build` wrote.")
    job: str | None = Field(
        default=None,
        description="The job: a text, a text file, an id of `jobs` (also as `id:ID`), or `-` for standard input.",
    )
    jobs: str | None = Field(default=None, min_length=1, description="Table of jobs with the columns `_id` and `text`.")
    batch: bool = Field(default=False, description="Rank for all of `jobs`, comparing with every candidate.")
    out: str | None = Field(
        default=None,
        min_length=1,
        description="Also write the list here; the ending decides: `.json`, `.jsonl`, `.csv`, `.parquet` or `.html`.",
    )
    k: int = Field(default=20, ge=1, le=1000, description="Number of candidates.")
    where: tuple[str, ...] = Field(
        default=(),
        description="Conditions on the index's filters, all of which must hold: `seniority=senior`, `country=DE,AT`, "
        "`years>=3`.",
    )
    model: ModelSection | None = Field(
        default=None, description="Null takes the model that the index names; another one is refused unless bridged."
    )
    score: ScoreSection = Field(
        default=ScoreSection(), description="Score the first candidates again, as `eval` does with this `score`."
    )
    stages: StagesSection = StagesSection()
    columns: tuple[str, ...] | None = Field(
        default=None, description="Columns of the index shown with a candidate; null shows its filters, `[]` none."
    )
    show_text: bool = Field(
        default=False, description="Show texts of candidates, redacted as by `data anonymise`; otherwise ids alone."
    )
    why: WhySection = WhySection()
    groups: GroupsSection = GroupsSection()
    cache: CacheSection = CacheSection()

    @field_validator("out")
    @classmethod
    def _known_ending(cls, value: str | None) -> str | None:
        if value is not None and not value.lower().endswith(ENDINGS):
            raise ValueError(f"'{value}' has none of the endings {', '.join(ENDINGS)}")
        return value

    @model_validator(mode="after")
    def _all_used(self) -> MatchConfig:
        if self.score.is_open:
            raise ValueError("`score: auto` is chosen by `hrembed eval`; set the values that it chose")
        if self.score.is_plain and self.stages.rescore != _usual(StagesSection, "rescore"):
            raise ValueError("`stages.rescore` has no effect without `score`")
        return self if not self.batch else self._of_batch()

    def _of_batch(self) -> MatchConfig:
        if self.jobs is None:
            raise ValueError("`batch` needs `jobs`, a table of jobs")
        if self.job is not None:
            raise ValueError("`batch` ranks for all jobs of `jobs`; remove `job`")
        for used, key in ((self.why.show, "why.show"), (self.show_text, "show_text")):
            if used:
                raise ValueError(f"`{key}` is for a single job; remove it, or `batch`")
        if self.out is not None and self.out.lower().endswith((".json", ".html")):
            raise ValueError("a batch is written as `.jsonl`, `.csv` or `.parquet`")
        return self
