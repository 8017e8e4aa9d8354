"""Vectors of any length that float32 or float64 holds become unit vectors."""

from __future__ import annotations

import numpy as np
import pytest
from hrembed.models.dense import unit_rows

ROWS = np.array([[3.0, -4.0], [1.0, 0.0], [0.1, 0.7]])


@pytest.mark.parametrize("scale", [1e-40, 1e-30, 1e-22, 1e-18, 1.0, 1e18, 1e20, 1e30, 5e37])
def test_lengths_that_float32_cannot_square_are_divided_all_the_same(scale: float):
    unit = unit_rows((ROWS * scale).astype(np.float32))
    assert unit.dtype == np.float32
    assert np.linalg.norm(unit, axis=1) == pytest.approx(1, abs=1e-6)
    if scale > 1e-38:  # below, float32 itself has few digits
        assert unit == pytest.approx(unit_rows(ROWS), abs=1e-6)


@pytest.mark.parametrize("scale", [1e-300, 1e-100, 1e100, 1e300])
def test_numbers_beyond_float32_are_scaled_first(scale: float):
    assert unit_rows(ROWS * scale) == pytest.approx(unit_rows(ROWS), abs=1e-6)


def test_a_row_of_zeros_stays_beside_a_long_one():
    assert unit_rows(np.array([[0.0, 0.0], [1e38, 0.0]], dtype=np.float32)).tolist() == [[0, 0], [1, 0]]


def test_usual_rows_are_divided_as_ever():
    rows = np.random.default_rng(0).standard_normal((50, 8)).astype(np.float32)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    assert np.array_equal(unit_rows(rows), rows / length)
