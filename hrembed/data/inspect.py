"""What is in a set of pairs or a task, as numbers.

Texts are compared by their position in a list of distinct texts, so that a million rows stay a matter of seconds.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

import numpy as np

from hrembed.language import guess_each, long_enough
from hrembed.records.data import (
    GroupSizes,
    LanguageCounts,
    LengthCounts,
    PairCounts,
    RepeatCounts,
    RowsWithout,
    Spread,
    TaskCounts,
    TextsWithoutGroup,
)
from hrembed.text import normalise

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from hrembed.records.data import RepeatKind
    from hrembed.types import Bools, Floats, Ints, Pair, Task


def factorize(values: Iterable[str], known: dict[str, int]) -> Ints:
    """Encode every value as a whole number, in the order of first use, shape (n,).

    Args:
        values: Texts, ids or labels.
        known: Value to its number; grows by the values that are new.
    """
    return np.fromiter((known.setdefault(value, len(known)) for value in values), dtype=np.int64)


def factorize_words(texts: Iterable[str]) -> Ints:
    """Encode texts so that those of the same words (`normalise`) get one number; texts without letters stay apart.

    Args:
        texts: Distinct texts.
    """
    return factorize((normalise(text) or text for text in texts), {})


def count_pairs(pairs: Sequence[Pair]) -> PairCounts:
    """Count rows, kinds, groups, families, distinct texts, and rows that lack an optional column."""
    return PairCounts(
        rows=len(pairs),
        kinds=dict(Counter(pair.kind for pair in pairs)),
        groups=len({pair.group for pair in pairs} - {""}),
        families=len({pair.family for pair in pairs} - {""}),
        distinct_anchors=len({pair.anchor for pair in pairs}),
        distinct_positives=len({pair.positive for pair in pairs}),
        rows_without=RowsWithout(
            group=sum(not pair.group for pair in pairs),
            family=sum(not pair.family for pair in pairs),
            anchor_id=sum(not pair.anchor_id for pair in pairs),
            positive_id=sum(not pair.positive_id for pair in pairs),
        ),
    )


def count_task(task: Task) -> TaskCounts:
    """Count queries, documents and judgements; a document counts as judged whatever its grade."""
    grades = Counter(grade for judged in task.qrels.values() for grade in judged.values())
    judged = {document for judgements in task.qrels.values() for document in judgements}
    relevant = np.array(
        [sum(grade > 0 for grade in judgements.values()) for judgements in task.qrels.values()], dtype=np.int64
    )
    return TaskCounts(
        queries=len(task.queries),
        documents=len(task.documents),
        groups=len({text.group for text in (*task.queries, *task.documents)} - {""}),
        distinct_queries=len({query.text for query in task.queries}),
        distinct_documents=len({document.text for document in task.documents}),
        judgements=sum(grades.values()),
        grades={str(grade): grades[grade] for grade in sorted(grades)},
        relevant_per_query=spread(relevant),
        documents_never_judged=sum(document.id not in judged for document in task.documents),
        without_group=TextsWithoutGroup(
            queries=sum(not query.group for query in task.queries),
            documents=sum(not document.group for document in task.documents),
        ),
    )


def spread(values: Ints | Floats) -> Spread:
    """Describe some numbers by their smallest, median, 95th percentile and largest; NaN when there are none."""
    low, median, p95, high = np.percentile(values, [0, 50, 95, 100]).tolist() if len(values) else [float("nan")] * 4
    return Spread(min=low, median=median, p95=p95, max=high)


def sample_rows(texts: Sequence[str], sides: Mapping[str, Ints], *, characters: int, seed: int) -> dict[str, Ints]:
    """Draw rows whose texts can be measured in reasonable time.

    Rows are drawn, not distinct texts: a text that stands in every third row counts for a third.

    Args:
        texts: Distinct texts.
        sides: Side to the position of each of its rows in `texts`, shape (n,).
        characters: With more than this in the distinct texts, rows are left out until about so many are left.
        seed: Seed of the sample.

    Returns:
        Side to its rows, ascending; all of them when there is room.
    """
    sizes = np.fromiter(map(len, texts), dtype=np.int64)
    if sizes.sum() <= characters:
        return {side: np.arange(len(rows)) for side, rows in sides.items()}
    share = characters / sum(int(sizes[rows].sum()) for rows in sides.values())
    rng = np.random.default_rng(seed)
    return {
        side: np.sort(rng.choice(len(rows), math.ceil(len(rows) * share), replace=False))
        for side, rows in sides.items()
    }


def describe_lengths(lengths: Ints, limit: int | None) -> LengthCounts:
    """Describe lengths, and how many are above the limit of a model.

    Args:
        lengths: Tokens or words of each text, shape (n,).
        limit: Longest text that is not cut; None when there is no limit, and then nothing is said about it.
    """
    cut = None if limit is None else int((lengths > limit).sum())
    of = spread(lengths)
    return LengthCounts(
        min=of.min,
        median=of.median,
        p95=of.p95,
        max=of.max,
        texts=len(lengths),
        cut=cut,
        cut_share=float("nan") if cut is None or not len(lengths) else cut / len(lengths),
    )


def pair_repeats(
    pairs: Sequence[Pair], texts: Sequence[str], anchors: Ints, positives: Ints
) -> dict[RepeatKind, RepeatCounts]:
    """Count what stands twice in pairs.

    Rows count as repeated from their second time on, whatever their kind and group. A text of several groups is a
    positive in one of them and may be taken for a negative in another; rows without a group are not
    asked. Ids of anchors and of positives are two name spaces.

    Args:
        pairs: The rows.
        texts: Distinct texts.
        anchors: Position of each row's anchor in `texts`, shape (n,).
        positives: The same of the positives, shape (n,).
    """
    groups = factorize((pair.group for pair in pairs), {"": 0})
    anchor_ids = factorize((pair.anchor_id for pair in pairs), {"": 0})
    positive_ids = factorize((pair.positive_id for pair in pairs), {"": 0})

    def count(anchors: Ints, positives: Ints) -> dict[RepeatKind, int]:
        return {
            "repeated_rows": _repeated(_joined(anchors, positives)),
            "anchor_is_positive": int((anchors == positives).sum()),
            "rows_with_a_text_of_several_groups": int(
                _in_several(np.stack([anchors, positives]), groups).any(axis=0).sum()
            ),
            "anchor_ids_with_several_texts": _several(anchor_ids, anchors),
            "positive_ids_with_several_texts": _several(positive_ids, positives),
        }

    words = factorize_words(texts)
    totals = [len(pairs)] * 3 + [int(ids.max(initial=0)) for ids in (anchor_ids, positive_ids)]
    return _side_by_side(count(anchors, positives), count(words[anchors], words[positives]), totals)


def task_repeats(task: Task, texts: Sequence[str], queries: Ints, documents: Ints) -> dict[RepeatKind, RepeatCounts]:
    """Count what stands twice in a task.

    Repeated documents compete for the places of a ranking, though only one of them may be judged. A query that
    is its own relevant document is found by any model.

    Args:
        task: The task.
        texts: Distinct texts.
        queries: Position of each query's text in `texts`, shape (Q,).
        documents: The same of the documents, shape (D,).
    """
    groups = factorize((text.group for text in (*task.queries, *task.documents)), {"": 0})
    query_rows = {query.id: n for n, query in enumerate(task.queries)}
    document_rows = {document.id: n for n, document in enumerate(task.documents)}
    relevant = [
        (query_rows[q], document_rows[d]) for q, judged in task.qrels.items() for d, grade in judged.items() if grade
    ]
    asking, answering = np.array(relevant, dtype=np.int64).reshape(-1, 2).T

    def count(queries: Ints, documents: Ints) -> dict[RepeatKind, int]:
        return {
            "repeated_queries": _repeated(queries),
            "repeated_documents": _repeated(documents),
            "query_is_relevant_document": int((queries[asking] == documents[answering]).sum()),
            "texts_of_several_groups": int(_in_several(np.concatenate([queries, documents]), groups).sum()),
        }

    words = factorize_words(texts)
    totals = [len(queries), len(documents), len(relevant), len(groups)]
    return _side_by_side(count(queries, documents), count(words[queries], words[documents]), totals)


def _side_by_side(
    exact: Mapping[RepeatKind, int], same_words: Mapping[RepeatKind, int], totals: Sequence[int]
) -> dict[RepeatKind, RepeatCounts]:
    return {
        kind: RepeatCounts(exact=exact[kind], same_words=same_words[kind], of=total)
        for kind, total in zip(exact, totals, strict=True)
    }


def _repeated(values: Ints) -> int:
    return len(values) - len(np.unique(values))


def _joined(first: Ints, second: Ints) -> Ints:
    """One number for each two, shape (n,)."""
    joined: Ints = first * (second.max(initial=0) + 1) + second
    return joined


def _values_of(keys: Ints, values: Ints) -> Ints:
    """Count the different values of each key, shape (largest key + 1,)."""
    base = int(values.max(initial=0)) + 1
    counts: Ints = np.bincount(np.unique(_joined(keys, values)) // base)
    return counts


def _several(ids: Ints, texts: Ints) -> int:
    """Count the ids, other than 0, that stand for more than one text."""
    return int((_values_of(ids, texts)[1:] > 1).sum())


def _in_several(texts: Ints, groups: Ints) -> Bools:
    """Mark texts that stand in more than one group other than 0, in the shape of `texts`, itself (n,) or (k, n)."""
    groups = np.broadcast_to(groups, texts.shape)
    named = groups > 0
    counts = _values_of(texts[named], groups[named])
    marked = np.zeros(texts.shape, dtype=bool)
    marked[named] = counts[texts[named]] > 1
    return marked


def group_sizes(groups: Iterable[str]) -> Ints:
    """Rows of each named group, largest first, shape (groups,)."""
    counts = Counter(groups)
    del counts[""]
    return np.sort(np.fromiter(counts.values(), dtype=np.int64))[::-1]


def describe_groups(sizes: Ints) -> GroupSizes:
    """Describe group sizes, and how much the largest 1 % of groups (at least one) hold.

    Args:
        sizes: Rows of each group, largest first, shape (groups,).
    """
    largest = -(-len(sizes) // 100)
    of = spread(sizes)
    return GroupSizes(
        min=of.min,
        median=of.median,
        p95=of.p95,
        max=of.max,
        groups=len(sizes),
        largest=largest,
        largest_share=float(sizes[:largest].sum() / sizes.sum()) if len(sizes) else float("nan"),
    )


def sample_by_label(labels: Sequence[str], count: int, seed: int) -> dict[str, list[int]]:
    """Draw up to `count` positions of each label, in ascending order; labels are sorted."""
    positions = defaultdict(list)
    for n, label in enumerate(labels):
        positions[label].append(n)
    rng = np.random.default_rng(seed)
    return {
        label: sorted(rng.choice(places, min(count, len(places)), replace=False).tolist())
        for label, places in sorted(positions.items())
    }


def guess_languages(texts: Sequence[str], *, sample: int, seed: int) -> LanguageCounts:
    """Guess the language of some texts.

    Texts that are too short to say, and those where the guess is not sure, are counted apart (`guess_each`).

    Args:
        texts: Distinct texts.
        sample: Most texts that are asked.
        seed: Seed of the sample.
    """
    long = [text for text in texts if long_enough(text)]
    positions = np.random.default_rng(seed).choice(len(long), min(sample, len(long)), replace=False)
    guesses = Counter(guess_each([long[n] for n in positions]))
    return LanguageCounts(
        long_enough=len(long),
        too_short=len(texts) - len(long),
        sample=guesses.total(),
        languages=by_frequency(guesses),
    )


def by_frequency(counts: Mapping[str, int]) -> dict[str, int]:
    """Sort counts, largest first, equal ones by name."""
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
