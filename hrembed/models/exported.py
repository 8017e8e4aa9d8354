"""Exports of a model: a folder in the older layout, with torch weights or with a graph in their place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hrembed.errors import ModelError
from hrembed.models import onnx, openvino
from hrembed.models.graph import explained, inputs_of, open_around, require
from hrembed.models.legacy import write_legacy
from hrembed.models.transformer import TransformerBackend

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from hrembed.models.graph import Graph
    from hrembed.records.export import ExportFormat
    from hrembed.types import Ints, Side

NEEDS: Mapping[ExportFormat, tuple[str, ...]] = {
    "legacy": (),
    "openvino": ("openvino",),
    "openvino-int8": ("openvino", "nncf"),
    "onnx": ("onnx", "onnxscript", "onnxruntime"),
    "onnx-int8": ("onnx", "onnxscript", "onnxruntime"),
}


def check_packages(form: ExportFormat) -> None:
    """See that the packages of a format are there.

    Raises:
        ModelError: One is not installed.
    """
    require(*NEEDS[form])


def one_side(model: Any, side: Side | None) -> Any:
    """Take the encoder of one side out of a model with a router; a model without one is given back as it is.

    Raises:
        ModelError: The model has an encoder for each side and none was chosen, or one was and it has not.
    """
    from sentence_transformers import SentenceTransformer

    if not hasattr(model[0], "sub_modules"):
        if side is not None:
            raise ModelError("this model uses the same encoder for queries and documents", hint="remove `side`")
        return model
    if side is None:
        raise ModelError(
            "this model has separate query and document encoders, but an export contains only one",
            hint="export it twice, with `side: query` and `side: document`",
        )
    modules = [*model[0].sub_modules[side], *list(model.children())[1:]]
    prompts, name = model.prompts, model.default_prompt_name
    return SentenceTransformer(modules=modules, prompts=prompts, default_prompt_name=name, device="cpu")


def write_export(model: Any, folder: Path, form: ExportFormat, calibration: Sequence[Mapping[str, Ints]] = ()) -> None:
    """Write an export, whole or not at all. Nothing is compared here.

    A folder with a graph has no torch weights beside it: it would be twice as large or more, and a server that does
    not find the graph would run the other weights without a word.

    Args:
        model: A Sentence Transformers model on the CPU.
        folder: Where to.
        form: Which form.
        calibration: Inputs of the transformer, for `openvino-int8`.

    Raises:
        ModelError: The model has no such form.
    """

    def graph(part: Path) -> None:
        with explained(f"cannot export the transformer as {form}"):
            if form.startswith("openvino"):
                openvino.write_openvino(model, part / openvino.FILE, calibration if form == "openvino-int8" else None)
            else:
                onnx.write_onnx(model, part / onnx.FILE, int8=form == "onnx-int8")

    write_legacy(model, folder, None if form == "legacy" else graph)


def open_graph(folder: Path, *, threads: int) -> Graph:
    """Open the graph of an export with the runtime that it was written for.

    Raises:
        ModelError: There is none, it is damaged, or its runtime is not installed.
    """
    with explained(f"cannot open the graph in '{folder}'"):
        if (folder / openvino.FILE).is_file():
            require("openvino")
            return openvino.open_openvino(folder / openvino.FILE, threads=threads)
        if (folder / onnx.FILE).is_file():
            require("onnxruntime")
            return onnx.open_onnx(folder / onnx.FILE, threads=threads)
    raise ModelError(f"'{folder}' contains neither '{openvino.FILE}' nor '{onnx.FILE}'")


def open_export(folder: Path, *, threads: int) -> Any:
    """Open an export with a graph as a Sentence Transformers model; tokenizer, pooling and all are read from it.

    Raises:
        ModelError: There is no graph, or its runtime is not installed.
    """
    return open_around(folder, open_graph(folder, threads=threads))


def transformer_inputs(
    model: Any, texts: Sequence[tuple[Side, str]], prompts: Mapping[Side, str]
) -> list[dict[str, Ints]]:
    """Record what a transformer is given for texts, one at a time, with their prompts and cut as the model cuts them.

    Args:
        model: A Sentence Transformers model.
        texts: Each with its side.
        prompts: Side to what is put in front; an empty one means the model's own.

    Returns:
        For each text, name to array of shape (1, tokens).
    """
    recorded: list[dict[str, Ints]] = []

    def record(_: Any, arguments: tuple[Any, ...]) -> None:
        recorded.append({name: tensor.numpy() for name, tensor in inputs_of(model[0], arguments[0]).items()})

    backend = TransformerBackend(lambda: model, identity="", batch_size=1)
    hook = model[0].register_forward_pre_hook(record)
    try:
        for side, text in texts:
            backend.embed([text], side, prompts[side])
    finally:
        hook.remove()
    return recorded
