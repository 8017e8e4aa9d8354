"""`hrembed bias-audit`: the same résumés under different names and with other cues, and the tables of the law."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hrembed.audit.findings import Method, compare, judge_all
from hrembed.audit.matching import imbalance
from hrembed.audit.self_check import self_check
from hrembed.audit.stimuli import fill, stimuli_hash, strange_names, without_slots
from hrembed.audit.verdict import Gate
from hrembed.commands.bias_audit.conclusion import conclusion_of
from hrembed.commands.bias_audit.mitigation import mitigate
from hrembed.commands.bias_audit.page import write_report
from hrembed.commands.bias_audit.probes import associations_of, leakage, name_vectors
from hrembed.commands.bias_audit.record import attribute_comparison, cue_comparison, gate_results, notice_of
from hrembed.commands.bias_audit.scores import ModelScores, controls, measure, read_scores
from hrembed.commands.bias_audit.stimuli import cue_texts, open_stimuli
from hrembed.commands.bias_audit.tables import DETAILS, other_cuts, result_tables
from hrembed.commands.bias_audit.titles import gendered_titles
from hrembed.config.parts import ModelSection
from hrembed.data.locate import locate
from hrembed.errors import InconclusiveError, ThresholdError
from hrembed.metrics.gating import overall
from hrembed.metrics.multiplicity import benjamini_hochberg, holm
from hrembed.models.dense import DenseEncoder
from hrembed.records.bias_audit import BiasAuditRecord, Limits
from hrembed.runs.record import open_run
from hrembed.scoring.decisions import audit_decisions
from hrembed.scoring.encoders import pinned, use_of
from hrembed.scoring.score_choice import settle_score
from hrembed.text import counted
from hrembed.types import CommandResult

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hrembed.audit.measures import Measurements
    from hrembed.commands.bias_audit.scores import FileScores
    from hrembed.commands.bias_audit.stimuli import Stimuli
    from hrembed.config.bias_audit import AuditConfig
    from hrembed.progress import Progress
    from hrembed.records.bias_audit import (
        Control,
        CueComparison,
        GenderedTitles,
        Leakage,
        Mitigation,
        RealDecisions,
        WordAssociation,
    )
    from hrembed.runs.record import Run
    from hrembed.runs.workspace import Workspace
    from hrembed.types import Encoder, Floats

_PHASES = (_READ, _NAMES, _MORE, _WRITE) = (
    "read the stimuli",
    "score under every name",
    "score under every cue",
    "write the report",
)
_ROWS = 2_000_000  # of rows.parquet; more are left out, since no one reads them


def run_bias_audit(config: AuditConfig, workspace: Workspace) -> CommandResult[BiasAuditRecord]:
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
        config = config.model_copy(update={"model": pinned(config.model, workspace)})
    seeds = {"bootstrap": config.bootstrap.seed}
    scored = not config.texts_only and (config.model is not None or config.scores is not None)
    phases = _PHASES if scored else (_READ, _WRITE)
    with open_run(workspace, "bias-audit", config.model_dump(mode="json"), seeds=seeds, phases=phases) as run:
        run.phases.begin(_READ)
        decisions = _real_decisions(config, run)
        if config.texts_only:
            run.phases.begin(_WRITE)
            record = _write_texts(config, open_stimuli(config, run), decisions, run)
            run.write_metrics(record)
            run.conclude(conclusion_of(record, config, run.path.name))
            return _result(config, run, record)
        if not scored:
            record = BiasAuditRecord(
                verdict=decisions.verdict if decisions else "ok",
                confidence=config.bootstrap.confidence,
                limits=limits_of(config),
                headline_cut=config.headline_cut,
                decisions=decisions,
            )
        else:
            record = _audit_names(config, open_stimuli(config, run), decisions, run)
        run.phases.begin(_WRITE)
        run.write_metrics(record)
        run.conclude(conclusion_of(record, config, run.path.name))
        write_report(run, config, record)
    return _result(config, run, record)


def _real_decisions(config: AuditConfig, run: Run) -> RealDecisions | None:
    if config.decisions is None:
        return None
    run.add_input("decisions", locate(config.decisions.path))
    return audit_decisions(config.decisions, config.limits.impact_ratio, config.bootstrap.confidence)


def _result(config: AuditConfig, run: Run, record: BiasAuditRecord) -> CommandResult[BiasAuditRecord]:
    """What the command shows: tables, the sentences below them, and the failure that `fail_on` asks for."""
    sentences = [record.notice, *other_cuts(record), *(record.decisions.notes if record.decisions else ())]
    notice = "\n".join([*(sentence for sentence in sentences if sentence), *run.manifest.conclusion])
    failure = _failure(config, record)
    return CommandResult(
        str(run.path), record.verdict, record, result_tables(record), failure, notice=notice, details=DETAILS
    )


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


def limits_of(config: AuditConfig) -> Limits:
    """The limits of the config, for the record."""
    limits = config.limits
    return Limits(gap=limits.gap, impact_ratio=limits.impact_ratio, flip=limits.flip, recall=limits.recall)


def _audit_names(config: AuditConfig, stimuli: Stimuli, decisions: RealDecisions | None, run: Run) -> BiasAuditRecord:
    """Measure names, and what only a model can tell."""
    method = method_of(config)
    encoder, source = _open_source(config, stimuli, run)
    names = stimuli.names
    named = fill(stimuli.resumes, names.names)
    wordings = sum(len(stimuli.resumes) * len(units.names) for units in stimuli.cues.values())
    run.phases.expect({_NAMES: len(named), _MORE: wordings if config.scores is None else 0})
    run.phases.begin(_NAMES)
    run.progress.note(
        f"{counted(len(stimuli.jobs), 'job')}, {counted(len(stimuli.resumes), 'résumé')}, "
        f"{counted(len(names.names), 'name')}"
    )
    measured = _measure_names(config, stimuli, source, named, run)
    findings = [compare(measured, names, attribute, method) for attribute in names.groups]
    judged = judge_all(findings, method, holm)
    checks = self_check(measured, names, method.headline, splits=config.self_check, seed=config.bootstrap.seed)
    run.phases.begin(_MORE)
    of_model = _measure_model(config, stimuli, encoder, source, method, run)
    use = use_of(encoder)
    scoring = use.scoring if use else None
    return BiasAuditRecord(
        verdict=overall([*(row.verdict for row in judged), *([decisions.verdict] if decisions else [])]),
        notice=notice_of(scoring),
        confidence=config.bootstrap.confidence,
        limits=limits_of(config),
        headline_cut=config.headline_cut,
        jobs=measured.jobs,
        resumes=measured.resumes,
        names=len(names.names),
        stimuli_sha256=stimuli_hash(stimuli.jobs, [*without_slots(stimuli.resumes), *named]),
        scoring=scoring,
        gates=gate_results(findings, judged),
        attributes={finding.attribute: attribute_comparison(finding, judged, stimuli.jobs) for finding in findings},
        balance=imbalance(stimuli.features, [*names.groups.values()][-1]),
        names_not_latin=len(strange_names(names.names)),
        self_check=tuple(checks),
        cues=of_model.cues,
        controls=of_model.controls,
        titles=of_model.titles,
        leakage=of_model.leakage,
        associations=of_model.associations,
        mitigation=of_model.mitigation,
        decisions=decisions,
    )


def _open_source(config: AuditConfig, stimuli: Stimuli, run: Run) -> tuple[Encoder | None, ModelScores | FileScores]:
    if config.scores is not None:
        file = locate(config.scores.path)
        run.add_input("scores", file)
        return None, read_scores(file, stimuli)
    section = config.model or ModelSection()  # the config lets no audit through that has neither
    cache = run.cache / "vectors"
    encoder = settle_score(section, run, (), cache=cache).open(run, cache=cache)
    run.add_model(section.name or encoder.name, encoder.identity, encoder.source, use_of(encoder))
    return encoder, ModelScores(encoder, stimuli.jobs, stimuli.resumes)


def _measure_names(
    config: AuditConfig, stimuli: Stimuli, source: ModelScores | FileScores, named: Sequence[str], run: Run
) -> Measurements:
    """Measure every name, and write the rows behind: `per_name.parquet`, and `rows.parquet` unless it is too long."""
    rows = len(stimuli.jobs) * len(stimuli.resumes) * (1 + len(stimuli.names.names))
    scores: list[Floats] | None = [] if rows <= _ROWS else None
    measured = measure(source, named, stimuli, config, scores)
    run.write_table("per_name", _per_name(stimuli, measured))
    if scores is None:
        run.progress.note(f"skipping rows.parquet: it would have {rows:,} rows")
    else:
        _write_rows(run, scores, stimuli)
    return measured


class _OfModel(NamedTuple):
    """What needs the model itself, as the record holds it; empty for scores of another system."""

    cues: dict[str, CueComparison]
    controls: tuple[Control, ...] = ()
    titles: GenderedTitles | None = None
    leakage: tuple[Leakage, ...] = ()
    associations: tuple[WordAssociation, ...] = ()
    mitigation: tuple[Mitigation, ...] = ()


def _measure_model(
    config: AuditConfig,
    stimuli: Stimuli,
    encoder: Encoder | None,
    source: ModelScores | FileScores,
    method: Method,
    run: Run,
) -> _OfModel:
    """Measure cues, controls, titles, leakage, associations and mitigations."""
    if encoder is None or not isinstance(source, ModelScores):
        return _OfModel(cues={})
    cues = _cues(config, stimuli, source, method, run.progress)
    controlled = controls(source, stimuli, config.headline_cut) if config.controls else ()
    titles = gendered_titles(encoder, stimuli, config.bootstrap) if stimuli.titles else None
    leakages: tuple[Leakage, ...] = ()
    associated: tuple[WordAssociation, ...] = ()
    if isinstance(encoder, DenseEncoder):
        vectors, seed = name_vectors(encoder, stimuli), config.bootstrap.seed
        leakages = tuple(leakage(vectors, stimuli, attribute, seed) for attribute in stimuli.names.groups)
        associated = associations_of(encoder, stimuli, config.stimuli.words, seed)
    return _OfModel(cues, controlled, titles, leakages, associated, mitigate(config, stimuli, encoder, run))


def _cues(
    config: AuditConfig, stimuli: Stimuli, source: ModelScores, method: Method, progress: Progress
) -> dict[str, CueComparison]:
    """Compare the versions of every cue, wording by wording; p-values are corrected over all cues."""
    findings = []
    for cue, units in stimuli.cues.items():
        progress.note(f"cue: {cue}")
        measured = measure(source, cue_texts(stimuli.resumes, cue, units), stimuli, config)
        findings.append(compare(measured, units, cue, method))
    judged = judge_all(findings, method, benjamini_hochberg)
    return {finding.attribute: cue_comparison(finding, judged, stimuli.jobs) for finding in findings}


def _per_name(stimuli: Stimuli, measured: Measurements) -> dict[str, list[str] | list[float]]:
    """Columns of `per_name.parquet`: the name, its groups, what it was matched on, and every measure."""
    return {
        "name": list(stimuli.names.names),
        **{attribute: list(groups) for attribute, groups in stimuli.names.groups.items()},
        **{name: values.tolist() for name, values in stimuli.features.items()},
        **{name: values.tolist() for name, values in measured.units.items()},
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
            "resume": [resume for _ in jobs for resume in resumes for _ in names],
            "name": names * (len(jobs) * len(resumes)),
            "score": np.concatenate(scores).ravel().tolist(),
        },
    )


def _write_texts(config: AuditConfig, stimuli: Stimuli, decisions: RealDecisions | None, run: Run) -> BiasAuditRecord:
    """Write what another system would have to score."""
    names = ["", *stimuli.names.names]
    nameless = without_slots(stimuli.resumes)
    named = fill(stimuli.resumes, stimuli.names.names)
    each = len(stimuli.names.names)
    texts = [text for n, plain in enumerate(nameless) for text in (plain, *named[n * each : (n + 1) * each])]
    ids = [resume.id for resume in stimuli.resumes]
    run.write_table(
        "texts",
        {
            "kind": ["job"] * len(stimuli.jobs) + ["resume"] * len(texts),
            "id": [job.id for job in stimuli.jobs] + [resume for resume in ids for _ in names],
            "name": [""] * len(stimuli.jobs) + names * len(ids),
            "text": [job.text for job in stimuli.jobs] + texts,
        },
    )
    return BiasAuditRecord(
        verdict=decisions.verdict if decisions else "ok",
        confidence=config.bootstrap.confidence,
        limits=limits_of(config),
        headline_cut=config.headline_cut,
        jobs=len(stimuli.jobs),
        resumes=len(stimuli.resumes),
        names=len(stimuli.names.names),
        decisions=decisions,
        texts=len(texts),
    )


def _failure(config: AuditConfig, record: BiasAuditRecord) -> Exception | None:
    """What `fail_on` makes of the verdict; it says whether names, real decisions or both are meant."""
    sides = {
        "names": overall(gate.verdict for gate in record.gates) if record.gates else "pass",
        "real decisions": record.decisions.verdict if record.decisions else "pass",
    }
    meant = " and in ".join(side for side, verdict in sides.items() if verdict == record.verdict)
    if record.verdict == "fail" and config.fail_on != "never":
        return ThresholdError(f"the audit found a difference in {meant} that exceeds the configured limits")
    if record.verdict == "inconclusive" and config.fail_on == "fail-or-inconclusive":
        hints = {
            "names": "use more names; the table of gates estimates how many are needed",
            "real decisions": "use decisions about more people, or fewer attributes",
        }
        return InconclusiveError(
            (
                f"the audit is inconclusive: it can neither confirm nor rule out a difference in {meant} "
                "beyond the configured limits"
            ),
            hint="; ".join(hint for side, hint in hints.items() if sides[side] == "inconclusive"),
        )
    return None
