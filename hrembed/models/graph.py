"""What the graph formats have in common: which part of a model becomes a graph, and how one stands in for it again.

Only the transformer becomes a graph, from token ids to `last_hidden_state`. Tokenizer, pooling, projections and
normalisation stay files of the folder: servers that read such graphs do these steps themselves.
"""

from __future__ import annotations

import io
import json
import logging
import warnings
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from hrembed.errors import HrembedError, ModelError, raised_here

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from hrembed.types import Floats, Ints

    Tensors = Mapping[str, Any]
    """Name of an input to a torch tensor, in the order of the inputs; torch has no types here."""

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
PACKED_INPUTS = ("input_ids", "positions", "segments", "places", "mask", "token_type_ids")
OUTPUT = "last_hidden_state"
AXES = ("batch_size", "sequence_length")
# Both lengths are above 1: tracers take an axis of 1 for a constant.
_EXAMPLE = ["text", "a text that is longer"]


@dataclass(frozen=True)
class Graph:
    """A graph, opened by its runtime.

    Attributes:
        inputs: Which of `INPUTS` it takes.
        run: From arrays by name, shape (texts, tokens), int64, to token vectors, shape (texts, tokens, dim), float32.
    """

    inputs: tuple[str, ...]
    run: Callable[[Mapping[str, Ints]], Floats]


def require(*packages: str) -> None:
    """See that optional packages are there.

    Raises:
        ModelError: One is not installed; the hint says how it comes.
    """
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        raise ModelError(f"the package `{missing[0]}` is not installed", hint="`pip install 'hrembed[export]'`")


@contextmanager
def quiet() -> Iterator[None]:
    """Keep converters from printing, warning and logging about graphs that are right.

    Warnings about traces are meant too: whether a graph holds for other lengths is measured, not guessed.
    """
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
        root.handlers[:] = handlers  # `logging.warning` of a library sets up a handler for the whole process


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Turn what a converter or a runtime raises into one message: each fails in its own way.

    Raises:
        ModelError: A library in the block failed.
    """
    try:
        yield
    except HrembedError:
        raise
    except Exception as err:
        if raised_here(err):
            raise
        lines = str(err).strip().splitlines()
        reason = lines[0][:200] if lines else "no message"
        raise ModelError(f"{what}: {type(err).__name__}: {reason}") from err


def traceable(model: Any) -> tuple[Any, Tensors]:
    """Give the transformer of a model as a module from tensors to a tensor, with inputs to trace it.

    Args:
        model: A Sentence Transformers model on the CPU.

    Returns:
        The module, and tensors of shape (2, tokens) in the order of `INPUTS`.

    Raises:
        ModelError: The model does not start with a transformer that gives a vector for each token.
    """
    import torch

    first, example = _traced(model)

    class Bare(torch.nn.Module):
        def __init__(self, body: Any) -> None:
            super().__init__()
            self.body = body

        def forward(self, input_ids: Any, attention_mask: Any, token_type_ids: Any = None) -> Any:
            tensors = dict(zip(INPUTS, (input_ids, attention_mask, token_type_ids), strict=True))
            given = {name: tensor for name, tensor in tensors.items() if tensor is not None}
            return self.body(**given, return_dict=True).last_hidden_state

    return Bare(first.model).eval(), example


def whole(model: Any) -> Any:
    """Give all of a model, from the tensors of `INPUTS` to the vectors of texts, as a module.

    Raises:
        ModelError: The model does not start with a transformer that gives a vector for each token.
    """
    import torch

    bare, example = traceable(model)

    class Whole(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bare = bare
            self.rest = torch.nn.ModuleList(list(model.children())[1:])
            self.inputs = tuple(example)

        def forward(self, input_ids: Any, attention_mask: Any, token_type_ids: Any = None) -> Any:
            hidden = self.bare(input_ids, attention_mask, token_type_ids)
            return _vectors(self.rest, input_ids, attention_mask, hidden)

    return Whole().eval()


def whole_packed(model: Any) -> Any:
    """Give all of a model as a module that takes several texts in a row, the tensors of `PACKED_INPUTS`.

    A token sees those of its own text alone. Short texts are computed faster than one in each row: their attention is
    made of a few products of matrices that are not tiny.

    Raises:
        ModelError: The model does not start with a transformer that gives a vector for each token.
    """
    import torch

    first, example = _traced(model)
    names = tuple(name for name in PACKED_INPUTS if name not in INPUTS or name in example)

    class Packed(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = first.model
            self.rest = torch.nn.ModuleList(list(model.children())[1:])
            self.inputs = names

        def forward(
            self, input_ids: Any, positions: Any, segments: Any, places: Any, mask: Any, token_type_ids: Any = None
        ) -> Any:
            # Yes or no, not a number to add: int8 would have one range for it and the scores, and lose the scores.
            same = (segments.unsqueeze(2) == segments.unsqueeze(1)).unsqueeze(1)
            kinds = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
            output = self.body(input_ids, attention_mask=same, position_ids=positions, **kinds, return_dict=True)
            hidden = output.last_hidden_state
            return _vectors(
                self.rest, input_ids.reshape(-1)[places], mask, hidden.reshape(-1, hidden.shape[-1])[places]
            )

    return Packed().eval()


def windowed(model: Any) -> Any:
    """Give all of a model as a module that makes a vector of any tokens of a text, after a look at all of it.

    Its inputs are the tensors of `INPUTS`, and for each vector the `places` of its tokens in the rows laid end to end,
    with a `mask`.

    Raises:
        ModelError: The model does not start with a transformer that gives a vector for each token.
    """
    import torch

    bare, example = traceable(model)

    class Windowed(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bare = bare
            self.rest = torch.nn.ModuleList(list(model.children())[1:])
            self.inputs = (*example, "places", "mask")

        def forward(
            self, input_ids: Any, attention_mask: Any, places: Any, mask: Any, token_type_ids: Any = None
        ) -> Any:
            hidden = self.bare(input_ids, attention_mask, token_type_ids)
            return _vectors(
                self.rest, input_ids.reshape(-1)[places], mask, hidden.reshape(-1, hidden.shape[-1])[places]
            )

    return Windowed().eval()


def _vectors(modules: Any, input_ids: Any, mask: Any, hidden: Any) -> Any:
    features = {"input_ids": input_ids, "attention_mask": mask, "token_embeddings": hidden}
    for module in modules:
        features = module(features)
    return features["sentence_embedding"]


def _traced(model: Any) -> tuple[Any, Tensors]:
    """Return the first module of a model, and inputs to trace it."""
    first = model[0]
    _check(first)
    return first, inputs_of(first, model.preprocess(_EXAMPLE))


def inputs_of(first: Any, features: Tensors) -> Tensors:
    """Choose what a transformer takes of the features that its tokenizer makes, in the order of `INPUTS`."""
    known = first.model_forward_params
    return {name: features[name] for name in INPUTS if name in features and (known is None or name in known)}


def _check(first: Any) -> None:
    text = getattr(first, "modality_config", {}).get("text")
    plain = text is not None and text["method"] == "forward" and text["method_output_name"] in (OUTPUT, [OUTPUT])
    if not plain or first.module_output_name != "token_embeddings":
        raise ModelError(
            (f"this model starts with {type(first).__name__}, not with a transformer that outputs token embeddings"),
            hint="use the format `legacy`, or serve the folder that `finetune` wrote",
        )


def open_around(folder: Path, graph: Graph) -> Any:
    """Open a folder as a Sentence Transformers model whose transformer is a graph; its torch weights are not needed.

    Args:
        folder: In the older layout, as `write_legacy` writes it.
        graph: What computes the token vectors.
    """
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer import modules as kinds

    class GraphTransformer(kinds.Transformer):
        def _load_model(self, name: str, task: str, config: Any, *_: Any, **__: Any) -> Any:
            return _body(graph, config)

    # Both files are those of Sentence Transformers.
    entries = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
    settings = json.loads((folder / "config_sentence_transformers.json").read_text(encoding="utf-8"))
    modules = []
    for entry in entries:
        name = entry["type"].rpartition(".")[2]
        kind = GraphTransformer if name == "Transformer" else getattr(kinds, name)
        modules.append(kind.load(str(folder), subfolder=entry["path"], local_files_only=True))
    prompts, default = settings.get("prompts"), settings.get("default_prompt_name")
    return SentenceTransformer(modules=modules, prompts=prompts, default_prompt_name=default, device="cpu")


def _body(graph: Graph, config: Any) -> Any:
    import torch
    from transformers.modeling_outputs import BaseModelOutput

    class Body(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.config = config

        def forward(self, **features: Any) -> Any:
            with explained("the graph does not run"):
                hidden = graph.run({name: features[name].numpy() for name in graph.inputs})
            return BaseModelOutput(last_hidden_state=torch.from_numpy(hidden))

    return Body()
