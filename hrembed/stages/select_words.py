"""What `hrembed select` says: the pick, the reasons, what to be careful about, tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hrembed.models.refs import parse_ref
from hrembed.runs.environment import machine
from hrembed.stages.scoring import shown
from hrembed.stages.select_probe import tied_with_best

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hrembed.config.select import SelectConfig
    from hrembed.selection.facts import Facts
    from hrembed.stages.footprint import Footprint
    from hrembed.stages.select_probe import Probe
    from hrembed.stages.select_transfer import Tuned

_MANY = 5


def pick_json(
    config: SelectConfig, rows: Sequence[Mapping[str, Any]], probe: Probe | None, tuned: Sequence[Tuned]
) -> dict[str, Any]:
    """Pick a model: the best after tuning, else the best measured here, else the first of the leaderboard.

    Returns:
        Its section for `pick.yaml`, who cannot be told from it, and the reasons.
    """
    if probe is not None and probe.finalists:
        return _measured_pick(config, rows, probe, tuned)
    first = rows[0]
    ref = f"hf:{first['model']}" + (f"@{first['revision']}" if first["revision"] else "")
    tied = [row["model"] for row in rows[1:] if row["tied_with_first"]]
    reasons = [f"{first['model']} is first of the models that fulfil the constraints (mean {first['mean']:.3f})."]
    reasons += _tied_words(tied, "the leaderboard")
    reasons.append("Nothing was measured on your texts: the leaderboard says little about hiring.")
    return {"model": first["model"], "section": {"ref": ref}, "cannot_be_told_from": tied, "reasons": reasons}


def _measured_pick(
    config: SelectConfig, rows: Sequence[Mapping[str, Any]], probe: Probe, tuned: Sequence[Tuned]
) -> dict[str, Any]:
    best = probe.finalists[0]
    tied = tied_with_best(probe.finalists)
    score = f"{config.probe.metric} {best.estimate.value:.3f} on {best.queries} queries of {probe.task.name}"
    reasons = [f"{best.name} scored highest of what was measured here: {score}."]
    reasons += _tied_words(tied, "these queries")
    if tuned and tuned[0].base.name != best.name:
        reasons.append(
            f"After the same short fine-tuning {tuned[0].base.name} comes before {best.name}: it is the better start."
        )
    best = tuned[0].base if tuned else best
    if tuned:
        tied = [t.base.name for t in tuned[1:] if t.behind is not None and not t.behind.estimate.high < 0]
        gain = tuned[0].gain.estimate
        reasons.append(f"Fine-tuned briefly, {best.name} gains {gain.value:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}].")
        reasons += _tied_words(tied, "the tuned models' scores") if len(tuned) > 1 else []
    if parse_ref(best.candidate.section.ref).scheme == "lexical":
        reasons.append("No model with vectors beat it here; there is nothing in it to fine-tune.")
    reasons += _place_words(best.candidate.fact.name if best.candidate.fact else best.name, rows)
    section = {"ref": best.candidate.section.ref} | best.candidate.section.model_dump(
        mode="json", exclude_defaults=True
    )
    return {"model": best.name, "section": section, "cannot_be_told_from": tied, "reasons": reasons}


def _tied_words(tied: Sequence[str], by: str) -> list[str]:
    if not tied:
        return [f"No other can be taken for it by {by}."]
    more = f" and {len(tied) - _MANY} others" if len(tied) > _MANY else ""
    return [f"By {by} it cannot be told from {', '.join(tied[:_MANY])}{more}: choose among them by cost or licence."]


def _place_words(name: str, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    row = next((row for row in rows if row["model"].endswith(name)), None)
    if row is None:
        return []
    low, high = row["rank_interval"]
    return [
        f"On the leaderboard it stands between rank {low} and {high} of {len(rows)} models that fulfil the constraints."
    ]


def notices(
    scores: Mapping[str, Any] | None,
    ranking: Mapping[str, Any] | None,
    rows: Sequence[Mapping[str, Any]],
    shortlist: int,
) -> list[str]:
    """What the reader should know before believing the numbers, the most important first."""
    if scores is None or ranking is None:
        return ["No leaderboard scores given: set `scores.path`, or fetch them once with `hrembed select --refresh`."]
    found = []
    for row in rows[:shortlist]:
        if row["suspicious"]:
            found.append(
                f"{row['model']}: its score on {', '.join(row['suspicious'])} fits neither the model nor the task; "
                "check it, or set `scores.outliers: drop`."
            )
        if row["incomparable"]:
            found.append(
                f"{row['model']}: its score on {', '.join(row['incomparable'])} comes from a version of mteb that is "
                "known to be wrong."
            )
    without = ranking["sensitivity"]["first_without_task"]
    if without:
        task, model = next(iter(without.items()))
        found.append(
            f"The first place hangs on single tasks: without {task} it would be {model}'s ({len(without)} such tasks)."
        )
    found += _table_notices(scores)
    if ranking["left_out"]:
        name, reason = next(iter(ranking["left_out"].items()))
        found.append(
            f"Models that fulfil the constraints but are not ranked: {len(ranking['left_out'])}, for example {name}: "
            f"{reason}."
        )
    return found


def _table_notices(scores: Mapping[str, Any]) -> list[str]:
    found = []
    if scores["unknown_models"]:
        found.append(
            f"Models of the scores that are not in mteb's registry and have no facts: {len(scores['unknown_models'])}, "
            f"for example {scores['unknown_for_example']}; describe yours under `facts`."
        )
    for key, words in (
        ("repeated_rows", "Rows that stand more than once with the same score, and count once"),
        ("rows_of_experiments", "Rows of models under settings that are not their own, which do not count"),
        ("partly_measured", "Scores of only some splits or subsets of their task, which count as missing"),
    ):
        if scores[key]:
            found.append(f"{words}: {scores[key]}.")
    for key, words in (
        ("of_several_revisions", "Models with scores of several revisions of their weights"),
        ("of_several_versions", "Models with scores of several main versions of mteb, or of their makers"),
    ):
        if scores[key]:
            found.append(f"{words}: {len(scores[key])}, for example {scores[key][0]}.")
    return found


def leaderboard_rows(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """The ranked models as a table."""
    return [
        {
            "model": row["model"],
            "mean": f"{row['mean']:.3f}",
            "rank": "{} to {}".format(*row["rank_interval"]),
            "Borda": str(row["borda_rank"]),
            "tied with first": "yes" if row["tied_with_first"] else "no",
            "Pareto": "front" if row["pareto_front"] else "",
            "parameters": _millions(row["parameters"]),
            "memory": f"{row['memory_mb']:,.0f} MiB" if row["memory_mb"] else "unknown",
            "licence": row["licence"] or "unknown",
            "trained on": _seen(row["trained_on_these_tasks"]),
            "look at": _flags(row),
        }
        for row in rows
    ]


def _millions(value: int | None) -> str:
    return "unknown" if value is None else f"{value / 1e6:,.0f} M"


def _seen(tasks: Sequence[str] | None) -> str:
    if tasks is None:
        return "not disclosed"
    return f"{len(tasks)} of these tasks" if tasks else "none of these"


def _flags(row: Mapping[str, Any]) -> str:
    flags = [f"odd score on {name}" for name in row["suspicious"]]
    flags += [f"wrong version on {name}" for name in row["incomparable"]]
    if row["tasks_of_other_revisions"]:
        flags.append(f"{row['tasks_of_other_revisions']} tasks of other revisions")
    if len(row["mteb_versions"]) > 1:
        flags.append(f"mteb {' and '.join(row['mteb_versions'])}")
    if row["superseded_by"]:
        flags.append(f"replaced by {row['superseded_by']}")
    return "; ".join(flags)


def busy_words(probe: Probe) -> str:
    """Say that speeds were measured on a machine that did other work, or give an empty text."""
    cores = int(str(machine()["cores"]))
    load = max((found.load for need in probe.footprints.values() for found in need), default=0.0)
    if load <= cores + 0.5:
        return ""
    return f"; this machine was busy (load {load:.1f} on {cores} cores), alone it is faster"


def probe_rows(
    probe: Probe, metrics: Sequence[Mapping[str, Any]], hourly: float | None, tokens: float
) -> list[dict[str, str]]:
    """The measured models as a table, best first; those dropped on the way below.

    Args:
        probe: What was measured.
        metrics: The same, as it stands in `metrics.json`.
        hourly: Price of this machine; None shows hours.
        tokens: Mean tokens of a text of the probe, for the price of services.
    """
    rows = []
    sections = {row.name: row.candidate.section for row in (*probe.finalists, *probe.dropped)}
    for row in metrics:
        need = probe.footprints.get(row["model"], ())
        price = sections[row["model"]].endpoint.price_per_million_tokens
        rows.append(
            {
                "model": row["model"],
                "score": shown(row["score"]),
                "to the best": "best"
                if row["difference_to_best"] is None
                else shown(row["difference_to_best"], sign=True),
                "queries": str(row["queries"]),
                **_need_cells(need, hourly),
                **({"a million texts": f"{price * tokens:,.2f}"} if price is not None else {}),
            }
        )
    return rows


def _need_cells(need: Sequence[Footprint], hourly: float | None) -> dict[str, str]:
    if not need:
        return {"texts/s": "", "start-up": "", "memory": "", "a million texts": ""}
    hours = [1e6 / found.texts_per_second / 3600 for found in need]
    costs = [f"{hour * hourly:,.2f}" if hourly is not None else f"{hour:,.1f} h" for hour in hours]
    devices = [f" ({found.device})" if len(need) > 1 else "" for found in need]
    return {
        "texts/s": ", ".join(f"{f.texts_per_second:,.0f}{d}" for f, d in zip(need, devices, strict=True)),
        "start-up": f"{need[0].start_seconds:.1f} s",
        "memory": f"{need[0].peak_memory_mb:,.0f} MiB",
        "a million texts": ", ".join(f"{c}{d}" for c, d in zip(costs, devices, strict=True)),
    }


def absent_rows(config: SelectConfig, absent: Sequence[Facts], tokens: float) -> list[dict[str, str]]:
    """Shortlisted models that could not be measured here, and how they could be; services with their price.

    Args:
        config: Holds the prices.
        absent: The models.
        tokens: Mean tokens of a text of the probe.
    """
    prices = {price.model: price.per_million_tokens for price in config.probe.cost.prices}
    rows = []
    for fact in absent:
        if fact.open_weights:
            revision = f" --revision {fact.revision}" if fact.revision else ""
            rows.append(
                {"model": fact.name, "to measure it": f"hf download {fact.name}{revision}", "a million texts": ""}
            )
        else:
            price = prices.get(fact.name)
            cost = "no price given" if price is None else f"{price * tokens:,.2f}"
            rows.append(
                {
                    "model": fact.name,
                    "to measure it": "a service: name its endpoint in `probe.models`",
                    "a million texts": cost,
                }
            )
    return rows


def transfer_rows(tuned: Sequence[Tuned], metrics: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """The tuned finalists as a table."""
    return [
        {
            "base": row.base.name,
            "base score": f"{row.base.estimate.value:.3f}",
            "tuned": shown(found["score"]),
            "gain": shown(found["gain"], sign=True),
            "to the best tuned": "best"
            if found["difference_to_best"] is None
            else shown(found["difference_to_best"], sign=True),
            "run": row.run,
        }
        for row, found in zip(tuned, metrics, strict=True)
    ]
