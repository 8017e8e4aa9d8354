"""The checks of a gate on quality, retention and fairness: from numbers of runs to pass, fail or inconclusive."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import numpy as np

from hrembed.commands.gate.check import Check
from hrembed.errors import ConfigError
from hrembed.metrics.gating import judge_gain, judge_limit, judge_loss, smallest_loss_seen
from hrembed.reports.estimates import as_json, format_estimate
from hrembed.scoring.past_evals import check_same_data, paired
from hrembed.types import Estimate

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hrembed.config.gate import GateConfig, RuleSection
    from hrembed.scoring.past_evals import EvaluatedModel, Paired


def rule_checks(config: GateConfig, candidate: EvaluatedModel, baseline: EvaluatedModel | None) -> list[Check]:
    """Check quality and retention.

    Raises:
        ConfigError: A rule fits no task, or names a metric that a task does not have.
        DataError: The two runs are not on the same data.
    """
    asked = [*_asked("quality", config.quality, candidate), *_asked("retention", config.retention, candidate)]
    compared = sum(rule.margin is not None for _, rule, _, _ in asked)
    found: list[Check] = []
    for section, rule, task, metric in asked:
        found += _absolute(section, rule, candidate, task, metric)
        if baseline is not None and (rule.margin is not None or rule.gain is not None):
            check_same_data(candidate, baseline, task)
            pair = paired(candidate, baseline, task, metric, config.bootstrap, checks=max(1, compared))
            found += _relative(section, rule, task, metric, _turned(pair, rule), config, max(1, compared))
    return found


def _asked(
    section: str, rules: Sequence[RuleSection], side: EvaluatedModel
) -> Iterator[tuple[str, RuleSection, str, str]]:
    """Yield every rule with every task it is for; retention tasks and others are apart."""
    kept = set(side.metrics.retention)
    tasks = [task for task in side.tasks() if (task in kept) == (section == "retention")]
    for rule in rules:
        fits = [task for task in tasks if fnmatchcase(task, rule.task)]
        if not fits and (section == "quality" or rule.task != "*"):
            raise ConfigError(
                f"`{section}`: no task of run '{side.run.name}' fits '{rule.task}'",
                hint=f"its tasks there: {', '.join(tasks) or 'none'}",
            )
        for task in fits:
            metric = rule.metric or side.headline(task)
            if metric not in side.scores(task):
                raise ConfigError(
                    f"`{section}`: '{task}' has no metric '{metric}'", hint=f"it has {', '.join(side.scores(task))}"
                )
            yield section, rule, task, metric


def _absolute(section: str, rule: RuleSection, side: EvaluatedModel, task: str, metric: str) -> Iterator[Check]:
    found = side.scores(task)[metric]
    for word, limit in (("at least", rule.at_least), ("at most", rule.at_most)):
        if limit is not None:
            ends = (limit, np.inf) if word == "at least" else (-np.inf, limit)
            outcome = judge_limit(found, low=ends[0], high=ends[1])
            name, asked = f"{section} {task} {metric} {word}", f"{word} {limit:g}"
            yield Check(section, name, asked, outcome, format_estimate(as_json(found)), as_json(found))


def _turned(pair: Paired, rule: RuleSection) -> Paired:
    """Turn a difference around where lower is better, so that above 0 is always a gain."""
    if rule.direction == "higher":
        return pair
    turned = [
        Estimate(-found.value, -found.high, -found.low, found.n, found.unit)
        for found in (pair.estimate, pair.corrected)
    ]
    return pair._replace(estimate=turned[0], corrected=turned[1])


def _relative(
    section: str, rule: RuleSection, task: str, metric: str, pair: Paired, config: GateConfig, checks: int
) -> Iterator[Check]:
    entry, text = as_json(pair.estimate), format_estimate(as_json(pair.estimate), sign=True)
    if rule.margin is not None:
        seen = smallest_loss_seen(
            pair.error,
            pair.estimate.n,
            margin=rule.margin,
            min_effect=rule.min_effect,
            alpha=1 - config.bootstrap.confidence,
            checks=checks,
            power=config.power,
        )
        outcome = judge_loss(pair.estimate, pair.corrected, margin=rule.margin, min_effect=rule.min_effect)
        asked = f"no loss of {rule.margin:g} or more"
        yield Check(section, f"{section} {task} {metric} loss", asked, outcome, text, entry, seen)
    if rule.gain is not None:
        outcome, asked = judge_gain(pair.estimate, gain=rule.gain), f"a gain above {rule.gain:g}"
        yield Check(section, f"{section} {task} {metric} gain", asked, outcome, text, entry)
