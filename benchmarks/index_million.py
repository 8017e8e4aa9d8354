"""The index at up to a million documents: build, size, recall with and without filters, latency; NumPy, FAISS beside.

    python benchmarks/index_million.py [--short] [--data FOLDER]

Documents are composed of real vectors: one title and three tasks of an occupation, a fifth of them with a task of
another one, 12 % noise; queries are ads of a title and five tasks. FOLDER is the O*NET database as text; without it,
titles and tasks of hr-core's pairs take their place. Six filters: four that are drawn, and two that depend on the
occupation, which is where approximate search loses documents. Truth is the exact order of float64 cosines.
"""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from hrembed.config.parts import ModelSection
from hrembed.index.conditions import filter_type, parse_conditions
from hrembed.index.open import open_generation
from hrembed.index.sources import row_hashes, schema_of
from hrembed.index.writing import now, versions, write_rows
from hrembed.memory import MB, peak_memory_mb
from hrembed.models.dense import unit_rows
from hrembed.records.index import Generation, IndexManifest, VectorSpace
from hrembed.runs.workspace import Workspace
from hrembed.scoring.encoders import open_encoder
from hrembed.shards.shard import arrow_type

from measuring import HR_CORE, arguments, record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hrembed.index.open import Index
    from hrembed.types import Floats

SIZES, SHORT = (10_000, 50_000, 200_000, 1_000_000), (10_000, 50_000)
TYPES = {
    "country": "string",
    "permit": "bool",
    "years": "int64",
    "cohort": "int64",
    "branch": "string",
    "occupation": "string",
}
K, ADS, FILTERED = 10, 200, 50
TARGETS = {"recall": 0.99, "p95_ms": 50.0}
PICTURE = Path(__file__).resolve().parents[1] / "docs" / "images" / "index-million.png"
CACHE = Path(tempfile.gettempdir()) / "hrembed-index-million"
_PARTS, _NOISE, _FOREIGN = 3, 0.12, 0.2
_ROWS_AT_ONCE = 50_000


class Words:
    """Vectors of titles and tasks, by occupation.

    Attributes:
        titles: Unit rows.
        tasks: Unit rows.
        title_of: Occupation -> rows of `titles`.
        task_of: Occupation -> rows of `tasks`.
        names: Names of the occupations that have titles and tasks.
    """

    def __init__(self, texts: dict[str, dict[str, list[str]]], model: str) -> None:
        self.names = sorted(texts)
        self.title_of, self.task_of = {}, {}
        kept: dict[str, list[str]] = {"titles": [], "tasks": []}
        for place, rows_of in (("titles", self.title_of), ("tasks", self.task_of)):
            for name in self.names:
                rows_of[name] = np.arange(len(kept[place]), len(kept[place]) + len(texts[name][place]))
                kept[place] += texts[name][place]
        self.titles, self.tasks = (_embedded(kept[place], model) for place in ("titles", "tasks"))


def _embedded(texts: list[str], model: str) -> Floats:
    """Vectors of texts, kept in the system's folder of temporary files."""
    digest = hashlib.sha256(json.dumps([model, texts]).encode()).hexdigest()[:16]
    file = CACHE / f"{digest}.npy"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        encoder = open_encoder(ModelSection(ref=model), Workspace(CACHE / "runs"))
        np.save(file, encoder.vectors(texts, "document"))
    return np.asarray(np.load(file))


def from_onet(folder: Path) -> dict[str, dict[str, list[str]]]:
    """Titles and tasks of each occupation of O*NET."""
    texts: dict[str, dict[str, list[str]]] = defaultdict(lambda: {"titles": [], "tasks": []})
    for name, column, place in (
        ("Alternate Titles.txt", "Alternate Title", "titles"),
        ("Task Statements.txt", "Task", "tasks"),
    ):
        with (folder / name).open(encoding="utf-8", newline="") as stream:
            for row in csv.DictReader(stream, delimiter="\t"):
                texts[row["O*NET-SOC Code"]][place].append(row[column])
    return {name: each for name, each in texts.items() if each["titles"] and len(each["tasks"]) > _PARTS + 2}


def from_hr_core() -> dict[str, dict[str, list[str]]]:
    """Short and long texts of each group of hr-core's pairs."""
    texts: dict[str, dict[str, list[str]]] = defaultdict(lambda: {"titles": [], "tasks": []})
    with (HR_CORE / "pairs" / "train.jsonl").open(encoding="utf-8") as stream:
        for row in map(json.loads, stream):
            for text in (row["anchor"], row["positive"]):
                texts[f"{row.get('family', '')}/{row['group']}"]["titles" if len(text) < 40 else "tasks"].append(text)
    return {name: each for name, each in texts.items() if each["titles"] and len(each["tasks"]) > _PARTS + 2}


def composed(words: Words, count: int, tasks: int, rng: np.random.Generator) -> tuple[Floats, list[str]]:
    """Draw documents or ads: their unit vectors, and the occupation of each."""
    drawn = rng.integers(0, len(words.names), count)
    rows = np.empty((count, words.titles.shape[1]), dtype=np.float32)
    foreign = rng.random(count) < (_FOREIGN if tasks == _PARTS else 0)
    for place, number in enumerate(drawn):
        name = words.names[number]
        chosen = rng.choice(words.task_of[name], tasks, replace=False)
        if foreign[place]:
            chosen[0] = rng.integers(0, len(words.tasks))
        rows[place] = words.titles[rng.choice(words.title_of[name])] + words.tasks[chosen].sum(axis=0)
    rows = unit_rows(rows)
    noise = unit_rows(rng.standard_normal(rows.shape, dtype=np.float32))
    return unit_rows(rows + (_NOISE if tasks == _PARTS else 0) * noise), [words.names[number] for number in drawn]


def columns(occupations: list[str], rng: np.random.Generator) -> dict[str, list[Any]]:
    """Four columns that are drawn, and two that depend on the occupation."""
    count = len(occupations)
    return {
        "country": rng.choice([f"C{n}" for n in range(10)], count).tolist(),
        "permit": (rng.random(count) < 0.5).tolist(),
        "years": rng.integers(0, 40, count).tolist(),
        "cohort": rng.integers(0, 1000, count).tolist(),
        "branch": [name[:2] for name in occupations],
        "occupation": occupations,
    }


def batches(vectors: Floats, cells: dict[str, list[Any]]) -> Iterator[pa.RecordBatch]:
    """Rows as the index takes them."""
    schema = schema_of(TYPES, vectors.shape[1])
    for start in range(0, len(vectors), _ROWS_AT_ONCE):
        part = slice(start, min(start + _ROWS_AT_ONCE, len(vectors)))
        arrays: dict[str, Any] = {"id": pa.array([f"c{n}" for n in range(part.start, part.stop)])}
        numbers = pa.array(vectors[part].reshape(-1))
        arrays["vector"] = pa.FixedSizeListArray.from_arrays(numbers, vectors.shape[1])
        arrays["text_hash"] = pa.array([n.to_bytes(16, "big") for n in range(part.start, part.stop)], pa.binary(16))
        arrays |= {name: pa.array(kept[part], arrow_type(TYPES[name])) for name, kept in cells.items()}
        arrays["row_hash"] = pa.array(row_hashes(pa.table(arrays), TYPES), pa.binary(16))
        yield pa.RecordBatch.from_arrays([arrays[name] for name in schema.names], schema=schema)


def build(folder: Path, vectors: Floats, cells: dict[str, list[Any]]) -> tuple[Index, float]:
    """Write and index a table; the index, and the seconds that it took."""
    shutil.rmtree(folder, ignore_errors=True)
    generation = Generation(
        name="g001", version=1, made=now(), changed=now(), backend="lancedb", rows=len(vectors), zero_vectors=0,
        space=VectorSpace(model={"ref": "composed"}, identity="0" * 64, dim=vectors.shape[1]),
        columns=TYPES, filters={name: filter_type(kind) for name, kind in TYPES.items()}, text_column=None,
        lexical=False, partitions=0, probes=None, refine=5, count_first=2000, versions=versions("lancedb"),
    )  # fmt: skip
    started = time.perf_counter()
    partitions = write_rows(folder, generation, batches(vectors, cells), schema_of(TYPES, vectors.shape[1]))
    seconds = time.perf_counter() - started
    generation = generation.model_copy(update={"partitions": partitions})
    manifest = IndexManifest(current="g001", generations=(generation,))
    return open_generation(folder, manifest, generation), seconds


def conditions(cells: dict[str, list[Any]], ads: list[str]) -> dict[str, str]:
    """Six filters; of branches and occupations, one that few or no ads are of: there, candidates lie far away."""
    count = {name: sum(each[:2] == name for each in ads) for name in sorted(set(cells["branch"]))}
    size = {name: cells["branch"].count(name) for name in count}
    branch = min((name for name in count if size[name] >= len(cells["branch"]) // 100), key=lambda name: count[name])
    own = sorted({each for each in cells["occupation"] if each[:2] == branch} - set(ads))
    occupation = own[0] if own else sorted(set(cells["occupation"]))[0]
    return {
        "country": "country=C3",
        "permit": "permit=true",
        "years": "years>=38",
        "cohort": "cohort=7",
        "branch (depends on the occupation)": f"branch={branch}",
        "occupation (depends on the occupation)": f'occupation="{occupation}"',
    }


def truth(vectors: Floats, queries: Floats, rows: Any) -> list[set[int]]:
    """The k best of each query among some rows, by plain NumPy: the best by float32 first, those in float64."""
    kept: list[list[Any]] = [[] for _ in queries]
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        part = rows[start : start + _ROWS_AT_ONCE]
        for found, scores in zip(kept, queries @ vectors[part].T, strict=True):
            found.append(part[np.argpartition(-scores, 2 * K)[: 2 * K]] if len(part) > 2 * K else part)
    best = []
    for found, query in zip(kept, queries, strict=True):
        candidates = np.concatenate(found) if found else np.empty(0, dtype=np.int64)
        exact = vectors[candidates].astype(np.float64) @ query.astype(np.float64)
        best.append(set(candidates[np.argsort(-exact, kind="stable")[:K]].tolist()))
    return best


def timed(ask: Callable[[Floats], list[int]], queries: Floats) -> tuple[list[list[int]], dict[str, float]]:
    """Ask one query after the other; what was found, and how long it took in ms."""
    ask(queries[0])
    found, taken = [], []
    for query in queries:
        started = time.perf_counter()
        found.append(ask(query))
        taken.append((time.perf_counter() - started) * 1000)
    return found, {"p50_ms": round(float(np.median(taken)), 2), "p95_ms": round(float(np.quantile(taken, 0.95)), 2)}


def scored(best: list[set[int]], found: list[list[int]]) -> dict[str, float]:
    """Recall, and queries that got too few documents."""
    shares = [len(one & set(two)) / len(one) for one, two in zip(best, found, strict=True) if one]
    short = sum(len(two) < len(one) for one, two in zip(best, found, strict=True))
    return {"recall": round(float(np.mean(shares)), 4), "short": short}


def faiss_index(vectors: Floats) -> tuple[Any, float] | None:
    """An IVF index of 8-bit codes of FAISS, and the seconds that it took; None where FAISS is not installed."""
    try:
        import faiss
    except ImportError:
        return None
    faiss.omp_set_num_threads(1)
    started = time.perf_counter()
    lists = max(1, round(len(vectors) / 8192))
    quantizer = faiss.IndexFlatIP(vectors.shape[1])
    index = faiss.IndexIVFScalarQuantizer(
        quantizer, vectors.shape[1], lists, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT
    )
    index.train(np.asarray(vectors[:: max(1, len(vectors) // 100_000)], dtype=np.float32))
    index.add(np.asarray(vectors, dtype=np.float32))
    index.nprobe = min(32, lists)
    return index, time.perf_counter() - started


def by_faiss(index: Any, rows: Any) -> Callable[[Floats], list[int]]:
    """Ask FAISS, with a selector of rows where there is one."""
    import faiss

    if rows is None:
        return lambda query: [int(each) for each in index.search(query[None], K)[1][0] if each >= 0]
    chosen = faiss.IDSelectorBatch(rows.astype(np.int64))
    settings = faiss.SearchParametersIVF(sel=chosen, nprobe=index.nprobe)
    return lambda query: [int(each) for each in index.search(query[None], K, params=settings)[1][0] if each >= 0]


def by_numpy(vectors: Floats, rows: Any) -> Callable[[Floats], list[int]]:
    """Compare all rows, or those that match, known beforehand; a copy of many would cost more than it saves."""
    few = rows is not None and len(rows) < len(vectors) // 10

    def ask(query: Floats) -> list[int]:
        scores = vectors[rows] @ query if few else vectors @ query
        scores = scores if few or rows is None else scores[rows]
        top = np.argpartition(-scores, K)[:K] if len(scores) > K else np.arange(len(scores))
        top = top[np.argsort(-scores[top], kind="stable")]
        return [int(each) for each in (top if rows is None else rows[top])]

    return ask


def measure(size: int, words: Words, folder: Path) -> list[dict[str, Any]]:
    """All ways at one size."""
    rng = np.random.default_rng(13)
    ads, ad_occupations = composed(words, ADS, 5, rng)
    vectors, occupations = composed(words, size, _PARTS, rng)
    cells = columns(occupations, rng)
    index, seconds = build(folder, vectors, cells)
    bytes_ = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    rows: list[dict[str, Any]] = [
        {
            "what": "build", "rows": size, "seconds": round(seconds, 1), "mb": round(bytes_ / MB, 1),
            "partitions": index.generation.partitions, "peak_mb": peak_memory_mb(),
        }
    ]  # fmt: skip
    other = faiss_index(vectors)
    if other is not None:
        rows.append({"what": "build", "against": "FAISS IVF-SQ8", "rows": size, "seconds": round(other[1], 1)})
    texts = {"none": "", **conditions(cells, ad_occupations)}
    for name, text in texts.items():
        where = parse_conditions([text] if text else [], index.manifest.filters)
        queries = ads if not text else ads[:FILTERED]
        matching = np.array([int(each[1:]) for each in index.ids(where)], dtype=np.int64) if text else np.arange(size)
        matching.sort()
        best = truth(vectors, queries, matching)
        chosen = matching if text else None

        def ask(query: Floats, where: Any = where) -> list[int]:
            return [int(each[1:]) for each in index.search(query[None], K, where)[0].ids]

        ways: dict[str, Callable[[Floats], list[int]]] = {"hrembed": ask, "NumPy": by_numpy(vectors, chosen)}
        if other is not None:
            ways["FAISS IVF-SQ8, 32 probes"] = by_faiss(other[0], chosen)
        for way, asked in ways.items():
            found, latency = timed(asked, queries)
            row = {"what": "search", "against": way, "rows": size, "filter": name, "matching": len(matching)}
            rows.append(row | scored(best, found) | latency | ({"target": TARGETS} if way == "hrembed" else {}))
    return rows


def plot(rows: list[dict[str, Any]], file: Path) -> None:
    """Draw what grows with the rows."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(12, 3.6), layout="constrained")
    built = [row for row in rows if row["what"] == "build" and "against" not in row]
    sizes = [row["rows"] for row in built]
    axes[0].plot(sizes, [row["seconds"] for row in built], "o-", label="seconds to build")
    axes[0].plot(sizes, [row["mb"] for row in built], "s--", label="size, MB")
    for way in dict.fromkeys(row["against"] for row in rows if row["what"] == "search"):
        found = [row for row in rows if row["what"] == "search" and row["against"] == way]
        free = [row for row in found if row["filter"] == "none"]
        axes[1].plot([row["rows"] for row in free], [row["p95_ms"] for row in free], "o-", label=way)
        worst = [min(row["recall"] for row in found if row["rows"] == size) for size in sizes]
        axes[2].plot(sizes, worst, "o-", label=way)
    for axis, title in zip(
        axes, ("Build", "p95 of a query without a filter, ms", "Lowest recall@10 of 7 filters"), strict=True
    ):
        axis.set_title(title)
        axis.set_xscale("log")
        axis.set_xlabel("documents")
        axis.legend(fontsize=8)
    axes[0].set_yscale("log")
    axes[1].set_yscale("log")
    axes[2].axhline(TARGETS["recall"], color="grey", linewidth=0.8)
    figure.savefig(file, dpi=120)
    plt.close(figure)


def main() -> None:
    """Measure all sizes."""
    options = arguments(__doc__ or "", data={"type": Path, "default": None, "help": "folder of O*NET's text files"})
    texts = from_onet(options.data) if options.data else from_hr_core()
    if options.short:
        texts = {name: {place: each[place][:8] for place in each} for name, each in texts.items()}
    words = Words(texts, "wordllama" if options.short else "minilm")
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for size in SHORT if options.short else SIZES:
            rows += measure(size, words, Path(folder) / "index")
    record("index_million", options, rows)
    plot(rows, options.results / "index_million-short.png" if options.short else PICTURE)


if __name__ == "__main__":
    main()
