"""`hrembed data anonymise` from the command line."""

from __future__ import annotations

import csv
import gzip
import io
import json
import logging
import re
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from anonymising import anonymise, metrics
from hrembed.cli.app import main
from hrembed.commands.data.anonymise import scan
from hrembed.config.data import PersonalSection
from hrembed.data.redact import restore
from hrembed.progress import Silent
from places import HR_CORE

if TYPE_CHECKING:
    from pathlib import Path

LOG = logging.getLogger(__name__)
SECRETS = ["Priya Raman", "priya.raman@example.org", "020 7946 0958", "github.com/praman", "12/03/1987"]
FULL = "Priya Raman\npriya.raman@example.org, 020 7946 0958, github.com/praman, DOB 12/03/1987. Mixed plan for cows."
CLEANED = "[NAME]\n[EMAIL], [PHONE], [LINK], DOB [BIRTH_DATE]. Mixed plan for cows."
PLAIN = "Mixed plan for cows from 2015-2019, and fixed C#, .NET and 24/7 cover."


@pytest.fixture
def jsonl(tmp_path: Path) -> Path:
    """Five rows, two with personal data; spellings and spaces as no writer of ours makes them."""
    path = tmp_path / "rows.jsonl"
    path.write_bytes(
        (
            '{"id": 1,"text":   ' + json.dumps(FULL) + ', "n": 1.50}\n'
            "\n"
            '{"text": "caf\\u00e9  \\/ café", "id": 2}\r\n'
            '{"id": 3, "text": null}\n'
            '{"id": 4}\n'
            '{ "note": "unread: a@example.org", '
            '"text": "\\ud83d\\ude00 at https:\\/\\/example.org\\/d\\u00e9j\\u00e0 😀 \\ud83d\\ude00" }'
        ).encode()
    )
    return path


def test_jsonl_keeps_every_byte_but_the_findings(jsonl):
    run = anonymise(jsonl)
    before, after = (path.read_bytes().split(b"\n") for path in (jsonl, run / "rows.jsonl"))
    assert after[1:5] == before[1:5]
    assert after[0] == b'{"id": 1,"text":   ' + json.dumps(CLEANED).encode() + b', "n": 1.50}'
    assert (
        after[5] == '{ "note": "unread: a@example.org", "text": "\\ud83d\\ude00 at [LINK] 😀 \\ud83d\\ude00" }'.encode()
    )
    assert metrics(run) == {
        "schema": 1,
        "file": "rows.jsonl",
        "fields": ["text", "anchor", "positive"],
        "rows": 5,
        "rows_with_any": 2,
        "findings": 6,
        "types": {
            "email": {"count": 1, "rows": 1, "first_rows": [1]},
            "phone": {"count": 1, "rows": 1, "first_rows": [1]},
            "link": {"count": 2, "rows": 2, "first_rows": [1, 6]},
            "birth-date": {"count": 1, "rows": 1, "first_rows": [1]},
            "name": {"count": 1, "rows": 1, "first_rows": [1]},
        },
    }
    found = pq.read_table(run / "findings.parquet").to_pylist()
    assert [(row["row"], row["field"], row["type"]) for row in found] == [
        *((1, "text", type_) for type_ in ("name", "email", "phone", "link", "birth-date")),
        (6, "text", "link"),
    ]
    assert [FULL[row["start"] : row["end"]] for row in found[:5]] == SECRETS


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "utf-8-sig"])
def test_csv_keeps_every_byte_but_the_findings(tmp_path, ending, encoding):
    rows = [
        'id;text;"anchor"',
        f'1;"{FULL}";x',
        f'2;{PLAIN};"said ""no"", twice; café"',
        '',
        '3;"two\nlines, and ""jane@example.org"" inside";""',
        '4;;jane@example.org',
        '5;"";" last "',
    ]  # fmt: skip
    source = tmp_path / "rows.csv"
    source.write_bytes(ending.join(rows).encode(encoding))
    run = anonymise(source, "delimiter=;", f"encoding={encoding}", "fields=[text,anchor]")
    rows[1], rows[4] = f'1;"{CLEANED}";x', '3;"two\nlines, and ""[EMAIL]"" inside";""'
    rows[5] = "4;;[EMAIL]"
    assert (run / "rows.csv").read_bytes() == ending.join(rows).encode(encoding)
    found = pq.read_table(run / "findings.parquet").to_pylist()
    assert [row["row"] for row in found] == [2] * 5 + [6, 8]


@pytest.mark.parametrize("head", [",id,text", "id,,text", "id,note,note,text", "id,text,,"])
def test_a_column_without_a_name_of_its_own_shifts_no_cell(tmp_path, head):
    path = tmp_path / "rows.csv"
    columns = head.split(",")
    cells = [FULL if name == "text" else f"about {n}, as it is" for n, name in enumerate(columns)]
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([columns, cells])
    with (anonymise(path) / "rows.csv").open(newline="", encoding="utf-8") as stream:
        assert [*csv.reader(stream)] == [columns, [CLEANED if name == "text" else cells[n] for n, name in
                                                   enumerate(columns)]]  # fmt: skip


def test_lines_above_the_header_are_cleaned_as_well(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text(f"Export for priya.raman@example.org\n\nid,text\n1,{PLAIN.split(',')[0]}\n", encoding="utf-8")
    run = anonymise(path)
    assert (run / "rows.csv").read_text(encoding="utf-8").startswith("Export for [EMAIL]\n\nid,text\n1,Mixed")
    assert metrics(run)["findings"] == 1


def test_what_cannot_be_cleaned_for_sure_is_refused(tmp_path, capsys):
    path = tmp_path / "rows.csv"
    for content, message in (
        (b"id,text,text\n1,a,b\n", "column 'text' appears twice in the header"),
        (b"id,text\r1,a\r", "files with carriage returns as line endings are not supported for writing"),
    ):
        path.write_bytes(content)
        assert main(["data", "anonymise", str(path), "--runs-dir", str(tmp_path / "runs")]) == 3
        assert message in capsys.readouterr().err


def parquet(path: Path, texts: list[str | None]) -> pa.Table:
    schema = pa.schema(
        [
            pa.field("n", pa.int16()),
            pa.field("text", pa.large_string(), metadata={"note": "kept"}),
            pa.field("anchor", pa.dictionary(pa.int8(), pa.string())),
            pa.field("vector", pa.list_(pa.float32())),
        ],
        metadata={"made": "by hand"},
    )
    columns = [list(range(len(texts))), texts, texts, [[float(n), 0.5] for n in range(len(texts))]]
    table = pa.table([pa.array(c, type=f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)
    pq.write_table(table, path, use_compliant_nested_type=False)
    return table


def test_parquet_keeps_its_schema_and_all_other_values(tmp_path):
    before = parquet(tmp_path / "rows.parquet", [PLAIN, FULL, None, ""])
    run = anonymise(tmp_path / "rows.parquet", "keep_map=true")
    after = pq.read_table(run / "rows.parquet")
    assert after.schema.equals(before.schema, check_metadata=True)
    assert after.select(["n", "vector"]).equals(before.select(["n", "vector"]))
    numbered = re.sub(r"\[(\w+)\]", r"[\1_1]", CLEANED)
    assert after["text"].to_pylist() == after["anchor"].to_pylist() == [PLAIN, numbered, None, ""]
    restore(run / "rows.parquet", tmp_path / "back.parquet", json.loads((run / "map.json").read_text()))
    assert pq.read_table(tmp_path / "back.parquet").equals(before, check_metadata=True)


def test_clean_parquet_stays_equal(tmp_path):
    before = parquet(tmp_path / "rows.parquet", [PLAIN, None])
    after = pq.read_table(anonymise(tmp_path / "rows.parquet") / "rows.parquet")
    assert after.equals(before, check_metadata=True)


def test_rows_of_a_long_parquet_file_are_counted_on(tmp_path):
    texts = ["a"] * 25_000
    texts[15_000] = "jane@example.org"
    pq.write_table(pa.table({"text": texts}), tmp_path / "rows.parquet")
    run = anonymise(tmp_path / "rows.parquet", "personal_data.types=[email]")
    (found,) = pq.read_table(run / "findings.parquet").to_pylist()
    assert found == {"row": 15_001, "field": "text", "type": "email", "start": 0, "end": 16}
    texts[15_000] = "[EMAIL]"
    assert pq.read_table(run / "rows.parquet")["text"].to_pylist() == texts


@pytest.mark.parametrize("name", ["corpus.jsonl", "corpus.csv", "corpus.tsv", "corpus.jsonl.gz"])
def test_a_clean_file_stays_the_same_bytes_and_the_findings_are_empty(tmp_path, name):
    raw = (HR_CORE / "test" / "ad-profile" / "corpus.jsonl").read_bytes()
    if "json" not in name:
        stream = io.StringIO(newline="")
        writer = csv.writer(stream, delimiter="," if name.endswith("csv") else "\t", quoting=csv.QUOTE_ALL)
        writer.writerows([("text",), *((json.loads(line)["text"],) for line in raw.splitlines())])
        raw = stream.getvalue().encode()
    source = tmp_path / name
    source.write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
    run = anonymise(source)
    after = (run / name).read_bytes()
    assert (gzip.decompress(after) if name.endswith(".gz") else after) == raw
    assert not name.endswith(".gz") or after[4:8] == bytes(4), "a time of writing would make every run different"
    assert pq.read_table(run / "findings.parquet").num_rows == 0
    assert metrics(run)["rows_with_any"] == metrics(run)["findings"] == 0


def test_the_map_turns_placeholders_back_even_where_some_stood_before(jsonl, capsys):
    with jsonl.open("ab") as stream:
        stream.write(b'\n{"text": "[EMAIL_4] and [EMAIL_3], [EMAIL] and x@example.org and x@example.org"}')
    run = anonymise(jsonl, "keep_map=true")
    last = (run / "rows.jsonl").read_bytes().split(b"\n")[-1]
    assert last == b'{"text": "[EMAIL_4] and [EMAIL_3], [EMAIL] and [EMAIL_6] and [EMAIL_6]"}'
    assert (run / "map.json").stat().st_mode & 0o777 == 0o600
    originals = json.loads((run / "map.json").read_text(encoding="utf-8"))
    assert set(SECRETS) < set(originals.values())
    restore(run / "rows.jsonl", jsonl.with_name("back.jsonl"), originals)
    assert jsonl.with_name("back.jsonl").read_bytes() == jsonl.read_bytes()


def test_whoever_keeps_a_map_is_told_what_it_is(jsonl, capsys):
    assert main(["data", "anonymise", str(jsonl), "--runs-dir", str(jsonl.parent / "r"), "--set", "keep_map=true"]) == 0
    assert (
        "maps the placeholders back to the original text: it contains personal data, so store it separately"
        in " ".join(capsys.readouterr().err.split())
    )
    assert main(["data", "anonymise", str(jsonl), "--runs-dir", str(jsonl.parent / "q")]) == 0
    assert "map" not in capsys.readouterr().err
    assert not list((jsonl.parent / "q").rglob("map.json"))


def test_the_same_input_gives_the_same_output(jsonl):
    for setting in ("keep_map=false", "keep_map=true"):
        first, second = anonymise(jsonl, setting), anonymise(jsonl, setting)
        names = {path.name for path in first.iterdir()} - {"manifest.json", "log.txt"}
        assert {"rows.jsonl", "findings.parquet", "metrics.json"} < names
        for name in names:
            assert (first / name).read_bytes() == (second / name).read_bytes(), name


@pytest.mark.parametrize("setting", ["keep_map=false", "keep_map=true"])
def test_no_value_is_written_or_said_anywhere_but_in_the_map(jsonl, capsys, setting):
    runs = jsonl.parent / "runs"
    assert main(["data", "anonymise", str(jsonl), "--runs-dir", str(runs), "--set", setting]) == 0
    assert main(["data", "anonymise", str(jsonl), "--runs-dir", str(runs), "--set", setting, "--json"]) == 0
    said = "".join(capsys.readouterr())
    for path in runs.rglob("*"):
        if path.is_file() and path.name != "map.json":
            said += path.read_bytes().decode("latin-1")
    assert "[NAME" in said
    for secret in SECRETS:
        assert secret not in said


BROKEN = {
    "no.jsonl": ('{"text": "a"}\n{"text": "jane@example.org\n', r"no\.jsonl:2: column 'text': not valid JSON"),
    "list.jsonl": ('{"text": ["jane@example.org"]}\n', r"list.jsonl:1: column 'text': expected text, got list"),
    "twice.jsonl": (
        '{"text": "a"}\n{"text": "jane@example.org", "text": "a"}\n',
        r"twice.jsonl:2: column 'text' appears twice in the row",
    ),
    "none.jsonl": (
        '{"words": "a", "id": 1}\n',
        r"column 'text' or 'anchor' or 'positive' not found; available: 'words', 'id'",
    ),
    "none.csv": ("words,id\na,1\n", r"column 'text' or 'anchor' or 'positive' not found; available: 'words', 'id'"),
    "cells.csv": (
        "text,id\njane@example.org\n",
        r"cells\.csv:2: column 'id': expected 2 cells as in the header, got 1",
    ),
    "empty.jsonl": ("", r"empty\.jsonl is empty"),
    "rows.xlsx": ("", r"is not a valid spreadsheet"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_file_that_cannot_be_said_to_be_clean_stops_the_command(tmp_path, capsys, name):
    content, message = BROKEN[name]
    (tmp_path / name).write_text(content, encoding="utf-8")
    assert main(["data", "anonymise", str(tmp_path / name), "--runs-dir", str(tmp_path / "runs")]) == 3
    err = capsys.readouterr().err
    assert re.search(message, " ".join(err.split())), err
    assert "Traceback" not in err
    assert "jane" not in err
    (manifest,) = (tmp_path / "runs").rglob("manifest.json")
    assert json.loads(manifest.read_text(encoding="utf-8"))["status"] == "failed"
    assert "jane" not in manifest.read_text(encoding="utf-8")
    assert {path.name for path in manifest.parent.iterdir()} <= {"manifest.json", "config.yaml", "log.txt"}


def test_bytes_of_another_encoding_stop_the_command(tmp_path, capsys):
    (tmp_path / "rows.csv").write_bytes(b"text\ncaf\xe9\n")
    assert main(["data", "anonymise", str(tmp_path / "rows.csv"), "--runs-dir", str(tmp_path / "runs")]) == 3
    assert "column 'text': byte 0xE9 is not valid utf-8" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("delimiter", ["_", "1"])
def test_a_delimiter_that_stands_in_placeholders_is_refused(tmp_path, capsys, delimiter):
    (tmp_path / "rows.csv").write_text(f"text{delimiter}id\njane@example.org{delimiter}b\n")
    command = ["data", "anonymise", str(tmp_path / "rows.csv"), "--set", f"delimiter='{delimiter}'"]
    assert main([*command, "--runs-dir", str(tmp_path / "runs")]) == 3
    assert "placeholders would be ambiguous in a file with delimiter" in " ".join(capsys.readouterr().err.split())


def test_an_unknown_region_is_a_mistake_in_the_config(jsonl, capsys):
    command = ["data", "anonymise", str(jsonl), "--set", "personal_data.regions=[UK]"]
    assert main([*command, "--runs-dir", str(jsonl.parent / "runs")]) == 2
    assert "unknown region 'UK' (did you mean 'GB'?)" in capsys.readouterr().err


def test_only_the_types_asked_for_are_replaced(jsonl):
    run = anonymise(jsonl, "personal_data.types=[phone]")
    assert json.loads((run / "rows.jsonl").read_bytes().split(b"\n")[0])["text"] == FULL.replace(SECRETS[2], "[PHONE]")


def test_what_is_no_name_is_read_off_the_file_and_off_what_is_shipped(tmp_path):
    texts = ["Registered Nurse\nNights", "Kveik Zymologist\nNights", "worked as a zymologist", "Vincenza Nurse\nNights"]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    run = anonymise(tmp_path / "rows.jsonl")
    after = [json.loads(line)["text"] for line in (run / "rows.jsonl").read_text().splitlines()]
    assert after == [*texts[:3], "[NAME]\nNights"]


def test_a_source_with_the_name_of_a_file_of_the_run_is_not_lost(tmp_path):
    before = parquet(tmp_path / "findings.parquet", [PLAIN])
    run = anonymise(tmp_path / "findings.parquet")
    assert pq.read_table(run / "cleaned-findings.parquet").equals(before)
    assert pq.read_table(run / "findings.parquet").num_rows == 0


def test_scan_counts_a_pairs_file_and_lists_where_something_stands(tmp_path):
    rows = [{"anchor": "Nurse", "positive": FULL}, {"anchor": "Call 020 7946 0958", "positive": "(020) 7946 0958"}]
    rows.append({"anchor": "Nurse", "positive": PLAIN})
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    found = scan(path, ("anchor", "positive"), PersonalSection(), tmp_path / "f.parquet", Silent())
    assert (found.rows, found.rows_with_any, found.findings) == (3, 2, 7)
    assert {type_: counts.rows for type_, counts in found.types.items()} == {
        "email": 1, "phone": 2, "link": 1, "birth-date": 1, "name": 1,
    }  # fmt: skip
    assert found.types["phone"].first_rows == (1, 2)
    rows = pq.read_table(tmp_path / "f.parquet").to_pylist()
    assert len(rows) == 7
    assert {"row": 2, "field": "anchor", "type": "phone", "start": 5, "end": 18} in rows
    assert {file.name for file in tmp_path.iterdir()} == {"pairs.jsonl", "f.parquet"}


def test_the_command_turns_a_run_back_and_a_part_of_it(jsonl, capsys):
    run = anonymise(jsonl, "keep_map=true")
    runs = run.parent.parent
    assert main(["data", "restore", str(run), "--runs-dir", str(runs)]) == 0
    (back,) = runs.glob("data-restore/*/rows.jsonl")
    assert back.read_bytes() == jsonl.read_bytes()
    assert back.stat().st_mode & 0o777 == 0o600
    assert "personal data again" in " ".join(capsys.readouterr().err.split())
    part = jsonl.with_name("part.jsonl")
    part.write_bytes((run / "rows.jsonl").read_bytes().split(b"\n")[0])
    assert main(["data", "restore", str(part), "--runs-dir", str(runs), "--set", f"map={run / 'map.json'}"]) == 0
    (back,) = runs.glob("data-restore/*/part.jsonl")
    assert back.read_bytes() == jsonl.read_bytes().split(b"\n")[0]


def test_the_latest_run_is_turned_back_without_an_argument(jsonl):
    runs = anonymise(jsonl, "keep_map=true").parent.parent
    assert main(["data", "restore", "--runs-dir", str(runs)]) == 0
    assert len(list(runs.glob("data-restore/*/rows.jsonl"))) == 1


def test_what_cannot_be_turned_back_is_told(jsonl, capsys):
    run = anonymise(jsonl)
    runs = run.parent.parent
    for source, told in ((str(run), "keep_map=true"), (str(jsonl.with_name("none.jsonl")), "none.jsonl")):
        assert main(["data", "restore", source, "--runs-dir", str(runs)]) == 3
        assert told in " ".join(capsys.readouterr().err.split())
    for content, told in (("[1]", "does not map placeholders to original texts"), ("{", "is not JSON")):
        (run / "map.json").write_text(content)
        assert main(["data", "restore", str(run), "--runs-dir", str(runs)]) == 3
        assert told in " ".join(capsys.readouterr().err.split())
    assert main(["data", "restore", "--runs-dir", str(jsonl.parent / "empty")]) == 3
    assert "data-anonymise" in capsys.readouterr().err


ATS = [
    {
        "candidate": "Tveit, Solveig M.",
        "known_as": "Solvi",
        "text": "In 2019 Solveig led a team; Ms Tveit may go.",
        "n": 1,
    },
    {"candidate": "Rose Marsh", "known_as": None, "text": "rose marsh, rose growers and ROSE. Solvi.", "n": 2},
    {"candidate": "", "known_as": "", "text": "Nobody named here", "n": 3},
]
NAMELESS = [
    {"candidate": "[NAME]", "known_as": "[NAME]", "text": "In 2019 [NAME] led a team; Ms [NAME] may go.", "n": 1},
    {"candidate": "[NAME]", "known_as": None, "text": "[NAME], rose growers and [NAME]. Solvi.", "n": 2},
    {"candidate": "", "known_as": "", "text": "Nobody named here", "n": 3},
]
NAME_COLUMNS = "name_columns=[candidate, known_as]"


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
def test_names_of_columns_go_from_all_texts_of_their_row(tmp_path, form):
    source = tmp_path / f"ats.{form}"
    if form == "parquet":
        pq.write_table(pa.Table.from_pylist(ATS), source)
    elif form == "csv":
        with source.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, ATS[0])
            writer.writeheader()
            writer.writerows(ATS)
    else:
        source.write_text("".join(json.dumps(row) + "\n" for row in ATS), encoding="utf-8")
    run = anonymise(source, NAME_COLUMNS)
    if form == "parquet":
        assert pq.read_table(run / source.name).to_pylist() == NAMELESS
    elif form == "csv":
        with (run / source.name).open(newline="", encoding="utf-8") as stream:
            expected = [{key: "" if cell is None else str(cell) for key, cell in row.items()} for row in NAMELESS]
            assert list(csv.DictReader(stream)) == expected
    else:
        assert [json.loads(line) for line in (run / source.name).read_text(encoding="utf-8").splitlines()] == NAMELESS
    assert metrics(run)["types"]["name"]["rows"] == 2


def test_names_of_columns_come_back(tmp_path):
    source = tmp_path / "ats.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in ATS), encoding="utf-8")
    run = anonymise(source, NAME_COLUMNS, "keep_map=true")
    assert "Tveit" not in (run / source.name).read_text(encoding="utf-8")
    restore(run / source.name, tmp_path / "back.jsonl", json.loads((run / "map.json").read_text(encoding="utf-8")))
    assert (tmp_path / "back.jsonl").read_bytes() == source.read_bytes()


def test_a_name_column_must_be_there_and_be_of_use(tmp_path, capsys):
    source = tmp_path / "ats.jsonl"
    source.write_text(json.dumps(ATS[0]) + "\n", encoding="utf-8")
    at = ["--runs-dir", str(tmp_path / "runs"), "--quiet"]
    assert main(["data", "anonymise", str(source), *at, "--set", "name_columns=[applicant]"]) == 3
    shown = " ".join(capsys.readouterr().err.split())
    assert "column 'applicant' in `name_columns` not found; available: 'candidate'" in shown
    settings = ["--set", NAME_COLUMNS, "--set", "personal_data.types=[email]"]
    assert main(["data", "anonymise", str(source), *at, *settings]) == 2
    assert "`name_columns` requires `name` in `personal_data.types`" in capsys.readouterr().err
    assert main(["data", "check", str(source), *at, "--set", NAME_COLUMNS]) == 2
    assert "`name_columns` has no effect unless `personal: true`" in capsys.readouterr().err


def test_check_counts_names_of_columns_in_training_texts(tmp_path, capsys):
    source = tmp_path / "pairs.jsonl"
    row = {"anchor": "Ms Tveit leads", "positive": "solveig tveit, clerk", "who": "Solveig Tveit"}
    source.write_text(json.dumps(row) + "\n", encoding="utf-8")
    argv = ["data", "check", str(source), "--personal", "--json", "--runs-dir", str(tmp_path / "runs")]
    found = {}
    for names in ("[]", "[who]"):
        main([*argv, "--set", "against=[]", "--set", f"name_columns={names}", "--set", "limits.personal=null"])
        found[names] = json.loads(capsys.readouterr().out)["metrics"]["personal"]["findings"]
    assert found == {"[]": 0, "[who]": 2}


@pytest.mark.parametrize(
    ("name", "content", "settings"),
    [
        ("rows.csv", "query,document\nad,write to a@example.org\n", ()),
        ("rows.csv", "anchor;positive;negative_1\nad;text;write to a@example.org\n", ()),
        ("rows.jsonl", '{"query": "ad", "pos": ["text", "write to a@example.org"], "neg": ["none"]}\n', ()),
        ("rows.jsonl", '{"anchor": "ad", "positive": "text", "negative": ["none", "a@example.org"]}\n', ()),
        ("rows.csv", "titel|text\nad|écrire à a@example.org\n", ("columns={anchor: titel, positive: text}",)),
    ],
)
def test_check_looks_at_all_texts_of_pairs_whatever_their_columns_are_called(tmp_path, name, content, settings):
    path = tmp_path / name
    path.write_text(content, encoding="cp1252")
    sets = ["personal=true", "against=[]", "encoding=cp1252", *settings]
    command = ["data", "check", str(path), "--runs-dir", str(tmp_path / "runs"), "--quiet"]
    assert main([*command, *(part for each in sets for part in ("--set", each))]) in {0, 3}
    (run,) = (tmp_path / "runs" / "data-check").iterdir()
    assert metrics(run)["personal"]["findings"] == 1


def test_the_result_says_what_cannot_be_found_and_what_was_not_read(jsonl, tmp_path, capsys):
    assert main(["data", "anonymise", str(jsonl), "--runs-dir", str(tmp_path / "runs")]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "This does not guarantee anonymity" in shown
    assert "no name inside a sentence" in shown
    assert "Left unchanged because `fields` does not list them: 'id', 'n', 'note'" in shown
    assert "set `name_columns`" in shown
