"""Static embeddings: the vector of a text is the mean of fixed vectors of its tokens.

The tables are read here, not by the packages that they come from: `wordllama` 0.4 looks for its own tokenizer in the
wrong folder and then asks the Hub for it, and sets up logging for the whole process when it is imported.

A text without a known token has no vector: its row is zero, in both packages and here. That is legal for a static
model: a zero row stays zero when rows are brought to unit length, and its cosine with every text is 0.

Source:
    Tulkens & van Dongen (2024), Model2Vec, doi:10.5281/zenodo.17270888; Miller (2024), WordLlama,
    https://github.com/dleemiller/WordLlama.
"""

from __future__ import annotations

import hashlib
import json
from importlib.metadata import version
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hrembed.errors import ModelError
from hrembed.files import sha256
from hrembed.models.windows import behind, token_windows
from hrembed.types import TokenParts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt
    from tokenizers import Tokenizer

    from hrembed.types import Floats, Ints, Side

    Tensor = npt.NDArray[Any]  # of any number format, before it is checked

WORDLLAMA_FILES = {
    "weights/l2_supercat_256.safetensors": "64b47a2dc493cb8e85944076601189739852d7b64e0e1eedcb1937a251cd9fd5",
    "tokenizers/l2_supercat_tokenizer_config.json": "93248f2a9ec36c7b35f700a033d5f36228aae48db61aee31007fa49062cdeb68",
}
# What model2vec 0.10 takes where `config.json` does not say; null there means no limit.
MODEL2VEC_TOKENS = 512


class StaticTable:
    """A table of token vectors with its tokenizer: the mean of what is looked up.

    Attributes:
        identity: Hash of everything that decides the vectors; not the name of the folder.
        source: The folder, or the package with its version.
        batch_size: Texts given to `embed` at once.
    """

    batch_size = 1024

    def __init__(
        self,
        table: Floats,
        tokenizer: Tokenizer,
        *,
        identity: str,
        source: str,
        rows: Ints,
        weights: Floats | None = None,
        unknown: int | None = None,
        max_characters: int | None = None,
    ) -> None:
        """Take what was read and checked.

        Args:
            table: Vectors, shape (rows, dim), float32, finite.
            tokenizer: Gives ids without padding; truncates by itself where the model wants that.
            identity: As in the attributes.
            source: As in the attributes.
            rows: Token id to row of the table, shape (vocabulary,).
            weights: Token id to the factor of its vector, shape (vocabulary,); None where all are 1.
            unknown: Id of the token for unknown words, which is left out; None keeps all tokens.
            max_characters: Text behind it is cut off before it is tokenised; None keeps all.
        """
        self._table = table
        self._tokenizer = tokenizer
        self._rows = rows
        self._weights = np.ones(len(rows), dtype=np.float32) if weights is None else weights
        self._unknown = unknown
        self._max_characters = max_characters
        self.identity = identity
        self.source = source

    def embed(self, texts: Sequence[str], side: Side, prompt: str) -> Floats:
        """Average the vectors of each text's tokens, shape (n, dim), float32, not of unit length.

        Args:
            texts: Any number; a text's vector does not depend on the others.
            side: Ignored, both sides are embedded alike.
            prompt: Put in front of each text as it is, so it should end with a space.

        Returns:
            One row a text; zero for a text without a known token.
        """
        from scipy.sparse import csr_array

        cut = [(prompt + text)[: self._max_characters] for text in texts]
        tokens = [encoding.ids for encoding in self._tokenizer.encode_batch_fast(cut, add_special_tokens=False)]
        ids = np.fromiter(chain.from_iterable(tokens), dtype=np.int64)
        owner = np.repeat(np.arange(len(texts)), np.fromiter(map(len, tokens), dtype=np.int64))
        if self._unknown is not None:
            owner, ids = owner[ids != self._unknown], ids[ids != self._unknown]
        counts = np.bincount(owner, minlength=len(texts))
        ends = np.concatenate([[0], np.cumsum(counts)])
        # A product with a sparse matrix adds up rows without a copy of each of them.
        chosen = csr_array((self._weights[ids], self._rows[ids], ends), shape=(len(texts), len(self._table)))
        return np.asarray(chosen @ self._table / np.maximum(counts, 1)[:, None], dtype=np.float32)

    def embed_windows(
        self, texts: Sequence[str], side: Side, prompt: str, widths: Sequence[int]
    ) -> tuple[Floats, Ints]:
        """Embed every window of tokens, as `WindowBackend` says; unknown tokens stand in none."""
        from scipy.sparse import csr_array

        cut = [(prompt + text)[: self._max_characters] for text in texts]
        encoded = self._tokenizer.encode_batch(cut, add_special_tokens=False)
        windows, tokens = [], []
        for entry in encoded:
            ids = np.array(entry.ids, dtype=np.int64)
            known = ids != (-1 if self._unknown is None else self._unknown)
            behind = np.array([end > len(prompt) for _, end in entry.offsets], dtype=bool)
            of_text = token_windows(np.flatnonzero(known & behind), np.flatnonzero(known), widths)
            windows.append((of_text >= 0).sum(axis=1))
            tokens.append(ids[of_text[of_text >= 0]])
        sizes, ids = np.concatenate(windows), np.concatenate(tokens)
        ends = np.concatenate([[0], np.cumsum(sizes)])
        chosen = csr_array((self._weights[ids], self._rows[ids], ends), shape=(len(sizes), len(self._table)))
        vectors = np.asarray(chosen @ self._table / np.maximum(sizes, 1)[:, None], dtype=np.float32)
        return vectors, np.fromiter(map(len, windows), dtype=np.int64)

    def token_parts(self, texts: Sequence[str], side: Side, prompt: str) -> list[TokenParts]:
        """Take the vectors of texts apart, as `TokenBackend` says; unknown tokens add nothing."""
        cut = [(prompt + text)[: self._max_characters] for text in texts]
        parts = []
        for entry in self._tokenizer.encode_batch(cut, add_special_tokens=False):
            ids = np.array(entry.ids, dtype=np.int64)
            known = ids != (-1 if self._unknown is None else self._unknown)
            vectors = self._weights[ids[known], None] * self._table[self._rows[ids[known]]]
            spans = np.array(entry.offsets, dtype=np.int64).reshape(-1, 2)[known]
            parts.append(TokenParts(vectors, behind(len(prompt), spans)))
        return parts


def open_wordllama() -> StaticTable:
    """Read the 256-dimensional `l2_supercat` table out of the installed package `wordllama`.

    As its own `embed`: the mean of all tokens, without truncation. Nothing of the package is run.

    Raises:
        ModelError: The package is missing, or its files are not those that hrembed knows.
    """
    package = find_spec("wordllama")
    if package is None or not package.submodule_search_locations:
        raise ModelError("model 'wordllama' requires the package `wordllama`", hint="`pip install 'hrembed[static]'`")
    folder = Path(next(iter(package.submodule_search_locations)))
    weights, words = (folder / name for name in WORDLLAMA_FILES)
    for file, expected in zip((weights, words), WORDLLAMA_FILES.values(), strict=True):
        found = sha256(file) if file.is_file() else "no such file"
        if found != expected:
            raise ModelError(
                f"'{file}' is not the expected wordllama file: SHA-256 is {found}, expected {expected}",
                hint="`pip install --force-reinstall 'hrembed[static]'`",
            )
    table = _floats(_read_tensors(weights), "embedding.weight", weights, dimensions=2)
    return StaticTable(
        table,
        _read_tokenizer(words),
        identity=_hash("wordllama", *WORDLLAMA_FILES.values()),
        source=f"wordllama {version('wordllama')}",
        rows=np.arange(len(table)),
    )


def is_model2vec(folder: Path) -> bool:
    """Whether `config.json` says model2vec, or `model.safetensors` holds a tensor `embeddings` as model2vec names it.

    Sentence Transformers loads such folders as well, but keeps unknown tokens and does not truncate.
    """
    from safetensors import SafetensorError, safe_open

    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    if isinstance(config, dict) and "model_type" in config:
        return bool(config["model_type"] == "model2vec")
    try:
        with safe_open(folder / "model.safetensors", framework="numpy") as tensors:
            return "embeddings" in tensors.keys()  # noqa: SIM118, it is not a mapping
    except (OSError, SafetensorError):
        return False


def open_model2vec(folder: Path) -> StaticTable:
    """Read a model2vec folder: `config.json`, `tokenizer.json`, `model.safetensors`.

    As `StaticModel.encode` of model2vec 0.10: text is cut to the token limit times the median length of a token in
    characters, tokens to the token limit, the unknown token is left out, each vector gets the weight of its token, and
    the mean is taken. The setting `normalize` is not followed: the caller brings rows to unit length in any case.
    Tables in half precision are averaged in single precision.

    Raises:
        ModelError: A file is missing or damaged, or they do not belong together; the message names the file.
    """
    file, words = folder / "model.safetensors", folder / "tokenizer.json"
    limit = _token_limit(folder / "config.json")
    tokenizer = _read_tokenizer(words)
    tensors = _read_tensors(file)
    table = _floats(tensors, "embeddings", file, dimensions=2)
    vocabulary = tokenizer.get_vocab()
    if not vocabulary:
        raise ModelError(f"'{words}' has an empty vocabulary")
    size = max(vocabulary.values()) + 1
    rows = _row_numbers(tensors["mapping"], len(table), file) if "mapping" in tensors else np.arange(len(table))
    weights = _floats(tensors, "weights", file, dimensions=1) if "weights" in tensors else None
    for name, tensor in (("mapping" if "mapping" in tensors else "embeddings", rows), ("weights", weights)):
        if tensor is not None and len(tensor) != size:
            raise ModelError(f"'{file}': tensor `{name}` has {len(tensor)} rows, but '{words}' has {size} tokens")
    tokenizer.no_padding()
    if limit is None:
        tokenizer.no_truncation()
    else:
        tokenizer.enable_truncation(limit)
    return StaticTable(
        table,
        tokenizer,
        identity=_hash("model2vec", sha256(file), sha256(words), limit),
        source=str(folder),
        rows=rows,
        weights=weights,
        unknown=_unknown_id(tokenizer),
        max_characters=None if limit is None else limit * int(np.median([len(token) for token in vocabulary])),
    )


def _token_limit(file: Path) -> int | None:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as err:
        raise _unreadable(file, err) from err
    if not isinstance(content, dict):
        raise ModelError(f"'{file}': expected an object, got {type(content).__name__}")
    limit = content.get("max_length", MODEL2VEC_TOKENS)
    if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool) or limit < 1):
        raise ModelError(f"'{file}': `max_length` must be a positive integer or null, got {limit!r}")
    return limit


def _read_tokenizer(file: Path) -> Tokenizer:
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_file(str(file))
    except Exception as err:  # the library raises bare `Exception`
        raise _unreadable(file, err) from err


def _unknown_id(tokenizer: Tokenizer) -> int | None:
    """The id that unknown words get; Unigram vocabularies name the id, all others the token."""
    model = json.loads(tokenizer.to_str())["model"]
    token = model.get("unk_token")
    return model.get("unk_id") if token is None else tokenizer.token_to_id(token)


def _read_tensors(file: Path) -> dict[str, Tensor]:
    from safetensors.numpy import load_file

    try:
        return dict(load_file(file))
    except Exception as err:  # header, length and number format each fail in their own way
        raise _unreadable(file, err) from err


def _unreadable(file: Path, err: Exception) -> ModelError:
    lines = str(err).strip().splitlines()
    return ModelError(f"'{file}' cannot be loaded: {type(err).__name__}: {lines[0][:200] if lines else 'no message'}")


def _floats(tensors: Mapping[str, Tensor], name: str, file: Path, *, dimensions: int) -> Floats:
    """Take a tensor of finite numbers, in single precision; whole numbers are quantised vectors."""
    if name not in tensors:
        raise ModelError(
            f"'{file}' does not contain the tensor `{name}`; found: {', '.join(sorted(tensors)) or 'nothing'}"
        )
    tensor = tensors[name]
    if tensor.ndim != dimensions or 0 in tensor.shape or tensor.dtype.kind not in "fi":
        raise ModelError(
            f"'{file}': tensor `{name}` has type {tensor.dtype} and shape {tensor.shape}, expected numbers "
            f"in {dimensions} dimension{'s' * (dimensions > 1)}"
        )
    with np.errstate(over="ignore"):  # what does not fit is found in the next line
        single = np.ascontiguousarray(tensor, dtype=np.float32)
    if not np.isfinite(single).all():
        raise ModelError(f"'{file}': tensor `{name}` contains NaN or infinite values")
    return single


def _row_numbers(mapping: Tensor, rows: int, file: Path) -> Ints:
    if mapping.ndim != 1 or mapping.dtype.kind not in "iu":
        raise ModelError(
            f"'{file}': tensor `mapping` has type {mapping.dtype} and shape {mapping.shape}, expected "
            "integers in 1 dimension"
        )
    if mapping.size and (mapping.min() < 0 or mapping.max() >= rows):
        raise ModelError(
            f"'{file}': tensor `mapping` refers to rows {mapping.min()} to {mapping.max()}, but "
            f"`embeddings` has rows 0 to {rows - 1}"
        )
    return np.asarray(mapping, dtype=np.int64)


def _hash(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()
