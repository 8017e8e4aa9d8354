"""A whole model as one graph on disk, from texts to vectors, without torch."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from hrembed.errors import ModelError
from hrembed.files import sha256, write_json, writing
from hrembed.models import openvino
from hrembed.models.dense import unit_rows
from hrembed.models.graph import explained, require, whole, whole_packed
from hrembed.models.inputs import Tokens
from hrembed.models.legacy import remove
from hrembed.models.transformer import TransformerBackend, pad_of, prompts_of, tokenizer_json
from hrembed.records.base import Record, as_json
from hrembed.types import Side

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from hrembed.models.graph import Tensors
    from hrembed.types import Floats, Ints

    Precision = Literal["float32", "bfloat16", "int8"]

TOLERANCE = 1e-5
_GRAPH, _TOKENIZER, _FACTS = "graph.xml", "tokenizer.json", "facts.json"
VERSION = 2  # of the form of these graphs
_TEXTS_AT_ONCE = 1024
# Tokens of a batch whose activations stay near a core: the best, by a little, of 256 to 4,096 on MiniLM. float32 takes
# twice the bytes.
_BUDGETS = {"float32": 512, "bfloat16": 1024, "int8": 1024}
# What may go another way through a graph: short, long, empty, not English, not letters; with and without a prompt.
VARIED = (
    "Nurse",
    "Registered nurse for the night shift of a surgical ward, with two years of experience",
    "Looks after patients and writes down what was done. " * 60,
    "",
    "  Ingénieur en génie logiciel · Köln ",
    "Медсестра в хирургическое отделение",
    "看護師、夜勤あり",
    "C++ / C# / .NET 8",
)
_WAYS: tuple[tuple[Side, str], ...] = (("query", ""), ("document", ""), ("query", "Find what fits: "))


class GraphFacts(Record):
    """What must be known to run a graph, the content of `facts.json` beside it.

    Attributes:
        inputs: Names of the inputs that it takes.
        pad: Number of the token that fills rows.
        first_position: Where positions of a text start when texts share rows; null gives each text a row.
        prompts: Side -> what the model itself puts in front of a text.
        sha256: File of the folder -> its hash.
    """

    inputs: tuple[str, ...]
    pad: int
    first_position: int | None
    prompts: dict[Side, str]
    sha256: dict[str, str]


class FastBackend:
    """A graph with its tokenizer, opened when the first text is embedded.

    Args:
        folder: As `write_whole` or `write_int8` wrote it.
        precision: Arithmetic of the graph, or `int8` for one that is quantised.
        identity: Hash of what decides the vectors.
        source: Where the model was read.
        threads: Batches at once.
    """

    batch_size = _TEXTS_AT_ONCE

    def __init__(self, folder: Path, *, precision: Precision, identity: str, source: str, threads: int) -> None:
        self._folder = folder
        self._precision: Precision = precision
        self._threads = threads
        self._opened: _Opened | None = None
        self.identity = identity
        self.source = source

    def embed(self, texts: Sequence[str], side: Side, prompt: str) -> Floats:
        """Embed texts, shape (n, dim), with the model's own prompt for this side where `prompt` is empty.

        Raises:
            ModelError: The graph does not open or run.
        """
        with explained(f"the graph in '{self._folder}' does not run"):
            opened = self._open()
            return opened.embed(texts, prompt or opened.prompts[side])

    def embed_windows(
        self, texts: Sequence[str], side: Side, prompt: str, widths: Sequence[int]
    ) -> tuple[Floats, Ints]:
        """Embed every window of tokens, as `WindowBackend` says.

        Raises:
            ModelError: The graph does not open or run, or gives each text a row.
        """
        with explained(f"the graph in '{self._folder}' does not run"):
            opened = self._open()
            if opened.tokens.first_position is None:
                raise ModelError(
                    f"the OpenVINO graph of '{self.source}' cannot return vectors of token windows",
                    hint="remove `backend` and `precision` for a model with `score.windows`, to use torch",
                )
            return opened.embed_windows(texts, prompt or opened.prompts[side], widths)

    def _open(self) -> _Opened:
        self._opened = self._opened or _Opened(self._folder, self._precision, self._threads)
        return self._opened


class _Opened:
    def __init__(self, folder: Path, precision: Precision, threads: int) -> None:
        facts = _read_facts(folder)
        if facts is None:
            raise ModelError(
                f"the graph in '{folder}' is incomplete", hint="delete the folder; it will be created again"
            )
        quantised = precision == "int8"
        arithmetic: Literal["float32", "bfloat16"] = "float32" if precision == "float32" else "bfloat16"
        if quantised and not openvino.can_bfloat16():
            arithmetic = "float32"
        self._streams = openvino.Streams(folder / _GRAPH, precision=arithmetic, threads=threads)
        self.tokens = _tokens(folder, facts, precision)
        self.prompts: Mapping[Side, str] = facts.prompts

    def embed(self, texts: Sequence[str], prompt: str) -> Floats:
        return self._streams.run(self.tokens.batches([prompt + text for text in texts]), len(texts))

    def embed_windows(self, texts: Sequence[str], prompt: str, widths: Sequence[int]) -> tuple[Floats, Ints]:
        # The graph gathers tokens for each vector that it makes: those of a window are as good as those of a text.
        windows = self.tokens.windows(texts, widths, prompt)
        return self._streams.run(windows.batches, int(windows.counts.sum())), windows.counts


def is_whole(folder: Path) -> bool:
    """Whether a folder holds a graph, complete and unchanged."""
    return _read_facts(folder) is not None


def _read_facts(folder: Path) -> GraphFacts | None:
    """Read the facts of a graph; None when a file is missing, damaged or changed."""
    try:
        facts = GraphFacts.model_validate_json((folder / _FACTS).read_bytes())
        if all(sha256(folder / name) == expected for name, expected in facts.sha256.items()):
            return facts
    except (OSError, ValueError):
        pass
    return None


def write_whole(model: Any, folder: Path) -> float:
    """Write all of a model as a float32 graph, and compare it with its source before it is kept.

    Args:
        model: A Sentence Transformers model on the CPU.
        folder: Where to.

    Returns:
        The largest difference of two unit vectors in any place.

    Raises:
        ModelError: OpenVINO is not installed, the model has no such form, or the graph gives other vectors.
    """
    require("openvino")
    with _settled(folder) as part:
        with explained("the model has no form as an OpenVINO graph"):
            (part / _TOKENIZER).write_text(tokenizer_json(model), encoding="utf-8")
            form = _choose_form(model, part / _TOKENIZER)
            openvino.write_graph(form.module, form.example, part / _GRAPH, output="sentence_embedding")
        _write_facts(
            part,
            inputs=tuple(form.example),
            pad=pad_of(model),
            first_position=form.tokens.first_position,
            prompts=prompts_of(model),
        )
        gap = _gap(model, part)
        if not gap <= TOLERANCE:
            raise ModelError(
                f"the OpenVINO graph produces different vectors than the model (largest difference {gap:.2g})"
            )
    return gap


class _Form(NamedTuple):
    """A model as a torch module that can be traced.

    Attributes:
        module: From the tensors of `inputs` to vectors.
        tokens: Makes its inputs.
        example: Inputs to trace it.
    """

    module: Any
    tokens: Tokens
    example: Tensors


def _choose_form(model: Any, file: Path) -> _Form:
    """Choose several texts in a row, where torch gives the same vectors that way, else one text in each."""
    source = TransformerBackend(lambda: model, identity="", batch_size=len(VARIED))
    expected = unit_rows(source.embed(VARIED, "query", ""))
    pad = pad_of(model)
    for first in (0, pad + 1):  # RoBERTa and its kind count positions from behind the number of the padding
        tokens = Tokens(_tokenizer(file), pad=pad, first_position=first, budget=_BUDGETS["float32"])
        try:
            module = whole_packed(model)
            vectors, example = _by_torch(module, tokens, [prompts_of(model)["query"] + text for text in VARIED])
        except Exception:  # each architecture refuses positions or a mask in its own way
            continue
        if np.abs(unit_rows(vectors) - expected).max() <= TOLERANCE:
            return _Form(module, tokens, example)
    tokens = Tokens(_tokenizer(file), pad=pad, first_position=None, budget=_BUDGETS["float32"])
    module = whole(model)
    return _Form(module, tokens, _by_torch(module, tokens, VARIED)[1])


def _by_torch(module: Any, tokens: Tokens, texts: Sequence[str]) -> tuple[Floats, Tensors]:
    """Vectors of texts, and the inputs of the batch with the most texts."""
    import torch

    parts, batches = [], []
    with torch.no_grad():
        for places, inputs in tokens.batches(texts):
            batches.append({name: torch.from_numpy(inputs[name]) for name in module.inputs})
            parts.append((places, module(**batches[-1]).numpy()))
    order = np.argsort(np.concatenate([places for places, _ in parts]))
    vectors = np.concatenate([vectors for _, vectors in parts])[order]
    return vectors, max(batches, key=lambda batch: len(batch["input_ids"]))


def write_int8(source: Path, folder: Path, texts: Sequence[str], *, portable: bool) -> None:
    """Write a float32 graph as int8.

    Args:
        source: As `write_whole` wrote it.
        folder: Where to.
        texts: Show the range of the activations; prompts are in front already.
        portable: As in `openvino.write_quantised`.

    Raises:
        ModelError: NNCF is not installed, or cannot quantise it.
    """
    require("openvino", "nncf")
    facts = GraphFacts.model_validate_json((source / _FACTS).read_bytes())
    with _settled(folder) as part, explained("the graph cannot be quantised"):
        (part / _TOKENIZER).write_bytes((source / _TOKENIZER).read_bytes())
        tokens = _tokens(source, facts, "int8")
        # In batches, not one by one: a mask that was never seen at work would be quantised to nothing.
        used = [{name: inputs[name] for name in facts.inputs} for _, inputs in tokens.batches(texts)]
        openvino.write_quantised(source / _GRAPH, part / _GRAPH, used, portable=portable)
        _write_facts(
            part, inputs=facts.inputs, pad=facts.pad, first_position=facts.first_position, prompts=facts.prompts
        )


@contextmanager
def _settled(folder: Path) -> Iterator[Path]:
    """Give a folder of this process alone, which takes the place of `folder` unless another process was first."""
    private = folder.with_name(f"{folder.name}-{os.getpid()}")
    try:
        with writing(private) as part:
            part.mkdir()
            yield part
        if not is_whole(folder):
            remove(folder)
            private.replace(folder)
    finally:
        remove(private)


def _write_facts(
    folder: Path, *, inputs: tuple[str, ...], pad: int, first_position: int | None, prompts: dict[Side, str]
) -> None:
    """Write the facts of a graph, with the hashes of its files."""
    files = [_GRAPH, _GRAPH.replace(".xml", ".bin"), _TOKENIZER]
    hashes = {name: sha256(folder / name) for name in files}
    facts = GraphFacts(inputs=inputs, pad=pad, first_position=first_position, prompts=prompts, sha256=hashes)
    write_json(folder / _FACTS, as_json(facts))


def _tokens(folder: Path, facts: GraphFacts, precision: Precision) -> Tokens:
    tokenizer = _tokenizer(folder / _TOKENIZER)
    return Tokens(tokenizer, pad=facts.pad, first_position=facts.first_position, budget=_BUDGETS[precision])


def _tokenizer(file: Path) -> Any:
    from tokenizers import Tokenizer

    return Tokenizer.from_file(str(file))


def _gap(model: Any, folder: Path) -> float:
    """Largest difference of two unit vectors of varied texts, on both sides, with and without a prompt."""
    source = TransformerBackend(lambda: model, identity="", batch_size=len(VARIED))
    graph = _Opened(folder, "float32", 1)
    gaps = [
        np.abs(
            unit_rows(source.embed(VARIED, side, prompt))
            - unit_rows(graph.embed(VARIED, prompt or graph.prompts[side]))
        ).max()
        for side, prompt in _WAYS
    ]
    return float(max(gaps))
