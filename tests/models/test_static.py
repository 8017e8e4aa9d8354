"""Static embeddings: means of table rows by hand, and as the packages that the tables come from compute them."""

from __future__ import annotations

import json
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hrembed.config.parts import ModelSection
from hrembed.errors import ModelError
from hrembed.models.static import is_model2vec, open_model2vec, open_wordllama
from hrembed.runs.workspace import Workspace
from hrembed.scoring.encoders import open_encoder

if TYPE_CHECKING:
    from collections.abc import Callable

    from hrembed.models.static import StaticTable
    from tokenizers import Tokenizer

# Lengths 5, 5, 4, 3, 7, 5: the median is 5 characters.
WORDS = ["[UNK]", "nurse", "ward", "car", "repairs", "bread"]
NURSE, WARD, CAR, REPAIRS = 1, 2, 3, 4
TABLE = np.random.default_rng(0).normal(size=(len(WORDS), 8)).astype(np.float32)
WEIGHTS = np.array([1, 0.5, 2, 3, 0.25, 1], dtype=np.float32)
MAPPING = np.array([0, 2, 2, 1, 0, 1])  # six tokens share three rows
TEXTS = [
    "nurse", "nurse ward", "ward ward car zzz", "zzz nurse", "", "   ", "zzz", "repairs bread car nurse ward",
    "car " * 3000, "zzz " * 600 + "nurse", "bread-nurse, car!", "Ärztin 護士 nurse 😀",
]  # fmt: skip


def word_level(words: list[str] = WORDS) -> Tokenizer:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    tokenizer = Tokenizer(WordLevel({word: n for n, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    return tokenizer


def save(
    folder: Path, *, tokenizer: Tokenizer | None = None, config: dict[str, Any] | None = None, **tensors: Any
) -> Path:
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    save_file({"embeddings": TABLE, **tensors}, folder / "model.safetensors")
    (tokenizer or word_level()).save(str(folder / "tokenizer.json"))
    settings = {"model_type": "model2vec", "normalize": False} if config is None else config
    (folder / "config.json").write_text(json.dumps(settings), encoding="utf-8")
    return folder


def embed(model: StaticTable, *texts: str, prompt: str = "") -> Any:
    return model.embed(texts, "query", prompt)


def test_a_vector_is_the_mean_of_the_rows_of_the_known_words(tmp_path: Path):
    found = embed(open_model2vec(save(tmp_path)), "nurse ward nurse", "car", "nurse zzz ward", "zzz", "", "bread")
    zero = np.zeros(8)
    expected = [
        (2 * TABLE[NURSE] + TABLE[WARD]) / 3, TABLE[CAR], (TABLE[NURSE] + TABLE[WARD]) / 2, zero, zero, TABLE[5]
    ]  # fmt: skip
    assert found.dtype == np.float32
    assert found == pytest.approx(np.array(expected), abs=1e-6)
    assert (found[3:5] == 0).all()


def test_weights_belong_to_tokens_and_the_mapping_leads_to_rows(tmp_path: Path):
    folder = save(tmp_path, embeddings=TABLE[:3], weights=WEIGHTS, mapping=MAPPING)
    expected = [(0.5 * TABLE[2] + 3 * TABLE[1]) / 2, 0.25 * TABLE[0]]
    assert embed(open_model2vec(folder), "nurse car", "repairs zzz") == pytest.approx(np.array(expected), abs=1e-6)


def test_the_prompt_stands_in_front_of_both_sides(tmp_path: Path):
    model = open_model2vec(save(tmp_path))
    for side in ("query", "document"):
        assert model.embed(["ward"], side, "nurse ") == pytest.approx(embed(model, "nurse ward"))
    assert (embed(model, "ward", prompt="nurse") == 0).all()  # `nurseward` is no word


def test_texts_are_cut_by_characters_first_and_tokens_are_counted_before_the_unknown_are_dropped(tmp_path: Path):
    model = open_model2vec(save(tmp_path, config={"model_type": "model2vec", "max_length": 2}))
    found = embed(model, "nurse repairs", "car ward bread", "a car ward", "a b car")
    # Two tokens of five characters are ten: `nurse repa`.
    expected = [TABLE[NURSE], (TABLE[CAR] + TABLE[WARD]) / 2, TABLE[CAR], np.zeros(8)]
    assert found == pytest.approx(np.array(expected), abs=1e-6)
    # The prompt counts: of `car repairs`, `car repair` is left.
    assert embed(model, "repairs", prompt="car ")[0] == pytest.approx(TABLE[CAR], abs=1e-6)


def test_a_text_is_cut_at_512_tokens_unless_the_config_says_otherwise(tmp_path: Path):
    long = "car " * 512 + "ward " * 100
    usual = open_model2vec(save(tmp_path / "usual"))
    free = open_model2vec(save(tmp_path / "free", config={"model_type": "model2vec", "max_length": None}))
    assert embed(usual, long)[0] == pytest.approx(TABLE[CAR], abs=1e-5)
    assert embed(free, long)[0] == pytest.approx((512 * TABLE[CAR] + 100 * TABLE[WARD]) / 612, abs=1e-5)


def test_a_vector_does_not_depend_on_the_other_texts(tmp_path: Path):
    model = open_model2vec(save(tmp_path, weights=WEIGHTS))
    together = embed(model, *TEXTS)
    assert (together == np.concatenate([embed(model, text) for text in TEXTS])).all()
    assert (together[::-1] == embed(model, *TEXTS[::-1])).all()
    assert embed(model).shape == (0, 8)
    assert model.batch_size > len(TEXTS)


def padded() -> Tokenizer:
    tokenizer = word_level()
    tokenizer.enable_padding(pad_id=CAR, pad_token="car", length=4)
    tokenizer.enable_truncation(1)
    return tokenizer


def unigram() -> Tokenizer:
    from tokenizers import Tokenizer
    from tokenizers.models import Unigram
    from tokenizers.pre_tokenizers import WhitespaceSplit

    scores = [("nurse", -1.0), ("ward", -1.5), ("<x>", -9.0), ("car", -2.0), ("s", -3.0), ("repair", -2.5)]
    tokenizer = Tokenizer(Unigram(scores, unk_id=2))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    return tokenizer


def word_piece() -> Tokenizer:
    from tokenizers import Tokenizer
    from tokenizers.models import WordPiece
    from tokenizers.pre_tokenizers import BertPreTokenizer
    from tokenizers.processors import TemplateProcessing

    vocab = {token: n for n, token in enumerate(["[CLS]", "nurse", "##s", "[UNK]", "car", "ward"])}
    tokenizer = Tokenizer(WordPiece(vocab, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.post_processor = TemplateProcessing(single="[CLS] $A", special_tokens=[("[CLS]", 0)])
    return tokenizer


def nothing_unknown() -> Tokenizer:
    from tokenizers import Tokenizer
    from tokenizers.models import BPE

    return Tokenizer(BPE({letter: n for n, letter in enumerate("nurse ")}, []))


CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "weights": {"weights": WEIGHTS},
    "mapping": {"embeddings": TABLE[:3], "mapping": MAPPING},
    "weights and mapping": {"embeddings": TABLE[:3], "mapping": MAPPING.astype(np.int32), "weights": WEIGHTS},
    "double": {"embeddings": TABLE.astype(np.float64), "weights": WEIGHTS.astype(np.float64)},
    "int8": {"embeddings": np.rint(TABLE * 40).astype(np.int8)},
    "limit": {"config": {"model_type": "model2vec", "max_length": 3}},
    "no limit": {"config": {"model_type": "model2vec", "max_length": None}},
    "padding": {"tokenizer": padded},
    "padding and no limit": {"tokenizer": padded, "config": {"model_type": "model2vec", "max_length": None}},
    "unigram": {"tokenizer": unigram},
    "word pieces": {"tokenizer": word_piece},
    "nothing unknown": {"tokenizer": nothing_unknown},
}


@pytest.mark.parametrize("case", CASES)
def test_vectors_are_those_of_model2vec(case: str, tmp_path: Path):
    package = pytest.importorskip("model2vec", reason="package `model2vec` is not installed")
    content = dict(CASES[case])
    if "tokenizer" in content:
        content["tokenizer"] = content["tokenizer"]()
    folder = save(tmp_path, **content)
    theirs = package.StaticModel.from_pretrained(folder).encode(TEXTS)
    assert np.abs(theirs).max() > 0.1
    # Ours adds up in single precision, which shows in the mean of 512 words.
    tolerance = 1e-5 if case == "double" else 0
    assert embed(open_model2vec(folder), *TEXTS) == pytest.approx(theirs, abs=1e-6, rel=tolerance)


def test_model2vec_s_own_unit_rows_and_half_precision_are_ours_but_for_length_and_rounding(tmp_path: Path):
    package = pytest.importorskip("model2vec", reason="package `model2vec` is not installed")
    unit = save(tmp_path / "unit", config={"model_type": "model2vec", "normalize": True})
    ours = embed(open_model2vec(unit), *TEXTS)
    assert np.linalg.norm(ours, axis=1).max() > 1.5
    ours /= np.maximum(np.linalg.norm(ours, axis=1, keepdims=True), 1e-12)
    assert ours == pytest.approx(package.StaticModel.from_pretrained(unit).encode(TEXTS), abs=1e-6)
    half = save(tmp_path / "half", embeddings=TABLE.astype(np.float16))
    theirs = package.StaticModel.from_pretrained(half).encode(TEXTS)
    assert embed(open_model2vec(half), *TEXTS) == pytest.approx(theirs, rel=2**-11, abs=1e-6)


def test_a_folder_that_the_package_saved_is_known_and_read(tmp_path: Path):
    package = pytest.importorskip("model2vec", reason="package `model2vec` is not installed")
    package.StaticModel(TABLE, word_level(), max_length=7).save_pretrained(tmp_path)  # without a model type
    assert is_model2vec(tmp_path)
    theirs = package.StaticModel.from_pretrained(tmp_path).encode(TEXTS)
    assert embed(open_model2vec(tmp_path), *TEXTS) == pytest.approx(theirs, abs=1e-6)


def test_only_model2vec_folders_are_known_as_such(tiny_model: Path, tmp_path: Path):
    folder = save(tmp_path / "m")
    assert is_model2vec(folder)
    (folder / "model.safetensors").unlink()
    assert is_model2vec(folder)  # damaged, but nothing else; opening says what is missing
    assert not is_model2vec(tiny_model)
    assert not is_model2vec(tmp_path / "nowhere")
    assert not is_model2vec(save(tmp_path / "bert", config={"model_type": "bert"}))
    for config in ("{}", "[]", "{"):
        (folder / "config.json").write_text(config, encoding="utf-8")
        assert not is_model2vec(folder)


def test_the_identity_is_that_of_what_decides_the_vectors(tmp_path: Path):
    def identity(name: str, **content: Any) -> str:
        return open_model2vec(save(tmp_path / name, **content)).identity

    base = identity("a")
    assert len(base) == 64
    assert identity("b") == base
    (tmp_path / "b" / "README.md").write_text("A card.", encoding="utf-8")
    assert open_model2vec(tmp_path / "b").identity == base
    assert open_model2vec(tmp_path / "b").source == str(tmp_path / "b")
    # Written out, the default is the same; the base model's name decides nothing.
    assert identity("c", config={"model_type": "model2vec", "max_length": 512, "tokenizer_name": "x"}) == base
    others = [
        identity("d", config={"model_type": "model2vec", "max_length": 511}),
        identity("e", config={"model_type": "model2vec", "max_length": None}),
        identity("f", embeddings=np.nextafter(TABLE, np.float32(9))),
        identity("g", weights=WEIGHTS),
        identity("h", tokenizer=word_level([*WORDS[:-1], "breads"])),
    ]
    assert len({base, *others}) == 6


def damaged(table: Any = TABLE, **tensors: Any) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        save(folder, embeddings=table, **tensors)

    return damage


def written(name: str, text: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_text(text, encoding="utf-8") and None


def without(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def renamed(folder: Path) -> None:
    from safetensors.numpy import save_file

    save_file({"embedding.weight": TABLE}, folder / "model.safetensors")


def cut_short(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-10])


def no_words(folder: Path) -> None:
    from tokenizers import Tokenizer
    from tokenizers.models import BPE

    Tokenizer(BPE({}, [])).save(str(folder / "tokenizer.json"))


def with_value(value: float) -> Any:
    table = TABLE.astype(np.float64)
    table[2, 3] = value
    return table


WEIGHTS_FILE, WORDS_FILE, CONFIG_FILE = "model.safetensors", "tokenizer.json", "config.json"
DAMAGES: dict[str, tuple[Callable[[Path], None], str, str]] = {
    "no weights": (without(WEIGHTS_FILE), WEIGHTS_FILE, "cannot be loaded"),
    "pickled weights": (lambda f: (f / WEIGHTS_FILE).rename(f / "pytorch_model.bin") and None, WEIGHTS_FILE, "load"),
    "cut short": (cut_short, WEIGHTS_FILE, "cannot be loaded"),
    "does not contain the tensor": (
        renamed,
        WEIGHTS_FILE,
        "does not contain the tensor `embeddings`; found: embedding.weight",
    ),
    "flat": (damaged(TABLE[0]), WEIGHTS_FILE, r"`embeddings` has type float32 and shape \(8,\)"),
    "no columns": (damaged(TABLE[:, :0]), WEIGHTS_FILE, r"shape \(6, 0\)"),
    "truth values": (damaged(TABLE > 0), WEIGHTS_FILE, "`embeddings` has type bool"),
    "short table": (damaged(TABLE[:5]), WEIGHTS_FILE, "`embeddings` has 5 rows, but '.*' has 6 tokens"),
    "long table": (damaged(np.concatenate([TABLE, TABLE])), WEIGHTS_FILE, "has 12 rows"),
    "NaN": (damaged(with_value(np.nan)), WEIGHTS_FILE, "tensor `embeddings` contains NaN or infinite values"),
    "infinite": (damaged(with_value(np.inf)), WEIGHTS_FILE, "NaN or infinite"),
    "too large": (damaged(with_value(1e39)), WEIGHTS_FILE, "NaN or infinite"),
    "short weights": (damaged(weights=WEIGHTS[:5]), WEIGHTS_FILE, "`weights` has 5 rows, but '.*' has 6 tokens"),
    "square weights": (
        damaged(weights=WEIGHTS[:, None]),
        WEIGHTS_FILE,
        r"`weights` has type float32 and shape \(6, 1\)",
    ),
    "NaN weight": (
        damaged(weights=WEIGHTS * np.float32(np.nan)),
        WEIGHTS_FILE,
        "tensor `weights` contains NaN or infinite values",
    ),
    "short mapping": (damaged(mapping=MAPPING[:5]), WEIGHTS_FILE, "`mapping` has 5 rows, but '.*' has 6 tokens"),
    "mapping behind the end": (damaged(mapping=MAPPING * 3), WEIGHTS_FILE, "rows 0 to 6, but `embeddings` has .* 5"),
    "mapping below zero": (damaged(mapping=MAPPING - 1), WEIGHTS_FILE, "tensor `mapping` refers to rows -1 to 1"),
    "broken mapping": (damaged(mapping=MAPPING * 0.5), WEIGHTS_FILE, "tensor `mapping` has type float64"),
    "square mapping": (
        damaged(mapping=MAPPING[:, None]),
        WEIGHTS_FILE,
        r"tensor `mapping` has type int64 and shape \(6, 1\)",
    ),
    "no tokenizer": (without(WORDS_FILE), WORDS_FILE, "cannot be loaded"),
    "no tokenizer inside": (written(WORDS_FILE, "{}"), WORDS_FILE, "cannot be loaded"),
    "no words": (no_words, WORDS_FILE, "has an empty vocabulary"),
    "no config": (without(CONFIG_FILE), CONFIG_FILE, "cannot be loaded"),
    "broken config": (written(CONFIG_FILE, "{"), CONFIG_FILE, "cannot be loaded"),
    "listed config": (written(CONFIG_FILE, "[]"), CONFIG_FILE, "expected an object, got list"),
    "no tokens": (
        written(CONFIG_FILE, '{"max_length": 0}'),
        CONFIG_FILE,
        "`max_length` must be a positive integer or null, got 0",
    ),
    "no number": (
        written(CONFIG_FILE, '{"max_length": "9"}'),
        CONFIG_FILE,
        "`max_length` must be a positive integer or null, got '9'",
    ),
    "true tokens": (
        written(CONFIG_FILE, '{"max_length": true}'),
        CONFIG_FILE,
        "`max_length` must be a positive integer or null, got True",
    ),
}


@pytest.mark.parametrize("case", DAMAGES)
def test_a_damaged_folder_is_refused_and_the_file_named(case: str, tmp_path: Path):
    damage, file, message = DAMAGES[case]
    damage(save(tmp_path))
    with pytest.raises(ModelError, match=message) as caught:
        open_model2vec(tmp_path)
    assert str(caught.value).startswith(f"'{tmp_path / file}'")


def installed() -> Path:
    if find_spec("wordllama") is None:
        pytest.skip("package `wordllama` is not installed")
    return Path(next(iter(find_spec("wordllama").submodule_search_locations)))


def test_vectors_are_those_of_wordllama(tmp_path: Path):
    package = installed()
    from wordllama import WordLlama

    # The release does not find its own tokenizer; where it looks next is the cache.
    shutil.copytree(package / "tokenizers", tmp_path / "tokenizers")
    theirs = WordLlama.load(cache_dir=tmp_path, disable_download=True)
    model = open_wordllama()
    texts = [*TEXTS, "Registered nurse (m/f/d), intensive care\nBerlin", "C++ & C# developer", "<s> </s> <unk> x"]
    assert embed(model, *texts) == pytest.approx(theirs.embed(texts), abs=1e-6)
    assert embed(model, "ward", prompt="nurse ") == pytest.approx(theirs.embed(["nurse ward"]), abs=1e-6)
    assert embed(model, "").shape == (1, 256)
    assert (embed(model, "") == 0).all()
    assert model.source.startswith("wordllama 0.4")
    assert len(model.identity) == 64


def test_wordllama_knows_which_titles_are_alike():
    installed()
    rows = embed(open_wordllama(), "registered nurse", "hospital nursing staff", "car mechanic")
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    assert rows[0] @ rows[1] > rows[0] @ rows[2] + 0.2


def test_without_the_package_the_hint_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "wordllama", None)
    with pytest.raises(ModelError, match="model 'wordllama' requires the package `wordllama`") as caught:
        open_wordllama()
    assert caught.value.hint == "`pip install 'hrembed[static]'`"


def test_another_table_under_the_name_of_wordllama_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    from safetensors.numpy import save_file

    package = tmp_path / "wordllama"
    (package / "weights").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('run')", encoding="utf-8")
    monkeypatch.delitem(sys.modules, "wordllama", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModelError, match=r"l2_supercat_256.safetensors' is not .* SHA-256 is no such file"):
        open_wordllama()
    save_file({"embedding.weight": TABLE}, package / "weights" / "l2_supercat_256.safetensors")
    with pytest.raises(ModelError, match=r"l2_supercat_256.safetensors' is not .* SHA-256 is [0-9a-f]{64}, expected"):
        open_wordllama()


def test_another_tokenizer_beside_the_table_of_wordllama_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    package = tmp_path / "wordllama"
    shutil.copytree(installed(), package, ignore=shutil.ignore_patterns("*.so", "*.c", "*.cpp", "__pycache__"))
    word_level().save(str(package / "tokenizers" / "l2_supercat_tokenizer_config.json"))
    monkeypatch.delitem(sys.modules, "wordllama", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModelError, match=r"tokenizer_config.json' is not the expected wordllama file: SHA-256 is"):
        open_wordllama()


def test_prompts_that_a_static_model_stores_are_used(tmp_path: Path):
    folder = save(tmp_path / "m")
    prompts = {"query": "ward ", "passage": "bread "}
    (folder / "config_sentence_transformers.json").write_text(json.dumps({"prompts": prompts}), encoding="utf-8")
    encoder = open_encoder(ModelSection(ref=f"path:{folder}"), Workspace(tmp_path / "runs"))
    for side, word in (("query", WARD), ("document", WORDS.index("bread"))):
        expected = TABLE[word] + TABLE[NURSE]
        assert encoder.vectors(["nurse"], side)[0] == pytest.approx(expected / np.linalg.norm(expected), abs=1e-6)
