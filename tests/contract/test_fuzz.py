"""Whatever a user gives ends in a result or in one message that names the file; anything else is a bug of ours.

The quick tests try a few hundred inputs, always the same. The long run, `pytest -m slow tests/contract/test_fuzz.py`,
tries thousands, other ones each time; how many is set by the variable FUZZ_EXAMPLES.
"""

from __future__ import annotations

import json
import math
import os
import shutil
from collections import Counter
from functools import cache
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hrembed.commands.bias_audit.run import run_bias_audit
from hrembed.commands.data.imports import run_import_table
from hrembed.commands.runs.browse import diff_runs, list_runs, report_runs, show_run
from hrembed.config.bias_audit import AuditConfig
from hrembed.config.load import load_config
from hrembed.config.parts import ModelSection
from hrembed.config.schema import SCHEMAS
from hrembed.data.labelled import read_label_task, read_pair_task
from hrembed.data.locate import shipped_root
from hrembed.data.read import read_task
from hrembed.errors import HrembedError, raised_here
from hrembed.files import sha256
from hrembed.models.exported import open_export, write_export
from hrembed.models.transformer import TransformerBackend
from hrembed.runs.past import find_run
from hrembed.runs.workspace import Workspace
from hrembed.scoring.encoders import open_encoder
from hypothesis import given, settings
from hypothesis import strategies as st
from model_folders import static_folder, with_adapter

from conftest import DOCUMENTS, QRELS, QUERIES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FAULTS = (AssertionError, AttributeError, NameError, RuntimeError, TypeError)
LONG = int(os.environ.get("FUZZ_EXAMPLES", "3000"))
TALLY: Counter[str] = Counter()


def tried(examples: int) -> Callable[[Any], Any]:
    return settings(max_examples=examples, derandomize=examples < 1000, database=None)


def outcome(what: str, call: Callable[[], object], *names: str) -> None:
    """Run something on an input of a user; only an `HrembedError` that names a place may be raised.

    One that was made of a fault in our own lines is a bug that a catch-all hides.
    """
    try:
        call()
    except HrembedError as err:
        before = err.__cause__ or err.__context__
        assert not (isinstance(before, FAULTS) and raised_here(before)), repr(before)
        TALLY[f"{what}: message"] += 1
        text = str(err)
        assert text.strip()
        assert len(text) < 5000
        assert not names or any(name in text for name in names), text
    else:
        TALLY[f"{what}: result"] += 1


ODD_NUMBERS = [0, -1, 1, 2, 10**6, 2**31, 2**63, 2**64, 10**400, 0.0, -0.0, 0.5, 1e-320, 1e308, -1e308, 1.5]
ODD_TEXTS = [
    "",
    " ",
    "a",
    "0",
    "1",
    "1.0",
    "-1",
    "nan",
    "inf",
    "1e400",
    "null",
    "true",
    "é",
    "\u202e",
    "x" * 300,
    "../..",
    "~",
    "*",
    ".",
]
ODD_VALUES = [
    None,
    True,
    False,
    *ODD_NUMBERS,
    *ODD_TEXTS,
    [],
    {},
    [[]],
    [None],
    {"a": {}},
    [1, "a"],
    math.nan,
    math.inf,
]
JSON = st.recursive(
    st.sampled_from(ODD_VALUES) | st.text(max_size=8) | st.integers() | st.floats(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)
ODD_YAML = [
    "",
    "~",
    "null",
    "[]",
    "{}",
    "[[]]",
    "{a: b}",
    "- a",
    "*a",
    "&a b",
    "!!int x",
    "!x y",
    "|",
    ">",
    "'",
    '"',
    "\t",
    "1e400",
]
ODD_YAML += [
    "9" * 40,
    ".nan",
    ".inf",
    "-1",
    "0",
    "true",
    "x",
    "é",
    "\x1b",
    "\x00",
    "\ud800",
    '"\\ud800"',
    '"\\0"',
    "0x1",
    "2024-01-01",
]
WORDS = st.sampled_from(ODD_YAML) | st.text(max_size=12)


def mutated(draw: Any, text: str) -> str:
    """Change a text in a few places: characters, lines, their order."""
    lines = text.split("\n")
    for _ in range(draw(st.integers(0, 3))):
        n = draw(st.integers(0, len(lines) - 1))
        how = draw(st.sampled_from(["drop", "twice", "cut", "odd", "value", "indent"]))
        if how == "drop" and len(lines) > 1:
            lines.pop(n)
        elif how == "twice":
            lines.insert(n, lines[n])
        elif how == "cut":
            lines[n] = lines[n][: draw(st.integers(0, 20))]
        elif how == "odd":
            at = draw(st.integers(0, len(lines[n])))
            lines[n] = lines[n][:at] + draw(WORDS) + lines[n][at:]
        elif how == "value":
            lines[n] = f"{lines[n].partition(':')[0]}: {draw(WORDS)}"
        else:
            lines[n] = f"  {lines[n]}"
    return "\n".join(lines)


@cache
def shipped(command: str) -> str:
    return (shipped_root() / "configs" / f"{command}.yaml").read_text(encoding="utf-8")


@cache
def keys_of(command: str) -> tuple[str, ...]:
    def below(value: Any, path: str) -> list[str]:
        here = [path] if path else []
        items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        return here + [found for key, inner in items for found in below(inner, f"{path}.{key}" if path else str(key))]

    return tuple(below(SCHEMAS[command]().model_dump(mode="json"), ""))


COMMANDS = [name for name, schema in SCHEMAS.items() if not any(f.is_required() for f in schema.model_fields.values())]


@st.composite
def configs(draw: Any) -> tuple[str, bytes, list[str]]:
    command = draw(st.sampled_from(COMMANDS))
    text = mutated(draw, shipped(command)) if draw(st.booleans()) else ""
    data = text.encode("utf-8", "surrogatepass") if draw(st.integers(0, 9)) else draw(st.binary(max_size=60))
    keys = st.sampled_from(keys_of(command)) | st.text(max_size=8)
    pairs = draw(st.lists(st.tuples(keys, WORDS | JSON.map(str)), max_size=3))
    return command, data, [f"{key}={value}" for key, value in pairs]


def try_config(folder: Path, command: str, data: bytes, overrides: list[str]) -> None:
    file = folder / "given.yaml"
    file.write_bytes(data)
    outcome("configs", lambda: load_config(file, SCHEMAS[command], overrides), "given.yaml", "--set")


@tried(150)
@given(configs())
def test_any_config_is_settings_or_a_message(tmp_path_factory: pytest.TempPathFactory, given_config):
    try_config(tmp_path_factory.getbasetemp(), *given_config)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@tried(LONG)
@given(configs())
def test_any_of_many_configs_is_settings_or_a_message(tmp_path_factory: pytest.TempPathFactory, given_config):
    try_config(tmp_path_factory.getbasetemp(), *given_config)


HEADERS = [
    "anchor",
    "positive",
    "negative",
    "group",
    "kind",
    "text",
    "label",
    "split",
    "sentence1",
    "sentence2",
    "score",
]
HEADERS += [
    "selected",
    "sex",
    "race",
    "gender",
    "_id",
    "id",
    "query-id",
    "corpus-id",
    "",
    " ",
    "a;b",
    "é",
    "\ufeffanchor",
]
USUAL = [["anchor", "positive"], ["text", "label"], ["sentence1", "sentence2", "score"], ["sex", "selected"], []]
CELLS = (
    st.sampled_from(["nurse", "cook", "1", "0", "0.5", "f", "m", "yes"])
    | st.sampled_from(ODD_TEXTS)
    | st.text(max_size=12)
)


@st.composite
def tables(draw: Any) -> tuple[str, bytes]:
    """A file with a known ending; now and then only bytes."""
    ending = draw(st.sampled_from(["csv", "tsv", "jsonl", "parquet", "csv.gz", "jsonl.gz"]))
    if draw(st.integers(0, 7)) == 0:
        return ending, draw(st.binary(max_size=80))
    header = [*draw(st.sampled_from(USUAL)), *draw(st.lists(st.sampled_from(HEADERS), max_size=2))]
    header = header or ["anchor"]
    cell = CELLS if ending[:3] in {"csv", "tsv"} else CELLS | JSON
    width = st.integers(len(header), len(header)) if draw(st.integers(0, 3)) else st.integers(0, 6)
    rows = [draw(st.lists(cell, min_size=n, max_size=n)) for n in draw(st.lists(width, max_size=8))]
    if ending.startswith("jsonl"):
        lines = [json.dumps(dict(zip(header, row, strict=False))) for row in rows]
        text = "\n".join(lines)
    elif ending == "parquet":
        return ending, parquet(header, rows)
    else:
        mark = draw(st.sampled_from([",", ";", "\t", "|"]))
        quote = draw(st.booleans())
        cells = [[f'"{cell}"' if quote else str(cell) for cell in row] for row in [header, *rows]]
        text = draw(st.sampled_from(["", "\ufeff", "sep=;\n", "Title\n\n"])) + "\n".join(
            mark.join(row) for row in cells
        )
    text = mutated(draw, text) if draw(st.booleans()) else text
    data = text.encode(draw(st.sampled_from(["utf-8", "utf-8", "utf-16", "cp1252"])), "replace")
    if ending.endswith(".gz") and draw(st.booleans()):
        import gzip

        data = gzip.compress(data)[: draw(st.sampled_from([5, 20, 10**6]))]
    return ending, data


def parquet(header: list[str], rows: list[list[Any]]) -> bytes:
    columns = {name: [row[n] if n < len(row) else None for row in rows] for n, name in enumerate(header)}
    try:
        return parquet_of(pa.table({name: pa.array(values) for name, values in columns.items()}))
    except (pa.ArrowException, OverflowError, UnicodeEncodeError, ValueError, TypeError):
        # Arrow has no type for these values, or Parquet none for that of Arrow (a structure without a field).
        plain = {name: [None if v is None else ascii(v) for v in values] for name, values in columns.items()}
        return parquet_of(pa.table(plain))


def parquet_of(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return sink.getvalue().to_pybytes()


READERS = ["pairs", "similarity", "labels", "decisions"]
GOOD = {
    "pairs": [
        ["anchor", "positive", "group"],
        ["nurse", "works in a hospital", "1"],
        ["cook", "works in a kitchen", "2"],
    ],
    "similarity": [["sentence1", "sentence2", "score"], ["nurse", "carer", "0.9"], ["nurse", "cook", "0.1"]],
    "labels": [["text", "label", "split"], ["nurse", "care", "train"], ["a cook", "food", "train"]],
    "decisions": [["sex", "race", "selected"], ["f", "a", "1"], ["m", "b", "0"]],
}


@st.composite
def nearly_good_tables(draw: Any) -> tuple[str, str, bytes]:
    """A table that a reader takes, with at most one thing wrong or only unusual in it."""
    reader = draw(st.sampled_from(READERS))
    header, *kinds = GOOD[reader]
    many = draw(st.integers(4, 12))
    rows = [list(kinds[n % 2]) for n in range(many)]
    for n, row in enumerate(rows):
        row[0] += f" {n}" * (reader != "decisions")
    cells = [list(header), *rows]
    how = draw(st.sampled_from(["none", "none", "cell", "cell", "row", "column", "header", "order", "twice", "text"]))
    line, column = draw(st.integers(1, many)), draw(st.integers(0, len(header) - 1))
    if how == "cell":
        cells[line][column] = draw(CELLS)
    elif how == "row":
        cells[line] = draw(st.lists(CELLS, max_size=5))
    elif how == "column":
        cells = [[cell for n, cell in enumerate(row) if n != column] for row in cells]
    elif how == "header":
        cells[0][column] = draw(st.sampled_from(HEADERS))
    elif how == "order":
        cells = [row[::-1] for row in cells]
    elif how == "twice":
        cells.append(cells[line])
    ending = draw(st.sampled_from(["csv", "tsv", "jsonl", "parquet"]))
    if ending == "parquet":
        return reader, ending, parquet(cells[0], cells[1:])
    if ending == "jsonl":
        text = "\n".join(json.dumps(dict(zip(cells[0], row, strict=False))) for row in cells[1:])
    else:
        mark = "\t" if ending == "tsv" else draw(st.sampled_from([",", ";", "\t"]))
        text = "\n".join(mark.join(f'"{cell}"' for cell in row) for row in cells) + "\n"
    text = mutated(draw, text) if how == "text" else text
    return reader, ending, text.encode("utf-8", "replace")


def try_table(folder: Path, ending: str, data: bytes, readers: list[str] = READERS, what: str = "") -> None:
    file = folder / f"rows.{ending}"
    file.write_bytes(data)
    runs = Workspace(folder / "runs")
    schema = SCHEMAS["data-import-table"]
    config = schema.model_validate({"source": str(file), "max_rejected": 1.0})
    audit = {"model": None, "decisions": {"path": str(file), "attributes": ["sex"]}, "fail_on": "never"}
    calls = {
        "pairs": lambda: run_import_table(config, runs),
        "similarity": lambda: read_pair_task(file, "t"),
        "labels": lambda: read_label_task(file, "t", "classification"),
        "decisions": lambda: run_bias_audit(AuditConfig.model_validate(audit), runs),
    }
    for reader in readers:
        outcome(f"{what}{reader}", calls[reader], "rows.")
    shutil.rmtree(folder / "runs", ignore_errors=True)


@tried(25)
@given(tables())
def test_any_table_is_read_or_a_message(tmp_path_factory: pytest.TempPathFactory, table):
    try_table(tmp_path_factory.mktemp("table"), *table)


@tried(60)
@given(nearly_good_tables())
def test_a_nearly_good_table_is_read_or_a_message(tmp_path_factory: pytest.TempPathFactory, table):
    reader, ending, data = table
    try_table(tmp_path_factory.mktemp("table"), ending, data, [reader], "nearly good ")


@pytest.mark.slow
@pytest.mark.timeout(3600)
@tried(LONG // 2)
@given(nearly_good_tables())
def test_any_of_many_nearly_good_tables_is_read_or_a_message(tmp_path_factory: pytest.TempPathFactory, table):
    reader, ending, data = table
    try_table(tmp_path_factory.mktemp("table"), ending, data, [reader], "nearly good ")


@pytest.mark.slow
@pytest.mark.timeout(3600)
@tried(LONG // 4)
@given(tables())
def test_any_of_many_tables_is_read_or_a_message(tmp_path_factory: pytest.TempPathFactory, table):
    try_table(tmp_path_factory.mktemp("table"), *table)


@st.composite
def beir_folders(draw: Any) -> dict[str, bytes | None]:
    """Files of a task, some of them changed, gone or only bytes."""
    rows = [{"_id": key, "text": text} for key, text in DOCUMENTS.items()]
    asked = [{"_id": key, "text": text, "group": group} for key, (text, group) in QUERIES.items()]
    judged = "".join(f"{q}\t{d}\t{grade}\n" for q, found in QRELS.items() for d, grade in found.items())
    files = {
        "corpus.jsonl": "\n".join(json.dumps(row) for row in rows),
        "queries.jsonl": "\n".join(json.dumps(row) for row in asked),
        "qrels/test.tsv": "query-id\tcorpus-id\tscore\n" + judged,
    }
    made: dict[str, bytes | None] = {}
    for name, text in files.items():
        how = draw(st.sampled_from(["whole", "whole", "mutated", "mutated", "json", "bytes", "gone"]))
        if how == "json" and name.endswith(".jsonl"):
            row = draw(st.dictionaries(st.sampled_from(["_id", "text", "title", "group"]), JSON, max_size=4))
            text += "\n" + json.dumps(row)
        if how == "bytes":
            made[name] = draw(st.binary(max_size=60))
        else:
            made[name] = (
                None if how == "gone" else (mutated(draw, text) if how == "mutated" else text).encode(errors="replace")
            )
    return made


def try_beir(folder: Path, files: dict[str, bytes | None]) -> None:
    (folder / "qrels").mkdir(exist_ok=True)
    for name, data in files.items():
        if data is not None:
            (folder / name).write_bytes(data)
    outcome("BEIR folders", lambda: read_task(folder, None), folder.name)


@tried(120)
@given(beir_folders())
def test_any_beir_folder_is_a_task_or_a_message(tmp_path_factory: pytest.TempPathFactory, files):
    try_beir(tmp_path_factory.mktemp("beir"), files)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@tried(LONG)
@given(beir_folders())
def test_any_of_many_beir_folders_is_a_task_or_a_message(tmp_path_factory: pytest.TempPathFactory, files):
    try_beir(tmp_path_factory.mktemp("beir"), files)


def changed(draw: Any, content: Any) -> Any:
    """Put odd values at a few places of a JSON value."""
    content = json.loads(json.dumps(content))
    for _ in range(draw(st.integers(1, 3))):
        place = content
        while True:
            keys = (
                list(place) if isinstance(place, dict) else list(range(len(place))) if isinstance(place, list) else []
            )
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if not isinstance(place[key], dict | list) or not place[key] or draw(st.booleans()):
                place[key] = draw(JSON)
                break
            place = place[key]
    return content


MANIFEST = {
    "format": 1,
    "command": "eval",
    "status": "ok",
    "started": "2026-03-01T10:15:00+00:00",
    "seeds": {"bootstrap": 13},
    "versions": {"hrembed": "0.1"},
    "machine": {"platform": "x", "machine": "y", "cores": 2},
    "working_directory_git": {"commit": "a", "dirty": False},
    "inputs": {"task": {"path": "task", "sha256": "0"}},
    "models": {"bm25": {"identity": "i", "source": "s"}},
    "outputs": {},
    "seconds": 1.0,
}
SCORE = {"value": 0.5, "interval": [0.4, 0.6], "n": 3, "unit": "queries"}
METRICS = {"schema": 1, "verdict": "pass", "scores": {"t": {"m": {"ndcg@10": SCORE}}}}
CASE = {"query": "q", "text": "x", "value": 0.1, "ranked_first": [], "should_have": []}
CASES = {"t": {"worst": {"m": [CASE]}, "won_and_lost": {}}}


@st.composite
def run_folders(draw: Any) -> dict[str, bytes]:
    """A run folder with odd JSON in it, whose manifest may vouch for it all the same."""
    files: dict[str, bytes] = {}
    for name, content in {"metrics.json": METRICS, "cases.json": CASES, "config.yaml": {"models": []}}.items():
        if draw(st.booleans()):
            text = json.dumps(changed(draw, content) if draw(st.booleans()) else draw(JSON))
            files[name] = text.encode() if draw(st.integers(0, 5)) else draw(st.binary(max_size=20))
    manifest = {**MANIFEST, "outputs": {name: name for name in files}}
    how = draw(st.sampled_from(["whole", "changed", "changed", "cut", "bytes", "deep"]))
    text = json.dumps(changed(draw, manifest) if how == "changed" else manifest)
    files["manifest.json"] = text.encode()
    if how == "cut":
        files["manifest.json"] = text.encode()[: draw(st.integers(0, len(text)))]
    elif how == "bytes":
        files["manifest.json"] = draw(st.binary(max_size=60))
    elif how == "deep":
        files["manifest.json"] = b"[" * 20_000
    return files


def try_run(root: Path, files: dict[str, bytes]) -> None:
    whole, odd = root / "eval" / "whole", root / "eval" / "odd"
    for folder in (whole, odd):
        folder.mkdir(parents=True)
    (whole / "manifest.json").write_text(json.dumps(MANIFEST), encoding="utf-8")
    for name, data in files.items():
        (odd / name).write_bytes(data)
    text = files["manifest.json"].decode("utf-8", "replace")
    for name in files:  # the manifest vouches for what lies there
        text = text.replace(f'"{name}": "{name}"', f'"{name}": "{sha256(odd / name)}"')
    (odd / "manifest.json").write_bytes(text.encode() if "\ufffd" not in text else files["manifest.json"])
    listed = list_runs(root, None)
    assert len(listed.metrics.runs) == 2
    report_runs(root, [])
    TALLY["runs: result"] += 2
    for call in (
        lambda: show_run(root, "odd"),
        lambda: diff_runs(root, "whole", "odd"),
        lambda: report_runs(root, ["eval/odd"]),
        lambda: find_run(root, "eval/latest"),
    ):
        outcome("runs", call, "odd", "whole", "eval")


@tried(40)
@given(run_folders())
def test_any_run_folder_is_shown_or_a_message_and_hides_no_other(tmp_path_factory: pytest.TempPathFactory, files):
    try_run(tmp_path_factory.mktemp("runs"), files)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@tried(LONG // 3)
@given(run_folders())
def test_any_of_many_run_folders_is_shown_or_a_message(tmp_path_factory: pytest.TempPathFactory, files):
    try_run(tmp_path_factory.mktemp("runs"), files)


MODEL_FILES = {
    "tiny": [
        "config.json", "modules.json", "tokenizer.json", "tokenizer_config.json", "1_Pooling/config.json",
        "model.safetensors", "config_sentence_transformers.json", "sentence_bert_config.json",
    ],
    "dense": ["2_Dense/config.json", "2_Dense/model.safetensors", "modules.json", "1_Pooling/config.json"],
    "adapter": ["adapter_config.json", "adapter_model.safetensors", "modules.json"],
    "static": ["config.json", "tokenizer.json", "model.safetensors"],
    "graph": ["openvino/openvino_model.xml", "openvino/openvino_model.bin"],  # of an export
}  # fmt: skip
ODD_KEYS = ["hidden_size", "vocab_size", "num_attention_heads", "num_hidden_layers", "max_seq_length", "query_length"]
ODD_KEYS += ["pooling_mode", "truncate_dim", "model_args", "processing_kwargs", "prompts", "in_features", "max_length"]


def with_dense(source: Path, folder: Path) -> Path:
    """A copy of a model with a Dense module behind its pooling."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Dense

    model = SentenceTransformer(str(source), device="cpu")
    model.append(Dense(32, 16, activation_function=torch.nn.Identity()))
    model.save_pretrained(str(folder), create_model_card=False)
    return folder


@pytest.fixture(scope="module")
def models(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Model folders of each kind."""
    from sentence_transformers import SentenceTransformer

    root = tmp_path_factory.mktemp("kinds")
    write_export(SentenceTransformer(str(tiny_model), device="cpu"), root / "graph", "openvino")
    return {
        "tiny": tiny_model,
        "dense": with_dense(tiny_model, root / "dense"),
        "adapter": with_adapter(tiny_model, root / "adapter"),
        "static": static_folder(root / "static"),
        "graph": root / "graph",
    }


@st.composite
def damages(draw: Any, kinds: list[str]) -> tuple[str, str, str, Any]:
    """What is done to which file of a model of which kind; most often one value is changed."""
    kind = draw(st.sampled_from(kinds))
    name = draw(st.sampled_from(MODEL_FILES[kind]))
    how = draw(st.sampled_from(["value", "value", "value", "changed", "key", "cut", "bytes", "gone", "other", "none"]))
    if how in {"value", "changed", "key"} and not name.endswith(".json"):
        how = "cut"
    return kind, name, how, draw(st.data())


def damage_file(file: Path, how: str, draw: Any) -> None:
    if how in {"value", "changed", "key"} and file.is_file():
        content = json.loads(file.read_text(encoding="utf-8"))
        if how == "key" and isinstance(content, dict):
            content[draw(st.sampled_from(ODD_KEYS))] = draw(st.sampled_from(ODD_VALUES))
        elif how == "value" and isinstance(content, dict) and content:
            content[draw(st.sampled_from(list(content)))] = draw(st.sampled_from(ODD_VALUES))
        else:
            content = changed(draw, content)
        file.write_text(json.dumps(content), encoding="utf-8")
    elif how == "cut" and file.is_file():
        file.write_bytes(file.read_bytes()[: draw(st.integers(0, 400))])
    elif how == "gone" and file.is_file():
        file.unlink()
    elif how == "other":
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(draw(JSON)), encoding="utf-8")
    elif how == "bytes":
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(draw(st.binary(max_size=40)))


def try_model(folder: Path, models: dict[str, Path], damage: tuple[str, str, str, Any]) -> None:
    kind, name, how, data = damage
    copy = folder / "damaged"
    shutil.copytree(models[kind], copy)
    damage_file(copy / name, how, data.draw)

    def use() -> None:
        if kind == "graph":
            backend = TransformerBackend(lambda: open_export(copy, threads=1), identity="", source=str(copy))
            backend.embed(["nurse", "cook"], "query", "")
        else:
            encoder = open_encoder(ModelSection(ref=f"path:{copy}"), Workspace(folder / "runs"))
            encoder.vectors(["nurse", "cook"], "query")

    outcome(f"model folders ({kind})", use, "damaged")
    shutil.rmtree(folder, ignore_errors=True)


@tried(8)
@given(damages(["tiny", "static"]))
@pytest.mark.filterwarnings("ignore")
def test_any_damaged_model_gives_vectors_or_a_message(
    tmp_path_factory: pytest.TempPathFactory, tiny_model: Path, damage
):
    root = tmp_path_factory.mktemp("model")
    try_model(root, {"tiny": tiny_model, "static": static_folder(root / "static")}, damage)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.filterwarnings("ignore")
@tried(LONG // 4)
@given(damages(list(MODEL_FILES)))
def test_any_of_many_damaged_models_gives_vectors_or_a_message(
    tmp_path_factory: pytest.TempPathFactory, models: dict[str, Path], damage
):
    try_model(tmp_path_factory.mktemp("model"), models, damage)


@pytest.fixture(scope="module", autouse=True)
def tally() -> Any:
    """Say how many inputs were tried, for `pytest -s`."""
    yield
    print("\n" + "\n".join(f"{name}: {count}" for name, count in sorted(TALLY.items())))  # noqa: T201 - for the report
