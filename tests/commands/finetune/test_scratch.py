"""A tokenizer and an encoder from random weights: what they learn from, that it is learnt, and that runs go on."""

from __future__ import annotations

import json
import os
import shutil
import signal
import string
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from hrembed.commands.finetune import pretrain as pretraining
from hrembed.commands.finetune.run import run_finetune, run_preflight
from hrembed.config.finetune import FinetuneConfig, SourceSection, TrainSection
from hrembed.config.parts import ModelSection, TaskSection
from hrembed.config.proof import ProofSection
from hrembed.config.scratch import MaskedSection, ScratchMethod
from hrembed.errors import ConfigError, ModelError, StoppedError
from hrembed.models.transformer import load_model
from hrembed.runs.workspace import Workspace
from hrembed.training import masked_lm
from hrembed.training.vocabulary import SPECIAL, train_tokenizer, unknown_share
from killing import KilledError, killed_at, run_id
from sentence_transformers import SentenceTransformer
from small_encoders import RECIPE, SHAPE, small
from transformers import BertTokenizerFast

from conftest import DOCUMENTS, QUERIES, jsonl

TEXTS = ["nurse for the ward", "car mechanic", "bakes bread before sunrise"]

if TYPE_CHECKING:
    from finished_trainings import FinishedTrainings


@pytest.fixture
def config(tiny_model: Path, pairs: Path, task: Path) -> FinetuneConfig:
    shutil.copytree(task, task.with_name("other"))
    return FinetuneConfig(
        model=ModelSection(ref=f"path:{tiny_model}"),
        sources=(SourceSection(path=str(pairs)),),
        method=ScratchMethod(
            name="scratch", vocabulary=300, **SHAPE.__dict__, mlm=MaskedSection(epochs=4, batch_size=16)
        ),
        train=TrainSection(epochs=3, batch_size=8, learning_rate=5e-3, max_tokens=32, evaluations=3, saves=5),
        dev=TaskSection(path=str(task)),
        proof=ProofSection(tests=(TaskSection(path=str(task.with_name("other"))),), retention=()),
    )


def texts_of(pairs: Path) -> list[str]:
    rows = [json.loads(line) for line in pairs.read_text(encoding="utf-8").splitlines()]
    return [row[side] for row in rows for side in ("anchor", "positive")]


def test_a_run_reads_learns_and_is_compared_with_another_model(
    config: FinetuneConfig, tiny_model: Path, trained: FinishedTrainings
):
    result = trained(trained.settled(config))
    run, metrics = Path(result.run), json.loads((Path(result.run) / "metrics.json").read_text(encoding="utf-8"))
    assert {"model", "training.svg", "pretraining.svg", "metrics.json"} <= {item.name for item in run.iterdir()}
    assert not (run / "checkpoints").exists()
    assert not (run / "strengths.svg").exists()
    found = metrics["pretraining"]
    assert (found["texts"], found["texts_held_out"], found["unknown_share"]) == (94, 2, 0.0)
    assert found["steps"] == found["loss_history"][-1]["step"] == 4 * 6
    # Random weights guess evenly.
    assert found["held_out"][0] == {"step": 0, "loss": pytest.approx(np.log(found["vocabulary"]), abs=0.1)}
    assert found["held_out"][-1]["loss"] < found["held_out"][0]["loss"] - 0.1
    assert found["perplexity"]["after"] == pytest.approx(np.exp(found["held_out"][-1]["loss"]))
    # The base has vectors of 32 numbers and this model of 24: nothing lies between them.
    assert (metrics["strengths"], metrics["strength"]) == ([], 1.0)
    assert metrics["tests"][0]["tuned"]["value"] == pytest.approx(metrics["tuned"]["value"])
    assert metrics["tests"][0]["base"]["value"] == pytest.approx(metrics["base"]["value"])
    # Step 0 is the encoder that has read the texts; what it is compared with is `base`.
    assert metrics["dev_history"][0]["step"] == 0
    assert metrics["dev_history"][0]["score"] != pytest.approx(metrics["base"]["value"], abs=1e-4)
    card = (run / "model" / "README.md").read_text(encoding="utf-8")
    assert "# Trained from random weights" in card
    assert "from random weights on 94 texts" in card
    assert "mlm epochs 4, mlm batch_size 16" in card
    assert "at strength" not in card
    assert f"below is `path:{tiny_model}`, with which it is compared; nothing was taken from it" in card
    assert result.tables["Masked language modelling, from random weights"][0]["unknown tokens"] == "0.00%"


def test_the_model_loads_in_plain_sentence_transformers(config: FinetuneConfig, trained: FinishedTrainings):
    folder = Path(trained(trained.settled(config)).run) / "model"
    plain = SentenceTransformer(str(folder), device="cpu")
    found = np.asarray(plain.encode(TEXTS))
    assert np.array_equal(found, np.asarray(load_model(folder).encode(TEXTS)))
    assert np.linalg.norm(found, axis=1) == pytest.approx(1.0)
    assert plain.max_seq_length == 32
    assert plain.tokenizer.unk_token_id not in plain.tokenizer("ad 1 for job 1 zebra")["input_ids"]
    assert not [path for path in folder.rglob("*") if path.suffix in {".bin", ".pkl", ".py"}]


def test_the_same_config_gives_the_same_run(config: FinetuneConfig, trained: FinishedTrainings, tmp_path: Path):
    config = trained.settled(config)
    first, second = (Path(result.run) for result in (trained(config), run_finetune(config, Workspace(tmp_path))))
    assert (first / "metrics.json").read_bytes() == (second / "metrics.json").read_bytes()
    for name in ("model/model.safetensors", "model/tokenizer.json", "pretraining.svg"):
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_another_seed_gives_other_weights(config: FinetuneConfig, trained: FinishedTrainings):
    config = trained.settled(config)
    other = config.model_copy(update={"train": config.train.model_copy(update={"seed": 14})})
    first, second = (trained(c).metrics.pretraining for c in (config, other))
    assert first.loss_history != second.loss_history


def test_the_naive_tokenizer_knows_nothing_and_ours_everything(pairs: Path, tmp_path: Path):
    texts = texts_of(pairs)
    ours = train_tokenizer(texts, size=300, max_tokens=32)
    (tmp_path / "vocab.txt").write_text("\n".join(ours.get_vocab()), encoding="utf-8")
    assert unknown_share(BertTokenizerFast(vocab_file=str(tmp_path / "vocab.txt")), texts) == 1.0
    assert unknown_share(ours, texts) == 0.0
    assert [ours.convert_ids_to_tokens(n) for n in range(5)] == list(SPECIAL)
    assert ours("profile of job")["input_ids"] == ours.convert_tokens_to_ids(
        ["[CLS]", "profile", "of", "job", "[SEP]"]
    )  # whole words of the corpus
    reloaded = reload(ours, tmp_path)
    assert reloaded(texts[0])["input_ids"] == ours(texts[0])["input_ids"]


def reload(tokenizer, folder: Path):
    tokenizer.save_pretrained(str(folder / "tokenizer"))
    return BertTokenizerFast.from_pretrained(str(folder / "tokenizer"))


def test_no_character_is_unknown_wherever_it_stands():
    """A corpus whose odd characters stand at the beginning of a word only, and texts that put them elsewhere."""
    corpus = ["øre ßen £5 \u2013 c++ 看護師", "Émile œuvre", "C# (.NET) developer"] * 2
    tokenizer = train_tokenizer(corpus, size=400, max_tokens=32)
    new = ["aø5£ xœ", "師看 5\u2013c", "ZEBRA, quiz_42!", string.printable, "naïve résumé"]
    assert unknown_share(tokenizer, [*corpus, *new]) == 0.0
    assert unknown_share(tokenizer, ["жук"]) == 1.0  # of another script: one word, unknown


def test_the_librarys_vocabulary_changes_from_time_to_time_and_ours_does_not(pairs: Path):
    from tokenizers import BertWordPieceTokenizer

    def naive() -> str:
        tokenizer = BertWordPieceTokenizer()
        tokenizer.train_from_iterator(texts, vocab_size=300, show_progress=False)
        return json.dumps(tokenizer.get_vocab(), sort_keys=True)

    texts = [*texts_of(pairs), *DOCUMENTS.values()]
    assert len({naive() for _ in range(4)}) > 1
    ours = {json.dumps(train_tokenizer(texts, size=300, max_tokens=32).get_vocab(), sort_keys=True) for _ in range(4)}
    assert len(ours) == 1


def test_a_vocabulary_without_room_for_the_characters_is_an_error():
    texts = ["".join(chr(code) for code in range(0x4E00, 0x4F00))]
    with pytest.raises(
        ConfigError, match=r"`method.vocabulary` is 256, but the texts contain \d+ different characters, which need"
    ):
        train_tokenizer(texts, size=256, max_tokens=32)


def test_dev_and_test_texts_are_never_read(config: FinetuneConfig, pairs: Path, tmp_path: Path, monkeypatch):
    """Neither the vocabulary nor the language modelling sees them."""
    read: dict[str, list[str]] = {}
    for name in ("train_tokenizer", "tokenise"):
        spied = getattr(pretraining, name)

        def spy(*args, name=name, spied=spied, **options):
            read[name] = list(args[-1])
            return spied(*args, **options)

        monkeypatch.setattr(pretraining, name, spy)
    folder = Path(run_finetune(config, Workspace(tmp_path / "runs")).run) / "model"
    assert set(read["train_tokenizer"]) == set(read["tokenise"]) == set(texts_of(pairs))
    vocabulary = load_model(folder).tokenizer.get_vocab()
    tasks = {word for text in [*DOCUMENTS.values(), *(text for text, _ in QUERIES.values())] for word in text.split()}
    trained = {word for text in texts_of(pairs) for word in text.split()}
    assert {"ad", "profile", "job"} <= vocabulary.keys()
    assert not {word for word in tasks - trained if len(word) > 3} & vocabulary.keys()


def test_a_text_that_differs_in_case_or_punctuation_alone_is_read_once(config: FinetuneConfig, tmp_path: Path):
    rows = [{"anchor": a, "positive": p} for a, p in (("Nurse", "works on a ward"), ("nurse!", "Works on a ward."))]
    more = [rows[0], *({"anchor": f"job {n}", "positive": f"work {n} £"} for n in range(6))]
    files = [jsonl(tmp_path / name, part) for name, part in (("one.jsonl", rows), ("two.jsonl", more))]
    sources = tuple(SourceSection(path=str(file)) for file in files)
    result = run_preflight(config.model_copy(update={"sources": sources}), Workspace(tmp_path / "runs"))
    facts = result.metrics.pretraining
    assert facts.texts + facts.texts_held_out == 2 + 12
    assert facts.unknown_share == 0.0


def test_words_that_stay_unknown_are_told(config: FinetuneConfig, tmp_path: Path):
    rows = [{"anchor": f"job {n}", "positive": "x" * (150 + n)} for n in range(12)]
    source = SourceSection(path=str(jsonl(tmp_path / "long.jsonl", rows)))
    result = run_preflight(config.model_copy(update={"sources": (source,)}), Workspace(tmp_path / "runs"))
    written = json.loads((Path(result.run) / "metrics.json").read_text(encoding="utf-8"))
    assert any("words of more than 100 characters" in warning for warning in written["warnings"])


def test_a_dry_run_estimates_both_phases_and_trains_nothing(config: FinetuneConfig, tmp_path: Path):
    result = run_preflight(config, Workspace(tmp_path / "runs"))
    facts = result.metrics.pretraining
    assert facts.steps == 24
    assert facts.training_seconds == pytest.approx(24 * facts.seconds_per_batch["float32"])
    assert 0 < facts.training_seconds < 60
    assert result.metrics.probe.training_seconds > 0
    assert "masked language modelling" in {row["what"] for row in result.tables["Before the training"]}
    assert sorted(item.name for item in Path(result.run).iterdir()) == [
        "config.yaml", "log.txt", "manifest.json", "metrics.json",
    ]  # fmt: skip


def test_the_time_of_all_steps_is_told_by_their_tokens_not_by_a_typical_batch(monkeypatch):
    """Batches hold texts of one length: of these, eight in nine are short, and the others take most of the time."""
    texts = [f"cleans {n}" for n in range(160)] + [f"{n} " + "ward " * 40 for n in range(20)]
    model, corpus = small(texts, max_tokens=64)
    monkeypatch.setattr(masked_lm, "_probe", lambda network, batch, kind: 0.001 * batch["input_ids"].numel())
    found = masked_lm.estimate(model, corpus, RECIPE, ("float32", "bfloat16"))
    lengths = [len(row["input_ids"]) for row in corpus.training]
    rng = np.random.default_rng(RECIPE.seed)
    batches = masked_lm.plan(lengths, batch_size=8, epochs=4, rng=rng)
    padded = sum(max(lengths[n] for n in batch) * len(batch) for batch in batches)
    assert found.training_seconds == pytest.approx(0.001 * padded)


def test_an_estimate_leaves_weights_and_random_numbers_alone():
    model, corpus = small([f"cleans {n} wards" for n in range(20)])
    before, state = {n: v.clone() for n, v in model.state_dict().items()}, torch.get_rng_state()
    assert masked_lm.estimate(model, corpus, RECIPE, ("float32", "bfloat16")).steps == 4 * 3
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(before[n], v) for n, v in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": {"width": 30, "heads": 4}}, r"`width: 30` must be a multiple of `heads: 4`"),
        (
            {"sides": "query"},
            r"`sides: query` encodes documents with the base model, which `method: scratch` does not have",
        ),
        (
            {"proof": {"strength": 0.5}},
            r"`proof.strength: 0.5` interpolates between the weights of the base and the tuned model",
        ),
        (
            {"proof": {"strength": "auto"}},
            r"`proof.strength: auto` interpolates between the weights of the base and the tuned model",
        ),
        ({"model": {"dimensions": 512}}, r"`model.dimensions: 512` exceeds `method.width: 256`"),
        ({"method": {"mlm": {"mask": 1.0}}}, r"mlm.mask: input should be less than 1"),
        ({"method": {"vocabulary": 10}}, r"vocabulary: input should be greater than or equal to 256"),
    ],
)
def test_settings_that_mean_nothing_here_are_refused(tmp_path: Path, changes, message):
    from hrembed.config.load import load_config

    changes = {**changes, "method": {"name": "scratch", **changes.get("method", {})}}
    (tmp_path / "c.yaml").write_text(json.dumps(changes), encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        load_config(tmp_path / "c.yaml", FinetuneConfig)


def test_the_default_strengths_are_no_error(tmp_path: Path):
    from hrembed.config.load import load_config

    (tmp_path / "c.yaml").write_text("method: {name: scratch}\n", encoding="utf-8")
    assert load_config(tmp_path / "c.yaml", FinetuneConfig).proof.strengths


KEPT = ("metrics.json", "model/model.safetensors")


@pytest.fixture(scope="module")
def memory() -> dict[str, bytes]:
    return {}


@pytest.fixture
def straight(config: FinetuneConfig, tmp_path: Path, memory: dict[str, bytes]) -> dict[str, bytes]:
    """What a run that was never stopped leaves; made once, since it holds no paths."""
    if not memory:
        run = Path(run_finetune(config, Workspace(tmp_path / "a")).run)
        memory |= {name: (run / name).read_bytes() for name in KEPT}
    return memory


def killed_in_reading(patch: pytest.MonkeyPatch, moment: int) -> None:
    """Break off in this step of masked language modelling, before anything of it is noted."""
    whole = masked_lm._Loop._step

    def broken(self, step, batch):
        if step == moment:
            raise KilledError
        whole(self, step, batch)

    patch.setattr(masked_lm._Loop, "_step", broken)


def killed_between(patch: pytest.MonkeyPatch, moment: int) -> None:
    """Break off when the model is trained, but not kept yet."""
    patch.setattr(pretraining, "_keep", broken)


def broken(*args, **options):
    raise KilledError


KILLS = {
    "before the first point": [(killed_in_reading, 2)],
    "in masked language modelling, twice": [(killed_in_reading, 9), (killed_in_reading, 22)],
    "between the phases": [(killed_between, 0)],
    "before the first point of the losses": [(killed_at, 1)],
    "in both phases": [(killed_in_reading, 14), (killed_at, 7), (killed_at, 19)],
}


@pytest.mark.parametrize("kills", KILLS.values(), ids=KILLS)
def test_a_resumed_run_is_the_run_that_was_never_stopped(config, straight, tmp_path: Path, monkeypatch, kills):
    resumed, begun = None, 0
    for kill, moment in kills:
        with monkeypatch.context() as patch:
            kill(patch, moment)
            if begun:
                patch.setattr(pretraining, "train_masked", broken if finished(tmp_path) else pretraining.train_masked)
            with pytest.raises(KilledError):
                run_finetune(config, Workspace(tmp_path / "b"), resume=resumed)
        resumed, begun = run_id(tmp_path / "b"), begun + 1
        assert kill is not killed_at or finished(tmp_path)
    if finished(tmp_path):
        monkeypatch.setattr(pretraining, "train_masked", broken)  # it is not trained again
    end = Path(run_finetune(config, Workspace(tmp_path / "b"), resume=resumed).run)
    assert {name: (end / name).read_bytes() for name in KEPT} == straight


def finished(tmp_path: Path) -> bool:
    return bool(list(tmp_path.glob("b/finetune/*/checkpoints/pretrained/pretraining.json")))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_a_signal_ends_after_the_step_and_the_run_goes_on(config, straight, tmp_path: Path, monkeypatch, number):
    whole = masked_lm._Loop._step

    def step(self, step, batch):
        if step == 7:
            os.kill(os.getpid(), number)
        whole(self, step, batch)

    with monkeypatch.context() as patch:
        patch.setattr(masked_lm._Loop, "_step", step)
        with pytest.raises(StoppedError, match="stopped after 7 of 24 steps of masked language modelling"):
            run_finetune(config, Workspace(tmp_path / "b"))
    folder = tmp_path / "b" / "finetune" / run_id(tmp_path / "b")
    assert json.loads((folder / "manifest.json").read_text())["status"] == "interrupted"
    assert [path.name for path in (folder / "checkpoints" / "masked").iterdir()] == ["step-00000007"]
    assert np.isfinite(load_model(folder / "checkpoints" / "last").encode(TEXTS)).all()
    end = Path(run_finetune(config, Workspace(tmp_path / "b"), resume=folder.name).run)
    assert {name: (end / name).read_bytes() for name in KEPT} == straight


@pytest.mark.parametrize("kill", [(killed_in_reading, 14), (killed_at, 7)], ids=["reading", "ranking"])
def test_a_run_whose_settings_or_data_changed_does_not_go_on(config, pairs: Path, tmp_path: Path, monkeypatch, kill):
    with monkeypatch.context() as patch:
        kill[0](patch, kill[1])
        with pytest.raises(KilledError):
            run_finetune(config, Workspace(tmp_path / "b"))
    mlm = config.method.mlm.model_copy(update={"learning_rate": 1e-4})
    other = config.model_copy(update={"method": config.method.model_copy(update={"mlm": mlm})})
    with pytest.raises(ModelError, match="the settings of `method` changed since the run was started"):
        run_finetune(other, Workspace(tmp_path / "b"), resume=run_id(tmp_path / "b"))
    with monkeypatch.context() as patch:  # as another version of the library might
        patch.setattr(
            pretraining, "train_tokenizer", lambda texts, size, **rest: train_tokenizer(texts, size=140, **rest)
        )
        with pytest.raises(ModelError, match="cannot resume: the vocabulary changed since the run was started"):
            run_finetune(config, Workspace(tmp_path / "b"), resume=run_id(tmp_path / "b"))
    pairs.write_text(pairs.read_text().replace("ad 1 ", "advert 1 "))
    with pytest.raises(ModelError, match="the training data changed since the run was started"):
        run_finetune(config, Workspace(tmp_path / "b"), resume=run_id(tmp_path / "b"))
