"""Sentences and skills: whole vectors, windows, a lexical part and both; chosen on one domain, reported on the other.

    python benchmarks/sentence_scoring.py --data FOLDER [--tuned NAME=MODEL_FOLDER] [--runs FOLDER] [--audit] [--short]

FOLDER holds `skill_extract_tech_val` and `skill_extract_house_val` in BEIR layout; without it the skill tasks of
hr-core stand in. What is chosen is what `score.windows: auto` and `score.lexical: auto` choose. Memory and time are
those of a process of its own; whole vectors and both take turns in it, with the vectors of the documents kept, so that
the ratio is that of the scoring alone. With `--audit`, two `hrembed bias-audit` runs show what the scoring does to
names. The table of `docs/results.md` is printed.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from hrembed.config.parts import BootstrapSection, ModelSection, ScoreSection, TaskSection
from hrembed.data.read import read_task
from hrembed.evaluation.slices import SHARED_WORDS, slice_labels
from hrembed.models.lexical import Bm25, CharTfIdf
from hrembed.records.manifest import Scoring
from hrembed.runs.past import find_run, finished
from hrembed.runs.workspace import Workspace
from hrembed.scoring.encoders import open_encoder
from hrembed.scoring.past_audits import gap_growths, read_audit
from hrembed.scoring.retrieval import compare, estimate, groups_of, rank_task, score_ranking
from hrembed.scoring.score_choice import try_ways

from measuring import HR_CORE, arguments, ratio, record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hrembed.records.manifest import ScoringTrial
    from hrembed.types import Encoder, Estimate, Floats, Task

OPEN = ScoreSection(windows="auto", lexical="auto", dev=TaskSection())
BOOTSTRAP = BootstrapSection()
METRICS = ("map", "mrr", "r-precision@10")
SHIPPED = {"windows": [3, 4], "lexical": 0.3}
QUICK_AUDIT = {"cues": [], "controls": False, "self_check": 0, "fail_on": "never"}
SENTENCES = 338  # as many as the larger public set of this kind has
SLICES = ("shares a word", "shares no word")


def command(name: str, settings: dict[str, Any], runs: Path) -> None:
    """Run a command of hrembed."""
    options = [part for key, value in settings.items() for part in ("--set", f"{key}={json.dumps(value)}")]
    done = subprocess.run(
        [sys.executable, "-m", "hrembed", name, "--runs-dir", str(runs), *options],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(done.stderr)


def quality(label: str, model: dict[str, Any], folders: list[Path], workspace: Workspace) -> list[dict[str, Any]]:
    """Choose on each domain what `score: auto` would, and measure it on the other."""
    cache = workspace.cache / "vectors"
    tasks = [read_task(folder, None) for folder in folders]
    encoder = open_encoder(ModelSection(**model), workspace, cache=cache)
    grids = [try_ways(encoder, task, OPEN, workspace.progress).tried for task in tasks]
    rows = []
    for test, dev in ((0, 1), (1, 0)):
        baseline: Floats | None = None
        for way, scoring in chosen(grids[dev]).items():
            score = ScoreSection.of(scoring).model_dump(exclude_defaults=True)
            system = open_encoder(ModelSection(**model, score=score), workspace, cache=cache)
            row = measured(label, way, system, tasks[test], baseline)
            baseline = row.pop("values") if baseline is None else baseline
            row.pop("values", None)
            rows.append(row | {"chosen on": tasks[dev].name, "windows": scoring.windows, "lexical": scoring.lexical})
        for lexical in (CharTfIdf(), Bm25()):
            row = measured(label, f"{lexical.name} alone", lexical, tasks[test], baseline)
            row.pop("values")
            rows.append(row)
    return rows + [
        {"model": label, "grid": task.name, "tried": [trial.model_dump() for trial in grid]}
        for task, grid in zip(tasks, grids, strict=True)
    ]


def chosen(grid: Sequence[ScoringTrial]) -> dict[str, Scoring]:
    """The ways of a table, by the highest mean of those that they allow."""

    def best(trials: list[ScoringTrial]) -> Scoring:
        trial = max(trials, key=lambda each: each.mean)
        return Scoring(windows=trial.windows, lexical=trial.lexical)

    return {
        "whole vectors": Scoring(),
        "windows": best([trial for trial in grid if not trial.lexical]),
        "whole vectors, lexical": best([trial for trial in grid if not trial.windows]),
        "windows, lexical": best(list(grid)),
        "as shipped": Scoring(**SHIPPED),
    }


def measured(label: str, way: str, system: Encoder, task: Task, baseline: Floats | None) -> dict[str, Any]:
    """All metrics of a system on a task, MAP by shared words, and its difference to the baseline."""
    values = score_ranking(task, rank_task(system, task), METRICS)
    groups, shared = groups_of(task), slice_labels(task, SHARED_WORDS)
    of_slice = {name: values["map"][[label == name for label in shared]] for name in SLICES}
    return {
        "model": label,
        "task": task.name,
        "way": way,
        "metric": METRICS[0],
        **{metric: asdict(estimate(values[metric], groups, BOOTSTRAP)) for metric in METRICS},
        "against whole vectors": None
        if baseline is None
        else asdict(compare(values["map"], baseline, groups, BOOTSTRAP).estimate),
        **{name: [float(inside.mean()), len(inside)] for name, inside in of_slice.items() if len(inside)},
        "values": values["map"],
    }


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
    """Audit names with whole vectors and as shipped, without cues; the gaps of MiniLM, and how far they move."""
    audits = []
    for score in ({}, SHIPPED):
        model = {"ref": "minilm", "backend": "openvino", "score": score}
        command("bias-audit", {"model": model, "stimuli.names_per_cell": 20, **QUICK_AUDIT}, runs)
        audits.append(read_audit(finished(find_run(runs, "latest", "bias-audit"))))
    rows: list[dict[str, Any]] = [
        {
            "what": "names",
            "way": way,
            "verdict": done.record.verdict,
            "attributes": {
                name: {
                    "largest gap": asdict(max(found.gaps, key=lambda gap: abs(gap.effect.value)).effect),
                    "lowest ratio": asdict(min((row.effect for row in found.impact_ratios["0.1"]), key=_value)),
                    "verdicts": [found.gap_verdict, found.ratio_verdict],
                }
                for name, found in done.record.attributes.items()
            },
        }
        for way, done in zip(("whole vectors", "as shipped"), audits, strict=True)
    ]
    growths = gap_growths(audits[1], audits[0], "score", BOOTSTRAP)
    return rows + [
        {"what": "growth of a gap", "attribute": each.attribute, "groups": each.groups, "growth": asdict(each.estimate)}
        for each in growths
    ]


def _value(estimate: Estimate) -> float:
    return estimate.value


def shown(found: dict[str, Any], *, sign: bool = False) -> str:
    """A number with its interval."""
    plus = "+" if sign else ""
    return f"{found['value']:{plus}.3f} [{found['low']:{plus}.3f}, {found['high']:{plus}.3f}]"


def show(rows: list[dict[str, Any]]) -> None:
    """Print the table as it stands in the document."""
    print(
        "| model, task | way | MAP | against whole vectors | MRR | RP@10 | MAP, a word shared | MAP, no word shared |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for row in (row for row in rows if "map" in row):
        widths = ", ".join(map(str, row.get("windows") or ()))
        parts = [f"[{widths}]" if widths else "", f"{row['lexical']:g}" if row.get("lexical") else ""]
        how = " + ".join(part for part in parts if part)
        delta = row["against whole vectors"]
        cells = [f"{row['model']}, {row['task']}", row["way"] + (f": {how}" if how else ""), shown(row["map"])]
        cells += ["" if delta is None else shown(delta, sign=True)]
        cells += [f"{row[metric]['value']:.3f}" for metric in METRICS[1:]]
        cells += [f"{row[name][0]:.3f} (n = {row[name][1]})" if name in row else "" for name in SLICES]
        print("| " + " | ".join(cells) + " |")


def main() -> None:
    """Measure, write and print."""
    options = arguments(
        __doc__ or "",
        data={"type": Path},
        tuned={"help": "NAME=MODEL_FOLDER, a model beside MiniLM"},
        runs={"type": Path, "help": "folder of the runs, whose vectors are used again"},
        audit={"action": "store_true", "help": "audit names as well (minutes)"},
    )
    data = options.data or HR_CORE
    names = ("skill_extract_tech_val", "skill_extract_house_val") if options.data else ("test/skill", "dev/skill")
    folders = [data / name for name in names]
    models = {"MiniLM": {"ref": "minilm", "backend": "openvino"}}
    if options.tuned:
        name, _, folder = options.tuned.partition("=")
        models[name] = {"ref": f"path:{folder}", "backend": "openvino"}
    with tempfile.TemporaryDirectory() as empty:
        runs = options.runs or Path(empty)
        rows = [row for label, model in models.items() for row in quality(label, model, folders, Workspace(runs))]
        show(rows)
        taken = cost(folders, runs, 1 if options.short else 5)
        seconds = taken["seconds"]
        rows.append(
            {
                "what": "scoring with windows and a lexical part, vectors kept",
                "against": "whole vectors",
                "times as long": 1 / ratio(seconds["whole"], seconds["both"]),
                "median_seconds": {name: median(each) for name, each in seconds.items()},
                **taken,
            }
        )
        rows += audit(runs) if options.audit else []
    record("sentence_scoring", options, rows)


if __name__ == "__main__":
    main()
