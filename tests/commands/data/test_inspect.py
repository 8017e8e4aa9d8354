"""`hrembed data inspect` end to end: tokens of a real tokenizer, tasks, tables, bad input."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from hrembed.cli.app import main
from hrembed.commands.data import inspect as data_inspect
from hrembed.commands.data.inspect import run_inspect
from hrembed.config.data import DataInspectConfig
from hrembed.data.pairs import write_pairs
from hrembed.files import sha256
from hrembed.runs.workspace import Workspace
from hrembed.types import Pair

from conftest import jsonl

# The tiny tokenizer has one token for each letter, and two around the text.
PAIRS = [
    Pair("abc", "de", group="g", kind="title", anchor_id="a1"),
    Pair("abc", "f gh ij k", group="g", kind="title"),
    Pair("x" * 63, "de", group="h", kind="ad"),
    Pair("y" * 62, "de", kind="ad"),
]


@pytest.fixture
def pairs_of_four(tmp_path: Path) -> Path:
    return jsonl(tmp_path / "four.jsonl", [asdict(pair) for pair in PAIRS])


def inspect(tmp_path: Path, capsys, source: Path, *settings: str) -> tuple[Path, dict]:
    """Run the command; give its folder and what stands in `metrics.json`."""
    sets = [word for setting in settings for word in ("--set", setting)]
    assert main(["data", "inspect", str(source), *sets, "--runs-dir", str(tmp_path / "runs"), "--quiet"]) == 0
    run = Path(capsys.readouterr().out.strip())
    return run, json.loads((run / "metrics.json").read_text(encoding="utf-8"))


def test_tokens_are_those_of_the_model_and_its_limit(tmp_path: Path, capsys, pairs_of_four: Path, tiny_model: Path):
    _, metrics = inspect(tmp_path, capsys, pairs_of_four, f"model=path:{tiny_model}")
    lengths = metrics["lengths"]
    assert (lengths["unit"], lengths["limit"]) == ("tokens", 64)
    anchors, positives = lengths["sides"]["anchors"], lengths["sides"]["positives"]
    assert {key: anchors[key] for key in ("rows", "texts", "min", "median", "max", "cut", "cut_share")} == {
        "rows": 4, "texts": 4, "min": 5, "median": 34.5, "max": 65, "cut": 1, "cut_share": 0.25,
    }  # fmt: skip
    assert (positives["min"], positives["median"], positives["max"], positives["cut"]) == (4, 4, 8, 0)
    assert anchors["kinds"]["title"]["texts"] == anchors["kinds"]["ad"]["texts"] == 2
    assert (anchors["kinds"]["title"]["max"], anchors["kinds"]["ad"]["min"]) == (5, 64)


def test_the_model_cuts_just_what_is_counted_as_cut(tmp_path: Path, capsys, pairs_of_four: Path, tiny_model: Path):
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(tiny_model), device="cpu")
    assert model.max_seq_length == 64
    for text in {pair.anchor for pair in PAIRS}:
        seen = int(model.tokenize([text])["attention_mask"].sum())
        _, metrics = inspect(
            tmp_path, capsys, jsonl(tmp_path / "one.jsonl", [{"anchor": text, "positive": "de"}]),
            f"model=path:{tiny_model}", "language_sample=0",
        )  # fmt: skip
        found = metrics["lengths"]["sides"]["anchors"]
        assert min(found["max"], 64) == seen
        assert found["cut"] == (found["max"] > seen)


def test_weights_are_never_read(tmp_path: Path, capsys, pairs_of_four: Path, tiny_model: Path):
    folder = tmp_path / "broken"
    shutil.copytree(tiny_model, folder)
    (folder / "model.safetensors").write_bytes(b"no weights")
    run, metrics = inspect(tmp_path, capsys, pairs_of_four, f"model=path:{folder}")
    assert metrics["lengths"]["sides"]["anchors"]["max"] == 65
    assert json.loads((run / "manifest.json").read_text())["models"]["tokenizer"]["source"] == str(folder)


def test_a_plain_checkpoint_is_limited_by_its_positions(tmp_path: Path, capsys, pairs_of_four: Path, tiny_model: Path):
    plain = tmp_path / "plain"
    shutil.copytree(tiny_model, plain)
    (plain / "modules.json").unlink()
    settings = json.loads((plain / "tokenizer_config.json").read_text())
    (plain / "tokenizer_config.json").write_text(json.dumps({**settings, "model_max_length": 512}))
    assert inspect(tmp_path, capsys, pairs_of_four, f"model=path:{plain}")[1]["lengths"]["limit"] == 128
    (plain / "sentence_bert_config.json").write_text('{"max_seq_length": 32}')
    _, metrics = inspect(tmp_path, capsys, pairs_of_four, f"model=path:{plain}")
    assert metrics["lengths"]["limit"] == 32
    assert metrics["lengths"]["sides"]["anchors"]["cut"] == 2


def test_words_are_counted_without_any_model(tmp_path: Path, capsys, pairs_of_four: Path):
    _, metrics = inspect(tmp_path, capsys, pairs_of_four, "model=bm25")
    lengths = metrics["lengths"]
    assert (lengths["model"], lengths["unit"], lengths["limit"]) == ("bm25", "words", None)
    assert lengths["sides"]["positives"]["max"] == 4
    assert lengths["sides"]["positives"]["cut"] is None


def test_the_run_folder_holds_numbers_examples_and_a_picture(tmp_path: Path, capsys, pairs_of_four: Path):
    run, metrics = inspect(tmp_path, capsys, pairs_of_four, "model=bm25", "seed=7")
    manifest = json.loads((run / "manifest.json").read_text())
    assert set(manifest["outputs"]) == {"config.yaml", "metrics.json", "examples.jsonl", "inspect.png"}
    assert manifest["seeds"] == {"sample": 7}
    assert manifest["inputs"]["source"]["sha256"] == sha256(pairs_of_four)
    rows = [json.loads(line) for line in (run / "examples.jsonl").read_text().splitlines()]
    texts = ("anchor", "positive", "negatives")
    expected = [
        {"row": n, **{key: value for key, value in asdict(pair).items() if key not in texts}}
        for n, pair in enumerate(PAIRS, start=1)
    ]
    assert sorted(rows, key=lambda row: row["row"]) == expected
    assert metrics["group_sizes"]["groups"] == 2
    written = (run / "metrics.json").read_text() + (run / "log.txt").read_text() + json.dumps(manifest)
    assert "gh ij" not in written


PERSON = {
    "anchor": "Person for the front desk",
    "positive": "Writes to j.tove@example.com daily",
    "negative": "Call 020 7946 0991, ask for the head",
    "anchor_id": "a1",
}


def test_texts_are_shown_only_when_asked_and_after_redaction(tmp_path: Path, capsys):
    source = jsonl(tmp_path / "p.jsonl", [PERSON])
    argv = ["data", "inspect", str(source), "--runs-dir", str(tmp_path / "runs"), "--set", "model=bm25"]
    written = {}
    for asked in ("false", "true"):
        before = set((tmp_path / "runs").glob("data-inspect/*"))
        assert main([*argv, "--set", f"show_text={asked}"]) == 0
        shown = capsys.readouterr().out
        [run] = set((tmp_path / "runs").glob("data-inspect/*")) - before
        written[asked] = (run / "examples.jsonl").read_text(encoding="utf-8")
        for secret in ("j.tove", "7946"):
            assert secret not in shown + written[asked]
        said = {"false": "show_text: true", "true": "no name inside a sentence"}[asked]
        assert said in " ".join(shown.split())
    row = json.loads(written["false"])
    assert not {"anchor", "positive", "negative"} & set(row)
    assert (row["row"], row["anchor_id"]) == (1, "a1")
    row = json.loads(written["true"])
    assert row["positive"] == "Writes to [EMAIL] daily"
    assert row["negative"] == ["Call [PHONE], ask for the head"]


def test_ten_examples_of_each_kind(tmp_path: Path, capsys):
    rows = [{"anchor": f"a{n}", "positive": f"p{n}", "kind": "rare" if n % 25 == 0 else "many"} for n in range(100)]
    run, _ = inspect(tmp_path, capsys, jsonl(tmp_path / "p.jsonl", rows), "model=bm25")
    kinds = [json.loads(line)["kind"] for line in (run / "examples.jsonl").read_text().splitlines()]
    assert kinds == ["many"] * 10 + ["rare"] * 4


def test_the_config_of_a_run_repeats_it_byte_for_byte(tmp_path: Path, capsys, task: Path, tiny_model: Path):
    first, _ = inspect(tmp_path, capsys, task, f"model=path:{tiny_model}")
    argv = ["data", "inspect", "--config", str(first / "config.yaml"), "--runs-dir", str(tmp_path / "runs"), "--quiet"]
    assert main(argv) == 0
    second = Path(capsys.readouterr().out.strip())
    assert second != first
    for name in ("config.yaml", "metrics.json", "examples.jsonl", "inspect.png"):
        assert (first / name).read_bytes() == (second / name).read_bytes()


@pytest.mark.parametrize("form", ["csv", "parquet", "run folder"])
def test_every_form_of_pairs_gives_the_same_numbers(tmp_path: Path, capsys, pairs_of_four: Path, form: str):
    rows = [asdict(pair) for pair in PAIRS]
    source = tmp_path / f"pairs.{form}"
    if form == "csv":
        with source.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, rows[0])
            writer.writeheader()
            writer.writerows(rows)
    elif form == "parquet":
        write_pairs(source, PAIRS)
    else:
        source = tmp_path / "earlier-run"
        write_pairs(source / "pairs.parquet", PAIRS)
    expected = inspect(tmp_path, capsys, pairs_of_four, "model=bm25")[1]
    assert inspect(tmp_path, capsys, source, "model=bm25")[1] == expected


def test_a_task_is_described_with_all_its_splits(tmp_path: Path, capsys, task: Path):
    qrels = task / "qrels"
    (qrels / "dev.tsv").write_text("query-id\tcorpus-id\tscore\nq3\td3\t2\nq3\td4\t1\n", encoding="utf-8")
    lines = (qrels / "test.tsv").read_text().splitlines(keepends=True)
    (qrels / "test.tsv").write_text("".join(line for line in lines if not line.startswith("q3") and "d6" not in line))
    run, metrics = inspect(tmp_path, capsys, task, "model=bm25")
    counts = metrics["counts"]
    assert (counts["queries"], counts["documents"], counts["judgements"]) == (4, 6, 7)
    assert counts["grades"] == {"1": 4, "2": 3}
    assert counts["documents_never_judged"] == 1
    assert counts["relevant_per_query"] == {"min": 1, "median": 2, "p95": 2, "max": 2}
    sides = metrics["lengths"]["sides"]
    assert (sides["queries"]["max"], sides["documents"]["min"]) == (6, 4)
    rows = [json.loads(line) for line in (run / "examples.jsonl").read_text().splitlines()]
    best = sorted((row["query_id"], row["document_id"], row["grade"]) for row in rows)
    assert best == [("q1", "d1", 2), ("q2", "d2", 2), ("q3", "d3", 2), ("q4", "d5", 1)]


def test_only_a_sample_of_rows_is_measured_when_texts_are_many(tmp_path: Path, pairs_of_four: Path, monkeypatch):
    rows = [{"anchor": f"same text of {n % 2}", "positive": " ".join(["word"] * (n + 1))} for n in range(100)]
    config = DataInspectConfig(source=str(jsonl(tmp_path / "p.jsonl", rows)), model="bm25")
    monkeypatch.setattr(data_inspect, "_CHARACTERS", 13_000)
    result = run_inspect(config, Workspace(tmp_path))
    found = result.metrics.lengths.sides["positives"]
    assert found.rows == 100
    assert 45 <= found.texts <= 50
    assert 1 <= found.min < found.median < found.max <= 100
    assert "Lengths in words of bm25, of a sample (no limit)" in result.tables
    whole = run_inspect(config.model_copy(update={"source": str(pairs_of_four)}), Workspace(tmp_path))
    assert "Lengths in words of bm25 (no limit)" in whole.tables


def test_the_terminal_shows_what_was_found(tmp_path: Path, capsys, pairs_of_four: Path, tiny_model: Path):
    argv = ["data", "inspect", str(pairs_of_four), "--set", f"model=path:{tiny_model}", "--runs-dir", str(tmp_path)]
    assert main([*argv, "--set", "show_text=true", "--verbose"]) == 0
    shown = capsys.readouterr().out
    assert "the model cuts above 64" in shown
    assert "1 (25.0%)" in shown
    assert "title: 2, ad: 2" in shown or "ad: 2, title: 2" in shown
    assert "under four words: not asked" in shown
    assert "x" * 57 + "…" in shown
    assert "x" * 58 not in shown


def test_data_without_groups_has_no_table_of_them(tmp_path: Path):
    source = jsonl(tmp_path / "p.jsonl", [{"anchor": "a", "positive": "b"}])
    result = run_inspect(DataInspectConfig(source=str(source), model="bm25"), Workspace(tmp_path))
    assert np.isnan(result.metrics.group_sizes.largest_share)
    assert not any("Group" in title for title in result.tables)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ('{"anchor": "a"}\n', "p.jsonl:1: column 'positive'"),
        (
            '{"anchor": "a", "positive": "b"}\n{"anchor": " ", "positive": "b"}\n',
            "p.jsonl:2: column 'anchor': expected non-empty text, got a blank one",
        ),
        ("{", "not valid JSON"),
    ],
)
def test_broken_pairs_end_with_three(tmp_path: Path, capsys, content: str, message: str):
    (tmp_path / "p.jsonl").write_text(content, encoding="utf-8")
    argv = ["data", "inspect", str(tmp_path / "p.jsonl"), "--set", "model=bm25", "--runs-dir", str(tmp_path / "runs")]
    assert main(argv) == 3
    assert message in " ".join(capsys.readouterr().err.split())
    assert not list(tmp_path.rglob("*.png"))


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ((), "neither a task"),
        (("corpus.jsonl",), "has no folder `qrels`"),
        (("corpus.jsonl", "qrels/"), "specify a split; available: none"),
    ],
)
def test_a_folder_that_is_nothing_ends_with_three(tmp_path: Path, capsys, parts: tuple[str, ...], message: str):
    folder = tmp_path / "folder"
    folder.mkdir()
    for part in parts:
        (folder / part).mkdir() if part.endswith("/") else jsonl(folder / part, [{"_id": "d", "text": "t"}])
    argv = ["data", "inspect", str(folder), "--set", "model=bm25", "--runs-dir", str(tmp_path / "runs")]
    assert main(argv) == 3
    assert message in " ".join(capsys.readouterr().err.split())


def test_a_damaged_tokenizer_ends_with_four(tmp_path: Path, capsys, pairs_of_four: Path, tiny_model: Path):
    folder = tmp_path / "damaged"
    shutil.copytree(tiny_model, folder)
    (folder / "tokenizer.json").write_text("{", encoding="utf-8")
    argv = [
        "data",
        "inspect",
        str(pairs_of_four),
        "--set",
        f"model=path:{folder}",
        "--runs-dir",
        str(tmp_path / "runs"),
    ]
    assert main(argv) == 4
    assert "tokenizer.json' cannot be read" in capsys.readouterr().err


def test_texts_that_look_like_markup_are_shown_as_they_are(capsys, tmp_path):
    file = jsonl(tmp_path / "p.jsonl", [{"anchor": "a [/b] c", "positive": "[red]x"}])
    settings = ["--set", "model=bm25", "--set", "show_text=true", "--verbose"]
    assert main(["data", "inspect", str(file), *settings, "--runs-dir", str(tmp_path / "runs")]) == 0
    shown = capsys.readouterr().out
    assert "a [/b] c" in shown
    assert "[red]x" in shown
