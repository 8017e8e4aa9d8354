"""OpenVINO: graphs written, quantised, and run one batch or many at a time."""

from __future__ import annotations

import sys
from collections import deque
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hrembed.models.graph import OUTPUT, Graph, quiet, traceable
from hrembed.models.signals import signal_stack_kept

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from hrembed.models.graph import Tensors
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


def write_openvino(model: Any, file: Path, calibration: Sequence[Mapping[str, Ints]] | None = None) -> None:
    """Write the transformer of a model as a graph with free batch size and length.

    Args:
        model: A Sentence Transformers model on the CPU.
        file: The `.xml`.
        calibration: Inputs from which ranges of activations are taken, each name to array; None keeps float32.

    Raises:
        ModelError: The model does not start with a transformer.
    """
    module, example = traceable(model)
    write_graph(module, example, file, output=OUTPUT, calibration=calibration)


@signal_stack_kept()
def write_graph(
    module: Any,
    example: Tensors,
    file: Path,
    *,
    output: str,
    calibration: Sequence[Mapping[str, Ints]] | None = None,
) -> None:
    """Write a torch module with one output as a graph with free batch size and length.

    Args:
        module: From tensors, in the order of `example`, to a tensor.
        example: Inputs to trace it.
        file: The `.xml`.
        output: Name of the output.
        calibration: As in `write_quantised`; None keeps float32.
    """
    with quiet():
        openvino = _runtime()
        graph = openvino.convert_model(module, example_input=dict(example))
        graph.outputs[0].get_tensor().set_names({output})
        _name_steadily(graph)
        if calibration is not None:
            graph = _quantised(graph, calibration)
        _save(graph, file)


@signal_stack_kept()
def write_quantised(source: Path, file: Path, calibration: Sequence[Mapping[str, Ints]], *, portable: bool) -> None:
    """Write a float32 graph as int8, weights and activations, by NNCF's post-training quantisation for transformers.

    Args:
        source: The `.xml` of the float32 graph.
        file: The `.xml` of the new one.
        calibration: Inputs from which ranges of activations are taken, each name to array.
        portable: Keep weights within 7 bits, for processors that the graph was not compared on.
    """
    with quiet():
        _save(_quantised(_runtime().Core().read_model(source), calibration, portable=portable), file)


def _save(graph: Any, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    _runtime().save_model(graph, file, compress_to_fp16=False)


def _quantised(graph: Any, calibration: Sequence[Mapping[str, Ints]], *, portable: bool = True) -> Any:
    """Quantise. Processors without VNNI add up 8-bit products in 16 bits, which overflow; with 7 bits they do not."""
    import nncf
    from nncf.quantization.advanced_parameters import AdvancedQuantizationParameters, OverflowFix

    fix = OverflowFix.ENABLE if portable else OverflowFix.DISABLE
    quantised = nncf.quantize(
        graph,
        nncf.Dataset(list(calibration)),
        model_type=nncf.ModelType.TRANSFORMER,
        subset_size=len(calibration),
        advanced_parameters=AdvancedQuantizationParameters(overflow_fix=fix),
    )
    _name_steadily(quantised)
    return quantised


def _name_steadily(graph: Any) -> None:
    """Name nodes by their place: OpenVINO numbers them over the whole process, and no two files would be alike."""
    graph.set_friendly_name("transformer")
    for place, node in enumerate(graph.get_ordered_ops()):
        if node.get_friendly_name() == node.get_name():
            node.set_friendly_name(f"{node.get_type_name()}_{place}")


class Streams:
    """A graph with one output, run on several batches at once, each by one thread.

    A text's vector then depends on its batch alone: neither on the number of threads nor on which batch ends first.

    Args:
        file: The `.xml`.
        precision: Arithmetic; `bfloat16` also for what is not int8 in a quantised graph.
        threads: Batches at once.
    """

    @signal_stack_kept()
    def __init__(self, file: Path, *, precision: Literal["float32", "bfloat16"], threads: int) -> None:
        settings = {
            "INFERENCE_PRECISION_HINT": {"float32": "f32", "bfloat16": "bf16"}[precision],
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": threads,
        }
        self._threads = threads
        self._compiled = _runtime().Core().compile_model(file, "CPU", settings)
        self.inputs = tuple(port.any_name for port in self._compiled.inputs)
        self.dim = int(self._compiled.outputs[0].partial_shape[1].get_length())

    def run(self, batches: Iterable[tuple[Ints, Mapping[str, Ints]]], count: int) -> Floats:
        """Run batches, which are taken while others run.

        Args:
            batches: Rows of the result, and the inputs for them, each of shape (rows, tokens).
            count: Rows of the result.

        Returns:
            Shape (count, dim), float32.
        """
        vectors = np.empty((count, self.dim), dtype=np.float32)
        # Not `AsyncInferQueue`: its callbacks need Python's lock, and a graph that is closed while one ends waits for
        # that thread with the lock in its hand, for ever.
        requests: deque[tuple[Any, Ints]] = deque(
            (self._compiled.create_infer_request(), _NOTHING) for _ in range(self._threads)
        )
        try:
            for rows, inputs in batches:
                request = _collect(vectors, *requests.popleft())
                request.start_async({name: inputs[name] for name in self.inputs})
                requests.append((request, rows))
        finally:
            for request, rows in requests:
                _collect(vectors, request, rows)
        return vectors


_NOTHING = np.empty(0, dtype=np.int64)


def _collect(vectors: Floats, request: Any, rows: Ints) -> Any:
    """Wait for a request that computes these rows, none if it has not been started, and copy them."""
    if len(rows):
        request.wait()
        vectors[rows] = request.get_output_tensor(0).data
    return request


def can_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 itself."""
    return "BF16" in _runtime().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


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
