"""The same résumés under different names."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hrembed.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hrembed.types import Text

NAME_SLOT = "{name}"


@dataclass(frozen=True)
class Names:
    """Names with their group on every attribute.

    Attributes:
        names: Distinct full names.
        groups: Attribute to the group of each name, each as long as `names`.
    """

    names: tuple[str, ...]
    groups: Mapping[str, tuple[str, ...]]

    def strata(self, attribute: str) -> list[str]:
        """Return what is held constant when `attribute` is compared: all the others."""
        others = [groups for name, groups in sorted(self.groups.items()) if name != attribute]
        return [" ".join(parts) for parts in zip(*others, strict=True)] if others else [""] * len(self.names)


def choose_names(rows: Sequence[Mapping[str, str]], attributes: Sequence[str], per_cell: int | None) -> Names:
    """Take the first names of every combination of attributes, as the table orders them.

    Raises:
        DataError: A combination has fewer names than asked for, or an attribute has one group only.
    """
    cells: dict[tuple[str, ...], list[Mapping[str, str]]] = defaultdict(list)
    for row in rows:
        cells[tuple(row[attribute] for attribute in attributes)].append(row)
    if per_cell is not None:
        short = [cell for cell, found in cells.items() if len(found) < per_cell]
        if short:
            raise DataError(
                f"only {len(cells[short[0]])} names are {' '.join(short[0])}; `names_per_cell` asks for {per_cell}"
            )
    chosen = [row for cell in sorted(cells) for row in cells[cell][:per_cell]]
    groups = {attribute: tuple(row[attribute] for row in chosen) for attribute in attributes}
    for attribute, found in groups.items():
        if len(set(found)) < 2:
            raise DataError(f"attribute '{attribute}' has one group only, '{found[0]}'; there is nothing to compare")
    return Names(tuple(row["name"] for row in chosen), groups)


def fill(resumes: Sequence[Text], names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Write every résumé without a name, and under every name.

    Returns:
        (R nameless texts, R x N named texts, résumé by résumé).
    """
    nameless = [resume.text.replace(NAME_SLOT, "").strip() for resume in resumes]
    named = [resume.text.replace(NAME_SLOT, name) for resume in resumes for name in names]
    return nameless, named


def stimuli_hash(jobs: Sequence[Text], named: Sequence[str]) -> str:
    """Identify what was shown, so that two audits can be compared only on the same stimuli."""
    digest = hashlib.sha256()
    for text in [*(job.text for job in jobs), *named]:
        digest.update(text.encode())
        digest.update(b"\0")
    return digest.hexdigest()
