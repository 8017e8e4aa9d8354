"""Windows of tokens: what a plain loop gives, in one pass and in blocks, kept and found again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hrembed.config.parts import ModelSection
from hrembed.errors import ModelError
from hrembed.models import windows as windowing
from hrembed.models.dense import DenseEncoder, DenseSimilarity, Prompts, unit_rows
from hrembed.models.lexical import Bm25, CharTfIdf, added_similarity
from hrembed.models.static import open_wordllama
from hrembed.models.transformer import load_model
from hrembed.models.vectors import VectorTable
from hrembed.models.windows import WeightedSum, Windows, WindowSimilarity, token_windows
from hrembed.records.manifest import Scoring
from hrembed.runs.workspace import Workspace
from hrembed.scoring.encoders import open_encoder
from hypothesis import given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from pathlib import Path

TEXTS = st.lists(st.text("ab c-ü", max_size=14), min_size=1, max_size=5)
WIDTHS = st.lists(st.integers(1, 6), min_size=1, max_size=3, unique=True).map(lambda widths: tuple(sorted(widths)))
FEW = settings(max_examples=15)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def encoders(shallow_model: Path, runs: Path) -> dict[str, DenseEncoder]:
    """One a backend: a graph is opened once."""
    return {
        backend: open_encoder(ModelSection(ref=f"path:{shallow_model}", backend=backend), Workspace(runs))
        for backend in ("torch", "openvino")
    }


def loop(model, text: str, widths, prompt: str = "") -> np.ndarray:
    """Windows of one text, one by one, from the token vectors of Sentence Transformers."""
    features = model[0](model.preprocess([prompt + text]))
    vectors = features["token_embeddings"][0].detach().numpy()
    entry = model.tokenizer(prompt + text, return_offsets_mapping=True, return_special_tokens_mask=True)
    places = zip(entry["special_tokens_mask"], entry["offset_mapping"], strict=True)
    own = [n for n, (special, (_, end)) in enumerate(places) if not special and end > len(prompt)]
    rows = []
    for width in widths:
        rows += [vectors[own[n : n + width]].mean(axis=0) for n in range(len(own) - width + 1)]
    if len(own) < max(widths):
        rows.append(vectors.mean(axis=0))
    return np.stack([row / np.linalg.norm(row) for row in rows])


@pytest.mark.parametrize("backend", ["torch", "openvino"])
@given(queries=TEXTS, documents=TEXTS, widths=WIDTHS, side=st.sampled_from(["query", "document"]))
@FEW
def test_scores_are_those_of_a_plain_loop(shallow_model, encoders, backend, queries, documents, widths, side):
    model = load_model(shallow_model)
    encoder = encoders[backend]
    encoder._scoring = Scoring(windows=widths, side=side, lexical=0.5)
    found = encoder.similarity(queries, documents).block(slice(None), slice(None))
    whole, cut = (documents, queries) if side == "query" else (queries, documents)
    vectors = model.encode(whole, normalize_embeddings=True)
    expected = np.stack([(vectors @ loop(model, text, widths).T).max(axis=1) for text in cut])
    expected = expected if side == "query" else expected.T
    letters = CharTfIdf().similarity(queries, documents).block(slice(None), slice(None))
    assert found.shape == (len(queries), len(documents))
    assert np.abs(found - (expected + 0.5 * letters)).max() < 1e-5


@pytest.mark.parametrize("backend", ["torch", "openvino"])
def test_no_window_holds_a_token_of_the_prompt(shallow_model, encoders, runs, backend):
    texts, prompt = ["abc de", "a", ""], "find it: "
    section = ModelSection(ref=f"path:{shallow_model}", backend=backend, query_prompt=prompt)
    found = open_encoder(section, Workspace(runs)).windows(texts, "query", (2, 3))
    model = load_model(shallow_model)
    for n, text in enumerate(texts):
        rows = found.rows[found.starts[n] : found.starts[n] + found.counts[n]]
        assert np.abs(rows - loop(model, text, (2, 3), prompt)).max() < 1e-5


def test_a_model_that_leaves_its_prompt_out_does_so_with_short_texts_too(shallow_model, tmp_path):
    model = load_model(shallow_model)
    model[1].include_prompt = False
    model.save_pretrained(str(tmp_path / "model"), create_model_card=False)
    section = ModelSection(ref=f"path:{tmp_path / 'model'}", query_prompt="find: ")
    encoder = open_encoder(section, Workspace(tmp_path))
    found = encoder.windows(["ab"], "query", (5,))
    assert found.counts.tolist() == [1]
    assert np.abs(found.rows - encoder.vectors(["ab"], "query")).max() < 1e-5


def test_what_follows_the_pooling_is_part_of_a_window(shallow_model, tmp_path, runs):
    import torch
    from sentence_transformers.sentence_transformer.modules import Dense

    model = load_model(shallow_model)
    torch.manual_seed(1)
    model.append(Dense(32, 5, activation_function=torch.nn.Tanh()))
    model.save_pretrained(str(tmp_path / "model"), create_model_card=False)
    by_backend = []
    for backend in ("torch", "openvino"):
        encoder = open_encoder(ModelSection(ref=f"path:{tmp_path / 'model'}", backend=backend), Workspace(runs))
        by_backend.append(encoder.windows(["abcd"], "query", (2,)).rows)
    pooled = torch.from_numpy(loop_means(model, "abcd", 2))
    expected = unit_rows(model[2]({"sentence_embedding": pooled})["sentence_embedding"].detach().numpy())
    assert all(np.abs(rows - expected).max() < 1e-5 for rows in by_backend)


def loop_means(model, text: str, width: int) -> np.ndarray:
    vectors = model[0](model.preprocess([text]))["token_embeddings"][0].detach().numpy()[1:-1]
    return np.stack([vectors[n : n + width].mean(axis=0) for n in range(len(vectors) - width + 1)])


def test_windows_of_a_static_model_are_means_of_its_table():
    table = open_wordllama()
    encoder = DenseEncoder(table, name="static")
    text = "looks after patients on the ward"
    ids = table._tokenizer.encode(text, add_special_tokens=False).ids
    expected = unit_rows(np.stack([table._table[ids[n : n + 3]].mean(axis=0) for n in range(len(ids) - 2)]))
    assert np.abs(encoder.windows([text], "query", (3,)).rows - expected).max() < 1e-6
    short = encoder.windows(["ward", ""], "query", (9,))
    assert short.counts.tolist() == [1, 1]
    assert np.abs(short.rows[short.starts] - encoder.vectors(["ward", ""], "query")).max() < 1e-6


def test_windows_of_a_text_by_hand():
    own, every = np.array([1, 2, 3]), np.arange(5)
    assert token_windows(own, every, (2,)).tolist() == [[1, 2], [2, 3]]
    assert token_windows(own, every, (2, 3)).tolist() == [[1, 2, -1], [2, 3, -1], [1, 2, 3]]
    assert token_windows(own, every, (2, 4, 9))[-1].tolist() == [0, 1, 2, 3, 4]  # once, for both widths
    assert len(token_windows(own, every, (2, 4, 9))) == 3
    assert token_windows(np.array([], dtype=int), np.array([], dtype=int), (3,)).tolist() == [[-1]]


@given(
    counts=st.lists(st.integers(1, 9), min_size=1, max_size=12),
    others=st.integers(1, 9),
    size=st.integers(1, 7),
    columns=st.integers(1, 4),
    seed=st.integers(0, 9),
)
@settings(max_examples=80)
def test_blocks_of_any_size_give_the_best_window(counts, others, size, columns, seed):
    rng = np.random.default_rng(seed)
    rows = unit_rows(rng.normal(size=(sum(counts), 4)))
    starts = np.cumsum(counts) - counts
    shuffled = rng.permutation(len(counts))
    windows = Windows(rows, starts[shuffled], np.array(counts)[shuffled])
    whole = unit_rows(rng.normal(size=(others, 4)))
    expected = np.stack(
        [(rows[s : s + c] @ whole.T).max(axis=0) for s, c in zip(windows.starts, windows.counts, strict=True)]
    )
    some = rng.integers(0, len(counts), size=3)
    patch = pytest.MonkeyPatch()
    with patch.context() as patched:
        patched.setattr(windowing, "_WINDOWS_AT_ONCE", size)
        patched.setattr(windowing, "_COLUMNS_AT_ONCE", columns)
        queries = WindowSimilarity(windows, whole)
        documents = WindowSimilarity(windows, whole, of_documents=True)
        np.testing.assert_allclose(queries.block(slice(None), slice(None)), expected, atol=1e-6)
        np.testing.assert_allclose(documents.block(slice(None), some), expected[some].T, atol=1e-6)
        both = WeightedSum(queries, DenseSimilarity(rows[starts[shuffled]], whole), 0.25)
        added = expected + 0.25 * (rows[starts[shuffled]] @ whole.T)
        np.testing.assert_allclose(both.block(slice(1, None), slice(0, 3)), added[1:, :3], atol=1e-6)
    assert (queries.shape, documents.shape) == ((len(counts), others), (others, len(counts)))


def test_bm25_is_divided_by_the_highest_score_of_the_query(monkeypatch):
    monkeypatch.setattr("hrembed.models.lexical._DOCUMENTS_AT_ONCE", 2)
    queries = ["nurse ward", "unheard", "car"]
    documents = ["ward nurse", "ward", "car mechanic", "car park", "nurse"]
    plain = Bm25().similarity(queries, documents).block(slice(None), slice(None))
    found = added_similarity("bm25", queries, documents).block(slice(None), slice(None))
    np.testing.assert_allclose(found[[0, 2]], plain[[0, 2]] / plain[[0, 2]].max(axis=1, keepdims=True), rtol=1e-6)
    assert not found[1].any()
    assert found.max() == pytest.approx(1)


class Letters:
    """A backend whose windows are pairs of letters, and which counts the texts it was given."""

    source, batch_size = "memory", 3

    def __init__(self, identity: str = "one", fails_after: int = 10**9) -> None:
        self.identity, self.fails_after = identity, fails_after
        self.asked: list[str] = []

    def embed(self, texts, side, prompt):
        return np.stack([self.vector(prompt + text) for text in texts])

    def embed_windows(self, texts, side, prompt, widths):
        if len(self.asked) + len(texts) > self.fails_after:
            raise ModelError("broken off")
        self.asked += texts
        cut = [self.cut(text, widths) for text in texts]
        return np.stack([self.vector(w) for of_text in cut for w in of_text]), np.array([len(c) for c in cut])

    def cut(self, text, widths):
        return [text[n : n + w] for w in widths for n in range(len(text) - w + 1)] or [text]

    def vector(self, text: str) -> np.ndarray:
        return np.random.default_rng([7, *text.encode()]).normal(size=6)

    def rows(self, text, widths) -> np.ndarray:
        return unit_rows(np.stack([self.vector(w) for w in self.cut(text, widths)]))


WORDS = ["abcdef", "ab", "", "xyz", "abcdef", "q" * 30]


@pytest.mark.parametrize("memory_mb", [0, 1])
def test_windows_are_kept_and_found_again_in_memory_or_in_a_file(tmp_path, memory_mb):
    first, again = Letters(), Letters()
    for backend in (first, again):
        encoder = DenseEncoder(backend, name="m", cache=tmp_path, memory_mb=memory_mb)
        found = encoder.windows(WORDS, "query", (2, 3))
        assert isinstance(found.rows, np.memmap) == (memory_mb == 0)
        for n, text in enumerate(WORDS):
            rows = found.rows[found.starts[n] : found.starts[n] + found.counts[n]]
            np.testing.assert_allclose(rows, backend.rows(text, (2, 3)), atol=1e-6)
    assert sorted(first.asked) == sorted(set(WORDS))
    assert again.asked == []


def test_windows_of_other_widths_sides_prompts_and_whole_texts_are_never_mixed(tmp_path):
    for widths, side, prompts in (
        ((2,), "query", Prompts()),
        ((3,), "query", Prompts()),
        ((2,), "document", Prompts()),
        ((2,), "query", Prompts(query="p")),
    ):
        backend = Letters()
        encoder = DenseEncoder(backend, name="m", cache=tmp_path, prompts=prompts)
        encoder.vectors(WORDS, side)
        encoder.windows(WORDS, side, widths)
        assert sorted(backend.asked) == sorted(set(WORDS))


def test_an_interrupted_run_goes_on_with_the_windows_it_has(tmp_path):
    with pytest.raises(ModelError, match="broken off"):
        DenseEncoder(Letters(fails_after=3), name="m", cache=tmp_path).windows(WORDS, "query", (2,))
    backend = Letters()
    found = DenseEncoder(backend, name="m", cache=tmp_path).windows(WORDS, "query", (2,))
    assert len(backend.asked) == 2
    assert found.counts.tolist() == [5, 1, 1, 2, 5, 29]


def test_truncated_windows_are_of_unit_length(tmp_path):
    encoder = DenseEncoder(Letters(), name="m", cache=tmp_path, dimensions=3)
    rows = encoder.windows(WORDS, "query", (2,)).rows
    assert rows.shape[1] == 3
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)


def test_the_scoring_is_part_of_the_identity_and_only_where_it_is_used():
    def identity(**scoring):
        return DenseEncoder(Letters(), name="m", scoring=Scoring(**scoring)).identity

    plain = DenseEncoder(Letters(), name="m").identity
    assert identity() == identity(side="document") == identity(lexical_kind="bm25") == plain
    ways = [
        {"windows": (3,)},
        {"windows": (3, 4)},
        {"windows": (3,), "side": "document"},
        {"lexical": 0.5},
        {"lexical": 0.4},
        {"lexical": 0.5, "lexical_kind": "bm25"},
        {"windows": (3,), "lexical": 0.5},
    ]
    assert len({plain, *(identity(**way) for way in ways)}) == len(ways) + 1


def test_a_vector_table_has_no_windows(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"text": ["a"], "vector": [[1.0, 0.0]]}), tmp_path / "table.parquet")
    encoder = DenseEncoder(VectorTable(tmp_path / "table.parquet"), name="table")
    with pytest.raises(ModelError, match="model 'table' returns one vector per text"):
        encoder.windows(["a"], "query", (2,))


def test_a_model_that_does_not_take_the_mean_is_refused(shallow_model, tmp_path):
    model = load_model(shallow_model)
    model[1].pooling_mode = "cls"
    model.save_pretrained(str(tmp_path / "model"), create_model_card=False)
    section = ModelSection(ref=f"path:{tmp_path / 'model'}", score={"windows": [2]})
    with pytest.raises(ModelError, match="pooling, so means over token windows are not meaningful") as caught:
        open_encoder(section, Workspace(tmp_path))
    assert "score.lexical" in caught.value.hint


def test_a_graph_whose_texts_do_not_share_rows_is_refused(shallow_model, tmp_path, monkeypatch):
    def no_packing(model):
        raise RuntimeError("positions are relative")

    monkeypatch.setattr("hrembed.models.graph_backend.whole_packed", no_packing)
    section = ModelSection(ref=f"path:{shallow_model}", backend="openvino", score={"windows": [2]})
    with pytest.raises(ModelError, match="cannot return vectors of token windows") as caught:
        open_encoder(section, Workspace(tmp_path)).similarity(["a b c"], ["d"])
    assert "torch" in caught.value.hint
