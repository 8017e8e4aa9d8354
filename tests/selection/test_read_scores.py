"""Files of scores: what is read, and what is said when they are wrong."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hrembed.data.layout import Form
from hrembed.errors import DataError
from hrembed.records.tables import collecting
from hrembed.selection.read_scores import read_results_dir, read_scores
from hrembed.selection.refresh import write_scores

if TYPE_CHECKING:
    from pathlib import Path

    from hrembed.records.tables import TableUse

HEAD = "model,revision,task,split,subset,main_score,mteb_version"


def csv_file(folder: Path, *lines: str, head: str = HEAD) -> Path:
    file = folder / "scores.csv"
    file.write_text("\n".join([head, *lines]) + "\n", encoding="utf-8")
    return file


def test_csv_and_parquet_give_the_same_rows(tmp_path: Path):
    csv = csv_file(tmp_path, "a/b,r,t,test,default,0.5,1.18.0", "a/b,r,other,test,default,0.5,1.18.0")
    (from_csv,) = read_scores(csv, {"t"})
    values = {
        name: [value]
        for name, value in zip(HEAD.split(","), ["a/b", "r", "t", "test", "default", 0.5, "1.18.0"], strict=True)
    }
    pq.write_table(pa.table(values), tmp_path / "scores.parquet")
    (from_parquet,) = read_scores(tmp_path / "scores.parquet", {"t"})
    assert from_csv._replace(place="") == from_parquet._replace(place="")
    assert (from_csv.version, from_csv.score) == ("1.18.0", 0.5)
    assert (from_csv.place, from_parquet.place) == (f"{csv}:2", f"{tmp_path / 'scores.parquet'}:1")


def test_columns_of_other_names_and_another_encoding(tmp_path: Path):
    form = Form(";", encoding="latin-1", columns={"model": "Modèle", "main_score": "Score"})
    head = HEAD.replace("model,", "Modèle,").replace("main_score", "Score")
    cells = ["a/é", "r", "t", "test", "default", "0.5", "1.18.0"]
    csv = tmp_path / "scores.csv"
    csv.write_bytes("\n".join([head.replace(",", ";"), ";".join(cells)]).encode("latin-1"))
    pq.write_table(pa.table({name: [cell] for name, cell in zip(head.split(","), cells, strict=True)}),
                   tmp_path / "scores.parquet")  # fmt: skip
    for file in (csv, tmp_path / "scores.parquet"):
        (row,) = read_scores(file, {"t"}, form=form)
        assert (row.model, row.score) == ("a/é", 0.5)
        with pytest.raises(DataError, match="'nowhere'"):
            read_scores(file, {"t"}, form=Form(";", encoding="latin-1", columns={"model": "nowhere"}))


@pytest.mark.parametrize(
    ("head", "line", "message", "hint"),
    [
        (HEAD.replace("main_score", "score"), "", r"'main_score' not found \(did you mean 'score'\?\)", "required"),
        (HEAD, "a,r,t,test,default,57.3,2", "1 of 2 scores exceed 1; the first is 57.3", "unit: percent"),
        (HEAD, "a,r,t,test,default,good,2", "scores.csv:3: `main_score` must be a number, got 'good'", ""),
        (HEAD, "a,r,t,test,default,inf,2", "scores.csv:3: `main_score` is infinite", ""),
        (HEAD, ",r,t,test,default,0.5,2", "scores.csv:3: `model` is empty", ""),
    ],
)  # fmt: skip
def test_a_wrong_file_is_explained_in_one_message(tmp_path: Path, head, line, message, hint):
    file = csv_file(tmp_path, "b,r,t,test,default,0.5,2", line, head=head)
    with pytest.raises(DataError, match=message) as caught:
        read_scores(file, {"t"})
    assert hint in caught.value.hint
    assert "\n" not in str(caught.value)


def test_percentages_become_fractions_where_they_are_announced_and_are_there(tmp_path: Path):
    file = csv_file(tmp_path, "a,r,t,test,default,57.3,2", "b,r,t,test,default,0.4,2")
    assert [row.score for row in read_scores(file, {"t"}, "percent")] == pytest.approx([0.573, 0.004])
    fractions = csv_file(tmp_path, "a,r,t,test,default,0.573,2")
    with pytest.raises(DataError, match="no score exceeds 1, so the scores are fractions, not percentages"):
        read_scores(fractions, {"t"}, "percent")


def test_a_file_that_is_none(tmp_path: Path):
    with pytest.raises(DataError, match="does not exist"):
        read_scores(tmp_path / "none.parquet", {"t"})
    (tmp_path / "bad.parquet").write_bytes(b"no parquet")
    with pytest.raises(DataError, match="is not a valid Parquet file"):
        read_scores(tmp_path / "bad.parquet", {"t"})


def task_json(task: str, score: float) -> dict[str, object]:
    scores = {"test": [{"hf_subset": "default", "main_score": score, "languages": ["eng-Latn"]}]}
    return {
        "task_name": task,
        "dataset_revision": "d",
        "mteb_version": "2.1.0",
        "scores": scores,
        "evaluation_time": 1.0,
    }


def test_a_results_folder_of_mteb_with_experiments(tmp_path: Path):
    for part, score in {"org__name_x/rev": 0.5, "org__name_x/rev/experiments/dim_64": 0.3}.items():
        (tmp_path / "results" / part).mkdir(parents=True)
        (tmp_path / "results" / part / "t.json").write_text(json.dumps(task_json("t", score)), encoding="utf-8")
        (tmp_path / "results" / part / "model_meta.json").write_text("{}", encoding="utf-8")
    plain, variant = read_results_dir(tmp_path, {"t"})
    assert (plain.model, plain.revision, plain.experiment, plain.score) == ("org/name_x", "rev", "", 0.5)
    assert (variant.model, variant.revision, variant.experiment) == ("org/name_x", "rev", "dim_64")
    (tmp_path / "results" / "org__name_x" / "rev" / "t.json").write_text("{}", encoding="utf-8")
    with pytest.raises(DataError, match="is not a valid mteb task result"):
        read_results_dir(tmp_path, {"t"})


def test_what_mteb_publishes_is_read_model_by_model(tmp_path: Path, monkeypatch):
    """mteb itself writes the file; small chunks cut every object."""
    from hrembed.selection import refresh
    from mteb.results import BenchmarkResults

    monkeypatch.setattr(refresh, "_CHUNK", 100)
    results = {
        "model_results": [
            {
                "model_name": f"org/m{n}",
                "model_revision": f"r{n}",
                "task_results": [task_json("STS12", n / 10), task_json("STS13", 0.5)],
            }
            for n in range(3)
        ]
    }  # fmt: skip
    BenchmarkResults.model_validate(results).to_disk(tmp_path / "plain.json")
    file = tmp_path / "published.json.gz"
    file.write_bytes(gzip.compress((tmp_path / "plain.json").read_bytes()))
    seen: list[str] = []
    table = write_scores(file, lambda steps, name: seen.append(name))
    assert seen == ["org/m0", "org/m1", "org/m2"]
    rows = read_scores(table, {"STS12"})
    assert [(row.model, row.revision, row.score, row.version) for row in rows] == [
        ("org/m0", "r0", 0.0, "2.1.0"), ("org/m1", "r1", 0.1, "2.1.0"), ("org/m2", "r2", 0.2, "2.1.0"),
    ]  # fmt: skip
    before = table.read_bytes()
    file.write_bytes(gzip.compress((tmp_path / "plain.json").read_bytes()[:-200]))
    with pytest.raises(DataError, match="does not have the format published by mteb"):
        write_scores(file, lambda steps, name: None)
    assert table.read_bytes() == before


def put_result(file: Path, content: object) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content), encoding="utf-8")


def test_results_folders_of_older_mteb_are_read_or_counted(tmp_path: Path):
    put_result(tmp_path / "org__flat" / "t.json", task_json("t", 0.4))
    put_result(tmp_path / "org__new" / "rev" / "t.json", task_json("t", 0.6))
    oldest = {"mteb_dataset_name": "t", "mteb_version": "1.0.2", "test": {"ndcg_at_10": 0.4}}
    put_result(tmp_path / "org__old" / "rev" / "t.json", oldest)
    tables: dict[str, TableUse] = {}
    with collecting(tables, lambda text: None):
        rows = read_results_dir(tmp_path, {"t"})
    assert {(row.model, row.revision, row.score) for row in rows} == {("org/flat", "", 0.4), ("org/new", "rev", 0.6)}
    (note,) = tables[tmp_path.as_posix()].notes
    assert note.startswith("1 file is in mteb's oldest format, without a main score, and skipped")
    with pytest.raises(DataError, match="has no readable result of u: there is none at") as caught:
        read_results_dir(tmp_path, {"u"})
    assert "MODEL/TASK.json" in caught.value.hint


@pytest.mark.parametrize("mark", [";", "\t"])
def test_scores_are_read_by_the_same_reader_as_every_table(tmp_path: Path, mark: str):
    lines = [
        "Leaderboard of May",
        "",
        HEAD.replace(",", mark),
        f"a/b{mark}r{mark}t{mark}test{mark}default{mark}0.5{mark}2",
    ]
    (tmp_path / "scores.csv").write_bytes("\n".join(lines).encode("utf-16"))
    (row,) = read_scores(tmp_path / "scores.csv", {"t"})
    assert (row.model, row.score, row.place) == ("a/b", 0.5, f"{tmp_path / 'scores.csv'}:4")
    values = dict(zip(HEAD.split(","), ["a/b", "r", "t", "test", "default", 0.5, "2"], strict=True))
    (tmp_path / "scores.jsonl.gz").write_bytes(gzip.compress(json.dumps(values).encode()))
    (row,) = read_scores(tmp_path / "scores.jsonl.gz", {"t"})
    assert (row.model, row.score) == ("a/b", 0.5)
