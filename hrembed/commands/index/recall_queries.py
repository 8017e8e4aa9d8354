"""What recall is asked with: given queries, or documents of the index."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hrembed.errors import DataError
from hrembed.index.identity import check_same_space
from hrembed.index.recall import Queries, own_documents
from hrembed.shards.reading import open_shards

if TYPE_CHECKING:
    from hrembed.config.index import RecallSection
    from hrembed.index.open import Index


def draws(seed: int, what: int) -> np.random.Generator:
    """Random numbers for the queries (0) or the filter values (1): a change of the one leaves the other as it was."""
    return np.random.default_rng([seed, what])


def recall_queries(index: Index, config: RecallSection, rng: np.random.Generator) -> Queries:
    """Open the queries that recall is measured with.

    Raises:
        DataError: They are no vectors of queries.
        ModelError: They belong to another model than the index.
    """
    if config.queries is None:
        return own_documents(index, config.count, rng)
    shards = open_shards(config.queries)
    if shards.manifest.side != "query":
        raise DataError(
            f"recall.queries: '{config.queries}' holds vectors of documents",
            hint="encode queries with `--side query`, or leave `recall.queries` out",
        )
    check_same_space(shards, index.generation.space, str(index.folder))
    vectors = shards.vectors()
    drawn = sorted(rng.choice(len(vectors), size=min(config.count, len(vectors)), replace=False).tolist())
    return Queries(vectors[drawn], (), f"{len(drawn):,} queries of {config.queries}")
