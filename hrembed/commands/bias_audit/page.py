"""The report of an audit: one page with pictures, and a statement that a person can date and sign."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hrembed.commands.bias_audit.record import GAP_UNIT
from hrembed.commands.bias_audit.tables import (
    cue_row,
    gap_rows,
    gate_row,
    lowest_ratio,
    mitigation_row,
    other_cuts,
    ratio_rows,
)
from hrembed.metrics.gating import overall
from hrembed.plots.bias_audit import Bar, draw_cells, draw_gaps, draw_power, draw_sensitivity, draw_sweep
from hrembed.reports.decisions import decision_parts
from hrembed.reports.estimates import format_estimate, format_p
from hrembed.reports.page import Picture, Prose, Table, write_page

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from hrembed.config.bias_audit import AuditConfig
    from hrembed.records.bias_audit import (
        AttributeComparison,
        BiasAuditRecord,
        Excess,
        GenderedTitles,
        GroupContrast,
        Leakage,
        Measure,
        Shares,
    )
    from hrembed.runs.record import Run

Part = Prose | Table | Picture
_SHOWN_JOBS = 5
_VERDICTS = {
    "pass": "All gates passed: every interval lies within its configured range.",
    "fail": "At least one effect lies outside its range and is statistically significant after correction.",
    "inconclusive": "The data can neither confirm nor rule out a difference outside the ranges. This is not a pass.",
}


def write_report(run: Run, config: AuditConfig, record: BiasAuditRecord) -> None:
    """Write `report.html` and the pictures in it.

    Args:
        run: The run, still open.
        config: Its settings.
        record: What the audit says.
    """
    parts: list[Part] = []
    if record.attributes:
        parts += [*_summary(record), *_pictures(run, record), *_name_tables(record), *_model_tables(record)]
    if record.decisions is not None:
        parts += decision_parts(record.decisions)
    parts.append(_statement(run, config, record))
    subtitle = f"Run {run.path.name}, started {run.manifest.started}"
    again = f"hrembed bias-audit {run.path.as_posix()}/config.yaml"
    write_page(run.path / "report.html", "Bias audit", subtitle, parts, footer=f"Repeat with: {again}")


def _summary(record: BiasAuditRecord) -> Iterator[Part]:
    verdict = overall(gate.verdict for gate in record.gates)
    yield Prose(f"Verdict: {verdict}", [_VERDICTS[verdict], *other_cuts(record), record.notice], f"verdict-{verdict}")
    yield Prose(
        "What was done",
        [
            f"{record.jobs:,} jobs were compared with {record.resumes:,} résumés, each without a name and "
            f"under {record.names:,} names. A gap is in {GAP_UNIT}. The unit of all tests is the name: the same "
            "name on many résumés is one name. Intervals of an attribute hold together at "
            f"{record.confidence:.0%}; p-values of the gates are corrected for their number (Holm), those of "
            "tables by Benjamini and Hochberg.",
        ],
    )
    yield Table("Gates (engineering choices, not law)", [gate_row(gate) for gate in record.gates])


def _pictures(run: Run, record: BiasAuditRecord) -> Iterator[Part]:
    attributes, limits, folder = record.attributes, record.limits, run.path
    plain = {name: groups for name, groups in attributes.items() if " x " not in name}
    bars = [
        Bar(f"{gap.first} - {gap.second}", gap.effect.value, gap.effect.low, gap.effect.high)
        for groups in plain.values()
        for gap in groups.gaps
    ]
    draw_gaps(folder / "gaps.svg", bars, limits.gap, "standard deviations")
    yield Picture("Score gaps, with joint intervals over names", folder / "gaps.svg", _in_words(bars))
    curves = {
        name: [(float(cut), _lowest(ratios)) for cut, ratios in groups.impact_ratios.items()]
        for name, groups in attributes.items()
    }
    draw_sweep(folder / "sweep.svg", curves, limits.impact_ratio)
    yield Picture("Lowest impact ratio at every cut", folder / "sweep.svg", "The table of impact ratios as curves.")
    if len(plain) == 2:
        yield _heat_map(run, attributes, list(plain))
    sensitivity = _sensitivity(record)
    draw_sensitivity(folder / "sensitivity.svg", sensitivity, "standard deviations")
    yield Picture("What moves a score, and how far", folder / "sensitivity.svg", _in_words(sensitivity))
    power = {
        name: (min(groups.sizes.values()), max(gap.detectable for gap in groups.gaps))
        for name, groups in plain.items()
        if np.isfinite([gap.detectable for gap in groups.gaps]).all() and groups.gaps[0].detectable > 0
    }
    if power:
        draw_power(folder / "power.svg", power, limits.gap)
        yield Picture(
            "Power: the smallest gap detectable with this number of names",
            folder / "power.svg",
            "; ".join(f"{name}: {size} names per group detect {gap:.3f}" for name, (size, gap) in power.items()),
        )


def _in_words(bars: Sequence[Bar]) -> str:
    return "; ".join(f"{bar.label}: {bar.value:.3f}" for bar in bars)


def _lowest(ratios: Sequence[GroupContrast]) -> Bar:
    worst = lowest_ratio(ratios)
    return Bar(f"{worst.first} / {worst.second}", worst.effect.value, worst.effect.low, worst.effect.high)


def _heat_map(run: Run, attributes: Mapping[str, AttributeComparison], names: Sequence[str]) -> Picture:
    means = attributes[" x ".join(names)].measures["score"].means
    rows, columns = ([*attributes[name].sizes] for name in names)
    overall = float(np.mean([*means.values()]))
    values = np.array([[means.get(f"{row} {column}", np.nan) - overall for column in columns] for row in rows])
    path = run.path / "intersection.svg"
    draw_cells(path, rows, columns, values, "mean score less the mean of all (SD)")
    cells = "; ".join(f"{name}: {value - overall:+.3f}" for name, value in means.items())
    return Picture(f"Intersection of {names[0]} and {names[1]}", path, cells)


def _sensitivity(record: BiasAuditRecord) -> list[Bar]:
    nan = float("nan")
    bars = [Bar(control.name, control.shift, nan, nan) for control in record.controls]
    for name, groups in record.attributes.items():
        shift = groups.excess["shift"]
        bars.append(Bar(f"other name, same {name}", shift.within, nan, nan))
        bars.append(Bar(f"other name, other {name}", shift.between, nan, nan))
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
    yield from _checks(record)


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
                    "": "what not to do" if check.naive else "holds" if check.holds else "rejects too often",
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
