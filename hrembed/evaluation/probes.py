"""What vectors say without any search: how alike two texts are, which label a text has, what lies together."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hrembed.errors import ModelError
from hrembed.metrics.probes import macro_f1, v_measure
from hrembed.text import normalise

if TYPE_CHECKING:
    from hrembed.types import Bools, Encoder, Floats, Ints, LabelTask, PairTask

_FOLDS = 5
_AT_ONCE = 512
_PAIRS_AT_ONCE = 64  # their scores lie on the diagonal of a block, of which the rest is for nothing


def pair_similarities(encoder: Encoder, task: PairTask) -> Floats:
    """Cosine of the two texts of each pair, shape (n,); for BM25, whose scores know no pair alone, its score.

    Both sides are embedded as queries: neither is a document that answers the other.
    """
    first, second = ([text.text for text in side] for side in (task.first, task.second))
    try:
        vectors = encoder.vectors([*first, *second], "query", instruction=task.instruction)
    except ModelError:
        similarity = encoder.similarity(first, second)
        parts = [slice(start, start + _PAIRS_AT_ONCE) for start in range(0, len(first), _PAIRS_AT_ONCE)]
        return np.concatenate([similarity.block(part, part).diagonal() for part in parts])
    left, right = vectors[: len(first)], vectors[len(first) :]
    product = left.multiply(right) if hasattr(left, "multiply") else left * right
    return np.asarray(product.sum(axis=1), dtype=np.float64).ravel()


class Classified(NamedTuple):
    """How well a linear probe on frozen vectors finds the labels.

    Attributes:
        full: 1 where the probe trained on all training texts is right, else 0, shape (n,).
        few_shot: Share of the few-shot probes that are right, shape (n,).
        full_f1: Macro F1 of the former.
        few_shot_f1: Mean macro F1 of the latter.
        majority: Share of the most frequent label among the scored texts: what needs no model.
    """

    full: Floats
    few_shot: Floats
    full_f1: float
    few_shot_f1: float
    majority: float


def classify(encoder: Encoder, task: LabelTask, *, seed: int, per_label: int = 8, experiments: int = 10) -> Classified:
    """Fit logistic regressions on frozen vectors, and score them on texts they did not see.

    Few-shot as mteb does it: several draws of a few texts for each label. With a division of the task its training part
    is learned from; without one, groups are held out in turn, five times, so that the twin of a text that differs in a
    word never helps to label it.

    Args:
        encoder: Gives the vectors; texts count as queries.
        task: Texts and labels.
        seed: Of the draws.
        per_label: Texts of each label in a few-shot draw.
        experiments: Few-shot draws, averaged.

    Returns:
        One value for each scored text, in the order of the task.

    Source:
        Alain & Bengio (2016), arXiv:1610.01644, for linear probes; Muennighoff et al. (2023), arXiv:2210.07316, for the
        few-shot protocol.
    """
    vectors = encoder.vectors([text.text for text in task.texts], "query", instruction=task.instruction)
    labels = np.asarray(task.labels)
    scored = np.ones(len(labels), dtype=bool) if task.train is None else ~task.train
    full = np.full(len(labels), labels[0], dtype=labels.dtype)
    few_shot = np.full((experiments, len(labels)), labels[0], dtype=labels.dtype)
    for number, (train, test) in enumerate(_divisions(task)):
        full[test] = _fitted(vectors, labels, train, seed).predict(vectors[test])
        for experiment in range(experiments):
            rng = np.random.default_rng([seed, number, experiment])
            shots = np.concatenate([_drawn(train[labels[train] == name], per_label, rng) for name in np.unique(labels)])
            few_shot[experiment, test] = _fitted(vectors, labels, shots, seed).predict(vectors[test])
    true = labels[scored]
    return Classified(
        (full[scored] == true).astype(np.float64),
        (few_shot[:, scored] == true).mean(axis=0),
        macro_f1(list(true), list(full[scored])),
        float(np.mean([macro_f1(list(true), list(predicted[scored])) for predicted in few_shot])),
        float(np.unique(true, return_counts=True)[1].max() / len(true)),
    )


def _divisions(task: LabelTask) -> list[tuple[Ints, Ints]]:
    """Positions to train on and positions to score: once, or as often as groups are held out."""
    from sklearn.model_selection import StratifiedGroupKFold

    if task.train is not None:
        return [(np.flatnonzero(task.train), np.flatnonzero(~task.train))]
    groups = [text.group or f"#{n}" for n, text in enumerate(task.texts)]
    most = int(np.unique(task.labels, return_counts=True)[1].max())
    folds = StratifiedGroupKFold(min(_FOLDS, len(set(groups)), most))
    with warnings.catch_warnings():
        # That a label has fewer texts than there are folds; it is learned from in the folds that do not score it.
        warnings.simplefilter("ignore", UserWarning)
        return list(folds.split(np.zeros(len(groups)), list(task.labels), groups))


def _drawn(positions: Ints, count: int, rng: np.random.Generator) -> Ints:
    return rng.choice(positions, min(count, len(positions)), replace=False)


def _fitted(vectors: Any, labels: Any, positions: Ints, seed: int) -> Any:
    from sklearn.dummy import DummyClassifier
    from sklearn.linear_model import LogisticRegression

    if len(np.unique(labels[positions])) == 1:  # all texts of the other labels are held out
        return DummyClassifier(strategy="most_frequent").fit(vectors[positions], labels[positions])
    # mteb's settings; more steps, since TF-IDF vectors need them.
    return LogisticRegression(random_state=seed, max_iter=1000).fit(vectors[positions], labels[positions])


class Clustered(NamedTuple):
    """Whether texts of one label lie together.

    Attributes:
        v_measure: Mean over the clusterings.
        assignments: Cluster of each text in each clustering, shape (runs, n).
        neighbours: Share of the nearest texts, as many as share the label, that do share it, shape (n,); NaN for a
            label of one text. Copies of a text are not among its neighbours.
    """

    v_measure: float
    assignments: Ints
    neighbours: Floats


def cluster(encoder: Encoder, task: LabelTask, *, seed: int, runs: int = 10) -> Clustered:
    """Cluster the vectors into as many parts as there are labels, several times, and compare.

    Args:
        encoder: Gives the vectors; texts count as documents.
        task: Texts and labels.
        seed: Of the first clustering; the others follow.
        runs: Clusterings from different starts.

    Source:
        Rosenberg & Hirschberg (2007), https://aclanthology.org/D07-1043; k-means from scikit-learn, as in mteb.
    """
    from sklearn.cluster import KMeans

    vectors = encoder.vectors([text.text for text in task.texts], "document", instruction=task.instruction)
    count = len(set(task.labels))
    assignments = np.stack(
        [KMeans(count, n_init=1, random_state=seed + run).fit_predict(vectors) for run in range(runs)]
    )
    score = float(np.mean([v_measure(task.labels, assigned) for assigned in assignments]))
    return Clustered(score, assignments, _neighbours(vectors, np.asarray(task.labels), _texts(task)))


def _texts(task: LabelTask) -> Ints:
    """A number for each text; copies have one."""
    return np.unique([normalise(text.text) or text.text for text in task.texts], return_inverse=True)[1]


def _neighbours(vectors: Any, labels: Any, texts: Ints) -> Floats:
    shares = np.full(len(labels), np.nan)
    for start in range(0, len(labels), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        product = vectors[part] @ vectors.T
        scores = np.asarray(product.toarray() if hasattr(product, "toarray") else product, dtype=np.float64)
        for row, text in zip(scores, range(start, start + len(scores)), strict=True):
            shares[text] = _share(row, texts == texts[text], labels == labels[text])
    return shares


def _share(scores: Floats, copies: Bools, same: Bools) -> float:
    """Share of the nearest texts other than this one and its copies, as many as have its label, that have it."""
    count = int((same & ~copies).sum())
    if not count:
        return float("nan")
    scores[copies] = -np.inf
    nearest = np.argsort(-scores, kind="stable")[:count]
    return float(same[nearest].mean())
