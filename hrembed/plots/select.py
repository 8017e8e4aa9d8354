"""Pictures of a selection: quality against size, rank intervals, who is first under other weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hrembed.plots.svg import Bar, Bars, Curve, Curves, Intervals, Mark, Point, Row

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hrembed.records.select import Footprint, ProbedModel, RankedModel

_NAMED = 12


def sizes_chart(models: Sequence[RankedModel], label: str) -> tuple[Curves, list[str]]:
    """Quality with intervals over parameters; the best on the Pareto front are numbered.

    Args:
        models: Best first; those of unknown size are left out.
        label: What their points are.

    Returns:
        The chart, and the names behind its numbers.
    """
    known = [model for model in models if model.parameters is not None]
    named = [model.model for model in known if model.pareto_front][:_NAMED]

    def point(model: RankedModel) -> Point:
        number = str(named.index(model.model) + 1) if model.model in named else ""
        low, high = (model.points.low, model.points.high) if number else (float("nan"), float("nan"))
        return Point((model.parameters or 1) / 1e6, model.points.value, low, high, number)

    others = Curve("others", [point(model) for model in known if not model.pareto_front], joined=False, series=6)
    front = Curve(
        "on the Pareto front", [point(model) for model in known if model.pareto_front], joined=False, series=1
    )
    chart = Curves([others, front], "parameters, millions", label, log_x=True, height=300)
    return chart, [f"{number} {name}" for number, name in enumerate(named, 1)]


def ranks_chart(models: Sequence[RankedModel]) -> Intervals:
    """The interval of the rank of each model, in the order given."""
    rows = []
    for number, model in enumerate(models, 1):
        low, high = model.rank_interval
        mark = Mark(number, low, high, 1 if model.tied_with_first else 0, f"{low} to {high}")
        rows.append(Row(model.model, [mark]))
    return Intervals(rows, "rank; square: statistically tied with the first")


def shares_chart(shares: Mapping[str, float]) -> Bars:
    """How often each model is first under random weights of the tasks."""
    bars = [Bar(name, share, f"{share:.0%}") for name, share in shares.items()]
    return Bars(bars, "share of random weightings of the tasks under which the model is first")


def probe_chart(models: Sequence[ProbedModel], metric: str) -> Intervals:
    """Models that were measured here, best first."""
    rows = [
        Row(
            f"{model.model} ({model.queries} queries)",
            [Mark(model.score.value, model.score.low, model.score.high, 0, f"{model.score.value:.3f}")],
        )
        for model in models
    ]
    return Intervals(rows, f"{metric}, with its interval")


def probe_sizes_chart(
    models: Sequence[ProbedModel], footprints: Mapping[str, Sequence[Footprint]], metric: str
) -> Curves:
    """Quality with intervals over the memory that was needed, of models that were measured here.

    Args:
        models: Those with a footprint.
        footprints: Model to what it needed on each device; the first one counts.
        metric: What was measured.
    """
    curves = [
        Curve(
            model.model,
            [Point(footprints[model.model][0].peak_memory_mb, model.score.value, model.score.low, model.score.high)],
            joined=False,
        )
        for model in models
    ]
    return Curves(curves, "memory of the whole process at its peak, MB", metric, log_x=True)
