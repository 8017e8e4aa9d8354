"""Exports of a small model: what to ask for, and what a server makes of a folder."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import torch
from hrembed.config.export import ExportConfig
from hrembed.config.parts import ModelSection, TaskSection

from conftest import DOCUMENTS, QRELS, QUERIES, jsonl

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TEXTS = ["nurse for the ward", "car mechanic", "bakes bread before sunrise " * 3, "", "x", "köln, brot", "a b c d e"]
GRAPHS = ["openvino", "openvino-int8", "onnx", "onnx-int8"]


def plain_graph(folder: Path):
    """Open a graph with its runtime alone; returns names of inputs, free axes, and a function."""
    if (folder / "openvino").exists():
        import openvino

        compiled = openvino.Core().compile_model(
            folder / "openvino" / "openvino_model.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
        )
        free = all(axis.is_dynamic for port in compiled.inputs for axis in port.partial_shape)
        return [port.any_name for port in compiled.inputs], free, lambda given: compiled(given)["last_hidden_state"]
    import onnxruntime

    session = onnxruntime.InferenceSession(folder / "onnx" / "model.onnx", providers=["CPUExecutionProvider"])
    shapes = [tuple(entry.shape) for entry in session.get_inputs()]
    free = set(shapes) == {("batch_size", "sequence_length")}
    names = [entry.name for entry in session.get_inputs()]
    return names, free, lambda given: session.run(["last_hidden_state"], given)[0]


def served(folder: Path, texts: list[str]) -> np.ndarray:
    """What a server does with such a folder: its own tokenizing, the graph, mean of the tokens."""
    from transformers import AutoTokenizer

    names, _, run = plain_graph(folder)
    limit = json.loads((folder / "sentence_bert_config.json").read_text())["max_seq_length"]
    pooling = json.loads((folder / "1_Pooling" / "config.json").read_text())
    assert pooling["pooling_mode_mean_tokens"] is True
    tokens = AutoTokenizer.from_pretrained(folder)(
        texts, padding=True, truncation=True, max_length=limit, return_tensors="np"
    )
    hidden = run({name: tokens[name].astype(np.int64) for name in names})
    mask = tokens["attention_mask"][..., None]
    return (hidden * mask).sum(1) / mask.sum(1)


def settings_on(folder: Path, tiny_model: Path) -> Callable[..., ExportConfig]:
    """A function from formats and other keys to a config on tiny data, which it writes into the folder."""
    (folder / "task" / "qrels").mkdir(parents=True)
    judged = "".join(f"{q}\t{d}\t{grade}\n" for q, row in QRELS.items() for d, grade in row.items())
    (folder / "task" / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + judged)
    jsonl(folder / "task" / "corpus.jsonl", [{"_id": key, "text": text} for key, text in DOCUMENTS.items()])
    jsonl(folder / "task" / "queries.jsonl", [{"_id": key, "text": text} for key, (text, _) in QUERIES.items()])
    rows = [{"anchor": f"ad {n} for a nurse", "positive": f"profile {n}, a nurse"} for n in range(6)]
    shared = {"anchor": "Nurse for the ward, dresses wounds!", "positive": DOCUMENTS["d5"]}
    jsonl(folder / "pairs.jsonl", [shared, *rows])

    def make(*formats: str, model: Path = tiny_model, **keys: object) -> ExportConfig:
        given = {"compare_on": TaskSection(path=str(folder / "task")), "calibrate_on": str(folder / "pairs.jsonl")}
        given |= {"calibration_texts": 8, "max_loss": 0.9, "min_cosine": 0.5}
        return ExportConfig(model=ModelSection(ref=f"path:{model}"), formats=formats, **{**given, **keys})

    return make


def scale_a_weight(model) -> None:
    with torch.no_grad():
        model[0].model.encoder.layer[1].output.dense.weight.mul_(1.01)
