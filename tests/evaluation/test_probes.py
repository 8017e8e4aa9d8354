"""Probes on vectors that are known: what can be found is found, what cannot is chance, and no twin helps."""

from __future__ import annotations

import numpy as np
import pytest
from hrembed.errors import ModelError
from hrembed.evaluation.probes import classify, cluster, pair_similarities
from hrembed.metrics.probes import spearman_draws
from hrembed.models.lexical import Bm25, TfIdf
from hrembed.types import LabelTask, PairTask, Text


class Known:
    """An encoder whose vectors are given by text."""

    name = identity = source = "known"

    def __init__(self, vectors: dict[str, np.ndarray]) -> None:
        self.given = vectors

    def vectors(self, texts, side, *, instruction=""):
        return np.stack([self.given[text] for text in texts]).astype(np.float32)

    def similarity(self, queries, documents, *, instruction=""):
        raise ModelError("not needed")


def labelled(n: int, groups=None, train=None, goal="classification") -> LabelTask:
    texts = tuple(Text(str(k), f"t{k}", groups[k] if groups else "") for k in range(n))
    return LabelTask("t", goal, texts, tuple("ab"[k % 2] for k in range(n)), train)


def encoder(rows: np.ndarray) -> Known:
    return Known({f"t{k}": row for k, row in enumerate(rows)})


def test_separable_labels_are_found_and_random_ones_are_not():
    rng = np.random.default_rng(0)
    task = labelled(200)
    sides = np.where(np.arange(200) % 2, 1.0, -1.0)[:, None]
    found = classify(encoder(np.hstack([3 * sides, rng.normal(size=(200, 3))])), task, seed=1)
    assert found.full.mean() == 1.0
    assert found.full_f1 == 1.0
    assert found.few_shot.mean() > 0.9
    assert found.majority == 0.5
    chance = classify(encoder(rng.normal(size=(200, 8))), task, seed=1)
    assert 0.38 < chance.full.mean() < 0.62
    assert 0.4 < chance.few_shot.mean() < 0.6


def test_a_twin_never_helps_to_label_its_twin():
    """Twins share all but a hair; with the twin in sight its label, the opposite, would be repeated."""
    rng = np.random.default_rng(1)
    shared = np.repeat(rng.normal(size=(60, 40)) * 5, 2, axis=0)
    rows = encoder(shared + 0.01 * rng.normal(size=(120, 40)))
    apart = classify(rows, labelled(120, [f"g{k // 2}" for k in range(120)]), seed=1)
    together = classify(rows, labelled(120), seed=1)
    assert apart.full.mean() == pytest.approx(0.5, abs=0.02)  # both twins get one answer, and one of them is right
    assert together.full.mean() < 0.3


def test_the_division_of_a_task_is_kept_and_the_probe_is_scikit_learns():
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(2)
    rows = rng.normal(size=(100, 5)) + np.where(np.arange(100) % 2, 0.5, -0.5)[:, None]
    train = np.arange(100) < 70
    task = labelled(100, train=train)
    found = classify(encoder(rows), task, seed=3)
    assert found.full.shape == found.few_shot.shape == (30,)
    rows32, labels = rows.astype(np.float32), np.array(task.labels)
    model = LogisticRegression(random_state=3, max_iter=1000).fit(rows32[train], labels[train])
    assert found.full.tolist() == (model.predict(rows32[~train]) == labels[~train]).tolist()
    again = classify(encoder(rows), task, seed=3)
    assert (again.few_shot == found.few_shot).all()
    assert set(np.unique(found.few_shot * 10).round(6)) <= set(range(11))
    assert (classify(encoder(rows), task, seed=4).few_shot != found.few_shot).any()


def test_sparse_vectors_are_classified_and_clustered():
    texts = tuple(Text(str(k), f"{'sun heat' if k % 2 else 'snow ice'} word{k}", f"g{k}") for k in range(40))
    labels = tuple("ab"[k % 2] for k in range(40))
    assert classify(TfIdf(), LabelTask("t", "classification", texts, labels), seed=1).full.mean() == 1.0
    assert cluster(TfIdf(), LabelTask("t", "clustering", texts, labels), seed=1).neighbours.mean() == 1.0


def test_clusters_that_are_there_are_found_and_a_lonely_label_has_no_neighbours():
    rng = np.random.default_rng(3)
    centres = np.eye(4)[np.repeat(np.arange(4), 10)]
    rows = np.vstack([centres + 0.01 * rng.normal(size=(40, 4)), [[9, 9, 9, 9]]])
    texts = tuple(Text(str(k), f"t{k}") for k in range(41))
    labels = (*(f"l{k // 10}" for k in range(40)), "alone")
    found = cluster(encoder(rows), LabelTask("t", "clustering", texts, labels), seed=1)
    assert found.v_measure > 0.9
    assert found.assignments.shape == (10, 41)
    assert np.isnan(found.neighbours[40])
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    assert cluster(encoder(unit), LabelTask("t", "clustering", texts, labels), seed=1).neighbours[:40].min() == 1.0
    mixed = cluster(encoder(rng.normal(size=(41, 4))), LabelTask("t", "clustering", texts, labels), seed=1)
    assert np.nanmean(mixed.neighbours) < 0.45


def test_pairs_are_scored_alike_by_every_kind_of_encoder():
    first = tuple(Text(str(k), text) for k, text in enumerate(["ward nurse", "car mechanic", "baker"]))
    second = tuple(Text(str(k), text) for k, text in enumerate(["nurse on a ward", "bread", "baker bakes"]))
    task = PairTask("p", first, second, np.arange(3.0))
    rows = {text.text: np.eye(3)[k % 3] for k, text in enumerate([*first, *second])}
    assert pair_similarities(Known(rows), task).tolist() == [1, 1, 1]
    queries, documents = [t.text for t in first], [t.text for t in second]
    whole = Bm25().similarity(queries, documents).block(slice(None), slice(None))
    assert pair_similarities(Bm25(), task) == pytest.approx(np.diag(whole))
    vectors = TfIdf().vectors([*queries, *documents], "query").toarray()
    assert pair_similarities(TfIdf(), task) == pytest.approx((vectors[:3] * vectors[3:]).sum(axis=1))


@pytest.mark.parametrize(("samples", "off"), [(300, 0.035), pytest.param(1000, 0.02, marks=pytest.mark.slow)])
def test_the_spearman_interval_holds_the_truth_in_about_95_of_100_samples(samples: int, off: float):
    """Samples of 120 pairs of a population with a correlation of 0.6."""
    inside, null = 0, 0
    truth = 6 / np.pi * np.arcsin(0.6 / 2)  # of two normal variables with correlation 0.6: Pearson (1907)
    for number in range(samples):
        rng = np.random.default_rng([5, number])
        base = rng.normal(size=120)
        sides = [0.6 * base + 0.8 * rng.normal(size=120) for _ in range(2)]
        draws = [spearman_draws(side, base, [""] * 120, rng=np.random.default_rng(1), resamples=300) for side in sides]
        from hrembed.metrics.probes import bootstrap_p, interval_of

        low, high = interval_of(draws[0], 120, 0.95)
        inside += low <= truth <= high
        null += bootstrap_p(draws[0] - draws[1], 120) <= 0.05
    assert inside / samples == pytest.approx(0.95, abs=off)
    assert null / samples <= 0.05 + off / 2
