"""What `hrembed match` says."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from hrembed.records.base import CommandRecord, Measured, Number, Record

WhyMethod = Literal["token shares", "leave one sentence out"]
GroupMethod = Literal["none", "det-greedy", "fa-star"]


class Faithfulness(Record):
    """Whether the sentences that an explanation names are those that the score rests on; measured, for one model.

    Attributes:
        identity: Of the model.
        method: How a sentence's share is computed. Leaving out one sentence after another names the one whose loss
            costs most by definition, so that it passes wherever scores differ.
        task: Queries and documents of the pairs.
        pairs: Pairs of a query and one of its best documents that have two sentences of like length to compare.
        skipped: Pairs that have none.
        share: Share of the pairs in which leaving out the named sentence lowered the score more than leaving out
            another of like length.
        needed: Smallest share with which explanations are shown.
        answered: Cosine from which a sentence of a job counts as answered: 95 of 100 sentences are less close to a
            document of another group.
        passes: Whether the share reaches what is needed.
    """

    identity: str
    method: WhyMethod
    task: str
    pairs: int
    skipped: int
    share: Measured
    needed: Number
    answered: Number
    passes: bool


class SentenceShare(Record):
    """What a sentence adds to a cosine.

    Attributes:
        place: Place of the sentence in its text, from 0.
        start: First character.
        end: The one behind its last.
        share: What it adds; with `leave one sentence out`, what the cosine loses without it.
        loss: What the cosine loses without it, the text embedded anew; null where that was not tried.
        text: The sentence, redacted; null without `show_text`.
    """

    place: int
    start: int
    end: int
    share: Number
    loss: Number = float("nan")
    text: str | None = None


class Reasons(Record):
    """Why a candidate has its cosine.

    Attributes:
        candidate: Sentences of the candidate's text, the largest loss first.
        job: The same of the job.
        unanswered: Sentences of the job, by place, to which no sentence of the candidate comes close.
        other: What stands in no sentence: special tokens, the prompt; with it, all shares of the candidate's text add
            up to the cosine. Null where shares do not add up (`leave one sentence out`).
        cosine: Of the texts as they are kept in the index; rounding of stored vectors tells it from that of the row.
    """

    candidate: tuple[SentenceShare, ...]
    job: tuple[SentenceShare, ...]
    unanswered: tuple[int, ...]
    other: Number
    cosine: Number


class Candidate(Record):
    """A candidate with every score and rank that made its place; null where a stage did not see it.

    Attributes:
        rank: Place in the list.
        id: Its id in the index.
        cosine: Cosine to the job, recomputed from the vectors.
        cosine_rank: Place by cosine.
        bm25: BM25 score of the kept text.
        bm25_rank: Place by BM25.
        fused: Sum of reciprocal ranks.
        fused_rank: Place by it.
        rescored: Score of the windows or with the lexical part.
        rescored_rank: Place by it.
        cross_encoder: Score of the cross-encoder.
        cross_encoder_rank: Place by it.
        original_rank: Place before groups were given places; null where they were not.
        columns: Columns of the index that may be shown.
        text: Text of the candidate, redacted; null without `show_text`.
        reasons: Why; null where they are not asked for, or not shown for this model.
    """

    rank: int
    id: str
    cosine: Number
    cosine_rank: int | None = None
    bm25: Number = float("nan")
    bm25_rank: int | None = None
    fused: Number = float("nan")
    fused_rank: int | None = None
    rescored: Number = float("nan")
    rescored_rank: int | None = None
    cross_encoder: Number = float("nan")
    cross_encoder_rank: int | None = None
    original_rank: int | None = None
    columns: dict[str, str | int | float | bool | tuple[str, ...] | None] = Field(default_factory=dict)
    text: str | None = None
    reasons: Reasons | None = None


class GroupAtCut(Record):
    """A group among the first of a list.

    Attributes:
        count: Members among the first; the mean over several jobs.
        share: Their share of those whose group is known.
        skew: Natural logarithm of that share over the share of the pool; null (minus infinity) without a member.
        p_value: Chance that so few or fewer stand there where ranks are drawn from the pool at random; null over
            several jobs.
    """

    count: Number
    share: Number
    skew: Number
    p_value: Number


class GroupExposure(Record):
    """A group in the lists.

    Attributes:
        pool: Members in the pool.
        pool_share: Their share of it.
        attention: Share of the attention of the list, which falls with the logarithm of the rank.
        attention_ratio: That share over the share of the pool.
        every_top_p: Chance that some top of a random ranking holds as surprisingly few as the worst top of this list;
            null over several jobs.
        cuts: Cut -> the group among the first so many.
    """

    pool: int
    pool_share: Number
    attention: Number
    attention_ratio: Number
    every_top_p: Number
    cuts: dict[int, GroupAtCut]


class Exposure(Record):
    """What groups get of the ranking, which groups are from a file that is read for this report alone.

    Attributes:
        file_sha256: Hash of the file of groups.
        jobs: Lists behind the numbers.
        depth: Ranks of a list that are looked at.
        pool: Candidates that meet the conditions and whose group is known.
        unknown: Candidates that meet the conditions and stand in no row of the file.
        small: Groups with fewer members than the smallest that is reported, which are left out.
        groups: Group -> what it gets.
        min_skew: Cut -> lowest skew of any group; null (minus infinity) where one has no place.
        reranked: What gave groups their places, if anything.
    """

    file_sha256: str
    jobs: int
    depth: int
    pool: int
    unknown: int
    small: tuple[str, ...]
    groups: dict[str, GroupExposure]
    min_skew: dict[int, Number]
    reranked: GroupMethod


class Batch(Record):
    """Many jobs at once.

    Attributes:
        jobs: How many.
        rows: Rows of the file.
        file: Where they are.
        short: Jobs with fewer candidates than asked for, since no more meet the conditions.
    """

    jobs: int
    rows: int
    file: str
    short: int


class MatchRecord(CommandRecord):
    """What `hrembed match` says.

    Attributes:
        index: The index.
        generation: Which of its generations was searched.
        model: Reference of the model that embedded the job.
        job: Where the job came from; its text is not kept.
        job_sha256: Hash of the job's text.
        where: Conditions, as they were typed.
        matching: Candidates that meet them.
        searched: Candidates that were retrieved by vector.
        stages: What made the order, in words, one after the other.
        candidates: The list.
        faithfulness: How far reasons can be relied on; null where they were not asked for.
        exposure: What groups get; null without a file of groups.
        batch: Jobs and rows of a batch, whose lists are in its file; null for a single job.
    """

    command: ClassVar[str] = "match"

    index: str
    generation: str
    model: str
    job: str
    job_sha256: str
    where: tuple[str, ...]
    matching: int
    searched: int
    stages: tuple[str, ...]
    candidates: tuple[Candidate, ...]
    faithfulness: Faithfulness | None = None
    exposure: Exposure | None = None
    batch: Batch | None = None
