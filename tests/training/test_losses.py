"""Losses: ours against a loop by hand and against the library's, all of them for one short training."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from hrembed.commands.finetune.run import run_finetune
from hrembed.config.finetune import (
    CachedRankingLoss,
    FinetuneConfig,
    GistLoss,
    GroupRankingLoss,
    RankingLoss,
    SourceSection,
    TrainSection,
)
from hrembed.config.parts import ModelSection, TaskSection
from hrembed.config.proof import ProofSection
from hrembed.errors import ConfigError
from hrembed.models.transformer import load_model
from hrembed.runs.workspace import Workspace
from hrembed.training.group_ranking import Relevance, build_group_ranking, group_loss
from hrembed.types import Pair

if TYPE_CHECKING:
    from pathlib import Path

    from hrembed.training.group_ranking import Relation


def by_hand(scores: np.ndarray, relation: Relation) -> float:
    total = 0.0
    for i in range(len(scores)):
        wrong = [j for j in range(len(scores)) if not relation.relevant[i, j] and not relation.unclear[i, j]]
        right = [j for j in range(len(scores)) if relation.relevant[i, j]]
        for p in right:
            below = math.exp(scores[i, p]) + sum(math.exp(scores[i, n]) for n in wrong)
            total -= math.log(math.exp(scores[i, p]) / below) / len(right)
    return total / len(scores)


@pytest.fixture
def scores():
    return torch.as_tensor(np.random.default_rng(3).normal(size=(6, 6)) * 4)


def test_several_positives_give_what_a_loop_gives(scores):
    pairs = [Pair(f"a{n}", f"p{n}", group=f"g{n // 2}" if n < 4 else "") for n in range(6)]
    relation = Relevance(pairs).among(np.arange(6))
    assert relation.relevant.sum() == 10  # two groups of two, two pairs without a group
    loss = float(group_loss(scores, relation))
    assert loss == pytest.approx(by_hand(scores.numpy(), relation), abs=1e-9)


def test_without_groups_it_is_the_library_s_loss(tiny_model: Path):
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    model = load_model(tiny_model)
    pairs = [Pair(text, text[::-1]) for text in ("nurse", "mechanic", "baker of bread", "cook", "driver")]
    sides = [[pair.anchor for pair in pairs], [pair.positive for pair in pairs]]
    both_ways = {"directions": ("query_to_doc", "doc_to_query"), "partition_mode": "per_direction"}
    for symmetric in (False, True):
        ours = build_group_ranking(model, pairs, temperature=0.05, symmetric=symmetric)
        theirs = MultipleNegativesRankingLoss(model, scale=20.0, **(both_ways if symmetric else {}))
        gradients = []
        for loss in (ours, theirs):
            model.zero_grad()
            value = loss([model.preprocess(side) for side in sides], torch.arange(5))
            value.backward()
            gradients.append(
                (float(value.detach()), model[0].auto_model.embeddings.word_embeddings.weight.grad.clone())
            )
        assert gradients[0][0] == pytest.approx(gradients[1][0], abs=1e-6)
        assert torch.allclose(gradients[0][1], gradients[1][1], atol=1e-6)
        assert gradients[0][0] > 0.1


def test_an_anchor_without_negatives_adds_nothing_and_no_nan():
    pairs = [Pair(f"a{n}", f"p{n}", group="one") for n in range(3)]
    scores = torch.randn(3, 3, requires_grad=True)
    loss = group_loss(scores, Relevance(pairs).among(np.arange(3)))
    loss.backward()
    assert float(loss.detach()) == pytest.approx(0, abs=1e-9)
    assert torch.equal(scores.grad, torch.zeros(3, 3))


def test_a_relevant_text_pulls_and_is_never_pushed_away(scores):
    pairs = [Pair(f"a{n}", f"p{n}", group="same" if n < 2 else f"g{n}") for n in range(6)]
    scores = scores.clone().requires_grad_()
    group_loss(scores, Relevance(pairs).among(np.arange(6))).backward()
    assert scores.grad[0, 1] < 0  # a higher score lowers the loss
    assert scores.grad[1, 0] < 0
    assert scores.grad[0, 2] > 0


def test_hard_negatives_of_a_relevant_row_are_left_out():
    pairs = [Pair(f"a{n}", f"p{n}", group="same" if n < 2 else "") for n in range(3)]
    hard = torch.zeros(3, 3, requires_grad=True)
    group_loss(torch.zeros(3, 3), Relevance(pairs).among(np.arange(3)), hard).backward()
    pushed = (hard.grad > 0).tolist()
    assert pushed == [[True, False, True], [False, True, True], [True, True, True]]


def test_hard_negatives_of_the_anchor_s_group_are_left_out_but_for_its_own():
    pairs = [
        Pair("ad of a nurse", "nurse", group="n", negatives=("driver",)),
        Pair("ad of a driver", "driver", group="d", negatives=("van driver",)),
        Pair("ad of a smith", "smith", group="s", negatives=("tailor",)),
        Pair("ad of a van driver", "van driver", group="d", negatives=("tailor",)),  # not in the batch
    ]
    hard = torch.zeros(3, 3, requires_grad=True)
    group_loss(torch.zeros(3, 3), Relevance(pairs).among(np.arange(3)), hard).backward()
    assert (hard.grad > 0).tolist() == [[True, True, True], [False, True, True], [True, True, True]]


def test_texts_decide_where_groups_are_unknown():
    pairs = [
        Pair("nurse", "ward nurse"),
        Pair("Nurse", "registered nurse"),  # the same anchor: its positive is relevant to the first as well
        Pair("cook", "ward nurse"),  # the same positive
        Pair("driver", "van driver"),
        Pair("lead", "team lead", group="x"),
        Pair("lead", "lead of a team", group="y"),
        Pair("y's title", "another of y", group="y"),
    ]
    relation = Relevance(pairs).among(np.arange(7))
    held = relation.relevant | relation.unclear
    assert held[0, 1]
    assert held[0, 2]
    assert held[2, 0]
    assert not held[0, 3]
    assert relation.relevant[4, 6]  # "lead" stands in y too
    assert relation.relevant[4, 5]


def test_relating_a_batch_takes_milliseconds():
    rng = np.random.default_rng(0)
    pairs = [Pair(f"title {n}", f"label {n}", group=f"g{rng.integers(1000)}") for n in range(20_000)]
    relevance = Relevance(pairs)
    rows = rng.choice(len(pairs), 256, replace=False)
    before = time.perf_counter()
    for _ in range(10):
        relation = relevance.among(rows)
    assert (time.perf_counter() - before) / 10 < 0.5  # a bound against a loop over all pairs, no claim about speed
    groups = [pairs[row].group for row in rows]
    assert np.array_equal(relation.relevant, np.equal.outer(np.array(groups), np.array(groups)))


@pytest.fixture
def config(tiny_model: Path, pairs: Path, task: Path) -> FinetuneConfig:
    return FinetuneConfig(
        model=ModelSection(ref=f"path:{tiny_model}"),
        sources=(SourceSection(path=str(pairs)),),
        train=TrainSection(epochs=4, batch_size=8, learning_rate=5e-3, max_tokens=32, evaluations=1),
        dev=TaskSection(path=str(task)),
        proof=ProofSection(tests=(), retention=(), strengths=()),
    )


@pytest.mark.parametrize(
    "loss",
    [
        RankingLoss(symmetric=True, hardness=5),
        CachedRankingLoss(name="cached-ranking", mini_batch_size=3),
        GroupRankingLoss(name="group-ranking"),
        GroupRankingLoss(name="group-ranking", matryoshka=(8, 16)),
        GistLoss(name="gist"),
    ],
    ids=lambda loss: f"{loss.name}{'-matryoshka' if loss.matryoshka else ''}",
)
def test_every_loss_learns_the_pairs(config, tmp_path: Path, loss, tiny_model):
    if isinstance(loss, GistLoss):
        loss = loss.model_copy(update={"guide": ModelSection(ref=f"path:{tiny_model}")})
    source = config.sources[0].model_copy(update={"loss": loss})
    found = run_finetune(config.model_copy(update={"sources": (source,)}), Workspace(tmp_path)).metrics.loss_history
    assert np.mean(found[-5:]) < 0.9 * np.mean(found[:5])


def test_more_numbers_than_the_vectors_have_is_an_error(config, tmp_path: Path):
    source = config.sources[0].model_copy(update={"loss": RankingLoss(matryoshka=(64,))})
    with pytest.raises(ConfigError, match=r"`loss.matryoshka` contains 64, but the model has only 32"):
        run_finetune(config.model_copy(update={"sources": (source,)}), Workspace(tmp_path))


def test_sources_have_losses_of_their_own_and_weights(config, tmp_path: Path):
    first = config.sources[0]
    second = first.model_copy(update={"weight": 0.5, "loss": GroupRankingLoss(name="group-ranking")})
    alone = run_finetune(config, Workspace(tmp_path)).metrics
    metrics = run_finetune(config.model_copy(update={"sources": (first, second)}), Workspace(tmp_path)).metrics
    assert metrics.steps - alone.steps == 4 * 3  # half of 48 pairs, in batches of 8, in each of 4 epochs
    assert metrics.pairs == 96
