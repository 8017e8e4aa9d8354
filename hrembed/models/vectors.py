"""Vectors that somebody else computed: a table from text to vector."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from hrembed.errors import ModelError
from hrembed.files import sha256

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hrembed.types import Floats, Side


class VectorTable:
    """Looks texts up in a Parquet file with `text` and `vector`; prompts are not put in front.

    Attributes:
        identity: Hash of the file.
        source: Its path.
        batch_size: Texts looked up at once.

    Args:
        file: The table.

    Raises:
        ModelError: It cannot be read, lacks a column, or its vectors differ in length.
    """

    batch_size = 1024

    def __init__(self, file: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            table = pq.read_table(file, columns=["text", "vector"])
            vectors = np.array(table["vector"].to_pylist(), dtype=np.float32)
        except (OSError, pa.ArrowException, ValueError, TypeError) as err:
            raise ModelError(
                f"'{file}' is not a valid table of vectors: {str(err).splitlines()[0][:120]}",
                hint=(
                    "provide a Parquet file with the columns `text` and `vector` (lists of numbers of the same length)"
                ),
            ) from None
        if vectors.ndim != 2 or not len(vectors):
            raise ModelError(f"'{file}': vectors must not be empty and must have the same length")
        self._vectors = vectors
        self._row = {text: n for n, text in enumerate(table["text"].to_pylist())}
        self.identity = hashlib.sha256(f"vectors {sha256(file)}".encode()).hexdigest()
        self.source = str(file)

    def embed(self, texts: Sequence[str], side: Side, prompt: str) -> Floats:
        """Return the vectors of texts, shape (n, dim), as they stand in the table.

        Raises:
            ModelError: A text is not in the table; the message does not show it.
        """
        missing = [text for text in texts if text not in self._row]
        if missing:
            raise ModelError(
                f"'{self.source}' has no vector for {len(missing):,} of {len(texts):,} texts",
                hint="`hrembed bias-audit --set texts_only=true` writes the texts that an audit embeds",
            )
        return np.asarray(self._vectors[[self._row[text] for text in texts]])
