"""The report of an audit: one page with pictures, and a statement that a person can date and sign."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hrembed.commands.bias_audit.record import GAP_UNIT
from hrembed.commands.bias_audit.tables import (
    about,
    cue_row,
    gap_rows,
    gate_row,
    lowest_ratio,
    mitigation_row,
    other_cuts,
    ratio_rows,
)
from hrembed.metrics.gating import overall
from hrembed.plots.bias_audit import Effect, cells_chart, gaps_chart, power_chart, sensitivity_chart, sweep_chart
from hrembed.plots.svg import NARROW, WIDE, Mark, Strip, Strips, write_svg
from hrembed.reports.conclusions import found_and_next
from hrembed.reports.decisions import decision_parts
from hrembed.reports.estimates import format_estimate, format_p
from hrembed.reports.origin import origin_parts, repeat_command, subtitle_of
from hrembed.reports.page import Drawing, Figure, Page, Prose, Section, Table, tone_of, write_page

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from hrembed.config.bias_audit import AuditConfig
    from hrembed.plots.svg import Chart
    from hrembed.records.bias_audit import (
        AttributeComparison,
        BiasAuditRecord,
        Excess,
        GateResult,
        GenderedTitles,
        GroupContrast,
        Leakage,
        Measure,
        Shares,
    )
    from hrembed.reports.page import Part
    from hrembed.runs.record import Run

_SHOWN_JOBS = 5
_FIGURES = 9
_HEADLINES = {
    "pass": "Pass: no difference between groups beyond the limits",
    "fail": "Fail: groups are treated differently, beyond the limits",
    "inconclusive": "Inconclusive: a difference beyond the limits can be neither shown nor ruled out",
    "ok": "Nothing was judged",
}
_VERDICTS = {
    "pass": "All gates passed: every interval lies within its configured range.",
    "fail": "At least one effect lies outside its range and is statistically significant after correction.",
    "inconclusive": "The data can neither confirm nor rule out a difference outside the ranges. This is not a pass.",
}
_NOT_SAID = (
    "The audit does not tell how people are treated: no applicant was observed, only names that were swapped in "
    "test résumés.",
    "It does not tell of groups without names of their own here (age, disability, religion, people between groups), of "
    "other languages, of other jobs, or of what people do with the ranking.",
    "A pass does not mean that there is no difference, only that none beyond the limits is left open; the limits are "
    "engineering choices, not law.",
)


def write_report(run: Run, config: AuditConfig, record: BiasAuditRecord) -> None:
    """Write `report.html`, and the pictures in it as files.

    Args:
        run: The run, still open.
        config: Its settings.
        record: What the audit says.
    """
    for name, (_, chart, alt) in charts(record).items():
        write_svg(run.path / f"{name}.svg", chart, alt)
    write_page(run.path / "report.html", page_of(run, config, record))


def page_of(run: Run, config: AuditConfig, record: BiasAuditRecord) -> Page:
    """Say what an audit found, and end with a statement that a person can date and sign."""
    drawn = {name: _drawing(*chart) for name, chart in charts(record).items()}
    lead: Sequence[Part] = [drawn.pop("gates")] if "gates" in drawn else []
    decisions: Sequence[Part] = [*decision_parts(record.decisions)] if record.decisions is not None else []
    if not lead:
        lead = decisions[:1]
    model = ", ".join(run.manifest.models) or "none"
    return Page(
        title="Bias audit",
        subtitle=subtitle_of(run.manifest, run.path.name),
        asked=_asked(record, model),
        answer=Prose(
            _HEADLINES[record.verdict],
            [*_answer(record, run.manifest.conclusion)],
            "" if record.verdict == "ok" else record.verdict,
        ),
        figures=[_figure(gate) for gate in record.gates[:_FIGURES]],
        lead=lead,
        pictures=[*drawn.values()],
        details=[
            *_details(record, decisions),
            Section("Statement to date and sign", [_statement(run, config, record)]),
        ],
        origin=[*origin_parts(run.manifest, config.model_dump(mode="json"), ".")],
        repeat=repeat_command("bias-audit", run.path),
        footer="Written by `hrembed bias-audit`.",
    )


def _asked(record: BiasAuditRecord, model: str) -> str:
    if record.attributes:
        return (
            f"Does the model {model} treat names of different groups alike, when it ranks {record.resumes:,} résumés "
            f"under {record.names:,} names for {record.jobs:,} jobs?"
        )
    if record.decisions is not None:
        return f"Were people of different groups selected at the same rate, in {record.decisions.persons:,} decisions?"
    return "Which texts does another system have to score?"


def _answer(record: BiasAuditRecord, conclusion: Sequence[str]) -> Iterator[str]:
    found, following = found_and_next(conclusion)
    if record.attributes:
        yield _VERDICTS[overall(gate.verdict for gate in record.gates)]
    yield from found
    yield from (line for line in (*other_cuts(record), record.notice) if line and line not in found)
    yield from following


def _figure(gate: GateResult) -> Figure:
    low, high = gate.range
    effect = gate.worst.effect
    ends = f" [{effect.low:.3f}, {effect.high:.3f}]" if effect.low <= effect.high else ""
    return Figure(
        f"{gate.gate}, {gate.attribute}",
        f"{effect.value:.3f}",
        f"{gate.worst.first} / {gate.worst.second}{ends}; accepted {low:.3g} to {high:.3g}",
        tone_of(gate.verdict),
        gate.verdict,
    )


def _drawing(title: str, chart: Chart, alt: str) -> Drawing:
    return Drawing(title, chart.svg(WIDE, alt), chart.svg(NARROW, alt))


def _details(record: BiasAuditRecord, decisions: Sequence[Part]) -> Iterator[Section]:
    if record.attributes:
        yield Section("What was done", [_done(record)])
        gates = [gate_row(gate) for gate in record.gates]
        yield Section("Gates in numbers", [Table("Gates (engineering choices, not law)", gates)])
        yield Section("Gaps, impact ratios and rankings of groups of names", [*_name_tables(record)])
        yield Section("Checks of the audit itself", [*_checks(record)])
    others = [*_model_tables(record)]
    if others:
        yield Section("Controls, other cues, leakage and mitigation", others)
    if decisions:
        yield Section("Real decisions", decisions)
    if record.attributes:
        yield Section("What this audit does not tell", [Prose("", _NOT_SAID)])


def _done(record: BiasAuditRecord) -> Prose:
    return Prose(
        "",
        [
            f"{record.jobs:,} jobs were compared with {record.resumes:,} résumés, each without a name and "
            f"under {record.names:,} names. A gap is in {GAP_UNIT}. The unit of all tests is the name: the same "
            "name on many résumés is one name. Intervals of an attribute hold together at "
            f"{record.confidence:.0%}; p-values of the gates are corrected for their number (Holm), those of "
            "tables by Benjamini and Hochberg.",
        ],
    )


def charts(record: BiasAuditRecord) -> dict[str, tuple[str, Chart, str]]:
    """Draw what there is to see of an audit of names.

    Returns:
        Name of the file without its ending -> title, chart, what is to be seen in words; empty without names.
    """
    attributes, limits = record.attributes, record.limits
    if not attributes:
        return {}
    plain = {name: groups for name, groups in attributes.items() if " x " not in name}
    found: dict[str, tuple[str, Chart, str]] = {}
    if record.gates:
        strips = Strips([_strip(gate) for gate in record.gates])
        alt = "; ".join(f"{gate.gate} of {gate.attribute}: {gate.verdict}" for gate in record.gates)
        found["gates"] = ("What is accepted (shaded), and the largest effect that was found", strips, alt)
    gaps = [
        Effect(f"{gap.first} - {gap.second}", gap.effect.value, gap.effect.low, gap.effect.high)
        for groups in plain.values()
        for gap in groups.gaps
    ]
    chart = gaps_chart(gaps, limits.gap, "standard deviations")
    found["gaps"] = ("Score gaps, with joint intervals over names", chart, _in_words(gaps))
    curves = {
        name: [(float(cut), _lowest(ratios)) for cut, ratios in groups.impact_ratios.items()]
        for name, groups in attributes.items()
    }
    if any(curves.values()):
        sweep = sweep_chart(curves, limits.impact_ratio, record.headline_cut)
        found["sweep"] = ("Lowest impact ratio at every cut", sweep, "The table of impact ratios as curves.")
    if len(plain) == 2 and " x ".join(plain) in attributes:
        found["intersection"] = _heat_map(record, [*plain])
    sensitivity = _sensitivity(record)
    bars = sensitivity_chart(sensitivity, "standard deviations")
    found["sensitivity"] = ("What moves a score, and how far", bars, _in_words(sensitivity))
    power = {
        name: (min(groups.sizes.values()), max(gap.detectable for gap in groups.gaps))
        for name, groups in plain.items()
        if np.isfinite([gap.detectable for gap in groups.gaps]).all() and groups.gaps[0].detectable > 0
    }
    if power:
        words = "; ".join(f"{name}: {size} names per group detect {gap:.3f}" for name, (size, gap) in power.items())
        title = "Power: the smallest gap detectable with this number of names"
        found["power"] = (title, power_chart(power, limits.gap), words)
    return found


def _strip(gate: GateResult) -> Strip:
    low, high = gate.range
    effect = gate.worst.effect
    settled = f"; {about(gate.names_needed)} names of each group would settle it" if gate.names_needed else ""
    return Strip(
        f"{gate.gate}, {gate.attribute}",
        f"{low:.3g} to {high:.3g}",
        f"{gate.worst.first} / {gate.worst.second} {format_estimate(effect)}{settled}",
        gate.verdict,
        Mark(effect.value, effect.low, effect.high),
        (low, high),
    )


def _in_words(bars: Sequence[Effect]) -> str:
    return "; ".join(f"{bar.label}: {bar.value:.3f}" for bar in bars)


def _lowest(ratios: Sequence[GroupContrast]) -> Effect:
    worst = lowest_ratio(ratios)
    return Effect(f"{worst.first} / {worst.second}", worst.effect.value, worst.effect.low, worst.effect.high)


def _heat_map(record: BiasAuditRecord, names: Sequence[str]) -> tuple[str, Chart, str]:
    attributes = record.attributes
    means = attributes[" x ".join(names)].measures["score"].means
    rows, columns = ([*attributes[name].sizes] for name in names)
    of_all = float(np.mean([*means.values()]))
    values = [[means.get(f"{row} {column}", float("nan")) - of_all for column in columns] for row in rows]
    if len(columns) > len(rows):  # the longer side downwards fits a phone
        rows, columns, values = columns, rows, [list(column) for column in zip(*values, strict=True)]
    words = "; ".join(f"{name}: {value - of_all:+.3f}" for name, value in means.items())
    title = f"Intersection of {names[0]} and {names[1]}"
    return title, cells_chart(rows, columns, values, record.limits.gap), words


def _sensitivity(record: BiasAuditRecord) -> list[Effect]:
    bars = [Effect(control.name, control.shift) for control in record.controls]
    for name, groups in record.attributes.items():
        shift = groups.excess["shift"]
        bars.append(Effect(f"other name, same {name}", shift.within))
        bars.append(Effect(f"other name, other {name}", shift.between))
    return bars


def _name_tables(record: BiasAuditRecord) -> Iterator[Part]:
    attributes = record.attributes
    yield Table(
        "Score gaps between groups of names",
        [row for name, groups in attributes.items() for row in gap_rows(name, groups)],
        "Of attributes with more than six pairs the six largest gaps; all are in metrics.json.",
        "per_name.parquet",
    )
    yield Table(
        "Impact ratios over the cuts (lowest pair)",
        [row for name, groups in attributes.items() for row in ratio_rows(name, groups)],
        "Selection rates of groups of names, lower over higher. Test data: no selection rate of people.",
        "per_name.parquet",
    )
    yield Table(
        "Excess over another name of the same group",
        [
            _excess_row(name, measure, excess)
            for name, groups in attributes.items()
            for measure, excess in groups.excess.items()
        ],
        (
            "Between: two names of different groups. Within: two names of one group. Only the excess is "
            "attributable to groups."
        ),
    )
    yield Table(
        "All measures: largest gap of two groups",
        [
            _measure_row(name, label, measure)
            for name, groups in attributes.items()
            for label, measure in groups.measures.items()
        ],
        "p by permutation of names within strata, adjusted over the measures of an attribute.",
    )
    yield from _ranking_tables(attributes)


def _ranking_tables(attributes: Mapping[str, AttributeComparison]) -> Iterator[Part]:
    yield Table(
        "Rankings as a whole",
        [_shares_row(name, groups.shares, groups.spread_p) for name, groups in attributes.items()],
        "NDKL of any ranking is above 0; compare it with what shuffled names give. Attention: 1 is even.",
    )
    yield Table(
        "Jobs that drive the gaps",
        [
            {
                "attribute": name,
                "job": job.job,
                "largest gap (SD)": f"{job.largest_gap:.3f}",
                "p": format_p(job.p_bh),
            }
            for name, groups in attributes.items()
            for job in groups.jobs[:_SHOWN_JOBS]
        ],
    )


def _checks(record: BiasAuditRecord) -> Iterator[Part]:
    if record.self_check:
        yield Table(
            "A/A check: the same names split at random",
            [
                {
                    "test": check.test,
                    "rejects at 5 %": f"{check.rejected:.1%} of {check.splits}",
                    "joint 99 % interval": f"{check.low:.1%} to {check.high:.1%}",
                    "outcome": "what not to do" if check.naive else "holds" if check.holds else "rejects too often",
                }
                for check in record.self_check
            ],
            (
                "There is no real difference here. A test that rejects in more than 5 % of the splits reports "
                "false positives."
            ),
        )
    yield Table(
        "Balance of the names",
        [
            {
                "feature": name,
                **{group: f"{mean:.2f}" for group, mean in balance.means.items()},
                "largest difference": f"{balance.largest_difference:.2f}",
            }
            for name, balance in record.balance.items()
        ],
        "Largest difference of two groups in standard deviations; tokens are those of the audited model.",
    )
    if record.names_not_latin:
        yield Prose("", [f"{record.names_not_latin} names are not in Latin script; their syllables are not counted."])


def _excess_row(name: str, measure: str, excess: Excess) -> dict[str, str]:
    return {
        "attribute": name,
        "measure": measure,
        "between": f"{excess.between:.4f}",
        "within": f"{excess.within:.4f}",
        "excess": format_estimate(excess.excess, sign=True),
        "p": format_p(excess.p_value),
    }


def _measure_row(name: str, label: str, measure: Measure) -> dict[str, str]:
    lowest, highest = (pick(measure.means, key=measure.means.__getitem__) for pick in (min, max))
    return {
        "attribute": name,
        "measure": label,
        "lowest": f"{lowest}: {measure.means[lowest]:.4f}",
        "highest": f"{highest}: {measure.means[highest]:.4f}",
        "p": format_p(measure.p_value),
        "p (BH)": format_p(measure.p_bh),
        "unit": measure.unit,
    }


def _shares_row(name: str, shares: Shares, spread_p: float) -> dict[str, str]:
    return {
        "attribute": name,
        "NDKL (shuffled)": f"{shares.ndkl:.4f} ({shares.ndkl_null:.4f})",
        "p of it": format_p(shares.ndkl_p),
        "fairness of attention": f"{shares.attention:.5f}",
        "p of that": format_p(shares.attention_p),
        "skew among the selected": "; ".join(f"{group} {value:+.2f}" for group, value in shares.skew.items()),
        "p of unequal spread": format_p(spread_p),
    }


def _model_tables(record: BiasAuditRecord) -> Iterator[Part]:
    if record.controls:
        yield Table(
            "Controls: changes that carry no information about the person",
            [
                {
                    "change": control.name,
                    "mean absolute shift (SD)": f"{control.shift:.4f}",
                    "decisions turned": f"{control.flip:.1%}",
                }
                for control in record.controls
            ],
        )
    for name, versions in record.cues.items():
        rows = [{"cue": name, **{k: v for k, v in row.items() if k != "attribute"}} for row in gap_rows(name, versions)]
        verdicts = f"Gap: {versions.gap_verdict}; impact ratio: {versions.ratio_verdict}. Not part of the verdict."
        yield Table(f"Cue: {name}", rows, verdicts)
    if record.cues:
        yield Table("Cues at a glance", [cue_row(name, versions) for name, versions in record.cues.items()])
    yield from _vector_tables(record)


def _vector_tables(record: BiasAuditRecord) -> Iterator[Part]:
    if record.titles is not None:
        yield _titles_table(record.titles)
    if record.leakage:
        yield Table(
            "Leakage: groups read off the vectors of unseen names", [_leakage_row(row) for row in record.leakage]
        )
    if record.associations:
        yield Table(
            "Associations (WEAT); reported, never a gate",
            [
                {
                    "groups": f"{row.first} - {row.second}",
                    "words": row.words,
                    "effect": f"{row.effect:+.2f}",
                    "p (BH)": format_p(row.p_bh),
                    "divisions": f"{row.divisions:,}" + (" (all)" if row.exact else ""),
                }
                for row in record.associations
            ],
            "Word associations say little about decisions (Goldfarb-Tarrant et al., 2021).",
        )
    if record.mitigation:
        note = (
            "Leakage and gap on names that were not used to fit the eraser. Averaging needs an embedding for each name."
        )
        yield Table("Possible mitigations", [mitigation_row(row) for row in record.mitigation], note)


def _titles_table(titles: GenderedTitles) -> Table:
    rows = [
        {
            "what": "score, feminine less masculine title (SD)",
            "value": format_estimate(titles.score.difference, sign=True),
            "p": format_p(titles.score.p_value),
        },
        {
            "what": f"rankings apart (1 - RBO {titles.between_forms:.3f}) above a typo ({titles.typo:.3f})",
            "value": format_estimate(titles.apart.difference, sign=True),
            "p": format_p(titles.apart.p_value),
        },
    ]
    note = f"{titles.score.difference.n} titles in five languages."
    return Table("Job titles in two grammatical genders", rows, note)


def _leakage_row(row: Leakage) -> dict[str, str]:
    return {
        "attribute": row.attribute,
        "balanced accuracy": f"{row.accuracy:.3f}",
        "chance": f"{row.chance:.3f}",
        "p": format_p(row.p_value),
        "on its own names": f"{row.on_own_names:.3f}",
        "compression": f"{row.compression:.2f}",
    }


def _statement(run: Run, config: AuditConfig, record: BiasAuditRecord) -> Prose:
    """What a person can date and sign: only what this run did, and what it did not do by name."""
    manifest = run.manifest
    models = [f"{name}: {entry.identity}" for name, entry in manifest.models.items()]
    inputs = [f"{name}: {entry.path}, SHA-256 {entry.sha256}" for name, entry in manifest.inputs.items()]
    stimuli = [f"stimuli, SHA-256 {record.stimuli_sha256}"] if record.stimuli_sha256 else []
    return Prose(
        "Statement on validation and testing",
        [
            "In the order of Annex IV, point 2(g), of Regulation (EU) 2024/1689. Whether and from when that regulation "
            "applies (changes of its dates were reported in 2026), and whether this statement satisfies it, is for "
            "the responsible persons to judge.",
            "Procedure: " + _procedure(config, record),
            "Model: " + ("; ".join(models) or "none was run."),
            f"Data and their hashes: {'; '.join([*inputs, *stimuli])}.",
            *_origin(record),
            "Metrics: " + _metrics(record),
            "Potentially discriminatory impacts: " + _impacts(record),
            "Not part of this statement, and to be added from elsewhere: the main characteristics of the data beyond "
            "these counts, metrics of accuracy and robustness, and pre-determined changes (point 2(f)).",
            f"Log: {run.path.as_posix()}/log.txt; hrembed {manifest.versions.get('hrembed', '')}; "
            f"started {manifest.started}.",
            "Date: ________________   Name and role: ____________________________   Signature: ____________________",
        ],
    )


def _procedure(config: AuditConfig, record: BiasAuditRecord) -> str:
    steps = []
    if record.attributes:
        steps.append(
            f"name-swap test of {record.names:,} names on {record.resumes:,} résumés and {record.jobs:,} jobs, "
            f"seed {config.bootstrap.seed}, {config.bootstrap.resamples:,} resamples, A/A check with "
            f"{config.self_check:,} splits."
        )
    if record.decisions is not None:
        steps.append(
            f"tables of recorded decisions about {record.decisions.persons:,} people; no name was swapped in them."
        )
    return " ".join(steps)


def _origin(record: BiasAuditRecord) -> Iterator[str]:
    """Lines for what only the responsible person knows of the recorded decisions."""
    if record.decisions is None:
        return
    yield (
        "Source of the decisions, the period they cover, and whether they are historical or test data (6 RCNY sections "
        "5-302 and 5-303): ____________________________"
    )
    if any(row.note.startswith("under") for table in record.decisions.tables for row in table.rows):
        yield (
            "Small categories without an impact ratio were left out by: ____________________   "
            "Reason (6 RCNY section 5-301(d)): ____________________________"
        )


def _metrics(record: BiasAuditRecord) -> str:
    """The measures that were computed, and no others."""
    names = []
    if record.attributes:
        names += ["standardised score gaps", "impact ratios of names over several cuts", "excess flips", "exposure"]
        names += ["pairwise wins"]
    if record.leakage:
        names.append("leakage")
    if record.decisions is not None:
        kinds = list(dict.fromkeys(table.kind for table in record.decisions.tables))
        names += [f"{kind} with impact ratios" for kind in kinds]
        names.append("z and Fisher's tests of two rates")
        if any(table.within_jobs for table in record.decisions.tables):
            names.append("Mantel-Haenszel tests within jobs")
    return f"{', '.join(names)}; their definitions and sources are in the documentation of hrembed.metrics."


def _impacts(record: BiasAuditRecord) -> str:
    parts = []
    if record.attributes:
        parts.append(f"see the verdict on names and its tables above. {record.notice}")
    if record.decisions is not None:
        verdict = f"the verdict on real decisions ({record.decisions.verdict})"
        parts.append(f"see {verdict} and its tables above. {record.decisions.law}")
    return " ".join(parts)
