"""Other cues than names: wordings in a version for each group, and English that is not the writer's first language."""

from __future__ import annotations

import random
import re
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from hrembed.audit.stimuli import Units
from hrembed.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hrembed.types import TextRows

SPELLING = "spelling"
CUE_COLUMNS = ("cue", "variant", "group", "text")
TITLE_COLUMNS = ("language", "masculine", "feminine")
_ARTICLE = re.compile(r"\b(?:a|an|the) (?=[a-z])", re.IGNORECASE)
_PREPOSITIONS = {"in": "on", "on": "in", "at": "in", "for": "to", "to": "for", "by": "from", "of": "from"}
_PREPOSITION = re.compile(rf"\b({'|'.join(_PREPOSITIONS)})\b")
_PLURAL = re.compile(r"\b([a-z]{4,}[^su])s\b")
_RULES = 4  # kinds of change, of which a wording takes one or two


class JobTitle(NamedTuple):
    """A job title in two grammatical genders.

    Attributes:
        language: Code of the language.
        masculine: The masculine form.
        feminine: The feminine form.
    """

    language: str
    masculine: str
    feminine: str


def read_cues(file: Path, rows: TextRows, wanted: Sequence[str]) -> dict[str, Units]:
    """Sort wordings by cue.

    Args:
        file: Where they come from, for messages.
        rows: Lines with `CUE_COLUMNS`.
        wanted: Cues to read, in order.

    Raises:
        DataError: A cue is missing, a text is empty or stands twice, or a variant lacks a group.
    """
    wordings: dict[str, dict[tuple[str, str], str]] = defaultdict(dict)
    for line, row in rows:
        if not all(row[column].strip() for column in CUE_COLUMNS):
            raise DataError(f"{file}:{line}: empty cell")
        if (row["variant"], row["group"]) in wordings[row["cue"]]:
            raise DataError(f"{file}:{line}: cue '{row['cue']}': duplicate variant '{row['variant']}' for this group")
        wordings[row["cue"]][row["variant"], row["group"]] = row["text"]
    unknown = [cue for cue in wanted if cue not in wordings]
    if unknown:
        raise DataError(f"{file}: unknown cue '{unknown[0]}'; available: {', '.join(sorted(wordings))}")
    return {cue: _units(file, cue, wordings[cue]) for cue in wanted}


def _units(file: Path, cue: str, texts: dict[tuple[str, str], str]) -> Units:
    """Order the texts of a cue, known by variant and group, by group and then variant; variants are held constant."""
    variants = list(dict.fromkeys(variant for variant, _ in texts))
    groups = sorted({group for _, group in texts})
    missing = [(variant, group) for variant in variants for group in groups if (variant, group) not in texts]
    if missing:
        raise DataError(f"{file}: cue '{cue}' has no text for group '{missing[0][1]}' and variant '{missing[0][0]}'")
    if len(groups) < 2 or len(variants) < 2:
        raise DataError(f"{file}: cue '{cue}' needs at least two groups and two variants")
    if len(set(texts.values())) < len(texts):
        raise DataError(f"{file}: cue '{cue}' has the same text for two groups or variants")
    keys = [(variant, group) for group in groups for variant in variants]
    return Units(tuple(texts[key] for key in keys), {cue: tuple(group for _, group in keys)}, tuple(v for v, _ in keys))


def read_titles(file: Path, rows: TextRows) -> list[JobTitle]:
    """Read job titles in two grammatical genders.

    Args:
        file: Where they come from, for messages.
        rows: Lines with `TITLE_COLUMNS`.

    Raises:
        DataError: There are fewer than two rows, or a cell is empty.
    """
    if len(rows) < 2:
        raise DataError(f"{file}: at least two job titles are required")
    for line, row in rows:
        if not all(row[column].strip() for column in TITLE_COLUMNS):
            raise DataError(f"{file}:{line}: empty cell")
    return [JobTitle(row["language"], row["masculine"], row["feminine"]) for _, row in rows]


def foreign_english(text: str, seed: int) -> str:
    """Write a text as learners of English often do: articles left out, prepositions and plurals mixed up.

    Args:
        text: English.
        seed: Chooses which two of the kinds of change are made, and where.

    Returns:
        The text with some 6 to 15 % of its words changed, none misspelt; itself where no rule applies.
    """
    rng = random.Random(f"{seed} {text}")
    kinds = {seed % _RULES, (seed // _RULES + seed + 1) % _RULES}
    if kinds & {0, 3}:
        text = _ARTICLE.sub(lambda match: "" if rng.random() < 0.8 else match.group(), text)
    if kinds & {1, 3}:
        text = _PREPOSITION.sub(
            lambda match: _PREPOSITIONS[match.group()] if rng.random() < 0.5 else match.group(), text
        )
    if kinds & {2}:
        text = _PLURAL.sub(lambda match: match.group(1) if rng.random() < 0.6 else match.group(), text)
    return text
