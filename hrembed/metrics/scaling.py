"""How times grow with the number of documents, and how much arithmetic a text takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence


class Curve(NamedTuple):
    """A power law: factor · size ** exponent.

    Attributes:
        factor: Value at size 1.
        exponent: 1 grows like the size, 0 not at all.
    """

    factor: float
    exponent: float

    def at(self, size: float) -> float:
        """Value at a size."""
        return float(self.factor * size**self.exponent)


def fit_growth(sizes: Sequence[float], values: Sequence[float]) -> Curve:
    """Fit a power law by least squares on logarithms.

    Args:
        sizes: Two or more different ones, above 0.
        values: What was measured there, above 0; the unit is kept.

    Raises:
        ValueError: There are fewer than two sizes, or a number is not above 0.
    """
    if len(set(sizes)) < 2 or len(sizes) != len(values):
        raise ValueError(
            f"expected at least two different sizes and a value for each, got {len(sizes)} sizes and "
            f"{len(values)} values"
        )
    if min(*sizes, *values) <= 0:
        raise ValueError("sizes and values must be above 0")
    exponent, factor = np.polyfit(np.log(sizes), np.log(values), 1)
    return Curve(float(np.exp(factor)), float(exponent))


def transformer_flops(*, layers: int, width: int, feed_forward: int, tokens: float) -> float:
    """Estimate the floating-point operations of one text through a transformer encoder.

    A multiplication and an addition are two. Projections and feed-forward part take 8 · width² + 4 · width ·
    feed_forward for a token and layer, attention 4 · tokens · width; embeddings, norms and pooling are left out.

    Args:
        layers: Layers of the encoder.
        width: Hidden size.
        feed_forward: Width inside the feed-forward part.
        tokens: Mean length of a text.

    Source:
        Kaplan et al. (2020), arXiv:2001.08361, table 1.
    """
    per_token = 8 * width**2 + 4 * width * feed_forward + 4 * tokens * width
    return float(layers * per_token * tokens)
