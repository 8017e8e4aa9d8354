"""What goes wrong with an engine left to itself, seen first, and does not go wrong here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hrembed.errors import ModelError
from hrembed.index.conditions import parse_conditions
from hrembed.index.identity import query_map
from hrembed.index.lance import LanceIndex
from hrembed.index.lance_table import upsert
from hrembed.index.open import open_index
from hrembed.index.recall import Queries, fewest_probes, measure
from hrembed.index.sources import schema_of
from hrembed.models.dense import DenseEncoder, Prompts
from indexes import batches, composed, small_index, space, unit

if TYPE_CHECKING:
    from pathlib import Path

    from hrembed.types import Floats, Side

SIX = [
    *("country=C3", "permit=true", "cohort=7", "years>=38"),
    *("branch=B1", "occupation=far"),  # which depend on what is asked
]
TYPES = {
    "country": "string", "permit": "bool", "cohort": "int64", "years": "int64", "branch": "string",
    "occupation": "string",
}  # fmt: skip


def crowd(place: Path, count: int) -> tuple[LanceIndex, Queries]:
    """Documents around 200 occupations, and queries that are all of the first half of them."""
    vectors, of = composed(count, 64, occupations=200)
    rng = np.random.default_rng(8)
    columns = {
        "country": [f"C{n}" for n in rng.integers(0, 10, count)],
        "permit": (rng.random(count) < 0.5).tolist(),
        "cohort": rng.integers(0, 100, count).tolist(),
        "years": rng.integers(0, 40, count).tolist(),
        "branch": [f"B{n // 100}" for n in of],
        "occupation": ["far" if n == 199 else "near" for n in of],
    }
    ids = [f"c{n}" for n in range(count)]
    index = small_index(place, ids, vectors, TYPES, columns, backend="lancedb", count_first=0)
    assert isinstance(index, LanceIndex)
    asked = vectors[of < 100][:20] + 0.1 * rng.normal(size=(20, 64)).astype(np.float32)
    return index, Queries(unit(asked), (), "ads")


def check_six_filters(place: Path, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    index, queries = crowd(place, count)
    conditions = [[], *(parse_conditions([each], index.generation.filters) for each in SIX)]
    with monkeypatch.context() as patch:
        patch.setattr(LanceIndex, "_probes", lambda self, where: 1)
        patch.setattr(LanceIndex, "_undecided", lambda self, *given: False)
        naive = [measure(index, queries, 10, where) for where in conditions]
    assert min(each.mean for each in naive[-2:]) < 0.5  # where a random filter of the same size shows much less
    ours = [measure(index, queries, 10, where) for where in conditions]
    assert all(each.mean >= 0.99 for each in ours), [(each.where, each.mean) for each in ours]
    assert all(each.short == 0 for each in ours)


@pytest.mark.long
def test_recall_holds_under_filters_that_depend_on_the_subject(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_six_filters(tmp_path / "i", 100_000, monkeypatch)


@pytest.mark.slow
def test_the_same_with_a_million_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_six_filters(tmp_path / "i", 1_000_000, monkeypatch)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> LanceIndex:
    return crowd(tmp_path_factory.mktemp("crowd") / "i", 20_000)[0]


def test_as_many_rows_as_match_are_given(index: LanceIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    query = index.vectors(["c5"])
    where = parse_conditions(["cohort=7", "permit=true"], index.generation.filters)
    filtered_afterwards = index.table.scanner(
        columns=["id", "_distance"], nearest={"column": "vector", "q": query[0], "k": 10},
        filter="cohort = 7 AND permit = true", prefilter=False,
    )  # fmt: skip
    assert filtered_afterwards.to_table().num_rows < 10
    with monkeypatch.context() as patch:  # the engine gives them itself: comparing all rows would hide the trap
        patch.setattr(LanceIndex, "_compared", None)
        assert len(index.search(query, 10, where)[0].ids) == 10
    rare = parse_conditions(["cohort=7", "permit=true", "country=C3", "years>=38"], index.generation.filters)
    assert len(index.search(query, 1000, rare)[0].ids) == index.count(rare) < 1000


def test_a_condition_is_never_read_as_sql(index: LanceIndex) -> None:
    assert index.table.count_rows("id = 'c1' or 1=1") == 20_000  # what the engine takes
    for typed in ("country=C3' or 1=1 --", "country=C3'; drop table rows", "country=`C3`", 'country="C3\'"'):
        assert index.count(parse_conditions([typed], index.generation.filters)) == 0
    assert index.count(parse_conditions(["country=C3"], index.generation.filters)) > 1000


def test_zero_vectors_and_double_ids_are_what_the_engine_takes_without_a_word(tmp_path: Path) -> None:
    rows = composed(3000, 16)[0]
    rows[7] = 0
    index = small_index(tmp_path / "i", [f"c{n}" for n in range(3000)], rows, backend="lancedb")
    nearest = {"column": "vector", "q": rows[1], "k": 3000, "nprobes": 1}
    found = index.table.scanner(columns=["id", "_distance"], nearest=nearest).to_table()["id"].to_pylist()
    assert "c7" not in found
    assert "c7" in index.search(rows[1:2], 3000)[0].ids
    import lance

    twice = batches(["c1"], rows[1:2], {}, {})
    lance.write_dataset(twice, index.table.uri, mode="append")
    assert open_index(tmp_path / "i").count() == 3001  # which is why ids are checked before they are written


def test_the_fewest_probes_that_keep_recall_are_found(index: LanceIndex, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("hrembed.index.lance_table._ROWS_PER_PARTITION", 250)
    fine, queries = crowd(tmp_path / "i", 20_000)
    assert fine.generation.partitions == 80
    easy = fewest_probes(fine, queries, 10, 80, least=0.5)
    hard = fewest_probes(fine, queries, 10, 80, least=0.999)
    assert 8 <= easy <= hard <= 80
    fine.generation = fine.generation.model_copy(update={"probes": easy})
    assert measure(fine, queries, 10).mean >= 0.5
    where = parse_conditions(["occupation=far"], fine.generation.filters)
    assert measure(fine, queries, 10, where).mean >= 0.99


class Embeds:
    """A backend of sixteen numbers."""

    source, batch_size = "test", 8

    def __init__(self, identity: str = "one") -> None:
        self.identity = identity

    def embed(self, texts: list[str], side: Side, prompt: str) -> Floats:
        return np.ones((len(texts), 16), dtype=np.float32)


OTHERS = {
    "other weights": DenseEncoder(Embeds("two"), name="m"),
    "another query prompt": DenseEncoder(Embeds(), name="m", prompts=Prompts("query: ", "")),
    "another document prompt": DenseEncoder(Embeds(), name="m", prompts=Prompts("", "passage: ")),
    "another truncation": DenseEncoder(Embeds(), name="m", dimensions=8),
    "normalised titles": DenseEncoder(Embeds(), name="m", titles="queries"),
}


@pytest.mark.parametrize("what", OTHERS)
def test_queries_of_another_model_are_refused_with_both_hashes(tmp_path: Path, what: str) -> None:
    """The dimensions agree for all but one, and scores would look plausible."""
    own = DenseEncoder(Embeds(), name="m")
    rows = composed(20, 16)[0]
    index = small_index(tmp_path / "i", [f"c{n}" for n in range(20)], rows, space=space(16, identity=own.identity))
    assert query_map(index, own.identity, {"ref": "m"}) is None
    other = OTHERS[what].identity
    with pytest.raises(ModelError) as err:
        query_map(index, other, {"ref": "run:new"})
    assert err.value.exit_code == 4
    assert "'run:new' is not the model of index" in str(err.value)
    assert f"its identity is {other[:12]}, that of the index {own.identity[:12]} ('wordllama')" in str(err.value)
    assert "--set model.ref=wordllama" in err.value.hint
    assert "index switch --bridge" in err.value.hint


def test_without_the_engine_one_is_told_what_to_install(index: LanceIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hrembed.index.lance_table.version_of", lambda package: None)
    with pytest.raises(ModelError, match="needs LanceDB, which is not installed") as err:
        open_index(index.folder)
    assert err.value.hint == '`pip install "hrembed[index]"`'


def test_lancedb_reads_what_we_write(tmp_path: Path) -> None:
    """Its own copy of the engine opens the table: nobody is locked in."""
    lancedb = pytest.importorskip("lancedb")
    rows = composed(2500, 16)[0]
    index = small_index(tmp_path / "i", [f"c{n}" for n in range(2500)], rows, backend="lancedb")
    upsert(index.table, batches(["new"], rows[:1], {}, {}).to_batches(), schema_of({}, 16))
    table = lancedb.connect(tmp_path / "i" / "g001" / "v000001").open_table("rows")
    assert table.count_rows() == 2501
    found = table.search(rows[3]).distance_type("cosine").nprobes(10).refine_factor(5).limit(1).to_list()
    assert found[0]["id"] == "c3"
