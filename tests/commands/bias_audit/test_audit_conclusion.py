"""What `hrembed bias-audit` says at its end."""

import pytest
from hrembed.commands.bias_audit.conclusion import conclusion_of
from hrembed.config.bias_audit import AuditConfig
from hrembed.records.bias_audit import BiasAuditRecord, GateResult, GroupContrast, Limits
from hrembed.types import Estimate

RUN = "20260101T000000Z-00000000"


def gate(name: str, attribute: str, verdict: str, *, names: int | None = None) -> GateResult:
    ratio = name == "impact ratio"
    effect = Estimate(0.652, 0.49, 0.869, 8, "names") if ratio else Estimate(0.156, 0.077, 0.235, 8, "names")
    worst = GroupContrast(
        first="male", second="female", effect=effect, detectable=0.1, unit="ratio" if ratio else "difference"
    )
    return GateResult(
        attribute=attribute, gate=name, measure="score", range=(0.8, 1.25), worst=worst, p_value=0.01, p_holm=0.02,
        equivalence_p=0.9, verdict=verdict, names_needed=names,
    )  # fmt: skip


def said(verdict: str, *gates: GateResult, **settings: object) -> list[str]:
    record = BiasAuditRecord(
        verdict=verdict, confidence=0.95, headline_cut=0.1, gates=gates,
        limits=Limits(gap=0.2, impact_ratio=0.8, flip=None, recall=None),
    )  # fmt: skip
    return conclusion_of(record, AuditConfig.model_validate(settings), RUN)


def test_what_is_beyond_a_limit_comes_first_with_its_interval_then_what_is_open_then_what_holds():
    gates = (
        gate("score gap", "race", "pass"),
        gate("score gap", "gender", "inconclusive", names=52),
        gate("impact ratio", "gender", "fail"),
    )
    assert said("fail", *gates) == [
        "Beyond the limits: impact ratio by gender (male against female 0.652, 95 % interval 0.490 to 0.869).",
        "Open, neither within the limits nor certain to be beyond them: score gap by gender. "
        "It takes about 52 names of each group to settle all of them.",
        "Within the limits: score gap by race.",
        "Next, measure what lowers the difference, and what that costs:",
        '  hrembed bias-audit --set model.ref=minilm --set "mitigation.ways=[header, leace]"',
    ]


def test_a_pass_leads_to_the_gate():
    *_, last = said("pass", gate("score gap", "race", "pass"))
    assert last == f"  hrembed gate --set candidate.audit={RUN} --set fairness.verdict=pass"


def test_an_open_verdict_leads_to_more_stimuli():
    *_, last = said("inconclusive", gate("score gap", "race", "inconclusive"))
    assert last.startswith("  hrembed bias-audit --set model.ref=minilm --set stimuli.jobs=")


@pytest.mark.parametrize("settings", [{"model": None, "scores": {"path": "scores.csv"}}])
def test_scores_of_another_system_lead_to_the_pages(settings):
    assert said("fail", gate("score gap", "race", "fail"), **settings)[-1] == "  hrembed runs report"
