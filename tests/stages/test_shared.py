"""Against development data that lies beside the checkout, where it does."""

from __future__ import annotations

from pathlib import Path

import pytest
from hrembed.selection.scores import read_parquet, tasks_of

LEADERBOARD = Path(__file__).resolve().parents[3] / "shared" / "data" / "leaderboard" / "mteb_results.parquet"


@pytest.mark.shared
def test_the_public_leaderboard_of_august_2026_can_be_read():
    """Counts of complete models as an independent reading of the same file gives them."""
    import pandas as pd

    tasks = tasks_of("MTEB(eng, v2)", ["Retrieval"])
    table = read_parquet(LEADERBOARD, tasks)
    frame = pd.read_parquet(LEADERBOARD)
    frame = frame[frame.task.isin(tasks) & frame.main_score.notna()]
    complete = frame.groupby("model").task.nunique() == len(tasks)
    found = {name for name, row in zip(table.models, table.scores, strict=True) if not (row != row).any()}
    assert len(tasks) == 10
    assert found == set(complete[complete].index)
    small = table.scores[table.models.index("BAAI/bge-small-en-v1.5")]
    assert small.mean() == pytest.approx(0.5386, abs=5e-4)
