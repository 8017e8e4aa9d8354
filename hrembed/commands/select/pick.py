"""The model that is picked, the reasons, and what to be careful about."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from hrembed.commands.select.probe import tied_with_best
from hrembed.files import write_text
from hrembed.models.refs import parse_ref
from hrembed.records.select import Pick
from hrembed.text import counted

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hrembed.commands.select.probe import Probe
    from hrembed.commands.select.transfer import Tuned
    from hrembed.config.select import SelectConfig
    from hrembed.records.select import RankedModel, RankingSummary, ScoresSummary
    from hrembed.runs.record import Run

_MANY = 5


def write_pick(run: Run, pick: Pick) -> None:
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
        *(f"# {line}" for reason in pick.reasons for line in reason.splitlines()),
        # JSON is YAML, and leaves no doubt about what is text.
        *(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in pick.section.items()),
    ]
    write_text(run.path / "pick.yaml", "\n".join(lines) + "\n")


def pick_model(
    config: SelectConfig, ranked: Sequence[RankedModel], probe: Probe | None, tuned: Sequence[Tuned]
) -> Pick:
    """Pick the best model after tuning, else the best measured here, else the first of the leaderboard."""
    if probe is not None and probe.finalists:
        return _measured_pick(config, ranked, probe, tuned)
    first = ranked[0]
    tied = [row.model for row in ranked[1:] if row.tied_with_first]
    reasons = [
        f"{first.model} ranks first among the models that meet the constraints (mean {first.mean:.3f}).",
        *_tied_words(tied, "the leaderboard"),
        "Nothing was measured on your data: leaderboard scores say little about hiring.",
    ]
    ref = f"hf:{first.model}" + (f"@{first.revision}" if first.revision else "")
    return Pick(model=first.model, section={"ref": ref}, cannot_be_told_from=tuple(tied), reasons=tuple(reasons))


def _measured_pick(config: SelectConfig, ranked: Sequence[RankedModel], probe: Probe, tuned: Sequence[Tuned]) -> Pick:
    best = probe.finalists[0]
    tied = tied_with_best(probe.finalists)
    score = f"{config.probe.metric} {best.estimate.value:.3f} on {counted(best.queries, 'query')} of {probe.task.name}"
    reasons = [f"{best.name} scored highest of the models measured here: {score}."]
    reasons += _tied_words(tied, "these queries") if len(probe.finalists) > 1 else []
    if tuned:
        start = tuned[0].base
        if start.name != best.name:
            reasons.append(
                f"After the same short fine-tuning, {start.name} ranks above {best.name}: it is the better "
                "starting point."
            )
        best, gain = start, tuned[0].gain.estimate
        tied = [row.base.name for row in tuned[1:] if row.behind is not None and not row.behind.estimate.high < 0]
        reasons.append(f"Fine-tuned briefly, {best.name} gains {gain.value:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}].")
        reasons += _tied_words(tied, "the scores of the fine-tuned models") if len(tuned) > 1 else []
    section = best.candidate.section
    embedding = [row for row in probe.finalists if not parse_ref(row.candidate.section.ref).is_lexical]
    if parse_ref(section.ref).is_lexical and embedding:
        reasons.append("No embedding model beat it here; it has nothing to fine-tune.")
    reasons += _place_words(best.candidate.facts.name if best.candidate.facts else best.name, ranked)
    return Pick(
        model=best.name,
        section={"ref": section.ref, **section.model_dump(mode="json", exclude_defaults=True, exclude={"name"})},
        cannot_be_told_from=tuple(tied),
        reasons=tuple(reasons),
    )


def next_steps(pick: Pick, folder: Path) -> list[str]:
    """Name the command that takes the pick: a training, or an evaluation where there is nothing to train."""
    ref = str(pick.section.get("ref", ""))
    if ref.startswith("hf:") or parse_ref(ref).has_weights:
        return ["Next, train it on your own pairs:", f"  hrembed finetune --set model={folder}/pick.yaml"]
    return ["Next, evaluate it on your own tasks:", f"  hrembed eval --set models.0={folder}/pick.yaml"]


def _tied_words(tied: Sequence[str], by: str) -> list[str]:
    if not tied:
        return [f"No other model is statistically tied with it by {by}."]
    more = f" and {counted(len(tied) - _MANY, 'other')}" if len(tied) > _MANY else ""
    return [
        (
            f"By {by} it is statistically tied with {', '.join(tied[:_MANY])}{more}: choose among them by "
            "cost or licence."
        )
    ]


def _place_words(name: str, ranked: Sequence[RankedModel]) -> list[str]:
    row = next((row for row in ranked if row.model.endswith(name)), None)
    if row is None:
        return []
    low, high = row.rank_interval
    return [
        (f"On the leaderboard it ranks between {low} and {high} of {len(ranked)} models that meet the constraints.")
    ]


def notices(
    scores: ScoresSummary | None, ranking: RankingSummary | None, shortlist: Sequence[RankedModel]
) -> list[str]:
    """What to know before believing the numbers, the most important first."""
    if scores is None or ranking is None:
        return [
            (
                "No leaderboard scores configured: set `scores.path`, or download them once with `hrembed "
                "select --refresh`."
            )
        ]
    sentences = []
    for row in shortlist:
        if row.suspicious:
            sentences.append(
                f"{row.model}: its score on {', '.join(row.suspicious)} is an outlier for both the model and "
                "the task; check it, or set `scores.outliers: drop`."
            )
        if row.incomparable:
            sentences.append(
                f"{row.model}: its score on {', '.join(row.incomparable)} comes from a version of mteb with a "
                "known error."
            )
    without = ranking.sensitivity.first_without_task
    if without:
        task, model = next(iter(without.items()))
        sentences.append(
            f"First place depends on single tasks: without {task}, {model} would win ({len(without)} such tasks)."
        )
    sentences += _scores_notices(scores)
    if ranking.left_out:
        name, reason = next(iter(ranking.left_out.items()))
        sentences.append(
            f"Models that meet the constraints but are not ranked: {len(ranking.left_out)}, for example "
            f"{name}: {reason}."
        )
    return sentences


def _scores_notices(scores: ScoresSummary) -> list[str]:
    sentences = []
    if scores.unknown_models:
        sentences.append(
            f"Models in the scores without metadata in mteb: {len(scores.unknown_models)}, for example "
            f"{scores.unknown_for_example}; describe them under `facts`."
        )
    for count, words in (
        (scores.repeated_rows, "Duplicate rows with the same score, which count once"),
        (scores.rows_of_experiments, "Models with non-default settings, which are ignored"),
        (scores.partly_measured, "Scores that cover only some splits or subsets of their task, which count as missing"),
    ):
        if count:
            sentences.append(f"{words}: {count}.")
    for models, words in (
        (scores.of_several_revisions, "Models with scores from several revisions of their weights"),
        (
            scores.of_several_versions,
            "Models with scores from several major versions of mteb, or reported by their authors",
        ),
    ):
        if models:
            sentences.append(f"{words}: {len(models)}, for example {models[0]}.")
    return sentences
