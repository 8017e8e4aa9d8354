"""Losses by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hrembed.training.by_length import embed_by_length
from hrembed.training.group_ranking import build_group_ranking
from hrembed.training.plan import features_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from hrembed.types import Ints, Pair, Side


def group_ranking(model: Any, pairs: Sequence[Pair], *, temperature: float, symmetric: bool) -> Any:
    """Rank all texts of the anchor's group above the others of the batch; see `group_ranking`."""
    return build_group_ranking(model, pairs, temperature=temperature, symmetric=symmetric)


def ranking(model: Any, pairs: Sequence[Pair], *, temperature: float, symmetric: bool, hardness: float) -> Any:
    """Rank the anchor's positive above the others of the batch.

    Args:
        model: The model in training.
        pairs: Not needed; batches hold no two of one group.
        temperature: Cosines are divided by it.
        symmetric: Also rank the anchor among the anchors, and take the mean of both.
        hardness: How much more the closer negatives weigh; 0 is the plain loss.

    Source:
        van den Oord et al. (2018), arXiv:1807.03748; hardness: Lan et al. (2025), arXiv:2503.04812.
    """
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    class ByLength(MultipleNegativesRankingLoss):
        def forward(self, sentence_features: Any, labels: Any) -> Any:
            return self.compute_loss_from_embeddings(embed_by_length(self.model, list(sentence_features)), labels)

    return ByLength(
        model,
        scale=1 / temperature,
        hardness_mode="all_negatives" if hardness else None,
        hardness_strength=hardness,
        **_directions(symmetric),
    )


def cached_ranking(
    model: Any, pairs: Sequence[Pair], *, temperature: float, symmetric: bool, mini_batch_size: int
) -> Any:
    """Compute `ranking` in parts, so that a batch may be larger than what memory holds at once; slower.

    Source:
        Gao et al. (2021), GradCache, arXiv:2101.06983.
    """
    from sentence_transformers.sentence_transformer.losses import CachedMultipleNegativesRankingLoss

    return CachedMultipleNegativesRankingLoss(
        model, scale=1 / temperature, mini_batch_size=mini_batch_size, **_directions(symmetric)
    )


def gist(model: Any, pairs: Sequence[Pair], *, temperature: float, guide: Callable[[], Any], margin: float) -> Any:
    """Rank, leaving out negatives that a guide model finds closer to the anchor than its positive.

    Args:
        model: The model in training.
        pairs: Not needed.
        temperature: Cosines are divided by it.
        guide: Loads the guide. It also looks at hard negatives; the library takes one for each row.
        margin: A negative is left out from this far below the positive, in the guide's cosine.

    Source:
        Solatorio (2024), GISTEmbed, arXiv:2402.16829.
    """
    from sentence_transformers.sentence_transformer.losses import GISTEmbedLoss

    # The library gives a guide's parameters to the optimizer, and resume points hold what a loss learns.
    frozen_guide = guide().requires_grad_(False)
    return GISTEmbedLoss(model, frozen_guide, temperature=temperature, margin_strategy="absolute", margin=margin)


def invariance(model: Any, pairs: Sequence[Pair], *, temperature: float) -> Any:
    """Give both texts of a pair the same vector: the mean of 1 - cosine.

    Alone it makes all vectors the same; it needs a loss beside it that tells texts apart.

    Args:
        model: The model in training.
        pairs: Not needed.
        temperature: Not needed.

    Source:
        Garg et al. (2019), doi:10.1145/3306618.3317950, counterfactual logit pairing, on cosines.
    """
    from torch import nn
    from torch.nn.functional import cosine_similarity

    class Invariance(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, sentence_features: Any, labels: Any) -> Any:
            first, second = embed_by_length(self.model, list(sentence_features))
            return (1 - cosine_similarity(first, second)).mean()

    return Invariance()


def matryoshka(model: Any, loss: Any, dimensions: Sequence[int]) -> Any:
    """Train the first numbers of a vector to be useful without the others, for each of several lengths.

    Source:
        Kusupati et al. (2022), arXiv:2205.13147.
    """
    from sentence_transformers.sentence_transformer.losses import MatryoshkaLoss

    return MatryoshkaLoss(model, loss, matryoshka_dims=sorted(dimensions, reverse=True))


def scaled(loss: Any, factor: float) -> Any:
    """Multiply a loss, so that it weighs more or less than those of other sources; by 1 it stays as it is."""
    if factor == 1:
        return loss
    from torch import nn

    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.loss = loss

        def forward(self, sentence_features: Any, labels: Any) -> Any:
            value = self.loss(sentence_features, labels)
            if isinstance(value, dict):
                return {name: factor * part for name, part in value.items()}
            return factor * value

    return Scaled()


def with_auxiliary(
    model: Any,
    loss: Any,
    auxiliary: Any,
    draw: Callable[[Sequence[int]], tuple[Mapping[str, Sequence[str]], Ints]],
    prompts: Mapping[str, str],
    routes: Mapping[str, Side],
) -> Any:
    """Add an auxiliary loss to every batch of a loss, on rows of its own.

    In batches of its own it would pull back only after the model has moved; here each step weighs both.

    Args:
        model: The model in training.
        loss: The loss of the batch.
        auxiliary: The loss that is added.
        draw: From the labels of a batch to the texts of the auxiliary rows, by column, and the positions of these rows.
            It must depend on nothing else, so that a resumed training draws the same.
        prompts: As in `TrainingPlan`.
        routes: As in `TrainingPlan`.
    """
    import torch
    from torch import nn

    class WithAuxiliary(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.loss = loss
            self.auxiliary = auxiliary

        def forward(self, sentence_features: Any, labels: Any) -> Any:
            value = self.loss(sentence_features, labels)
            columns, rows = draw(labels.tolist())
            features = [
                features_of(model, texts, prompts.get(name), routes.get(name)) for name, texts in columns.items()
            ]
            added = self.auxiliary(features, torch.as_tensor(rows, device=labels.device))
            return {**value, "auxiliary": added} if isinstance(value, dict) else value + added

    return WithAuxiliary()


def _directions(symmetric: bool) -> dict[str, str | tuple[str, ...]]:
    if not symmetric:
        return {}
    return {"directions": ("query_to_doc", "doc_to_query"), "partition_mode": "per_direction"}
