"""`data split` and `data check` from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hrembed.cli.app import main
from hrembed.data.pairs import read_pairs, read_related, write_related
from hrembed.data.read import read_task

from conftest import DOCUMENTS, QUERIES, jsonl


def run(capsys, runs: Path, *words: str, code: int = 0) -> tuple[Path, dict, str]:
    """Run a data command, and give its folder, its metrics and what it said on stderr."""
    assert main(["data", *words, "--runs-dir", str(runs), "--json"]) == code
    shown = capsys.readouterr()
    result = json.loads(shown.out)
    return Path(result["run"]), result["metrics"], shown.err


@pytest.fixture
def occupations(tmp_path: Path) -> Path:
    """Twenty groups in four families; one title stands in two groups of one family, a related pair beside."""
    rows = []
    for n in range(20):
        titles = [f"title {n} {word}" for word in ("alpha", "beta", "gamma", "delta")]
        row = {"group": f"g{n}", "family": f"f{n % 4}"}
        rows += [{**row, "kind": "title", "anchor": a, "positive": b} for a in titles for b in titles if a < b]
        rows.append({**row, "kind": "ad-profile", "anchor": f"ad of {n}", "positive": f"profile of {n}"})
    for n in range(20):  # the same two titles in every group: whoever is held out, training would show the answer
        row = {"group": f"g{n}", "family": f"f{n % 4}", "kind": "title"}
        rows.append({**row, "anchor": "team leader", "positive": "shift leader"})
    file = jsonl(tmp_path / "data" / "pairs.jsonl", rows)
    write_related(file.parent / "related.parquet", {f"g{n}": [f"g{m}" for m in range(20) if m != n] for n in range(20)})
    return file


def test_a_split_keeps_groups_apart_and_passes_its_own_check(capsys, tmp_path, occupations):
    folder, metrics, _ = run(capsys, tmp_path / "runs", "split", str(occupations))
    sides = {side: read_pairs(folder / side) for side in ("train", "dev", "test")}
    groups = {side: {pair.group for pair in pairs} for side, pairs in sides.items()}
    assert [len(groups[side]) for side in ("train", "dev", "test")] == [12, 3, 5]
    assert not groups["train"] & groups["test"] | groups["train"] & groups["dev"] | groups["dev"] & groups["test"]
    assert metrics["dropped_from_train"] == 12  # "team leader" and "shift leader", once for each training group
    assert {pair.anchor for pair in sides["train"]}.isdisjoint({"team leader"})
    against = [word for kind in ("dev/title", "test/title") for word in ("--against", str(folder / kind))]
    _, checked, _ = run(capsys, tmp_path / "runs", "check", str(folder / "train"), *against)
    assert all(entry["pairs"]["occur"] == 0 for entry in checked["tasks"].values())


def test_held_out_sides_are_tasks_that_can_be_read(capsys, tmp_path, occupations):
    folder, metrics, _ = run(capsys, tmp_path / "runs", "split", str(occupations))
    task = read_task(folder / "test" / "ad-profile")
    assert (len(task.queries), len(task.documents)) == (5, 5)
    grades = [sorted(judged.values()) for judged in task.qrels.values()]
    assert grades == [[1, 1, 1, 1, 2]] * 5  # related occupations of the same side
    present = {pair.group for pair in read_pairs(folder / "test")}
    related = read_related(folder / "test" / "pairs.parquet")
    assert set(related) == present == {other for others in related.values() for other in others}
    assert metrics["tasks"]["test/ad-profile"] == {"queries": 5, "documents": 5, "judgements": 25}


def test_a_split_repeats_to_the_byte(capsys, tmp_path, occupations):
    first, _, _ = run(capsys, tmp_path / "a", "split", str(occupations))
    second, _, _ = run(capsys, tmp_path / "b", "split", str(occupations))
    for name in ("train/pairs.parquet", "test/title/queries.jsonl", "metrics.json"):
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_too_few_groups_are_refused(capsys, tmp_path):
    file = jsonl(tmp_path / "p.jsonl", [{"anchor": "a", "positive": "b", "group": "g"}] * 3)
    assert main(["data", "split", str(file), "--runs-dir", str(tmp_path / "runs")]) == 3
    assert "to assign any to" in capsys.readouterr().err


@pytest.fixture
def leaking(tmp_path: Path) -> Path:
    rows = [{"anchor": f"clean anchor {n}", "positive": f"clean positive {n}", "group": f"c{n}"} for n in range(30)]
    rows.append({"anchor": QUERIES["q1"][0].upper(), "positive": DOCUMENTS["d1"], "group": "leak"})
    rows.append({"anchor": "only a document", "positive": DOCUMENTS["d5"], "group": "c1"})
    return jsonl(tmp_path / "train.jsonl", rows)


def test_a_leak_is_named_and_ends_with_the_code_of_data(capsys, tmp_path, leaking, task):
    folder, metrics, said = run(capsys, tmp_path / "runs", "check", str(leaking), "--against", str(task), code=3)
    found = metrics["tasks"][str(task)]
    assert {what: found[what]["occur"] for what in found} == {"documents": 2, "queries": 1, "pairs": 1}
    assert f"1 of 8 relevant pairs of '{task}' occur in the training data" in said
    assert "use `--fix` to write a set without them" in said
    assert metrics["verdict"].startswith("1 of 8 relevant pairs")
    flagged = pq.read_table(folder / "flagged.parquet").to_pylist()
    assert {(row["row"], row["what"], row["how"]) for row in flagged} == {
        (31, "documents", "exact"), (31, "queries", "exact"), (31, "pairs", "exact"), (32, "documents", "exact"),
    }  # fmt: skip
    assert json.loads((folder / "manifest.json").read_text())["status"] == "ok"


@pytest.mark.parametrize(("fix", "left"), [("pairs", 31), ("queries", 31), ("documents", 30)])
def test_the_fix_writes_a_set_that_passes(capsys, tmp_path, leaking, task, fix, left):
    words = ["--against", str(task), "--set", f"fix={fix}"]
    folder, metrics, _ = run(capsys, tmp_path / "runs", "check", str(leaking), *words, code=3)
    assert metrics["removed"] == 32 - left
    assert len(read_pairs(folder)) == left
    limits = f"limits={{pairs: 0, queries: 0, documents: {0 if fix == 'documents' else 1}}}"
    run(capsys, tmp_path / "runs", "check", str(folder), "--against", str(task), "--set", limits)


def test_fix_is_a_flag_too_and_limits_can_be_opened(capsys, tmp_path, leaking, task):
    words = ["--against", str(task), "--fix", "--set", "limits.pairs=0.2"]
    folder, metrics, _ = run(capsys, tmp_path / "runs", "check", str(leaking), *words)
    assert metrics["removed"] == 1
    assert metrics["verdict"] == "all limits are met"
    assert len(read_pairs(folder)) == 31


def test_documents_and_false_negatives_have_limits_of_their_own(capsys, tmp_path, task):
    rows = [{"anchor": f"team leader {n % 2}", "positive": f"leads {n}", "group": f"g{n % 2}"} for n in range(8)]
    file = jsonl(tmp_path / "t.jsonl", [*rows, {"anchor": "x", "positive": DOCUMENTS["d3"], "group": "g9"}])
    _, metrics, said = run(
        capsys, tmp_path / "runs", "check", str(file), "--against", str(task), "--set", "limits.documents=0.1", code=3
    )
    assert "1 of 6 documents" in said
    assert metrics["false_negatives"]["random batches"]["share"] > 0.2
    assert metrics["false_negatives"]["batches of hrembed"]["false"] == 0


def test_a_set_that_leaks_everywhere_is_not_emptied(capsys, tmp_path, task):
    file = jsonl(tmp_path / "t.jsonl", [{"anchor": QUERIES["q1"][0], "positive": DOCUMENTS["d1"]}])
    assert main(["data", "check", str(file), "--against", str(task), "--fix", "--runs-dir", str(tmp_path / "r")]) == 3
    assert "every row leaks" in capsys.readouterr().err


def test_personal_data_is_counted_by_row_and_never_shown(capsys, tmp_path, task):
    rows = [
        {"anchor": "driver wanted", "positive": "drives lorries"},
        {"anchor": "x", "positive": "mail jo@example.org"},
    ]
    file = jsonl(tmp_path / "t.jsonl", rows)
    words = ["check", str(file), "--against", str(task), "--personal"]
    folder, metrics, said = run(capsys, tmp_path / "runs", *words, code=3)
    assert metrics["personal"]["types"]["email"] == {"count": 1, "rows": 1, "first_rows": [2]}
    assert "1 occurrence of personal data in 1 row" in " ".join(said.split())
    assert "example.org" not in said + (folder / "metrics.json").read_text() + (folder / "log.txt").read_text()
    (where,) = pq.read_table(folder / "findings.parquet").to_pylist()
    assert where == {"row": 2, "field": "positive", "type": "email", "start": 5, "end": 19}
    run(capsys, tmp_path / "runs", *words, "--set", "limits.personal=1")
    _, metrics, _ = run(capsys, tmp_path / "runs", *words[:-1])
    assert metrics["personal"] is None


def test_all_splits_of_a_task_count(capsys, tmp_path, leaking, task):
    qrels = task / "qrels"
    (qrels / "dev.tsv").write_text("query-id\tcorpus-id\tscore\nq3\td3\t1\n", encoding="utf-8")
    _, metrics, _ = run(capsys, tmp_path / "runs", "check", str(leaking), "--against", str(task), code=3)
    assert metrics["tasks"][str(task)]["queries"]["total"] == 4
    assert metrics["tasks"][str(task)]["pairs"]["total"] == 8
