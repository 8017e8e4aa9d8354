"""Measuring in a process of its own: what goes there, what comes back, and what is said when it fails."""

from __future__ import annotations

import os
import time

import pytest
from hrembed.errors import ModelError
from hrembed.records.base import Measured, Record
from hrembed.scoring.fresh_process import run_in_fresh_process
from hrembed.types import Estimate


class Asked(Record):
    score: Measured


class Seen(Record):
    score: Measured
    process: int
    variable: str | None


def look_around(asked: Asked) -> Seen:
    return Seen(
        score=asked.score,
        process=os.getpid(),
        variable=os.environ.get("A_VARIABLE"),
    )


def fail(asked: Asked) -> Seen:
    raise ValueError(f"{asked.score.n} is too many")


ASKED = Asked(score=Estimate(0.5, 0.25, 0.75, 8, "queries", 1))


def test_a_record_goes_in_and_another_comes_back_from_elsewhere():
    before = time.time()
    reply = run_in_fresh_process(look_around, ASKED, Seen, failure="", environment={"A_VARIABLE": "grün"})
    assert reply.record.score == ASKED.score
    assert reply.record.process != os.getpid()
    assert reply.record.variable == "grün"
    assert before <= reply.started <= time.time()


def test_the_last_line_of_a_failure_is_told():
    with pytest.raises(ModelError, match=r"^cannot measure 'm': ValueError: 8 is too many$"):
        run_in_fresh_process(fail, ASKED, Seen, failure="cannot measure 'm'")
