"""Dense vectors as an encoder: distinct texts once, unit rows, kept in the cache, in memory or on disk."""

from __future__ import annotations

import copy
import hashlib
import tempfile
from contextlib import closing
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, NamedTuple

import numpy as np

from hrembed.errors import ModelError
from hrembed.memory import MB
from hrembed.models.cache import Shelf, text_keys
from hrembed.models.endpoint import Endpoint
from hrembed.models.lexical import LEXICAL_PARTS, added_similarity
from hrembed.models.windows import WeightedSum, Windows, WindowSimilarity
from hrembed.progress import Silent
from hrembed.records.manifest import ModelUse, Scoring
from hrembed.titles import normal_form
from hrembed.types import TokenBackend, TokenParts, WindowBackend

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from hrembed.progress import Advance, Progress
    from hrembed.records.manifest import LexicalKind
    from hrembed.records.usage import EndpointUsage
    from hrembed.types import Backend, Floats, Ints, Side, Similarity, TitleSides

    # From some texts to their rows, one or several a text, and the number of each.
    Embed = Callable[[Sequence[str]], tuple[Floats, Ints]]

_TEXTS_AT_ONCE = 1024  # rows of a file of the cache
_WINDOWED_AT_ONCE = 64  # texts of such a file whose windows are kept: a text has hundreds


class Prompts(NamedTuple):
    """What is put in front of a text; `{instruction}` stands for what the task asks for."""

    query: str = ""
    document: str = ""

    def of(self, side: Side) -> str:
        """What is put in front of the texts of one side."""
        return self.query if side == "query" else self.document


NO_PROMPTS = Prompts()


def normalises(titles: TitleSides, side: Side) -> bool:
    """Whether the job titles of one side are normalised."""
    return titles == "both" or (titles == "queries" and side == "query")


@dataclass(frozen=True)
class DenseSimilarity:
    """Cosine of unit rows.

    Attributes:
        queries: Shape (Q, dim), float32.
        documents: Shape (D, dim), float32, in memory or mapped from a file.
    """

    queries: Floats
    documents: Floats

    @property
    def shape(self) -> tuple[int, int]:
        """Number of queries, number of documents."""
        return len(self.queries), len(self.documents)

    def block(self, queries: slice, documents: slice | Ints) -> Floats:
        """Compute cosines, in [-1, 1] up to rounding."""
        return np.asarray(self.queries[queries] @ self.documents[documents].T)


class NotFiniteError(ModelError):
    """A vector holds NaN or an infinite number."""


class DenseEncoder:
    """A backend with prompts, truncation and a cache around it.

    Args:
        backend: Computes raw vectors.
        name: For tables.
        prompts: In front of queries and of documents.
        titles: Which texts have their job titles normalised, before a prompt stands in front.
        dimensions: Keep the first so many numbers of a vector (Matryoshka); None keeps all.
        cache: Folder of the cache; None computes everything anew.
        memory_mb: Vectors beyond so many MB are mapped from a file beside the cache.
        progress: Receives progress updates.
        use: How the backend embeds, with the prompts that stand in the model; None where that is not known.
        scoring: How `similarity` compares; `vectors` are those of whole texts all the same.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        name: str,
        prompts: Prompts = NO_PROMPTS,
        titles: TitleSides = "none",
        dimensions: int | None = None,
        cache: Path | None = None,
        memory_mb: int = 4096,
        progress: Progress | None = None,
        use: ModelUse | None = None,
        scoring: Scoring | None = None,
    ) -> None:
        self._use = use or ModelUse()
        self._backend = backend
        self._scoring = scoring or Scoring()
        self._prompts = prompts
        self._titles = titles
        self._dimensions = dimensions
        self._cache = cache
        self._memory = memory_mb * MB
        self._progress = progress or Silent()
        self.name = name

    def without_cache(self) -> DenseEncoder:
        """The same model, which keeps no vectors: for pieces of texts, under whose keys nobody would look for them."""
        twin = copy.copy(self)
        twin._cache = None
        return twin

    @property
    def identity(self) -> str:
        """Hash of the backend, the prompts, the truncation, whether titles are normalised, and the scoring."""
        decides: tuple[object, ...] = (self._backend.identity, tuple(self._prompts), self._dimensions)
        if self._titles != "none":
            decides += (f"titles {self._titles}",)
        scoring = self._scoring
        if scoring.windows:
            decides += ("windows", scoring.windows, scoring.side)
        if scoring.lexical:
            decides += ("lexical", scoring.lexical, LEXICAL_PARTS[scoring.lexical_kind]().identity)
        return hashlib.sha256(repr(decides).encode("utf-8", "surrogatepass")).hexdigest()

    @property
    def source(self) -> str:
        """Where the backend was read."""
        return self._backend.source

    @property
    def use(self) -> ModelUse:
        """Prompts, pooling, titles and scoring; the prompts of the config come before those of the model."""
        prompts = {"query_prompt": self._prompts.query, "document_prompt": self._prompts.document}
        used = {name: prompt for name, prompt in prompts.items() if prompt}
        return self._use.model_copy(
            update={**used, "normalised_titles": self._titles, "scoring": self.scoring},
        )

    @property
    def scoring(self) -> Scoring | None:
        """How texts are compared; None for the cosine of whole vectors."""
        return self._scoring if self._scoring.windows or self._scoring.lexical else None

    @property
    def usage(self) -> EndpointUsage | None:
        """What an endpoint counted: requests, tokens, cost; None for models that run here."""
        return self._backend.usage if isinstance(self._backend, Endpoint) else None

    def similarity(self, queries: Sequence[str], documents: Sequence[str], *, instruction: str = "") -> Similarity:
        """Compare by the cosine of whole vectors or of the best window, and by what is added to it.

        Raises:
            ModelError: A vector cannot be had, or is not finite.
        """
        scoring = self._scoring
        of_documents = scoring.side == "document"
        similarity: Similarity
        if not scoring.windows:
            similarity = DenseSimilarity(
                self.vectors(queries, "query", instruction=instruction),
                self.vectors(documents, "document", instruction=instruction),
            )
        elif of_documents:
            windows = self.windows(documents, "document", scoring.windows, instruction=instruction)
            vectors = self.vectors(queries, "query", instruction=instruction)
            similarity = WindowSimilarity(windows, vectors, of_documents=True)
        else:
            windows = self.windows(queries, "query", scoring.windows, instruction=instruction)
            similarity = WindowSimilarity(windows, self.vectors(documents, "document", instruction=instruction))
        if not scoring.lexical:
            return similarity
        lexical = self.lexical_similarity(queries, documents, scoring.lexical_kind)
        return WeightedSum(similarity, lexical, scoring.lexical)

    def lexical_similarity(self, queries: Sequence[str], documents: Sequence[str], kind: LexicalKind) -> Similarity:
        """Compare the letters or words of texts, as the model sees them but for its prompts."""
        return added_similarity(kind, self._seen(queries, "query"), self._seen(documents, "document"))

    def vectors(self, texts: Sequence[str], side: Side, *, instruction: str = "") -> Floats:
        """Embed texts as unit rows, shape (n, dim), float32; each distinct text is computed once.

        A vector of zeros (a static model that knows no word of the text) stays as it is: its cosine is 0 to all.

        Raises:
            ModelError: A vector cannot be had, is not finite, or is shorter than `dimensions`.
        """
        prompt = self._prompts.of(side).replace("{instruction}", instruction)
        texts = self._seen(texts, side)
        number = {text: n for n, text in enumerate(dict.fromkeys(texts))}
        distinct = list(number)
        order = np.array([number[text] for text in texts], dtype=np.int64)
        rows: Floats | None = None

        def embed(texts: Sequence[str]) -> tuple[Floats, Ints]:
            return self._backend.embed(texts, side, prompt), np.ones(len(texts), dtype=np.int64)

        for places, vectors in self._parts(distinct, self._shelf(side, prompt), embed, side):
            if rows is None:
                rows = self._room(len(distinct), min(self._dimensions or vectors.shape[1], vectors.shape[1]))
            part = self._cut(vectors)
            if part.shape[1] != rows.shape[1]:
                raise ModelError(
                    f"model '{self.name}' returned vectors of different dimensions: {rows.shape[1]} and {part.shape[1]}"
                )
            rows[places] = part
        if rows is None:
            return np.zeros((0, self._dimensions or 0), dtype=np.float32)
        return rows if len(distinct) == len(texts) else self._spread(rows, order)

    def windows(self, texts: Sequence[str], side: Side, widths: tuple[int, ...], *, instruction: str = "") -> Windows:
        """Embed all windows of so many tokens in texts; each distinct text is computed once.

        Raises:
            ModelError: As `vectors`, or the model gives vectors of whole texts only.
        """
        backend = self._backend
        if not isinstance(backend, WindowBackend):
            raise ModelError(
                f"model '{self.name}' returns one vector per text, so token windows are not available",
                hint="remove `score.windows`; `score.lexical` works with any model",
            )
        prompt = self._prompts.of(side).replace("{instruction}", instruction)
        texts = self._seen(texts, side)
        number = {text: n for n, text in enumerate(dict.fromkeys(texts))}
        order = np.array([number[text] for text in texts], dtype=np.int64)
        starts, counts = (np.zeros(len(number), dtype=np.int64) for _ in range(2))
        shelf = self._shelf(side, prompt, f" windows {widths}")

        def embed(texts: Sequence[str]) -> tuple[Floats, Ints]:
            return backend.embed_windows(texts, side, prompt, widths)

        with closing(_Rows(self._memory, self._cache)) as rows:
            for places, vectors in self._parts(list(number), shelf, embed, side, at_once=_WINDOWED_AT_ONCE):
                of_texts, first, found = np.unique(places, return_index=True, return_counts=True)
                starts[of_texts], counts[of_texts] = rows.count + first, found
                rows.add(self._cut(vectors))
            return Windows(rows.whole(), starts[order], counts[order])

    def token_parts(self, texts: Sequence[str], side: Side, *, instruction: str = "") -> list[TokenParts] | None:
        """Take the unit vectors of texts apart: the parts of a text add up to its row of `vectors`.

        Returns:
            Parts of each text; None where the model gives whole vectors only, adds up something else than its tokens,
            or is not given the text as it is (`normalise_titles`).

        Raises:
            ModelError: As `vectors`.
        """
        backend = self._backend
        if not isinstance(backend, TokenBackend) or normalises(self._titles, side):
            return None
        prompt = self._prompts.of(side).replace("{instruction}", instruction)
        whole: list[TokenParts] = []
        for left in range(0, len(texts), backend.batch_size):
            parts = backend.token_parts(texts[left : left + backend.batch_size], side, prompt)
            if parts is None:
                return None
            whole += [_unit_sum(part, self._dimensions) for part in parts]
        return whole

    def _seen(self, texts: Sequence[str], side: Side) -> Sequence[str]:
        """What the model sees of texts: with their job titles normalised, where that is asked for."""
        return [normal_form(text) for text in texts] if normalises(self._titles, side) else texts

    def _shelf(self, side: Side, prompt: str, of: str = "") -> Shelf | None:
        """Where vectors are kept, None when they are not; `of` tells those that are not of whole texts."""
        return None if self._cache is None else Shelf(self._cache, self._backend.identity + of, side, prompt)

    def _parts(
        self, texts: list[str], shelf: Shelf | None, embed: Embed, side: Side, *, at_once: int = _TEXTS_AT_ONCE
    ) -> Iterator[tuple[Ints, Floats]]:
        """Yield the position of each row and unit rows, not truncated: what the cache holds, then what is computed."""
        if shelf is None:
            yield from self._computed(texts, np.arange(len(texts)), embed, side, at_once)
            return
        keys = text_keys(texts)
        held = shelf.find(keys)
        yield from shelf.read(held)
        for places, vectors in self._computed(texts, np.flatnonzero(held.file < 0), embed, side, at_once):
            shelf.add(keys[places], vectors)
            yield places, vectors

    def _computed(
        self, texts: list[str], places: Ints, embed: Embed, side: Side, at_once: int
    ) -> Iterator[tuple[Ints, Floats]]:
        """Embed the texts at these places, the longest first: batches are of one length, and a lack of memory shows."""
        places = places[np.argsort([-len(texts[n]) for n in places], kind="stable")]
        if not len(places):
            return
        with self._progress.bar(f"{self.name}: {side} vectors", len(places)) as advance:
            for start in range(0, len(places), at_once):
                yield from self._part(texts, places[start : start + at_once], embed, advance)

    def _part(self, texts: list[str], places: Ints, embed: Embed, advance: Advance) -> Iterator[tuple[Ints, Floats]]:
        """Embed one file's worth of texts; when it breaks off, what is done so far is handed over first."""
        done: list[Floats] = []
        counts: list[Ints] = []
        failure: BaseException | None = None
        for left in range(0, len(places), self._backend.batch_size):
            batch = [texts[n] for n in places[left : left + self._backend.batch_size]]
            try:
                vectors, count = embed(batch)
                done.append(self._unit(vectors))
            except BaseException as err:
                failure = err
                break
            counts.append(count)
            advance(len(batch), "")
        if done:
            of_texts = np.concatenate(counts)
            yield np.repeat(places[: len(of_texts)], of_texts), np.concatenate(done)
        if failure is not None:
            raise failure

    def _unit(self, vectors: Floats) -> Floats:
        bad = int((~np.isfinite(vectors)).any(axis=1).sum())
        if bad:
            raise NotFiniteError(
                f"model '{self.name}' returned NaN or infinite values for {bad} of {len(vectors)} texts"
            )
        return unit_rows(vectors)

    def _cut(self, vectors: Floats) -> Floats:
        if self._dimensions is None or self._dimensions == vectors.shape[1]:
            return vectors
        if self._dimensions > vectors.shape[1]:
            raise ModelError(
                f"model '{self.name}' has {vectors.shape[1]} dimensions, fewer than `dimensions: {self._dimensions}`"
            )
        return unit_rows(vectors[:, : self._dimensions])

    def _room(self, rows: int, dim: int) -> Floats:
        """Make an array, in a file that vanishes with it when it is large."""
        if rows * dim * 4 <= self._memory or self._cache is None:
            return np.empty((rows, dim), dtype=np.float32)
        self._cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=self._cache) as file:
            return np.memmap(file, dtype=np.float32, mode="w+", shape=(rows, dim))

    def _spread(self, distinct: Floats, order: Ints) -> Floats:
        rows = self._room(len(order), distinct.shape[1])
        for start in range(0, len(order), _TEXTS_AT_ONCE):
            part = slice(start, start + _TEXTS_AT_ONCE)
            rows[part] = distinct[order[part]]
        return rows


def _unit_sum(parts: TokenParts, dimensions: int | None) -> TokenParts:
    """Cut vectors as those of whole texts are cut, and divide them by the length of their sum."""
    vectors = np.asarray(parts.vectors[:, :dimensions], dtype=np.float64)
    length = np.linalg.norm(vectors.sum(axis=0))
    return TokenParts(vectors / (length if length > 0 else 1), parts.spans)


class _Rows:
    """Rows of a number that is not known beforehand, in a file that vanishes with them when they are many."""

    def __init__(self, memory: int, folder: Path | None) -> None:
        self._memory = memory
        self._folder = folder
        self._parts: list[Floats] = []
        self._file: IO[bytes] | None = None
        self._dim = 0
        self.count = 0

    def add(self, rows: Floats) -> None:
        self.count += len(rows)
        self._dim = rows.shape[1]
        self._parts.append(rows)
        if self._file is None and self._folder is not None and self.count * self._dim * 4 > self._memory:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115, `close` closes it
        if self._file is not None:
            for part in self._parts:
                np.ascontiguousarray(part, dtype=np.float32).tofile(self._file)
            self._parts = []

    def whole(self) -> Floats:
        if self._file is None:
            return np.concatenate(self._parts) if self._parts else np.zeros((0, 0), dtype=np.float32)
        self._file.flush()
        return np.memmap(self._file, dtype=np.float32, mode="r", shape=(self.count, self._dim))

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def unit_rows(vectors: Floats) -> Floats:
    """Divide each row by its length, as float32; a row of zeros stays.

    Squares of numbers above 1e19 or below 1e-19 have no place in float32: such rows are scaled first.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        rows = np.array(vectors, dtype=np.float32)
        length = np.linalg.norm(rows, axis=1, keepdims=True)
        extreme = ~np.isfinite(length[:, 0]) | (length[:, 0] < _SHORT)
        extreme[extreme] = np.any(vectors[extreme] != 0, axis=1)
        if extreme.any():
            exact = np.asarray(vectors[extreme], dtype=np.float64)
            rows[extreme] = exact / np.abs(exact).max(axis=1, keepdims=True)
            length[extreme] = np.linalg.norm(rows[extreme], axis=1, keepdims=True)
    return np.asarray(rows / np.where(length > 0, length, 1))


_SHORT = 1e-17
