"""What a model takes on this machine: measured in a process of its own, so that its memory is its own.

Run as `python -m hrembed.commands.compare.costs IN OUT`, both JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hrembed.config.compare import LoadSection
from hrembed.config.parts import ModelSection
from hrembed.errors import ModelError
from hrembed.files import write_json
from hrembed.metrics.scaling import Curve, fit_growth, transformer_flops
from hrembed.models.refs import parse_ref
from hrembed.models.static import is_model2vec
from hrembed.models.tokenizer import open_tokenizer
from hrembed.runs.environment import peak_memory_mb
from hrembed.runs.workspace import Workspace
from hrembed.scoring.encoders import model_folder, open_encoder
from hrembed.scoring.latency import cycle, milliseconds, model_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hrembed.types import Encoder, Floats

_PARTS = (0.25, 0.5, 1.0)
_TOP = 10
_MB = 1_000_000


def measure_in_subprocess(
    section: ModelSection, runs_dir: Path, queries: Sequence[str], documents: Sequence[str], load: LoadSection
) -> dict[str, Any]:
    """Measure a model in a process of its own.

    Args:
        section: The model.
        runs_dir: Folder of all runs.
        queries: Texts as they are asked.
        documents: Texts as they are searched.
        load: How much is measured.

    Raises:
        ModelError: The process failed; the message holds its last line.
    """
    with tempfile.TemporaryDirectory() as folder:
        given, found = Path(folder) / "in.json", Path(folder) / "out.json"
        asked = {"section": section.model_dump(mode="json"), "load": load.model_dump(mode="json")}
        write_json(given, {**asked, "runs_dir": str(runs_dir), "queries": list(queries), "documents": list(documents)})
        command = [sys.executable, "-m", "hrembed.commands.compare.costs", str(given), str(found)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise ModelError(f"'{section.ref}' could not be measured: {last}")
        measured: dict[str, Any] = json.loads(found.read_text(encoding="utf-8"))
        return measured


def measure(
    section: ModelSection, runs_dir: Path, queries: Sequence[str], documents: Sequence[str], load: LoadSection
) -> dict[str, Any]:
    """Measure a model in this process; see `measure_in_subprocess`."""
    encoder = open_encoder(section, Workspace(runs_dir))
    found = (
        _dense(encoder, queries, documents, load)
        if parse_ref(section.ref).embeds_texts
        else _lexical(encoder, queries, documents, load)
    )
    folder = _transformer(section, runs_dir)
    tokens = {} if folder is None else _tokens(folder, section.max_tokens, queries, documents)
    return {
        **found,
        **tokens,
        "model_bytes": model_bytes(section, runs_dir),
        "load": _load(),
    }


def _dense(encoder: Encoder, queries: Sequence[str], documents: Sequence[str], load: LoadSection) -> dict[str, Any]:
    started = time.perf_counter()
    width = int(encoder.vectors(["text"], "query").shape[1])
    ready = time.perf_counter() - started
    one_query = milliseconds([encoder], cycle(queries, load.texts), "query")[0]
    one_document = milliseconds([encoder], cycle(documents, load.texts), "document")[0]
    texts = cycle(documents, load.batch)
    sizes, seconds = [int(part * load.batch) for part in _PARTS], []
    for size in sizes:
        started = time.perf_counter()
        encoder.vectors(texts[:size], "document")
        seconds.append(time.perf_counter() - started)
    # No text waits for another, so the time is a straight line through zero; its slope weighs the longer times.
    slope = float(np.dot(sizes, seconds) / np.dot(sizes, sizes))
    peak = peak_memory_mb()  # before indexes of many documents are built
    rows = _grow(
        load,
        lambda size: _search_ms(size, width),
        lambda size: size * width * 4 / _MB,
        lambda size: (slope * size, size <= load.batch),
    )
    return {
        "dimensions": width,
        "load_seconds": ready,
        "query_ms": one_query.tolist(),
        "document_ms": one_document.tolist(),
        "peak_memory_mb": peak,
        "texts_per_second": 1 / slope,
        "embedding": {"sizes": sizes, "seconds": seconds},
        **rows,
    }


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


def _lexical(encoder: Encoder, queries: Sequence[str], documents: Sequence[str], load: LoadSection) -> dict[str, Any]:
    asked, built, weights = cycle(queries, load.texts), {}, {}

    def search(size: int, texts: Sequence[str] = ()) -> Floats:
        started = time.perf_counter()
        similarity: Any = encoder.similarity(asked, texts or cycle(documents, size))
        built[size] = time.perf_counter() - started
        held = similarity.documents
        weights[size] = (held.data.nbytes + held.indices.nbytes + held.indptr.nbytes) / _MB
        took = []
        for place in range(len(asked)):
            started = time.perf_counter()
            scores = similarity.block(slice(place, place + 1), slice(None))[0]
            np.argpartition(scores, -_TOP)[-_TOP:]
            took.append((time.perf_counter() - started) * 1000)
        return np.array(took)

    one_query = search(len(documents), list(documents)) if len(documents) > _TOP else search(max(load.sizes[0], 100))
    peak = peak_memory_mb()
    sizes: list[int] = []

    def median(size: int) -> float:
        sizes.append(size)
        return float(np.median(search(size)))

    def built_at(size: int) -> tuple[float, bool]:
        if size in built:
            return built[size], True
        return fit_growth(sizes, [built[known] for known in sizes]).at(size), False

    rows = _grow(load, median, lambda size: _index_mb(size, sizes, weights), built_at)
    per_second = sizes[-1] / built[sizes[-1]]
    return {"dimensions": None, "load_seconds": 0.0, "query_ms": one_query.tolist(), "document_ms": None,
            "texts_per_second": per_second, "peak_memory_mb": peak, "embedding": None, **rows}  # fmt: skip


def _index_mb(size: int, sizes: Sequence[int], weights: dict[int, float]) -> float:
    if size in weights:
        return weights[size]
    return fit_growth(sizes, [weights[known] for known in sizes]).at(size) if len(sizes) > 1 else 0.0


def _grow(
    load: LoadSection,
    search_ms: Callable[[int], float],
    index_mb: Callable[[int], float],
    embed_seconds: Callable[[int], tuple[float, bool]],
) -> dict[str, Any]:
    """Measure searches at each size that fits into memory and time, and extrapolate the others from a fitted curve."""
    known: dict[int, float] = {}
    curve, took = Curve(0.0, 1.0), 0.0
    rows = []
    for size in load.sizes:
        longer = took * size / max(known, default=size)
        fits = len(known) < 2 or (index_mb(size) <= load.memory_mb and longer <= load.seconds)
        if fits:
            started = time.perf_counter()
            known[size] = search_ms(size)
            took = time.perf_counter() - started
        if len(known) > 1:
            curve = fit_growth(list(known), list(known.values()))
        seconds, embedded = embed_seconds(size)
        rows.append(
            {
                "documents": size,
                "search_ms": known.get(size, curve.at(size)),
                "search_measured": fits,
                "index_mb": index_mb(size),
                "embed_seconds": seconds,
                "embed_measured": embedded,
            }
        )
    return {"growth": rows, "search_exponent": curve.exponent}


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


def _tokens(
    folder: Path, max_tokens: int | None, queries: Sequence[str], documents: Sequence[str]
) -> dict[str, float | None]:
    """Mean tokens of a query and of a document, and an estimate of the arithmetic of a document."""
    tokenizer, limit, body = open_tokenizer(folder)
    limits = [value for value in (limit, max_tokens) if value]
    lengths = [
        float(np.mean([min([len(tokenizer(text)["input_ids"]), *limits]) for text in texts]))
        for texts in (queries, documents)
    ]
    shape = json.loads((body / "config.json").read_text(encoding="utf-8"))
    keys = ("num_hidden_layers", "hidden_size", "intermediate_size")
    flops = None
    if all(isinstance(shape.get(key), int) for key in keys):
        layers, width, inner = (shape[key] for key in keys)
        flops = transformer_flops(layers=layers, width=width, feed_forward=inner, tokens=lengths[1])
    return {"query_tokens": lengths[0], "document_tokens": lengths[1], "document_flops": flops}


if __name__ == "__main__":
    asked = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    write_json(
        Path(sys.argv[2]),
        measure(
            ModelSection.model_validate(asked["section"]),
            Path(asked["runs_dir"]),
            asked["queries"],
            asked["documents"],
            LoadSection.model_validate(asked["load"]),
        ),
    )
