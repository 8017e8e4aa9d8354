"""What each token of a text adds to the vector of a Sentence Transformers model, where it adds something."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hrembed.errors import ModelError
from hrembed.models.graph import traceable
from hrembed.models.windows import behind
from hrembed.types import TokenParts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hrembed.types import Floats, Ints


def parts_of_texts(
    model: Any, tokenizer: Any, texts: Sequence[str], prompt: str, *, pad: int
) -> list[TokenParts] | None:
    """Take the vectors of texts apart.

    Args:
        model: A Sentence Transformers model.
        tokenizer: A `tokenizers.Tokenizer` with its limit, without padding.
        texts: As many as fit into a batch.
        prompt: In front of each.
        pad: Number of the token that fills rows.

    Returns:
        Parts of each text, one for each token that is pooled, and a last one where a bias is added; None where the
        model does not start with a transformer, does not take the mean of its tokens, or goes on with something that is
        not linear.
    """
    import torch

    following = list(model.children())[1:]
    if not _is_linear(following):
        return None
    try:
        bare, example = traceable(model)
    except ModelError:
        return None
    entries = tokenizer.encode_batch([prompt + text for text in texts])
    width = max(map(len, entries))
    filled = {"input_ids": pad, "attention_mask": 0, "token_type_ids": 0}
    inputs = {name: np.full((len(entries), width), filled[name], dtype=np.int64) for name in example}
    of_entry = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}
    for row, entry in enumerate(entries):
        for name, values in inputs.items():
            values[row, : len(entry)] = getattr(entry, of_entry[name])
    with torch.inference_mode():
        hidden = bare(**{name: torch.from_numpy(values).to(model.device) for name, values in inputs.items()})
        tokens = [hidden[row, : len(entry)].float() for row, entry in enumerate(entries)]
        return [
            _parts(
                following, of_text, behind(len(prompt), np.array(entry.offsets, dtype=np.int64).reshape(-1, 2)), pooled
            )
            for of_text, entry in zip(tokens, entries, strict=True)
            for pooled in [_pooled(entry, following[0], len(prompt))]
        ]


def _is_linear(modules: Sequence[Any]) -> bool:
    """Whether a mean of tokens is followed by nothing but lengths of 1 and matrices."""
    import torch
    from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Pooling

    if not modules or not isinstance(modules[0], Pooling) or modules[0].pooling_mode != "mean":
        return False
    return all(
        isinstance(module, Normalize)
        or (isinstance(module, Dense) and isinstance(module.activation_function, torch.nn.Identity))
        for module in modules[1:]
    )


def _pooled(entry: Any, pooling: Any, prompt: int) -> Ints:
    """Places of the tokens that are pooled; Sentence Transformers leaves out what stands before the prompt as well."""
    if not prompt or pooling.include_prompt:
        return np.arange(len(entry))
    own = [n for n, (_, end) in enumerate(entry.offsets) if end > prompt and not entry.special_tokens_mask[n]]
    return np.arange(own[0] if own else len(entry) - 1, len(entry))


def _parts(modules: Sequence[Any], tokens: Any, spans: Ints, pooled: Ints) -> TokenParts:
    """Send the tokens through the modules one by one; a bias becomes a part of its own, which stands for no token."""
    from sentence_transformers.sentence_transformer.modules import Dense

    vectors = tokens[pooled].double() / len(pooled)
    constant = vectors.new_zeros(vectors.shape[1])
    for module in modules[1:]:
        if isinstance(module, Dense):
            vectors, constant = _through(module, vectors, constant)
        else:
            length = (vectors.sum(dim=0) + constant).norm().clamp(min=1e-12)
            vectors, constant = vectors / length, constant / length
    rows: Floats = vectors.cpu().numpy()
    if not constant.any():
        return TokenParts(rows, spans[pooled])
    rows = np.concatenate([rows, constant.cpu().numpy()[None]])
    return TokenParts(rows, np.concatenate([spans[pooled], np.full((1, 2), -1)]))


def _through(dense: Any, vectors: Any, constant: Any) -> tuple[Any, Any]:
    matrix = dense.linear.weight.double().T
    new, fixed = vectors @ matrix, constant @ matrix
    if dense.use_residual:
        kept = dense.residual.weight.double().T if hasattr(dense, "residual") else None
        new = new + (vectors if kept is None else vectors @ kept)
        fixed = fixed + (constant if kept is None else constant @ kept)
    return new, fixed if dense.linear.bias is None else fixed + dense.linear.bias.double()
