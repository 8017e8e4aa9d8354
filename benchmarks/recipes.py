"""What trained models make of job titles and of sentences about skills, beside each other.

    python benchmarks/recipes.py --titles FOLDER --skills FOLDER... --models NAME=REF... [--runs FOLDER] [--last]

Titles are scored with the queries as they are and in one form (`normalise_titles: queries`); of their queries one half
is for decisions, the other for the last look, which `--last` alone shows (by the parity of the SHA-256 of the query's
id). Sentences are scored by their whole vectors, and with the windows and the lexical part that ship. Differences are
to the model named first, paired by query. Without folders the tasks of hr-core stand in.

A training takes the better part of an hour, and its weights are not kept with the code. The scores of every query are,
in `recipe_queries.json` among the results, by the name of the model; `NAME=kept` reads them.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from hrembed.config.parts import BootstrapSection, ModelSection
from hrembed.data.read import read_task
from hrembed.runs.workspace import Workspace
from hrembed.scoring.encoders import open_encoder
from hrembed.scoring.retrieval import compare, estimate, groups_of, rank_task, score_ranking

from measuring import HR_CORE, arguments, record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hrembed.types import Bools, Floats, Task

METRICS = ("map", "mrr", "r-precision@10")
TITLES: dict[str, dict[str, Any]] = {
    "as they are": {"normalise_titles": "none"},
    "in one form": {"normalise_titles": "queries"},
}
SENTENCES: dict[str, dict[str, Any]] = {"vectors": {}, "as shipped": {"score": {"windows": [3, 4], "lexical": 0.3}}}
BOOTSTRAP = BootstrapSection()


def halves(task: Task, *, last: bool) -> Iterator[tuple[str, Bools]]:
    """The half of the queries for decisions; with `last` also the other, and all."""
    odd = np.array([hashlib.sha256(query.id.encode()).digest()[-1] % 2 == 1 for query in task.queries])
    yield "first half", ~odd
    if last:
        yield "last half", odd
        yield "all", np.ones(len(odd), dtype=bool)


def parts_of(task: Task, kind: str, *, last: bool) -> list[tuple[str, Bools]]:
    """What is reported of a task: halves of titles, sentences as a whole."""
    return list(halves(task, last=last)) if kind == "titles" else [("all", np.ones(len(task.queries), dtype=bool))]


class Kept:
    """Scores of queries by model, task and way; a file of them, read and written whole."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.scores: dict[str, dict[str, Any]] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}

    def read(self, name: str, task: Task, way: str) -> dict[str, Floats]:
        """Scores that were kept of these very queries, by metric."""
        kept = self.scores.get(name, {}).get(f"{task.name}, {way}")
        if kept is None or kept["queries"] != _queries_hash(task):
            raise SystemExit(f"{self.file} holds no scores of '{name}' for these queries of {task.name}, {way}")
        return {metric: np.asarray(kept[metric]) for metric in METRICS}

    def keep(self, name: str, task: Task, way: str, values: dict[str, Floats]) -> None:
        """Keep scores in place of those of the same name."""
        rounded = {metric: [round(float(each), 6) for each in values[metric]] for metric in METRICS}
        self.scores.setdefault(name, {})[f"{task.name}, {way}"] = {"queries": _queries_hash(task), **rounded}

    def write(self) -> None:
        """Write a line for each model."""
        lines = [f"{json.dumps(name)}: {json.dumps(self.scores[name], sort_keys=True)}" for name in sorted(self.scores)]
        self.file.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def _queries_hash(task: Task) -> str:
    return hashlib.sha256(json.dumps([query.id for query in task.queries]).encode()).hexdigest()[:16]


def rows_of(
    folder: Path, kind: str, models: dict[str, str], workspace: Workspace, kept: Kept, *, last: bool
) -> list[Any]:
    """Score every model on a task in each way; a row for each part of its queries."""
    task = read_task(folder, None)
    groups = np.asarray(groups_of(task))
    first: dict[str, dict[str, Floats]] = {}
    rows = []
    for name, ref in models.items():
        for way, settings in (TITLES if kind == "titles" else SENTENCES).items():
            if ref == "kept":
                values = kept.read(name, task, way)
            else:
                model = ModelSection.model_validate({"ref": ref, "backend": "openvino", **settings})
                encoder = open_encoder(model, workspace, cache=workspace.cache / "vectors")
                values = score_ranking(task, rank_task(encoder, task), METRICS)
                kept.keep(name, task, way, values)
            before = first.setdefault(way, values)
            for part, chosen in parts_of(task, kind, last=last):
                row = {"model": name, "task": task.name, "way": way, "queries": part, "count": int(chosen.sum())}
                for metric in METRICS:
                    row[metric] = asdict(estimate(values[metric][chosen], groups[chosen], BOOTSTRAP))
                    if before is not values:
                        pair = values[metric][chosen], before[metric][chosen]
                        row[f"{metric} against the first"] = asdict(compare(*pair, groups[chosen], BOOTSTRAP).estimate)
                rows.append(row)
    return rows


def shown(row: dict[str, Any], metric: str) -> str:
    """A number, its interval, and how far it is from the first model's."""
    found, against = row[metric], row.get(f"{metric} against the first")
    text = f"{found['value']:.3f} [{found['low']:.3f}, {found['high']:.3f}]"
    return text + (
        "" if against is None else f", {against['value']:+.3f} [{against['low']:+.3f}, {against['high']:+.3f}]"
    )


def main() -> None:
    """Score, print a table and write the rows."""
    options = arguments(
        __doc__ or "",
        titles={"type": Path, "default": HR_CORE / "test" / "title"},
        skills={"type": Path, "nargs": "+", "default": [HR_CORE / "test" / "skill"]},
        models={"nargs": "+", "default": ["MiniLM=minilm"], "help": "NAME=REF or NAME=kept"},
        runs={"type": Path, "help": "folder for vectors, which are used again"},
        last={"action": "store_true", "help": "show the half of the titles that is kept for the last look"},
    )
    models = dict(each.split("=", 1) for each in options.models)
    tasks = [(options.titles, "titles"), *((folder, "skills") for folder in options.skills)]
    kept = Kept(options.results / f"recipe_queries{'-short' if options.short else ''}.json")
    with tempfile.TemporaryDirectory() as empty:
        workspace = Workspace(options.runs or Path(empty))
        rows = [
            row for folder, kind in tasks for row in rows_of(folder, kind, models, workspace, kept, last=options.last)
        ]
    kept.write()
    print("| model | task | way | MAP | MRR | RP@10 |\n|---|---|---|---|---|---|")
    for row in rows:
        cells = [row["model"], f"{row['task']}, {row['queries']} ({row['count']})", row["way"]]
        print("| " + " | ".join([*cells, *(shown(row, metric) for metric in METRICS)]) + " |")
    record("recipes", options, rows)


if __name__ == "__main__":
    main()
