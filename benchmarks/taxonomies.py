"""Import O*NET and ESCO, split them, and check them against public benchmarks: the tables of `docs/data.md`.

    python benchmarks/taxonomies.py FOLDER

FOLDER holds `onet/`, `esco/` and `benchmarks/` (BEIR folders); none of them is part of the project. Seconds and memory
are those of the whole command, start included.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from hrembed.memory import MB

HREMBED = Path(sys.executable).with_name("hrembed")


def run(*words: str) -> tuple[Path, dict, float]:
    """Run a data command; give its run folder, its metrics and its seconds."""
    started = time.monotonic()
    done = subprocess.run([HREMBED, "data", *words, "--json"], capture_output=True, text=True)
    seconds = time.monotonic() - started
    if done.returncode not in {0, 3} or not done.stdout:
        sys.exit(done.stderr)
    result = json.loads(done.stdout)
    return Path(result["run"]), result["metrics"], seconds


def imports(data: Path, runs: str) -> dict[str, Path]:
    """Import both, and print counts, seconds and memory."""
    folders = {}
    for name in ("onet", "esco"):
        folders[name], metrics, seconds = run("import", name, str(data / name), "--runs-dir", runs)
        memory = json.loads((folders[name] / "manifest.json").read_text())["peak_memory_mb"]
        print(f"\n{name}: {seconds:.0f} s, {memory:.0f} MB\n")
        print("| kind | pairs | groups | largest group |\n|---|---|---|---|")
        for kind, found in metrics["kinds"].items():
            print(f"| {kind} | {found['pairs']:,} | {found['groups']:,} | {found['largest_group']} |")
        print()
        for step, number in metrics["counts"].items():
            print(f"* {step}: {number:,}")
    return folders


def checks(data: Path, runs: str, folders: dict[str, Path]) -> None:
    """Compare each import with all tasks, and print what occurs."""
    tasks = sorted(str(path) for path in (data / "benchmarks").iterdir() if path.is_dir())
    against = [word for task in tasks for word in ("--against", task)]
    print("\n| trained on | task | documents | queries | relevant pairs | seconds |\n|---|---|---|---|---|---|")
    for name, folder in folders.items():
        _, metrics, seconds = run("check", str(folder), *against, "--runs-dir", runs)
        for task, found in metrics["tasks"].items():
            shares = [f"{found[what]['share']:.1%}" for what in ("documents", "queries", "pairs")]
            print(f"| {name} | {Path(task).name} | {' | '.join(shares)} | {seconds:.0f} |")
        shares = {kind: f"{entry['share']:.2%}" for kind, entry in metrics["false_negatives"].items()}
        print(f"\nfalse negatives, {name}: {shares}\n")


def splits(runs: str, folders: dict[str, Path]) -> None:
    """Split each import, and let it pass its own check."""
    for name, folder in folders.items():
        made, metrics, seconds = run("split", str(folder), "--runs-dir", runs)
        sides = {side: f"{found['pairs']:,}" for side, found in metrics["sides"].items()}
        print(f"\nsplit of {name}: {seconds:.0f} s, {sides}, dropped {metrics['dropped_from_train']:,}")
        tasks = [word for task in metrics["tasks"] for word in ("--against", str(made / task))]
        _, checked, _ = run("check", str(made / "train"), *tasks, "--runs-dir", runs)
        print(f"its check: {checked['verdict']}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        made = imports(Path(sys.argv[1]), place)
        checks(Path(sys.argv[1]), place, made)
        splits(place, made)
    print(f"\npeak memory of any command: {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / MB:.0f} MB")
