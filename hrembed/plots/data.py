"""One picture of a data set: lengths, groups, kinds and languages."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hrembed.files import writing

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from hrembed.types import Ints

# Okabe & Ito's palette, which colour-blind readers can tell apart.
_BLUE, _ORANGE, _GREEN, _RED, _GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#999999"
_BARS = 10
_LABEL = 20
_TITLE = 90
_POINTS = 1000
_LONG_AXIS = 500


@dataclass(frozen=True)
class Inspection:
    """What is drawn.

    Attributes:
        title: Above the whole picture.
        unit: What lengths are counted in: `tokens of minilm`.
        lengths: Side, in the plural (`anchors`), to the length of each text, shape (n,).
        limit: Longest text that the model does not cut; None when there is no limit.
        members: What groups consist of: `pairs` or `queries`.
        groups: Size of each group, largest first, shape (groups,); may be empty.
        bars: Kind or grade to how many there are, in the order drawn.
        bars_title: What the bars are.
        languages: Language to texts, in the order drawn; may be empty.
        languages_title: What was asked for its language.
        unsure: Key of `languages` that stands for no language.
    """

    title: str
    unit: str
    lengths: Mapping[str, Ints]
    limit: int | None
    members: str
    groups: Ints
    bars: Mapping[str, int]
    bars_title: str
    languages: Mapping[str, int]
    languages_title: str
    unsure: str


def draw_inspection(path: Path, content: Inspection) -> None:
    """Draw four panels into a PNG file; the same content gives the same bytes.

    At most ten bars are drawn in a panel, the last of them for all others together.

    Raises:
        HrembedError: The file cannot be written.
    """
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    figure = Figure(figsize=(11, 7.4), dpi=120, layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.1))
    title = content.title if len(content.title) <= _TITLE else f"…{content.title[1 - _TITLE :]}"
    figure.suptitle(title, x=0.012, ha="left", fontsize=13, fontweight="bold", parse_math=False)
    panels = figure.subplots(2, 2)
    _draw_lengths(panels[0, 0], content)
    _draw_groups(panels[0, 1], content)
    _draw_bars(panels[1, 0], content.bars, content.bars_title, dict.fromkeys(content.bars, _GREEN))
    colours = {language: _GREY if language == content.unsure else _BLUE for language in content.languages}
    _draw_bars(panels[1, 1], content.languages, content.languages_title, colours)
    with writing(path) as part, warnings.catch_warnings():
        # A script that the font lacks is drawn as boxes; the counts are still right.
        warnings.filterwarnings("ignore", message="Glyph")
        # The name of the software holds its version; without it the bytes depend on the content alone.
        figure.savefig(part, format="png", metadata={"Software": None})


def _draw_lengths(axes: Any, content: Inspection) -> None:
    longest = max((int(lengths.max(initial=1)) for lengths in content.lengths.values()), default=1)
    longest = max(longest, content.limit or 1)
    edges = np.unique(np.round(np.geomspace(1, longest + 1, 36))) - 0.5
    for (side, lengths), colour in zip(content.lengths.items(), (_BLUE, _ORANGE), strict=True):
        shares = np.histogram(lengths, edges)[0] / max(len(lengths), 1)
        axes.stairs(shares, edges, fill=True, color=colour, alpha=0.35)
        axes.stairs(shares, edges, color=colour, linewidth=1.6, label=side)
    axes.set_xscale("log")
    axes.set_xlim(0.8, longest * 1.3)
    _tick(axes.xaxis, longest)
    axes.yaxis.set_major_formatter(_percent)
    title = "How long the texts are"
    if content.limit is not None:
        axes.axvline(content.limit, color=_RED, linestyle="--", linewidth=1.6, label=f"limit of {content.limit:,}")
        cut = [
            f"{_percent(float((lengths > content.limit).mean()))} of {side}"
            for side, lengths in content.lengths.items()
            if len(lengths)
        ]
        title += f"\nAbove the limit: {' and '.join(cut)}"
    axes.set_xlabel(content.unit)
    axes.set_ylabel("share of the side")
    axes.legend(frameon=False)
    _finish(axes, title)


def _draw_groups(axes: Any, content: Inspection) -> None:
    sizes = content.groups
    if not len(sizes):
        _say(axes, "Group sizes", "no groups given")
        return
    shown = np.unique(np.linspace(0, len(sizes) - 1, min(len(sizes), _POINTS)).astype(int))
    axes.stairs(sizes[shown], np.append(shown, len(sizes)), baseline=0.5, fill=True, color=_BLUE, alpha=0.35)
    axes.stairs(sizes[shown], np.append(shown, len(sizes)), baseline=0.5, color=_BLUE, linewidth=1.6)
    axes.set_yscale("log")
    axes.set_ylim(bottom=0.8, top=max(float(sizes[0]) * 1.4, 12))
    axes.set_xlim(0, len(sizes))
    _tick(axes.yaxis, int(sizes[0]))
    axes.xaxis.set_major_formatter(_plain)
    axes.set_xlabel("groups, the largest first")
    axes.set_ylabel(f"{content.members} in the group")
    largest = -(-len(sizes) // 100)
    share = _percent(float(sizes[:largest].sum() / sizes.sum()))
    who = "The largest one holds" if largest == 1 else f"The largest 1 % ({largest:,}) hold"
    _finish(axes, f"How large the {len(sizes):,} groups are\n{who} {share} of the grouped {content.members}")


def _draw_bars(axes: Any, counts: Mapping[str, int], title: str, colours: Mapping[str, str]) -> None:
    total = sum(counts.values())
    if not total:
        _say(axes, title, "none")
        return
    names = list(counts)
    rest = names[_BARS - 1 :] if len(names) > _BARS else []
    names = names[: len(names) - len(rest)]
    values = [counts[name] for name in names] + ([sum(counts[name] for name in rest)] if rest else [])
    labels = [_shortened(name) for name in names] + ([f"{len(rest):,} others"] if rest else [])
    positions = range(len(values))
    axes.barh(positions, values, color=[colours[name] for name in names] + [_GREY] * bool(rest), height=0.68)
    axes.set_yticks(positions, labels, parse_math=False)
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)
    axes.set_xlim(0, max(values) * 1.28)
    axes.set_ylim(max(len(values), 4) - 0.4, -0.6)
    axes.xaxis.set_visible(False)
    axes.spines["bottom"].set_visible(False)
    for position, value in zip(positions, values, strict=True):
        axes.text(value, position, f"  {value:,} ({_percent(value / total)})", va="center", fontsize=9)
    _finish(axes, title)


def _say(axes: Any, title: str, text: str) -> None:
    axes.set_axis_off()
    axes.text(0.5, 0.5, text, ha="center", va="center", color=_GREY, transform=axes.transAxes)
    _finish(axes, title)


def _tick(axis: Any, largest: int) -> None:
    """Mark 1, 2, 5, 10, 20, ... on a logarithmic axis, and on a long one 1, 10, 100, ..."""
    from matplotlib.ticker import LogLocator

    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if largest < _LONG_AXIS else (1,)))
    axis.set_major_formatter(_plain)
    axis.set_minor_formatter("")


def _finish(axes: Any, title: str) -> None:
    axes.set_title(title, loc="left", fontsize=10.5)
    axes.spines[["top", "right"]].set_visible(False)


def _shortened(text: str) -> str:
    return text if len(text) <= _LABEL else f"{text[: _LABEL - 1]}…"


def _plain(value: float, _: object = None) -> str:
    return f"{value:,.0f}"


def _percent(share: float, _: object = None) -> str:
    """Two digits or so; a share is never rounded to 0 when there is something."""
    if 0 < share < 0.001:
        return "<0.1 %"
    return f"{share:.1%}".replace(".0%", "%").replace("%", " %")
