"""Records and aliases shared by all layers; no logic."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Literal, NamedTuple, Protocol, TypeVar, runtime_checkable

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    # Line and cells of each row of a small table.
    TextRows = Sequence[tuple[int, Mapping[str, str]]]

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.integer[Any]]
Bools = npt.NDArray[np.bool_]
Side = Literal["query", "document"]
TitleSides = Literal["none", "queries", "both"]
"""Which texts have their job titles normalised before they are embedded."""


@dataclass(frozen=True)
class Text:
    """A query or a document.

    Attributes:
        id: Unique within its file.
        text: What is embedded; a document's title, where it has one, is already in front.
        group: What the text belongs to (an occupation, a job); empty when unknown.
        fields: What else its row says, for slices: field name to value.
    """

    id: str
    text: str
    group: str = ""
    fields: Mapping[str, str] = field(default_factory=dict, compare=False)


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
        negatives: Texts that look relevant to the anchor and are not.
    """

    anchor: str
    positive: str
    group: str = ""
    kind: str = "pair"
    anchor_id: str = ""
    positive_id: str = ""
    family: str = ""
    negatives: tuple[str, ...] = ()


@dataclass(frozen=True)
class Task:
    """Queries, documents and graded relevance, in BEIR's sense.

    Attributes:
        name: Folder name and split, for example `ad-profile/test`.
        queries: Only those that the split judges.
        documents: The corpus.
        qrels: Query id to document id to grade; grades of 0 are kept. A query may have no relevant document: its scores
            are undefined, and counted as such.
        candidates: Reranking: query id to the ids of the only documents that are ranked for it; None ranks all.
        instruction: What a query asks for, put where a model's prompt says `{instruction}`.
        excluded: Ids of queries that are documents as well; such a document is not ranked for its own query.
        warnings: What a reader of its scores must know.
    """

    name: str
    queries: tuple[Text, ...]
    documents: tuple[Text, ...]
    qrels: Mapping[str, Mapping[str, int]]
    candidates: Mapping[str, tuple[str, ...]] | None = None
    instruction: str = ""
    excluded: frozenset[str] = frozenset()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class PairTask:
    """Pairs of texts with a similarity that people gave them.

    Attributes:
        name: For tables, for example `similar/test`.
        first: One text of each pair.
        second: The other, as many.
        scores: What people said, shape (n,), on any scale, higher is more alike.
        instruction: As in `Task`.
        warnings: As in `Task`.
    """

    name: str
    first: tuple[Text, ...]
    second: tuple[Text, ...]
    scores: Floats
    instruction: str = ""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class LabelTask:
    """Texts with a label each.

    Attributes:
        name: For tables, for example `bias-language/test`.
        goal: What is done with the labels: `classification` learns them, `clustering` finds them again.
        texts: What is embedded.
        labels: One for each text.
        train: Which texts a classifier may learn from, shape (n,), the others are scored; None where there is no such
            division and groups are held out in turn. Clustering uses all.
        instruction: As in `Task`.
        warnings: As in `Task`.
    """

    name: str
    goal: Literal["classification", "clustering"]
    texts: tuple[Text, ...]
    labels: tuple[str, ...]
    train: Bools | None = None
    instruction: str = ""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Estimate:
    """A number with its uncertainty.

    Attributes:
        value: Point estimate; NaN when undefined.
        low: Lower end of the interval.
        high: Upper end of the interval.
        n: Independent units behind it (queries, clusters, names).
        unit: What was counted, for example `queries`.
        undefined: Items without a value, which are left out.
    """

    value: float
    low: float
    high: float
    n: int
    unit: str
    undefined: int = 0


R_co = TypeVar("R_co", covariant=True)


@dataclass(frozen=True)
class CommandResult(Generic[R_co]):
    """What a command gives back to its caller.

    Attributes:
        run: Run folder, relative to where the command was started where possible.
        status: `ok`, or a verdict such as `pass`.
        metrics: Record of the command: what it says, the content of `metrics.json`.
        tables: What a person wants to read: title to rows of named cells.
        failure: Raised by the command line after the result was shown; None when all limits hold.
        notice: What belongs below the tables, in lines: what was found, then what to do next; empty for none.
        details: How titles of tables begin that the command line shows with `--verbose` only.
    """

    run: str
    status: str
    metrics: R_co
    tables: Mapping[str, Sequence[Mapping[str, str]]] = field(default_factory=dict)
    failure: Exception | None = None
    notice: str = ""
    details: tuple[str, ...] = ()


class Ranking(NamedTuple):
    """The documents that stand first for each query.

    Attributes:
        documents: Position in `Task.documents` by rank, shape (Q, K); -1 where nothing more was ranked.
        scores: Similarity by rank, shape (Q, K), falling; -inf where nothing more was ranked.
    """

    documents: Ints
    scores: Floats


class Similarity(Protocol):
    """The similarity of every query to every document, computed where it is asked for; higher is closer."""

    @property
    def shape(self) -> tuple[int, int]:
        """Number of queries, number of documents."""
        ...

    def block(self, queries: slice, documents: slice | Ints) -> Floats:
        """Compute a part of the matrix, shape (queries, documents), float32, finite."""
        ...


class Encoder(Protocol):
    """Anything that says how close a query and a document are."""

    @property
    def name(self) -> str:
        """Short name for tables."""
        ...

    @property
    def identity(self) -> str:
        """Hash of everything that decides the scores."""
        ...

    @property
    def source(self) -> str:
        """Where it was read: a folder, or a package with its version."""
        ...

    def similarity(self, queries: Sequence[str], documents: Sequence[str], *, instruction: str = "") -> Similarity:
        """Compare each query with each document."""
        ...

    def vectors(self, texts: Sequence[str], side: Side, *, instruction: str = "") -> Any:
        """One row a text, shape (n, dim): a float32 array of unit rows, or a SciPy sparse matrix.

        Raises:
            ModelError: It has none (BM25).
        """
        ...


@runtime_checkable
class TaskRanker(Protocol):
    """A search that holds its documents, and ranks them as whoever deployed it has set it up."""

    def rank(self, task: Task, depth: int) -> Ranking:
        """Rank the documents of a task, at most `depth` for each query.

        Raises:
            DataError: It holds others.
            ModelError: A query cannot be embedded.
        """
        ...


class Backend(Protocol):
    """What computes dense vectors: a transformer, a table of word vectors, an endpoint."""

    @property
    def identity(self) -> str:
        """Hash of everything that decides the vectors of a text but its prompt."""
        ...

    @property
    def source(self) -> str:
        """Where it was read."""
        ...

    @property
    def batch_size(self) -> int:
        """Texts given to `embed` at once."""
        ...

    def embed(self, texts: Sequence[str], side: Side, prompt: str) -> Floats:
        """Embed at most `batch_size` texts with a prompt in front, shape (n, dim), not yet of unit length.

        An empty prompt means the model's own for this side, where it has one.

        Raises:
            ModelError: The vectors cannot be had, all or none.
        """
        ...


@runtime_checkable
class WindowBackend(Backend, Protocol):
    """A backend that knows the tokens of a text, not only its vector."""

    def embed_windows(
        self, texts: Sequence[str], side: Side, prompt: str, widths: Sequence[int]
    ) -> tuple[Floats, Ints]:
        """Embed every window of neighbouring tokens of at most `batch_size` texts, each text in one pass.

        A window is the mean of its tokens, gone through what follows the pooling. Special tokens and those of the
        prompt stand in no window. Where a text has fewer tokens than a width, its whole vector takes the place.

        Args:
            texts: One or more.
            side: As in `embed`.
            prompt: As in `embed`.
            widths: Tokens of a window, one width or several.

        Returns:
            Windows text after text, shape (windows, dim), not yet of unit length; windows of each text, shape (n,).

        Raises:
            ModelError: The vectors cannot be had, all or none.
        """
        ...


class TokenParts(NamedTuple):
    """A text's vector as a sum: what each token adds to it, where nothing but sums and factors follows the tokens.

    Attributes:
        vectors: Shape (parts, dim); their sum is a multiple of the text's vector.
        spans: Characters of the text that each part stands for, shape (parts, 2); -1 for what stands for none, such as
            special tokens and the prompt.
    """

    vectors: Floats
    spans: Ints


@runtime_checkable
class TokenBackend(Backend, Protocol):
    """A backend that can say what each token adds to the vector of a text."""

    def token_parts(self, texts: Sequence[str], side: Side, prompt: str) -> list[TokenParts] | None:
        """Take the vectors of at most `batch_size` texts apart; None where the model adds up something else.

        Raises:
            ModelError: The vectors cannot be had.
        """
        ...
