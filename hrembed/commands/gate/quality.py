"""The checks of a gate on quality and retention: from numbers of runs to pass, fail or inconclusive."""

from __future__ import annotations

from dataclasses import replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from hrembed.errors import ConfigError
from hrembed.metrics.gating import judge_gain, judge_limit, judge_loss, smallest_loss_seen
from hrembed.records.gate import Check
from hrembed.reports.estimates import format_estimate
from hrembed.scoring.past_evals import check_same_data, paired

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hrembed.config.gate import GateConfig, RuleSection
    from hrembed.scoring.past_evals import EvaluatedModel, Paired
    from hrembed.types import Estimate

Section = Literal["quality", "retention"]


class _TaskRule(NamedTuple):
    """A rule of the config on one of the tasks that it is for.

    Attributes:
        section: Section of the rule.
        rule: What is required.
        task: Name of the task.
        metric: Name of the metric.
    """

    section: Section
    rule: RuleSection
    task: str
    metric: str

    @property
    def prefix(self) -> str:
        """What the names of its checks start with."""
        return f"{self.section} {self.task} {self.metric}"


def rule_checks(config: GateConfig, candidate: EvaluatedModel, baseline: EvaluatedModel | None) -> list[Check]:
    """Check quality and retention.

    Raises:
        ConfigError: A rule fits no task, or names a metric that a task does not have.
        DataError: The two runs are not on the same data.
    """
    rules = [
        *_rules_of_tasks("quality", config.quality, candidate),
        *_rules_of_tasks("retention", config.retention, candidate),
    ]
    losses = max(1, sum(on_task.rule.margin is not None for on_task in rules))
    checks: list[Check] = []
    for on_task in rules:
        checks += _limit_checks(on_task, candidate)
        if baseline is not None and (on_task.rule.margin is not None or on_task.rule.gain is not None):
            check_same_data(candidate, baseline, on_task.task)
            pair = paired(candidate, baseline, on_task.task, on_task.metric, config.bootstrap, checks=losses)
            checks += _difference_checks(on_task, _higher_is_better(pair, on_task.rule), config, losses)
    return checks


def _rules_of_tasks(section: Section, rules: Sequence[RuleSection], side: EvaluatedModel) -> Iterator[_TaskRule]:
    """Yield every rule with every task it is for; retention tasks and others are apart."""
    retention = set(side.metrics.retention)
    tasks = [task for task in side.tasks() if (task in retention) == (section == "retention")]
    for rule in rules:
        matching = [task for task in tasks if fnmatchcase(task, rule.task)]
        if not matching and (section == "quality" or rule.task != "*"):
            raise ConfigError(
                f"`{section}`: no task in run '{side.run.name}' matches '{rule.task}'",
                hint=f"available tasks: {', '.join(tasks) or 'none'}",
            )
        for task in matching:
            metric = rule.metric or side.headline(task)
            if metric not in side.scores(task):
                raise ConfigError(
                    f"`{section}`: '{task}' has no metric '{metric}'",
                    hint=f"available metrics: {', '.join(side.scores(task))}",
                )
            yield _TaskRule(section, rule, task, metric)


def _limit_checks(on_task: _TaskRule, side: EvaluatedModel) -> Iterator[Check]:
    """Check the candidate's own score."""
    score = side.scores(on_task.task)[on_task.metric]
    for words, limit in (("at least", on_task.rule.at_least), ("at most", on_task.rule.at_most)):
        if limit is not None:
            low, high = (limit, np.inf) if words == "at least" else (-np.inf, limit)
            yield Check(
                section=on_task.section,
                name=f"{on_task.prefix} {words}",
                asked=f"{words} {limit:g}",
                outcome=judge_limit(score, low=low, high=high),
                found=score,
                accepted=(limit, None) if words == "at least" else (None, limit),
                shown=format_estimate(score),
            )


def _higher_is_better(pair: Paired, rule: RuleSection) -> Paired:
    """Change the sign of a difference where lower is better, so that above 0 is always a gain."""
    if rule.direction == "higher":
        return pair
    return pair._replace(estimate=_negated(pair.estimate), corrected=_negated(pair.corrected))


def _negated(difference: Estimate) -> Estimate:
    return replace(difference, value=-difference.value, low=-difference.high, high=-difference.low)


def _difference_checks(on_task: _TaskRule, pair: Paired, config: GateConfig, losses: int) -> Iterator[Check]:
    """Check the candidate against the baseline.

    Args:
        on_task: What is required.
        pair: Candidate minus baseline, above 0 for a gain.
        config: Level and power.
        losses: Number of checks on losses, for which intervals are corrected.
    """
    rule, shown = on_task.rule, format_estimate(pair.estimate, sign=True)
    if rule.margin is not None:
        detectable = smallest_loss_seen(
            pair.error,
            pair.estimate.n,
            margin=rule.margin,
            min_effect=rule.min_effect,
            alpha=1 - config.bootstrap.confidence,
            checks=losses,
            power=config.power,
        )
        yield Check(
            section=on_task.section,
            name=f"{on_task.prefix} loss",
            asked=f"no loss of {rule.margin:g} or more",
            outcome=judge_loss(pair.estimate, pair.corrected, margin=rule.margin, min_effect=rule.min_effect),
            found=pair.estimate,
            accepted=(-rule.margin, None),
            shown=shown,
            detectable=detectable,
        )
    if rule.gain is not None:
        yield Check(
            section=on_task.section,
            name=f"{on_task.prefix} gain",
            asked=f"a gain above {rule.gain:g}",
            outcome=judge_gain(pair.estimate, gain=rule.gain),
            found=pair.estimate,
            accepted=(rule.gain, None),
            shown=shown,
        )
