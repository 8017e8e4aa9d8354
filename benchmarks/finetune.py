"""Compare ways to fine-tune on what ships: the tables of `docs/results.md`.

    python benchmarks/finetune.py OUT.json [SEED...]

lora, partial, full and scratch with the settings below. Every run is `hrembed finetune` in a process of its own, with
as many threads as `OMP_NUM_THREADS` of the caller says, on the pairs of hr-core. What is reported is measured on the
test side of `ad-profile`, whose occupations were never trained on, and which chose no checkpoint. Which layers are
worth training is the question of `layers.py`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

COUNT = 3
METHODS = {
    "lora": {"method": {"name": "lora", "rank": 16, "layers": COUNT}},
    "partial": {"method": {"name": "partial", "layers": COUNT}, "train": {"learning_rate": 1e-4}},
    "full": {"method": {"name": "full"}, "train": {"learning_rate": 1e-4}},
    "scratch": {"method": {"name": "scratch"}, "train": {"epochs": 10, "learning_rate": 5e-4}},
}
SHARED = {"evaluations": 2, "saves": 0, "precision": "bfloat16"}


def run(settings: dict[str, Any], seed: int) -> dict[str, Any]:
    """Run `hrembed finetune`, and take from its folder what the tables show."""
    config = {
        **settings,
        "train": {**settings.get("train", {}), **SHARED, "seed": seed},
        "proof": {"tests": [{}], "strengths": []},
    }
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "config.json"
        file.write_text(json.dumps(config))
        command = [sys.executable, "-m", "hrembed", "finetune", str(file), "--runs-dir", folder, "--json"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            sys.exit(done.stderr)
        result = json.loads(done.stdout)
        manifest = json.loads((Path(result["run"]) / "manifest.json").read_text())
        shipped = sum(path.stat().st_size for path in (Path(result["run"]) / "model").rglob("*") if path.is_file())
    metrics = result["metrics"]
    (test,), (kept,) = metrics["tests"], metrics["retention"]
    return {
        "seed": seed,
        "test": test["tuned"],
        "base": test["base"],
        "difference": test["difference"],
        "retention": kept["difference"],
        "trained": metrics["parameters"]["trainable"],
        "seconds": manifest["seconds"],
        "peak_memory_mb": manifest["peak_memory_mb"],
        "megabytes": shipped / 1e6,
    }


def main(out: Path, seeds: list[int]) -> None:
    """Run, write the rows, and print them as a table."""
    rows = [{"name": name, **run(settings, seed)} for seed in seeds for name, settings in METHODS.items()]
    out.write_text(json.dumps(rows, indent=2) + "\n")
    print("| | seed | nDCG@10 | difference to the base | outside of hiring | seconds | MB memory | MB shipped |")
    print("|---|---|---|---|---|---|---|---|")
    for row in rows:
        cells = [row["name"], row["seed"], f"{row['test']['value']:.3f}"]
        cells += [_interval(row["difference"]), _interval(row["retention"]), f"{row['seconds']:.0f}"]
        cells += [f"{row['peak_memory_mb']:,.0f}", f"{row['megabytes']:.0f}"]
        print(f"| {' | '.join(map(str, cells))} |", flush=True)


def _interval(entry: dict[str, Any]) -> str:
    low, high = entry["interval"]
    return f"{entry['value']:+.3f} [{low:+.3f}, {high:+.3f}]"


if __name__ == "__main__":
    main(Path(sys.argv[1]), [int(seed) for seed in sys.argv[2:]] or [13])
