"""What a model takes on this machine: measured in a process of its own, so that its memory is its own."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hrembed.config.compare import LoadSection
from hrembed.config.parts import ModelSection
from hrembed.memory import MB, peak_memory_mb
from hrembed.metrics.scaling import Curve, fit_growth, transformer_flops
from hrembed.models.lexical import SparseSimilarity
from hrembed.models.refs import parse_ref
from hrembed.models.static import is_model2vec
from hrembed.models.tokenizer import open_tokenizer
from hrembed.records.base import Record
from hrembed.records.compare import EmbeddingTimes, ModelCost, SizeCost
from hrembed.runs.workspace import Workspace
from hrembed.scoring.encoders import model_folder, open_encoder
from hrembed.scoring.fresh_process import run_in_fresh_process
from hrembed.scoring.latency import cycle, milliseconds, model_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hrembed.types import Encoder, Floats

_PARTS = (0.25, 0.5, 1.0)
_TOP = 10


class CostRequest(Record):
    """What is measured.

    Attributes:
        section: The model.
        runs_dir: Folder of all runs.
        queries: Texts as they are asked.
        documents: Texts as they are searched.
        load: How much is measured.
    """

    section: ModelSection
    runs_dir: Path
    queries: tuple[str, ...]
    documents: tuple[str, ...]
    load: LoadSection


def measure_cost(request: CostRequest) -> ModelCost:
    """Measure a model in a process of its own.

    Raises:
        ModelError: The process failed; the message holds its last line.
    """
    failure = f"cannot measure '{request.section.ref}'"
    return run_in_fresh_process(measure_cost_here, request, ModelCost, failure=failure).record


def measure_cost_here(request: CostRequest) -> ModelCost:
    """Measure a model in this process."""
    section, runs_dir = request.section, request.runs_dir
    encoder = open_encoder(section, Workspace(runs_dir))
    measure = _dense if parse_ref(section.ref).embeds_texts else _lexical
    times = measure(encoder, request.queries, request.documents, request.load)
    folder = _transformer(section, runs_dir)
    tokens = None if folder is None else _tokens(folder, section.max_tokens, request.queries, request.documents)
    return ModelCost(
        dimensions=times.dimensions,
        load_seconds=times.load_seconds,
        query_ms=times.query_ms.tolist(),
        document_ms=None if times.document_ms is None else times.document_ms.tolist(),
        texts_per_second=times.texts_per_second,
        peak_memory_mb=times.peak_memory_mb,
        embedding=times.embedding,
        growth=times.growth.sizes,
        search_exponent=times.growth.exponent,
        query_tokens=None if tokens is None else tokens.query,
        document_tokens=None if tokens is None else tokens.document,
        document_flops=None if tokens is None else tokens.document_flops,
        model_bytes=model_bytes(section, runs_dir),
        load=_load(),
    )


class _Growth(NamedTuple):
    """What each number of documents takes, and the exponent of the search time."""

    sizes: tuple[SizeCost, ...]
    exponent: float


class _Times(NamedTuple):
    """What was timed, as in `ModelCost`."""

    dimensions: int | None
    load_seconds: float
    query_ms: Floats
    document_ms: Floats | None
    texts_per_second: float
    peak_memory_mb: float
    embedding: EmbeddingTimes | None
    growth: _Growth


def _dense(encoder: Encoder, queries: Sequence[str], documents: Sequence[str], load: LoadSection) -> _Times:
    started = time.perf_counter()
    width = int(encoder.vectors(["text"], "query").shape[1])
    load_seconds = time.perf_counter() - started
    query_ms = milliseconds([encoder], cycle(queries, load.texts), "query")[0]
    document_ms = milliseconds([encoder], cycle(documents, load.texts), "document")[0]
    texts = cycle(documents, load.batch)
    sizes, seconds = [int(part * load.batch) for part in _PARTS], []
    for size in sizes:
        started = time.perf_counter()
        encoder.vectors(texts[:size], "document")
        seconds.append(time.perf_counter() - started)
    # No text waits for another, so the time is a straight line through zero; its slope weighs the longer times.
    slope = float(np.dot(sizes, seconds) / np.dot(sizes, sizes))
    peak = peak_memory_mb()  # before indexes of many documents are built
    growth = _grow(
        load,
        lambda size: _search_ms(size, width),
        lambda size: size * width * 4 / MB,
        lambda size: (slope * size, size <= load.batch),
    )
    embedding = EmbeddingTimes(sizes=tuple(sizes), seconds=tuple(seconds))
    return _Times(width, load_seconds, query_ms, document_ms, 1 / slope, peak, embedding, growth)


def _search_ms(size: int, width: int) -> float:
    """Median milliseconds to find the first ten of random unit vectors, one query at a time."""
    rng = np.random.default_rng(size)
    index = np.empty((size, width), dtype=np.float32)
    for start in range(0, size, 10_000):
        part = rng.standard_normal((min(10_000, size - start), width), dtype=np.float32)
        index[start : start + len(part)] = part / np.linalg.norm(part, axis=1, keepdims=True)
    took = []
    for _ in range(5):
        query = rng.standard_normal(width, dtype=np.float32)
        started = time.perf_counter()
        scores = index @ query
        np.argpartition(scores, -_TOP)[-_TOP:]
        took.append((time.perf_counter() - started) * 1000)
    return float(np.median(took))


def _lexical(encoder: Encoder, queries: Sequence[str], documents: Sequence[str], load: LoadSection) -> _Times:
    asked = cycle(queries, load.texts)
    build_seconds: dict[int, float] = {}
    index_mb: dict[int, float] = {}

    def search(size: int, texts: Sequence[str] = ()) -> Floats:
        started = time.perf_counter()
        similarity = encoder.similarity(asked, texts or cycle(documents, size))
        build_seconds[size] = time.perf_counter() - started
        if not isinstance(similarity, SparseSimilarity):
            raise TypeError(f"'{encoder.name}' is not a lexical model")
        index = similarity.documents
        index_mb[size] = (index.data.nbytes + index.indices.nbytes + index.indptr.nbytes) / MB
        took = []
        for place in range(len(asked)):
            started = time.perf_counter()
            scores = similarity.block(slice(place, place + 1), slice(None))[0]
            np.argpartition(scores, -_TOP)[-_TOP:]
            took.append((time.perf_counter() - started) * 1000)
        return np.array(took)

    query_ms = search(len(documents), list(documents)) if len(documents) > _TOP else search(max(load.sizes[0], 100))
    peak = peak_memory_mb()
    sizes: list[int] = []

    def median(size: int) -> float:
        sizes.append(size)
        return float(np.median(search(size)))

    def seconds_at(size: int) -> tuple[float, bool]:
        if size in build_seconds:
            return build_seconds[size], True
        return fit_growth(sizes, [build_seconds[known] for known in sizes]).at(size), False

    growth = _grow(load, median, lambda size: _index_mb(size, sizes, index_mb), seconds_at)
    texts_per_second = sizes[-1] / build_seconds[sizes[-1]]
    return _Times(None, 0.0, query_ms, None, texts_per_second, peak, None, growth)


def _index_mb(size: int, sizes: Sequence[int], measured: dict[int, float]) -> float:
    if size in measured:
        return measured[size]
    return fit_growth(sizes, [measured[known] for known in sizes]).at(size) if len(sizes) > 1 else 0.0


def _grow(
    load: LoadSection,
    search_ms: Callable[[int], float],
    index_mb: Callable[[int], float],
    embed_seconds: Callable[[int], tuple[float, bool]],
) -> _Growth:
    """Measure searches at each size that fits into memory and time, and extrapolate the others from a fitted curve."""
    measured: dict[int, float] = {}
    curve, took = Curve(0.0, 1.0), 0.0
    sizes = []
    for size in load.sizes:
        longer = took * size / max(measured, default=size)
        fits = len(measured) < 2 or (index_mb(size) <= load.memory_mb and longer <= load.seconds)
        if fits:
            started = time.perf_counter()
            measured[size] = search_ms(size)
            took = time.perf_counter() - started
        if len(measured) > 1:
            curve = fit_growth(list(measured), list(measured.values()))
        seconds, embedded = embed_seconds(size)
        sizes.append(
            SizeCost(
                documents=size,
                search_ms=measured.get(size, curve.at(size)),
                search_measured=fits,
                index_mb=index_mb(size),
                embed_seconds=seconds,
                embed_measured=embedded,
            )
        )
    return _Growth(tuple(sizes), curve.exponent)


def _load() -> float | None:
    """Processes that wanted a processor in the last minute, for each one there is; None where no one counts them."""
    if not hasattr(os, "getloadavg"):
        return None
    return round(os.getloadavg()[0] / (os.cpu_count() or 1), 2)


def _transformer(section: ModelSection, runs_dir: Path) -> Path | None:
    if not parse_ref(section.ref).has_weights:
        return None
    folder = model_folder(section, runs_dir)
    return None if is_model2vec(folder) else folder


class _Tokens(NamedTuple):
    """Mean tokens of a query and of a document, and an estimate of the arithmetic of a document."""

    query: float
    document: float
    document_flops: float | None


def _tokens(folder: Path, max_tokens: int | None, queries: Sequence[str], documents: Sequence[str]) -> _Tokens:
    tokenizer, limit, body = open_tokenizer(folder)
    limits = [value for value in (limit, max_tokens) if value]
    query_tokens, document_tokens = (
        float(np.mean([min([len(tokenizer(text)["input_ids"]), *limits]) for text in texts]))
        for texts in (queries, documents)
    )
    # The architecture's own file, whose keys are those of transformers.
    shape = json.loads((body / "config.json").read_text(encoding="utf-8"))
    keys = ("num_hidden_layers", "hidden_size", "intermediate_size")
    flops = None
    if all(isinstance(shape.get(key), int) for key in keys):
        layers, width, inner = (shape[key] for key in keys)
        flops = transformer_flops(layers=layers, width=width, feed_forward=inner, tokens=document_tokens)
    return _Tokens(query_tokens, document_tokens, flops)
