"""What stands in a model folder is used, named as not used, or refused before a text is embedded."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hrembed.config.parts import ModelSection
from hrembed.errors import ModelError
from hrembed.models.folder import read_settings, write_title_setting
from hrembed.models.transformer import TransformerBackend, load_model
from hrembed.models.weights import check_folder
from hrembed.runs.workspace import Workspace
from hrembed.scoring.encoders import open_encoder, use_of, weights_identity
from model_folders import with_adapter

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TEXTS = ["night nurse", "pastry cook", "brakes"]


class Notes:
    """Keeps what a user is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, text: str) -> None:
        self.lines.append(text)

    def bar(self, label: str, total: int, done: int = 0) -> Any:
        from hrembed.progress import Silent

        return Silent().bar(label, total)


def copy(source: Path, target: Path) -> Path:
    shutil.copytree(source, target)
    return target


def edit(file: Path, **values: Any) -> None:
    content = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    file.write_text(json.dumps({**content, **values}), encoding="utf-8")


def opened(folder: Path, tmp_path: Path, **settings: Any) -> tuple[Any, list[str]]:
    notes = Notes()
    section = ModelSection(ref=f"path:{folder}", **settings)
    return open_encoder(section, Workspace(tmp_path / "runs", notes)), notes.lines


@pytest.mark.parametrize("name", ["passage", "corpus", "document"])
@pytest.mark.parametrize("empty", [{}, {"document": ""}])
def test_a_stored_document_prompt_is_used_under_each_of_its_names(tiny_model, tmp_path, name, empty):
    folder = copy(tiny_model, tmp_path / "m")
    edit(folder / "config_sentence_transformers.json", prompts={"query": "find ", **empty, name: "text "})
    encoder, _ = opened(folder, tmp_path)
    given, _ = opened(tiny_model, tmp_path, query_prompt="find ", document_prompt="text ")
    without, _ = opened(tiny_model, tmp_path)
    assert encoder.vectors(TEXTS, "document") == pytest.approx(given.vectors(TEXTS, "document"), abs=1e-6)
    assert encoder.vectors(TEXTS, "query") == pytest.approx(given.vectors(TEXTS, "query"), abs=1e-6)
    assert np.abs(encoder.vectors(TEXTS, "document") - without.vectors(TEXTS, "document")).max() > 1e-3


def test_prompts_and_pooling_that_were_used_are_known_and_others_are_named(tiny_model, tmp_path):
    folder = copy(tiny_model, tmp_path / "m")
    stored = {"query": "find ", "passage": "text ", "clustering": "group by topic: "}
    edit(folder / "config_sentence_transformers.json", prompts=stored, similarity_fn_name="dot")
    encoder, notes = opened(folder, tmp_path, query_prompt="ask ")
    use = use_of(encoder)
    assert use is not None
    assert (use.query_prompt, use.document_prompt, use.pooling, use.adapter_base) == ("ask ", "text ", "mean", None)
    assert any("`clustering`" in note and "not used" in note for note in notes)
    assert any("similarity `dot`" in note for note in notes)


def test_a_plain_checkpoint_is_warned_of_and_pooled_as_told(tiny_model, tmp_path):
    plain = tiny_model.parent / "plain"
    mean, notes = opened(plain, tmp_path)
    assert any("that does not state its pooling; using `mean`" in note and "BertModel" in note for note in notes)
    cls, quiet = opened(plain, tmp_path, pooling="cls")
    assert quiet == []
    assert use_of(cls).pooling == "cls"
    assert np.abs(mean.vectors(TEXTS, "query") - cls.vectors(TEXTS, "query")).max() > 1e-3
    assert mean.identity != cls.identity
    with pytest.raises(ModelError, match="which differs from `pooling"):
        opened(tiny_model, tmp_path, pooling="cls")
    opened(tiny_model, tmp_path, pooling="mean")  # what it says


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: edit(f / "config_sentence_transformers.json", model_type="CrossEncoder"), "cross-encoder"),
        (lambda f: edit(f / "config_sentence_transformers.json", model_type="SparseEncoder"), "sparse encoder"),
        (
            lambda f: (f / "modules.json").write_text(
                json.dumps([{"path": "", "type": "pylate.models.Transformer"}]), encoding="utf-8"
            ),
            "late-interaction",
        ),
        (
            lambda f: (
                (f / "modules.json").unlink(),
                edit(f / "config.json", architectures=["XLMRobertaForSequenceClassification"]),
            ),
            r"XLMRobertaForSequenceClassification",
        ),
    ],
)
def test_what_gives_no_single_dense_vector_is_refused(
    tiny_model, tmp_path, change: Callable[[Path], Any], message: str
):
    folder = copy(tiny_model, tmp_path / "m")
    change(folder)
    with pytest.raises(ModelError, match=message):
        check_folder(folder)


def test_pickled_weights_are_refused_in_any_part_of_a_folder_unless_a_safe_form_replaces_them(tiny_model, tmp_path):
    folder = copy(tiny_model, tmp_path / "m")
    (folder / "pytorch_model.bin").write_bytes(b"pickle")  # beside model.safetensors: not read
    check_folder(folder)
    assert any("pytorch_model.bin" in note for note in opened(folder, tmp_path)[1])
    (folder / "2_Dense").mkdir()
    (folder / "2_Dense" / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(
        ModelError,
        match=r"2_Dense/pytorch_model.bin' contains pickled weights, which can execute code when loaded",
    ):
        check_folder(folder)


def test_the_weights_below_an_adapter_are_part_of_its_identity(tiny_model, tmp_path):
    from safetensors.torch import load_file, save_file

    base = copy(tiny_model, tmp_path / "base")
    folder = with_adapter(base, tmp_path / "adapter")
    assert read_settings(folder).adapter_base == base
    before = weights_identity(folder, "float32", None)
    assert before == weights_identity(folder, "float32", None)
    weights = load_file(base / "model.safetensors")
    save_file({name: tensor * 2 for name, tensor in weights.items()}, base / "model.safetensors")
    assert weights_identity(folder, "float32", None) != before
    encoder, _ = opened(folder, tmp_path)
    assert use_of(encoder).adapter_base == base.as_posix()


def test_an_adapter_without_its_base_or_on_pickled_weights_is_refused(tiny_model, tmp_path):
    base = copy(tiny_model, tmp_path / "base")
    folder = with_adapter(base, tmp_path / "adapter")
    check_folder(folder)
    alone = tmp_path / "alone"
    alone.mkdir()
    shutil.copy(folder / "adapter_config.json", alone)
    with pytest.raises(ModelError) as refused:
        check_folder(alone)
    assert "it contains only an adapter; merge it into its base model" in refused.value.hint
    (base / "model.safetensors").rename(base / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"base/pytorch_model.bin' contains pickled"):
        check_folder(folder)
    shutil.rmtree(base)
    with pytest.raises(ModelError, match=r"base model .* not found on this machine"):
        check_folder(folder)


def too_long(folder: Path) -> None:
    edit(folder / "sentence_bert_config.json", max_seq_length=512)
    edit(folder / "tokenizer_config.json", model_max_length=512)


def fewer_rows(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    name = next(name for name in weights if name.endswith("word_embeddings.weight"))
    save_file({**weights, name: weights[name][:20].clone()}, folder / "model.safetensors", metadata={"format": "pt"})
    edit(folder / "config.json", vocab_size=20)


@pytest.mark.parametrize(
    ("change", "message", "hint"),
    [
        (too_long, "tokens, but supports only 128 positions", "max_tokens: 128"),
        (lambda f: edit(f / "tokenizer_config.json", pad_token=None), "no padding token", "pad_token"),
        (fewer_rows, "but the model has embeddings for 20 tokens only", "two models"),
    ],
)
def test_a_model_that_cannot_embed_every_text_is_refused_before_the_first(tiny_model, tmp_path, change, message, hint):
    folder = copy(tiny_model, tmp_path / "m")
    change(folder)
    with pytest.raises(ModelError, match=message) as refused:
        load_model(folder)
    assert hint in refused.value.hint
    if change is too_long:
        assert load_model(folder, max_tokens=128).encode(["nurse " * 200]).shape == (1, 32)


def put(file: str, *path: str, value: Any) -> Callable[[Path], None]:
    """Set one value of a JSON file."""

    def change(folder: Path) -> None:
        content = place = json.loads((folder / file).read_text(encoding="utf-8"))
        for part in path[:-1]:
            place = place[int(part)] if isinstance(place, list) else place[part]
        place[int(path[-1]) if isinstance(place, list) else path[-1]] = value
        (folder / file).write_text(json.dumps(content), encoding="utf-8")

    return change


TRANSFORMER, POOLING = "sentence_bert_config.json", "1_Pooling/config.json"
MODES = "expected 'cls', 'max', 'mean', 'mean_sqrt_len_tokens', 'weightedmean' or 'lasttoken'"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            put("modules.json", "1", "path", value="gone"),
            "gone/config.json' does not exist, but `modules.json` refers to its folder",
        ),
        (put("modules.json", "1", "name", value="0"), "modules.json': duplicate module name '0'"),
        (put("modules.json", "0", "type", value=5), "modules.json': `0.type`: expected a string, got 5"),
        (put("modules.json", "0", value=1), "modules.json': `0`: expected an object, got 1"),
        (put(POOLING, "pooling_mode", value="x"), f'{POOLING}\': `pooling_mode`: {MODES}, got "x"'),
        (put(POOLING, "embedding_dimension", value=None), f"{POOLING}': `embedding_dimension` is missing"),
        (put(TRANSFORMER, "modality_config", value={}), f"{TRANSFORMER}': `modality_config` has no entry `text`"),
        (put(TRANSFORMER, "modality_config", "text", value={}), "`modality_config.text.method` is missing"),
        (put(TRANSFORMER, "query_length", value=0), "`query_length`: expected a number above 0, got 0"),
        (put("config_sentence_transformers.json", "prompts", value={"query": 5}), "`prompts.query`: expected a string"),
    ],
)
def test_a_value_that_no_model_can_be_built_of_is_refused_with_its_file_and_key(tiny_model, tmp_path, change, message):
    folder = copy(tiny_model, tmp_path / "m")
    change(folder)
    with pytest.raises(ModelError) as refused:
        check_folder(folder)
    assert message in str(refused.value)
    assert "m/" in str(refused.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            put(TRANSFORMER, "modality_config", "text", "method_output_name", value="1"),
            "can be loaded, but fails to embed a text: Attribute",
        ),
        (put(TRANSFORMER, "module_output_name", value="x"), "fails to embed a text: KeyError: 'token_embeddings'"),
        (
            put(POOLING, "embedding_dimension", value=5),
            "returns vectors of shape (32,), but its configuration states 5 dimensions",
        ),
        (
            put("config.json", "num_hidden_layers", value=9),
            "`num_hidden_layers` is 9, but the weights contain only 4 layers",
        ),
        (put("config.json", "vocab_size", value=10), "the shapes of its weights do not match its config.json"),
    ],
)
def test_modules_that_do_not_fit_together_are_refused_before_the_first_text(tiny_model, tmp_path, change, message):
    folder = copy(tiny_model, tmp_path / "m")
    change(folder)
    check_folder(folder)
    with pytest.raises(ModelError) as refused:
        load_model(folder)
    assert message in str(refused.value)
    assert str(folder) in str(refused.value)


def test_a_token_without_a_vector_that_shows_only_while_embedding_is_told(tiny_model):
    def load() -> Any:
        import torch

        model = load_model(tiny_model)
        model[0].model.embeddings.word_embeddings = torch.nn.Embedding(6, 32)  # behind the back of the check
        return model

    with pytest.raises(ModelError, match="has no embedding for a token or a position"):
        TransformerBackend(load, identity="").embed(["a b c d " * 100], "query", "")


def test_a_damaged_settings_file_is_named(tiny_model, tmp_path):
    folder = copy(tiny_model, tmp_path / "m")
    (folder / "config_sentence_transformers.json").write_text("{", encoding="utf-8")
    with pytest.raises(ModelError, match=r"config_sentence_transformers\.json' cannot be read"):
        check_folder(folder)


def test_a_stored_title_setting_is_used_unless_the_config_says_otherwise(tiny_model: Path, tmp_path: Path):
    folder = copy(tiny_model, tmp_path / "m")
    write_title_setting(folder, "none")
    assert weights_identity(folder, "float32", None) == weights_identity(tiny_model, "float32", None)
    write_title_setting(folder, "queries")
    encoder, told = opened(folder, tmp_path)
    assert any("contains `normalise_titles: queries`, which is applied" in line for line in told)
    assert use_of(encoder).normalised_titles == "queries"
    assert encoder.vectors(["bakers"], "query") == pytest.approx(encoder.vectors(["baker"], "query"))
    other, told = opened(folder, tmp_path, normalise_titles="none")
    assert not told
    assert np.abs(other.vectors(["bakers"], "query") - other.vectors(["baker"], "query")).max() > 1e-3
    assert other.identity != encoder.identity


@pytest.mark.parametrize("value", ["documents", 1, ["queries"]])
def test_an_unknown_title_setting_is_refused(tiny_model: Path, tmp_path: Path, value):
    folder = copy(tiny_model, tmp_path / "m")
    edit(folder / "hrembed.json", normalise_titles=value)
    with pytest.raises(ModelError, match="normalise_titles"):
        opened(folder, tmp_path)
