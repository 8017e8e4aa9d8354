"""What a meter reads off scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

import hrembed.audit.measures as measures
import numpy as np
import pytest
from hrembed.audit.measures import Meter

if TYPE_CHECKING:
    from collections.abc import Sequence

JOBS, RESUMES, NAMES = 23, 6, 9


def read(chunks: Sequence[int], rng_seed: int = 5):
    rng = np.random.default_rng(rng_seed)
    scores, nameless = rng.normal(size=(JOBS, RESUMES, NAMES)), rng.normal(size=(JOBS, RESUMES))
    relevant = rng.random((JOBS, RESUMES)) < 0.3
    meter = Meter((0.1, 0.5), 0.5, JOBS)
    start = 0
    for count in chunks:
        part = slice(start, start + count)
        meter.add(scores[part], nameless[part], relevant[part])
        start += count
    assert start == JOBS
    return meter.read()


@pytest.mark.parametrize("chunks", [[1] * JOBS, [10, 10, 3], [22, 1]])
def test_what_is_measured_does_not_depend_on_how_jobs_come(monkeypatch: pytest.MonkeyPatch, chunks):
    monkeypatch.setattr(measures, "_CELLS", 40)
    monkeypatch.setattr(measures, "_RANKINGS", 5)
    at_once, in_parts = read([JOBS]), read(chunks)
    assert in_parts.effects.shape == at_once.effects.shape == (35, NAMES)  # every fourth of 138 cells
    assert len(in_parts.orders) == len(at_once.orders) == 5
    np.testing.assert_array_equal(in_parts.effects, at_once.effects)
    np.testing.assert_array_equal(in_parts.orders, at_once.orders)
    np.testing.assert_allclose(in_parts.by_job, at_once.by_job)
    for own, other in ((in_parts.units, at_once.units), (in_parts.pairs, at_once.pairs)):
        assert own.keys() == other.keys()
        for name, values in own.items():
            np.testing.assert_allclose(values, other[name], err_msg=name)
