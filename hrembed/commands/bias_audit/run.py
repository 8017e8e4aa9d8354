"""`hrembed bias-audit`: the same résumés under different names and with other cues, and the tables of the law."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hrembed.audit.findings import Method, compare, judge_all
from hrembed.audit.matching import imbalance
from hrembed.audit.self_check import self_check
from hrembed.audit.stimuli import fill, stimuli_hash, strange_names, without_slots
from hrembed.audit.verdict import Gate, overall
from hrembed.commands.bias_audit.decisions import decision_tables, decisions_json
from hrembed.commands.bias_audit.metrics import NOTICE, attribute_json, gates_json
from hrembed.commands.bias_audit.mitigation import mitigate
from hrembed.commands.bias_audit.page import write_report
from hrembed.commands.bias_audit.probes import associations_of, leakage, name_vectors
from hrembed.commands.bias_audit.scores import ModelScores, controls, measure, read_scores
from hrembed.commands.bias_audit.stimuli import cue_texts, open_stimuli
from hrembed.commands.bias_audit.tables import result_tables
from hrembed.commands.bias_audit.titles import gendered_titles
from hrembed.config.parts import ModelSection
from hrembed.data.locate import locate
from hrembed.errors import InconclusiveError, ThresholdError
from hrembed.metrics.multiplicity import benjamini_hochberg, holm
from hrembed.models.dense import DenseEncoder
from hrembed.runs.record import open_run
from hrembed.scoring.encoders import open_encoder, pinned
from hrembed.types import CommandResult

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hrembed.audit.findings import Finding, Judged
    from hrembed.audit.measures import Measured
    from hrembed.audit.verdict import Verdict
    from hrembed.commands.bias_audit.scores import FileScores
    from hrembed.commands.bias_audit.stimuli import Stimuli
    from hrembed.config.bias_audit import AuditConfig
    from hrembed.progress import Progress
    from hrembed.runs.record import Run
    from hrembed.runs.workspace import Workspace
    from hrembed.types import Encoder, Floats

_ROWS = 2_000_000  # of rows.parquet; more are left out, since no one reads them


def run_bias_audit(config: AuditConfig, workspace: Workspace) -> CommandResult[Any]:
    """Score every job against every résumé under every name, and compare the groups of names.

    Args:
        config: Validated settings.
        workspace: Where runs go, and who receives progress updates.

    Returns:
        Gaps, impact ratios and the verdict; `failure` is set where `fail_on` asks for it.

    Raises:
        HrembedError: Data or model are not usable.
    """
    if config.model is not None:
        config = config.model_copy(update={"model": pinned(config.model, workspace.root)})
    seeds = {"bootstrap": config.bootstrap.seed}
    with open_run(workspace, "bias-audit", config.model_dump(mode="json"), seeds=seeds) as run:
        decisions = decisions_json(config.decisions, run, config.bootstrap.confidence) if config.decisions else None
        if config.model is None and config.scores is None and not config.texts_only:
            metrics: dict[str, Any] = {"verdict": "ok", "decisions": decisions}
            run.write_metrics(metrics)
            write_report(run, config, metrics)
            return CommandResult(str(run.path), "ok", metrics, decision_tables(decisions))
        stimuli = open_stimuli(config, run)
        if config.texts_only:
            return _texts(config, stimuli, run)
        metrics = _audit(config, stimuli, run)
        metrics |= {"decisions": decisions} if decisions else {}
        run.write_metrics(metrics)
        write_report(run, config, metrics)
    tables = {**result_tables(metrics), **decision_tables(decisions)}
    return CommandResult(str(run.path), metrics["verdict"], metrics, tables, _failure(config, metrics["verdict"]))


def method_of(config: AuditConfig) -> Method:
    """Gates and resampling as the audit uses them."""
    limits, headline = config.limits, f"selected@{config.headline_cut:g}"
    gates = [
        Gate("score gap", "score", -limits.gap, limits.gap),
        Gate("impact ratio", headline, limits.impact_ratio, 1 / limits.impact_ratio, ratio=True),
    ]
    if limits.flip is not None:
        gates.append(Gate("excess flips", "flip", -limits.flip, limits.flip))
    if limits.recall is not None:
        gates.append(Gate("recall gap", "recall", -limits.recall, limits.recall))
    bootstrap = config.bootstrap
    return Method(tuple(gates), headline, bootstrap.confidence, bootstrap.resamples, bootstrap.seed)


class _Names(NamedTuple):
    measured: Measured
    findings: list[Finding]
    judged: list[Judged]


def _audit(config: AuditConfig, stimuli: Stimuli, run: Run) -> dict[str, Any]:
    method = method_of(config)
    encoder, source = _source(config, stimuli, run)
    named = fill(stimuli.resumes, stimuli.names.names)
    run.progress.note(
        f"{len(stimuli.jobs):,} jobs, {len(stimuli.resumes):,} résumés, {len(stimuli.names.names):,} names"
    )
    rows = len(stimuli.jobs) * len(stimuli.resumes) * (1 + len(stimuli.names.names))
    kept: list[Floats] | None = [] if rows <= _ROWS else None
    measured = measure(source, named, stimuli, config, kept)
    findings = [compare(measured, stimuli.names, attribute, method) for attribute in stimuli.names.groups]
    judged = judge_all(findings, method, holm)
    names = _Names(measured, findings, judged)
    verdict = overall(own.verdict for own in judged)
    metrics = _names_json(config, stimuli, names, method, verdict)
    metrics["stimuli_sha256"] = stimuli_hash(stimuli.jobs, [*without_slots(stimuli.resumes), *named])
    metrics["self_check"] = [
        {**row._asdict(), "holds": row.holds}
        for row in self_check(
            measured, stimuli.names, method.headline, splits=config.self_check, seed=config.bootstrap.seed
        )
    ]
    run.write_table("per_name", _per_name(stimuli, measured))
    if kept is None:
        run.progress.note(f"rows.parquet is left out: it would have {rows:,} rows")
    else:
        _write_rows(run, kept, stimuli)
    if encoder is not None and isinstance(source, ModelScores):
        metrics |= _of_model(config, stimuli, encoder, source, method, run.progress)
        metrics["mitigation"] = mitigate(config, stimuli, encoder, method, run)
    return metrics


def _source(config: AuditConfig, stimuli: Stimuli, run: Run) -> tuple[Encoder | None, ModelScores | FileScores]:
    if config.scores is not None:
        file = locate(config.scores.path)
        run.add_input("scores", file)
        return None, read_scores(file, stimuli)
    section = config.model or ModelSection()  # the config lets no audit through that has neither
    encoder = open_encoder(section, run, cache=run.cache / "vectors")
    run.add_model(encoder.name, encoder.identity, encoder.source)
    return encoder, ModelScores(encoder, stimuli.jobs, stimuli.resumes)


def _names_json(
    config: AuditConfig, stimuli: Stimuli, names: _Names, method: Method, verdict: Verdict
) -> dict[str, Any]:
    cells = [*stimuli.names.groups.values()][-1]
    return {
        "verdict": verdict,
        "notice": NOTICE,
        "confidence": config.bootstrap.confidence,
        "limits": config.limits.model_dump(),
        "headline_cut": config.headline_cut,
        "jobs": names.measured.jobs,
        "resumes": names.measured.resumes,
        "names": len(stimuli.names.names),
        "gates": gates_json(names.judged),
        "attributes": {
            found.attribute: attribute_json(found, names.judged, method, stimuli.jobs) for found in names.findings
        },
        "balance": imbalance(stimuli.features, cells),
        "names_not_latin": len(strange_names(stimuli.names.names)),
    }


def _of_model(
    config: AuditConfig,
    stimuli: Stimuli,
    encoder: Encoder,
    source: ModelScores,
    method: Method,
    progress: Progress,
) -> dict[str, Any]:
    """What needs the model itself: cues, controls, titles, leakage, associations."""
    found: dict[str, Any] = {"cues": _cues(config, stimuli, source, method, progress)}
    if config.controls:
        found["controls"] = [row._asdict() for row in controls(source, stimuli, config.headline_cut)]
    bootstrap = config.bootstrap
    if stimuli.titles:
        found["titles"] = gendered_titles(
            encoder, stimuli, confidence=bootstrap.confidence, resamples=bootstrap.resamples, seed=bootstrap.seed
        )
    if isinstance(encoder, DenseEncoder):
        vectors = name_vectors(encoder, stimuli)
        found["leakage"] = [leakage(vectors, stimuli, own, bootstrap.seed) for own in stimuli.names.groups]
        found["associations"] = associations_of(encoder, stimuli, config.stimuli.words, bootstrap.seed)
    return found


def _cues(
    config: AuditConfig, stimuli: Stimuli, source: ModelScores, method: Method, progress: Progress
) -> dict[str, Any]:
    """Compare the versions of every cue, wording by wording; p-values are adjusted over all cues."""
    findings = []
    for cue, units in stimuli.cues.items():
        progress.note(f"cue: {cue}")
        measured = measure(source, cue_texts(stimuli.resumes, cue, units), stimuli, config)
        findings.append(compare(measured, units, cue, method))
    judged = judge_all(findings, method, benjamini_hochberg)
    return {found.attribute: attribute_json(found, judged, method, stimuli.jobs) for found in findings}


def _per_name(stimuli: Stimuli, measured: Measured) -> dict[str, list[Any]]:
    return {
        "name": list(stimuli.names.names),
        **{attribute: list(groups) for attribute, groups in stimuli.names.groups.items()},
        **{name: values.tolist() for name, values in stimuli.features.items()},
        **{name: [float(value) for value in values] for name, values in measured.units.items()},
    }


def _write_rows(run: Run, scores: Sequence[Floats], stimuli: Stimuli) -> None:
    """Write every score with job, résumé and name; the empty name is the résumé without one."""
    names = ["", *stimuli.names.names]
    jobs, resumes = ([text.id for text in side] for side in (stimuli.jobs, stimuli.resumes))
    each = len(resumes) * len(names)
    run.write_table(
        "rows",
        {
            "job": [job for job in jobs for _ in range(each)],
            "resume": [own for _ in jobs for own in resumes for _ in names],
            "name": names * (len(jobs) * len(resumes)),
            "score": np.concatenate(scores).ravel().tolist(),
        },
    )


def _texts(config: AuditConfig, stimuli: Stimuli, run: Run) -> CommandResult[Any]:
    """Write what another system would have to score."""
    names = ["", *stimuli.names.names]
    filled = fill(stimuli.resumes, stimuli.names.names)
    plain, each = without_slots(stimuli.resumes), len(stimuli.names.names)
    texts = [
        text for n, own in enumerate(plain) for text in (own, *filled[n * each : (n + 1) * each])
    ]  # fmt: skip
    ids = [resume.id for resume in stimuli.resumes]
    run.write_table(
        "texts",
        {
            "kind": ["job"] * len(stimuli.jobs) + ["resume"] * len(texts),
            "id": [job.id for job in stimuli.jobs] + [own for own in ids for _ in names],
            "name": [""] * len(stimuli.jobs) + names * len(ids),
            "text": [job.text for job in stimuli.jobs] + texts,
        },
    )
    metrics: Mapping[str, Any] = {"verdict": "ok", "jobs": len(stimuli.jobs), "texts": len(texts)}
    run.write_metrics(metrics)
    return CommandResult(str(run.path), "ok", metrics, {"Texts": [{key: str(value) for key, value in metrics.items()}]})


def _failure(config: AuditConfig, verdict: str) -> Exception | None:
    if verdict == "fail" and config.fail_on != "never":
        return ThresholdError("the audit found a difference beyond the limits of the config")
    if verdict == "inconclusive" and config.fail_on == "fail-or-inconclusive":
        return InconclusiveError(
            "the audit can neither show nor exclude a difference beyond the limits",
            hint="use more names: the table of gates says about how many would settle it",
        )
    return None
