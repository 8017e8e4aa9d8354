"""Names that differ in what they say about a person, and in as little else as can be had.

A rare, long or oddly split name moves a score by itself. Groups are therefore matched on how common their first names
are, how many syllables they have, and into how many tokens the audited model splits them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from hrembed.records.bias_audit import Balance

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hrembed.types import Bools, Floats, Ints

_VOWELS = re.compile(r"[aeiouy\u00e0-\u00e6\u00e8-\u00ef\u00f2-\u00f6\u00f9-\u00fd]+")
_ROUNDS = 3  # more of them draw all groups to the crowded middle


def syllables(name: str) -> int:
    """Count groups of vowels of a name in Latin script, a silent final e left out; at least 1 for each word.

    A rule of thumb, the same for all groups: it knows no pronunciation.
    """
    count = 0
    for word in re.findall(r"[^\W\d_]+", name.lower()):
        silent = word.endswith("e") and len(word) > 2 and not word.endswith(("ee", "ie", "oe", "ue", "ye"))
        count += max(1, len(_VOWELS.findall(word)) - int(silent and len(_VOWELS.findall(word)) > 1))
    return count


def matched(cells: Sequence[Floats], count: int) -> list[Ints]:
    """Choose rows of every cell so that the chosen ones are alike from cell to cell, one by one.

    Targets spread over the smallest cell are assigned to one row of each cell (Hungarian method), moved to the mean of
    what they were assigned to, and assigned anew.

    Args:
        cells: Features of the rows of each cell, shape (n, F), n of `count` or more; the first feature orders the
            targets.
        count: Rows to choose from each cell.

    Returns:
        Chosen rows of each cell, shape (count,), in the order of the targets.

    Source:
        Kuhn (1955), doi:10.1002/nav.3800020109, for the assignment.
    """
    from scipy.optimize import linear_sum_assignment
    from scipy.spatial.distance import cdist

    pooled = np.concatenate(cells)
    scale = np.where(pooled.std(axis=0) > 0, pooled.std(axis=0), 1)
    scaled = [(cell - pooled.mean(axis=0)) / scale for cell in cells]
    smallest = min(scaled, key=len)
    ordered = smallest[np.argsort(smallest[:, 0], kind="stable")]
    targets = ordered[np.linspace(0, len(ordered) - 1, count).round().astype(int)]
    for _ in range(_ROUNDS):
        chosen: list[Ints] = [
            np.asarray(linear_sum_assignment(cdist(targets, cell, "sqeuclidean"))[1]) for cell in scaled
        ]
        targets = np.mean([cell[rows] for cell, rows in zip(scaled, chosen, strict=True)], axis=0)
    return chosen


def imbalance(features: Mapping[str, Floats], cells: Sequence[str]) -> dict[str, Balance]:
    """Describe how alike cells are.

    Args:
        features: Name of a feature -> its value for each name, shape (N,).
        cells: Cell of each name.

    Returns:
        Feature -> mean of every cell, and the largest gap of two means in pooled standard deviations (0 where the
        feature is constant, infinite where it varies between cells alone).
    """
    members = {name: np.asarray(cells) == name for name in sorted(set(cells))}
    return {feature: _balance(values, members) for feature, values in features.items()}


def _balance(values: Floats, members: Mapping[str, Bools]) -> Balance:
    parts = [values[member] for member in members.values()]
    means = np.array([part.mean() for part in parts])
    spread = float(np.sqrt(np.mean([part.var() for part in parts])))
    gap = float(means.max() - means.min())
    return Balance(
        means={name: float(mean) for name, mean in zip(members, means, strict=True)},
        largest_difference=gap / spread if spread > 0 else (np.inf if gap > 1e-12 else 0.0),
    )
