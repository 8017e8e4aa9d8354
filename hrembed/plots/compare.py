"""How long a search takes as the documents become more: measured points and the fitted curve beyond them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hrembed.files import writing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from hrembed.records.compare import SizeCost

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#999999", "#000000")
_MARKERS = "osD^vPX*"


def draw_growth(path: Path, growth: Mapping[str, Sequence[SizeCost]]) -> None:
    """Draw milliseconds of a search over the number of documents into an SVG file, both on logarithmic axes.

    Args:
        path: The file.
        growth: Model to its sizes, rising; what is not measured is hollow.

    Raises:
        HrembedError: The file cannot be written.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.subplots()
    for number, (label, rows) in enumerate(growth.items()):
        colour, marker = _COLOURS[number % len(_COLOURS)], _MARKERS[number % len(_MARKERS)]
        axes.plot(*_points(rows), color=colour, linewidth=1, linestyle=":")
        for measured, fill in ((True, colour), (False, "none")):
            points = _points([row for row in rows if row.search_measured is measured])
            axes.plot(*points, marker, color=colour, mfc=fill, label=label if measured else None)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("documents (hollow: extrapolated)")
    axes.set_ylabel("milliseconds of a search")
    axes.grid(color="#dddddd")
    legend = axes.legend(frameon=False, fontsize=9)
    for text in legend.get_texts():
        text.set_parse_math(False)
    # Letters become paths, and names of parts do not differ from time to time.
    with writing(path) as part, mpl.rc_context({"svg.hashsalt": "hrembed"}):
        figure.savefig(part, format="svg", metadata={"Date": None})


def _points(rows: Sequence[SizeCost]) -> tuple[list[int], list[float]]:
    return [row.documents for row in rows], [row.search_ms for row in rows]
