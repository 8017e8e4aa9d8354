"""Time of a whole `hrembed eval` of MiniLM, first and second, beside `mteb.evaluate` on the same tasks.

    python benchmarks/evaluate.py [--short] --data FOLDER

FOLDER holds tasks in BEIR layout; with `--short`, or without it, a task of hr-core stands in. Each run is a process of
its own; the three kinds take turns. The graph of OpenVINO is written before, once, which is timed apart. MTEB computes
everything anew each time: its cache of results is off.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from measuring import HR_CORE, arguments, forget, ratio, record

METRICS = ["ndcg@10", "map", "recall@100"]
MTEB = """
import sys, json, mteb
from pathlib import Path
from hrembed.models.refs import parse_ref
from hrembed.models.weights import locate_weights
from hrembed.mteb import retrieval_task
from sentence_transformers import SentenceTransformer
model = SentenceTransformer(str(locate_weights(parse_ref("minilm"))), device="cpu")
tasks = [retrieval_task(Path(f), Path(f).name.replace("_", ""))() for f in sys.argv[1:]]
found = mteb.evaluate(model, tasks, cache=None, show_progress_bar=False)
print(json.dumps({t.task_name: t.get_score() for t in found.task_results}))
"""


def command_of(folders: list[str], runs: str, *options: str) -> list[str]:
    """The command, with options for Python itself."""
    tasks = ", ".join(f"{{path: '{folder}'}}" for folder in folders)
    settings = [
        "models.0.precision=auto",
        f"tasks=[{tasks}]",
        "retention=[]",
        "baselines=[]",
        "robustness.changes=[]",
        f"metrics={METRICS}",
    ]
    command = [sys.executable, *options, "-m", "hrembed", "eval", "--json", "--runs-dir", runs]
    return [*command, *(part for setting in settings for part in ("--set", setting))]


def hrembed(folders: list[str], runs: str) -> tuple[float, dict[str, float]]:
    """Time the command, and give nDCG@10 of each task."""
    seconds, out = timed(command_of(folders, runs))
    scores = json.loads(out)["metrics"]["scores"]
    return seconds, {task.split("/")[0].replace("_", ""): s["minilm"]["ndcg@10"]["value"] for task, s in scores.items()}


def imports(folders: list[str], runs: str) -> dict[str, float]:
    """Share of a warm run that importing takes: of all packages, and of the five that take most."""
    started = time.perf_counter()
    done = subprocess.run(command_of(folders, runs, "-X", "importtime"), check=True, capture_output=True, text=True)
    seconds = time.perf_counter() - started
    found: Counter[str] = Counter()
    for microseconds, module in re.findall(r"import time: +(\d+) \|[^|]*\| +(\S+)", done.stderr):
        found[module.partition(".")[0]] += int(microseconds) / 1e6 / seconds
    return {"all": found.total(), **dict(found.most_common(5))}


def timed(command: list[str]) -> tuple[float, str]:
    """Run a command, and give its time and what it printed."""
    started = time.perf_counter()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return time.perf_counter() - started, done.stdout.strip().splitlines()[-1] if "mteb" in command[2] else done.stdout


def main() -> None:
    """Take turns, and write the rows."""
    options = arguments(__doc__ or "", data={"type": Path})
    repeats = 1 if options.short else 3
    folder = HR_CORE / "test" if options.short or not options.data else options.data
    folders = sorted(str(item) for item in folder.iterdir() if (item / "qrels").is_dir())
    folders = folders[:1] if options.short else folders
    seconds: dict[str, list[float]] = {"cold": [], "warm": [], "mteb": []}
    with tempfile.TemporaryDirectory() as runs:
        once, _ = hrembed(folders, runs)
        for _ in range(repeats):
            forget(Path(runs) / ".cache" / "vectors")
            cold, ours = hrembed(folders, runs)
            took, out = timed([sys.executable, "-c", MTEB, *folders])
            seconds["cold"].append(cold)
            seconds["mteb"].append(took)
            seconds["warm"].append(hrembed(folders, runs)[0])
        shares = imports(folders, runs)
    row: dict[str, Any] = {"against": "`mteb.evaluate`", "tasks": [Path(item).name for item in folders]}
    scores = {"hrembed": ours, "mteb": json.loads(out)}
    rows = [
        {**row, "what": f"whole `eval`, {kind}", "target": f"at least {target}", "seconds": seconds, "scores": scores}
        | {"value": ratio(seconds["mteb"], seconds[kind]), "first_run_seconds": once}
        for kind, target in (("cold", 2.5), ("warm", 20))
    ]
    rows[1]["imports"] = shares
    record("evaluate", options, rows)


if __name__ == "__main__":
    main()
