"""Sentences about comparisons: what is certain comes first, and every number in them is that of the record."""

import numpy as np
import pytest
from hrembed.records.eval import Comparison
from hrembed.reports.conclusions import compared_in_words, interval_in_words, listed
from hrembed.types import Estimate


def comparison(task: str, verdict: str, value: float = 0.1, *, model: str = "tuned", reference: str = "base"):
    difference = Estimate(value, value - 0.05, value + 0.05, 40, "groups")
    return Comparison(
        task=task, model=model, reference=reference, metric="map", difference=difference, better=3, worse=1,
        p_value=0.01, p_holm=0.02, detectable=0.031, verdict=verdict,
    )  # fmt: skip


def test_what_is_certain_comes_first():
    rows = [comparison("a", "cannot tell", 0.01), comparison("b", "worse", -0.2), comparison("c", "better")]

    said = compared_in_words(rows, delta=0.02, confidence=0.95)

    assert said == (
        "better on c (+0.100 map, 95 % interval +0.050 to +0.150); "
        "worse on b (-0.200 map, 95 % interval -0.250 to -0.150); "
        "cannot tell on a (+0.010 map, 95 % interval -0.040 to +0.060; 0.031 would be seen)"
    )


def test_equality_names_the_largest_difference_that_does_not_matter():
    rows = [comparison(task, "no difference larger than δ", 0.0) for task in "abcde"]

    assert compared_in_words(rows, delta=0.02, confidence=0.9) == "no difference larger than 0.02 on a, b, c and 2 more"


def test_nothing_was_compared():
    assert compared_in_words([], delta=0.02, confidence=0.95) == ""


def test_an_undefined_interval_is_said():
    assert interval_in_words(Estimate(0.5, np.nan, np.nan, 1, "queries"), 0.95) == "no interval"


@pytest.mark.parametrize(
    ("names", "said"),
    [(["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c"), (list("abcd"), "a, b, c and 1 more")],
)
def test_lists_are_written_as_people_do(names: list[str], said: str):
    assert listed(names) == said
