"""From a laptop to 100 million candidates: bytes, hours and money, computed from what the other benchmarks measured.

    python benchmarks/scale.py [--price 0.05] [--write]

Rates are those of `encode`, `encode_million` and `index_million` in `benchmarks/results`, taken to stay the same at
all sizes; only the bytes of a shard are measured here. `--write` puts the tables into docs/scale.md.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from hrembed.records.encode import ShardFooter
from hrembed.shards.shard import ShardRows, shard_bytes, stored, vectors_hash

from measuring import RESULTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hrembed.records.encode import VectorType

DOCUMENT = Path(__file__).parents[1] / "docs" / "scale.md"
START, END = "<!-- written by benchmarks/scale.py -->\n", "<!-- end -->\n"
SIZES = (10_000, 100_000, 1_000_000, 10_000_000, 100_000_000)
DIM = 384
CORES = 2
SHARD_ROWS = 10_000


def results(name: str) -> dict[str, Any] | None:
    """Read what a benchmark measured; None where it was not run in full."""
    file = RESULTS / f"{name}.json"
    return dict(json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else None


def missing() -> str:
    """Name the benchmarks whose rows are left out, since they were not run in full."""
    names = [f"`benchmarks/{name}.py`" for name in ("encode", "encode_million", "index_million") if not results(name)]
    return f"Left out, since it was not run in full yet: {', '.join(names)}." if names else ""


def row(found: dict[str, Any], **wanted: object) -> dict[str, Any]:
    """Return the row with these values."""
    return next(each for each in found["rows"] if all(each.get(key) == value for key, value in wanted.items()))


def rates() -> Iterator[tuple[str, float, str]]:
    """Texts a second of a machine of `CORES` cores, and where each was measured."""
    if encode := results("encode"):
        profiles = row(encode, what="encode profiles (126 tokens), `auto`")
        titles = row(encode, what="encode titles (6 tokens), `auto`")
        yield "profiles of 126 tokens, MiniLM, torch", profiles["plain_per_second"], place(encode)
        yield "the same, `precision: auto`", profiles["per_second"], place(encode)
        yield "titles of 6 tokens, `precision: auto`", titles["per_second"], place(encode)
    if million := results("encode_million"):
        static = row(million, what="encode", engine="local", workers=2)
        texts = row(million, what="summary")["rows"]
        yield "profiles, static model", texts / static["wall_seconds"], place(million)


def place(found: dict[str, Any]) -> str:
    """Name the machine and the commit of a benchmark."""
    machine = found["machine"]
    fast = [flag for flag in machine["flags"] if flag.startswith("a") and flag != "avx2"]
    return f"{machine['processor']}{' with ' + fast[-1] if fast else ', AVX2'}, at {machine['commit']}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def hours(count: float, rate: float) -> str:
    """Say how long one machine takes."""
    seconds = count / rate
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:,.1f} h"


def size(count: float) -> str:
    """Say how many bytes."""
    for unit, power in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if count >= power:
            return f"{count / power:,.1f} {unit}"
    return f"{count / 1e3:,.0f} kB"


def bytes_of_a_row(dtype: VectorType) -> float:
    """Bytes of a row in a shard of random unit vectors, which compress as little as those of a model."""
    vectors = np.random.default_rng(13).normal(size=(SHARD_ROWS, DIM)).astype(np.float32)
    numbers, scale = stored(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype)
    ids = [f"c{n}" for n in range(SHARD_ROWS)]
    hashes = [hashlib.blake2b(id_.encode(), digest_size=16).digest() for id_ in ids]
    footer = ShardFooter(
        identity="", side="document", prompt_hash="", dim=DIM, dtype=dtype, number=0, input_hash="", rows=SHARD_ROWS,
        vectors_hash=vectors_hash(numbers, scale), zero_vectors=0, truncated_texts=0, empty_texts=0,
    )  # fmt: skip
    return len(shard_bytes(ShardRows(ids, hashes, numbers, scale, {}, {}), footer)) / SHARD_ROWS


def encoding(price: float) -> str:
    """Hours and money of encoding, by size."""
    rows = [
        [name, *(f"{hours(n, rate)}, {n / rate / 3600 * CORES * price:,.2f}" for n in SIZES), f"{rate:,.0f}", where]
        for name, rate, where in rates()
    ]
    return table(["texts", *(f"{n:,}" for n in SIZES), "texts a second", "measured on"], rows)


def storing() -> str:
    """Bytes of shards and index, by size."""
    types: tuple[VectorType, ...] = ("float32", "float16", "int8")
    rows = [[f"shards, {dtype}", *(size(n * bytes_of_a_row(dtype)) for n in SIZES)] for dtype in types]
    rows.append(["exact search, in memory", *(size(n * DIM * 4) for n in SIZES)])
    if found := results("index_million"):
        largest = max(each["rows"] for each in found["rows"])
        built = row(found, what="build", rows=largest)
        rows.append(["index (LanceDB), vectors in it", *(size(n * built["mb"] * 1e6 / largest) for n in SIZES)])
        rows.append(["seconds to build the index", *(f"{n * built['seconds'] / largest:,.0f}" for n in SIZES)])
    return table(["", *(f"{n:,}" for n in SIZES)], rows)


def searching() -> str:
    """Latency and recall by size, as measured; empty where they were not."""
    found = results("index_million")
    if found is None:
        return ""
    searches = [each for each in found["rows"] if each["what"] == "search"]
    rows = []
    for way in dict.fromkeys(each["against"] for each in searches):
        for count in sorted({each["rows"] for each in searches}):
            of = [each for each in searches if each["against"] == way and each["rows"] == count]
            free, kept = [e for e in of if e["filter"] == "none"], [e for e in of if e["filter"] != "none"]
            cells = [f"{free[0]['p95_ms']:.1f}", f"{free[0]['recall']:.3f}"]
            cells += [f"{max(e['p95_ms'] for e in kept):.1f}", f"{min(e['recall'] for e in kept):.3f}"]
            rows.append([way, f"{count:,}", *cells])
    head = [
        "search by",
        "candidates",
        "p95, ms",
        "recall@10",
        "worst p95 of six filters, ms",
        "lowest recall of six filters",
    ]
    return f"Search, measured, one query at a time on {place(found)}:\n\n{table(head, rows)}"


def tables(price: float) -> str:
    """All tables, as they stand in the document."""
    parts = (
        f"Hours on one machine of {CORES} cores, and money at {price:g} per core and hour (yours: `--price`):",
        encoding(price),
        f"Bytes, {DIM} numbers a vector:",
        storing(),
        searching(),
        missing(),
    )
    return "\n\n".join(part.rstrip("\n") for part in parts if part) + "\n"


def document(price: float) -> str:
    """The document with its tables made anew."""
    text = DOCUMENT.read_text(encoding="utf-8")
    head, rest = text.split(START)
    return f"{head}{START}{tables(price)}{END}{rest.split(END)[1]}"


def main() -> None:
    """Print the tables, or write them into the document."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--price", type=float, default=0.05, help="of a core for an hour")
    parser.add_argument("--write", action="store_true", help="write docs/scale.md")
    options = parser.parse_args()
    if options.write:
        DOCUMENT.write_text(document(options.price), encoding="utf-8")
    else:
        print(tables(options.price))


if __name__ == "__main__":
    main()
