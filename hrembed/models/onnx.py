"""The transformer of a model as an ONNX graph."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hrembed.errors import ModelError
from hrembed.models.graph import AXES, OUTPUT, Graph, quiet, traceable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hrembed.models.graph import Tensors
    from hrembed.types import Floats, Ints

# Where Sentence Transformers (`backend="onnx"`) and text-embeddings-inference look.
FILE = "onnx/model.onnx"
# A file of Protocol Buffers ends at 2 GiB; the graph itself needs some of that.
MAX_BYTES = 2**31 - 2**24


def write_onnx(model: Any, file: Path, *, int8: bool = False) -> None:
    """Write the transformer of a model as a graph with free batch size and length.

    Args:
        model: A Sentence Transformers model on the CPU.
        file: The `.onnx`.
        int8: Quantise weights ahead, activations while it runs.

    Raises:
        ModelError: The model does not start with a transformer, or is too large for one file.
    """
    module, example = traceable(model)
    size = sum(parameter.numel() * parameter.element_size() for parameter in module.parameters())
    if size > MAX_BYTES:
        raise ModelError(
            f"the weights take {size / 2**30:.1f} GiB, but ONNX files are limited to 2 GiB",
            hint="use the format `openvino`",
        )
    file.parent.mkdir(parents=True, exist_ok=True)
    if not int8:
        _export(module, example, file)
        return
    with tempfile.TemporaryDirectory(dir=file.parent) as folder:
        whole = Path(folder) / "float32.onnx"
        _export(module, example, whole)
        _quantise(whole, file)


def _export(module: Any, example: Tensors, file: Path) -> None:
    import torch

    with quiet():
        torch.onnx.export(
            module,
            tuple(example.values()),
            file,
            input_names=list(example),
            output_names=[OUTPUT],
            dynamic_shapes={name: dict(enumerate(AXES)) for name in example},
            dynamo=True,
            external_data=False,
            verbose=False,
        )


def _quantise(whole: Path, file: Path) -> None:
    """Quantise weights to int8, one scale for each column.

    One scale for a whole matrix, the default, left MiniLM's vectors a mean cosine of 0.94 to their source instead of
    0.99. Weights stay within 7 bits: processors without VNNI add up 8-bit products in 16 bits, which overflow, and the
    graph would give other vectors there than where it was compared.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with quiet():
        quantize_dynamic(whole, file, weight_type=QuantType.QInt8, per_channel=True, reduce_range=True)


def open_onnx(file: Path, *, threads: int) -> Graph:
    """Open a graph on the CPU.

    Args:
        file: The `.onnx`.
        threads: Threads it may use.
    """
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads
    settings.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(file), settings, providers=["CPUExecutionProvider"])

    def run(features: Mapping[str, Ints]) -> Floats:
        return np.asarray(session.run([OUTPUT], dict(features))[0], dtype=np.float32)

    return Graph(tuple(entry.name for entry in session.get_inputs()), run)
