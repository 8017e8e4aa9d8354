"""How long a search takes as the documents become more: measured points and the fitted curve beyond them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hrembed.plots.svg import Curve, Curves, Point

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hrembed.records.compare import SizeCost


def growth_chart(growth: Mapping[str, Sequence[SizeCost]]) -> Curves:
    """Milliseconds of a search over the number of documents, both on logarithmic axes.

    Args:
        growth: Model to its sizes, rising; what is not measured is hollow.
    """
    curves = [
        Curve(label, [Point(row.documents, row.search_ms, hollow=not row.search_measured) for row in rows])
        for label, rows in growth.items()
    ]
    words = "documents (hollow: extrapolated)"
    return Curves(curves, words, "milliseconds of a search", log_x=True, log_y=True)
