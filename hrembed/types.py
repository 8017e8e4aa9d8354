"""Records and aliases shared by all layers; no logic."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.integer[Any]]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Text:
    """A query or a document.

    Attributes:
        id: Unique within its file.
        text: What is embedded; a document's title, where it has one, is already in front.
        group: What the text belongs to (an occupation, a job); empty when unknown.
    """

    id: str
    text: str
    group: str = ""


@dataclass(frozen=True)
class Pair:
    """Two texts that belong together.

    Attributes:
        anchor: The query side.
        positive: A text that is relevant to the anchor.
        group: What both belong to; pairs of one group are never each other's negatives, and never split.
        kind: Name of the pair source, for example `title`; batches hold one kind.
        anchor_id: Names the anchor text; one id never stands for two texts. Empty when unknown.
        positive_id: The same for the positive.
        family: What the group belongs to (a branch, a major group); splits hold every family's share.
    """

    anchor: str
    positive: str
    group: str = ""
    kind: str = "pair"
    anchor_id: str = ""
    positive_id: str = ""
    family: str = ""


@dataclass(frozen=True)
class Task:
    """Queries, documents and graded relevance, in BEIR's sense.

    Attributes:
        name: Folder name and split, for example `ad-profile/test`.
        queries: Only those that the split judges.
        documents: The corpus.
        qrels: Query id to document id to grade; grades of 0 are kept.
    """

    name: str
    queries: tuple[Text, ...]
    documents: tuple[Text, ...]
    qrels: Mapping[str, Mapping[str, int]]


@dataclass(frozen=True)
class Estimate:
    """A number with its uncertainty.

    Attributes:
        value: Point estimate; NaN when undefined.
        low: Lower end of the interval.
        high: Upper end of the interval.
        n: Independent units behind it (queries, clusters, names).
        unit: What was counted, for example `queries`.
    """

    value: float
    low: float
    high: float
    n: int
    unit: str


@dataclass(frozen=True)
class StageResult:
    """What a stage gives back to its caller.

    Attributes:
        run: Run folder, relative to where the command was started where possible.
        status: `ok`, or a verdict such as `pass`.
        metrics: Headline numbers, the content of `metrics.json`.
        tables: What a person wants to read: title to rows of named cells.
        failure: Raised by the command line after the result was shown; None when all limits hold.
    """

    run: str
    status: str
    metrics: Mapping[str, Any]
    tables: Mapping[str, Sequence[Mapping[str, str]]] = field(default_factory=dict)
    failure: Exception | None = None


class Encoder(Protocol):
    """Anything that turns texts into comparable vectors."""

    @property
    def name(self) -> str:
        """Short name for tables."""
        ...

    @property
    def identity(self) -> str:
        """Hash of everything that decides the vectors."""
        ...

    @property
    def source(self) -> str:
        """Where it was read: a folder, or a package with its version."""
        ...

    def similarity(self, queries: Sequence[str], documents: Sequence[str]) -> Floats:
        """Similarity of each query to each document, shape (Q, D), higher is closer."""
        ...
