"""Sources of every kind: what is read and refused, trained together, kept, and resumed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hrembed.cli.app import main
from hrembed.config.losses import (
    BatchHardLoss,
    CosentLoss,
    EmbeddingDistillationLoss,
    InvarianceLoss,
    MarginMseLoss,
    MineSection,
)
from hrembed.config.parts import ModelSection, TaskSection
from hrembed.config.proof import ProofSection
from hrembed.config.training import (
    CachedRankingLoss,
    FinetuneConfig,
    GistLoss,
    GroupRankingLoss,
    LoraMethod,
    RankingLoss,
    SourceSection,
    TrainSection,
)
from hrembed.data.locate import locate
from hrembed.data.pairs import read_pairs, write_pairs
from hrembed.errors import DataError, ModelError
from hrembed.models.transformer import load_model
from hrembed.progress import Silent
from hrembed.stages import enriching
from hrembed.stages.enriching import enrich
from hrembed.stages.feeding import build_feed
from hrembed.stages.finetune import run_finetune
from hrembed.stages.sources import Source, open_sources
from hrembed.training.preflight import batch_loss
from hrembed.types import Pair
from killing import KilledError, killed_at
from pydantic import ValidationError

from conftest import jsonl

NO_PROOF = ProofSection(tests=(), retention=(), strengths=())


class Run:
    """What sources tell a run."""

    def __init__(self) -> None:
        self.manifest = {"models": {}}

    def add_input(self, name, path):
        pass

    def add_model(self, name, identity, source):
        self.manifest["models"][name] = identity


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


def config_of(tiny_model: Path, task: Path, *sources: SourceSection, **train) -> FinetuneConfig:
    settings = {"epochs": 3, "batch_size": 8, "learning_rate": 5e-3, "max_tokens": 32, "evaluations": 1, **train}
    return FinetuneConfig(
        model=ModelSection(ref=f"path:{tiny_model}"),
        sources=sources,
        method=LoraMethod(rank=8),
        train=TrainSection(**settings),
        dev=TaskSection(path=str(task)),
        proof=NO_PROOF,
    )


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


# --- reading ---------------------------------------------------------------------------------------------------------


def test_negatives_are_read_in_every_form(tmp_path: Path):
    rows = [
        {"anchor": "a", "positive": "p", "negative": ["x", "y"]},
        {"anchor": "b", "positive": "q", "negative": "z"},
        {"anchor": "c", "positive": "r", "negative": None},
        {"anchor": "d", "positive": "s"},
    ]
    expected = [("x", "y"), ("z",), (), ()]
    pairs = read_pairs(jsonl(tmp_path / "n.jsonl", rows))
    assert [pair.negatives for pair in pairs] == expected
    write_pairs(tmp_path / "n.parquet", pairs)
    assert read_pairs(tmp_path / "n.parquet") == pairs
    (tmp_path / "n.csv").write_text("anchor,positive,negative\na,p,x\nb,q,\n", encoding="utf-8")
    assert [pair.negatives for pair in read_pairs(tmp_path / "n.csv")] == [("x",), ()]


@pytest.mark.parametrize("wrong", [["x", " "], [["x"]], 3, ["x", None]])
def test_a_negative_that_is_no_text_is_named(tmp_path: Path, wrong):
    file = jsonl(tmp_path / "n.jsonl", [{"anchor": "a", "positive": "p", "negative": wrong}])
    with pytest.raises(DataError, match=r"n\.jsonl:1: column 'negative': must be a text"):
        read_pairs(file)


def test_an_import_keeps_a_negative_column(tmp_path: Path, capsys):
    rows = [{"ad": f"ad {n}", "cv": f"cv {n}", "rejected": [f"no {n}"]} for n in range(3)]
    argv = ["data", "import", "table", str(jsonl(tmp_path / "t.jsonl", rows)), "--runs-dir", str(tmp_path / "r")]
    argv += ["--set", "columns={anchor: ad, positive: cv, negative: rejected}", "--quiet"]
    assert main(argv) == 0
    assert [p.negatives for p in read_pairs(Path(capsys.readouterr().out.strip()))] == [("no 0",), ("no 1",), ("no 2",)]


def test_every_row_gets_as_many_negatives_as_the_one_with_the_fewest(tiny_model, task, tmp_path: Path):
    rows = [
        {"anchor": f"a{n}", "positive": f"p{n}", "negative": [f"x{n}", f"y{n}", f"z{n}"][: 2 + n % 2]} for n in range(6)
    ]
    config = config_of(tiny_model, task, SourceSection(path=str(jsonl(tmp_path / "n.jsonl", rows))))
    (source,) = open_sources(config, Run())
    assert [pair.negatives for pair in source.rows] == [(f"x{n}", f"y{n}") for n in range(6)]
    assert source.facts == {"kind": "pairs", "negatives": 2, "negatives_unused": 3}


PAIR = {"anchor": "a", "positive": "p"}
MALFORMED = [
    ([PAIR, {**PAIR, "negative": "x"}, PAIR], RankingLoss(), r"s\.jsonl:1: column 'negative': is empty, .* \(2 such\)"),
    ([{**PAIR, "negative": ["x", "P!"]}] * 2, RankingLoss(), r"s\.jsonl:1: .* holds the positive of the row"),
    ([PAIR, PAIR], MarginMseLoss(name="margin-mse"), r"s\.jsonl: no column 'negative', which the loss `margin-mse`"),
    ([{**PAIR, "negative": ["x", "y"]}] * 2, GistLoss(name="gist"), r"`gist` takes one negative for each row, found 2"),
    ([PAIR, PAIR], CosentLoss(name="cosent"), r"s\.jsonl:1: column 'score': is missing"),
    ([{**PAIR, "score": "high"}] * 2, CosentLoss(name="cosent"), r"s\.jsonl:1: column 'score': is not a number"),
    ([{**PAIR, "score": None}] * 2, CosentLoss(name="cosent"), r"s\.jsonl:1: column 'score': is not a number"),
    ([{**PAIR, "score": 3}] * 4, CosentLoss(name="cosent"), r"s\.jsonl: all scores are equal"),
    ([{"text": f"t{n}", "label": "a"} for n in range(4)], BatchHardLoss(name="batch-hard"), r"the same label"),
    (
        [{"text": f"t{n}", "label": "ab"[n == 3]} for n in range(4)],
        BatchHardLoss(name="batch-hard"),
        r"needs two labels of two texts or more, found \{'a': 3, 'b': 1\}",
    ),
    ([PAIR, PAIR], BatchHardLoss(name="batch-hard"), r"s\.jsonl:1: column 'text': is missing"),
]


@pytest.mark.parametrize(("rows", "loss", "message"), MALFORMED, ids=range(len(MALFORMED)))
def test_what_a_loss_cannot_use_is_named(tiny_model, task, tmp_path: Path, rows, loss, message):
    config = config_of(tiny_model, task, SourceSection(path=str(jsonl(tmp_path / "s.jsonl", rows)), loss=loss))
    with pytest.raises(DataError, match=message):
        open_sources(config, Run())


def test_a_table_without_its_column_is_named_with_the_file(tiny_model, task, tmp_path: Path):
    (tmp_path / "s.csv").write_text("anchor,positive\na,b\nc,d\n", encoding="utf-8")
    config = config_of(tiny_model, task, SourceSection(path=str(tmp_path / "s.csv"), loss=CosentLoss(name="cosent")))
    with pytest.raises(DataError, match=r"s\.csv:1: no column 'score'; it has 'anchor', 'positive'"):
        open_sources(config, Run())
    (tmp_path / "nan.csv").write_text("anchor,positive,score\na,b,1\nc,d,nan\n", encoding="utf-8")
    config = config_of(tiny_model, task, SourceSection(path=str(tmp_path / "nan.csv"), loss=CosentLoss(name="cosent")))
    with pytest.raises(DataError, match=r"nan\.csv:3: column 'score': is not a number"):
        open_sources(config, Run())


DISTIL = {"name": "embedding-distillation"}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sources": [{"loss": {"name": "batch-hard"}, "mine": {}}]}, "`batch-hard` takes no negatives"),
        ({"sources": [{"loss": DISTIL, "mine": {}}]}, "takes no negatives; leave `mine` out"),
        ({"sources": [{"loss": {"name": "gist"}, "mine": {"count": 2}}]}, "`gist` takes one negative"),
        ({"sources": [{"loss": {"name": "cosent"}, "kinds": ["title"]}]}, "`cosent` have no kinds"),
        ({"sources": [{"loss": {**DISTIL, "matryoshka": [8]}}]}, "mean nothing alone"),
        ({"sources": [{"loss": {**DISTIL, "teacher": {"ref": "bm25"}}}]}, "'bm25' gives no vectors"),
        ({"sources": [{}, {"weight": 2, "loss": {**DISTIL, "every_step": 8}}]}, "leave `weight` out"),
        ({"sources": [{"loss": {**DISTIL, "every_step": 8}}]}, "waits for the batches of another"),
        ({"sources": [{"mine": {"model": {"ref": "trec:x"}}}]}, "gives no vectors"),
        ({"sources": [{"mine": {"range_min": 5, "range_max": 6, "count": 2}}]}, "fewer than 2 texts"),
        (
            {"sides": "query", "sources": [{"loss": {"name": "batch-hard", "side": "document"}}]},
            "`loss.side: document` would learn nothing",
        ),
        ({"sides": "query", "sources": [{"loss": {**DISTIL, "texts": "positives"}}]}, "`loss.texts: positives` would"),
        ({"train": {"batch_size": 3}, "sources": [{"loss": {"name": "batch-hard"}}]}, "set `train.batch_size: 4`"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_told_by_the_config(values, message):
    with pytest.raises(ValidationError, match=message):
        FinetuneConfig.model_validate(values)


# --- training --------------------------------------------------------------------------------------------------------


def fed(config: FinetuneConfig, tmp_path: Path, model=None):
    sources = enrich(config, open_sources(config, Run()), tmp_path / "r", Run(), "", Silent())
    model = model or load_model(Path(config.model.ref.removeprefix("path:")), max_tokens=32)
    return build_feed(config, sources, model, tmp_path / "r", ""), model


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
    found = run_finetune(config, tmp_path).metrics["loss_history"]
    assert np.mean(found[-4:]) < 0.9 * np.mean(found[:4])


def test_hard_negatives_count_in_every_loss_that_takes_them(tiny_model, task, tmp_path: Path, hard, pairs):
    """The same batch with and without them: more negatives, a larger loss."""
    for loss in (RankingLoss(), CachedRankingLoss(name="cached-ranking"), GroupRankingLoss(name="group-ranking")):
        losses = []
        for file in (pairs, hard):
            feed, model = fed(config_of(tiny_model, task, SourceSection(path=str(file), loss=loss)), tmp_path)
            model.eval()
            losses.append(float(batch_loss(model, feed, [0, 5, 10]).detach()))
        assert losses[1] > losses[0] + 0.05, loss.name


def test_a_guide_looks_at_the_hard_negative_too(tiny_model, task, tmp_path: Path, pairs):
    loss = GistLoss(name="gist", guide=ModelSection(ref=f"path:{tiny_model}"))
    config = config_of(tiny_model, task, SourceSection(path=str(pairs), loss=loss, mine=MineSection(margin=0)))
    feed, model = fed(config, tmp_path)
    assert [*feed.columns["source-0"]] == ["anchor", "positive", "negative_1", "label"]
    assert np.isfinite(float(batch_loss(model, feed, feed.batches[0]).detach()))
    guide = feed.losses["source-0"].guide
    assert not any(parameter.requires_grad for parameter in guide.parameters())


def test_all_kinds_train_together_and_the_card_says_which(mixed, tmp_path: Path):
    result = run_finetune(mixed, tmp_path)
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
    tuned = load_model(Path(run_finetune(config, tmp_path).run) / "model", max_tokens=32)
    losses = []
    for model in (None, tuned):
        feed, used = fed(config, tmp_path, model)
        used.eval()
        starts = np.cumsum([0, 48, 24])
        losses.append([float(batch_loss(used, feed, range(s, s + 12)).detach()) for s in starts])
    assert all(after < 0.9 * before for before, after in zip(*losses, strict=True))


def test_a_killed_mixed_run_ends_as_if_nothing_had_happened(mixed, tmp_path: Path, monkeypatch):
    straight = Path(run_finetune(mixed, tmp_path / "a").run)
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
                run_finetune(mixed, tmp_path / "b", resume=resume)
        (folder,) = (tmp_path / "b" / "finetune").iterdir()
        resume = folder.name
    monkeypatch.setattr(enriching, "mine", never)
    resumed = Path(run_finetune(mixed, tmp_path / "b", resume=resume).run)
    assert (resumed / "metrics.json").read_bytes() == (straight / "metrics.json").read_bytes()


def test_the_base_as_teacher_sees_as_much_of_a_text_as_the_training(tiny_model, task, tmp_path: Path, pairs):
    source = SourceSection(path=str(pairs), loss=EmbeddingDistillationLoss(name="embedding-distillation"))
    found = []
    for tokens in (8, 32):
        config = config_of(tiny_model, task, source, max_tokens=tokens)
        (taught,) = enrich(config, open_sources(config, Run()), tmp_path / "r", Run(), "", Silent())
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
            run_finetune(config, tmp_path / "r")
    (run,) = (tmp_path / "r" / "finetune").iterdir()
    model = load_model(folder)
    model[-1].linear.weight.data *= 2
    model.save_pretrained(str(folder), create_model_card=False)
    with pytest.raises(ModelError, match="the models that mine and teach changed"):
        run_finetune(config, tmp_path / "r", resume=run.name)


def test_the_base_as_teacher_keeps_vectors_where_they_were(tiny_model, task, tmp_path: Path, pairs):
    ranking = SourceSection(path=str(pairs), loss=GroupRankingLoss(name="group-ranking"))
    keeping = SourceSection(path=str(pairs), weight=4, loss=EmbeddingDistillationLoss(name="embedding-distillation"))
    texts = [f"profile {n} of job {n}" for n in range(12)]
    before = load_model(tiny_model).encode(texts, normalize_embeddings=True)
    moved = []
    for sources in ((ranking,), (ranking, keeping)):
        run = run_finetune(config_of(tiny_model, task, *sources, max_tokens=64), tmp_path).run
        after = load_model(Path(run) / "model").encode(texts, normalize_embeddings=True)
        moved.append(float(1 - (before * after).sum(axis=1).mean()))
    assert moved[1] < 0.5 * moved[0]


def test_a_source_takes_part_in_every_step(tiny_model, task, tmp_path: Path, pairs):
    ranking = SourceSection(path=str(pairs), loss=GroupRankingLoss(name="group-ranking"))
    loss = EmbeddingDistillationLoss(name="embedding-distillation", texts="positives", scale=20, every_step=6)
    alone, _ = fed(config_of(tiny_model, task, ranking), tmp_path)
    feed, model = fed(config_of(tiny_model, task, ranking, SourceSection(path=str(pairs), loss=loss)), tmp_path)
    assert feed.batches == alone.batches
    assert set(feed.columns) == {"source-0"}
    one, other = feed.batches[:2]
    model.eval()
    plain, _ = fed(config_of(tiny_model, task, ranking), tmp_path, model=model)
    assert float(batch_loss(model, feed, one).detach()) == pytest.approx(  # its own teacher has nothing to add
        float(batch_loss(model, plain, one).detach()), abs=1e-5
    )
    model[0].model.encoder.layer[3].output.dense.weight.data.mul_(50)
    added = [
        float((batch_loss(model, feed, batch) - batch_loss(model, plain, batch)).detach())
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
    feed, model = fed(config_of(tiny_model, task, SourceSection(path=str(pairs), loss=loss)), tmp_path)
    assert set(feed.columns["source-0"]) == {column, "label"}
    model.eval()
    assert float(batch_loss(model, feed, range(8)).detach()) == pytest.approx(0, abs=1e-5)  # its own teacher
    model[0].model.encoder.layer[3].output.dense.weight.data.mul_(50)
    assert float(batch_loss(model, feed, range(8)).detach()) > 1e-4


def test_a_scale_multiplies_the_loss(tiny_model, task, tmp_path: Path, pairs):
    found = []
    for scale in (1.0, 20.0):
        source = SourceSection(path=str(pairs), loss=GroupRankingLoss(name="group-ranking", scale=scale))
        feed, model = fed(config_of(tiny_model, task, source), tmp_path)
        found.append(float(batch_loss(model.eval(), feed, range(8)).detach()))
    assert found[1] == pytest.approx(20 * found[0])


def test_a_teacher_is_asked_once(mixed, tmp_path: Path, monkeypatch):
    from hrembed.models.transformer import TransformerBackend

    one, first = fed(mixed, tmp_path)

    def never(self, texts, side, prompt):
        raise AssertionError("embedded again")

    monkeypatch.setattr(TransformerBackend, "embed", never)
    two, second = fed(mixed, tmp_path)
    batch = [48 + row for row in (0, 7, 30)]  # rows of the source with `margin-mse`
    losses = [float(batch_loss(model.eval(), feed, batch).detach()) for feed, model in ((one, first), (two, second))]
    assert losses[0] == losses[1] > 0


def test_texts_are_embedded_on_the_side_where_eval_has_them(mixed, tmp_path: Path):
    config = mixed.model_copy(
        update={"model": mixed.model.model_copy(update={"query_prompt": "find: ", "document_prompt": "this: "})}
    )
    feed, _ = fed(config, tmp_path)
    assert feed.prompts == {
        "anchor": "find: ", "positive": "this: ", "negative_1": "this: ", "negative_2": "this: ",
        "text": "find: ", "sentence1": "find: ", "sentence2": "find: ",
    }  # fmt: skip
    assert feed.given == {"source-1", "source-3", "source-4"}
    assert feed.routes == {}


def test_queries_alone_are_trained_with_every_kind(mixed, tmp_path: Path, tiny_model):
    texts = ["nurse for the ward", "car mechanic"]
    run = run_finetune(mixed.model_copy(update={"sides": "query"}), tmp_path).run
    base, tuned = load_model(tiny_model, max_tokens=32), load_model(Path(run) / "model")
    assert np.array_equal(base.encode_document(texts), tuned.encode_document(texts))
    assert np.abs(base.encode_query(texts) - tuned.encode_query(texts)).max() > 0.01


def test_a_dry_run_looks_at_the_texts_of_all_sources(mixed, tmp_path: Path):
    facts = json.loads((Path(run_finetune(mixed, tmp_path, dry_run=True).run) / "metrics.json").read_text())
    cut = facts["preflight"]["cut"]
    assert sorted(cut) == ["anchor", "negative_1", "negative_2", "positive", "sentence1", "sentence2", "text"]
    assert [entry["rows"] for entry in facts["sources"]] == [48, 48, 24, 16, 48, 48]
    *own, every = [entry["batches"] for entry in facts["sources"]]
    assert every == sum(own)


def test_a_small_loss_of_distillation_is_no_sign_of_easy_negatives(tiny_model, task, tmp_path: Path, pairs):
    loss = EmbeddingDistillationLoss(name="embedding-distillation")
    config = config_of(tiny_model, task, SourceSection(path=str(pairs), loss=loss))
    found = json.loads((Path(run_finetune(config, tmp_path, dry_run=True).run) / "metrics.json").read_text())
    assert found["preflight"]["probe"]["loss"] < 0.05
    assert not any("too easy" in warning for warning in found["warnings"])


def test_bfloat16_and_targets_go_together(mixed, tmp_path: Path):
    train = mixed.train.model_copy(update={"precision": "bfloat16", "epochs": 1})
    assert np.isfinite(run_finetune(mixed.model_copy(update={"train": train}), tmp_path).metrics["loss_history"]).all()


def test_mining_that_finds_nothing_is_told(tiny_model, task, tmp_path: Path):
    rows = [{"anchor": f"a{n}", "positive": f"p{n}", "group": "one"} for n in range(6)]
    config = config_of(
        tiny_model, task, SourceSection(path=str(jsonl(tmp_path / "s.jsonl", rows)), mine=MineSection(margin=0))
    )
    with pytest.raises(DataError, match="mining found negatives for 0 of 6 pairs"):
        fed(config, tmp_path)


def test_the_shipped_labelled_texts_are_a_source(tiny_model, task, tmp_path: Path):
    source = SourceSection(path="shipped:hr-core/bias-language", loss=BatchHardLoss(name="batch-hard"), limit=60)
    feed, _ = fed(config_of(tiny_model, task, source), tmp_path)
    assert len(feed.columns["source-0"]["text"]) == 60
    assert all(len(batch) >= 4 for batch in feed.batches)


def test_rows_of_pairs_are_a_source_as_they_are(tiny_model, task, tmp_path: Path):
    model = load_model(tiny_model)
    pairs = [Pair(f"a{n}", f"p{n}", negatives=(f"n{n}",)) for n in range(4)]
    config = config_of(tiny_model, task, SourceSection())
    feed = build_feed(config, [Source(pairs)], model, tmp_path, "")
    assert feed.columns["source-0"]["negative_1"] == ["n0", "n1", "n2", "n3"]


# --- swapped names ---------------------------------------------------------------------------------------------------


@pytest.fixture
def resumes(tmp_path: Path) -> Path:
    rows = [{"_id": f"r{n}", "text": f"{{name}}\nprofile {n} of job {n}"} for n in range(6)]
    return jsonl(tmp_path / "resumes.jsonl", rows)


def test_resumes_under_two_names_become_rows(tiny_model, task, tmp_path: Path, pairs, resumes):
    ranking = SourceSection(path=str(pairs), loss=GroupRankingLoss(name="group-ranking"))
    swaps = SourceSection(path=str(resumes), loss=InvarianceLoss(name="invariance", swaps=4))
    feed, _ = fed(config_of(tiny_model, task, ranking, swaps), tmp_path)
    columns = feed.columns["source-1"]
    assert set(columns) == {"document_1", "document_2", "label"}
    assert len(columns["label"]) == 24
    for one, two in zip(columns["document_1"], columns["document_2"], strict=True):
        assert one.split("\n")[1:] == two.split("\n")[1:]
        assert one != two
        assert "{name}" not in one
    assert feed.prompts["document_1"] == ""
    used = {text.split("\n")[0] for side in ("document_1", "document_2") for text in columns[side]}
    table = [row.split(",")[0] for row in locate("shipped:names/us-census-2020.csv").read_text().splitlines()[1:]]
    assert used <= {name for cell in range(8) for name in table[40 * cell : 40 * cell + 40][1::2]}  # the other half


def test_invariance_brings_the_two_names_together(tiny_model, task, tmp_path: Path, pairs, resumes):
    ranking = SourceSection(path=str(pairs), loss=GroupRankingLoss(name="group-ranking"))
    loss = InvarianceLoss(name="invariance", scale=20, every_step=8)
    texts = [(f"Meg Stroup\nprofile {n}", f"Akeem Mosley\nprofile {n}") for n in range(8)]
    apart = []
    for sources in ((ranking,), (ranking, SourceSection(path=str(resumes), loss=loss))):
        run = run_finetune(config_of(tiny_model, task, *sources, max_tokens=64), tmp_path).run
        model = load_model(Path(run) / "model")
        one, two = (model.encode([pair[n] for pair in texts], normalize_embeddings=True) for n in (0, 1))
        apart.append(float(1 - (one * two).sum(axis=1).mean()))
    assert apart[1] < 0.5 * apart[0]


def test_invariance_needs_slots_and_two_groups(tiny_model, task, tmp_path: Path, pairs, resumes):
    loss = InvarianceLoss(name="invariance")
    bare = SourceSection(path=str(jsonl(tmp_path / "x.jsonl", [{"_id": "a", "text": "b"}])), loss=loss)
    with pytest.raises(DataError, match=r"no \{name\} slot"):
        fed(config_of(tiny_model, task, bare), tmp_path)
    (tmp_path / "names.csv").write_text("name,gender,race\nA,f,x\nB,f,x\nC,f,x\n", encoding="utf-8")
    one = loss.model_copy(update={"names": str(tmp_path / "names.csv")})
    with pytest.raises(DataError, match="two groups or more"):
        fed(config_of(tiny_model, task, SourceSection(path=str(resumes), loss=one)), tmp_path)
    with pytest.raises(ValidationError, match="`invariance` would learn nothing"):
        FinetuneConfig(sources=(SourceSection(), SourceSection(path=str(resumes), loss=loss)), sides="query")
