"""What the configs of the `hrembed data` commands may hold."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from hrembed.config.parts import (
    COLUMNS,
    DELIMITER,
    ENCODING,
    PAIR_COLUMNS,
    TASK_COLUMNS,
    checked_ref,
    known_columns,
)
from hrembed.config.section import Section
from hrembed.records.data import Match, PersonalType

OnetKind = Literal["title", "canonical", "description", "task", "technology", "ad-profile", "activity"]
EscoKind = Literal[
    "title", "canonical", "description", "skill", "occupation-skill", "skill-description", "joined-skill"
]

_PAIRS = "shipped:hr-core/pairs/train.jsonl"
_PER_GROUP = Field(
    default=40,
    ge=1,
    description="Most pairs of one kind from one occupation (or skill), so that big ones do not drown small ones.",
)
_MAX_OCCUPATIONS = Field(
    default=3, ge=1, description="A title of more occupations than this says too little, and is left out."
)
_DOWNLOADS = Field(default="data/downloads", description="Where downloaded releases lie, and are looked for.")


class ImportOnetConfig(Section):
    """`hrembed data import onet`: the O*NET database to training pairs."""

    source: str | None = Field(
        default=None,
        description="Folder or ZIP of the text database; null takes it from `downloads`, or downloads it there.",
    )
    release: str = Field(
        default="29.3",
        pattern=r"^\d+\.\d+$",
        description="Which release is downloaded, and credited where the name of `source` does not say it.",
    )
    downloads: str = _DOWNLOADS
    kinds: tuple[OnetKind, ...] = Field(
        default=("title", "description", "task", "technology", "ad-profile"),
        min_length=1,
        description="Kinds of pairs to build. Only on request: `canonical` (every other title with the preferred one) "
        "and `activity` (a task with the work activities that it is an instance of).",
    )
    per_group: int = _PER_GROUP
    max_occupations: int = _MAX_OCCUPATIONS
    ads: int = Field(default=3, ge=1, le=100, description="Ads composed for each occupation.")
    profiles: int = Field(default=4, ge=1, le=100, description="Anonymous profiles composed for each occupation.")
    seed: int = Field(default=13, ge=0, description="Seed of every draw.")


class ImportEscoConfig(Section):
    """`hrembed data import esco`: the ESCO classification to training pairs."""

    source: str | None = Field(
        default=None,
        description="Folder or ZIP with the CSV files, as the Commission or as Tabiya publishes them; "
        "null looks in `downloads`.",
    )
    downloads: str = _DOWNLOADS
    kinds: tuple[EscoKind, ...] = Field(
        default=("title", "description", "skill", "occupation-skill"),
        min_length=1,
        description="Kinds of pairs to build; one whose file is not in the source is left out, and said so. Only on "
        "request: `canonical`, `skill-description` and `joined-skill` (a line that names two to four skills by other "
        "labels, with the preferred ones).",
    )
    per_group: int = _PER_GROUP
    max_occupations: int = _MAX_OCCUPATIONS
    seed: int = Field(default=13, ge=0, description="Seed of every draw.")


class ColumnsSection(Section):
    """Which column of the table holds what. One under its own name is used where it is there; null leaves it out."""

    anchor: str = Field(default="anchor", description="The query side: an ad, a title.")
    positive: str = Field(default="positive", description="A text that is relevant to it, or a list of such texts.")
    group: str | None = Field(default="group", description="What both belong to: a job, an occupation.")
    family: str | None = Field(default="family", description="What the group belongs to: a department, a branch.")
    anchor_id: str | None = Field(default="anchor_id", description="Id of the anchor text.")
    positive_id: str | None = Field(default="positive_id", description="Id of the positive text.")
    kind: str | None = Field(default="kind", description="Kind of the pair.")
    negative: str | None = Field(
        default="negative",
        description="A text, or a list of texts, that looks relevant to the anchor and is not; `negative_1`, "
        "`negative_2` and so on are found as well.",
    )


class ImportTableConfig(Section):
    """`hrembed data import table`: a table of your own to training pairs."""

    source: str = Field(
        default=_PAIRS,
        description="CSV, TSV, JSONL (also .gz), Parquet, .xlsx, or `hf:ORG/NAME` for a dataset of the Hub.",
    )
    columns: ColumnsSection = ColumnsSection()
    kind: str = Field(default="table", min_length=1, description="Kind of the pairs where no column says it.")
    delimiter: str | None = DELIMITER
    encoding: str = ENCODING
    subset: str | None = Field(default=None, description="Configuration of a Hub dataset.")
    split: str = Field(default="train", description="Split of a Hub dataset.")
    max_rejected: int = Field(
        default=0,
        ge=0,
        description="With more unusable rows than this the command fails; the good ones are written all the same.",
    )


class NearSection(Section):
    """When two texts count as the same although they are not equal."""

    min_words: int = Field(default=5, ge=2, description="Shorter texts are only compared for equality.")
    max_changed: float = Field(
        default=0.2, gt=0, le=0.5, description="Share of the words that may be replaced, added or missing."
    )


class DataSplitConfig(Section):
    """`hrembed data split`: pairs to a training, a development and a test side."""

    pairs: str = Field(default=_PAIRS, description="Pairs file, or the folder of a run that wrote one.")
    columns: dict[str, str] = COLUMNS
    delimiter: str | None = DELIMITER
    encoding: str = ENCODING
    dev: float = Field(default=0.15, ge=0, lt=1, description="Share of the groups that go to the development side.")
    test: float = Field(default=0.25, ge=0, lt=1, description="Share of the groups that go to the test side.")
    by_pair: tuple[str, ...] = Field(
        default=("skill",),
        description="Kinds of which only the paired documents answer a query; of the others all of its group do.",
    )
    task_queries: int = Field(default=1000, ge=1, description="Most queries of each evaluation task.")
    near: NearSection = NearSection()
    seed: int = Field(default=13, ge=0, description="Seed of the split.")

    _columns = field_validator("columns")(lambda cls, value: known_columns(value, PAIR_COLUMNS))

    @model_validator(mode="after")
    def _room(self) -> DataSplitConfig:
        if not 0 < self.dev + self.test < 1:
            raise ValueError(
                "`dev` and `test` must add up to between 0 and 1, so that training data remains; got "
                f"{self.dev + self.test}"
            )
        return self


class DataInspectConfig(Section):
    """`hrembed data inspect`: what is in a set of pairs or a task."""

    source: str = Field(default=_PAIRS, description="Pairs file, folder of a run that wrote one, or task folder.")
    columns: dict[str, str] = COLUMNS
    delimiter: str | None = DELIMITER
    encoding: str = ENCODING
    model: str = Field(
        default="minilm", description="Model whose tokens are counted; `bm25` counts words in place of tokens."
    )
    language_sample: int = Field(
        default=2000, ge=0, description="Texts of four words or more whose language is guessed; 0 for none."
    )
    show_text: bool = Field(
        default=False,
        description="Show the texts of examples, redacted as by `data anonymise`; otherwise row numbers and ids alone.",
    )
    seed: int = Field(default=13, ge=0, description="Seed of the sample.")

    _columns = field_validator("columns")(lambda cls, value: known_columns(value, (*PAIR_COLUMNS, *TASK_COLUMNS)))
    _model = field_validator("model")(checked_ref)


class LeakLimits(Section):
    """Shares above which the command ends with exit code 3; null does not ask."""

    pairs: float | None = Field(
        default=0.0, ge=0, le=1, description="Relevant query-document pairs of a task that occur in training."
    )
    queries: float | None = Field(default=None, ge=0, le=1, description="Queries of a task that occur in training.")
    documents: float | None = Field(
        default=None, ge=0, le=1, description="Documents of a task that occur in training; usual with a taxonomy."
    )
    false_negatives: float | None = Field(
        default=None, ge=0, le=1, description="In-batch negatives that are relevant, as hrembed plans the batches."
    )
    personal: int | None = Field(
        default=0, ge=0, description="Pieces of personal data, where `personal` asks for them."
    )


class PersonalSection(Section):
    """What counts as personal data."""

    types: tuple[PersonalType, ...] = Field(
        default=("email", "phone", "link", "birth-date", "name"), min_length=1, description="What is looked for."
    )
    regions: tuple[str, ...] = Field(
        default=("US", "GB"),
        min_length=1,
        description="Countries (two letters) whose national phone numbers are known; `+` numbers always are.",
    )


def _check_name_columns(name_columns: tuple[str, ...], section: PersonalSection) -> None:
    if name_columns and "name" not in section.types:
        raise ValueError("`name_columns` requires `name` in `personal_data.types`")


class DataCheckConfig(Section):
    """`hrembed data check`: does training data leak into tasks, or hold personal data?"""

    train: str = Field(default=_PAIRS, description="Pairs file, or the folder of a run that wrote one.")
    columns: dict[str, str] = COLUMNS
    delimiter: str | None = DELIMITER
    encoding: str = ENCODING
    against: tuple[str, ...] = Field(
        default=("shipped:hr-core/test/title", "shipped:hr-core/test/skill", "shipped:hr-core/test/ad-profile"),
        description="Task folders that must stay unseen; all their splits count.",
    )
    match: tuple[Match, ...] = Field(
        default=("exact", "id", "near", "group"),
        min_length=1,
        description="What counts as the same. Ids and groups that are plain numbers are not compared.",
    )
    near: NearSection = NearSection()
    batch_size: int = Field(default=32, ge=2, description="Pairs per step, for counting false negatives.")
    fix: Literal["none", "pairs", "queries", "documents"] = Field(
        default="none",
        description="Write the training set again without rows that hold a task's relevant pairs; with `queries` "
        "also without its queries, with `documents` without any text of it.",
    )
    personal: bool = Field(default=False, description="Also look for personal data in the training texts.")
    name_columns: tuple[str, ...] = Field(
        default=(),
        description="Columns with the person's name, which is counted with its parts in all texts of the row.",
    )
    personal_data: PersonalSection = PersonalSection()
    limits: LeakLimits = LeakLimits()
    seed: int = Field(default=13, ge=0, description="Seed of the sampled batches.")

    _columns = field_validator("columns")(lambda cls, value: known_columns(value, PAIR_COLUMNS))

    @model_validator(mode="after")
    def _names(self) -> DataCheckConfig:
        _check_name_columns(self.name_columns, self.personal_data)
        if self.name_columns and not self.personal:
            raise ValueError("`name_columns` has no effect unless `personal: true`")
        return self


class DataAnonymiseConfig(Section):
    """`hrembed data anonymise`: personal data out, typed placeholders in."""

    source: str = Field(
        default="shipped:hr-core/test/ad-profile/corpus.jsonl", description="CSV, TSV, JSONL or Parquet."
    )
    fields: tuple[str, ...] = Field(
        default=("text", "anchor", "positive"),
        min_length=1,
        description="Columns that are cleaned, where the file has them.",
    )
    name_columns: tuple[str, ...] = Field(
        default=(),
        description="Columns with the person's name: replaced, and so are the name and its parts in texts of the row.",
    )
    delimiter: str | None = DELIMITER
    encoding: str = ENCODING
    personal_data: PersonalSection = PersonalSection()
    keep_map: bool = Field(
        default=False,
        description="Number the placeholders and write `map.json`, which turns them back. Guard that file.",
    )

    @model_validator(mode="after")
    def _names(self) -> DataAnonymiseConfig:
        _check_name_columns(self.name_columns, self.personal_data)
        return self


class DataRestoreConfig(Section):
    """`hrembed data restore`: numbered placeholders back into what stood there."""

    source: str = Field(
        default="latest",
        description="A run of `data anonymise` (its folder, its id or `latest`), or a file with its placeholders.",
    )
    map: str | None = Field(default=None, description="`map.json`; null is the one in the folder of the source.")
    encoding: str = Field(default="utf-8", description="Of CSV and JSONL.")
