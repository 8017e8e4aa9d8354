"""How an estimate is written: for metrics.json, and for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hrembed.types import Estimate

if TYPE_CHECKING:
    from collections.abc import Mapping


def nulls_to_nan(value: Any) -> Any:
    """Turn the nulls of undefined numbers back into NaN: values, ends of intervals, p-values."""
    if isinstance(value, list):
        return [nulls_to_nan(item) for item in value]
    if not isinstance(value, dict):
        return value
    numbers = {"p_value", "p_holm", "detectable", *(["value"] if "interval" in value else [])}
    found: dict[str, Any] = {
        key: np.nan if item is None and key in numbers else nulls_to_nan(item) for key, item in value.items()
    }
    if isinstance(found.get("interval"), list):
        found["interval"] = [np.nan if end is None else end for end in found["interval"]]
    return found


def as_json(estimate: Estimate) -> dict[str, Any]:
    """Write an estimate as it stands in `metrics.json`."""
    return {
        "value": estimate.value,
        "interval": [estimate.low, estimate.high],
        "n": estimate.n,
        "unit": estimate.unit,
        "undefined": estimate.undefined,
    }


def format_estimate(estimate: Estimate | Mapping[str, Any], *, sign: bool = False) -> str:
    """Write an estimate for a table: `0.712 [0.680, 0.744]`, the value alone where there is no interval.

    Args:
        estimate: The estimate, or an entry of the `metrics.json` of a command that has no record yet.
        sign: Write `+` as well, for differences.
    """
    form = "+.3f" if sign else ".3f"
    if isinstance(estimate, Estimate):
        value, low, high = estimate.value, estimate.low, estimate.high
    else:
        value, (low, high) = estimate["value"], estimate["interval"]
    if np.isnan(low):
        return f"{value:{form}}"
    return f"{value:{form}} [{low:{form}}, {high:{form}}]"
