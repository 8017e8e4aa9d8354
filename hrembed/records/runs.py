"""What `hrembed runs` says; nothing of it is written to a run."""

from __future__ import annotations

from hrembed.records.base import Record


class RunRow(Record):
    """A run in the list, every cell as it is shown.

    Attributes:
        run: Command and id.
        status: `ok`, `failed`, `interrupted`, `started`, or `damaged` where the manifest cannot be read.
        started: Time in UTC.
        seconds: Duration; empty while it is not known.
        verdict: What the run says came out; `edited` where its numbers are no longer what it wrote.
        models: Names of the models that took part.
        registry: What the registry says of the model of a training that ended well; empty for other runs.
    """

    run: str
    status: str
    started: str
    seconds: str
    verdict: str
    models: str
    registry: str


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


class PrunedRun(Record):
    """A run that did not end well.

    Attributes:
        run: Command and id.
        status: `failed`, `interrupted`, `started` or `damaged`.
        started: Time in UTC.
        mb: Size of its folder, in MB (10^6 bytes).
        outcome: `removed`, `would be removed`, or why it is kept.
    """

    run: str
    status: str
    started: str
    mb: float
    outcome: str


class PrunedRuns(Record):
    """All runs that did not end well, oldest first."""

    runs: tuple[PrunedRun, ...]
