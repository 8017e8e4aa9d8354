"""Seconds and peak memory of `hrembed data import table` on a small and a large synthetic JSONL.

    .venv/bin/python benchmarks/import_memory.py [ROWS]

Exits with 1 when the large one (5,000,000 rows by default) takes 600 MB or more.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HREMBED = Path(sys.executable).with_name("hrembed")
COLUMNS = "columns={anchor: title, positive: text, group: job, anchor_id: id}"
LIMIT_MB = 600


def measure(rows: int) -> float:
    """Write a table, import it, print what it took; give the peak memory in MB."""
    with tempfile.TemporaryDirectory() as place:
        table = Path(place) / "table.jsonl"
        with table.open("w", encoding="utf-8") as stream:
            for n in range(rows):
                row = {
                    "title": f"title number {n}",
                    "text": f"work of job {n // 2}",
                    "job": f"j{n % 1000}",
                    "id": f"t{n}",
                }
                stream.write(json.dumps(row) + "\n")
        command = [HREMBED, "data", "import", "table", table, "--set", COLUMNS, "--runs-dir", place, "--json"]
        started = time.monotonic()
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        seconds = time.monotonic() - started
        result = json.loads(done.stdout)
        memory = json.loads((Path(result["run"]) / "manifest.json").read_text())["peak_memory_mb"]
    pairs = result["metrics"]["pairs"]
    print(f"{rows:,} rows: {pairs:,} pairs, {seconds:.0f} s, {rows / seconds:,.0f} rows/s, {memory:.0f} MB", flush=True)
    return float(memory)


if __name__ == "__main__":
    measure(100_000)
    sys.exit(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 5_000_000) >= LIMIT_MB)
