"""Lexical baselines: what can be had without any model."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hrembed.types import Floats


class Bm25:
    """BM25 over lower-case words without English stop words, in the variant and defaults of `bm25s`.

    Source:
        Robertson & Zaragoza (2009), doi:10.1561/1500000019; Lù (2024), arXiv:2407.03618.
    """

    name = "bm25"

    @property
    def identity(self) -> str:
        """Name and version of the implementation."""
        return f"bm25s {version('bm25s')}"

    source = identity

    def similarity(self, queries: Sequence[str], documents: Sequence[str]) -> Floats:
        """Score every document for every query, shape (Q, D); 0 where no word is shared."""
        import bm25s

        index = bm25s.BM25()
        index.index(bm25s.tokenize(list(documents), show_progress=False), show_progress=False)
        words = bm25s.tokenize(list(queries), return_ids=False, show_progress=False)
        known = index.vocab_dict
        rows = [[word for word in query if word in known] for query in words]
        empty = np.zeros(len(documents))
        return np.stack([np.asarray(index.get_scores(row), dtype=np.float64) if row else empty for row in rows])


class TfIdf:
    """Cosine of TF-IDF vectors of words and word pairs, with sublinear counts.

    Source:
        Salton & Buckley (1988), doi:10.1016/0306-4573(88)90021-0.
    """

    name = "tfidf"

    @property
    def identity(self) -> str:
        """Name and version of the implementation."""
        return f"scikit-learn {version('scikit-learn')} tf-idf 1-2 sublinear"

    source = identity

    def similarity(self, queries: Sequence[str], documents: Sequence[str]) -> Floats:
        """Score every document for every query, shape (Q, D), in [0, 1]."""
        from sklearn.feature_extraction.text import TfidfVectorizer

        vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"(?u)\b\w+\b")
        document_vectors = vectorizer.fit_transform(documents)
        return np.asarray((vectorizer.transform(queries) @ document_vectors.T).todense(), dtype=np.float64)
