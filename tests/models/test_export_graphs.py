"""An export as a graph gives the vectors of its source, to software that knows the runtime and the folder alone."""

from __future__ import annotations

import copy
import ctypes
import json
import logging
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from exporting import GRAPHS, TEXTS, plain_graph, scale_a_weight, served, settings_on
from hrembed.commands.export import checks as export_checks
from hrembed.commands.export import run as export
from hrembed.commands.export.run import run_export
from hrembed.errors import ModelError, ThresholdError
from hrembed.models import onnx, openvino
from hrembed.models.exported import open_export, write_export
from hrembed.models.graph import quiet, traceable
from hrembed.models.signals import SignalStack, signal_stack
from hrembed.models.transformer import load_model
from hrembed.runs.workspace import Workspace
from hrembed.scoring.varied_texts import Probe


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def settings(shallow_model: Path, tmp_path_factory: pytest.TempPathFactory):
    return settings_on(tmp_path_factory.mktemp("data"), shallow_model)


@pytest.fixture(scope="module")
def everything(settings, tmp_path_factory: pytest.TempPathFactory):
    """One run with every graph, for tests that only read; writing them takes seconds."""
    return run_export(settings(*GRAPHS), Workspace(tmp_path_factory.mktemp("runs")))


@pytest.fixture
def copied(everything, monkeypatch) -> None:
    """Exports are copied from the run with every graph in place of being written."""

    def copy_of(model, target: Path, form: str, calibration) -> None:
        shutil.copytree(Path(everything.run) / form, target)

    monkeypatch.setattr(export, "write_export", copy_of)


@pytest.fixture
def planted(monkeypatch):
    """A function that has all exports written from a changed copy of the model."""

    def plant(change) -> None:
        def wrong(model, *arguments):
            other = copy.deepcopy(model)
            change(other)
            write_export(other, *arguments)

        monkeypatch.setattr(export, "write_export", wrong)

    return plant


@pytest.mark.parametrize("form", GRAPHS)
def test_the_runtime_alone_gives_the_vectors_of_the_source_for_any_batch_and_length(
    form, everything, shallow_model: Path
):
    folder = Path(everything.run) / form
    names, free, _ = plain_graph(folder)
    assert names == ["input_ids", "attention_mask", "token_type_ids"]
    assert free
    source = load_model(shallow_model)
    for texts in (TEXTS, TEXTS[:1], TEXTS[2:3], TEXTS[3:4], TEXTS * 3):
        expected, found = np.asarray(source.encode(texts)), served(folder, texts)
        if form.endswith("int8"):
            assert (unit(expected) * unit(found)).sum(axis=1).min() > 0.95
        else:
            assert np.abs(expected - found).max() < 1e-5
    row = everything.metrics.formats[form]
    if form.endswith("int8"):
        assert 0.9 < row.cosine.lowest < row.cosine.mean < 1 - 1e-7
        assert row.ranking.task == "task/test"
        assert row.kept is True
    else:
        assert 0 < row.difference < 1e-5


@pytest.mark.parametrize("form", GRAPHS)
def test_the_folder_is_whole_but_for_torch_weights(form, everything):
    folder = Path(everything.run) / form
    assert not list(folder.rglob("*.safetensors"))
    assert {"tokenizer.json", "config.json", "modules.json"} <= {file.name for file in folder.iterdir()}
    types = [module["type"] for module in json.loads((folder / "modules.json").read_text())]
    assert types == ["sentence_transformers.models.Transformer", "sentence_transformers.models.Pooling"]
    assert not list(folder.parent.glob("tmp*"))
    assert not list(folder.rglob("float32*"))


def test_int8_is_smaller_and_really_int8(everything):
    run = Path(everything.run)
    xml = (run / "openvino-int8" / "openvino" / "openvino_model.xml").read_text()
    assert "FakeQuantize" in xml
    assert "FakeQuantize" not in (run / "openvino" / "openvino" / "openvino_model.xml").read_text()
    weights = {form: next((run / form).rglob("*.bin")) for form in ("openvino", "openvino-int8")}
    assert weights["openvino-int8"].stat().st_size < weights["openvino"].stat().st_size / 2
    import onnx as library

    tensors = library.load(run / "onnx-int8" / "onnx" / "model.onnx").graph.initializer
    whole = [library.numpy_helper.to_array(t) for t in tensors if t.data_type == library.TensorProto.INT8]
    scales = [t for t in tensors if t.name.endswith("_scale") and len(t.dims) == 1]
    assert len(whole) >= 2 * 6  # six matrices in each of two layers
    assert len(scales) >= 2 * 6  # one number for each column
    assert max(int(np.abs(values.astype(int)).max()) for values in whole if values.ndim == 2) <= 64  # seven bits


def test_trap_vectors_of_dynamic_int8_depend_on_their_batch(everything):
    gaps = {}
    for form in GRAPHS:
        folder = Path(everything.run) / form
        alone = np.concatenate([served(folder, [text]) for text in TEXTS])
        gaps[form] = np.abs(alone - served(folder, TEXTS)).max()
    assert gaps.pop("onnx-int8") > 1e-4
    assert max(gaps.values()) < 1e-5


def test_the_run_says_how_far_a_text_alone_is_from_the_same_in_a_batch(settings, copied, tmp_path: Path, monkeypatch):
    together, alone = np.array([[1.0, 0.0], [0.0, 2.0]]), np.array([[1.0, 0.0], [1.0, 1.0]])
    monkeypatch.setattr(export, "probe", lambda model: Probe(together, alone))
    row = run_export(settings("openvino-int8"), Workspace(tmp_path / "runs")).metrics.formats["openvino-int8"]
    assert row.lowest_cosine_alone_to_batch == pytest.approx(0.5**0.5)


def test_queries_are_ranked_as_a_server_embeds_them(settings, copied, tmp_path: Path, monkeypatch):
    sizes: dict[str, set[int]] = {"query": set(), "document": set()}
    whole = export_checks.TransformerBackend.embed

    def embed(self, texts, side, prompt):
        sizes[side].add(len(texts))
        return whole(self, texts, side, prompt)

    monkeypatch.setattr(export_checks.TransformerBackend, "embed", embed)
    run_export(settings("onnx-int8"), Workspace(tmp_path / "runs"))
    assert sizes["query"] == {1}
    assert max(sizes["document"]) > 1


def pool_first_token(model) -> None:
    from sentence_transformers.sentence_transformer.modules import Pooling

    model[1] = Pooling(32, pooling_mode="cls")


@pytest.mark.parametrize(
    ("form", "change"),
    [
        ("legacy", scale_a_weight),
        ("openvino", scale_a_weight),
        ("openvino", pool_first_token),
        ("onnx", scale_a_weight),
    ],
)
def test_a_wrong_export_is_refused_and_removed(form, change, planted, settings, tmp_path: Path):
    planted(change)
    with pytest.raises(ModelError, match=r"the exported model produces different vectors than its source"):
        run_export(settings(form), Workspace(tmp_path / "runs"))
    (run,) = (tmp_path / "runs" / "export").iterdir()
    assert {item.name for item in run.iterdir()} == {"config.yaml", "manifest.json", "log.txt"}


def test_a_graph_that_holds_for_one_length_alone_is_refused_and_removed(settings, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(onnx, "AXES", ())
    with pytest.raises(ModelError, match="the graph does not run: InvalidArgument"):
        run_export(settings("onnx"), Workspace(tmp_path / "runs"))
    assert not list(tmp_path.glob("runs/export/*/onnx"))


@pytest.mark.parametrize("form", ["openvino-int8", "onnx-int8"])
def test_int8_below_the_cosine_fails_with_code_5_and_is_removed_while_others_stay(
    form, settings, copied, tmp_path: Path
):
    result = run_export(settings(form, "openvino", min_cosine=1.0), Workspace(tmp_path / "runs"))
    assert isinstance(result.failure, ThresholdError)
    assert (
        str(result.failure)
        == f"{form}: removed, because `max_loss: 0.9` was exceeded or `min_cosine: 1` was not reached"
    )
    assert result.failure.exit_code == 5
    assert result.status == "fail"
    assert not (Path(result.run) / form).exists()
    assert (Path(result.run) / "openvino" / "openvino" / "openvino_model.xml").exists()
    assert json.loads((Path(result.run) / "metrics.json").read_text())["formats"][form]["kept"] is False
    assert set(json.loads((Path(result.run) / "timings.json").read_text())) == {"torch", "openvino"}


def test_int8_that_loses_rankings_fails(settings, copied, tmp_path: Path, monkeypatch):
    """A graph whose vectors are near enough may still rank otherwise; the loss alone trips the limit."""
    whole = export_checks.rank_task

    def reversed_for_the_export(encoder, task, depth):
        found = whole(encoder, task, depth=depth)
        if encoder.name != "onnx-int8":
            return found
        return found._replace(documents=np.ascontiguousarray(found.documents[:, ::-1]))

    monkeypatch.setattr(export_checks, "rank_task", reversed_for_the_export)
    loose = run_export(settings("onnx-int8"), Workspace(tmp_path / "runs"))
    loss = -loose.metrics.formats["onnx-int8"].ranking.difference.value
    assert loss > 0.1
    assert loose.failure is None
    kept = run_export(settings("onnx-int8", max_loss=loss + 1e-9), Workspace(tmp_path / "runs"))
    assert kept.failure is None
    strict = run_export(settings("onnx-int8", max_loss=loss - 1e-9), Workspace(tmp_path / "runs"))
    assert isinstance(strict.failure, ThresholdError)
    assert not (Path(strict.run) / "onnx-int8").exists()


def test_an_export_with_undefined_vectors_is_removed(planted, settings, tmp_path: Path):
    def undefined(model) -> None:
        with torch.no_grad():
            model[0].model.encoder.layer[1].output.LayerNorm.bias.fill_(float("nan"))

    planted(undefined)
    with pytest.raises(ModelError, match="largest difference nan"):
        run_export(settings("openvino"), Workspace(tmp_path / "runs"))
    with pytest.raises(ModelError, match="returned NaN or infinite values for"):
        run_export(settings("onnx-int8"), Workspace(tmp_path / "runs"))
    assert not list(tmp_path.glob("runs/export/*/o*"))


def test_the_same_config_gives_the_same_bytes_and_nothing_is_printed(settings, everything, tmp_path: Path, capfd):
    """The runtimes number what they make over the whole process: without steady names the second graph differs."""
    forms = ["openvino", "openvino-int8", "onnx-int8"]
    again = run_export(settings(*forms), Workspace(tmp_path / "runs"))
    printed = capfd.readouterr()
    assert (printed.out, printed.err) == ("", "")
    assert not logging.root.manager.disable
    for form in forms:
        first, second = (Path(result.run) / form for result in (everything, again))
        names = [file.relative_to(first) for file in first.rglob("*") if file.is_file()]
        assert names
        assert [name for name in names if (first / name).read_bytes() != (second / name).read_bytes()] == []
        assert everything.metrics.formats[form] == again.metrics.formats[form]
    timings = json.loads((Path(again.run) / "timings.json").read_text())
    assert set(timings) == {"torch", *forms}
    assert timings["torch"]["share_of_reference"] == 1
    assert "seconds" not in (Path(again.run) / "metrics.json").read_text()


def test_trap_a_warning_of_a_library_sets_up_logging_for_the_process(monkeypatch, capsys):
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    logging.warning("naive")  # noqa: LOG015 - what onnxruntime does
    assert logging.getLogger().handlers
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    with quiet():
        logging.warning("quiet")  # noqa: LOG015
        sys.stdout.write("quiet")
    assert logging.getLogger().handlers == []
    assert "quiet" not in "".join(capsys.readouterr())


@pytest.mark.parametrize(
    ("form", "package"), [("openvino-int8", "nncf"), ("openvino", "openvino"), ("onnx", "onnxscript")]
)
def test_a_missing_package_is_named_before_anything_is_done(form, package, settings, tmp_path: Path, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ModelError, match=f"the package `{package}` is not installed") as caught:
        run_export(settings("legacy", form), Workspace(tmp_path / "runs"))
    assert caught.value.hint == "`pip install 'hrembed[export]'`"
    assert not (tmp_path / "runs").exists()


def test_openvino_reports_to_nobody(everything):
    from openvino.tools.ovc import telemetry_utils

    assert sys.modules["openvino_telemetry"] is None
    assert telemetry_utils.tm.__name__.endswith("telemetry_stub")


@pytest.mark.parametrize("form", ["openvino", "onnx"])
def test_prompts_pooling_and_projection_are_read_from_the_folder(form, shallow_model: Path, tmp_path: Path):
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Pooling

    torch.manual_seed(1)
    body = load_model(shallow_model)[0]
    modules = [body, Pooling(32, pooling_mode="cls"), Dense(32, 8), Normalize()]
    model = SentenceTransformer(modules=modules, prompts={"query": "find, ", "document": ""}, device="cpu")
    write_export(model, tmp_path / form, form)
    found = open_export(tmp_path / form, threads=1)
    assert np.abs(found.encode_query(TEXTS) - model.encode_query(TEXTS)).max() < 1e-5
    assert np.abs(found.encode_document(TEXTS) - model.encode_document(TEXTS)).max() < 1e-5
    assert np.abs(found.encode_query(TEXTS) - model.encode_document(TEXTS)).max() > 1e-3


def test_a_damaged_or_missing_graph_is_explained(everything, shallow_model: Path, tmp_path: Path):
    folder = shutil.copytree(Path(everything.run) / "onnx", tmp_path / "onnx")
    (folder / "onnx" / "model.onnx").write_bytes(b"no graph")
    with pytest.raises(ModelError, match=r"cannot open the graph in '.*': "):
        open_export(folder, threads=1)
    with pytest.raises(ModelError, match=r"contains neither 'openvino/openvino_model.xml' nor 'onnx/model.onnx'"):
        open_export(shallow_model, threads=1)


def test_a_model_that_gives_no_token_vectors_has_no_graph(shallow_model: Path):
    model = load_model(shallow_model)
    model[0].module_output_name = "sentence_embedding"
    with pytest.raises(
        ModelError, match="this model starts with Transformer, not with a transformer that outputs token embeddings"
    ):
        traceable(model)


def test_a_model_above_the_limit_of_a_file_has_no_onnx_form(settings, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(onnx, "MAX_BYTES", 1000)
    with pytest.raises(ModelError, match="GiB, but ONNX files are limited to 2 GiB"):
        run_export(settings("onnx"), Workspace(tmp_path / "runs"))


@pytest.mark.usefixtures("minilm")
def test_minilm_in_float32_and_the_trap_of_bfloat16(tmp_path: Path):
    """OpenVINO chooses bfloat16 by itself where the processor has it, and no file can say otherwise."""
    import openvino
    from hrembed.models.refs import parse_ref
    from hrembed.models.weights import locate_weights

    source = load_model(locate_weights(parse_ref("minilm")))
    texts = ["Registered nurse for the night shift", "C++ / C# / .NET 8", "Ingénieur en génie logiciel"]
    expected = source.encode(texts)
    for form in ("openvino", "onnx"):
        write_export(source, tmp_path / form, form)
        assert np.abs(unit(served(tmp_path / form, texts)) - expected).max() < 1e-5
        assert np.abs(open_export(tmp_path / form, threads=1).encode(texts) - expected).max() < 1e-5
    naive = openvino.Core().compile_model(tmp_path / "openvino" / "openvino" / "openvino_model.xml", "CPU")
    if naive.get_property("INFERENCE_PRECISION_HINT") == openvino.Type.bf16:
        tokens = {name: tensor.numpy() for name, tensor in source.preprocess(texts).items() if name != "modality"}
        hidden, mask = naive(tokens)["last_hidden_state"], tokens["attention_mask"][..., None]
        assert np.abs(unit((hidden * mask).sum(1) / mask.sum(1)) - expected).max() > 1e-4


@pytest.mark.skipif(sys.platform != "linux", reason="signal stacks are looked at on Linux only")
def test_the_stack_for_signals_is_put_back(monkeypatch):
    """OpenVINO leaves one of its own for some graphs, and the next signal crashed; here a stand-in does so always."""
    room = ctypes.create_string_buffer(1 << 16)
    other = SignalStack(ctypes.addressof(room), 0, len(room))

    class Core:
        def compile_model(self, *args: object) -> SimpleNamespace:
            ctypes.CDLL(None).sigaltstack(ctypes.byref(other), None)
            assert signal_stack().size == len(room)
            return SimpleNamespace(inputs=[])

    monkeypatch.setattr(openvino, "_runtime", lambda: SimpleNamespace(Core=Core))
    before = signal_stack()
    openvino.open_openvino(Path("x"), threads=1)
    assert (signal_stack().base, signal_stack().size) == (before.base, before.size)
