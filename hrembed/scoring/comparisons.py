"""Estimates with intervals, and every pair of models compared on the headline of every task."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hrembed.metrics.intervals import clustered_error, detectable_difference, sign_flip_p
from hrembed.metrics.multiplicity import holm
from hrembed.metrics.probes import bootstrap_p, interval_of
from hrembed.metrics.verdicts import judge
from hrembed.records.eval import Comparison
from hrembed.scoring.retrieval import compare, estimate, unit_of
from hrembed.types import Estimate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hrembed.config.eval import EvalConfig
    from hrembed.config.parts import BootstrapSection
    from hrembed.scoring.measures import Drawn, Measures
    from hrembed.types import Floats


class PairedTest(NamedTuple):
    """A model against another on the headline metric of one task, before its family is known.

    Attributes:
        task: Name of the task.
        model: The candidate.
        reference: The other.
        metric: The headline.
        difference: Candidate minus reference.
        p_value: Two-sided, not corrected; NaN where undefined.
        error: Standard error of the difference.
        better: Items on which the candidate scored higher; None for a number that is no mean over items.
        worse: Items on which it scored lower.
    """

    task: str
    model: str
    reference: str
    metric: str
    difference: Estimate
    p_value: float
    error: float
    better: int | None = None
    worse: int | None = None


def estimates(measures: Measures, groups: Sequence[str], bootstrap: BootstrapSection) -> dict[str, Estimate]:
    """Estimate every metric of one model on one task.

    Args:
        measures: What was measured.
        groups: Group of each item.
        bootstrap: How intervals are made.

    Returns:
        Metric to its score, the headline first.
    """
    scores = {metric: estimate(values, groups, bootstrap) for metric, values in measures.items.items()}
    for metric, drawn in measures.drawn.items():
        scores[metric] = _estimate_of_draws(drawn.value, drawn.draws, groups, bootstrap)
    return {measures.headline: scores[measures.headline], **scores}


def _estimate_of_draws(value: float, draws: Floats, groups: Sequence[str], bootstrap: BootstrapSection) -> Estimate:
    n = len(set(groups) - {""}) + sum(not group for group in groups)
    low, high = interval_of(draws, n, bootstrap.confidence)
    return Estimate(value, low, high, n, unit_of(groups))


def paired_tests(
    task: str, measures: Mapping[str, Measures], groups: Sequence[str], config: EvalConfig
) -> list[PairedTest]:
    """Compare every two models, or all with the first, as the config says.

    Args:
        task: Name of the task.
        measures: Model to what was measured, the reference first.
        groups: Group of each item.
        config: Which pairs, and how intervals are made.
    """
    reference, *others = measures
    pairs = combinations(measures, 2) if config.compare.pairs == "all" else ((reference, other) for other in others)
    return [_paired_test(task, first, second, measures, groups, config.bootstrap) for first, second in pairs]


def _paired_test(
    task: str,
    reference: str,
    model: str,
    measures: Mapping[str, Measures],
    groups: Sequence[str],
    bootstrap: BootstrapSection,
) -> PairedTest:
    metric = measures[model].headline
    if metric in measures[model].drawn:
        drawn = measures[model].drawn[metric], measures[reference].drawn[metric]
        return PairedTest(task, model, reference, metric, *_difference_of_draws(*drawn, groups, bootstrap))
    candidate, other = measures[model].items[metric], measures[reference].items[metric]
    difference = compare(candidate, other, groups, bootstrap)
    p_value = sign_flip_p(candidate, other, groups, rng=np.random.default_rng(bootstrap.seed))
    error, _ = clustered_error(candidate - other, groups)
    return PairedTest(
        task, model, reference, metric, difference.estimate, p_value, error, difference.better, difference.worse
    )


def _difference_of_draws(
    candidate: Drawn, reference: Drawn, groups: Sequence[str], bootstrap: BootstrapSection
) -> tuple[Estimate, float, float]:
    draws = candidate.draws - reference.draws
    difference = _estimate_of_draws(candidate.value - reference.value, draws, groups, bootstrap)
    return difference, bootstrap_p(draws, difference.n), float(np.nanstd(draws))


def correct_family(tests: Sequence[PairedTest], config: EvalConfig) -> list[Comparison]:
    """Correct a family of tests by Holm, and say what each of them shows.

    Args:
        tests: All tests of the family; those without a p-value do not count.
        config: Level, power, and the largest difference that does not matter.

    Returns:
        One comparison for each test, in their order.
    """
    alpha = 1 - config.bootstrap.confidence
    corrected = holm([test.p_value for test in tests])
    defined = sum(not np.isnan(test.p_value) for test in tests)
    return [
        Comparison(
            task=test.task,
            model=test.model,
            reference=test.reference,
            metric=test.metric,
            difference=test.difference,
            better=test.better,
            worse=test.worse,
            p_value=test.p_value,
            p_holm=p_holm,
            detectable=detectable_difference(
                test.error, test.difference.n, alpha=alpha / max(1, defined), power=config.compare.power
            ),
            verdict=judge(test.difference, p_holm, alpha=alpha, delta=config.compare.delta),
        )
        for test, p_holm in zip(tests, corrected, strict=True)
    ]
