"""The tokenizer of a model alone: how long a text is, without loading the weights."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from hrembed.errors import ModelError
from hrembed.files import sha256

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def open_tokenizer(folder: Path) -> tuple[Any, int | None, Path]:
    """Read the tokenizer of a model folder, without the weights.

    Args:
        folder: A Sentence Transformers folder or a plain Transformers checkpoint.

    Returns:
        The tokenizer; the longest input in tokens, as Sentence Transformers reads it, None without a limit; and the
        folder of both.

    Raises:
        ModelError: The folder holds no tokenizer that can be read.
    """
    from transformers import AutoTokenizer

    try:
        # These files are those of Sentence Transformers and transformers; any of their keys may be missing.
        modules = _json(folder / "modules.json", [{"path": ""}])
        body = folder / modules[0]["path"]
        tokenizer = AutoTokenizer.from_pretrained(str(body), local_files_only=True, trust_remote_code=False)
        stated = [_json(file, {}).get("max_seq_length") for file in sorted(body.glob("sentence_*_config.json"))]
        limits = [tokenizer.model_max_length, _json(body / "config.json", {}).get("max_position_embeddings")]
    except Exception as err:
        # Any library below may fail in its own way on a damaged folder; the user needs one message.
        raise ModelError(
            f"cannot load the tokenizer in '{folder}': {type(err).__name__}: {str(err).strip()[:200]}",
            hint="`model=bm25` counts words and needs no tokenizer",
        ) from err
    # A tokenizer without a limit says so with a number of thirty digits.
    known = [limit for limit in limits if limit and 0 < limit < 10**9]
    return tokenizer, next(filter(None, stated), min(known, default=None)), body


def count_truncated(tokenizer: Any, limit: int | None, texts: Sequence[str]) -> int:
    """Count texts that take more tokens than a model does, its own marks included; none without a limit.

    A token holds a byte at least, so a text of fewer bytes than the limit needs no look.
    """
    if limit is None:
        return 0
    marks = tokenizer.num_special_tokens_to_add()
    long = [text for text in texts if len(text.encode("utf-8", "surrogatepass")) + marks > limit]
    count = 0
    for start in range(0, len(long), _COUNTED_AT_ONCE):
        tokens = tokenizer(long[start : start + _COUNTED_AT_ONCE], truncation=False, verbose=False)["input_ids"]
        count += sum(len(ids) > limit for ids in tokens)
    return count


_COUNTED_AT_ONCE = 256


def _json(file: Path, missing: Any) -> Any:
    """Read a JSON file of a library; `missing` where it is not there."""
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else missing


def tokenizer_identity(body: Path) -> str:
    """Hash the settings and vocabularies of a model folder; weights have other endings."""
    files = [file for file in sorted(body.iterdir()) if file.suffix in {".json", ".txt", ".model"}]
    return hashlib.sha256("\n".join(f"{file.name} {sha256(file)}" for file in files).encode()).hexdigest()
