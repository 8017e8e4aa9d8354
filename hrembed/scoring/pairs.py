"""Two models on the same items: their difference, its error, and whether chance explains it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hrembed.metrics.intervals import clustered_error, paired_difference, sign_flip_p
from hrembed.metrics.probes import bootstrap_p, interval_of
from hrembed.scoring.retrieval import unit_of
from hrembed.types import Estimate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hrembed.config.parts import BootstrapSection
    from hrembed.types import Floats


class Drawn(NamedTuple):
    """A number that is no mean over items.

    Attributes:
        value: The number.
        draws: The same of each bootstrap resample, shape (resamples,), one seed draws alike for every model; NaN where
            no interval can be given.
    """

    value: float
    draws: Floats


class Counts(NamedTuple):
    """Items on which the candidate scored higher, and lower; None for a number that is no mean over items."""

    better: int | None = None
    worse: int | None = None


@dataclass(frozen=True)
class PairedItems:
    """A metric of two models that is a mean over items.

    Attributes:
        candidate: Value of each item, shape (n,); NaN where undefined.
        reference: The same items.
        groups: Group of each item; a group is resampled as a whole.
        bootstrap: How intervals are made.
    """

    candidate: Floats
    reference: Floats
    groups: Sequence[str]
    bootstrap: BootstrapSection

    def difference(self, confidence: float | None = None) -> Estimate:
        """Candidate minus reference, with an interval at a level; None for that of the settings."""
        return paired_difference(
            self.candidate,
            self.reference,
            self.groups,
            rng=np.random.default_rng(self.bootstrap.seed),
            confidence=self.bootstrap.confidence if confidence is None else confidence,
            resamples=self.bootstrap.resamples,
            unit=unit_of(self.groups),
        ).estimate

    def counts(self) -> Counts:
        """Count the items on which either is better."""
        delta = self.candidate - self.reference
        return Counts(int((delta > 0).sum()), int((delta < 0).sum()))

    def p_value(self) -> float:
        """Two-sided p-value from flipped signs of whole groups; NaN without a defined pair."""
        rng = np.random.default_rng(self.bootstrap.seed)
        return sign_flip_p(self.candidate, self.reference, self.groups, rng=rng)

    def error(self) -> float:
        """Standard error of the difference; NaN with fewer than two groups."""
        return clustered_error(self.candidate - self.reference, self.groups)[0]


@dataclass(frozen=True)
class PairedDraws:
    """A metric of two models that is no mean over items, such as a rank correlation.

    Attributes:
        candidate: The number, and its draws.
        reference: The same of the other model, drawn alike.
        groups: Group of each item.
        bootstrap: How intervals are made.
    """

    candidate: Drawn
    reference: Drawn
    groups: Sequence[str]
    bootstrap: BootstrapSection

    def difference(self, confidence: float | None = None) -> Estimate:
        """Candidate minus reference, with an interval at a level; None for that of the settings."""
        difference = Drawn(self.candidate.value - self.reference.value, self._draws())
        level = self.bootstrap.confidence if confidence is None else confidence
        return estimate_of_draws(difference, self.groups, level)

    def counts(self) -> Counts:
        """Nothing is counted."""
        return Counts()

    def p_value(self) -> float:
        """Two-sided p-value from the draws; NaN where no interval can be given."""
        return bootstrap_p(self._draws(), units(self.groups))

    def error(self) -> float:
        """Standard deviation of the drawn differences."""
        return float(np.nanstd(self._draws()))

    def _draws(self) -> Floats:
        return self.candidate.draws - self.reference.draws


def pair(
    candidate: Floats | Drawn, reference: Floats | Drawn, groups: Sequence[str], bootstrap: BootstrapSection
) -> PairedItems | PairedDraws:
    """Pair the scores of two models on the same items.

    Raises:
        TypeError: The one is a mean over items, the other is not.
    """
    if isinstance(candidate, Drawn) and isinstance(reference, Drawn):
        return PairedDraws(candidate, reference, groups, bootstrap)
    if isinstance(candidate, Drawn) or isinstance(reference, Drawn):
        raise TypeError("per-item scores cannot be paired with a metric that is not a mean over items")
    return PairedItems(candidate, reference, groups, bootstrap)


def estimate_of_draws(drawn: Drawn, groups: Sequence[str], confidence: float) -> Estimate:
    """Estimate a number that is no mean over items."""
    low, high = interval_of(drawn.draws, units(groups), confidence)
    return Estimate(drawn.value, low, high, units(groups), unit_of(groups))


def units(groups: Sequence[str]) -> int:
    """Number of groups, an item without one standing for a group of its own."""
    return len(set(groups) - {""}) + sum(not group for group in groups)
