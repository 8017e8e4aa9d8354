"""What an audit reads off the vectors themselves: leakage of groups, and associations. Reported, never a gate."""

from __future__ import annotations

from collections import defaultdict
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hrembed.audit.stimuli import CROSS, fill, without_slots
from hrembed.data.locate import locate
from hrembed.data.read import read_table
from hrembed.errors import DataError
from hrembed.metrics.association import associations, weat
from hrembed.metrics.fairness import draws_p, labelings
from hrembed.metrics.leakage import cross_fitted, description_length, folds_of, on_itself
from hrembed.metrics.multiplicity import benjamini_hochberg
from hrembed.records.bias_audit import Leakage, WordAssociation

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hrembed.commands.bias_audit.stimuli import Stimuli
    from hrembed.metrics.association import Association
    from hrembed.models.dense import DenseEncoder
    from hrembed.types import Floats, Ints

_RESUMES = 48  # résumés that a name's vector is a mean over
_SHUFFLES = 199
FOLDS = 5
SETS = (("senior", "junior"), ("competence", "warmth"), ("career", "family"))


def name_vectors(encoder: DenseEncoder, stimuli: Stimuli) -> Floats:
    """What each name adds to the vector of a résumé, the mean over résumés, shape (N, d)."""
    evenly_spread = np.linspace(0, len(stimuli.resumes) - 1, min(_RESUMES, len(stimuli.resumes))).astype(int)
    resumes = [stimuli.resumes[n] for n in evenly_spread]
    plain = encoder.vectors(without_slots(resumes), "document")
    named = encoder.vectors(fill(resumes, stimuli.names.names), "document")
    return np.asarray((named.reshape(len(resumes), -1, named.shape[1]) - plain[:, None]).mean(axis=0), dtype=np.float64)


def numbered(values: Sequence[str]) -> Ints:
    """Number groups in sorted order."""
    return np.asarray(np.unique(np.asarray(values), return_inverse=True)[1])


def leakage(vectors: Floats, stimuli: Stimuli, attribute: str, seed: int) -> Leakage:
    """Measure how well a linear probe reads an attribute off names that it has not seen.

    Args:
        vectors: One row for each name, as `name_vectors` gives them.
        stimuli: The names and their groups.
        attribute: What is read.
        seed: Of folds, permutations and the order of the code.
    """
    names = stimuli.names
    rng = np.random.default_rng(seed)
    labels = labelings(names.groups[attribute], names.strata(attribute), rng=rng, resamples=_SHUFFLES)
    folds = folds_of(labels[0], numbered(names.strata(attribute)), FOLDS, rng)
    accuracies = cross_fitted(vectors, labels, folds)
    return Leakage(
        attribute=attribute,
        accuracy=float(accuracies[0]),
        chance=1 / (int(labels.max()) + 1),
        p_value=float(draws_p(accuracies[:, None])[0]),
        on_own_names=on_itself(vectors, labels[0]),
        compression=description_length(vectors, labels[0], rng),
    )


class _Tested(NamedTuple):
    attribute: str
    first: str
    second: str
    words: str
    association: Association


def associations_of(encoder: DenseEncoder, stimuli: Stimuli, words: str, seed: int) -> tuple[WordAssociation, ...]:
    """Test every two groups of every attribute against pairs of word sets (WEAT on names, SEAT in its reading).

    Raises:
        DataError: The file of words lacks a set.
    """
    word_vectors = {
        name: encoder.vectors(members, "query").astype(np.float64) for name, members in _words(locate(words)).items()
    }
    names = encoder.vectors(stimuli.names.names, "query").astype(np.float64)
    rows: list[_Tested] = []
    for attribute, groups in stimuli.names.groups.items():
        if CROSS in attribute:
            continue
        for first, second in combinations(sorted(set(groups)), 2):
            for one, other in SETS:
                scores = associations(names, word_vectors[one], word_vectors[other])
                sides = [scores[np.asarray(groups) == group] for group in (first, second)]
                if min(len(side) for side in sides) > 1:
                    association = weat(*sides, rng=np.random.default_rng(seed))
                    rows.append(_Tested(attribute, first, second, f"{one} - {other}", association))
    corrected = benjamini_hochberg([row.association.p_value for row in rows])
    return tuple(
        WordAssociation(
            attribute=row.attribute,
            first=row.first,
            second=row.second,
            words=row.words,
            effect=row.association.effect,
            p_value=row.association.p_value,
            divisions=row.association.divisions,
            exact=row.association.exact,
            p_bh=p_bh,
        )
        for row, p_bh in zip(rows, corrected, strict=True)
    )


def _words(file: Path) -> dict[str, list[str]]:
    """Name of a set -> its words."""
    sets: dict[str, list[str]] = defaultdict(list)
    for _, row in read_table(file, ("set", "word")):
        sets[row["set"]].append(row["word"])
    missing = [name for pair in SETS for name in pair if len(sets[name]) < 2]
    if missing:
        raise DataError(f"{file}: set '{missing[0]}' needs at least two words")
    return dict(sets)
