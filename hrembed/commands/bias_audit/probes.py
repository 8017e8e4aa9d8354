"""What an audit reads off the vectors themselves: leakage of groups, and associations. Reported, never a gate."""

from __future__ import annotations

from collections import defaultdict
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from hrembed.audit.stimuli import CROSS, fill, without_slots
from hrembed.data.locate import locate
from hrembed.data.read import read_table
from hrembed.errors import DataError
from hrembed.metrics.association import associations, weat
from hrembed.metrics.fairness import draws_p, labelings
from hrembed.metrics.leakage import cross_fitted, description_length, folds_of, on_itself
from hrembed.metrics.multiplicity import benjamini_hochberg

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hrembed.commands.bias_audit.stimuli import Stimuli
    from hrembed.models.dense import DenseEncoder
    from hrembed.types import Floats, Ints

_RESUMES = 48  # résumés that a name's vector is a mean over
_SHUFFLES = 199
FOLDS = 5
SETS = (("senior", "junior"), ("competence", "warmth"), ("career", "family"))


def name_vectors(encoder: DenseEncoder, stimuli: Stimuli) -> Floats:
    """What each name adds to the vector of a résumé, the mean over résumés, shape (N, d)."""
    some = np.linspace(0, len(stimuli.resumes) - 1, min(_RESUMES, len(stimuli.resumes))).astype(int)
    resumes = [stimuli.resumes[n] for n in some]
    plain = encoder.vectors(without_slots(resumes), "document")
    named = encoder.vectors(fill(resumes, stimuli.names.names), "document")
    return np.asarray((named.reshape(len(resumes), -1, named.shape[1]) - plain[:, None]).mean(axis=0), dtype=np.float64)


def numbered(values: Sequence[str]) -> Ints:
    """Number groups in sorted order."""
    return np.asarray(np.unique(np.asarray(values), return_inverse=True)[1])


def leakage(vectors: Floats, stimuli: Stimuli, attribute: str, seed: int) -> dict[str, Any]:
    """How well a linear probe reads an attribute off names it has not seen.

    Returns:
        Balanced accuracy, its p-value by permutation, chance, what the same probe reads on its own names, and how many
        times shorter the groups can be told (`compression`).
    """
    names = stimuli.names
    rng = np.random.default_rng(seed)
    labels = labelings(names.groups[attribute], names.strata(attribute), rng=rng, resamples=_SHUFFLES)
    folds = folds_of(labels[0], numbered(names.strata(attribute)), FOLDS, rng)
    found = cross_fitted(vectors, labels, folds)
    return {
        "attribute": attribute,
        "accuracy": float(found[0]),
        "chance": 1 / (int(labels.max()) + 1),
        "p_value": float(draws_p(found[:, None])[0]),
        "on_own_names": on_itself(vectors, labels[0]),
        "compression": description_length(vectors, labels[0], rng),
    }


def associations_of(encoder: DenseEncoder, stimuli: Stimuli, words: str, seed: int) -> list[dict[str, Any]]:
    """Test every two groups of every attribute against pairs of word sets (WEAT on names, SEAT in its reading).

    Raises:
        DataError: The file of words lacks a set.
    """
    sets = _words(locate(words))
    vectors = {name: encoder.vectors(own, "query").astype(np.float64) for name, own in sets.items()}
    own = encoder.vectors(stimuli.names.names, "query").astype(np.float64)
    rows: list[dict[str, Any]] = []
    for attribute, groups in stimuli.names.groups.items():
        if CROSS in attribute:
            continue
        for first, second in combinations(sorted(set(groups)), 2):
            for one, other in SETS:
                score = associations(own, vectors[one], vectors[other])
                sides = [score[np.asarray(groups) == group] for group in (first, second)]
                if min(len(side) for side in sides) > 1:
                    found = weat(*sides, rng=np.random.default_rng(seed))
                    head = {"attribute": attribute, "first": first, "second": second, "words": f"{one} - {other}"}
                    rows.append(head | found._asdict())
    adjusted = benjamini_hochberg([row["p_value"] for row in rows])
    return [{**row, "p_bh": p_bh} for row, p_bh in zip(rows, adjusted, strict=True)]


def _words(file: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for _, row in read_table(file, ("set", "word")):
        found[row["set"]].append(row["word"])
    missing = [name for pair in SETS for name in pair if len(found[name]) < 2]
    if missing:
        raise DataError(f"{file}: needs two words or more of the set '{missing[0]}'")
    return dict(found)
