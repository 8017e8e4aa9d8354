"""What grammatical number and comma order of job titles cost a model, and what `normalise_titles` gives back.

    python benchmarks/titles.py --task FOLDER --models REF... [--others FOLDER...] [--runs FOLDER] [--short]

FOLDER is a retrieval task of job titles in BEIR layout; with `--short`, or without it, the titles of hr-core stand in.
Each model is scored as it is, and with the titles of queries and of both sides normalised; MAP and MRR each take their
turn as the headline, since changed queries are compared on that alone. Of other tasks only the texts that the
normaliser alters are counted.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import hrembed
from hrembed.data.read import read_task
from hrembed.records.base import as_json
from hrembed.titles import normal_form

from measuring import HR_CORE, arguments, record

SIDES = ("none", "queries", "both")


def scores(ref: str, task: Path, metric: str, runs: Path) -> list[dict[str, Any]]:
    """Score a model with each setting; differences are to the model as it is, `changes` to the plain queries."""
    outcome = hrembed.evaluate(
        models=[{"ref": ref, "precision": "bfloat16", "normalise_titles": sides} for sides in SIDES],
        baselines=[],
        tasks=[{"path": str(task)}],
        retention=[],
        metrics=[metric],
        compare={"pairs": "reference"},
        slices={"by": []},
        robustness={"changes": ["number"]},
        worst=0,
        runs_dir=runs,
    )
    found = outcome.record
    (name,) = found.scores
    differences = {row.model: as_json(row)["difference"] for row in found.differences}
    return [
        {
            "what": ref if "/" not in ref else "tuned",
            "metric": metric,
            "normalise_titles": sides,
            "score": as_json(found)["scores"][name][model][metric],
            "difference": differences.get(model),
            "changes": {change: as_json(moved) for change, moved in found.robustness[name][model].items()},
        }
        for sides, model in zip(SIDES, found.scores[name], strict=True)
    ]


def altered(folder: Path) -> dict[str, Any]:
    """Count the texts of a task that the normaliser alters."""
    task = read_task(folder, None)
    counts = {
        side: f"{sum(normal_form(row.text) != row.text for row in rows)} of {len(rows)}"
        for side, rows in (("queries", task.queries), ("documents", task.documents))
    }
    return {"what": f"altered texts of {folder.parent.name}/{folder.name}", **counts}


def main() -> None:
    """Score all models, count the altered texts, and write the rows."""
    several: dict[str, Any] = {"nargs": "+"}
    options = arguments(
        __doc__ or "",
        task={"type": Path, "default": HR_CORE / "test" / "title"},
        models={**several, "default": ["minilm"]},
        runs={"type": Path, "help": "folder of the evaluations; what is embedded there once is not embedded again"},
        others={**several, "type": Path, "default": [HR_CORE / "test" / "skill", HR_CORE / "test" / "ad-profile"]},
    )
    task = HR_CORE / "test" / "title" if options.short else options.task
    with tempfile.TemporaryDirectory() as folder:
        rows = [
            row
            for ref in options.models
            for metric in ("map", "mrr")
            for row in scores(ref, task, metric, options.runs or Path(folder))
        ]
    record("titles", options, rows + [altered(each) for each in (task, *options.others)])


if __name__ == "__main__":
    main()
