"""A ranking loss that knows which texts of a batch are relevant to each other.

Hiring data are many to many: another title of the same occupation is no negative. Plain in-batch negatives count it as
one; keeping such pairs out of a batch avoids that, but learns nothing from them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hrembed.relevance import Relatives
from hrembed.training.by_length import embed_by_length

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scipy.sparse import csr_array

    from hrembed.types import Bools, Ints, Pair


class Relation(NamedTuple):
    """How the anchors of a batch stand to its positives.

    Attributes:
        relevant: Anchor i and positive j share a group, or are one pair, shape (n, n).
        unclear: They share an item, or a group of their partner; neither positive nor negative, shape (n, n).
        hard: A hard negative is relevant to the anchor or to its positive, shape (n, k·n), k blocks in the order of the
            rows; None without hard negatives.
    """

    relevant: Bools
    unclear: Bools
    hard: Bools | None = None


class Relevance:
    """What is relevant to what in a training set.

    Args:
        pairs: The whole set: a text belongs to every group in which it stands anywhere.
    """

    def __init__(self, pairs: Sequence[Pair]) -> None:
        relatives = Relatives(pairs)
        anchors = [relatives.groups(pair.anchor) for pair in pairs]
        positives = [relatives.groups(pair.positive) for pair in pairs]
        every = [relatives.keys(pair.anchor) | relatives.keys(pair.positive) for pair in pairs]
        # All rows have equally many negatives: reading and mining see to it.
        hard = [[relatives.keys(pair.negatives[n]) for pair in pairs] for n in range(len(pairs[0].negatives))]
        distinct = frozenset().union(*every, *(keys for column in hard for keys in column))
        number = {key: n for n, key in enumerate(sorted(distinct))}
        self._anchors, self._positives, self._all = (_matrix(side, number) for side in (anchors, positives, every))
        self._hard = [_matrix(side, number) for side in hard]

    def among(self, rows: Ints) -> Relation:
        """Relate the anchors of these rows to their positives."""
        shared = (self._anchors[rows] @ self._positives[rows].T).toarray() > 0
        touching = (self._all[rows] @ self._all[rows].T).toarray() > 0
        relevant = shared | np.eye(len(rows), dtype=bool)
        hard = [(self._all[rows] @ side[rows].T).toarray() > 0 for side in self._hard]
        return Relation(relevant, touching & ~relevant, np.concatenate(hard, axis=1) if hard else None)


def _matrix(keys: Sequence[frozenset[str]], number: dict[str, int]) -> csr_array:
    """One row a pair, one column a key, 1 where it has it."""
    from scipy.sparse import csr_array

    columns = np.array([number[key] for row in keys for key in sorted(row)], dtype=np.int64)
    ends = np.cumsum([0, *(len(row) for row in keys)])
    return csr_array((np.ones(len(columns), dtype=np.int32), columns, ends), shape=(len(keys), len(number)))


def group_loss(scores: Any, relation: Relation, hard: Any | None = None) -> Any:
    """Contrastive loss with several positives.

    For anchor i with relevant positives P: the mean over p in P of -log(exp(s_ip) / (exp(s_ip) + sum of exp(s_in)))
    over the negatives n, which are neither relevant nor unclear. Other positives stand in no denominator. An anchor
    without any negative adds 0.

    Args:
        scores: Cosines divided by the temperature, a tensor of shape (n, n).
        relation: What is relevant to what.
        hard: Scores against hard negatives, shape (n, k·n), k blocks in the order of the rows. Left out are those that
            are relevant to the anchor, and those of a row that is relevant to it, or unclear; but never its own.

    Source:
        With one positive each: van den Oord et al. (2018), arXiv:1807.03748. Positives outside of each other's
        denominator as in Khosla et al. (2020), arXiv:2004.11362, but for the normalisation.
    """
    import torch

    relevant = torch.as_tensor(relation.relevant, device=scores.device)
    skipped = relevant | torch.as_tensor(relation.unclear, device=scores.device)
    negatives = scores.masked_fill(skipped, _NEVER)
    if hard is not None:
        blocks = hard.shape[1] // len(scores)
        foreign = skipped.repeat(1, blocks)
        if relation.hard is not None:
            foreign = foreign | torch.as_tensor(relation.hard, device=scores.device)
        of_anchor = torch.eye(len(scores), dtype=torch.bool, device=scores.device).repeat(1, blocks)
        negatives = torch.cat([negatives, hard.masked_fill(foreign & ~of_anchor, _NEVER)], dim=1)
    against = torch.logsumexp(negatives, dim=1, keepdim=True)
    each = torch.nn.functional.softplus(against - scores)
    return (each * relevant).sum(dim=1).div(relevant.sum(dim=1)).mean()


_NEVER = -1e9  # not minus infinity: a row without negatives would have no gradient but NaN


def build_group_ranking(model: Any, pairs: Sequence[Pair], *, temperature: float, symmetric: bool) -> Any:
    """Build the loss of a data set whose labels are positions into `pairs`.

    Args:
        model: The model in training.
        pairs: The training set.
        temperature: Cosines are divided by it.
        symmetric: Also rank the anchors of each positive, and take the mean of both.
    """
    import torch
    from sentence_transformers.util import cos_sim
    from torch import nn

    relevance = Relevance(pairs)

    class GroupRankingLoss(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, sentence_features: Any, labels: Any) -> Any:
            anchors, positives, *hard = embed_by_length(self.model, list(sentence_features))
            relation = relevance.among(labels.cpu().numpy())
            scores = cos_sim(anchors, positives) / temperature
            against = cos_sim(anchors, torch.cat(hard)) / temperature if hard else None
            loss = group_loss(scores, relation, against)
            if symmetric:
                back = Relation(relation.relevant.T, relation.unclear.T)
                loss = (loss + group_loss(scores.T, back)) / 2
            return loss

    return GroupRankingLoss()
