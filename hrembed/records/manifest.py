"""What `manifest.json` holds: what was run, on what, and what came of it."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from hrembed.records.base import Number, Record
from hrembed.records.tables import TableUse
from hrembed.types import Side, TitleSides

LexicalKind = Literal["char-tfidf", "bm25"]
Status = Literal["started", "ok", "failed", "interrupted"]


class InputEntry(Record):
    """A file, a folder or a data set that a run read.

    Attributes:
        path: Where it was read.
        sha256: Hash of its content.
    """

    path: str
    sha256: str


class ScoringTrial(Record):
    """A way to score, on the dev task.

    Attributes:
        windows: Tokens of a window; empty for whole vectors.
        lexical: Weight of the lexical part.
        mean: Mean of the metric over the queries.
    """

    windows: tuple[int, ...]
    lexical: float
    mean: Number


class ScoringChoice(Record):
    """Why a system scores as it does.

    Attributes:
        task: Name of the dev task.
        metric: What was compared on it.
        queries: Queries with a defined value.
        tried: Every way that was tried, the simplest first.
    """

    task: str
    metric: str
    queries: int
    tried: tuple[ScoringTrial, ...]


class Scoring(Record):
    """How a system compares a query with a document, beyond the cosine of two whole vectors.

    Attributes:
        windows: Tokens of a window of a text, of which the best counts; empty for whole vectors.
        side: Whose texts are divided into windows.
        lexical: Weight of the lexical part, which is added to the cosine; 0 for none.
        lexical_kind: What that part is.
        choice: How it was chosen; null where the config says it.
    """

    windows: tuple[int, ...] = ()
    side: Side = "query"
    lexical: float = 0.0
    lexical_kind: LexicalKind = "char-tfidf"
    choice: ScoringChoice | None = None

    @property
    def in_words(self) -> str:
        """Say it in a table."""
        widths = " and ".join(map(str, self.windows))
        cosine = f"best window of {widths} tokens of each {self.side}" if self.windows else "whole vectors"
        return f"{cosine} + {self.lexical:g} {self.lexical_kind}" if self.lexical else cosine


class ModelUse(Record):
    """How a model was used; null where that is not known, as behind an endpoint.

    Attributes:
        query_prompt: What was put in front of queries, from the config or else from the model.
        document_prompt: The same for documents.
        pooling: How token vectors became one vector of a text.
        adapter_base: Folder of the weights below an adapter.
        normalised_titles: Which texts had their job titles normalised, as the config or else the model says.
        scoring: How texts are compared; null for the cosine of whole vectors.
    """

    query_prompt: str | None = None
    document_prompt: str | None = None
    pooling: str | None = None
    adapter_base: str | None = None
    normalised_titles: TitleSides | None = None
    scoring: Scoring | None = None


class ModelEntry(ModelUse):
    """A model that took part in a run.

    Attributes:
        identity: Hash of everything that decides its vectors.
        source: Where it was read: a folder, or a package with its version.
    """

    identity: str
    source: str


class Attribution(Record):
    """Whom the outputs of a run must credit.

    Attributes:
        name: Name of the data.
        licence: Its licence.
        attribution: The sentence that must go with everything made from it.
        url: Where it comes from.
    """

    name: str
    licence: str
    attribution: str
    url: str


class Machine(Record):
    """The machine of a run.

    Attributes:
        platform: Operating system with its version.
        machine: Kind of processor.
        cores: Usable cores; null where the system does not say.
    """

    platform: str = ""
    machine: str = ""
    cores: int | None = None


class GitState(Record):
    """The repository of the working directory, which is the user's project and not hrembed's own code.

    Attributes:
        commit: Commit that is checked out.
        dirty: Whether tracked files were changed since.
    """

    commit: str
    dirty: bool


class Manifest(Record):
    """The manifest of a run; it is filled in while the run is open.

    Attributes:
        format: Number of this format.
        command: Name of the command.
        status: `started` until the run ends.
        error: Why it did not end well; null otherwise.
        started: Time in UTC.
        resumed: Times at which the run went on after it had been interrupted.
        seeds: All seeds, by name.
        versions: Versions of Python, hrembed and what decides its numbers.
        machine: What it ran on.
        working_directory_git: State of the user's repository; null outside of one.
        processes: Processes of a distributed training; null otherwise.
        threads: Threads of torch, on which the last digits of its sums depend; null where it did not take part.
        inputs: Name -> what was read.
        tables: Path of each table that was read row by row -> which of its columns were used, which were not.
        outputs: Path inside the run folder -> SHA-256 of the file.
        models: Name -> model.
        attributions: Credits that the outputs must carry.
        conclusion: What was found and what comes next, in sentences; a command to copy is an indented line.
        seconds: Duration; null while the run is open.
        peak_memory_mb: Peak memory of the process, MB; null while the run is open.
    """

    model_config = ConfigDict(frozen=False, extra="ignore")

    format: int = 1
    command: str = ""
    status: Status = "started"
    error: str | None = None
    started: str = ""
    resumed: list[str] = Field(default_factory=list)
    seeds: dict[str, int] = Field(default_factory=dict)
    versions: dict[str, str] = Field(default_factory=dict)
    machine: Machine = Machine()
    working_directory_git: GitState | None = None
    processes: int | None = None
    threads: int | None = None
    inputs: dict[str, InputEntry] = Field(default_factory=dict)
    tables: dict[str, TableUse] = Field(default_factory=dict)
    outputs: dict[str, str] = Field(default_factory=dict)
    models: dict[str, ModelEntry] = Field(default_factory=dict)
    attributions: list[Attribution] = Field(default_factory=list)
    conclusion: list[str] = Field(default_factory=list)
    seconds: Number = float("nan")
    peak_memory_mb: Number = float("nan")
