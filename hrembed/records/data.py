"""What the `hrembed data` commands say."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from hrembed.records.base import CommandRecord, Number, Record

Match = Literal["exact", "id", "near", "group"]
TaskPart = Literal["documents", "queries", "pairs"]
Batching = Literal["random batches", "batches of hrembed"]
PersonalType = Literal["email", "phone", "link", "birth-date", "name"]
SplitSide = Literal["train", "dev", "test"]
RepeatKind = Literal[
    "repeated_rows",
    "anchor_is_positive",
    "rows_with_a_text_of_several_groups",
    "anchor_ids_with_several_texts",
    "positive_ids_with_several_texts",
    "repeated_queries",
    "repeated_documents",
    "query_is_relevant_document",
    "texts_of_several_groups",
]


class Leak(Record):
    """The documents, queries or relevant pairs of a task that occur in training.

    Attributes:
        total: How many the task has.
        occur: How many of them occur in training.
        share: `occur` by `total`, 0 to 1.
        by: How they were recognised -> how many; each counts once, by its strongest match.
        rows: Training rows in which any of them occurs.
    """

    total: int
    occur: int
    share: float
    by: dict[Match, int]
    rows: int


class NegativeCounts(Record):
    """In-batch negatives.

    Attributes:
        false: Negatives that are relevant to their anchor.
        all: All negatives.
        share: `false` by `all`; null without any negative.
    """

    false: int
    all: int
    share: Number


class PersonalTypeCounts(Record):
    """Personal data of one type.

    Attributes:
        count: Pieces found.
        rows: Rows with any.
        first_rows: Numbers of the first five of these rows.
    """

    count: int
    rows: int
    first_rows: tuple[int, ...]


class PersonalCounts(Record):
    """How much personal data a table holds.

    Attributes:
        rows: Rows of the table.
        rows_with_any: Rows that hold any personal data.
        findings: Pieces found, of all types.
        types: Type -> its counts.
    """

    rows: int
    rows_with_any: int
    findings: int
    types: dict[PersonalType, PersonalTypeCounts]


class DataCheckRecord(CommandRecord):
    """What `hrembed data check` says.

    Attributes:
        rows: Training pairs.
        tasks: Task -> its documents, queries and relevant pairs -> what of them leaks.
        false_negatives: How the pairs are put into batches -> the negatives of these batches.
        personal: Personal data in the texts of pairs; null where it was not looked for.
        removed: Rows that the fix left out; null without a fix.
        verdict: The limits that are exceeded, in words.
    """

    command: ClassVar[str] = "data-check"

    rows: int
    tasks: dict[str, dict[TaskPart, Leak]]
    false_negatives: dict[Batching, NegativeCounts]
    personal: PersonalCounts | None = None
    removed: int | None = None
    verdict: str


class SideCounts(Record):
    """One side of a split.

    Attributes:
        pairs: Pairs.
        groups: Distinct groups; pairs without one are grouped by their anchor.
        families: Distinct families; no family counts as one.
        kinds: Kind -> pairs.
    """

    pairs: int
    groups: int
    families: int
    kinds: dict[str, int]


class TaskSize(Record):
    """Size of a retrieval task."""

    queries: int
    documents: int
    judgements: int


class DataSplitRecord(CommandRecord):
    """What `hrembed data split` says.

    Attributes:
        sides: Side -> what is on it.
        dropped_from_train: Training pairs left out since they show an answer of a held-out task.
        tasks: Folder of each task that was written -> its size.
    """

    command: ClassVar[str] = "data-split"

    sides: dict[SplitSide, SideCounts]
    dropped_from_train: int
    tasks: dict[str, TaskSize]


class KindCounts(Record):
    """Pairs of one kind.

    Attributes:
        pairs: Pairs.
        groups: Groups with any pair of the kind.
        largest_group: Pairs of the largest group.
    """

    pairs: int
    groups: int
    largest_group: int


class TaxonomyImportRecord(CommandRecord):
    """What an import of a taxonomy says.

    Attributes:
        kinds: Kind -> its pairs.
        pairs: Pairs of all kinds.
        counts: Step of reading or filtering -> how many rows or texts it read or dropped, in order.
    """

    kinds: dict[str, KindCounts]
    pairs: int
    counts: dict[str, int]


class DataImportOnetRecord(TaxonomyImportRecord):
    """What `hrembed data import onet` says."""

    command: ClassVar[str] = "data-import-onet"


class DataImportEscoRecord(TaxonomyImportRecord):
    """What `hrembed data import esco` says."""

    command: ClassVar[str] = "data-import-esco"


class DataImportTableRecord(CommandRecord):
    """What `hrembed data import table` says.

    Attributes:
        rows: Rows read.
        pairs: Pairs written.
        repeated: Pairs left out because the same pair of the same group had come before.
        missing: Rows left out because a text only marks that there is none, such as `N/A`.
        rejected: Rows that could not be used; each is in `rejected.jsonl`.
    """

    command: ClassVar[str] = "data-import-table"

    rows: int
    pairs: int
    repeated: int
    missing: int = 0
    rejected: int


class Spread(Record):
    """Smallest, median, 95th percentile (interpolated) and largest of some numbers; null where there are none."""

    min: Number
    median: Number
    p95: Number
    max: Number


class LengthCounts(Spread):
    """How long some texts are.

    Attributes:
        texts: Texts that were measured.
        cut: Texts that the model cuts; null when it cuts none whatever their length.
        cut_share: `cut` by `texts`; null without a limit or a text.
    """

    texts: int
    cut: int | None
    cut_share: Number


class SideLengths(LengthCounts):
    """How long the texts of one side are.

    Attributes:
        rows: Texts of the side, of which a sample is measured when there are very many.
        kinds: Kind of pair -> its lengths; empty for a task.
    """

    rows: int
    kinds: dict[str, LengthCounts]


class Lengths(Record):
    """How long all texts are.

    Attributes:
        model: Short name of the model whose tokens are counted.
        unit: What is counted.
        limit: Longest text that the model does not cut; null when it cuts none.
        sides: Side in the plural (`anchors`, `queries`, ...) -> its lengths.
    """

    model: str
    unit: Literal["tokens", "words"]
    limit: int | None
    sides: dict[str, SideLengths]


class RowsWithout(Record):
    """Pairs without a value in an optional column."""

    group: int
    family: int
    anchor_id: int
    positive_id: int


class PairCounts(Record):
    """What a set of pairs consists of.

    Attributes:
        rows: Pairs.
        kinds: Kind -> pairs.
        groups: Distinct groups.
        families: Distinct families.
        distinct_anchors: Distinct texts of anchors.
        distinct_positives: Distinct texts of positives.
        rows_without: Pairs without a value in an optional column.
    """

    rows: int
    kinds: dict[str, int]
    groups: int
    families: int
    distinct_anchors: int
    distinct_positives: int
    rows_without: RowsWithout


class TextsWithoutGroup(Record):
    """Texts of a task that belong to no group."""

    queries: int
    documents: int


class TaskCounts(Record):
    """What a task consists of.

    Attributes:
        queries: Judged queries.
        documents: Documents.
        groups: Distinct groups of queries and documents.
        distinct_queries: Distinct texts of queries.
        distinct_documents: Distinct texts of documents.
        judgements: Judgements, whatever their grade.
        grades: Grade -> judgements, ascending.
        relevant_per_query: Documents with a grade above 0 for each query.
        documents_never_judged: Documents without any judgement, whatever its grade.
        without_group: Texts without a group.
    """

    queries: int
    documents: int
    groups: int
    distinct_queries: int
    distinct_documents: int
    judgements: int
    grades: dict[str, int]
    relevant_per_query: Spread
    documents_never_judged: int
    without_group: TextsWithoutGroup


class RepeatCounts(Record):
    """How often something stands twice.

    Attributes:
        exact: Counted on equal texts.
        same_words: Counted on texts that are equal after normalisation.
        of: How many there are in all.
    """

    exact: int
    same_words: int
    of: int


class LanguageCounts(Record):
    """In which languages the texts are.

    Attributes:
        long_enough: Distinct texts of four words or more.
        too_short: Distinct texts of fewer words, whose language is not guessed.
        sample: Texts whose language was guessed.
        languages: ISO 639-1 code, or `unsure` -> texts of the sample, most frequent first.
    """

    long_enough: int
    too_short: int
    sample: int
    languages: dict[str, int]


class GroupSizes(Spread):
    """How large the groups are.

    Attributes:
        groups: Groups with a name.
        largest: The largest 1 % of them, at least one.
        largest_share: Share of the grouped rows in those; null without groups.
    """

    groups: int
    largest: int
    largest_share: Number


Trace = Literal["markup", "entities", "mojibake", "spreadsheet", "missing"]
"""What exports leave behind in texts; `spreadsheet` is `_x000D_` and formulas, `missing` is `N/A` and the like."""


class DataInspectRecord(CommandRecord):
    """What `hrembed data inspect` says.

    Attributes:
        counts: What the data consists of.
        lengths: How long the texts are.
        duplicates: What may stand twice -> how often it does; pairs and tasks have their own kinds.
        traces: What exports leave behind -> distinct texts with it.
        languages: In which languages the texts are.
        group_sizes: How large the groups are.
    """

    command: ClassVar[str] = "data-inspect"

    counts: PairCounts | TaskCounts
    lengths: Lengths
    duplicates: dict[RepeatKind, RepeatCounts]
    traces: dict[Trace, int] = Field(default_factory=dict)
    languages: LanguageCounts
    group_sizes: GroupSizes


class DataAnonymiseRecord(PersonalCounts, CommandRecord):
    """What `hrembed data anonymise` says.

    Attributes:
        file: Name of the cleaned table in the run folder.
        fields: Columns that were cleaned, where the table has them.
    """

    command: ClassVar[str] = "data-anonymise"

    file: str
    fields: tuple[str, ...]


class DataRestoreRecord(CommandRecord):
    """What `hrembed data restore` says.

    Attributes:
        file: Name of the restored table in the run folder.
        placeholders_known: Placeholders of which the map says what stood there.
    """

    command: ClassVar[str] = "data-restore"

    file: str
    placeholders_known: int
