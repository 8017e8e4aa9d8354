"""How long `hrembed --help` takes, beside an import of sentence-transformers: medians of interleaved runs.

    .venv/bin/python benchmarks/startup.py

Exits with 1 when the limits are broken: 300 ms, and one tenth of the import.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

ROUNDS = 9
HREMBED = str(Path(sys.executable).with_name("hrembed"))
COMMANDS = {
    "hrembed --help": [HREMBED, "--help"],
    "hrembed finetune --help": [HREMBED, "finetune", "--help"],
    "import sentence_transformers": [sys.executable, "-c", "import sentence_transformers"],
}


def main() -> int:
    """Measure, print, judge."""
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(ROUNDS):
        for name, command in COMMANDS.items():
            started = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            seconds[name].append(time.perf_counter() - started)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    for name, median in medians.items():
        print(f"{median * 1000:8.0f} ms  {name}  (median of {ROUNDS}, {min(seconds[name]) * 1000:.0f} at best)")
    fast = medians["hrembed --help"]
    ratio = fast / medians["import sentence_transformers"]
    print(f"{ratio:11.3f}  of the import")
    return 0 if fast < 0.3 and ratio < 0.1 else 1


if __name__ == "__main__":
    sys.exit(main())
