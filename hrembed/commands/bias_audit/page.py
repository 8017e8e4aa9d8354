"""The report of an audit: one page with pictures, and a statement that a person can date and sign."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hrembed.commands.bias_audit.decisions import decision_tables
from hrembed.commands.bias_audit.metrics import GAP_UNIT, NOTICE
from hrembed.commands.bias_audit.tables import cue_row, gap_rows, gate_row, mitigation_row, ratio_rows
from hrembed.plots.bias_audit import Bar, draw_cells, draw_gaps, draw_power, draw_sensitivity, draw_sweep
from hrembed.reports.estimates import format_estimate
from hrembed.reports.page import Picture, Prose, Table, write_page

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from hrembed.config.bias_audit import AuditConfig
    from hrembed.runs.record import Run

Part = Prose | Table | Picture
_SHOWN_JOBS = 5


def write_report(run: Run, config: AuditConfig, metrics: Mapping[str, Any]) -> None:
    """Write `report.html` and the pictures in it.

    Args:
        run: The run, still open.
        config: Its settings.
        metrics: What `metrics.json` holds.
    """
    parts: list[Part] = []
    if "attributes" in metrics:
        parts += [*_summary(metrics), *_pictures(run, config, metrics), *_name_tables(metrics), *_model_tables(metrics)]
    if metrics.get("decisions"):
        parts.append(Prose("Real decisions", [metrics["decisions"]["law"]]))
        parts += [Table(title, rows) for title, rows in decision_tables(metrics["decisions"]).items()]
    parts += _statement(run, config, metrics)
    subtitle = f"Run {run.path.name}, started {run.manifest['started']}"
    again = f"hrembed bias-audit {run.path.as_posix()}/config.yaml"
    write_page(run.path / "report.html", "Bias audit", subtitle, parts, footer=f"Repeat with: {again}")


def _summary(metrics: Mapping[str, Any]) -> Iterator[Part]:
    verdict = metrics["verdict"]
    words = {
        "pass": "Every gate passed: all intervals lie inside the ranges that were declared not to matter.",
        "fail": "At least one effect lies beyond its range, and is no chance finding at the corrected level.",
        "inconclusive": "The data can neither show nor exclude a difference beyond the ranges. That is no pass.",
    }
    yield Prose(f"Verdict: {verdict}", [words[verdict], NOTICE], f"verdict-{verdict}")
    yield Prose(
        "What was done",
        [
            f"{metrics['jobs']:,} jobs were compared with {metrics['resumes']:,} résumés, each without a name and "
            f"under {metrics['names']:,} names. A gap is in {GAP_UNIT}. The unit of all tests is the name: the same "
            "name on many résumés is one name. Intervals of an attribute hold together at "
            f"{metrics['confidence']:.0%}; p-values of the gates are corrected for their number (Holm), those of "
            "tables by Benjamini and Hochberg.",
        ],
    )
    yield Table("Gates (engineering choices, not law)", [gate_row(row) for row in metrics["gates"]])


def _pictures(run: Run, config: AuditConfig, metrics: Mapping[str, Any]) -> Iterator[Part]:
    attributes, folder = metrics["attributes"], run.path
    plain = {name: own for name, own in attributes.items() if " x " not in name}
    bars = [
        Bar(f"{gap['first']} - {gap['second']}", gap["value"], *gap["interval"])
        for own in plain.values()
        for gap in own["gaps"]
    ]
    draw_gaps(folder / "gaps.svg", bars, config.limits.gap, "standard deviations")
    yield Picture("Score gaps, with joint intervals over names", folder / "gaps.svg", _words(bars))
    curves = {
        name: [(float(cut), _lowest(own)) for cut, own in found["impact_ratios"].items()]
        for name, found in attributes.items()
    }
    draw_sweep(folder / "sweep.svg", curves, config.limits.impact_ratio)
    yield Picture("Lowest impact ratio at every cut", folder / "sweep.svg", "The table of impact ratios as curves.")
    if len(plain) == 2:
        yield _heat_map(run, attributes, list(plain))
    sensitivity = _sensitivity(metrics)
    draw_sensitivity(folder / "sensitivity.svg", sensitivity, "standard deviations")
    yield Picture("What moves a score, and how far", folder / "sensitivity.svg", _words(sensitivity))
    power = {
        name: (min(own["sizes"].values()), max(gap["detectable"] for gap in own["gaps"]))
        for name, own in plain.items()
        if np.isfinite([gap["detectable"] for gap in own["gaps"]]).all() and own["gaps"][0]["detectable"] > 0
    }
    if power:
        draw_power(folder / "power.svg", power, config.limits.gap)
        yield Picture(
            "Power: the smallest gap that so many names can find",
            folder / "power.svg",
            "; ".join(f"{name}: {size} names a group find {gap:.3f}" for name, (size, gap) in power.items()),
        )


def _words(bars: Sequence[Bar]) -> str:
    return "; ".join(f"{bar.label}: {bar.value:.3f}" for bar in bars)


def _lowest(found: Sequence[Mapping[str, Any]]) -> Bar:
    worst = min(found, key=lambda c: -1.0 if np.isnan(c["value"]) else c["value"])
    return Bar(f"{worst['first']} / {worst['second']}", worst["value"], *worst["interval"])


def _heat_map(run: Run, attributes: Mapping[str, Any], names: Sequence[str]) -> Picture:
    both = attributes[" x ".join(names)]["measures"]["score"]["means"]
    rows, columns = ([*attributes[name]["sizes"]] for name in names)
    overall = float(np.mean([*both.values()]))
    values = np.array([[both.get(f"{one} {two}", np.nan) - overall for two in columns] for one in rows])
    path = run.path / "intersection.svg"
    draw_cells(path, rows, columns, values, "mean score less the mean of all (SD)")
    cells = "; ".join(f"{name}: {value - overall:+.3f}" for name, value in both.items())
    return Picture(f"Intersection of {names[0]} and {names[1]}", path, cells)


def _sensitivity(metrics: Mapping[str, Any]) -> list[Bar]:
    nan = float("nan")
    bars = [Bar(row["name"], row["shift"], nan, nan) for row in metrics.get("controls", ())]
    for name, own in metrics["attributes"].items():
        found = own["excess"]["shift"]
        bars.append(Bar(f"other name, same {name}", found["within"], nan, nan))
        bars.append(Bar(f"other name, other {name}", found["between"], nan, nan))
    return bars


def _name_tables(metrics: Mapping[str, Any]) -> Iterator[Part]:
    attributes = metrics["attributes"]
    yield Table(
        "Score gaps between groups of names",
        [row for name, own in attributes.items() for row in gap_rows(name, own)],
        "Of attributes with more than six pairs the six largest gaps; all are in metrics.json.",
        "per_name.parquet",
    )
    yield Table(
        "Impact ratios over the cuts (lowest pair)",
        [row for name, own in attributes.items() for row in ratio_rows(name, own)],
        "Selection rates of groups of names, lower over higher. Test data: no selection rate of people.",
        "per_name.parquet",
    )
    yield Table(
        "Excess over another name of the same group",
        [
            _excess_row(name, measure, found)
            for name, own in attributes.items()
            for measure, found in own["excess"].items()
        ],
        "Between: two names of different groups. Within: two names of one group. Only the excess tells of groups.",
    )
    yield Table(
        "All measures: largest gap of two groups",
        [
            _measure_row(name, measure, own)
            for name, found in attributes.items()
            for measure, own in found["measures"].items()
        ],
        "p by permutation of names within strata, adjusted over the measures of an attribute.",
    )
    yield from _ranking_tables(attributes)
    yield from _checks(metrics)


def _ranking_tables(attributes: Mapping[str, Any]) -> Iterator[Part]:
    yield Table(
        "Rankings as a whole",
        [_shares_row(name, own["shares"], own["spread_p"]) for name, own in attributes.items() if own["shares"]],
        "NDKL of any ranking is above 0; compare it with what shuffled names give. Attention: 1 is even.",
    )
    yield Table(
        "Jobs that drive the gaps",
        [
            {
                "attribute": name,
                "job": job["job"],
                "largest gap (SD)": f"{job['largest_gap']:.3f}",
                "p": f"{job['p_bh']:.4f}",
            }
            for name, own in attributes.items()
            for job in own["jobs"][:_SHOWN_JOBS]
        ],
    )


def _checks(metrics: Mapping[str, Any]) -> Iterator[Part]:
    if metrics.get("self_check"):
        yield Table(
            "A/A check: the same names split at random",
            [
                {
                    "test": row["test"],
                    "rejects at 5 %": f"{row['rejected']:.1%} of {row['splits']}",
                    "joint 99 % interval": f"{row['low']:.1%} to {row['high']:.1%}",
                    "": "what not to do" if row["naive"] else "holds" if row["holds"] else "rejects too often",
                }
                for row in metrics["self_check"]
            ],
            "There is nothing to be found here. A test that rejects more often than in one of twenty splits finds "
            "groups where there are none.",
        )
    yield Table(
        "Balance of the names",
        [
            {"feature": name, **{key: f"{value:.2f}" for key, value in own.items()}}
            for name, own in metrics["balance"].items()
        ],
        "Largest difference of two groups in standard deviations; tokens are those of the audited model.",
    )
    if metrics["names_not_latin"]:
        yield Prose(
            "", [f"{metrics['names_not_latin']} names are not in Latin script; syllables are not counted for them."]
        )


def _excess_row(name: str, measure: str, found: Mapping[str, Any]) -> dict[str, str]:
    return {
        "attribute": name,
        "measure": measure,
        "between": f"{found['between']:.4f}",
        "within": f"{found['within']:.4f}",
        "excess": format_estimate(found["excess"], sign=True),
        "p": f"{found['p_value']:.4f}",
    }


def _measure_row(name: str, measure: str, own: Mapping[str, Any]) -> dict[str, str]:
    low, high = (pick(own["means"], key=own["means"].get) for pick in (min, max))
    return {
        "attribute": name,
        "measure": measure,
        "lowest": f"{low}: {own['means'][low]:.4f}",
        "highest": f"{high}: {own['means'][high]:.4f}",
        "p": f"{own['p_value']:.4f}",
        "p (BH)": f"{own['p_bh']:.4f}",
        "unit": own["unit"],
    }


def _shares_row(name: str, own: Mapping[str, Any], spread_p: float) -> dict[str, str]:
    return {
        "attribute": name,
        "NDKL (shuffled)": f"{own['ndkl']:.4f} ({own['ndkl_null']:.4f})",
        "p of it": f"{own['ndkl_p']:.4f}",
        "fairness of attention": f"{own['attention']:.5f}",
        "p of that": f"{own['attention_p']:.4f}",
        "skew among the selected": "; ".join(f"{group} {value:+.2f}" for group, value in own["skew"].items()),
        "p of unequal spread": f"{spread_p:.4f}",
    }


def _model_tables(metrics: Mapping[str, Any]) -> Iterator[Part]:
    if metrics.get("controls"):
        yield Table(
            "Controls: changes that say nothing of a person",
            [
                {
                    "change": row["name"],
                    "mean absolute shift (SD)": f"{row['shift']:.4f}",
                    "decisions turned": f"{row['flip']:.1%}",
                }
                for row in metrics["controls"]
            ],
        )
    for name, own in metrics.get("cues", {}).items():
        rows = [{"cue": name, **{k: v for k, v in row.items() if k != "attribute"}} for row in gap_rows(name, own)]
        yield Table(
            f"Cue: {name}", rows, f"Gap: {own['gap_verdict']}; impact ratio: {own['ratio_verdict']}. Decides nothing."
        )
    if metrics.get("cues"):
        yield Table("Cues at a glance", [cue_row(name, own) for name, own in metrics["cues"].items()])
    yield from _vector_tables(metrics)


def _vector_tables(metrics: Mapping[str, Any]) -> Iterator[Part]:
    if metrics.get("titles"):
        yield _titles(metrics["titles"])
    if metrics.get("leakage"):
        yield Table(
            "Leakage: groups read off the vectors of unseen names", [_leak_row(row) for row in metrics["leakage"]]
        )
    if metrics.get("associations"):
        yield Table(
            "Associations (WEAT); reported, never a gate",
            [
                {
                    "groups": f"{row['first']} - {row['second']}",
                    "words": row["words"],
                    "effect": f"{row['effect']:+.2f}",
                    "p (BH)": f"{row['p_bh']:.4f}",
                    "divisions": f"{row['divisions']:,}" + (" (all)" if row["exact"] else ""),
                }
                for row in metrics["associations"]
            ],
            "Word associations say little about decisions (Goldfarb-Tarrant et al., 2021).",
        )
    if metrics.get("mitigation"):
        note = "Leakage and gap of names that taught no eraser. Averaging costs as many embeddings as there are names."
        yield Table("What could be done", [mitigation_row(row) for row in metrics["mitigation"]], note)


def _titles(found: Mapping[str, Any]) -> Table:
    rows = [
        {
            "what": "score, feminine less masculine title (SD)",
            "value": format_estimate(found["score"], sign=True),
            "p": f"{found['score']['p_value']:.4f}",
        },
        {
            "what": f"rankings apart (1 - RBO {found['between_forms']:.3f}) above a typo ({found['typo']:.3f})",
            "value": format_estimate(found["apart"], sign=True),
            "p": f"{found['apart']['p_value']:.4f}",
        },
    ]
    return Table("Job titles in two grammatical genders", rows, f"{found['score']['n']} titles in five languages.")


def _leak_row(row: Mapping[str, Any]) -> dict[str, str]:
    return {
        "attribute": row["attribute"],
        "balanced accuracy": f"{row['accuracy']:.3f}",
        "chance": f"{row['chance']:.3f}",
        "p": f"{row['p_value']:.4f}",
        "on its own names": f"{row['on_own_names']:.3f}",
        "compression": f"{row['compression']:.2f}",
    }


def _statement(run: Run, config: AuditConfig, metrics: Mapping[str, Any]) -> Iterator[Part]:
    manifest = run.manifest
    models = [f"{name}: {own['identity'][:16]}" for name, own in manifest["models"].items()] or ["no model"]
    inputs = [f"{name}: {own['path']}, SHA-256 {own['sha256'][:16]}" for name, own in manifest["inputs"].items()]
    yield Prose(
        "Statement on validation and testing",
        [
            "In the order of Annex IV, point 2(g), of Regulation (EU) 2024/1689. Whether that regulation applies, and "
            "whether this statement satisfies it, is for the responsible persons to judge.",
            "Procedure: " + (_procedure(config, metrics)),
            "Model: " + "; ".join(models),
            "Data and their hashes: "
            + "; ".join(inputs)
            + f". Stimuli: {str(metrics.get('stimuli_sha256', 'none'))[:16]}.",
            "Metrics: standardised score gaps, impact ratios over several cuts, excess flips, exposure, pairwise wins, "
            "leakage; their definitions and sources are in the documentation of hrembed.metrics.",
            "Potentially discriminatory impacts: see the verdict and the tables above. " + NOTICE,
            f"Log: {run.path.as_posix()}/log.txt; hrembed {manifest['versions'].get('hrembed', '')}; "
            f"started {manifest['started']}.",
            "Date: ________________   Name and role: ____________________________   Signature: ____________________",
        ],
    )


def _procedure(config: AuditConfig, metrics: Mapping[str, Any]) -> str:
    if "jobs" not in metrics:
        return "tables of recorded decisions."
    return (
        f"name-swap test of {metrics['names']:,} names on {metrics['resumes']:,} résumés and {metrics['jobs']:,} jobs, "
        f"seed {config.bootstrap.seed}, {config.bootstrap.resamples:,} resamples, A/A check with "
        f"{config.self_check:,} splits."
    )
