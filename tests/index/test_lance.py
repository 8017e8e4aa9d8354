"""The table of LanceDB gives what comparing all rows gives, with and without conditions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hrembed.errors import DataError, ModelError
from hrembed.index.conditions import parse_conditions
from hrembed.index.lance import LanceIndex
from hrembed.index.lance_table import delete_ids, purge
from hrembed.index.open import open_index
from hrembed.index.ranking import id_key
from indexes import composed, small_index, unit

if TYPE_CHECKING:
    from pathlib import Path

COUNT, DIM = 20_000, 64
TYPES = {"country": "string", "years": "int64", "pay": "double", "permit": "bool", "languages": "strings"}
CONDITIONS = [
    "country=o'x",
    "country=DE,AT",
    "years>=35",
    "years<30",
    "years<2",
    "pay<=0.25",
    "permit=true",
    "languages=en",
]


def _columns(count: int) -> dict[str, list]:
    rng = np.random.default_rng(3)
    return {
        "country": [["DE", "AT", None, "o'x", "Zürich"][n % 5] for n in range(count)],
        "years": [int(n) for n in rng.integers(0, 40, count)],
        "pay": [float(n) for n in rng.random(count)],
        "permit": [bool(n) for n in rng.random(count) < 0.5],
        "languages": [[["de"], ["de", "en"], [], None][n % 4] for n in range(count)],
    }


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    rows = composed(COUNT, DIM)[0]
    rows[7] = 0
    return rows


@pytest.fixture(scope="module")
def lance(tmp_path_factory: pytest.TempPathFactory, vectors: np.ndarray) -> LanceIndex:
    place = tmp_path_factory.mktemp("lance") / "idx"
    ids = [f"c{n}" for n in range(COUNT)]
    index = small_index(place, ids, vectors, TYPES, _columns(COUNT), backend="lancedb", count_first=500)
    assert isinstance(index, LanceIndex)
    assert index.generation.partitions == 2
    return index


@pytest.fixture(scope="module")
def exact(tmp_path_factory: pytest.TempPathFactory, vectors: np.ndarray):
    place = tmp_path_factory.mktemp("exact") / "idx"
    return small_index(place, [f"c{n}" for n in range(COUNT)], vectors, TYPES, _columns(COUNT))


@pytest.mark.parametrize("where", [[], *[[each] for each in CONDITIONS], CONDITIONS[1:2] + CONDITIONS[4:6]])
def test_both_backends_give_the_same(lance, exact, where: list[str]) -> None:
    conditions = parse_conditions(where, lance.manifest.filters)
    assert lance.count(conditions) == exact.count(conditions) > 10
    queries = unit(np.random.default_rng(1).normal(size=(5, DIM)))
    for found, true, brute in zip(
        lance.search(queries, 10, conditions),
        exact.search(queries, 10, conditions),
        lance.exact(queries, 10, conditions),
        strict=True,
    ):
        assert found.ids == true.ids == brute.ids
        np.testing.assert_array_equal(found.scores, true.scores)
        np.testing.assert_array_equal(found.vectors, true.vectors)


def test_most_rows_meet_a_condition_but_none_of_the_nearest(tmp_path: Path) -> None:
    """Neighbours that are looked at after the search would leave too few, or none."""
    vectors = composed(5000, 32)[0]
    query = vectors[:1]
    nearest = np.argsort(-(vectors @ query[0]))[:1000]
    far = np.ones(len(vectors), dtype=bool)
    far[nearest] = False
    ids = [f"c{n}" for n in range(len(vectors))]
    index = small_index(tmp_path / "i", ids, vectors, {"far": "bool"}, {"far": far.tolist()}, backend="lancedb")
    conditions = parse_conditions(["far=true"], index.manifest.filters)
    assert len(index._candidates(query[0], 50, conditions, 4000)) == 50
    assert index.search(query, 10, conditions)[0].ids == index.exact(query, 10, conditions)[0].ids


def test_a_count_is_of_the_version_that_is_open(tmp_path: Path) -> None:
    vectors = composed(3000, 16)[0]
    index = small_index(
        tmp_path / "i", [f"c{n}" for n in range(3000)], vectors, TYPES, _columns(3000), backend="lancedb"
    )
    conditions = parse_conditions(["country=DE"], index.manifest.filters)
    asked = []

    class Vanished:
        """A version whose files a writer has removed."""

        def count_rows(self, sql: str) -> int:
            asked.append(sql)
            raise OSError("Not found")

    index._counts["other"] = 1
    index.table = Vanished()
    assert index.count(conditions) == index.count(conditions) == 600
    assert len(asked) == 1
    assert "other" not in index._counts, "it was counted in the version that is gone"


def test_a_purge_rewrites_a_file_for_the_sake_of_one_row(tmp_path: Path) -> None:
    """The engine alone keeps a file until a tenth of its rows is deleted, and with it the deleted ones."""
    ids = [f"c{n}" for n in range(3000)]
    index = small_index(tmp_path / "i", ids, composed(3000, 16)[0], backend="lancedb")
    probe = index.vectors(["c1500"]).tobytes()

    def kept() -> list[Path]:
        return [file for file in (tmp_path / "i").rglob("*") if file.is_file() and probe in file.read_bytes()]

    assert kept(), "it cannot be found at all"
    delete_ids(index.table, ["c1500"])
    purge(index.table)
    assert kept() == []


@pytest.mark.parametrize("where", CONDITIONS)
def test_each_filter_is_answered_by_its_index(lance: LanceIndex, where: str) -> None:
    """Without a scalar index the same condition takes a scan of the whole table."""
    (condition,) = parse_conditions([where], lance.manifest.filters)
    assert f"@filter {condition.column}(" in lance.plan([condition])


def test_without_the_scalar_index_the_plan_does_not_name_one(tmp_path: Path) -> None:
    vectors = composed(3000, 16)[0]
    ids = [f"c{n}" for n in range(3000)]
    index = small_index(tmp_path / "i", ids, vectors, TYPES, _columns(3000), backend="lancedb")
    (condition,) = parse_conditions(["country=DE"], index.manifest.filters)
    index.table.drop_index("filter country")
    assert "@filter country(" not in open_index(index.folder).plan([condition])


def test_zero_vectors_are_found_where_nothing_is_closer(lance, exact, vectors: np.ndarray) -> None:
    """LanceDB never finds one; their cosine is 0 to all, so they stand before every negative one."""
    query = unit(-vectors[:1] - vectors[1:2])
    conditions = parse_conditions(["years>=0"], lance.manifest.filters)
    true = exact.search(query, COUNT, conditions)[0]
    assert "c7" in true.ids
    assert lance.search(query, COUNT, conditions)[0].ids == true.ids


def test_more_equal_documents_than_candidates_stand_in_the_order_of_their_hash(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    rows = np.concatenate([np.repeat(unit(rng.normal(size=(1, 32))), 700, axis=0), composed(3000, 32)[0]])
    ids = [f"c{n}" for n in range(len(rows))]
    index = small_index(tmp_path / "i", ids, rows, backend="lancedb")
    (hits,) = index.search(rows[:1], 10)
    assert hits.ids == sorted(ids[:700], key=id_key)[:10]


def test_a_score_does_not_depend_on_whether_all_rows_were_compared(lance, exact) -> None:
    """A row of length one, divided by its length once more, is another one in the last digit."""
    queries = np.random.default_rng(4).normal(size=(40, DIM)).astype(np.float32)
    conditions = parse_conditions(["country=o'x", "years<2"], lance.manifest.filters)
    assert lance.count(conditions) <= lance.generation.count_first, "few rows, so all are compared"
    for found, true in zip(lance.search(queries, 10, conditions), exact.search(queries, 10, conditions), strict=True):
        np.testing.assert_array_equal(found.scores, true.scores)


def test_rows_and_vectors_come_in_the_order_asked_for(lance, vectors: np.ndarray) -> None:
    wanted = [f"c{n}" for n in (5, 3, 19_999)]
    found = lance.rows(wanted, ["id", "years", "languages"])
    assert [row["id"] for row in found] == wanted
    assert list(found[0]) == ["id", "years", "languages"]
    np.testing.assert_array_equal(lance.vectors(wanted), vectors[[5, 3, 19_999]])
    with pytest.raises(DataError, match="does not hold 1 id"):
        lance.vectors(["c5", "c1' OR '1'='1"])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_query_that_is_not_finite_is_an_error(lance, bad: float) -> None:
    """LanceDB itself raises nothing: it names some rows, or none."""
    query = np.full((1, DIM), bad)
    raw = lance.table.scanner(
        columns=["id", "_distance"], nearest={"column": "vector", "q": query[0].astype(np.float32), "k": 5}
    )
    assert raw.to_table().num_rows in {0, 5}
    with pytest.raises(ModelError, match="NaN or infinite"):
        lance.search(query, 10)


def test_words_with_conditions(tmp_path: Path) -> None:
    texts = [f"nurse number {n}" if n % 2 else "welder" for n in range(5000)]
    columns = {"text": texts, "years": [n % 40 for n in range(5000)]}
    types = {"text": "string", "years": "int64"}
    ids, vectors = [f"c{n}" for n in range(5000)], composed(5000, 16)[0]
    both = [small_index(tmp_path / kind, ids, vectors, types, columns, backend=kind) for kind in ("exact", "lancedb")]
    where = parse_conditions(["years>=38"], both[0].manifest.filters)
    found = [index.lexical("nurse 77", 12, where) for index in both]
    assert found[0] == found[1]
    assert len(found[0]) == 12
    assert both[1].lexical("nurse 77", 1)[0][0] == "c77"
