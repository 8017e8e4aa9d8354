"""Losses that compare each row with a target: a label, a score, a teacher's numbers.

A loss gets the positions of the rows of a batch as labels, by which these losses look up their targets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hrembed.training.by_length import embed_by_length

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hrembed.training.checkpoints import Tensors
    from hrembed.types import Floats, Ints


def batch_hard(model: Any, rows: Any, *, temperature: float, targets: Ints, margin: float | None, side: str) -> Any:
    """Put each text closer to the farthest text of its label than to the closest of another.

    With d the cosine distance (1 - cosine): the mean over texts of max(0, d_far - d_close + margin), or without a
    margin of log(1 + exp((d_far - d_close) / temperature)). Batches must hold two or more texts of two or more labels:
    the library gives a text without a partner the distance 0 to its farthest.

    Args:
        model: The model in training.
        rows: Not needed.
        temperature: Of the soft margin.
        targets: Number of each row's label, shape (n,).
        margin: In cosine distance; None for the soft margin.
        side: Not needed; decides the column of the texts.

    Source:
        Hermans et al. (2017), arXiv:1703.07737; without a temperature there.
    """
    from sentence_transformers.sentence_transformer import losses

    distance = losses.BatchHardTripletLossDistanceFunction.cosine_distance
    if margin is not None:
        return _by_row(model, losses.BatchHardTripletLoss(model, distance_metric=distance, margin=margin), targets)
    soft = losses.BatchHardSoftMarginTripletLoss(model, distance_metric=lambda rows: distance(rows) / temperature)
    return _by_row(model, soft, targets)


def cosent(model: Any, rows: Any, *, temperature: float, targets: Floats) -> Any:
    """Order pairs by their scores: log(1 + sum of exp((s_j - s_i) / temperature)) over i scored above j.

    Args:
        model: The model in training.
        rows: Not needed.
        temperature: Cosines s are divided by it.
        targets: Score of each row, any scale, higher is more alike, shape (n,).

    Source:
        Su (2022), https://kexue.fm/archives/8847; Huang et al. (2024), doi:10.1109/TASLP.2024.3402087.
    """
    from sentence_transformers.sentence_transformer.losses import CoSENTLoss

    return _by_row(model, CoSENTLoss(model, scale=1 / temperature), np.asarray(targets, dtype=np.float32))


def margin_mse(model: Any, rows: Any, *, temperature: float, targets: Floats) -> Any:
    """Let cosines of positive and negative differ by as much as a teacher's, the mean squared error of the differences.

    Both are divided by the temperature, so that the loss is of the size of the others.

    Args:
        model: The model in training.
        rows: Not needed.
        temperature: Cosines are divided by it.
        targets: The teacher's cosine of the positive less that of each negative, shape (n, k).

    Source:
        Hofstätter et al. (2020), arXiv:2010.02666; on dot products there.
    """
    from sentence_transformers.sentence_transformer.losses import MarginMSELoss
    from sentence_transformers.util import pairwise_cos_sim

    loss = MarginMSELoss(model, similarity_fct=lambda one, other: pairwise_cos_sim(one, other) / temperature)
    return _by_row(model, loss, np.asarray(targets / temperature, dtype=np.float32))


def embedding_distillation(model: Any, rows: Any, *, temperature: float, targets: tuple[Floats, ...]) -> Any:
    """Keep each text where a teacher has it: the mean of 1 - cosine to the teacher's vector.

    A teacher of another width is compared with a learned linear map of the vectors, which is not part of the model.

    Args:
        model: The model in training.
        rows: Not needed.
        temperature: Not needed.
        targets: The teacher's vectors, one array of shape (n, width) for each column of texts.

    Source:
        Kim et al. (2023), EmbedDistill, arXiv:2301.12005, with the cosine in place of the Euclidean distance.
    """
    from sentence_transformers.sentence_transformer.losses import EmbedDistillLoss

    class ByLength(EmbedDistillLoss):
        def forward(self, sentence_features: Any, labels: Any) -> Any:
            columns = embed_by_length(self.model, list(sentence_features))
            return self.compute_loss_from_embeddings(columns, list(labels.unbind(dim=1)))

    width = targets[0].shape[1]
    projection = None if width == model.get_embedding_dimension() else width
    return _by_row(model, ByLength(model, distance_metric="cosine", projection_dim=projection), targets)


def _by_row(model: Any, loss: Any, targets: Any) -> Any:
    """Give a loss the targets of the rows at hand in place of their positions."""
    import torch
    from torch import nn

    look_up: Callable[[Ints], Any] = (
        (lambda rows: np.stack([side[rows] for side in targets], axis=1))
        if isinstance(targets, tuple)
        else (lambda rows: targets[rows])
    )

    class ByRow(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model
            self.loss = loss

        def forward(self, sentence_features: Any, labels: Any) -> Any:
            looked_up = torch.as_tensor(look_up(labels.cpu().numpy()), device=labels.device)
            return self.loss(sentence_features, looked_up)

    return ByRow()


def loss_parameters(losses: Sequence[Any], model: Any) -> Tensors:
    """Return what losses learn beside the model, by the position of the loss and a name."""
    seen = {id(parameter) for parameter in model.parameters()}
    learned = {}
    for number, loss in enumerate(losses):
        for name, value in loss.named_parameters():
            if value.requires_grad and id(value) not in seen:
                seen.add(id(value))  # several losses may share one that accompanies them
                learned[f"{number}.{name}"] = value
    return learned
