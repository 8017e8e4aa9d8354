"""`hrembed bias-audit`: the same résumés under different names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hrembed.audit.stimuli import NAME_SLOT, choose_names, fill, stimuli_hash
from hrembed.audit.verdict import judge, overall
from hrembed.data.locate import locate
from hrembed.data.read import read_names, read_records
from hrembed.errors import DataError, InconclusiveError, ModelError, ThresholdError
from hrembed.metrics.fairness import gaps, holm, impact_ratios, name_effects, permutation_p, selection_rates
from hrembed.progress import Silent
from hrembed.runs.record import open_run
from hrembed.stages.encoders import open_encoder, pinned
from hrembed.stages.scoring import shown
from hrembed.types import StageResult

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from hrembed.audit.stimuli import Names
    from hrembed.audit.verdict import Verdict
    from hrembed.config.schema import AuditConfig
    from hrembed.metrics.fairness import Contrast
    from hrembed.progress import Progress
    from hrembed.runs.record import Run
    from hrembed.types import Encoder, Floats, Text

NOTICE = (
    "Test data made by swapping names; by itself not a bias audit under New York City Local Law 144. "
    "The limits are engineering choices, not law."
)

GAP_UNIT = "standard deviations of a job's nameless scores"


class Finding(NamedTuple):
    """Everything about one attribute."""

    attribute: str
    gaps: list[Contrast]
    gap_verdict: Verdict
    p_value: float
    ratios: dict[float, list[Contrast]]
    ratio_verdict: Verdict


def run_bias_audit(config: AuditConfig, runs_dir: Path, progress: Progress | None = None) -> StageResult:
    """Score every job against every résumé under every name, and compare the groups of names.

    Args:
        config: Validated settings.
        runs_dir: Folder of all runs.
        progress: Told what advances.

    Returns:
        Gaps, impact ratios and the verdict; `failure` is set where `fail_on` asks for it.

    Raises:
        HrembedError: Data or model are not usable.
    """
    progress = progress or Silent()
    config = config.model_copy(update={"model": pinned(config.model, runs_dir)})
    seeds = {"bootstrap": config.bootstrap.seed}
    with open_run(runs_dir, "bias-audit", config.model_dump(mode="json"), seeds=seeds) as run:
        jobs, resumes, names = _open_stimuli(config, run)
        encoder = open_encoder(config.model, runs_dir, progress)
        run.add_model(encoder.name, encoder.identity, encoder.source)
        nameless, named = fill(resumes, names.names)
        scores, plain = _scores(encoder, jobs, resumes, nameless, named)
        effects = name_effects(scores, plain)
        if not np.isfinite(effects).all():
            raise ModelError(f"model '{encoder.name}' gives every nameless résumé the same score for some job")
        rates = {cut: selection_rates(scores, cut) for cut in config.cuts}
        findings = [_compare(config, names, attribute, effects, rates) for attribute in config.stimuli.attributes]
        verdict = overall([v for f in findings for v in (f.gap_verdict, f.ratio_verdict)])
        metrics = _as_metrics(config, findings, verdict, (len(jobs), len(resumes), len(names.names)))
        metrics["stimuli_sha256"] = stimuli_hash(jobs, named)
        run.write_table("per_name", _per_name(names, effects, rates))
        run.write_metrics(metrics)
    return StageResult(str(run.path), verdict, metrics, _tables(config, findings), _failure(config, verdict))


def _open_stimuli(config: AuditConfig, run: Run) -> tuple[list[Text], list[Text], Names]:
    stimuli = config.stimuli
    files = {part: locate(getattr(stimuli, part)) for part in ("jobs", "resumes", "names")}
    for part, path in files.items():
        run.add_input(part, path)
    jobs = read_records(files["jobs"], "")
    resumes = read_records(files["resumes"], NAME_SLOT)
    if len(resumes) < 2:
        raise DataError(f"{files['resumes']}: an audit needs two résumés or more to know how much scores vary")
    rows = read_names(files["names"], stimuli.attributes)
    return jobs, resumes, choose_names(rows, stimuli.attributes, stimuli.names_per_cell)


def _scores(
    encoder: Encoder, jobs: Sequence[Text], resumes: Sequence[Text], nameless: list[str], named: list[str]
) -> tuple[Floats, Floats]:
    """Score jobs against résumés: with names, shape (J, R, N), and without, shape (J, R)."""
    similarity = encoder.similarity([job.text for job in jobs], [*nameless, *named])
    found = similarity.block(slice(None), slice(None)).astype(np.float64)
    plain, rest = found[:, : len(resumes)], found[:, len(resumes) :]
    return rest.reshape(len(jobs), len(resumes), -1), plain


def _compare(
    config: AuditConfig, names: Names, attribute: str, effects: Floats, rates: Mapping[float, Floats]
) -> Finding:
    groups, strata, bootstrap, limits = (
        names.groups[attribute],
        names.strata(attribute),
        config.bootstrap,
        config.limits,
    )
    found = gaps(effects, groups, strata, confidence=bootstrap.confidence)
    ratios = {
        cut: impact_ratios(
            values,
            groups,
            strata,
            rng=np.random.default_rng(bootstrap.seed),
            confidence=bootstrap.confidence,
            resamples=bootstrap.resamples,
        )
        for cut, values in rates.items()
    }
    return Finding(
        attribute,
        found,
        judge(found, -limits.gap, limits.gap),
        permutation_p(
            effects, groups, strata, rng=np.random.default_rng(bootstrap.seed), resamples=bootstrap.resamples
        ),
        ratios,
        judge(ratios[config.headline_cut], limits.impact_ratio, 1 / limits.impact_ratio),
    )


def _as_metrics(
    config: AuditConfig, findings: Sequence[Finding], verdict: Verdict, sizes: tuple[int, int, int]
) -> dict[str, Any]:
    adjusted = holm([finding.p_value for finding in findings])
    attributes = {
        f.attribute: {
            "gap_verdict": f.gap_verdict,
            "ratio_verdict": f.ratio_verdict,
            "p_value": f.p_value,
            "p_holm": p_holm,
            "gaps": [_contrast(c, GAP_UNIT) for c in f.gaps],
            "impact_ratios": {str(cut): [_contrast(c, "ratio") for c in found] for cut, found in f.ratios.items()},
        }
        for f, p_holm in zip(findings, adjusted, strict=True)
    }
    return {
        "verdict": verdict,
        "notice": NOTICE,
        "confidence": config.bootstrap.confidence,
        "limits": config.limits.model_dump(),
        "headline_cut": config.headline_cut,
        "jobs": sizes[0],
        "resumes": sizes[1],
        "names": sizes[2],
        "attributes": attributes,
    }


def _contrast(contrast: Contrast, unit: str) -> dict[str, Any]:
    return {
        "first": contrast.first,
        "second": contrast.second,
        "value": contrast.value,
        "interval": [contrast.low, contrast.high],
        "detectable": contrast.detectable,
        "unit": unit,
    }


def _per_name(names: Names, effects: Floats, rates: Mapping[float, Floats]) -> dict[str, list[Any]]:
    selected = {f"selected@{cut:g}": [float(value) for value in values] for cut, values in rates.items()}
    return {
        "name": list(names.names),
        **{attribute: list(groups) for attribute, groups in names.groups.items()},
        "effect": [float(value) for value in effects],
        **selected,
    }


def _tables(config: AuditConfig, findings: Sequence[Finding]) -> dict[str, list[dict[str, str]]]:
    gap_rows = [
        {
            "attribute": f.attribute,
            "groups": f"{c.first} - {c.second}",
            "mean score gap (SD)": shown(_contrast(c, GAP_UNIT), sign=True),
            "smallest gap seen with 80 % power": f"{c.detectable:.3f}",
            "verdict": judge([c], -config.limits.gap, config.limits.gap),
        }
        for f in findings
        for c in f.gaps
    ]
    ratio_rows = [
        {
            "attribute": f.attribute,
            "selected": f"top {cut:.0%}" + (" *" if cut == config.headline_cut else ""),
            **_worst(found),
            "verdict": f.ratio_verdict if cut == config.headline_cut else "",
        }
        for f in findings
        for cut, found in f.ratios.items()
    ]
    return {
        "Score gaps between groups of names": gap_rows,
        "Impact ratios (worst pair; * decides)": ratio_rows,
    }


def _worst(contrasts: Sequence[Contrast]) -> dict[str, str]:
    """The pair with the lowest ratio; undefined when no one of some group was selected."""
    worst = min(contrasts, key=lambda c: -1.0 if np.isnan(c.value) else c.value)
    return {
        "groups": f"{worst.first} / {worst.second}",
        "impact ratio": shown(_contrast(worst, "ratio")),
    }


def _failure(config: AuditConfig, verdict: Verdict) -> Exception | None:
    if verdict == "fail" and config.fail_on != "never":
        return ThresholdError("the audit found a difference beyond the limits of the config")
    if verdict == "inconclusive" and config.fail_on == "fail-or-inconclusive":
        return InconclusiveError(
            "the audit can neither show nor exclude a difference beyond the limits",
            hint="use more names: the table shows how small a gap this number of names can see",
        )
    return None
