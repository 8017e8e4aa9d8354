"""Time of a whole `hrembed eval` of MiniLM, first and second, beside `mteb.evaluate` on the same tasks.

    python benchmarks/evaluate.py FOLDER [REPETITIONS]

FOLDER holds tasks in BEIR layout. Each run is a process of its own; the three kinds take turns.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

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


def hrembed(folders: list[str], runs: str) -> tuple[float, dict[str, float]]:
    """Time the command, and give nDCG@10 of each task."""
    tasks = ", ".join(f"{{path: '{folder}'}}" for folder in folders)
    settings = [f"tasks=[{tasks}]", "retention=[]", "baselines=[]", "robustness.changes=[]", f"metrics={METRICS}"]
    command = [sys.executable, "-m", "hrembed", "eval", "--json", "--runs-dir", runs]
    seconds, out = timed([*command, *(part for setting in settings for part in ("--set", setting))])
    scores = json.loads(out)["metrics"]["scores"]
    return seconds, {task.split("/")[0].replace("_", ""): s["minilm"]["ndcg@10"]["value"] for task, s in scores.items()}


def timed(command: list[str]) -> tuple[float, str]:
    """Run a command, and give its time and what it printed."""
    started = time.perf_counter()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return time.perf_counter() - started, done.stdout.strip().splitlines()[-1] if "mteb" in command[2] else done.stdout


def main(folder: Path, repetitions: int) -> None:
    """Take turns, and print seconds, medians and ratios."""
    folders = sorted(str(item) for item in folder.iterdir() if (item / "qrels").is_dir())
    seconds: dict[str, list[float]] = {"first": [], "second": [], "mteb": []}
    for _ in range(repetitions):
        with tempfile.TemporaryDirectory() as runs:
            first, ours = hrembed(folders, runs)
            seconds["first"].append(first)
            took, out = timed([sys.executable, "-c", MTEB, *folders])
            seconds["mteb"].append(took)
            seconds["second"].append(hrembed(folders, runs)[0])
        theirs = json.loads(out)
        print(json.dumps({"hrembed": ours, "mteb": theirs, "seconds": seconds}), flush=True)
    middle = {name: statistics.median(values) for name, values in seconds.items()}
    print(
        json.dumps(
            {
                "median_seconds": {name: round(value, 1) for name, value in middle.items()},
                "first_to_mteb": round(middle["first"] / middle["mteb"], 3),
                "second_to_first": round(middle["second"] / middle["first"], 3),
            }
        )
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 3)
