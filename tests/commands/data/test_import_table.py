"""`data import table` from the command line."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hrembed.cli.app import main
from hrembed.data.pairs import read_pairs
from hrembed.files import sha256
from miniatures import run_import as run
from miniatures import table

MAPPED = "columns={anchor: title, positive: text, group: job, anchor_id: id}"


@pytest.fixture
def jobs(tmp_path: Path) -> Path:
    file = tmp_path / "jobs.csv"
    file.write_text(
        "title,text,job,id\nNurse,Cares,j1,1\nBaker,Bakes,j2,2\nNurse,Cares,j1,1\nsecret words,,j3,3\n"
        "Cook,Cooks,j4,2\nDriver,Drives\nWaiter,Serves,j5,5\n",
        encoding="utf-8",
    )
    return file


def test_bad_rows_are_listed_and_good_ones_are_kept(capsys, tmp_path, jobs):
    earlier, _, _ = run(capsys, tmp_path, "table", str(jobs), "--set", MAPPED, "--set", "max_rejected=3")
    before = sha256(earlier / "pairs.parquet")
    _, _, said = run(capsys, tmp_path, "table", str(jobs), "--set", MAPPED, code=3)
    assert f"{jobs}:5: column 'text': expected non-empty text, got a blank one (3 rows were rejected)" in said
    assert "to accept this, pass `--set max_rejected=3`" in said
    (later,) = [path for path in (tmp_path / "runs" / "data-import-table").iterdir() if path != earlier]
    assert [pair.anchor for pair in read_pairs(later)] == ["Nurse", "Baker", "Waiter"]
    rejected = [json.loads(line) for line in (later / "rejected.jsonl").read_text().splitlines()]
    assert sorted((row["number"], row["column"]) for row in rejected) == [(5, "text"), (6, "id"), (7, "job")]
    assert {"its id is already used for a different text in row 3"} < {row["reason"] for row in rejected}
    assert "secret" not in (later / "rejected.jsonl").read_text() + (later / "log.txt").read_text()
    assert json.loads((later / "manifest.json").read_text())["status"] == "failed"
    assert sha256(earlier / "pairs.parquet") == before


def test_repeated_pairs_are_left_out_and_counted(capsys, tmp_path, jobs):
    _, metrics, _ = run(capsys, tmp_path, "table", str(jobs), "--set", MAPPED, "--set", "max_rejected=3")
    assert metrics == {"schema": 1, "rows": 7, "pairs": 3, "repeated": 1, "missing": 0, "rejected": 3}


def test_a_clean_table_has_no_file_of_rejects_and_a_kind(capsys, tmp_path):
    file = tmp_path / "t.jsonl"
    file.write_text('{"anchor": "a", "positive": "b"}\n', encoding="utf-8")
    words = ["--set", "columns={}", "--set", "kind=mine"]
    folder, _, _ = run(capsys, tmp_path, "table", str(file), *words)
    assert [(p.anchor, p.kind) for p in read_pairs(folder)] == [("a", "mine")]
    assert sorted(path.name for path in folder.iterdir()) == [
        "config.yaml", "log.txt", "manifest.json", "metrics.json", "pairs.parquet",
    ]  # fmt: skip


def simple(capsys, tmp_path: Path, file: Path, *words: str, code: int = 0):
    """Import a table of `a` and `b`; give the newest run folder, what it rejected, and what it said."""
    before = set((tmp_path / "runs").rglob("manifest.json"))
    columns = "columns={anchor: a, positive: b, anchor_id: id, group: g, kind: k}"
    _, _, said = run(capsys, tmp_path, "table", str(file), "--set", columns, *words, code=code)
    (manifest,) = set((tmp_path / "runs").rglob("manifest.json")) - before
    rejected = manifest.parent / "rejected.jsonl"
    lines = rejected.read_text(encoding="utf-8").splitlines() if rejected.exists() else []
    return manifest.parent, [tuple(json.loads(line).values()) for line in lines], said


ROWS = [{"a": f"title {n}", "b": f"text {n}", "id": str(n), "g": "x", "k": "title"} for n in range(5)]


def test_every_format_gives_the_same_pairs(capsys, tmp_path):
    table(tmp_path / "t.csv", "a|b|id|g|k", ["|".join(row.values()) for row in ROWS], ",")
    table(tmp_path / "t.tsv", "a|b|id|g|k", ["|".join(row.values()) for row in ROWS])
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    (tmp_path / "t.jsonl.gz").write_bytes(gzip.compress((tmp_path / "t.jsonl").read_bytes()))
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "t.parquet")
    (tmp_path / "hub").mkdir()
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "hub" / "train.parquet")
    found = set()
    for name in ("t.csv", "t.tsv", "t.jsonl", "t.jsonl.gz", "t.parquet", "hub"):
        columns = "columns={anchor: a, positive: b, anchor_id: id, group: g, kind: k}"
        source = f"hf:{tmp_path / name}" if name == "hub" else str(tmp_path / name)
        folder, metrics, _ = run(capsys, tmp_path, "table", source, "--set", columns)
        found.add(sha256(folder / "pairs.parquet"))
        assert metrics["pairs"] == 5
        inputs = json.loads((folder / "manifest.json").read_text())["inputs"]
        assert name == "hub" or inputs["table"]["sha256"] == sha256(tmp_path / name)
    assert len(found) == 1


@pytest.mark.parametrize(
    ("name", "content", "where"),
    [
        ("t.csv", b"a,b\nx,y\nx2,caf\xe9\nx3,y3\n", (3, "b")),
        ("t.csv", b'a,b\nx,y\nx2,"y"2\nx3,y3\n', (3, "b")),
        ("t.csv", b"a,b\nx,y\nx2\nx3,y3\n", (3, "b")),
        ("t.csv", b"a,b\nx,y\n" + b"z" * (5 * 2**20) + b",y2\nx3,y3\n", (3, "a")),
        ("t.jsonl", b'{"a": "x", "b": "y"}\n{"a": "x2", "b": }\n{"a": "x3", "b": "y3"}\n', (2, "b")),
        ("t.jsonl", b'{"a": "x", "b": "y"}\n{"b": "y2"}\n{"a": "x3", "b": "y3"}\n', (2, "a")),
        ("t.jsonl", b'{"a": "x", "b": "y"}\n{"a": "\\ud800", "b": "y2"}\n{"a": "x3", "b": "y3"}\n', (2, "a")),
        ("t.jsonl", b'{"a": "x", "b": "y"}\n{"a": "x\\u0000", "b": "y2"}\n{"a": "x3", "b": "y3"}\n', (2, "a")),
        ("t.jsonl", b'{"a": "x", "b": "y"}\n{"a": "x2", "b": "y2", "g": 1.5}\n{"a": "x3", "b": "y3"}\n', (2, "g")),
    ],
)
def test_a_broken_row_is_listed_and_the_others_are_kept(capsys, tmp_path, name, content, where):
    file = tmp_path / name
    file.write_bytes(content)
    words = ["--set", "columns={anchor: a, positive: b, group: null}"] if name == "t.csv" else []
    folder, rejected, said = simple(capsys, tmp_path, file, *words, code=3)
    assert [pair.anchor for pair in read_pairs(folder)] == ["x", "x3"]
    assert [row[:2] for row in rejected] == [where]
    assert f"{file}:{where[0]}: column '{where[1]}': {rejected[0][2]}" in said
    kept, again, _ = simple(capsys, tmp_path, file, *words, "--set", "max_rejected=1")
    assert sha256(kept / "pairs.parquet") == sha256(folder / "pairs.parquet")
    assert again == rejected


def test_an_id_of_two_texts_names_row_and_column_and_keeps_the_first(capsys, tmp_path):
    file = tmp_path / "t.csv"
    file.write_text("a,b,id,g,k\nNurse,Cares,1,,\nBaker,Bakes,1,,\nNurse,Nurses,1,,\n", encoding="utf-8")
    folder, rejected, said = simple(capsys, tmp_path, file, code=3)
    assert rejected == [(3, "id", "its id is already used for a different text in row 2")]
    assert f"{file}:3: column 'id': its id is already used for a different text in row 2" in said
    assert [(pair.anchor, pair.positive) for pair in read_pairs(folder)] == [("Nurse", "Cares"), ("Nurse", "Nurses")]


def test_a_rejected_row_does_not_make_a_good_one_a_repeat(capsys, tmp_path):
    """Row 3 goes for its id; row 4 says the same without an id and is the only one left to say it."""
    file = tmp_path / "t.csv"
    lines = ["a,b,id,g,k", "Nurse,Cares,1,,", "Baker,Bakes,1,,", "Baker,Bakes,,,", "Baker,Bakes,,,"]
    file.write_text("\n".join(lines), encoding="utf-8")
    folder, rejected, _ = simple(capsys, tmp_path, file, "--set", "max_rejected=1")
    assert [row[0] for row in rejected] == [3]
    assert [pair.anchor for pair in read_pairs(folder)] == ["Nurse", "Baker"]
    assert json.loads((folder / "metrics.json").read_text()) == {
        "schema": 1, "rows": 4, "pairs": 2, "repeated": 1, "missing": 0, "rejected": 1,
    }  # fmt: skip


def test_the_same_texts_of_another_group_or_kind_are_no_repeat(capsys, tmp_path):
    file = tmp_path / "t.csv"
    file.write_text("a,b,id,g,k\nx,y,,1,\nx,y,,2,\nx,y,,1,other\nx,y,,1,\ny,x,,1,\n", encoding="utf-8")
    folder, _, _ = simple(capsys, tmp_path, file, "--set", "kind=mine")
    assert [(pair.anchor, pair.group, pair.kind) for pair in read_pairs(folder)] == [
        ("x", "1", "mine"), ("x", "2", "mine"), ("x", "1", "other"), ("y", "1", "mine"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", b"c;b;id;g;k\n1;x;;;\n", "t.csv:1: column 'a' not found"),
        ("t.csv", b"a,text,id,g,k\n1,x,,,\n", "t.csv:1: column 'b' not found"),
        ("t.csv", b"a,b,id,g,k,caf\xe9,caf\xe9\n", "t.csv:1: header, column 6: byte 0xE9 is not valid utf-8"),
        ("t.csv", b"a,b,id,g,k\n", "t.csv: no rows to import"),
        ("t.csv", b"", "t.csv is empty"),
        ("t.jsonl", b"", "t.jsonl: no rows to import"),
        ("t.jsonl", b'{"x": 1}\n', "t.jsonl:1: column 'a': missing; the row has"),
        ("t.xlsx", b"PK", "t.xlsx' is not a valid spreadsheet"),
        ("t.csv.gz", gzip.compress(b"a,b,id,g,k\n" * 99, mtime=0)[:40], "is not a valid gzip file"),
    ],
)
def test_a_table_that_cannot_be_read_is_refused_in_one_sentence(capsys, tmp_path, name, content, message):
    file = tmp_path / name
    file.write_bytes(content)
    folder, _, said = simple(capsys, tmp_path, file, code=3)
    assert message in said
    assert said.count("hrembed: error:") == 1
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["status"] == "failed"
    assert message in manifest["error"]
    assert not [path for path in folder.iterdir() if "part" in path.name or "unchecked" in path.name]


def test_a_table_of_many_batches_keeps_its_order(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("hrembed.data.repeats._WAITING", 1000)
    file = tmp_path / "t.csv"
    lines = ["a,b,id,g,k", *(f"title {n % 20_003},text {n % 20_003},{n % 20_003},g{n % 7},k" for n in range(45_000))]
    file.write_text("\n".join(lines), encoding="utf-8")
    folder, _, _ = simple(capsys, tmp_path, file)
    pairs = read_pairs(folder)
    expected = dict.fromkeys((f"title {n % 20_003}", f"g{n % 7}") for n in range(45_000))
    assert [(pair.anchor, pair.group) for pair in pairs] == list(expected)


def test_the_runs_folder_may_be_relative(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("t.jsonl").write_text('{"anchor": "a", "positive": "b"}\n', encoding="utf-8")
    assert main(["data", "import", "table", "t.jsonl", "--set", "columns={}", "--quiet"]) == 0
    assert len(read_pairs(Path(capsys.readouterr().out.strip()))) == 1


def test_columns_keep_their_own_names_unless_the_settings_say_another(capsys, tmp_path):
    file = tmp_path / "t.csv"
    file.write_text("query,document,group,note\nNurse,Cares,g1,x\nBaker,N/A,g2,x\n", encoding="utf-8")
    sets = ["--set", "columns.anchor=query", "--set", "columns.positive=document"]
    for words in ([], sets, ["--set", "columns={anchor: query, positive: document}"]):
        folder, counts, said = run(capsys, tmp_path, "table", str(file), *words)
        assert [(pair.anchor, pair.group) for pair in read_pairs(folder)] == [("Nurse", "g1")]
        assert (counts["rows"], counts["pairs"], counts["missing"], counts["rejected"]) == (2, 1, 1, 0)
        assert "not used: column 'note'" in " ".join(said.split())
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        assert manifest["tables"][file.as_posix()]["used"] == ["group", "query", "document"]
    folder, _, said = run(capsys, tmp_path, "table", str(file), "--set", "columns.group=null")
    assert read_pairs(folder)[0].group == ""
    assert "not used: columns 'group', 'note'" in " ".join(said.split())
    said = run(capsys, tmp_path, "table", str(file), "--set", "columns.group=job", code=3)[2]
    assert "column 'job' not found" in said


def test_lists_and_numbered_negatives_are_imported(capsys, tmp_path):
    file = tmp_path / "t.jsonl"
    rows = [{"query": "Nurse", "pos": ["Cares", "Nurses"], "negative_1": "Baker", "negative_2": "Chef"}]
    file.write_text(json.dumps(rows[0]) + "\n", encoding="utf-8")
    folder, counts, _ = run(capsys, tmp_path, "table", str(file))
    assert [(pair.positive, pair.negatives) for pair in read_pairs(folder)] == [
        ("Cares", ("Baker", "Chef")), ("Nurses", ("Baker", "Chef")),
    ]  # fmt: skip
    assert (counts["rows"], counts["pairs"]) == (1, 2)


def test_scored_sentences_become_no_pairs_unless_the_texts_are_named(capsys, tmp_path):
    file = tmp_path / "sts.csv"
    file.write_text("sentence1,sentence2,score\na,b,0.9\nc,d,0.1\n", encoding="utf-8")
    _, _, said = run(capsys, tmp_path, "table", str(file), code=3)
    assert "sts.csv" in said
    assert "score" in said
    run(capsys, tmp_path, "table", str(file), "--set", "columns={anchor: sentence1, positive: sentence2}")
