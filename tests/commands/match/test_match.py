"""`hrembed match`: what ranks, what is shown, and what is refused."""

from __future__ import annotations

import csv
import io
import json
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hrembed.cli.app import main
from hrembed.config.parts import ModelSection
from hrembed.index.open import open_index
from hrembed.runs.workspace import Workspace
from hrembed.scoring.encoders import open_encoder
from searching import CANDIDATES, COUNTRY, YEARS, text_index

if TYPE_CHECKING:
    from pathlib import Path

JOB = "Nurse for the ward who dresses wounds. Gives medicine at night. Free parking."


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return text_index(tmp_path_factory.mktemp("match") / "idx")


@pytest.fixture
def match(index: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)

    def run(*words: str, code: int = 0) -> Any:
        given = words if "--index" in words else (*words, "--index", str(index))
        assert main(["match", *given, "--runs-dir", str(tmp_path / "runs"), "--json"]) == code
        shown = capsys.readouterr()
        assert "Traceback" not in shown.err
        return (
            " ".join(shown.err.split())
            if code
            else json.loads(shown.out)["metrics"] | {"run": json.loads(shown.out)["run"]}
        )

    return run


def test_candidates_are_ranked_by_a_cosine_computed_anew(match, index: Path):
    found = match(JOB, "--k", "3")
    encoder = open_encoder(ModelSection(ref="wordllama"), Workspace(index.parent))
    scores = encoder.vectors([JOB], "query")[0] @ encoder.vectors([*CANDIDATES.values()], "document").T
    expected = [[*CANDIDATES][n] for n in np.argsort(-scores)[:3]]
    assert [row["id"] for row in found["candidates"]] == expected
    np.testing.assert_allclose([row["cosine"] for row in found["candidates"]], np.sort(scores)[::-1][:3], atol=1e-6)
    assert [row["cosine_rank"] for row in found["candidates"]] == [1, 2, 3]
    assert found["matching"] == len(CANDIDATES)


def test_the_result_equals_that_of_eval_on_the_same_texts(match, tmp_path: Path):
    """Trap 9 and the issue: rankings and scores to 1e-6 as an evaluation gives them."""
    from hrembed.scoring.retrieval import rank_task
    from hrembed.types import Task, Text

    task = Task("t", (Text("q", JOB),), tuple(Text(id_, text) for id_, text in CANDIDATES.items()), {})
    ranking = rank_task(open_encoder(ModelSection(ref="wordllama"), Workspace(tmp_path)), task)
    found = match(JOB)["candidates"]
    assert [row["id"] for row in found] == [[*CANDIDATES][n] for n in ranking.documents[0]]
    np.testing.assert_allclose([row["cosine"] for row in found], ranking.scores[0], atol=1e-6)


def test_conditions_are_data_and_all_must_hold(match):
    found = match(JOB, "--where", "country=DE,AT", "--where", "years>=4")
    assert {row["id"] for row in found["candidates"]} == {
        id_ for id_ in CANDIDATES if COUNTRY[id_] in {"DE", "AT"} and YEARS[id_] >= 4
    }
    assert found["where"] == ["country=DE,AT", "years>=4"]
    assert found["candidates"][0]["columns"] == {"country": "AT", "years": 10}
    assert match(JOB, "--where", "country=XX")["candidates"] == []


@pytest.mark.parametrize(
    ("where", "said"),
    [
        (["country='DE' OR years>=0"], "No candidate meets `country='DE' OR years>=0`."),  # a text that nobody has
        (["country=DE", "years>=99"], "No candidate meets `years>=99`."),
        (["country=FR", "years>=7"], "No candidate meets all conditions; remove one of `--where`."),
    ],
)
def test_a_condition_that_nobody_meets_is_named(index: Path, tmp_path: Path, capsys, where: list[str], said: str):
    words = [word for each in where for word in ("--where", each)]
    assert main(["match", JOB, "--index", str(index), *words, "--runs-dir", str(tmp_path)]) == 0
    assert said in " ".join(capsys.readouterr().out.split())


def test_without_show_text_a_candidate_is_an_id_and_what_the_config_allows(match, tmp_path: Path):
    found = match(JOB, "--set", "columns=[country]")
    assert all(set(row["columns"]) == {"country"} and row["text"] is None for row in found["candidates"])
    assert match(JOB, "--set", "columns=[]")["candidates"][0]["columns"] == {}
    for file in (tmp_path / "runs").rglob("*"):
        if file.is_file():
            assert b"Cleans wounds" not in file.read_bytes(), file


def test_shown_texts_are_redacted(match):
    found = match(JOB, "--show-text")
    text = next(row["text"] for row in found["candidates"] if row["id"] == "c2")
    assert "jane.doe" not in json.dumps(found)
    assert "[EMAIL]" in text


def test_fusion_with_words_keeps_both_ranks_and_their_sum(match):
    found = match(JOB, "--bm25")
    for row in found["candidates"]:
        expected = sum(1 / (60 + rank) for rank in (row["cosine_rank"], row["bm25_rank"]) if rank)
        assert row["fused"] == pytest.approx(expected)
    assert [row["fused_rank"] for row in found["candidates"]] == [row["rank"] for row in found["candidates"]]
    assert any(row["bm25_rank"] is None for row in found["candidates"])
    assert any("k = 60" in stage and "100 of each list" in stage for stage in found["stages"])


def test_who_only_the_words_find_has_a_cosine_too(match, index: Path):
    found = match(JOB, "--bm25", "--set", "stages.depth=1", "--k", "1", "--out", "x.json")
    words = open_index(index).lexical(JOB, 1, ())
    assert found["searched"] == len(
        {found["candidates"][0]["id"], words[0][0]} | {match(JOB, "--k", "1")["candidates"][0]["id"]}
    )


def test_rescoring_gives_the_scores_of_eval(match, tmp_path: Path):
    """The same windows and letters as in `eval`, over the same texts, when all are scored again."""
    from hrembed.config.parts import ScoreSection

    section = ModelSection(ref="wordllama", score=ScoreSection(windows=(2, 3), lexical=0.3))
    encoder = open_encoder(section, Workspace(tmp_path))
    found = match(JOB, "--set", "score.windows=[2,3]", "--set", "score.lexical=0.3")["candidates"]
    ids = [row["id"] for row in found]
    similarity = encoder.similarity([JOB], [CANDIDATES[id_] for id_ in CANDIDATES])
    scores = dict(zip(CANDIDATES, similarity.block(slice(0, 1), slice(0, len(CANDIDATES)))[0], strict=True))
    np.testing.assert_allclose([row["rescored"] for row in found], [scores[id_] for id_ in ids], atol=1e-6)
    assert ids == sorted(CANDIDATES, key=lambda id_: -scores[id_])
    assert sorted(row["cosine_rank"] for row in found) == [*range(1, len(ids) + 1)]


def test_only_the_first_are_scored_again(match):
    found = match(JOB, "--set", "score.windows=[2]", "--set", "stages.rescore=2")["candidates"]
    assert [row["rescored"] is not None for row in found] == [True, True] + [False] * (len(found) - 2)
    assert [row["cosine_rank"] for row in found[2:]] == [*range(3, len(found) + 1)]


@pytest.mark.parametrize("ending", ["json", "jsonl", "csv", "parquet", "html"])
def test_out_writes_the_list(match, tmp_path: Path, ending: str):
    target = tmp_path / "lists" / f"list.{ending}"
    ids = [row["id"] for row in match(JOB, "--k", "2", "--out", str(target))["candidates"]]
    content = target.read_bytes()
    assert all(id_.encode() in content for id_ in ids)
    if ending == "json":
        assert [row["id"] for row in json.loads(content)["candidates"]] == ids
    if ending == "parquet":
        assert pq.read_table(io.BytesIO(content))["id"].to_pylist() == ids


def test_a_cell_is_no_formula(match, tmp_path: Path):
    evil = {"=cmd|'/c calc'!A1": "Cleans wounds on the ward.", "+1": "Bakes bread."}
    index = text_index(tmp_path / "evil", evil, {"country": ["@SUM(1)", "DE"]})
    run = match(JOB, "--index", str(index))["run"]
    with open(f"{run}/candidates.csv", newline="", encoding="utf-8") as stream:  # noqa: PTH123
        rows = list(csv.DictReader(stream))
    assert {row["id"] for row in rows} == {"'=cmd|'/c calc'!A1", "'+1"}
    assert {row["column: country"] for row in rows} == {"'@SUM(1)", "DE"}


def jobs_table(folder: Path) -> Path:
    rows = [{"_id": "j1", "text": JOB}, {"_id": "j2", "text": "Baker for bread and cakes."}]
    (folder / "jobs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder / "jobs.jsonl"


def test_a_batch_gives_the_rows_of_its_single_jobs(match, tmp_path: Path):
    jobs = jobs_table(tmp_path)
    out = tmp_path / "all.parquet"
    found = match("--batch", str(jobs), "--k", "3", "--out", str(out))
    assert found["batch"] == {"jobs": 2, "rows": 6, "file": str(out), "short": 0}
    rows = pq.read_table(out).to_pylist()
    for id_ in ("j1", "j2"):
        single = match(id_, "--jobs", str(jobs), "--k", "3")["candidates"]
        batch = [row for row in rows if row["job"] == id_]
        assert [row["id"] for row in batch] == [row["id"] for row in single]
        np.testing.assert_allclose([row["cosine"] for row in batch], [row["cosine"] for row in single], atol=1e-6)


def test_a_job_comes_from_a_file_an_id_or_standard_input(match, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    expected = [row["id"] for row in match(JOB)["candidates"]]
    (tmp_path / "job.txt").write_text(JOB, encoding="utf-8-sig")
    assert [row["id"] for row in match("job.txt")["candidates"]] == expected
    assert [row["id"] for row in match("id:j1", "--jobs", str(jobs_table(tmp_path)))["candidates"]] == expected
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(JOB.encode())))
    found = match("-")
    assert [row["id"] for row in found["candidates"]] == expected
    assert found["job"] == "standard input"


# What is asked, the exit code, and a part of the one message.
REFUSED = {
    "no index": (["x nurse", "--index", "nowhere"], 3, "is not an index"),
    "sql": ([JOB, "--where", "country=DE' or 1=1 --", "--where", "years>=1; drop"], 2, "holds whole numbers"),
    "sql column": ([JOB, "--where", "1=1"], 2, "the index has no filter '1'"),
    "unknown column": ([JOB, "--where", "contry=DE"], 2, "did you mean 'country'"),
    "path in an id": (["id:../../etc/passwd", "--jobs", "jobs.jsonl"], 3, "has no job '../../etc/passwd'"),
    "id without a table": (["id:j1"], 2, "no table of jobs was given"),
    "path that is not there": (["../jobs/nurse.txt"], 3, "does not exist"),
    "a folder": (["."], 3, "is a folder"),
    "another kind of file": (["job.pdf"], 3, "plain text, not from '.pdf'"),
    "10 MB": (["big.txt"], 3, "is longer than 200,000 bytes"),
    "not UTF-8": (["latin.txt"], 3, "is not UTF-8 text: byte 2 is 0xE9"),
    "argument that is not UTF-8": (["caf\udce9 ward"], 2, "so it is not valid UTF-8"),
    "NaN in the table": (["j1", "--jobs", "nan.jsonl"], 3, "NaN is not a valid JSON value"),
    "zero byte": (["zero.txt"], 3, "contains a zero byte"),
    "no word": (["... !!"], 3, "contains no word"),
    "no job": ([], 2, "no job was given"),
    "column of texts": ([JOB, "--set", "columns=[text]"], 2, "shows no 'text'"),
    "unknown shown column": ([JOB, "--set", "columns=[contry]"], 2, "did you mean 'country'"),
    "another ending": ([JOB, "--out", "x.xlsx"], 2, "none of the endings"),
    "another model": ([JOB, "--set", "model.ref=minilm"], 4, "is not the model of index"),
    "other prompt": (
        [JOB, "--set", "model={ref: wordllama, query_prompt: 'find: '}"],
        4,
        "weights, prompts, truncation or titles differ",
    ),
    "other truncation": ([JOB, "--set", "model={ref: wordllama, dimensions: 64}"], 4, "its identity is"),
    "no groups": ([JOB, "--groups", "nowhere.csv"], 3, "does not exist"),
    "cross-encoder": ([JOB, "--rerank", "path:nowhere"], 4, "is not a model folder"),
    "batch and why": (["--batch", "jobs.jsonl", "--why"], 2, "`why.show` is for a single job"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_bad_requests_get_one_message(match, tmp_path: Path, what: str):
    words, code, said = REFUSED[what]
    jobs_table(tmp_path)
    (tmp_path / "job.pdf").write_bytes(b"%PDF")
    (tmp_path / "big.txt").write_bytes(b"nurse " * 1_700_000)
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9"[1:] + b" ward")
    (tmp_path / "nan.jsonl").write_text('{"_id": "j1", "text": NaN}\n', encoding="utf-8")
    (tmp_path / "zero.txt").write_bytes(b"nurse\0ward")
    err = match(*words, code=code)
    assert said in err
    assert err.count("hrembed: error:") == 1


def test_a_vector_that_is_not_finite_is_refused(match, monkeypatch: pytest.MonkeyPatch):
    """Trap 23: LanceDB would give no rows, and no error."""
    from hrembed.models.static import StaticTable

    monkeypatch.setattr(StaticTable, "embed", lambda *_: np.full((1, 256), np.nan, dtype=np.float32))
    assert "returned NaN or infinite values" in match("a job without a kept vector", code=4)


def test_a_job_without_a_known_word_is_refused(match, monkeypatch: pytest.MonkeyPatch):
    from hrembed.models.static import StaticTable

    monkeypatch.setattr(StaticTable, "embed", lambda *_: np.zeros((1, 256), dtype=np.float32))
    assert "knows no word of job 1 of 1" in match("another job that is new", code=3)


def test_texts_that_were_not_kept_are_asked_for(match, tmp_path: Path):
    index = str(text_index(tmp_path / "bare", keep_text=False))
    assert match(JOB, "--index", index)["candidates"][0]["text"] is None
    for words in (["--show-text"], ["--why"], ["--bm25"], ["--set", "score.windows=[2]"]):
        assert "holds no texts" in match(JOB, "--index", index, *words, code=3)
