"""Linear maps that take a group out of vectors, as far as linear probes on the same vectors can tell."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from hrembed.types import Floats, Ints


class Eraser(NamedTuple):
    """An affine map: x becomes weight @ x + bias.

    Attributes:
        weight: Shape (d, d).
        bias: Shape (d,).
    """

    weight: Floats
    bias: Floats

    def moved(self, vectors: Floats) -> Floats:
        """Apply to rows, whatever their lengths then are."""
        return np.asarray(vectors @ self.weight.T + self.bias)

    def __call__(self, vectors: Floats) -> Floats:
        """Apply to rows and make them unit vectors again; a row of zeros stays."""
        moved = self.moved(vectors)
        length = np.linalg.norm(moved, axis=1, keepdims=True)
        return np.asarray(moved / np.where(length > 0, length, 1))


def leace(vectors: Floats, labels: Ints) -> Eraser:
    """The smallest change (in least squares) after which no linear probe on these very vectors beats a constant.

    What is small is measured by the covariance of the vectors, shrunk towards a multiple of the identity: no probe
    gains by that on these vectors, and directions in which they hardly vary are not blown up for other texts.

    Args:
        vectors: Shape (n, d).
        labels: Number of each row's group, shape (n,).

    Source:
        Belrose et al. (2023), arXiv:2306.03819, theorem 4.3; the shrinkage: Ledoit & Wolf (2004),
        doi:10.1016/S0047-259X(03)00096-4.
    """
    from sklearn.covariance import ledoit_wolf

    center = vectors.mean(axis=0)
    moved, member = vectors - center, np.eye(int(labels.max()) + 1)[labels]
    values, axes = np.linalg.eigh(ledoit_wolf(moved, assume_centered=True)[0])
    root = np.sqrt(np.maximum(values, 1e-12))
    whiten, unwhiten = (axes / root) @ axes.T, (axes * root) @ axes.T
    cross = whiten @ (moved.T @ (member - member.mean(axis=0)) / len(moved))
    left, sizes, _ = np.linalg.svd(cross, full_matrices=False)
    basis = left[:, sizes > max(float(sizes.max(initial=0)), 1e-12) * 1e-7]
    weight = np.eye(len(center)) - unwhiten @ basis @ basis.T @ whiten
    return Eraser(weight, center - weight @ center)


def mean_difference(vectors: Floats, labels: Ints) -> Eraser:
    """Project out the differences of the groups' means.

    Args:
        vectors: Shape (n, d).
        labels: Shape (n,).

    Source:
        Bolukbasi et al. (2016), arXiv:1607.06520, with means in place of hand-picked pairs.
    """
    means = np.stack([vectors[labels == group].mean(axis=0) for group in np.unique(labels)])
    _, sizes, axes = np.linalg.svd(means - means.mean(axis=0), full_matrices=False)
    basis = axes[sizes > max(float(sizes.max(initial=0)), 1e-12) * 1e-7]
    return Eraser(np.eye(vectors.shape[1]) - basis.T @ basis, np.zeros(vectors.shape[1]))
