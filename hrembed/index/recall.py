"""How many of the best documents the index finds, measured against comparing all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hrembed.index.conditions import Condition
from hrembed.records.index import Recall

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hrembed.index.open import Index
    from hrembed.index.ranking import Hits
    from hrembed.types import Floats

_PER_FILTER = 4
_CONDITIONS = 12
_LEAST = 0.99


class Queries(NamedTuple):
    """What is asked to measure recall.

    Attributes:
        vectors: Unit rows, shape (Q, dim).
        own: Id of the document that a query is, which does not count as found; empty where it is none.
        words: What they are, for people.
    """

    vectors: Floats
    own: Sequence[str]
    words: str

    def first(self, count: int) -> Queries:
        """Keep the first so many."""
        return Queries(self.vectors[:count], self.own[:count], self.words)


def own_documents(index: Index, count: int, rng: np.random.Generator) -> Queries:
    """Draw documents of the index itself as queries; each is asked for its nearest others."""
    ids = index.ids()
    drawn = [ids[n] for n in sorted(rng.choice(len(ids), size=min(count, len(ids)), replace=False).tolist())]
    return Queries(index.vectors(drawn), drawn, f"{len(drawn):,} documents of the index, each without itself")


def conditions_of(index: Index, k: int, rng: np.random.Generator) -> list[Condition]:
    """Choose conditions: of each filter the most common value, the rarest with more than k rows, and two more.

    What is rare shows what approximation loses, and real columns depend on the subject as no random one does.
    """
    columns = index.columns(list(index.generation.filters) or ["id"])
    chosen: list[Condition] = []
    for name, kind in index.generation.filters.items():
        if kind in {"number", "whole number"}:
            chosen += _of_numbers(name, columns[name], whole=kind == "whole number")
        else:
            chosen += _of_values(name, columns[name], k, rng)
    if len(chosen) > _CONDITIONS:
        chosen = [chosen[n] for n in sorted(rng.choice(len(chosen), size=_CONDITIONS, replace=False).tolist())]
    return chosen


def _of_numbers(name: str, column: Any, *, whole: bool) -> list[Condition]:
    numbers = column.drop_null().to_numpy()
    if not len(numbers):
        return []
    limits = dict.fromkeys(np.quantile(numbers, [0.5, 0.99], method="higher").tolist())
    return [Condition(name, ">=", (int(limit) if whole else float(limit),)) for limit in limits]


def _of_values(name: str, column: Any, k: int, rng: np.random.Generator) -> list[Condition]:
    import pyarrow as pa
    import pyarrow.compute as pc

    flat = pc.list_flatten(column) if pa.types.is_list(column.type) else column
    counted = sorted(
        ((row["counts"], row["values"]) for row in pc.value_counts(flat).to_pylist()), key=lambda row: -row[0]
    )
    values = [value for count, value in counted if value is not None and count > k]
    if isinstance(next(iter(values), None), str):
        values = [value for value in values if value and value.isprintable()]
    if not values:
        return []
    between = range(1, len(values) - 1)
    drawn = rng.choice(between, size=min(_PER_FILTER - 2, len(between)), replace=False).tolist() if between else []
    places = dict.fromkeys([0, *sorted(drawn), len(values) - 1])
    return [Condition(name, "=", (values[place],)) for place in places]


def measure(index: Index, queries: Queries, k: int, where: Sequence[Condition] = ()) -> Recall:
    """Compare what the index finds with the exact best.

    Args:
        index: What is measured.
        queries: What is asked.
        k: Documents per query.
        where: Conditions that documents must meet.
    """
    matching = index.count(where)
    true = exact_best(index, queries, k, where)
    found = _without(index.search(queries.vectors, k + 1, where), queries.own, k)
    shares = np.array(
        [len(best & set(row)) / len(best) if best else np.nan for best, row in zip(true, found, strict=True)]
    )
    short = sum(len(row) < len(best) for best, row in zip(true, found, strict=True))
    known = shares[np.isfinite(shares)]
    return Recall(
        where=" and ".join(map(str, where)),
        matching=matching,
        queries=len(queries.vectors),
        k=k,
        mean=float(known.mean()) if len(known) else float("nan"),
        least=float(known.min()) if len(known) else float("nan"),
        short=short,
    )


def exact_best(index: Index, queries: Queries, k: int, where: Sequence[Condition] = ()) -> list[set[str]]:
    """The exact best documents of each query, without the query itself."""
    return [set(row) for row in _without(index.exact(queries.vectors, k + 1, where), queries.own, k)]


def _without(found: Sequence[Hits], own: Sequence[str], k: int) -> list[list[str]]:
    owned = own or [""] * len(found)
    return [[each for each in hits.ids if each != self_][:k] for hits, self_ in zip(found, owned, strict=True)]


def measure_all(index: Index, queries: Queries, k: int, filtered: int, rng: np.random.Generator) -> tuple[Recall, ...]:
    """Measure without a condition, and under each of several on the first `filtered` queries."""
    few, conditions = queries.first(filtered), conditions_of(index, k, rng)
    return (measure(index, queries, k), *(measure(index, few, k, [each]) for each in conditions))


def fewest_probes(index: Index, queries: Queries, k: int, partitions: int, least: float = _LEAST) -> int:
    """Find the fewest partitions whose search keeps the recall, by doubling; all of them where none does.

    Args:
        index: What is measured.
        queries: What is asked.
        k: Documents per query.
        partitions: How many there are.
        least: Recall that must be reached.
    """
    true = exact_best(index, queries, k)
    probes = min(8, partitions)
    while probes < partitions:
        index.generation = index.generation.model_copy(update={"probes": probes})
        found = _without(index.search(queries.vectors, k + 1), queries.own, k)
        shares = [len(best & set(row)) / len(best) for best, row in zip(true, found, strict=True) if best]
        if np.mean(shares) >= least:
            break
        probes = min(2 * probes, partitions)
    return probes
