"""Sentence Transformers models."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from hrembed.errors import ModelError
from hrembed.models.folder import check_modules, read_settings
from hrembed.models.graph import windowed
from hrembed.models.inputs import Tokens
from hrembed.models.layout import check_depth
from hrembed.models.token_parts import parts_of_texts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from hrembed.types import Floats, Ints, Side, TokenParts


_POSITION_TABLES = {"position_embeddings", "embed_positions", "wpe"}
_TOKENS_PER_TEXT = 64  # of a batch for windows: as much work as so many texts of a usual length
_NO_LIMIT = 10**9  # a tokenizer without a limit says so with a number of thirty digits


def load_model(
    folder: Path,
    *,
    dtype: str = "float32",
    max_tokens: int | None = None,
    trust_remote_code: bool = False,
    attention: str = "auto",
    pooling: str | None = None,
) -> Any:
    """Load a checked folder as a `SentenceTransformer`.

    A plain checkpoint, which does not say how it pools, gets `pooling`, or else the mean of its tokens (the last token
    of a causal language model).

    The number format is always given: since transformers 5 a checkpoint stored in half precision
    would otherwise be loaded, and trained, in half precision.

    Raises:
        ModelError: The folder does not load, was not copied whole, would need its own code without permission, or
            cannot embed every text (no padding token; limit or vocabulary beyond its tables; modules that do not fit
            together).
    """
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging as transformers_logging

    check_modules(folder)
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    check_depth(folder)
    chosen = {} if attention == "auto" else {"attn_implementation": attention}
    try:
        model = SentenceTransformer(
            str(folder),
            trust_remote_code=trust_remote_code,
            local_files_only=True,
            model_kwargs={"dtype": dtype, "use_safetensors": True, **chosen},
        )
    except Exception as err:
        # Only libraries run in this block, each of which fails in its own way on a damaged folder.
        raise ModelError(
            f"cannot load the model in '{folder}': {_first_line(err)}",
            hint="set `trust_remote_code: true` if it needs its own code and you trust it"
            if "remote" in str(err)
            else "",
        ) from err
    _use_stored_prompt(model, folder)
    if pooling is not None:
        _set_pooling(model, pooling, folder)
    if max_tokens is not None:
        _limit_tokens(model, max_tokens, folder)
    for route in _routes(model):
        _check_route(route, folder)
    _try_out(model, folder)
    return model


def _try_out(model: Any, folder: Path) -> None:
    """Embed a word of ours: where that fails, the modules of the folder do not fit together.

    Raises:
        ModelError: It fails, or the vector has another length than the folder says.
    """
    for encode in (model.encode_query, model.encode_document):
        try:
            vector = encode("word", show_progress_bar=False, convert_to_numpy=True)
        except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as err:
            raise ModelError(
                f"the model in '{folder}' can be loaded, but fails to embed a text: {_first_line(err)}",
                hint=(
                    "its modules do not fit together; compare `modules.json` and the folders it refers to with "
                    "those of the original model"
                ),
            ) from err
        stated = model.get_embedding_dimension()
        if stated is not None and vector.shape != (stated,):
            raise ModelError(
                (
                    f"the model in '{folder}' returns vectors of shape {vector.shape}, but its configuration "
                    f"states {stated} dimensions"
                ),
                hint="check `embedding_dimension` in the config.json of its pooling module",
            )


def _use_stored_prompt(model: Any, folder: Path) -> None:
    """Use a document prompt stored as `passage` or `corpus`, which the `document` added on loading would hide."""
    stored = read_settings(folder).document_prompt
    if stored:
        model.prompts["document"] = stored


def _set_pooling(model: Any, pooling: str, folder: Path) -> None:
    from sentence_transformers.sentence_transformer.modules import Pooling

    if read_settings(folder).assumed_pooling:
        model[1] = Pooling(model[0].get_embedding_dimension(), pooling)


def _check_route(route: Any, folder: Path) -> None:
    """Refuse a transformer whose tokenizer gives it what it cannot take, before the first text is embedded.

    A limit that no file states is lowered to what the table of positions holds.

    Raises:
        ModelError: The tokenizer cannot pad, knows tokens without a vector, or cuts texts too late.
    """
    body, tokenizer = getattr(route, "model", None), getattr(route, "tokenizer", None)
    if body is None or tokenizer is None or not hasattr(body, "get_input_embeddings"):
        return
    if tokenizer.pad_token is None:
        raise ModelError(
            (
                f"the tokenizer in '{folder}' has no padding token, so texts of different lengths cannot be "
                "embedded in one batch"
            ),
            hint="add the `pad_token` that the model was trained with to its tokenizer_config.json",
        )
    rows = getattr(getattr(body.get_input_embeddings(), "weight", None), "shape", (0,))[0]
    beyond = [number for number in _token_numbers(tokenizer) if number >= rows > 0]
    if beyond:
        raise ModelError(
            (
                f"the tokenizer in '{folder}' produces token ids up to {max(beyond):,}, but the model has "
                f"embeddings for {rows:,} tokens only"
            ),
            hint="the folder mixes files of two models; save model and tokenizer together again",
        )
    positions = _positions(body)
    limit = getattr(route, "max_seq_length", None)
    if positions is None or (limit is not None and limit <= positions):
        return
    stated = getattr(tokenizer, "model_max_length", 0) < _NO_LIMIT or any(folder.rglob("sentence_*_config.json"))
    if limit is None or not stated:
        route.max_seq_length = positions
        return
    raise ModelError(
        (f"the model in '{folder}' truncates texts at {limit:,} tokens, but supports only {positions:,} positions"),
        hint=f"set its `max_tokens: {positions}`",
    )


def _token_numbers(tokenizer: Any) -> list[int]:
    """Numbers of all tokens that a text can get.

    Of the special ones, these are what stands in for padding and for unknown words, and what frames every text; a mask,
    or an end that the tokenizer knows but does not write, stands in none.
    """
    used = {tokenizer.pad_token_id, tokenizer.unk_token_id, *tokenizer("")["input_ids"]}
    unused = {number for number in tokenizer.all_special_ids if number not in used}
    return [number for number in tokenizer.get_vocab().values() if number not in unused]


def _positions(body: Any) -> int | None:
    """Tokens for which a transformer has learned positions; None where it computes them."""
    import torch

    for name, module in body.named_modules():
        if isinstance(module, torch.nn.Embedding) and name.rpartition(".")[2] in _POSITION_TABLES:
            # RoBERTa and its kind count from behind the padding, BART and its kind from an offset.
            first = 0 if module.padding_idx is None else module.padding_idx + 1
            return int(module.num_embeddings) - max(first, int(getattr(module, "offset", 0)))
    return None


def compile_model(model: Any) -> Any:
    """Have the transformers of a model compiled when they first run, for any number of texts and tokens.

    Raises:
        ModelError: There is none.
    """
    import torch

    bodies = [route.model for route in _routes(model) if hasattr(route, "model")]
    if not bodies:
        raise ModelError("this model contains no transformer to compile", hint="remove `compile`")
    for body in bodies:
        # `body.compile()` would do nothing: Sentence Transformers calls `forward` itself.
        body.forward = torch.compile(body.forward, dynamic=True)
    return model


def _routes(model: Any) -> list[Any]:
    first = model[0]
    return [route[0] for route in first.sub_modules.values()] if hasattr(first, "sub_modules") else [first]


def _limit_tokens(model: Any, max_tokens: int, folder: Path) -> None:
    """Lower the limit of every route: a router reports its longest one, and would raise the others."""
    for route in _routes(model):
        limit = getattr(route, "max_seq_length", None)
        try:
            route.max_seq_length = max_tokens if limit is None else min(max_tokens, limit)
        except AttributeError:
            raise ModelError(
                f"the model in '{folder}' has no maximum length that could be lowered",
                hint="remove `max_tokens`",
            ) from None


def _first_line(err: Exception) -> str:
    text = str(err).strip()
    if "ignore_mismatched_sizes" in text:
        return "the shapes of its weights do not match its config.json"
    return f"{type(err).__name__}: {text.splitlines()[0] if text else 'no message'}"


class TransformerBackend:
    """A Sentence Transformers model, loaded when the first text is embedded: vectors in the cache need none.

    Args:
        load: Returns the model.
        identity: Hash of weights, number format and length limit.
        source: Where it was read.
        batch_size: Texts encoded at once.
    """

    def __init__(self, load: Callable[[], Any], *, identity: str, source: str = "memory", batch_size: int = 32) -> None:
        self._load = load
        self._model: Any = None
        self._windowed: _Windowed | None = None
        self.identity = identity
        self.source = source
        self.batch_size = batch_size

    def embed(self, texts: Sequence[str], side: Side, prompt: str) -> Floats:
        """Embed texts, shape (n, dim), with the model's own prompt for this side where `prompt` is empty.

        Raises:
            ModelError: The model does not load, has no vector for a token or a position, or needs more memory.
        """
        if self._model is None:
            self._model = self._load()
        encode = self._model.encode_query if side == "query" else self._model.encode_document
        with self._explained(len(texts)):
            vectors = encode(
                list(texts),
                prompt=prompt or None,
                batch_size=self.batch_size,
                show_progress_bar=False,
                convert_to_numpy=True,
                normalize_embeddings=True,
            )
        return np.asarray(vectors, dtype=np.float32)

    def embed_windows(
        self, texts: Sequence[str], side: Side, prompt: str, widths: Sequence[int]
    ) -> tuple[Floats, Ints]:
        """Embed every window of tokens, as `WindowBackend` says.

        Raises:
            ModelError: As in `embed`, or the model does not start with a transformer that gives a vector for each
                token.
        """
        if self._model is None:
            self._model = self._load()
        if self._windowed is None:
            self._windowed = _Windowed(self._model, self.batch_size * _TOKENS_PER_TEXT)
        with self._explained(len(texts)):
            return self._windowed.embed(texts, prompt or prompts_of(self._model)[side], widths)

    def token_parts(self, texts: Sequence[str], side: Side, prompt: str) -> list[TokenParts] | None:
        """Take the vectors of texts apart, as `TokenBackend` says; None unless all that follows the tokens is linear.

        Raises:
            ModelError: As in `embed`.
        """
        if self._model is None:
            self._model = self._load()
        from tokenizers import Tokenizer

        try:
            tokenizer = Tokenizer.from_str(tokenizer_json(self._model))
        except AttributeError:  # written in Python, without places of its tokens
            return None
        with self._explained(len(texts)):
            prompt = prompt or prompts_of(self._model)[side]
            return parts_of_texts(self._model, tokenizer, texts, prompt, pad=pad_of(self._model))

    @contextmanager
    def _explained(self, texts: int) -> Iterator[None]:
        import torch

        try:
            yield
        except IndexError as err:  # a table that `load_model` did not recognise
            raise ModelError(
                f"the model in '{self.source}' has no embedding for a token or a position: {err}",
                hint="lower its `max_tokens`, or save model and tokenizer together again",
            ) from err
        except torch.OutOfMemoryError as err:
            raise ModelError(
                f"not enough memory to embed {texts} texts at once with the model in '{self.source}'",
                hint="lower its `batch_size` or `max_tokens`",
            ) from err


class _Windowed:
    """A model whose vectors are those of windows of tokens."""

    def __init__(self, model: Any, budget: int) -> None:
        from tokenizers import Tokenizer

        self._device = model.device
        self._pools_prompt = all(getattr(module, "include_prompt", True) for module in model)
        try:
            self._module = windowed(model)
            tokenizer = Tokenizer.from_str(tokenizer_json(model))
        except (ModelError, AttributeError) as err:
            raise ModelError(f"token windows are not available: {err}", hint="remove `score.windows`") from err
        self._tokens = Tokens(tokenizer, pad=pad_of(model), first_position=None, budget=budget)

    def embed(self, texts: Sequence[str], prompt: str, widths: Sequence[int]) -> tuple[Floats, Ints]:
        import torch

        windows = self._tokens.windows(texts, widths, prompt, pools_prompt=self._pools_prompt)
        vectors: Floats | None = None
        with torch.inference_mode():
            for rows, inputs in windows.batches:
                given = {name: torch.from_numpy(inputs[name]).to(self._device) for name in self._module.inputs}
                part = self._module(**given).float().cpu().numpy()
                if vectors is None:
                    vectors = np.empty((int(windows.counts.sum()), part.shape[1]), dtype=np.float32)
                vectors[rows] = part
        return np.empty((0, 0), dtype=np.float32) if vectors is None else vectors, windows.counts


def pad_of(model: Any) -> int:
    """Number of the token that fills rows."""
    return int(model.tokenizer.pad_token_id or 0)


def tokenizer_json(model: Any) -> str:
    """Take the tokenizer out of a model, with its limit, without padding."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(model.tokenizer.backend_tokenizer.to_str())
    tokenizer.no_padding()
    tokenizer.no_truncation()
    if model.max_seq_length is not None:
        tokenizer.enable_truncation(int(model.max_seq_length), direction=model.tokenizer.truncation_side)
    return str(tokenizer.to_str())


def prompts_of(model: Any) -> dict[Side, str]:
    """What the model puts in front itself; Sentence Transformers looks for the names in this order."""
    prompts, default = model.prompts, model.prompts.get(model.default_prompt_name)
    names: dict[Side, tuple[str, ...]] = {"query": ("query",), "document": ("document", "passage", "corpus")}
    return {
        side: next((prompts[name] for name in known if prompts.get(name) is not None), default) or ""
        for side, known in names.items()
    }
