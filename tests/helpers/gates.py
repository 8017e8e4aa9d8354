"""Eval runs and audits as they lie on disk, with scores that a test chose."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from hrembed.config.eval import EvalConfig
from hrembed.records.base import write_record
from hrembed.records.bias_audit import AttributeComparison, BiasAuditRecord, GroupContrast, Limits, Shares
from hrembed.records.cases import RankedDocument, TaskCases, WorstCase
from hrembed.records.eval import EvalRecord, TaskFacts
from hrembed.runs.record import open_run
from hrembed.runs.workspace import Workspace
from hrembed.types import Estimate

if TYPE_CHECKING:
    from pathlib import Path

    from hrembed.metrics.gating import Outcome

QUERIES = 80
GROUPS = [f"g{n // 2}" for n in range(QUERIES)]


def values(shift: float, seed: int = 1) -> np.ndarray:
    """Scores of a model; every seed shares the difficulty of the queries."""
    hard = np.random.default_rng(0).normal(0.6, 0.15, size=QUERIES)
    return np.clip(hard + np.random.default_rng(seed).normal(0, 0.02, size=QUERIES) + shift, 0, 1)


def eval_run(
    runs: Path, models: dict[str, np.ndarray], task: Path, *, metric: str = "ndcg@10", called: str = "task/test"
) -> Path:
    """Write an eval run of one task through the same code as the stage does; returns its folder."""
    config = EvalConfig(models=tuple({"ref": f"path:{name}"} for name in models), baselines=(),
                        tasks=({"path": str(task)},))  # fmt: skip
    with open_run(Workspace(runs), "eval", config.model_dump(mode="json"), seeds={}) as run:
        run.add_input(called, task)
        for name, found in models.items():
            run.add_model(f"path:{name}", f"identity-{name}", f"folder-{name}")
            mean = float(found.mean())
            assert 0 <= mean <= 1
        scores = {
            f"path:{name}": {
                metric: Estimate(
                    float(v.mean()), float(v.mean()) - 0.03, float(v.mean()) + 0.03, QUERIES // 2, "groups"
                )
            }
            for name, v in models.items()
        }
        run.write_metrics(
            EvalRecord(
                confidence=0.95,
                delta=0.02,
                kinds={called: TaskFacts(kind="retrieval", items=QUERIES, unit="groups")},
                retention=(),
                headlines={called: metric},
                scores={called: scores},
                facts={},
                differences=(),
                families={"tasks": 0, "retention": 0},
                slices={},
                robustness={},
            )
        )
        count = len(models)
        run.write_table(
            "per_query",
            {
                "task": [called] * QUERIES * count,
                "model": [f"path:{name}" for name in models for _ in range(QUERIES)],
                "query": [f"q{n}" for n in range(QUERIES)] * count,
                "group": GROUPS * count,
                metric: np.concatenate(list(models.values())).tolist(),
            },
        )
    return run.path


def audit_run(
    runs: Path, model: str, *, verdict: Outcome = "pass", stimuli: str = "s1", gap: float = 0.0, page: str = ""
) -> Path:
    """Write an audit of forty names in two groups."""
    nan = float("nan")
    effect = Estimate(0.3, 0.2, nan, 40, "names")
    shown = GroupContrast(first="female", second="male", effect=effect, detectable=nan, unit="SD")
    gender = AttributeComparison(
        sizes={"female": 20, "male": 20}, gap_verdict=verdict, ratio_verdict=verdict, p_value=nan, p_holm=nan,
        gaps=(shown,), gaps_two_way=(), impact_ratios={}, measures={}, spread_p=nan, excess={}, jobs=(),
        shares=Shares(ndkl=nan, ndkl_null=nan, ndkl_p=nan, attention=nan, attention_p=nan, skew={}),
    )  # fmt: skip
    record = BiasAuditRecord(
        verdict=verdict, confidence=0.95, limits=Limits(gap=0.2, impact_ratio=0.8, flip=None, recall=None),
        headline_cut=0.1, names=40, stimuli_sha256=stimuli, attributes={"gender": gender},
    )  # fmt: skip
    with open_run(Workspace(runs), "bias-audit", {}, seeds={}) as run:
        run.add_model(f"path:{model}", f"identity-{model}", "")
        run.write_metrics(record)
        if page:
            (run.path / "report.html").write_text(page, encoding="utf-8")
        effects = np.random.default_rng(3).normal(0, 0.05, size=40) + np.repeat([gap, 0.0], 20)
        run.write_table(
            "per_name",
            {
                "name": [f"n{n}" for n in range(40)],
                "gender": ["female"] * 20 + ["male"] * 20,
                "score": effects.tolist(),
            },
        )
    return run.path


def run_full_of(text: str, runs: Path) -> Path:
    """Write an eval run in which every name that a user can choose is the text."""
    config = EvalConfig(models=({"ref": f"path:{text}"},), baselines=(), tasks=({"path": text},))
    record = EvalRecord(
        confidence=0.95,
        delta=0.02,
        kinds={text: TaskFacts(kind="retrieval", items=3, unit=text)},
        retention=(),
        headlines={text: "ndcg@10"},
        scores={text: {text: {"ndcg@10": Estimate(1.0, 0.5, 1.0, 3, text)}}},
        facts={},
        differences=(),
        families={"tasks": 0, "retention": 0},
        slices={},
        robustness={},
    )
    first = RankedDocument(id=text, text=text, score=0.5, grade=None)
    case = WorstCase(value=0.0, query=text, text=text, ranked_first=(first,), relevant=0, should_have=())
    with open_run(Workspace(runs), "eval", config.model_dump(mode="json"), seeds={}) as run:
        run.add_model(text, text, text)
        run.write_metrics(record)
        write_record(run.path / "cases.json", {text: TaskCases(worst={text: (case,)}, won_and_lost={}, redacted=True)})
        (run.path / 'evil"><b>.txt').write_text("x", encoding="utf-8")
    return run.path
