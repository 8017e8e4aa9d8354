"""The cache of vectors: found by content only, whole or not at all, and worth an interruption."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hrembed.errors import ModelError
from hrembed.models.cache import Shelf, text_keys
from hrembed.models.dense import DenseEncoder, Prompts, unit_rows

if TYPE_CHECKING:
    from pathlib import Path

TEXTS = ["nurse", "baker", "a much longer text about driving lorries", "", "Zoë 護士 🚚", "nurse"]


class Counting:
    """A backend whose vectors follow from the text, and which counts what it was asked."""

    source = "memory"

    def __init__(self, identity: str = "one", batch_size: int = 2, fails_after: int = 10**9, dim: int = 6) -> None:
        self.identity, self.batch_size, self.fails_after, self.dim = identity, batch_size, fails_after, dim
        self.asked: list[str] = []

    def embed(self, texts, side, prompt):
        assert len(texts) <= self.batch_size
        if len(self.asked) + len(texts) > self.fails_after:
            raise ModelError("the server is gone")
        self.asked += texts
        return np.stack([self.vector(side + prompt + text) for text in texts])

    def vector(self, text: str) -> np.ndarray:
        return np.random.default_rng([*self.identity.encode(), *text.encode()]).normal(size=self.dim)


def expected(backend: Counting, texts, side="query", prompt="") -> np.ndarray:
    return unit_rows(np.stack([backend.vector(side + prompt + text) for text in texts]))


def test_vectors_come_in_order_and_each_distinct_text_is_computed_once(tmp_path: Path):
    backend = Counting()
    found = DenseEncoder(backend, name="m", cache=tmp_path).vectors(TEXTS, "query")
    assert found == pytest.approx(expected(backend, TEXTS))
    assert found.dtype == np.float32
    assert sorted(backend.asked) == sorted(set(TEXTS))
    again = Counting()
    assert (DenseEncoder(again, name="other name", cache=tmp_path).vectors(TEXTS, "query") == found).all()
    assert again.asked == []


def test_only_what_is_new_is_computed(tmp_path: Path):
    DenseEncoder(Counting(), name="m", cache=tmp_path).vectors(TEXTS[:3], "query")
    backend = Counting()
    found = DenseEncoder(backend, name="m", cache=tmp_path).vectors(["new", *TEXTS], "query")
    assert found == pytest.approx(expected(backend, ["new", *TEXTS]))
    assert sorted(backend.asked) == sorted({"new", "", "Zoë 護士 🚚"})


def test_what_else_lies_on_the_shelf_is_not_mistaken_for_a_text(tmp_path: Path):
    DenseEncoder(Counting(), name="m", cache=tmp_path).vectors(TEXTS, "query")
    backend = Counting()
    found = DenseEncoder(backend, name="m", cache=tmp_path).vectors(["baker", "new", "other"], "query")
    assert found == pytest.approx(expected(backend, ["baker", "new", "other"]))
    assert sorted(backend.asked) == ["new", "other"]


@pytest.mark.parametrize("other", ["identity", "side", "prompt"])
def test_another_model_side_or_prompt_is_another_vector(tmp_path: Path, other: str):
    DenseEncoder(Counting(), name="m", cache=tmp_path).vectors(TEXTS, "query")
    backend = Counting("two" if other == "identity" else "one")
    prompts = Prompts("find: " if other == "prompt" else "")
    side = "document" if other == "side" else "query"
    found = DenseEncoder(backend, name="m", cache=tmp_path, prompts=prompts).vectors(TEXTS, side)
    assert found == pytest.approx(expected(backend, TEXTS, side, prompts.query))
    assert len(backend.asked) == len(set(TEXTS))


def test_an_instruction_takes_its_place_in_the_prompt(tmp_path: Path):
    backend = Counting()
    encoder = DenseEncoder(backend, name="m", cache=tmp_path, prompts=Prompts("{instruction}: "))
    found = encoder.vectors(TEXTS, "query", instruction="find a job")
    assert found == pytest.approx(expected(backend, TEXTS, "query", "find a job: "))


def test_truncation_shares_the_cache_and_gives_unit_rows(tmp_path: Path):
    DenseEncoder(Counting(), name="m", cache=tmp_path).vectors(TEXTS, "query")
    backend = Counting()
    found = DenseEncoder(backend, name="m", cache=tmp_path, dimensions=4).vectors(TEXTS, "query")
    assert backend.asked == []
    assert found == pytest.approx(unit_rows(expected(backend, TEXTS)[:, :4]), abs=1e-6)
    with pytest.raises(ModelError, match="6 dimensions, fewer than `dimensions: 7`"):
        DenseEncoder(backend, name="m", cache=tmp_path, dimensions=7).vectors(TEXTS, "query")


def test_truncation_and_prompts_are_part_of_the_identity_of_an_encoder():
    plain = DenseEncoder(Counting(), name="m")
    assert plain.identity == DenseEncoder(Counting(), name="other").identity
    others = [
        DenseEncoder(Counting(), name="m", dimensions=4),
        DenseEncoder(Counting(), name="m", prompts=Prompts("q: ")),
        DenseEncoder(Counting(), name="m", prompts=Prompts("", "q: ")),
        DenseEncoder(Counting("two"), name="m"),
    ]
    assert len({plain.identity, *(encoder.identity for encoder in others)}) == 5


def test_an_interrupted_run_keeps_what_it_had(tmp_path: Path):
    broken = Counting(fails_after=4)
    with pytest.raises(ModelError, match="the server is gone"):
        DenseEncoder(broken, name="m", cache=tmp_path).vectors(TEXTS, "query")
    backend = Counting()
    found = DenseEncoder(backend, name="m", cache=tmp_path).vectors(TEXTS, "query")
    assert found == pytest.approx(expected(backend, TEXTS))
    assert len(backend.asked) == 1
    assert not set(backend.asked) & set(broken.asked)


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty"])
def test_a_damaged_file_is_computed_again(tmp_path: Path, damage: str):
    DenseEncoder(Counting(), name="m", cache=tmp_path).vectors(TEXTS, "query")
    (file,) = tmp_path.rglob("*.safetensors")
    raw = bytearray(file.read_bytes())
    raw[-3] ^= 64
    file.write_bytes({"cut": raw[:-9], "flipped": raw, "empty": b""}[damage])
    backend = Counting()
    found = DenseEncoder(backend, name="m", cache=tmp_path).vectors(TEXTS, "query")
    assert found == pytest.approx(expected(backend, TEXTS))
    assert len(backend.asked) == len(set(TEXTS))


def test_large_sets_are_mapped_from_a_file_that_vanishes(tmp_path: Path):
    backend = Counting(batch_size=512, dim=512)
    texts = [f"text {n}" for n in range(1200)]
    encoder = DenseEncoder(backend, name="m", cache=tmp_path, memory_mb=1)
    found = encoder.vectors([*texts, texts[0]], "query")
    assert isinstance(found, np.memmap)
    assert found[:1200] == pytest.approx(expected(backend, texts))
    assert (found[1200] == found[0]).all()
    assert not [file for file in tmp_path.iterdir() if file.is_file()]


def test_vectors_that_are_not_numbers_are_refused(tmp_path: Path):
    backend = Counting()
    backend.vector = lambda text: np.full(6, np.nan if "nurse" in text else 1.0)
    with pytest.raises(ModelError, match="model 'm' returned NaN or infinite values for 1 of 2 texts"):
        DenseEncoder(backend, name="m", cache=tmp_path).vectors(["nurse", "baker"], "query")
    assert not list(tmp_path.rglob("*.safetensors"))


def test_no_texts_give_no_vectors(tmp_path: Path):
    assert DenseEncoder(Counting(), name="m", cache=tmp_path).vectors([], "query").shape[0] == 0


def test_a_zero_vector_stays():
    assert unit_rows(np.array([[0.0, 0.0], [3.0, 4.0]])).tolist() == [[0.0, 0.0], [np.float32(0.6), np.float32(0.8)]]


def test_many_keys_are_found_where_they_were_put(tmp_path: Path):
    texts = [f"t{n}" for n in range(5000)]
    shelf = Shelf(tmp_path, "m", "document", "")
    vectors = np.arange(5000, dtype=np.float32)[:, None]
    for start in range(0, 4000, 1000):
        shelf.add(text_keys(texts[start : start + 1000]), vectors[start : start + 1000])
    order = np.random.default_rng(0).permutation(5000)
    found = shelf.find(text_keys([texts[n] for n in order]))
    assert (found.file < 0).sum() == 1000
    for places, values in shelf.read(found):
        assert (values[:, 0] == order[places]).all()
