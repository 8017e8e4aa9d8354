"""Lexical baselines: what can be had without any model."""

from __future__ import annotations

import unicodedata
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from hrembed.errors import ModelError
from hrembed.version import version_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hrembed.types import Floats, Ints, Side


_DOCUMENTS_AT_ONCE = 4096


@dataclass(frozen=True)
class SparseSimilarity:
    """Weights of shared words.

    Attributes:
        queries: CSR matrix, shape (Q, words).
        documents: CSC matrix, shape (words, D), so that a block of documents is cut out quickly.
    """

    queries: Any
    documents: Any

    @property
    def shape(self) -> tuple[int, int]:
        """Number of queries, number of documents."""
        return self.queries.shape[0], self.documents.shape[1]

    def block(self, queries: slice, documents: slice | Ints) -> Floats:
        """Compute scores, 0 where no word is shared."""
        return np.asarray((self.queries[queries] @ self.documents[:, documents]).toarray(), dtype=np.float32)

    def relative(self) -> SparseSimilarity:
        """Divide the scores of each query by its highest one; all are then in [0, 1] where none is negative."""
        highest = np.zeros(self.shape[0])
        for left in range(0, self.shape[1], _DOCUMENTS_AT_ONCE):
            scores = self.queries @ self.documents[:, left : left + _DOCUMENTS_AT_ONCE]
            highest = np.maximum(highest, scores.max(axis=1).toarray().ravel())
        factors = 1 / np.where(highest > 0, highest, 1)
        return SparseSimilarity(sparse.diags_array(factors) @ self.queries, self.documents)


class Bm25:
    """BM25 over lower-case words without English stop words, in the variant and defaults of `bm25s`.

    Source:
        Robertson & Zaragoza (2009), doi:10.1561/1500000019; Lù (2024), arXiv:2407.03618.
    """

    name = "bm25"

    @property
    def identity(self) -> str:
        """Name and version of the implementation."""
        return f"bm25s {version_of('bm25s')} NFC"

    source = identity

    def similarity(
        self, queries: Sequence[str], documents: Sequence[str], *, instruction: str = ""
    ) -> SparseSimilarity:
        """Score every document for every query; 0 where no word is shared. Instructions are not used."""
        vocabulary, by_document = bm25_weights(documents)
        if not vocabulary:
            return _nothing_shared(len(queries), len(documents))
        known = [[vocabulary[word] for word in query if word in vocabulary] for query in bm25_words(queries)]
        return SparseSimilarity(_counts(known, by_document.shape[1]), by_document.T.tocsc())

    def vectors(self, texts: Sequence[str], side: Side, *, instruction: str = "") -> Any:
        """Raise, since BM25 weighs a query against a document and gives no vector of a text alone."""
        raise ModelError("bm25 has no embeddings", hint="use tfidf as the lexical baseline for this task")


def bm25_weights(documents: Sequence[str]) -> tuple[dict[str, int], Any]:
    """Weigh the words of documents by BM25.

    Returns:
        Word to column, and the weights, CSC, shape (documents, words); no words where no document holds any.
    """
    import bm25s

    tokens = bm25s.tokenize(_composed(documents), show_progress=False)
    if not any(map(len, tokens.ids)):
        return {}, sparse.csc_array((len(documents), 0), dtype=np.float32)
    index = bm25s.BM25()
    index.index(tokens, show_progress=False)
    weights = index.scores
    shape = len(documents), len(weights["indptr"]) - 1
    return index.vocab_dict, sparse.csc_array((weights["data"], weights["indices"], weights["indptr"]), shape=shape)


def bm25_words(texts: Sequence[str]) -> list[list[str]]:
    """Words of texts as `bm25_weights` tells them apart; a word that comes twice stands there twice."""
    import bm25s

    words: list[list[str]] = bm25s.tokenize(_composed(texts), return_ids=False, show_progress=False)
    return words


def _composed(texts: Sequence[str]) -> list[str]:
    """Write each accented letter as one character (Unicode NFC): a word is the same in both normal forms."""
    return [unicodedata.normalize("NFC", text) for text in texts]


def _any_word(vectorizer: Any, texts: Sequence[str]) -> bool:
    """Whether any text holds a word; of signs alone nothing can be indexed."""
    words_of = vectorizer.build_analyzer()
    return any(words_of(text) for text in texts)


def _nothing_shared(queries: int, documents: int) -> SparseSimilarity:
    """Similarity of documents without any word: 0 throughout."""
    return SparseSimilarity(
        sparse.csr_array((queries, 1), dtype=np.float32), sparse.csc_array((1, documents), dtype=np.float32)
    )


def _counts(rows: Sequence[Sequence[int]], words: int) -> Any:
    """How often each word stands in each row, CSR, shape (rows, words)."""
    lengths = [len(row) for row in rows]
    indices = np.fromiter((word for row in rows for word in row), dtype=np.int64, count=sum(lengths))
    starts = np.concatenate([[0], np.cumsum(lengths)])
    counts = sparse.csr_array((np.ones(len(indices), dtype=np.float32), indices, starts), shape=(len(rows), words))
    counts.sum_duplicates()
    return counts


class _Cosine(ABC):
    """Cosine of TF-IDF vectors of whatever a vectorizer takes out of a text."""

    def similarity(
        self, queries: Sequence[str], documents: Sequence[str], *, instruction: str = ""
    ) -> SparseSimilarity:
        """Score every document for every query, in [0, 1]. Instructions are not used."""
        queries, documents, vectorizer = _composed(queries), _composed(documents), self._vectorizer()
        if not _any_word(vectorizer, documents):
            return _nothing_shared(len(queries), len(documents))
        by_document = vectorizer.fit_transform(documents)
        return SparseSimilarity(vectorizer.transform(queries), by_document.T.tocsc())

    def vectors(self, texts: Sequence[str], side: Side, *, instruction: str = "") -> Any:
        """Weights of the words of each text, CSR, shape (n, words); the words and their rarity are those of `texts`."""
        composed, vectorizer = _composed(texts), self._vectorizer()
        if not _any_word(vectorizer, composed):
            return sparse.csr_array((len(composed), 1), dtype=np.float64)
        return vectorizer.fit_transform(composed)

    @staticmethod
    @abstractmethod
    def _vectorizer() -> Any:
        """Make what takes words or letters out of texts and weighs them."""


class TfIdf(_Cosine):
    """Cosine of TF-IDF vectors of words and word pairs, with sublinear counts.

    Source:
        Salton & Buckley (1988), doi:10.1016/0306-4573(88)90021-0.
    """

    name = "tfidf"

    @property
    def identity(self) -> str:
        """Name and version of the implementation."""
        return f"scikit-learn {version_of('scikit-learn')} tf-idf 1-2 sublinear NFC"

    source = identity

    @staticmethod
    def _vectorizer() -> Any:
        from sklearn.feature_extraction.text import TfidfVectorizer

        return TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"(?u)\b\w+\b")


class CharTfIdf(_Cosine):
    """Cosine of TF-IDF vectors of three to five letters within a word, with sublinear counts.

    Other endings of a word (`manage`, `managing`) share most of what is counted, and it needs no list of stop words.

    Source:
        Salton & Buckley (1988), doi:10.1016/0306-4573(88)90021-0; McNamee & Mayfield (2004),
        doi:10.1023/B:INRT.0000009441.78971.be.
    """

    name = "char-tfidf"

    @property
    def identity(self) -> str:
        """Name and version of the implementation."""
        return f"scikit-learn {version_of('scikit-learn')} tf-idf characters 3-5 within words sublinear NFC"

    source = identity

    @staticmethod
    def _vectorizer() -> Any:
        from sklearn.feature_extraction.text import TfidfVectorizer

        return TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True, dtype=np.float32)


def added_similarity(kind: str, queries: Sequence[str], documents: Sequence[str]) -> SparseSimilarity:
    """Compare words, or parts of them, on a scale that a weight can be given to: in [0, 1].

    Args:
        kind: `char-tfidf`, which has that scale, or `bm25`, which is divided by the query's highest score.
        queries: Texts.
        documents: Texts.

    Source:
        Bruch, Gai & Ingber (2023), doi:10.1145/3596512, where a convex combination of a dense and a lexical score, the
        latter from its lowest possible value to its highest found one, beats a fusion of ranks.
    """
    similarity = LEXICAL_PARTS[kind]().similarity(queries, documents)
    return similarity.relative() if kind == "bm25" else similarity


LEXICAL_PARTS: dict[str, type[Bm25] | type[CharTfIdf]] = {"char-tfidf": CharTfIdf, "bm25": Bm25}
