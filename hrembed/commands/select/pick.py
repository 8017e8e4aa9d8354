"""The model that is picked, the reasons, and what to be careful about."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from hrembed.commands.select.probe import tied_with_best
from hrembed.files import write_text
from hrembed.models.refs import parse_ref

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hrembed.commands.select.probe import Probe
    from hrembed.commands.select.transfer import Tuned
    from hrembed.config.select import SelectConfig
    from hrembed.runs.record import Run


def write_pick(run: Run, pick: Mapping[str, Any]) -> None:
    """Write `pick.yaml`: the `model` section of the other commands, with the reasons above it.

    Raises:
        HrembedError: The file cannot be written.
    """
    lines = [
        "# The model that `hrembed select` picked. Use it where a model is asked for:",
        f"#   hrembed finetune --set model={run.path}/pick.yaml",
        f"#   hrembed bias-audit --set model={run.path}/pick.yaml",
        f"#   hrembed eval --set models.0={run.path}/pick.yaml",
        "#",
        *(f"# {line}" for reason in pick["reasons"] for line in reason.splitlines()),
        # JSON is YAML, and leaves no doubt about what is text.
        *(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in pick["section"].items()),
    ]
    write_text(run.path / "pick.yaml", "\n".join(lines) + "\n")


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
