"""Progress reporting, independent of the user interface: bars, notes, and the phases of what takes long."""

from __future__ import annotations

import logging
import os
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

    Advance = Callable[[int, str], None]

_log = logging.getLogger("hrembed")
_log.addHandler(logging.NullHandler())  # else Python prints warnings to stderr where no log is open
_WARNING = "warning: "
_LEAST_KNOWN = 0.02  # share of the work that has to be done before its pace says anything about the rest


class Phases(Protocol):
    """The parts of something that takes long, of which one is going on."""

    def begin(self, name: str) -> None:
        """Begin a part; the one before it has ended."""
        ...

    def expect(self, work: Mapping[str, float]) -> None:
        """Say what parts will take, in a unit that they share, such as texts to embed: the rest is estimated by it."""
        ...


class Display(Protocol):
    """Shows progress to somebody: bars, lines, and a sign of life where no bar can move."""

    def bar(self, label: str, total: int, done: int = 0) -> AbstractContextManager[Advance]:
        """Open a bar of `total` steps (0 when unknown), `done` of them earlier; call it with (steps, short note)."""
        ...

    def note(self, text: str) -> None:
        """Show one line."""
        ...

    def alive(self, text: str) -> None:
        """Show once a minute how far things are, unless bars show it."""
        ...


class Progress(Protocol):
    """Receives progress updates: bars, notes, and phases."""

    def bar(self, label: str, total: int, done: int = 0) -> AbstractContextManager[Advance]:
        """Open a bar of `total` steps (0 when unknown), `done` of them earlier; call it with (steps, short note)."""
        ...

    def note(self, text: str) -> None:
        """Show one line."""
        ...

    def phases(self, *names: str) -> AbstractContextManager[Phases]:
        """Name the parts of what follows, in their order; phases of a part may be opened inside of it."""
        ...


class NoPhases:
    """Phases that nobody follows."""

    def begin(self, name: str) -> None:
        """Show nothing."""

    def expect(self, work: Mapping[str, float]) -> None:
        """Estimate nothing."""


class Silent:
    """A `Progress` and `Display` that shows nothing, the default when a command is called from Python."""

    @contextmanager
    def bar(self, label: str, total: int, done: int = 0) -> Iterator[Advance]:
        """Open a bar that is not shown."""
        yield lambda steps, note: None

    def note(self, text: str) -> None:
        """Show nothing."""

    def alive(self, text: str) -> None:
        """Show nothing."""

    @contextmanager
    def phases(self, *names: str) -> Iterator[Phases]:
        """Open phases that are not shown."""
        yield NoPhases()


@dataclass
class _Bar:
    """A bar that is open.

    Attributes:
        label: What moves.
        total: Its steps; 0 when unknown.
        before: Steps that were done before it was opened, by a run that goes on: they say nothing about the pace.
        done: Steps done, those included.
    """

    label: str
    total: int
    before: int
    done: int

    def share(self, steps: int) -> float:
        """What so many steps are of it, 0 to 1."""
        return min(1.0, steps / self.total) if self.total else 0.0

    def __str__(self) -> str:
        return f"{self.label}: {self.done:,} of {self.total:,}" if self.total else f"{self.label}: {self.done:,}"


@dataclass
class _Level:
    """Phases that are open.

    Attributes:
        names: All phases, in their order.
        opened: When they were opened, in seconds of the clock.
        bars_before: Bars that were open already; the next one shows how far the present phase is.
        work: What phases take, in a unit of their own.
        before: Share of a phase that was done before it began, where there is any.
        seconds: What each phase took that has ended.
        current: The present one; -1 before the first.
        since: When it began.
    """

    names: tuple[str, ...]
    opened: float
    bars_before: int
    work: dict[str, float] = field(default_factory=dict)
    before: dict[str, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    current: int = -1
    since: float = 0.0

    @property
    def heading(self) -> str:
        """Write `3 of 5: proof`."""
        return f"{self.current + 1} of {len(self.names)}: {self.names[self.current]}"

    def left(self, now: float, share: float) -> float | None:
        """Seconds to the end at the pace so far; None where too little is known.

        Phases that nobody said the work of take no time in this estimate.

        Args:
            now: The time.
            share: What is done of the present phase, 0 to 1.
        """
        name = self.names[self.current]
        shares = {ended: 1.0 for ended in self.work if ended in self.seconds}
        spent = sum(self.seconds[ended] for ended in shares)
        if share > self.before.get(name, 0.0) and name in self.work:
            shares[name] = share
            spent += now - self.since
        done = sum((part - self.before.get(phase, 0.0)) * self.work[phase] for phase, part in shares.items())
        left = sum((1 - shares.get(phase, self.before.get(phase, 0.0))) * work for phase, work in self.work.items())
        if left <= 0 or not 0 < _LEAST_KNOWN * (done + left) <= done:
            return None
        return spent / done * left


class _OfLevel:
    """The phases of a level, as those see them who go through them."""

    def __init__(self, journal: Journal, level: _Level) -> None:
        self._journal, self._level = journal, level

    def begin(self, name: str) -> None:
        """Begin a phase."""
        self._journal.begin(self._level, name)

    def expect(self, work: Mapping[str, float]) -> None:
        """Say what phases will take."""
        unknown = [name for name in work if name not in self._level.names]
        if unknown:
            raise ValueError(f"no phase is called {', '.join(unknown)}")
        self._level.work.update(work)


class Journal:
    """The `Progress` of every command: keeps account of phases and bars, tells the display and the log.

    While phases are open, a line a minute says how far things are: in the log always, on the display where no bar
    shows it.

    Args:
        display: Shows it to somebody.
        clock: Gives the time in seconds.
        pause: Seconds between two signs of life.
    """

    def __init__(self, display: Display, *, clock: Callable[[], float] = time.monotonic, pause: float = 60.0) -> None:
        self._display, self._clock, self._pause = display, clock, pause
        self._bars: list[_Bar] = []
        self._levels: list[_Level] = []

    @contextmanager
    def bar(self, label: str, total: int, done: int = 0) -> Iterator[Advance]:
        """Open a bar; its note also says when the whole will be done, where that can be told."""
        bar = _Bar(label, total, done, done)
        for level in self._levels:
            if level.current >= 0 and level.bars_before == len(self._bars) and bar.share(done):
                level.before[level.names[level.current]] = bar.share(done)
        self._bars.append(bar)
        try:
            with self._display.bar(label, total, done) as advance:

                def count(steps: int, note: str) -> None:
                    bar.done += steps
                    advance(steps, ", ".join(filter(None, (note, self._left_in_all()))))

                yield count
        finally:
            self._bars.remove(bar)

    def note(self, text: str) -> None:
        """Show a line, and write it into the log."""
        self._display.note(text)
        warned = text.startswith(_WARNING)
        _log.log(logging.WARNING if warned else logging.INFO, "%s", text.removeprefix(_WARNING))

    @contextmanager
    def phases(self, *names: str) -> Iterator[Phases]:
        """Open phases; the outermost start the signs of life."""
        level = _Level(names, self._clock(), len(self._bars))
        self._levels.append(level)
        try:
            if len(self._levels) > 1:
                yield _OfLevel(self, level)
            else:
                with self._signs_of_life():
                    yield _OfLevel(self, level)
        finally:
            self._end_phase(level)
            self._levels.remove(level)

    def begin(self, level: _Level, name: str) -> None:
        """Begin a phase of a level, and say so.

        Raises:
            ValueError: It has no phase of that name.
        """
        if name not in level.names:
            raise ValueError(f"no phase is called {name}")
        self._end_phase(level)
        level.current, level.since = level.names.index(name), self._clock()
        self._display.note("  " * self._levels.index(level) + level.heading + self._time_in_words(level))
        _log.info("%s", level.heading)

    def where(self) -> str:
        """Say in one line how far things are: the phases, the outermost bar and the one that moves, the time."""
        begun = [level for level in self._levels if level.current >= 0]
        bars = self._bars[begun[-1].bars_before :] if begun else self._bars
        parts = [level.heading for level in begun] + [str(bar) for bar in (*bars[:1], *bars[1:][-1:])]
        timed = next((level for level in begun if self._left(level) is not None), begun[0] if begun else None)
        return ", ".join(parts) + (self._time_in_words(timed) if timed else "")

    def _end_phase(self, level: _Level) -> None:
        if level.current >= 0:
            seconds = self._clock() - level.since
            level.seconds[level.names[level.current]] = seconds
            _log.info("%d of %d took %.1f s", level.current + 1, len(level.names), seconds)

    def _left(self, level: _Level) -> float | None:
        if level.current < 0:
            return None
        bars = self._bars[level.bars_before :]
        return level.left(self._clock(), bars[0].share(bars[0].done) if bars else 0.0)

    def _left_in_all(self) -> str:
        """When everything will be done, for the note of a bar; empty where that cannot be told."""
        left = self._left(self._levels[0]) if self._levels else None
        return "" if left is None or left < 1 else f"about {in_time(left)} left in all"

    def _time_in_words(self, level: _Level) -> str:
        passed, left = self._clock() - level.opened, self._left(level)
        words = [] if passed < 1 else [f"{in_time(passed)} so far"]
        words += [] if left is None or left < 1 else [f"about {in_time(left)} left"]
        return f" ({', '.join(words)})" if words else ""

    @contextmanager
    def _signs_of_life(self) -> Iterator[None]:
        """Say once a minute where things are, from a thread: much of what takes long has no moment to say it."""
        ended = threading.Event()

        def say() -> None:
            while not ended.wait(self._pause):
                self.sign()

        thread = threading.Thread(target=say, name="hrembed-signs-of-life", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def sign(self) -> None:
        """Give a sign of life."""
        line = self.where()
        if line:
            self._display.alive(line)
            _log.info("%s", line)


def in_time(seconds: float) -> str:
    """Write a duration as people say it: `40 s`, `12 min`, `1 h 5 min`."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


def quiet_libraries() -> None:
    """Keep the progress bars and warnings of libraries off the terminal, unless the user asked for them."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
