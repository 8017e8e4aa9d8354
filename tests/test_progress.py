"""Phases, estimates and signs of life, by a clock that the test turns; and what of it the log of a run keeps."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from hrembed.errors import DataError
from hrembed.progress import Journal, in_time
from hrembed.runs.record import open_run
from hrembed.runs.workspace import Workspace

if TYPE_CHECKING:
    from pathlib import Path


class Shown:
    """A display that keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.signs: list[str] = []
        self.bar_notes: list[str] = []
        self.said = threading.Event()

    @contextmanager
    def bar(self, label: str, total: int, done: int = 0):
        yield lambda steps, note: self.bar_notes.append(note)

    def note(self, text: str) -> None:
        self.lines.append(text)

    def alive(self, text: str) -> None:
        self.signs.append(text)
        self.said.set()


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def shown() -> Shown:
    return Shown()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def journal(shown: Shown, clock: Clock) -> Journal:
    return Journal(shown, clock=clock)


def test_a_phase_is_said_with_its_number_and_an_estimate_of_the_whole_from_the_work_done(journal, shown, clock):
    with journal.phases("read", "score", "prove", "write") as phases:
        phases.begin("read")
        clock.now += 30
        phases.expect({"score": 100, "prove": 300})
        phases.begin("score")  # nothing of the work is done, so nothing is known of its pace
        clock.now += 60
        phases.begin("prove")  # 100 texts took 60 s, 300 are left
        clock.now += 240  # slower than expected
        phases.begin("write")
    assert shown.lines == [
        "1 of 4: read",
        "2 of 4: score (30 s so far)",
        "3 of 4: prove (90 s so far, about 3 min left)",
        "4 of 4: write (6 min so far)",
    ]


def test_a_bar_refines_the_estimate_within_its_phase(journal, shown, clock):
    with journal.phases("train", "prove") as phases:
        phases.expect({"train": 900, "prove": 100})
        phases.begin("train")
        with journal.bar("steps", 100) as advance:
            clock.now += 9
            advance(1, "dev 0.4")  # under two per cent of the work: no estimate yet
            clock.now += 81
            advance(9, "dev 0.5")  # 90 of 1000 in 90 s
            journal.sign()
    assert shown.bar_notes == ["dev 0.4", "dev 0.5, about 15 min left in all"]
    assert shown.signs == ["1 of 2: train, steps: 10 of 100 (90 s so far, about 15 min left)"]


def test_a_sign_of_life_shows_the_bar_that_moves_beside_the_one_of_the_phase(journal, shown):
    """A slow model may take an hour for its share of the texts: without its own bar the line would stand still."""
    with journal.phases("score") as phases:
        phases.begin("score")
        with journal.bar("texts", 200), journal.bar("tasks", 2), journal.bar("slow: document vectors", 100) as advance:
            advance(30, "")
            journal.sign()
    assert shown.signs == ["1 of 1: score, texts: 0 of 200, slow: document vectors: 30 of 100"]


def test_what_an_interrupted_run_had_done_says_nothing_about_the_pace_and_is_not_left(journal, shown, clock):
    with journal.phases("score", "train", "prove") as phases:
        phases.expect({"score": 100, "train": 800, "prove": 100})
        phases.begin("score")
        clock.now += 100
        phases.begin("train")
        with journal.bar("steps", 100, 75) as advance:
            journal.sign()  # 100 in 100 s; a quarter of 800 and the proof are left
            clock.now += 200
            advance(10, "dev 0.5")  # 180 in 300 s; 120 and 100 are left
            clock.now += 300
            advance(15, "dev 0.5")
        phases.begin("prove")  # 300 in 600 s
    assert shown.signs == ["2 of 3: train, steps: 75 of 100 (2 min so far, about 5 min left)"]
    assert shown.bar_notes[0] == "dev 0.5, about 6 min left in all"
    assert shown.lines[-1] == "3 of 3: prove (10 min so far, about 3 min left)"


def test_a_skipped_phase_and_one_without_known_work_do_not_spoil_the_estimate(journal, shown, clock):
    with journal.phases("read", "train", "control", "prove") as phases:
        phases.expect({"train": 50, "prove": 50})
        phases.begin("read")
        clock.now += 1000
        phases.begin("train")
        clock.now += 10
        phases.begin("prove")
        journal.sign()
    assert shown.lines[-1] == "4 of 4: prove (17 min so far, about 10 s left)"


def test_phases_of_a_phase_stand_below_it(journal, shown, clock):
    with journal.phases("finetune", "eval") as outer:
        outer.begin("finetune")
        with journal.phases("train", "prove") as inner:
            inner.begin("train")
            clock.now += 125
            journal.sign()
        outer.begin("eval")
        journal.sign()
    assert shown.lines == ["1 of 2: finetune", "  1 of 2: train", "2 of 2: eval (2 min so far)"]
    assert shown.signs == ["1 of 2: finetune, 1 of 2: train (2 min so far)", "2 of 2: eval (2 min so far)"]


def test_an_unknown_phase_is_refused(journal):
    with journal.phases("read") as phases:
        with pytest.raises(ValueError, match="scroe"):
            phases.begin("scroe")
        with pytest.raises(ValueError, match="scroe"):
            phases.expect({"scroe": 1})


def test_a_sign_of_life_is_given_while_nothing_moves_and_no_longer_than_that(shown):
    journal = Journal(shown, pause=0.01)
    with journal.phases("load") as phases:
        phases.begin("load")
        assert shown.said.wait(10)
    assert shown.signs[0].startswith("1 of 1: load")
    assert not any(thread.name == "hrembed-signs-of-life" for thread in threading.enumerate())


def test_the_log_says_what_happened(tmp_path: Path, shown: Shown, clock: Clock):
    journal = Journal(shown, clock=clock)
    with open_run(Workspace(tmp_path, journal), "eval", {}, seeds={}, phases=("score", "compare")) as run:
        run.phases.begin("score")
        run.progress.note("loading bm25")
        clock.now += 61
        journal.sign()
        run.warn("few queries")
        run.phases.begin("compare")
        clock.now += 2
        notice = run.conclude(["bm25 is best.", "Next, audit it:", "  hrembed bias-audit"])
    assert (
        notice.splitlines() == run.manifest.conclusion == ["bm25 is best.", "Next, audit it:", "  hrembed bias-audit"]
    )
    lines = [line.split(" ", 2)[2] for line in (run.path / "log.txt").read_text(encoding="utf-8").splitlines()]
    begun, *middle, ended = lines
    assert begun.startswith("INFO hrembed ")
    assert begun.endswith(": eval begins")
    assert middle == [
        "INFO 1 of 2: score",
        "INFO loading bm25",
        "INFO 1 of 2: score (61 s so far)",
        "WARNING few queries",
        "INFO 1 of 2 took 61.0 s",
        "INFO 2 of 2: compare",
        "INFO bm25 is best.",
        "INFO Next, audit it:",
        "INFO   hrembed bias-audit",
        "INFO 2 of 2 took 2.0 s",
    ]
    assert ended.startswith("INFO ok after ")


def test_the_log_names_the_kind_of_an_error_and_not_its_message_which_may_quote_the_data(tmp_path: Path):
    def fails() -> None:
        with open_run(Workspace(tmp_path), "eval", {}, seeds={}, phases=("read",)) as run:
            run.phases.begin("read")
            raise DataError("row 3: 'Ada Lovelace' is no number")

    with pytest.raises(DataError):
        fails()
    (folder,) = (tmp_path / "eval").iterdir()
    log = (folder / "log.txt").read_text(encoding="utf-8")
    assert "Lovelace" not in log
    assert log.splitlines()[-1].endswith("DataError (its message is in manifest.json)")
    assert "ERROR failed after " in log
    assert "Lovelace" in (folder / "manifest.json").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "0 s"), (99.4, "99 s"), (100, "2 min"), (3599, "60 min"), (6000, "1 h 40 min"), (90000, "25 h 0 min")],
)
def test_durations_are_written_as_people_say_them(seconds, words):
    assert in_time(seconds) == words
