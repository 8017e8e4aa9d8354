"""The transformer of a model as an OpenVINO graph."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from hrembed.models.graph import OUTPUT, Graph, quiet, traceable
from hrembed.models.signals import signal_stack_kept

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from hrembed.types import Floats, Ints

# Where Sentence Transformers (`backend="openvino"`) looks; the weights lie beside it as `.bin`.
FILE = "openvino/openvino_model.xml"


def _runtime() -> Any:
    """Import OpenVINO without its telemetry.

    Left alone, OpenVINO and NNCF make an id for this machine in `~/intel` and report imports and conversions to Google
    Analytics without asking. Both do without when the package that sends cannot be imported.
    """
    if "openvino" not in sys.modules:
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    import openvino

    return openvino


@signal_stack_kept()
def write_openvino(model: Any, file: Path, calibration: Sequence[Mapping[str, Ints]] | None = None) -> None:
    """Write the transformer of a model as a graph with free batch size and length.

    With calibration it becomes int8, weights and activations, by NNCF's post-training quantisation for transformers.
    All weights are kept within 7 bits: processors without VNNI add up 8-bit products in 16 bits, which overflow, and
    the graph would give other vectors there than where it was compared.

    Args:
        model: A Sentence Transformers model on the CPU.
        file: The `.xml`.
        calibration: Inputs from which ranges of activations are taken, each name to array; None keeps float32.

    Raises:
        ModelError: The model does not start with a transformer.
    """
    module, example = traceable(model)
    with quiet():
        openvino = _runtime()
        graph = openvino.convert_model(module, example_input=example)
        graph.outputs[0].get_tensor().set_names({OUTPUT})
        _name_steadily(graph)
        if calibration is not None:
            graph = _quantised(graph, calibration)
            _name_steadily(graph)
        file.parent.mkdir(parents=True, exist_ok=True)
        openvino.save_model(graph, file, compress_to_fp16=False)


def _quantised(graph: Any, calibration: Sequence[Mapping[str, Ints]]) -> Any:
    import nncf
    from nncf.quantization.advanced_parameters import AdvancedQuantizationParameters, OverflowFix

    return nncf.quantize(
        graph,
        nncf.Dataset(list(calibration)),
        model_type=nncf.ModelType.TRANSFORMER,
        subset_size=len(calibration),
        advanced_parameters=AdvancedQuantizationParameters(overflow_fix=OverflowFix.ENABLE),
    )


def _name_steadily(graph: Any) -> None:
    """Name nodes by their place: OpenVINO numbers them over the whole process, and no two files would be alike."""
    graph.set_friendly_name("transformer")
    for place, node in enumerate(graph.get_ordered_ops()):
        if node.get_friendly_name() == node.get_name():
            node.set_friendly_name(f"{node.get_type_name()}_{place}")


@signal_stack_kept()
def open_openvino(file: Path, *, threads: int) -> Graph:
    """Open a graph on the CPU, in float32 arithmetic where it is not int8.

    OpenVINO would compute in bfloat16 where the processor can, which changes vectors of MiniLM by up to 1.5e-3.

    Args:
        file: The `.xml`.
        threads: Threads it may use.
    """
    openvino = _runtime()
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads}
    compiled = openvino.Core().compile_model(file, "CPU", settings)

    def run(features: Mapping[str, Ints]) -> Floats:
        return np.array(compiled(dict(features))[OUTPUT], dtype=np.float32)

    return Graph(tuple(port.any_name for port in compiled.inputs), run)
