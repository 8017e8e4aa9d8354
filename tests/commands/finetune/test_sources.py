"""Sources of every kind: what is read and refused, trained together, kept, and resumed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hrembed.commands.finetune import enrich as enriching
from hrembed.commands.finetune import run as running
from hrembed.commands.finetune.enrich import enrich
from hrembed.commands.finetune.run import run_finetune, run_preflight
from hrembed.commands.finetune.sources import open_sources
from hrembed.config.finetune import CachedRankingLoss, GistLoss, GroupRankingLoss, RankingLoss, SourceSection
from hrembed.config.losses import (
    BatchHardLoss,
    CosentLoss,
    EmbeddingDistillationLoss,
    MarginMseLoss,
    MineSection,
)
from hrembed.config.parts import ModelSection
from hrembed.data.pairs import read_pairs
from hrembed.errors import ModelError
from hrembed.models.transformer import load_model
from hrembed.runs.workspace import Workspace
from hrembed.training.plan import batch_loss
from killing import KilledError, killed_at
from source_runs import Run, config_of, fed

from conftest import jsonl

if TYPE_CHECKING:
    from hrembed.config.finetune import FinetuneConfig


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    rows = [{"text": f"{'he is old' if n % 2 else 'she cooks'} {n}", "label": f"l{n % 2}"} for n in range(24)]
    return jsonl(tmp_path / "labelled.jsonl", rows)


@pytest.fixture
def scored(tmp_path: Path) -> Path:
    rows = [
        {"sentence1": f"job {n}", "sentence2": f"job {n}" if n % 2 else f"zzz {n}", "score": float(4 * (n % 2) + 1)}
        for n in range(16)
    ]
    return jsonl(tmp_path / "scored.jsonl", rows)


@pytest.fixture
def hard(tmp_path: Path, pairs: Path) -> Path:
    """The pairs, each with the profiles of the next two jobs."""
    rows = [json.loads(line) for line in pairs.read_text().splitlines()]
    for n, row in enumerate(rows):
        row["negative"] = [f"profile {n + 1} of job {(n + 1) % 12}", f"profile {n + 2} of job {(n + 2) % 12}"]
    return jsonl(tmp_path / "hard.jsonl", rows)


@pytest.fixture
def mixed(tiny_model, task, pairs, hard, labelled, scored, wide) -> FinetuneConfig:
    """Every kind of source at once; the teacher of the last has another width."""
    return config_of(
        tiny_model,
        task,
        SourceSection(
            path=str(pairs), loss=GroupRankingLoss(name="group-ranking"), mine=MineSection(count=2, margin=0)
        ),
        SourceSection(path=str(hard), loss=MarginMseLoss(name="margin-mse"), weight=0.5),
        SourceSection(path=str(labelled), loss=BatchHardLoss(name="batch-hard")),
        SourceSection(path=str(scored), loss=CosentLoss(name="cosent")),
        SourceSection(path=str(pairs), loss=EmbeddingDistillationLoss(name="embedding-distillation", teacher=wide)),
        SourceSection(
            path=str(hard), loss=EmbeddingDistillationLoss(name="embedding-distillation", teacher=wide, every_step=3)
        ),
        accumulate=2,
        saves=6,
    )


@pytest.fixture(scope="session")
def wide(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> ModelSection:
    """The tiny model with a layer on top that makes its vectors longer."""
    import torch
    from sentence_transformers.sentence_transformer.modules import Dense

    model = load_model(tiny_model)
    torch.manual_seed(1)
    model.append(Dense(in_features=32, out_features=48, activation_function=torch.nn.Identity()))
    folder = tmp_path_factory.mktemp("wide") / "model"
    model.save_pretrained(str(folder), create_model_card=False)
    return ModelSection(ref=f"path:{folder}")


LOSSES = {
    "batch-hard": ("labelled", BatchHardLoss(name="batch-hard")),
    "batch-hard-margin": ("labelled", BatchHardLoss(name="batch-hard", margin=0.3, side="document")),
    "cosent": ("scored", CosentLoss(name="cosent")),
    "cosent-matryoshka": ("scored", CosentLoss(name="cosent", matryoshka=(8,))),
    "margin-mse-matryoshka": ("hard", MarginMseLoss(name="margin-mse", matryoshka=(8, 16))),
    "ranking": ("hard", RankingLoss(symmetric=True, hardness=5)),
    "cached-ranking": ("hard", CachedRankingLoss(name="cached-ranking", mini_batch_size=3)),
    "group-ranking": ("hard", GroupRankingLoss(name="group-ranking")),
}


@pytest.mark.parametrize("case", LOSSES)
def test_every_loss_learns_its_rows(tiny_model, task, tmp_path: Path, case, request, wide):
    fixture, loss = LOSSES[case]
    if isinstance(loss, MarginMseLoss):
        loss = loss.model_copy(update={"teacher": wide})
    source = SourceSection(path=str(request.getfixturevalue(fixture)), loss=loss)
    config = config_of(tiny_model, task, source, epochs=8 if fixture != "hard" else 3)
    found = run_finetune(config, Workspace(tmp_path)).metrics.loss_history
    assert np.mean(found[-4:]) < 0.9 * np.mean(found[:4])


def test_hard_negatives_count_in_every_loss_that_takes_them(tiny_model, task, tmp_path: Path, hard, pairs):
    """The same batch with and without them: more negatives, a larger loss."""
    for loss in (RankingLoss(), CachedRankingLoss(name="cached-ranking"), GroupRankingLoss(name="group-ranking")):
        losses = []
        for file in (pairs, hard):
            plan, model = fed(config_of(tiny_model, task, SourceSection(path=str(file), loss=loss)), tmp_path)
            model.eval()
            losses.append(float(batch_loss(model, plan, [0, 5, 10]).detach()))
        assert losses[1] > losses[0] + 0.05, loss.name


def test_the_newest_training_is_pinned_wherever_a_source_names_it(tiny_model, task, tmp_path: Path, pairs, monkeypatch):
    def pin(section: ModelSection, _: Workspace) -> ModelSection:
        return section.model_copy(update={"ref": section.ref.replace("latest", "20260101T000000Z-0")})

    monkeypatch.setattr(running, "pinned", pin)
    newest = ModelSection(ref="run:latest")
    distilled = EmbeddingDistillationLoss(name="embedding-distillation", teacher=newest)
    sources = (
        SourceSection(path=str(pairs), mine=MineSection(model=newest)),
        SourceSection(path=str(pairs), loss=GistLoss(name="gist", guide=newest)),
        SourceSection(path=str(pairs), loss=distilled),
        SourceSection(path=str(pairs), loss=MarginMseLoss(name="margin-mse")),
    )
    config = running._pinned(config_of(tiny_model, task, *sources), Workspace(tmp_path / "runs"))
    assert "run:latest" not in config.model_dump_json()
    assert config.model_dump_json().count("run:20260101T000000Z-0") == 3
    assert config.sources[3].loss.teacher is None


def test_a_guide_looks_at_the_hard_negative_too(tiny_model, task, tmp_path: Path, pairs):
    loss = GistLoss(name="gist", guide=ModelSection(ref=f"path:{tiny_model}"))
    config = config_of(tiny_model, task, SourceSection(path=str(pairs), loss=loss, mine=MineSection(margin=0)))
    plan, model = fed(config, tmp_path)
    assert [*plan.columns["source-0"]] == ["anchor", "positive", "negative_1"]
    assert np.isfinite(float(batch_loss(model, plan, plan.batches[0]).detach()))
    guide = plan.losses["source-0"].guide
    assert not any(parameter.requires_grad for parameter in guide.parameters())


def test_all_kinds_train_together_and_the_card_says_which(mixed, trained):
    result = trained(trained.settled(mixed))
    metrics = json.loads((Path(result.run) / "metrics.json").read_text())
    found = {entry["loss"]: entry for entry in metrics["sources"]}
    assert [entry["kind"] for entry in metrics["sources"]] == [
        "pairs", "pairs", "labelled texts", "scored pairs", "pairs", "pairs",
    ]  # fmt: skip
    assert all(entry["batches"] > 0 for entry in metrics["sources"])
    assert sum(entry["batches"] for entry in metrics["sources"][:5]) == pytest.approx(2 * metrics["steps"], abs=1)
    mined = found["group-ranking"]["mined"]
    assert mined["count"] == 2
    assert mined["relevant"] > 0
    assert mined["negative_cosine"] < mined["positive_cosine"]
    assert found["batch-hard"]["labels"] == {"l0": 12, "l1": 12}
    assert found["cosent"]["scores"] == {"low": 1.0, "high": 5.0}
    assert found["margin-mse"]["negatives"] == 2
    card = (Path(result.run) / "model" / "README.md").read_text()
    assert "24 labelled texts with the loss `batch-hard`, weight 1; SHA-256" in card
    assert "48 pairs with the loss `margin-mse`, weight 0.5" in card
    manifest = json.loads((Path(result.run) / "manifest.json").read_text())
    assert {"base", "tuned", "miner-0", "teacher-1", "teacher-4", "teacher-5"} == set(manifest["models"])
    written = (Path(result.run) / "log.txt").read_text() + json.dumps(manifest) + json.dumps(metrics)
    assert "profile 3" not in written


def test_each_part_of_a_mixed_run_improves(tiny_model, task, tmp_path: Path, pairs, labelled, scored):
    """On the first batch of each source, before and after; dropout off."""
    config = config_of(
        tiny_model,
        task,
        SourceSection(path=str(pairs), loss=GroupRankingLoss(name="group-ranking")),
        SourceSection(path=str(labelled), loss=BatchHardLoss(name="batch-hard")),
        SourceSection(path=str(scored), loss=CosentLoss(name="cosent")),
        epochs=8,
    )
    tuned = load_model(Path(run_finetune(config, Workspace(tmp_path)).run) / "model", max_tokens=32)
    losses = []
    for model in (None, tuned):
        plan, used = fed(config, tmp_path, model)
        used.eval()
        starts = np.cumsum([0, 48, 24])
        losses.append([float(batch_loss(used, plan, range(s, s + 12)).detach()) for s in starts])
    assert all(after < 0.9 * before for before, after in zip(*losses, strict=True))


@pytest.mark.slow
def test_a_killed_mixed_run_ends_as_if_nothing_had_happened(mixed, trained, tmp_path: Path, monkeypatch):
    mixed = trained.settled(mixed)
    straight = Path(trained(mixed).run)
    steps = json.loads((straight / "metrics.json").read_text())["steps"]

    def never(*args):
        raise AssertionError("mined again")

    resume = None
    for moment in (steps // 3 + 1, 2 * steps // 3 + 1):
        with monkeypatch.context() as patch:
            killed_at(patch, moment)
            if resume:
                patch.setattr(enriching, "mine", never)
            with pytest.raises(KilledError):
                run_finetune(mixed, Workspace(tmp_path / "b"), resume=resume)
        (folder,) = (tmp_path / "b" / "finetune").iterdir()
        resume = folder.name
    monkeypatch.setattr(enriching, "mine", never)
    resumed = Path(run_finetune(mixed, Workspace(tmp_path / "b"), resume=resume).run)
    assert (resumed / "metrics.json").read_bytes() == (straight / "metrics.json").read_bytes()


def test_the_base_as_teacher_sees_as_much_of_a_text_as_the_training(tiny_model, task, tmp_path: Path, pairs):
    source = SourceSection(path=str(pairs), loss=EmbeddingDistillationLoss(name="embedding-distillation"))
    found = []
    for tokens in (8, 32):
        config = config_of(tiny_model, task, source, max_tokens=tokens)
        (taught,) = enrich(config, open_sources(config, Run()), Run(tmp_path / "r"), "")
        found.append(taught.targets[1])
    assert np.abs(found[0] - found[1]).max() > 1e-3


def test_another_model_mines_anew(tiny_model, task, tmp_path: Path, pairs, wide, monkeypatch):
    mined = []
    whole = enriching.mine
    monkeypatch.setattr(enriching, "mine", lambda *args: mined.append(1) or whole(*args))
    for model in (None, wide, None, wide):
        source = SourceSection(path=str(pairs), mine=MineSection(margin=0, model=model))
        fed(config_of(tiny_model, task, source), tmp_path)
    assert len(mined) == 2


def test_a_second_run_mines_nothing_and_other_rows_or_settings_do(tiny_model, task, tmp_path: Path, pairs, monkeypatch):
    mined = []
    whole = enriching.mine

    def counted(*args):
        mined.append(1)
        return whole(*args)

    monkeypatch.setattr(enriching, "mine", counted)
    config = config_of(tiny_model, task, SourceSection(path=str(pairs), mine=MineSection(margin=0)))
    one, _ = fed(config, tmp_path)
    two, _ = fed(config, tmp_path)
    assert len(mined) == 1
    assert one.columns == two.columns
    other = config_of(tiny_model, task, SourceSection(path=str(pairs), mine=MineSection(margin=0.001)))
    fed(other, tmp_path)
    assert len(mined) == 2
    pairs.write_text(pairs.read_text().replace("ad 1 ", "advert 1 "))
    fed(config, tmp_path)
    assert len(mined) == 3
    (file, *_) = (tmp_path / "r").rglob("mined-*.json")
    for held in (tmp_path / "r").rglob("mined-*.json"):
        held.write_text(file.read_text()[:50])
    fed(config, tmp_path)
    assert len(mined) == 4  # a damaged file is as if it had never been written


def test_a_resumed_run_with_another_teacher_is_refused(tiny_model, task, tmp_path: Path, pairs, wide, monkeypatch):
    import shutil

    folder = tmp_path / "teacher"
    shutil.copytree(wide.ref.removeprefix("path:"), folder)
    loss = EmbeddingDistillationLoss(name="embedding-distillation", teacher=ModelSection(ref=f"path:{folder}"))
    config = config_of(tiny_model, task, SourceSection(path=str(pairs), loss=loss), saves=8)
    with monkeypatch.context() as patch:
        killed_at(patch, 7)
        with pytest.raises(KilledError):
            run_finetune(config, Workspace(tmp_path / "r"))
    (run,) = (tmp_path / "r" / "finetune").iterdir()
    model = load_model(folder)
    model[-1].linear.weight.data *= 2
    model.save_pretrained(str(folder), create_model_card=False)
    with pytest.raises(ModelError, match="the mining and teacher models changed"):
        run_finetune(config, Workspace(tmp_path / "r"), resume=run.name)


def test_the_base_as_teacher_keeps_vectors_where_they_were(tiny_model, task, tmp_path: Path, pairs):
    ranking = SourceSection(path=str(pairs), loss=GroupRankingLoss(name="group-ranking"))
    keeping = SourceSection(path=str(pairs), weight=4, loss=EmbeddingDistillationLoss(name="embedding-distillation"))
    texts = [f"profile {n} of job {n}" for n in range(12)]
    before = load_model(tiny_model).encode(texts, normalize_embeddings=True)
    moved = []
    for sources in ((ranking,), (ranking, keeping)):
        run = run_finetune(config_of(tiny_model, task, *sources, max_tokens=64), Workspace(tmp_path)).run
        after = load_model(Path(run) / "model").encode(texts, normalize_embeddings=True)
        moved.append(float(1 - (before * after).sum(axis=1).mean()))
    assert moved[1] < 0.5 * moved[0]


def test_a_source_takes_part_in_every_step(tiny_model, task, tmp_path: Path, pairs):
    ranking = SourceSection(path=str(pairs), loss=GroupRankingLoss(name="group-ranking"))
    loss = EmbeddingDistillationLoss(name="embedding-distillation", texts="positives", scale=20, every_step=6)
    alone, _ = fed(config_of(tiny_model, task, ranking), tmp_path)
    plan, model = fed(config_of(tiny_model, task, ranking, SourceSection(path=str(pairs), loss=loss)), tmp_path)
    assert plan.batches == alone.batches
    assert set(plan.columns) == {"source-0"}
    one, other = plan.batches[:2]
    model.eval()
    plain, _ = fed(config_of(tiny_model, task, ranking), tmp_path, model=model)
    assert float(batch_loss(model, plan, one).detach()) == pytest.approx(  # its own teacher has nothing to add
        float(batch_loss(model, plain, one).detach()), abs=1e-5
    )
    model[0].model.encoder.layer[3].output.dense.weight.data.mul_(50)
    added = [
        float((batch_loss(model, plan, batch) - batch_loss(model, plain, batch)).detach())
        for batch in (one, other, one, other)
    ]
    assert added[:2] == added[2:]  # a resumed training draws the same rows
    assert min(added) > 1e-3
    assert added[0] != added[1]
    read = [pair.positive for pair in read_pairs(pairs)]
    sides = (load_model(tiny_model, max_tokens=32), model)
    vectors = [side.encode_document(read, normalize_embeddings=True) for side in sides]
    away = 1 - (vectors[0] * vectors[1]).sum(axis=1)
    assert 20 * min(away) < added[0] < 20 * max(away)


@pytest.mark.parametrize(("texts", "column"), [("anchors", "anchor"), ("positives", "positive")])
def test_a_teacher_can_keep_one_side_alone(tiny_model, task, tmp_path: Path, pairs, texts, column):
    loss = EmbeddingDistillationLoss(name="embedding-distillation", texts=texts)
    plan, model = fed(config_of(tiny_model, task, SourceSection(path=str(pairs), loss=loss)), tmp_path)
    assert set(plan.columns["source-0"]) == {column}
    model.eval()
    assert float(batch_loss(model, plan, range(8)).detach()) == pytest.approx(0, abs=1e-5)  # its own teacher
    model[0].model.encoder.layer[3].output.dense.weight.data.mul_(50)
    assert float(batch_loss(model, plan, range(8)).detach()) > 1e-4


def test_a_scale_multiplies_the_loss(tiny_model, task, tmp_path: Path, pairs):
    found = []
    for scale in (1.0, 20.0):
        source = SourceSection(path=str(pairs), loss=GroupRankingLoss(name="group-ranking", scale=scale))
        plan, model = fed(config_of(tiny_model, task, source), tmp_path)
        found.append(float(batch_loss(model.eval(), plan, range(8)).detach()))
    assert found[1] == pytest.approx(20 * found[0])


def test_a_teacher_is_asked_once(mixed, tmp_path: Path, monkeypatch):
    from hrembed.models.transformer import TransformerBackend

    one, first = fed(mixed, tmp_path)

    def never(self, texts, side, prompt):
        raise AssertionError("embedded again")

    monkeypatch.setattr(TransformerBackend, "embed", never)
    two, second = fed(mixed, tmp_path)
    batch = [48 + row for row in (0, 7, 30)]  # rows of the source with `margin-mse`
    losses = [float(batch_loss(model.eval(), plan, batch).detach()) for plan, model in ((one, first), (two, second))]
    assert losses[0] == losses[1] > 0


def test_texts_are_embedded_on_the_side_where_eval_has_them(mixed, tmp_path: Path):
    config = mixed.model_copy(
        update={"model": mixed.model.model_copy(update={"query_prompt": "find: ", "document_prompt": "this: "})}
    )
    plan, _ = fed(config, tmp_path)
    assert plan.prompts == {
        "anchor": "find: ", "positive": "this: ", "negative_1": "this: ", "negative_2": "this: ",
        "text": "find: ", "sentence1": "find: ", "sentence2": "find: ",
    }  # fmt: skip
    assert plan.without_batch_negatives == {"source-1", "source-3", "source-4"}
    assert plan.routes == {}


def test_queries_alone_are_trained_with_every_kind(mixed, tmp_path: Path, tiny_model):
    texts = ["nurse for the ward", "car mechanic"]
    run = run_finetune(mixed.model_copy(update={"sides": "query"}), Workspace(tmp_path)).run
    base, tuned = load_model(tiny_model, max_tokens=32), load_model(Path(run) / "model")
    assert np.array_equal(base.encode_document(texts), tuned.encode_document(texts))
    assert np.abs(base.encode_query(texts) - tuned.encode_query(texts)).max() > 0.01


def test_a_dry_run_looks_at_the_texts_of_all_sources(mixed, tmp_path: Path):
    facts = json.loads((Path(run_preflight(mixed, Workspace(tmp_path)).run) / "metrics.json").read_text())
    assert sorted(facts["cut"]) == ["anchor", "negative_1", "negative_2", "positive", "sentence1", "sentence2", "text"]
    assert [entry["rows"] for entry in facts["sources"]] == [48, 48, 24, 16, 48, 48]
    *own, every = [entry["batches"] for entry in facts["sources"]]
    assert every == sum(own)


def test_a_small_loss_of_distillation_is_no_sign_of_easy_negatives(tiny_model, task, tmp_path: Path, pairs):
    loss = EmbeddingDistillationLoss(name="embedding-distillation")
    config = config_of(tiny_model, task, SourceSection(path=str(pairs), loss=loss))
    found = json.loads((Path(run_preflight(config, Workspace(tmp_path)).run) / "metrics.json").read_text())
    assert found["probe"]["loss"] < 0.05
    assert not any("too easy" in warning for warning in found["warnings"])


def test_bfloat16_and_targets_go_together(mixed, tmp_path: Path):
    train = mixed.train.model_copy(update={"precision": "bfloat16", "epochs": 1})
    assert np.isfinite(
        run_finetune(mixed.model_copy(update={"train": train}), Workspace(tmp_path)).metrics.loss_history
    ).all()
