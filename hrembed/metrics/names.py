"""Metric names as written: `ndcg@10`, `map`."""

from __future__ import annotations

import re
from typing import NamedTuple

from hrembed.errors import ConfigError

_NAME = re.compile(r"^([a-z][a-z-]*)(?:@([1-9][0-9]*))?$")


class Metric(NamedTuple):
    """A metric and its cut-off; `k` is None for the whole ranking."""

    name: str
    k: int | None

    def __str__(self) -> str:
        """Write it as it is read."""
        return self.name if self.k is None else f"{self.name}@{self.k}"


def parse_metric(text: str) -> Metric:
    """Read a metric name such as `ndcg@10`; whether it is registered is not checked here.

    Raises:
        ConfigError: Not of this form; the hint shows it.
    """
    match = _NAME.match(text)
    if not match:
        raise ConfigError(f"'{text}' is not a metric name", hint="use `name` or `name@k`, for example `ndcg@10`")
    return Metric(match[1], int(match[2]) if match[2] else None)
