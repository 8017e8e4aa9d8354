"""What `hrembed runs` says; nothing of it is written to a run."""

from __future__ import annotations

from hrembed.records.base import Record


class RunRow(Record):
    """A run in the list, every cell as it is shown.

    Attributes:
        run: Command and id.
        status: `ok`, `failed`, `interrupted` or `started`.
        started: Time in UTC.
        seconds: Duration; empty while it is not known.
        verdict: What the run says came out; `edited` where its numbers are no longer what it wrote.
        models: Names of the models that took part.
    """

    run: str
    status: str
    started: str
    seconds: str
    verdict: str
    models: str


class RunList(Record):
    """All runs, oldest first."""

    runs: tuple[RunRow, ...]


class RunDifferences(Record):
    """In what two runs differ.

    Attributes:
        differences: `Settings`, `Data`, `Models`, `Versions`, `Seeds` or `Numbers` -> rows with one column per run.
    """

    differences: dict[str, list[dict[str, str]]]


class RunPage(Record):
    """The page of a run."""

    run: str
    page: str


class RunPages(Record):
    """All pages that were written, and the index of them."""

    pages: tuple[RunPage, ...]
    index: str
