"""A picture of how much each layer matters, by three rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hrembed.files import writing

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hrembed.records.finetune import LayerChoice, LayerRule

# Of Okabe & Ito's palette, as in the other pictures; hatching tells chosen layers apart without colour.
_CHOSEN, _OTHER = "#0072B2", "#bbbbbb"
_TITLES: dict[LayerRule, str] = {
    "fisher": "fisher\nsquared gradients of the loss",
    "snr": "snr\nsignal in the weights",
    "change": "change\nadded by a short training",
}


def draw_layers(path: Path, choice: LayerChoice) -> None:
    """Draw a panel of bars for each rule into a PNG file, the lowest layer at the bottom; chosen ones are marked.

    Args:
        path: The file.
        choice: The scores of all layers, which NaN leaves out, and the chosen ones.

    Raises:
        HrembedError: The file cannot be written.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    depth = len(choice.rank)
    figure = Figure(figsize=(9, 1.9 + 0.28 * depth), dpi=120, layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, len(choice.scores), sharey=True))
    for axes, (rule, scores) in zip(panels, choice.scores.items(), strict=True):
        _draw_rule(axes, scores, choice.chosen)
        axes.set_title(_TITLES[rule] + ("\n(chose the layers)" if rule == choice.by else "\n"), fontsize=10)
    panels[0].set_yticks(range(depth))
    panels[0].set_ylim(-0.6, depth - 0.4)
    panels[0].set_ylabel("layer, 0 is the lowest")
    marks = [
        Patch(facecolor=_CHOSEN, edgecolor="white", hatch="//", label="trained"),
        Patch(facecolor=_OTHER, label="frozen"),
    ]
    figure.legend(handles=marks, loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    with writing(path) as part:
        figure.savefig(part, format="png", metadata={"Software": None})


def _draw_rule(axes: Any, values: Sequence[float], chosen: Sequence[int]) -> None:
    bars = axes.barh(range(len(values)), np.array(values, dtype=float), color=_OTHER)
    for layer in chosen:
        bars[layer].set(facecolor=_CHOSEN, edgecolor="white", hatch="//")
    axes.axvline(0, color="#777777", linewidth=0.8)
    axes.ticklabel_format(axis="x", style="sci", scilimits=(-2, 3), useMathText=True)
    axes.locator_params(axis="x", nbins=4)
    axes.grid(axis="x", color="#dddddd")
    axes.set_axisbelow(True)
    for spine in ("top", "right"):
        axes.spines[spine].set_visible(False)
