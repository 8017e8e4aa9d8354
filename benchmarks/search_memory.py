"""Peak memory of exact search: it follows the block size, not queries × documents.

    python benchmarks/search_memory.py [--quick]

Each row is a process of its own. Without --quick the last row ranks 50,000 × 200,000 vectors.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time

import numpy as np
from hrembed.evaluation.search import rank_all
from hrembed.memory import MB, peak_memory_mb
from hrembed.models.dense import DenseSimilarity, unit_rows

DIMENSIONS, DEPTH = 64, 100
ROWS = [(5_000, 200_000, 64), (5_000, 200_000, 256), (5_000, 200_000, 1024), (50_000, 200_000, 64)]


def one(queries: int, documents: int, memory_mb: int) -> None:
    """Search once, and print what it took beyond the vectors."""
    rng = np.random.default_rng(0)
    sides = (unit_rows(rng.standard_normal((n, DIMENSIONS), dtype=np.float32)) for n in (queries, documents))
    similarity = DenseSimilarity(*sides)
    before = peak_memory_mb()
    started = time.perf_counter()
    ranking = rank_all(similarity, depth=DEPTH, memory_mb=memory_mb)
    seconds = time.perf_counter() - started
    checked = np.argsort(-similarity.block(slice(0, 3), slice(None)), axis=1, kind="stable")[:, :DEPTH]
    if not (ranking.documents[:3] == checked).all():
        raise SystemExit("the ranking is not that of sorting everything")
    peak = peak_memory_mb()
    row = {
        "queries": queries,
        "documents": documents,
        "memory_mb": memory_mb,
        "added_mb": round(peak - before),
        "ranking_mb": round((ranking.documents.nbytes + ranking.scores.nbytes) / MB),
        "whole_matrix_mb": round(queries * documents * 4 / MB),
        "seconds": round(seconds, 1),
    }
    print(json.dumps(row))


if __name__ == "__main__":
    if sys.argv[1:2] == ["one"]:
        one(*map(int, sys.argv[2:]))
    else:
        for row in ROWS[:-1] if "--quick" in sys.argv else ROWS:
            subprocess.run([sys.executable, __file__, "one", *map(str, row)], check=True)
