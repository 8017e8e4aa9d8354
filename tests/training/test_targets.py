"""Losses with targets, on tiny vectors by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hrembed.training.targets import batch_hard, cosent, embedding_distillation, loss_parameters, margin_mse
from torch import nn


class Given(nn.Module):
    """A model whose vectors are its input."""

    def forward(self, features):
        return features

    def get_embedding_dimension(self):
        return 3

    device = torch.device("cpu")


def run(loss, columns: list[np.ndarray], rows: list[int]) -> float:
    features = [{"sentence_embedding": torch.as_tensor(column[rows], dtype=torch.float32)} for column in columns]
    return float(loss(features, torch.tensor(rows)).detach())


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture
def sides():
    """Three columns of six rows, three numbers each, of different lengths."""
    return [np.random.default_rng(n).normal(size=(6, 3)) for n in (1, 2, 3)]


ROWS = [4, 0, 5, 2]  # a batch is not the first rows: targets must be looked up


def hardest(vectors: np.ndarray, labels: list[int]) -> list[tuple[float, float]]:
    """Largest distance within the label and smallest to another, text by text."""
    found = []
    for i in range(len(vectors)):
        distance = [1 - float(vectors[i] @ vectors[j]) for j in range(len(vectors))]
        same = [distance[j] for j in range(len(vectors)) if j != i and labels[j] == labels[i]]
        other = [distance[j] for j in range(len(vectors)) if labels[j] != labels[i]]
        found.append((max(same), min(other)))
    return found


@pytest.mark.parametrize("margin", [0.3, None])
def test_batch_hard(sides, margin):
    labels = np.array([0, 9, 1, 9, 0, 1])  # of the batch: 0, 0, 1, 1
    loss = batch_hard(Given(), None, temperature=0.5, targets=labels, margin=margin, side="query")
    pairs = hardest(unit(sides[0][ROWS]), labels[ROWS].tolist())
    by_hand = [
        max(0.0, far - close + margin) if margin is not None else math.log1p(math.exp((far - close) / 0.5))
        for far, close in pairs
    ]
    assert run(loss, sides[:1], ROWS) == pytest.approx(np.mean(by_hand), abs=1e-6)


def test_cosent(sides):
    scores = np.array([3.0, 8.0, 1.0, 8.0, 5.0, 3.0])
    loss = cosent(Given(), None, temperature=0.1, targets=scores)
    cosines = (unit(sides[0]) * unit(sides[1])).sum(axis=1)
    above = [(i, j) for i in ROWS for j in ROWS if scores[i] > scores[j]]
    assert len(above) == 5  # the two that are scored alike are not compared
    by_hand = math.log(1 + sum(math.exp((cosines[j] - cosines[i]) / 0.1) for i, j in above))
    assert run(loss, sides[:2], ROWS) == pytest.approx(by_hand, abs=1e-5)


@pytest.mark.parametrize("negatives", [1, 2])
def test_margin_mse(sides, negatives):
    columns = [*sides, sides[0][::-1].copy()][: 2 + negatives]
    teacher = np.random.default_rng(9).uniform(-1, 1, size=(6, negatives))
    loss = margin_mse(Given(), None, temperature=0.5, targets=teacher)
    anchor, positive, *others = [unit(column) for column in columns]
    own = (anchor * positive).sum(axis=1)
    errors = [
        ((own[row] - float(anchor[row] @ other[row]) - teacher[row, n]) / 0.5) ** 2
        for row in ROWS
        for n, other in enumerate(others)
    ]
    assert run(loss, columns, ROWS) == pytest.approx(np.mean(errors), abs=1e-5)


def test_embedding_distillation(sides):
    teacher = tuple(unit(np.random.default_rng(n).normal(size=(6, 3))) for n in (7, 8))
    loss = embedding_distillation(Given(), None, temperature=0.05, targets=teacher)
    away = [1 - float(unit(side)[row] @ own[row]) for side, own in zip(sides, teacher, strict=False) for row in ROWS]
    assert run(loss, sides[:2], ROWS) == pytest.approx(np.mean(away), abs=1e-6)
    assert loss_parameters([loss], loss.model) == {}


def test_a_wider_teacher_is_compared_through_a_map_that_is_learned(sides):
    teacher = tuple(unit(np.random.default_rng(n).normal(size=(6, 5))) for n in (7, 8))
    loss = embedding_distillation(Given(), None, temperature=0.05, targets=teacher)
    learned = loss_parameters([nn.Linear(2, 2).requires_grad_(False), loss], loss.model)
    assert {name: tuple(value.shape) for name, value in learned.items()} == {
        "1.loss.projection.weight": (5, 3),
        "1.loss.projection.bias": (5,),
    }
    weight, bias = (value.detach().numpy() for value in learned.values())
    away = [
        1 - float(unit(side @ weight.T + bias)[row] @ own[row])
        for side, own in zip(sides, teacher, strict=False)
        for row in ROWS
    ]
    assert run(loss, sides[:2], ROWS) == pytest.approx(np.mean(away), abs=1e-5)
