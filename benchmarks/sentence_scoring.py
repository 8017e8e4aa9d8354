"""Sentences and skills: whole vectors, windows, a lexical part and both; chosen on one domain, reported on the other.

    python benchmarks/sentence_scoring.py --data FOLDER [--tuned MODEL_FOLDER] [--runs FOLDER] [--audit] [--short]

FOLDER holds `skill_extract_tech_val` and `skill_extract_house_val` in BEIR layout; without it the skill tasks of
hr-core stand in. `hrembed eval` itself chooses (`score.windows: auto`, `score.lexical: auto`), so what is measured is
what a user gets. Memory and time are those of a process of its own; whole vectors and both take turns in it, with the
vectors of the documents kept, so that the ratio is that of the scoring alone. With `--audit`, two `hrembed bias-audit`
runs show what the scoring does to names. The table of `docs/results.md` is printed.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from measuring import HR_CORE, arguments, ratio, record

METRICS = ("map", "mrr", "r-precision@10")
SHIPPED = {"windows": [3, 4], "lexical": 0.3}
SENTENCES = 338  # as many as the larger public set of this kind has
SLICES = ("shares a word", "shares no word")


def command(name: str, settings: dict[str, Any], runs: Path) -> dict[str, Any]:
    """Run a command of hrembed, and give the record that it wrote."""
    options = [part for key, value in settings.items() for part in ("--set", f"{key}={json.dumps(value)}")]
    done = subprocess.run(
        [sys.executable, "-m", "hrembed", name, "--json", "--runs-dir", str(runs), *options],
        capture_output=True,
        text=True,
        check=False,
    )
    if not done.stdout:
        raise SystemExit(done.stderr)
    metrics: dict[str, Any] = json.loads(done.stdout)["metrics"]
    return metrics


def ways(model: dict[str, Any], dev: Path) -> dict[str, dict[str, Any]]:
    """The systems of a table; what is open is chosen on the other domain."""
    chosen = {"dev": {"path": str(dev)}, "metric": METRICS[0]}
    return {
        "whole vectors": model,
        "windows": {**model, "score": {"windows": "auto", **chosen}},
        "whole vectors, lexical": {**model, "score": {"lexical": "auto", **chosen}},
        "windows, lexical": {**model, "score": {"windows": "auto", "lexical": "auto", **chosen}},
        "as shipped": {**model, "score": SHIPPED},
    }


def quality(label: str, model: dict[str, Any], test: Path, dev: Path, runs: Path) -> list[dict[str, Any]]:
    """Evaluate every way on one domain; the rows of the table."""
    systems = ways(model, dev)
    settings = {
        "models": list(systems.values()),
        "baselines": ["char-tfidf", "bm25"],
        "tasks": [{"path": str(test)}],
        "retention": [],
        "metrics": list(METRICS),
        "compare.pairs": "reference",
        "worst": 0,
        "robustness.changes": [],
    }
    found = command("eval", settings, runs)
    ((task, scores),) = found["scores"].items()
    slices = found["slices"][task]["shared-words"]["rows"]
    differences = {row["model"]: row["difference"] for row in found["differences"]}
    rows = []
    for way, (name, metrics) in zip([*systems, "char-tfidf alone", "bm25 alone"], scores.items(), strict=True):
        scoring = found["scorings"].get(name)
        rows.append(
            {
                "model": label,
                "task": task,
                "chosen on": dev.name,
                "way": way,
                "windows": scoring and scoring["windows"],
                "lexical": scoring and scoring["lexical"],
                **{metric: metrics[metric] for metric in METRICS},
                "against whole vectors": differences.get(name),
                **{row["slice"]: [row["score"], row["queries"]] for row in slices if row["model"] == name},
            }
        )
    return rows


MEASURED = """
import json, sys, time
from dataclasses import replace
from pathlib import Path
from measuring import in_turns
from hrembed.config.parts import ModelSection
from hrembed.data.read import read_task
from hrembed.memory import peak_memory_mb
from hrembed.runs.workspace import Workspace
from hrembed.scoring.encoders import open_encoder
from hrembed.scoring.retrieval import rank_task
folders, runs, count, score, repeats = json.loads(sys.argv[1])
tasks = [read_task(Path(folder), None) for folder in folders]
texts = [query.text for task in tasks for query in task.queries]
while len(texts) < count:  # neighbours in one sentence: longer, so more windows
    texts.append(texts[len(texts) % 97] + " " + texts[(3 * len(texts)) % 89])
task = tasks[0]
queries = tuple(replace(task.queries[0], id=str(n), text=text) for n, text in enumerate(texts[:count]))
task = replace(task, queries=queries, qrels={})
workspace = Workspace(Path(runs))
kept = workspace.cache / "vectors"
encoders = {
    name: open_encoder(ModelSection(ref="minilm", backend="openvino", score=of), workspace, cache=kept)
    for name, of in {"whole": {}, "both": score}.items()
}
started = time.perf_counter()
rank_task(encoders["whole"], task)
first = time.perf_counter() - started
seconds = in_turns({name: lambda e=encoder: rank_task(e, task) for name, encoder in encoders.items()}, repeats)
print(json.dumps({"documents": len(task.documents), "sentences": len(queries), "first_seconds": first,
                  "seconds": seconds, "peak_mb": peak_memory_mb()}))
"""


def cost(folders: list[Path], runs: Path, repeats: int) -> dict[str, Any]:
    """Memory and time of scoring, in a process of its own."""
    request = [[str(folder) for folder in folders], str(runs), SENTENCES, SHIPPED, repeats]
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, json.dumps(request)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parent,
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def audit(runs: Path) -> list[dict[str, Any]]:
    """Audit MiniLM on the shipped stimuli with whole vectors and as shipped; gaps and lowest impact ratios."""
    rows = []
    for way, score in (("whole vectors", {}), ("as shipped", SHIPPED)):
        model = {"ref": "minilm", "backend": "openvino", "score": score}
        found = command("bias-audit", {"model": model, "stimuli.names_per_cell": 20, "fail_on": "never"}, runs)
        rows += [
            {"way": way, "verdict": found["verdict"], "attribute": name, "comparison": comparison}
            for name, comparison in found["attributes"].items()
        ]
        rows += [{"way": way, "gate": gate} for gate in found["gates"]]
    return rows


def estimate(found: dict[str, Any]) -> str:
    """A number with its interval."""
    low, high = found["interval"]
    ends = "" if low is None else f" [{low:.3f}, {high:.3f}]"
    return "-" if found["value"] is None else f"{found['value']:.3f}{ends}"


def show(rows: list[dict[str, Any]]) -> None:
    """Print the table as it stands in the document."""
    print("| model | task | way | windows | lexical | MAP | MRR | RP@10 | MAP, a word shared | MAP, none shared |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for row in rows:
        split = [f"{row[name][0]['value']:.3f} (n = {row[name][1]})" if name in row else "-" for name in SLICES]
        numbers = [estimate(row["map"]), *(f"{row[metric]['value']:.3f}" for metric in METRICS[1:])]
        chosen = ["" if row[key] is None else str(row[key]) for key in ("windows", "lexical")]
        print("| " + " | ".join([row["model"], row["task"], row["way"], *chosen, *numbers, *split]) + " |")


def main() -> None:
    """Measure, write and print."""
    options = arguments(
        __doc__ or "",
        data={"type": Path},
        tuned={"type": Path},
        runs={"type": Path, "help": "folder of the runs, whose vectors are used again"},
        audit={"action": "store_true", "help": "audit names as well (minutes)"},
    )
    data = options.data or HR_CORE
    names = ("skill_extract_tech_val", "skill_extract_house_val") if options.data else ("test/skill", "dev/skill")
    folders = [data / name for name in names]
    models = {"MiniLM": {"ref": "minilm", "backend": "openvino"}}
    if options.tuned:
        models["titles.yaml, seed 13"] = {"ref": f"path:{options.tuned}", "backend": "openvino"}
    with tempfile.TemporaryDirectory() as empty:
        runs = options.runs or Path(empty)
        rows = [
            row
            for label, model in models.items()
            for test, dev in (folders, folders[::-1])
            for row in quality(label, model, test, dev, runs)
        ]
        show(rows)
        taken = cost(folders, runs, 1 if options.short else 5)
        seconds = taken["seconds"]
        slower = 1 / ratio(seconds["whole"], seconds["both"])
        rows.append(
            {
                "what": "scoring with windows and a lexical part, vectors kept",
                "against": "whole vectors",
                "target": "stated",
                "value": slower,
                "median_seconds": {name: median(each) for name, each in seconds.items()},
                **taken,
            }
        )
        rows += audit(runs) if options.audit else []
    record("sentence_scoring", options, rows)


if __name__ == "__main__":
    main()
