"""The same résumés under different names and with different cues."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hrembed.audit.matching import matched, syllables
from hrembed.errors import DataError
from hrembed.types import Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from hrembed.types import Floats

NAME_SLOT = "{name}"
# Slots of the cues in `data/cues`.
CUE_SLOTS = ("pronouns", "affiliation", "address", "graduation-year", "career-gap")
_IN_BRACES = re.compile(r"\{[a-z][a-z-]*\}")


@dataclass(frozen=True)
class Template(Text):
    """A résumé with slots.

    Attributes:
        slots: Slots besides `{name}`, with their braces. Other words in braces belong to the text and stay.
    """

    slots: frozenset[str] = frozenset()


def templates(resumes: Sequence[Text], cues: Iterable[str] = ()) -> list[Template]:
    """Make templates of résumés: `{name}` is a slot, and so are the names of the shipped and of these cues."""
    slots = frozenset(f"{{{cue}}}" for cue in (*CUE_SLOTS, *cues))
    return [Template(resume.id, resume.text, resume.group, resume.fields, slots) for resume in resumes]


def words_in_braces(resumes: Sequence[Template]) -> dict[str, int]:
    r"""Count the résumés that hold a word in braces which is no slot: `\textbf{kafka}`, or a slot misspelt."""
    counts: Counter[str] = Counter()
    for resume in resumes:
        counts.update(set(_IN_BRACES.findall(resume.text)) - resume.slots - {NAME_SLOT})
    return dict(sorted(counts.items()))


@dataclass(frozen=True)
class Units:
    """What is swapped, with its group on every attribute: names, or wordings of a cue.

    Attributes:
        names: Distinct texts that are put into a résumé.
        groups: Attribute -> the group of each name, each as long as `names`.
        held: What is held constant beside the other attributes, one for each name (the wording of a cue); empty for
            nothing.
    """

    names: tuple[str, ...]
    groups: Mapping[str, tuple[str, ...]]
    held: tuple[str, ...] = ()

    def strata(self, attribute: str) -> list[str]:
        """Return what is held constant when `attribute` is compared: all other attributes that are no part of it."""
        compared = attribute.split(CROSS)
        columns = [self.held] if self.held else []
        columns += [
            groups for name, groups in sorted(self.groups.items()) if name not in compared and CROSS not in name
        ]
        return [" ".join(row) for row in zip(*columns, strict=True)] if columns else [""] * len(self.names)

    def crossed(self) -> Units:
        """Add the intersection of all attributes as one of its own, where there are two or more."""
        if len(self.groups) < 2:
            return self
        both = tuple(" ".join(row) for row in zip(*self.groups.values(), strict=True))
        return Units(self.names, {**self.groups, CROSS.join(self.groups): both}, self.held)


CROSS = " x "


def choose_names(
    rows: Sequence[Mapping[str, str]],
    attributes: Sequence[str],
    per_cell: int | None,
    tokens: Sequence[int] | None = None,
) -> Units:
    """Take names of every combination of attributes: all, or `per_cell` that are alike from cell to cell.

    Alike in log count (where the table has `first_name_count`), syllables, and tokens of the audited model.

    Args:
        rows: The table of names.
        attributes: Columns with groups.
        per_cell: Names of each combination; None takes all.
        tokens: Tokens of each row's name; None when the model has no tokenizer to ask.

    Raises:
        DataError: A combination has fewer names than asked for, or an attribute has one group only.
    """
    cells: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for place, row in enumerate(rows):
        cells[tuple(row[attribute] for attribute in attributes)].append(place)
    order = sorted(cells)
    if per_cell is not None:
        short = [cell for cell in order if len(cells[cell]) < per_cell]
        if short:
            raise DataError(
                f"only {len(cells[short[0]])} names for {' '.join(short[0])}; `names_per_cell` requires {per_cell}"
            )
        values = np.column_stack(list(name_features(rows, tokens).values()))
        alike = matched([values[cells[cell]] for cell in order], per_cell)
        cells = {cell: sorted(cells[cell][n] for n in chosen) for cell, chosen in zip(order, alike, strict=True)}
    chosen_rows = [rows[place] for cell in order for place in cells[cell]]
    groups = {attribute: tuple(row[attribute] for row in chosen_rows) for attribute in attributes}
    for attribute, column in groups.items():
        if len(set(column)) < 2:
            raise DataError(f"attribute '{attribute}' has only one group, '{column[0]}'; there is nothing to compare")
    return Units(tuple(row["name"] for row in chosen_rows), groups)


def half_of(rows: Sequence[Mapping[str, str]], attributes: Sequence[str], half: str) -> list[Mapping[str, str]]:
    """Take every other row of each combination of attributes: `even` and `odd` share no name; `all` takes all."""
    seen: dict[tuple[str, ...], int] = defaultdict(int)
    chosen = []
    for row in rows:
        cell = tuple(row[attribute] for attribute in attributes)
        if half == "all" or seen[cell] % 2 == (half == "odd"):
            chosen.append(row)
        seen[cell] += 1
    return chosen


def name_features(rows: Sequence[Mapping[str, str]], tokens: Sequence[int] | None) -> dict[str, Floats]:
    """What names are matched on, by feature, each of shape (N,); a feature that cannot be had is left out."""
    features = {}
    counts = [row.get("first_name_count", "") for row in rows]
    if all(count.isdigit() and int(count) > 0 for count in counts):
        features["log count of the first name"] = np.log([float(count) for count in counts])
    features["syllables"] = np.array([float(syllables(row["name"])) for row in rows])
    if tokens is not None:
        features["tokens"] = np.array(tokens, dtype=np.float64)
    return features


def fill(resumes: Sequence[Template], texts: Sequence[str], slot: str = NAME_SLOT) -> list[str]:
    """Write every résumé with every text in its slot, or in a line of its own at the end where it has none.

    All other slots are emptied; what else stands in braces stays.

    Returns:
        R x N texts, résumé by résumé.
    """
    filled = []
    for resume in resumes:
        template = resume.text if slot in resume.text else f"{resume.text}\n{slot}"
        for other in sorted({NAME_SLOT, *resume.slots} - {slot}):
            template = template.replace(other, "")
        filled += [template.replace(slot, text).strip() for text in texts]
    return filled


def without_slots(resumes: Sequence[Template]) -> list[str]:
    """Write every résumé with all its slots empty."""
    return [_emptied(resume.text, resume.slots) for resume in resumes]


def without_header(resumes: Sequence[Template]) -> list[str]:
    """Write every résumé without the line that holds the name; with all slots empty where it is the only line."""
    bare = []
    for resume in resumes:
        other_lines = "\n".join(line for line in resume.text.split("\n") if NAME_SLOT not in line)
        bare.append(_emptied(other_lines or resume.text, resume.slots))
    return bare


def _emptied(text: str, slots: Iterable[str]) -> str:
    for slot in (NAME_SLOT, *slots):
        text = text.replace(slot, "")
    return text.strip()


def spaced(texts: Sequence[str]) -> list[str]:
    """Write every text with other white space: a blank line for each line break, two spaces behind a full stop."""
    return [text.replace("\n", "\n\n").replace(". ", ".  ") for text in texts]


def strange_names(names: Sequence[str]) -> list[str]:
    """Find names that are not in Latin script; they are audited all the same, and their number is reported."""

    def latin(character: str) -> bool:
        return not character.isalpha() or unicodedata.name(character, "").startswith("LATIN")

    return [name for name in names if not all(latin(character) for character in name)]


def stimuli_hash(jobs: Sequence[Text], shown: Sequence[str]) -> str:
    """Identify what was shown, so that two audits can be compared only on the same stimuli."""
    digest = hashlib.sha256()
    for text in [*(job.text for job in jobs), *shown]:
        digest.update(text.encode("utf-8", "surrogatepass"))
        digest.update(b"\0")
    return digest.hexdigest()
