"""Estimates with intervals, and every pair of models compared on the headline of every task."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hrembed.metrics.intervals import detectable_difference
from hrembed.metrics.multiplicity import holm
from hrembed.metrics.verdicts import judge
from hrembed.records.eval import Comparison
from hrembed.scoring.pairs import Counts, estimate_of_draws, pair
from hrembed.scoring.retrieval import estimate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hrembed.config.eval import CompareSection, EvalConfig
    from hrembed.config.parts import BootstrapSection
    from hrembed.scoring.measures import Measures
    from hrembed.scoring.pairs import PairedDraws, PairedItems
    from hrembed.types import Estimate


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
        counts: Items on which either is better.
    """

    task: str
    model: str
    reference: str
    metric: str
    difference: Estimate
    p_value: float
    error: float
    counts: Counts = Counts()

    @classmethod
    def of(cls, task: str, model: str, reference: str, metric: str, paired: PairedItems | PairedDraws) -> PairedTest:
        """Test the scores of two models."""
        return cls(
            task, model, reference, metric, paired.difference(), paired.p_value(), paired.error(), paired.counts()
        )


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
        scores[metric] = estimate_of_draws(drawn, groups, bootstrap.confidence)
    return {measures.headline: scores[measures.headline], **scores}


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
    tests = []
    for reference, model in pairs_of(list(measures), config.compare):
        metric = measures[model].headline
        scores = measures[model].scores_of(metric), measures[reference].scores_of(metric)
        tests.append(PairedTest.of(task, model, reference, metric, pair(*scores, groups, config.bootstrap)))
    return tests


def pairs_of(models: Sequence[str], compare: CompareSection) -> list[tuple[str, str]]:
    """List reference and candidate of every comparison of models, the first of which is the reference of all."""
    if compare.pairs == "all":
        return list(combinations(models, 2))
    return [(models[0], model) for model in models[1:]]


def correct_family(
    tests: Sequence[PairedTest], compare: CompareSection, bootstrap: BootstrapSection
) -> list[Comparison]:
    """Correct a family of tests by Holm, and say what each of them shows.

    Args:
        tests: All tests of the family; those without a p-value do not count.
        compare: Power, and the largest difference that does not matter.
        bootstrap: Level of the intervals.

    Returns:
        One comparison for each test, in their order.
    """
    alpha = 1 - bootstrap.confidence
    corrected = holm([test.p_value for test in tests])
    defined = sum(not np.isnan(test.p_value) for test in tests)
    return [
        Comparison(
            task=test.task,
            model=test.model,
            reference=test.reference,
            metric=test.metric,
            difference=test.difference,
            better=test.counts.better,
            worse=test.counts.worse,
            p_value=test.p_value,
            p_holm=p_holm,
            detectable=detectable_difference(
                test.error, test.difference.n, alpha=alpha / max(1, defined), power=compare.power
            ),
            verdict=judge(test.difference, p_holm, alpha=alpha, delta=compare.delta),
        )
        for test, p_holm in zip(tests, corrected, strict=True)
    ]
