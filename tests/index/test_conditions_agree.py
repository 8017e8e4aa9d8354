"""Whatever a condition says, both backends take the same documents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hrembed.index.conditions import Condition
from hypothesis import given, settings
from hypothesis import strategies as st
from indexes import composed, small_index

if TYPE_CHECKING:
    from hrembed.index.open import Index

TYPES = {"a name": "string", "whole": "int64", "number": "double", "yes": "bool", "several": "strings"}
TEXTS = [
    "DE",
    "o'x",
    "''",
    "a\\b",
    "%",
    "_",
    "`",
    '"',
    "Zürich",
    "u\u0308",
    "-- x",
    "\u202e",
    "x;y",
    "NULL",
    "true",
    "1",
]
COUNT = 2400


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Index, Index]:
    rng = np.random.default_rng(1)
    columns: dict[str, list[Any]] = {
        "a name": [None if n % 17 == 0 else TEXTS[n % len(TEXTS)] for n in range(COUNT)],
        "whole": [None if n % 19 == 0 else int(n % 7 - 3) * 10 ** (n % 12) for n in range(COUNT)],
        "number": [None if n % 23 == 0 else float(each) for n, each in enumerate(rng.normal(size=COUNT))],
        "yes": [[True, False, None][n % 3] for n in range(COUNT)],
        "several": [None if n % 5 == 0 else TEXTS[n % 7 : n % 7 + n % 4] for n in range(COUNT)],
    }
    ids, vectors = [f"c{n}" for n in range(COUNT)], composed(COUNT, 8)[0]
    place = tmp_path_factory.mktemp("both")
    return (
        small_index(place / "exact", ids, vectors, TYPES, columns),
        small_index(place / "lance", ids, vectors, TYPES, columns, backend="lancedb"),
    )


NUMBERS = st.sampled_from(["=", ">=", "<=", ">", "<"])
SEVERAL = st.lists(st.sampled_from(TEXTS), min_size=1, max_size=4, unique=True).map(tuple)
CONDITIONS = st.one_of(
    st.builds(Condition, st.just("a name"), st.just("="), SEVERAL),
    st.builds(Condition, st.just("several"), st.just("="), SEVERAL),
    st.builds(Condition, st.just("whole"), NUMBERS, st.tuples(st.integers(-(10**13), 10**13))),
    st.builds(Condition, st.just("number"), NUMBERS, st.tuples(st.floats(-3, 3))),
    st.builds(Condition, st.just("yes"), st.just("="), st.tuples(st.booleans())),
)


@settings(max_examples=60)
@given(where=st.lists(CONDITIONS, min_size=1, max_size=3))
def test_both_backends_take_the_same_documents(both: tuple[Index, Index], where: list[Condition]) -> None:
    exact, lance = (index.ids(where) for index in both)
    assert lance == exact
    assert [index.count(where) for index in both] == [len(exact)] * 2
