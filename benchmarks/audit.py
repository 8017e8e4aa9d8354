"""Does the bias audit keep its promises? The numbers of `docs/results.md`, "Bias audit".

    python benchmarks/audit.py calibration OUT.json [REPETITIONS]
    python benchmarks/audit.py power OUT.json [REPETITIONS]
    python benchmarks/audit.py templates FOLDER OUT

`calibration`: names of equal groups are split at random, and every test of the report is made; each should reject in
5 %. `power`: gaps of 1, 1.5 and 2 times the smallest detectable one are planted into such splits. Both on MiniLM's
scores of the shipped jobs and résumés. `templates`: writes the stimuli of FOLDER (which is no part of the project: a
file of résumé templates with job descriptions, and two of names) to OUT, and prints the command that audits them.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from hrembed.audit.stimuli import fill
from hrembed.commands.bias_audit.probes import name_vectors, numbered
from hrembed.commands.bias_audit.scores import ModelScores, measure
from hrembed.commands.bias_audit.stimuli import open_stimuli
from hrembed.config.bias_audit import AuditConfig, StimuliSection
from hrembed.metrics.association import associations, weat
from hrembed.metrics.brown_forsythe import spread_ratio_p
from hrembed.metrics.counterfactual import excess
from hrembed.metrics.fairness import draws_p, gaps, labelings, permutation_p, spread_p
from hrembed.metrics.leakage import cross_fitted, folds_of
from hrembed.metrics.legal import naive_chi_square
from hrembed.metrics.shares import attention_draws, ndkl
from hrembed.runs.record import open_run
from hrembed.runs.workspace import Workspace
from hrembed.scoring.encoders import open_encoder
from scipy import stats

SHUFFLES = 199


def measured() -> tuple[Any, Any, Any, Any]:
    """Measure 160 names with MiniLM; returns stimuli, measures, vectors of names, and the encoder."""
    config = AuditConfig(stimuli=StimuliSection(names_per_cell=20))
    with tempfile.TemporaryDirectory() as folder, open_run(Workspace(Path(folder)), "bias-audit", {}, seeds={}) as run:
        stimuli = open_stimuli(config, run)
        encoder = open_encoder(config.model, Workspace(Path(folder)), cache=Path(folder) / "cache")
        source = ModelScores(encoder, stimuli.jobs, stimuli.resumes)
        found = measure(source, fill(stimuli.resumes, stimuli.names.names), stimuli, config)
        return stimuli, found, name_vectors(encoder, stimuli), encoder


def halves(cells: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Split the names of every cell in two at random."""
    found = np.empty(len(cells), dtype="<U1")
    for cell in np.unique(cells):
        block = rng.permutation(np.flatnonzero(cells == cell))
        found[block] = np.where(np.arange(len(block)) % 2 == 0, "A", "B")
    return found


def calibration(repetitions: int) -> list[dict[str, Any]]:
    """Share of the splits in which each test rejects at 5 %."""
    stimuli, found, vectors, encoder = measured()
    cells = np.asarray([*stimuli.names.groups.values()][-1])
    rng = np.random.default_rng(1)
    words = [encoder.vectors(own, "query").astype(float) for own in (["senior", "lead", "head"], ["junior", "helper"])]
    score = associations(encoder.vectors(stimuli.names.names, "query").astype(float), *words)
    rejected: dict[str, list[bool]] = defaultdict(list)
    for _ in range(repetitions):
        split = halves(cells, rng)
        for name, p_value in p_values(found, vectors, score, split, cells, rng).items():
            rejected[name].append(bool(p_value <= 0.05))
    return [
        {"test": name, "rejects": float(np.mean(own)), "naive": name.startswith("over cells")}
        for name, own in rejected.items()
    ]


def p_values(found: Any, vectors: Any, score: Any, split: Any, cells: Any, rng: Any) -> dict[str, float]:
    """Every p-value of the report for one split."""
    labels = labelings(split, cells, rng=rng, resamples=SHUFFLES)
    target = np.array([0.5, 0.5])
    made = dict(zip(found.units, spread_p(found.tested, labels), strict=True))
    made |= {f"excess: {name}": draws_p(excess(own, labels)[:, None])[0] for name, own in found.pairs.items()}
    made |= {f"job {n + 1}": p for n, p in enumerate(spread_p(found.by_job, labels))}
    made["spread"] = spread_ratio_p(found.units["score"], labels)
    made["NDKL"] = draws_p(ndkl(found.orders, labels, target)[:, None])[0]
    shares = np.eye(2)[labels].transpose(0, 2, 1) @ found.units["attention"]
    made["fairness of attention"] = draws_p(
        1 - attention_draws(shares / shares.sum(axis=1, keepdims=True), target)[:, None]
    )[0]
    folds = folds_of(labels[0], numbered(cells), 5, rng)
    made["leakage"] = draws_p(cross_fitted(vectors, labels, folds)[:, None])[0]
    made["WEAT"] = weat(score[split == "A"], score[split == "B"], rng=rng, resamples=SHUFFLES).p_value
    sides = [found.effects[:, split == half].ravel() for half in "AB"]
    made["over cells: t-test"] = stats.ttest_ind(*sides).pvalue
    for times in (1, 10):
        size = found.jobs * found.resumes * times
        counts = [round(float(found.units["selected@0.1"][split == half].sum()) * size) for half in "AB"]
        made[f"over cells: chi-square, {times} x as many résumés"] = naive_chi_square(counts, [80 * size] * 2)
    return made


def power(repetitions: int) -> list[dict[str, Any]]:
    """How often a planted gap is found, by multiples of the smallest detectable gap that the audit states."""
    stimuli, found, _, _ = measured()
    cells = np.asarray([*stimuli.names.groups.values()][-1])
    values, rng, rows = found.units["score"], np.random.default_rng(2), []
    for times in (1.0, 1.5, 2.0):
        hits = 0
        for _ in range(repetitions):
            split = halves(cells, rng)
            (stated,) = gaps(values, split, cells)
            planted = values + np.where(split == "A", times * stated.detectable, 0)
            hits += permutation_p(planted, split, cells, rng=rng, resamples=SHUFFLES) <= 0.05
        rows.append({"times": times, "found": hits / repetitions, "stated gap": float(stated.detectable)})
    return rows


def templates(folder: Path, out: Path) -> None:
    """Write jobs, résumés and names."""
    (found,) = folder.glob("resumes/*templates.json")
    out.mkdir(parents=True, exist_ok=True)
    jobs, resumes = [], []
    for job, own in json.loads(found.read_text(encoding="utf-8")).items():
        text = next(value for key, value in own.items() if key != "resumes" and isinstance(value, str))
        jobs.append({"_id": job, "text": text, "occupation": job})
        resumes += [{"_id": f"{job} {n}", "text": one, "occupation": job} for n, one in enumerate(own["resumes"])]
    for name, rows in (("jobs", jobs), ("resumes", resumes)):
        (out / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    races = {"W": "white", "B": "black", "A": "asian", "H": "hispanic"}
    lines = ["name,gender,race"]
    for gender, file in (("male", "top_mens"), ("female", "top_womens")):
        (names,) = folder.glob(f"names/*{file}_names.json")
        for race, own in json.loads(names.read_text(encoding="utf-8")).items():
            lines += [f"{name.title()},{gender},{races[race]}" for name in own]
    (out / "names.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    keys = " ".join(
        f"--set stimuli.{part}={out / file}"
        for part, file in (("jobs", "jobs.jsonl"), ("resumes", "resumes.jsonl"), ("names", "names.csv"))
    )
    print(f"hrembed bias-audit {keys} --set stimuli.names_per_cell=10 --set fail_on=never")


if __name__ == "__main__":
    what, first, rest = sys.argv[1], Path(sys.argv[2]), sys.argv[3:]
    if what == "templates":
        templates(first, Path(rest[0]))
    else:
        rows = {"calibration": calibration, "power": power}[what](int(rest[0]) if rest else 500)
        first.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
        for row in rows:
            print(row)
