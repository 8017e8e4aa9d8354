"""Masked language modelling: what is hidden, what is guessed, which texts meet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from hrembed.errors import DataError, ModelError
from hrembed.progress import Silent
from hrembed.training import masked_lm
from hrembed.training.masked_lm import MaskedContext, MaskedRecipe, tokenise, train_masked
from hrembed.training.vocabulary import train_tokenizer
from small_encoders import RECIPE, small

if TYPE_CHECKING:
    from pathlib import Path


def test_only_tokens_of_the_text_are_hidden():
    model, corpus = small([f"cleans {n} wards on day {n * 7 % 31}" for n in range(40)])
    rows = [*corpus.training, {key: values[:-2] for key, values in corpus.training[0].items()}]  # needs padding
    torch.manual_seed(0)
    collate, hidden = masked_lm.collator(model.tokenizer, 0.5), 0
    for _ in range(5):
        batch = collate([dict(row) for row in rows])
        labelled = batch["labels"] != -100
        special = [0, 2, 3]  # [PAD], [CLS], [SEP]
        assert not torch.isin(batch["labels"][labelled], torch.tensor(special)).any()
        changed = batch["input_ids"] != torch.where(labelled, batch["labels"], batch["input_ids"])
        assert not (changed & ~labelled).any()
        hidden += int(labelled.sum())
    tokens = sum(1 - flag for row in rows for flag in row["special_tokens_mask"])
    assert hidden / (5 * tokens) == pytest.approx(0.5, abs=0.05)


def test_held_out_tokens_are_hidden_once_each(monkeypatch):
    model, corpus = small([f"cleans {n} wards on {n * 7 % 31} days" for n in range(100)])
    seen: list[torch.Tensor] = []
    network = masked_lm._with_head(model, 13)

    def spy(network, batch, precision="float32"):
        inputs, labels = batch["input_ids"], batch["labels"]
        assert bool(((inputs == model.tokenizer.mask_token_id) == (labels != -100)).all())
        seen.append(labels[labels != -100])
        return torch.tensor(2.0)

    monkeypatch.setattr(masked_lm, "masked_loss", spy)
    assert masked_lm.held_out_loss(network, model.tokenizer, corpus.held_out, RECIPE) == pytest.approx(2.0)
    expected = [n for row in corpus.held_out for n in row["input_ids"] if n not in (2, 3)]
    assert sorted(torch.cat(seen).tolist()) == sorted(expected)
    assert len(seen) == 7  # 1 / 0.15


def test_what_is_held_out_is_measured_without_chance():
    model, corpus = small([f"cleans {n} wards" for n in range(60)])
    network = masked_lm._with_head(model, 13).train()
    state = torch.get_rng_state()
    first, second = (masked_lm.held_out_loss(network, model.tokenizer, corpus.held_out, RECIPE) for _ in range(2))
    assert first == second  # dropout is off
    assert network.training
    assert torch.equal(torch.get_rng_state(), state)


def test_texts_are_cut_between_their_special_tokens():
    _, corpus = small([f"cleans {n} wards " + "again " * 40 for n in range(20)], max_tokens=16)
    for row in corpus.training + corpus.held_out:
        assert (len(row["input_ids"]), row["input_ids"][0], row["input_ids"][-1]) == (16, 2, 3)
        assert row["special_tokens_mask"] == [1, *[0] * 14, 1]


def test_guessing_shares_the_embeddings_of_the_encoder():
    model, _ = small(["cleans wards", "bakes bread"])
    network = masked_lm._with_head(model, 13)
    words = model[0].model.embeddings.word_embeddings.weight
    assert network.cls.predictions.decoder.weight is words
    assert network.bert is model[0].model


def test_the_loss_is_that_of_the_library():
    model, corpus = small([f"cleans {n} wards" for n in range(20)])
    network = masked_lm._with_head(model, 13).eval()
    torch.manual_seed(1)
    batch = masked_lm.collator(model.tokenizer, 0.4)([dict(row) for row in corpus.training])
    expected = network(**batch).loss
    assert float(masked_lm.masked_loss(network, batch).detach()) == pytest.approx(float(expected.detach()), abs=1e-6)
    nothing = {**batch, "labels": torch.full_like(batch["labels"], -100)}
    assert float(masked_lm.masked_loss(network, nothing).detach()) == 0.0  # the library's is not a number
    assert torch.isnan(network(**nothing).loss)


def test_a_pattern_is_learnt(tmp_path: Path):
    """A text says one word again and again, and so do those that were held out."""
    words = ["nurse", "baker", "driver", "cook", "clerk", "tailor", "guard", "miner"]
    texts = [" ".join([word] * n) for word in words for n in range(6, 26)]
    model, corpus = small(texts)
    before = model.state_dict()["0.model.embeddings.word_embeddings.weight"].clone()
    recipe = MaskedRecipe(15, 16, 1e-2, 0.15, 0.1, 0.0, "float32", 0, 13)
    history = train_masked(model, corpus, recipe, context(tmp_path))
    assert history.held_out[0][1] > 4
    assert history.held_out[-1][1] < 1.0  # guessing by how often a word occurs: ln 8 = 2.08
    assert np.mean(history.losses[-10:]) < 1.0
    assert [step for step, _ in history.held_out] == [0, *(round(history.steps * n / 10) for n in range(1, 11))]
    assert not torch.equal(before, model.state_dict()["0.model.embeddings.word_embeddings.weight"])
    assert not model.training
    assert list(tmp_path.iterdir()) == []  # `saves: 0`


def context(folder: Path) -> MaskedContext:
    return MaskedContext(lambda: False, folder, Silent())


def test_a_loss_that_is_no_number_is_an_error(tmp_path: Path, monkeypatch):
    model, corpus = small([f"cleans {n} wards" for n in range(20)])
    whole = masked_lm.masked_loss
    monkeypatch.setattr(masked_lm, "masked_loss", lambda *a, **k: whole(*a, **k) * float("nan"))
    with pytest.raises(ModelError, match="the loss of masked language modelling is nan at step 1") as caught:
        train_masked(model, corpus, RECIPE, context(tmp_path))
    assert "method.mlm.learning_rate" in caught.value.hint


def test_every_text_is_read_once_an_epoch_beside_texts_of_its_length():
    rng = np.random.default_rng(0)
    lengths = rng.integers(3, 60, size=1003).tolist()
    batches = masked_lm.plan(lengths, batch_size=8, epochs=2, rng=rng)
    assert len(batches) == 2 * 126
    first, second = batches[:126], batches[126:]
    for epoch in (first, second):
        assert sorted(n for batch in epoch for n in batch) == list(range(1003))
    assert first != second
    padded = sum(max(lengths[n] for n in batch) * len(batch) for batch in batches)
    assert padded / (2 * sum(lengths)) < 1.1
    assert np.corrcoef(range(126), [lengths[batch[0]] for batch in first])[0, 1] < 0.3  # long ones are not last


def test_too_few_texts_are_an_error():
    tokenizer = train_tokenizer(["nurse"], size=300, max_tokens=16)
    with pytest.raises(DataError, match="training from scratch needs at least two texts, found 1"):
        tokenise(tokenizer, ["nurse", "\u200b"], max_tokens=16, seed=1)
