"""`hrembed eval` on every kind of task and system, and what it leaves behind."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hrembed.cli.app import main
from hrembed.commands.eval.run import run_evaluate
from hrembed.commands.runs.pages import write_run_page
from hrembed.config.eval import EvalConfig, RobustnessSection, SliceSection
from hrembed.config.parts import ModelSection, TaskSection
from hrembed.errors import ConfigError, DataError
from hrembed.records.base import as_json
from hrembed.records.eval import EvalRecord
from hrembed.runs.past import find_run
from hrembed.runs.workspace import Workspace

from conftest import jsonl

TFIDF = ModelSection(ref="tfidf")


def config(*tasks: TaskSection, **more) -> EvalConfig:
    return EvalConfig(**{"models": (TFIDF,), "baselines": ("bm25",), "tasks": tasks, **more})


def read(run: str, name: str = "metrics.json"):
    return json.loads((Path(run) / name).read_text(encoding="utf-8"))


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    """Forty sentences of two kinds in pairs that share a group."""
    rows = [
        {"text": f"{word} {n} {more}", "label": label, "group": f"g{n}", "kind": "odd" if n % 2 else "even"}
        for n in range(20)
        for label, word, more in (("warm", "sun", "beach heat"), ("cold", "snow", "ice frost"))
    ]
    return jsonl(tmp_path / "labelled.jsonl", rows)


@pytest.fixture
def similar(tmp_path: Path) -> Path:
    words = ["nurse", "ward", "doctor", "clinic", "patient", "bed"]
    other = ["x", "y", "z", "q", "r", "s"]
    rows = [
        {"sentence1": " ".join(words), "sentence2": " ".join([*words[:n], *other[n:]]), "score": n - n % 2 / 4}
        for n in range(7)
    ]
    return jsonl(tmp_path / "similar.jsonl", rows)


def test_every_kind_of_task_is_recognised_and_scored(task: Path, labelled: Path, similar: Path, tmp_path: Path):
    sections = (
        TaskSection(path=str(task)),
        TaskSection(path=str(labelled)),
        TaskSection(path=str(similar)),
        TaskSection(path=str(labelled), kind="clustering"),
    )
    metrics = run_evaluate(config(*sections), Workspace(tmp_path / "runs")).metrics
    kinds = {name: entry.kind for name, entry in metrics.kinds.items()}
    assert list(kinds.values()) == ["retrieval", "classification", "similarity", "clustering"]
    assert list(kinds)[1] == "labelled"
    assert list(kinds)[3] == "labelled#2"
    assert metrics.scores["labelled"]["tfidf"]["accuracy"].value == 1.0
    assert metrics.scores["labelled"]["tfidf"]["accuracy"].n == 20  # groups, not texts
    assert metrics.scores[next(k for k in kinds if "similar" in k)]["tfidf"]["spearman"].value > 0.9
    assert metrics.scores["labelled#2"]["tfidf"]["neighbours"].value > 0.9
    assert "bm25" not in metrics.scores["labelled"]  # it has no vectors
    assert metrics.facts["labelled"]["tfidf"].majority_share == 0.5


def test_what_is_read_back_equals_what_was_written(task: Path, labelled: Path, tmp_path: Path):
    sections = TaskSection(path=str(task)), TaskSection(path=str(labelled))
    settings = config(*sections, metrics=("recall@5", "map"), robustness=RobustnessSection(changes=("typos",)))
    result = run_evaluate(settings, Workspace(tmp_path / "runs"))
    again = find_run(tmp_path / "runs", "latest").record(EvalRecord)
    # NaN differs from itself, so what is compared is how the two are written.
    assert as_json(again) == as_json(result.metrics)
    assert [*again.scores["task/test"]] == ["tfidf", "bm25"]  # the reference stays first
    assert [*again.scores["task/test"]["tfidf"]] == ["recall@5", "map"]  # and the headline
    assert again.headlines == {"task/test": "recall@5", "labelled": "accuracy"}


def test_a_task_on_which_no_model_can_be_scored_is_told(labelled: Path, tmp_path: Path):
    settings = config(TaskSection(path=str(labelled)), models=(ModelSection(ref="bm25"),))
    with pytest.raises(DataError, match="labelled requires an embedding model, but none is configured"):
        run_evaluate(settings, Workspace(tmp_path / "runs"))


def test_queries_without_a_relevant_document_are_counted_and_left_out(task: Path, tmp_path: Path):
    plain = run_evaluate(config(TaskSection(path=str(task))), Workspace(tmp_path / "runs")).metrics
    with (task / "queries.jsonl").open("a", encoding="utf-8") as stream:
        stream.write('{"_id": "q9", "text": "nobody"}\n')
    with (task / "qrels" / "test.tsv").open("a", encoding="utf-8") as stream:
        stream.write("q9\td1\t0\n")
    result = run_evaluate(config(TaskSection(path=str(task))), Workspace(tmp_path / "runs"))
    for metric, entry in result.metrics.scores["task/test"]["tfidf"].items():
        assert entry.undefined == 1
        assert entry.value == plain.scores["task/test"]["tfidf"][metric].value
    rows = pq.read_table(Path(result.run) / "per_query.parquet").to_pydict()
    assert np.isnan(rows["ndcg@10"][rows["query"].index("q9")])


def test_an_exported_ranking_scores_the_same_without_the_model(task: Path, tmp_path: Path):
    first = run_evaluate(config(TaskSection(path=str(task))), Workspace(tmp_path / "runs"))
    ref = f"trec:{Path(first.run) / 'trec' / 'tfidf'}"
    again = run_evaluate(
        config(TaskSection(path=str(task)), models=(ModelSection(ref=ref),), baselines=()), Workspace(tmp_path / "runs")
    )
    (scores,) = again.metrics.scores["task/test"].values()
    assert scores == first.metrics.scores["task/test"]["tfidf"]
    other = config(TaskSection(path=str(task.rename(task.parent / "other"))), models=(ModelSection(ref=ref),))
    with pytest.raises(DataError, match="contains no ranking for other/test"):
        run_evaluate(other, Workspace(tmp_path / "runs"))


def test_candidates_are_reranked_and_only_they(task: Path, tmp_path: Path):
    (task / "candidates").mkdir()
    rows = "".join(f"{q}\t{d}\n" for q in ("q1", "q2", "q3", "q4") for d in ("d5", "d1", "d3"))
    (task / "candidates" / "test.tsv").write_text("query-id\tcorpus-id\n" + rows, encoding="utf-8")
    result = run_evaluate(config(TaskSection(path=str(task))), Workspace(tmp_path / "runs"))
    assert result.metrics.kinds["task/test"].kind == "reranking"
    lines = (Path(result.run) / "trec" / "tfidf" / "task--test.run").read_text(encoding="utf-8").splitlines()
    assert {line.split()[2] for line in lines} == {"d1", "d3", "d5"}
    assert len(lines) == 12
    whole = run_evaluate(config(TaskSection(path=str(task), kind="retrieval")), Workspace(tmp_path / "runs"))
    assert whole.metrics.kinds["task/test"].kind == "retrieval"


def test_slices_robustness_and_cases_say_what_lies_behind(task: Path, tmp_path: Path):
    settings = config(
        TaskSection(path=str(task)),
        slices=SliceSection(by=("group", "relevant"), min_queries=2),
        robustness=RobustnessSection(changes=("typos", "word-order")),
        worst=2,
    )
    result = run_evaluate(settings, Workspace(tmp_path / "runs"))
    rows = {row.slice: row for row in result.metrics.slices["task/test"]["group"].rows if row.model == "tfidf"}
    assert rows["nurse"].queries == 2
    assert np.isfinite(rows["nurse"].score.value)
    assert np.isnan(rows["baker"].score.value)
    assert "too few queries (1 < 2)" in rows["baker"].note
    moved = result.metrics.robustness["task/test"]["tfidf"]
    assert moved["typos"].changed == 4
    assert 0 <= moved["typos"].rank_biased_overlap < 1
    assert moved["word-order"].changed == 4
    cases = read(result.run, "cases.json")["task/test"]
    assert len(cases["worst"]["tfidf"]) == 2
    lost = cases["won_and_lost"]["bm25 against tfidf"]
    assert lost["won"] + lost["lost"] + lost["tied"] == 4


def test_number_changes_titles_and_counts_the_queries_that_it_leaves_alone(tmp_path: Path):
    jsonl(
        tmp_path / "jobs/queries.jsonl", [{"_id": "q1", "text": "ship bakers"}, {"_id": "q2", "text": "kneads dough"}]
    )
    jsonl(
        tmp_path / "jobs/corpus.jsonl", [{"_id": "d1", "text": "ship baker"}, {"_id": "d2", "text": "dough in a ship"}]
    )
    (tmp_path / "jobs/qrels").mkdir()
    (tmp_path / "jobs/qrels/test.tsv").write_text(
        "query-id\tcorpus-id\tscore\nq1\td1\t1\nq2\td2\t1\n", encoding="utf-8"
    )
    robustness = RobustnessSection(changes=("number", "plural"))
    assert robustness.changes == ("singular", "plural", "inverted")
    settings = config(TaskSection(path=str(tmp_path / "jobs")), robustness=robustness, baselines=())
    result = run_evaluate(settings, Workspace(tmp_path / "runs"))
    moved = result.metrics.robustness["jobs/test"]["tfidf"]
    assert {change: row.changed for change, row in moved.items()} == {"singular": 1, "plural": 0, "inverted": 1}
    assert moved["singular"].difference is not None
    assert moved["plural"].difference is None
    rows = result.tables["Robustness: changed queries against themselves"]
    assert [row["queries changed"] for row in rows] == ["1 of 2", "0 of 2", "1 of 2"]


def test_cases_hold_ids_alone_or_redacted_texts(task: Path, tmp_path: Path):
    corpus = task / "corpus.jsonl"
    rows = [json.loads(line) for line in corpus.read_text(encoding="utf-8").splitlines()]
    for row in rows:
        row["text"] = f"{row['text']} Write to t.hale{row['_id']}@example.net."
    corpus.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    for asked in (False, True):
        settings = config(TaskSection(path=str(task)), show_text=asked)
        run = Path(run_evaluate(settings, Workspace(tmp_path / f"runs-{asked}")).run)
        written = (run / "cases.json").read_text(encoding="utf-8")
        assert "t.hale" not in written
        assert ("Write to [EMAIL]." in written) == asked
        assert json.loads(written)["task/test"]["redacted"] == asked
        assert json.loads(written)["task/test"]["worst"]["tfidf"][0]["query"].startswith("q")
        write_run_page(find_run(tmp_path / f"runs-{asked}", "latest"), tmp_path / "page.html", "run")
        page = (tmp_path / "page.html").read_text(encoding="utf-8")
        assert "t.hale" not in page
        assert ("Write to [EMAIL]." in page) == asked


def test_retention_is_a_family_of_its_own(task: Path, similar: Path, tmp_path: Path):
    settings = config(TaskSection(path=str(task)), retention=(TaskSection(path=str(similar)),))
    metrics = run_evaluate(settings, Workspace(tmp_path / "runs")).metrics
    assert metrics.families == {"tasks": 1, "retention": 1}
    assert all(row.p_holm == row.p_value for row in metrics.differences)
    assert len(metrics.retention) == 1


def test_what_is_detectable_grows_with_the_number_of_comparisons(task: Path, tmp_path: Path):
    one = run_evaluate(config(TaskSection(path=str(task))), Workspace(tmp_path / "runs")).metrics.differences
    many = run_evaluate(config(*[TaskSection(path=str(task))] * 4), Workspace(tmp_path / "runs")).metrics.differences
    assert (len(one), len(many)) == (1, 4)
    assert many[0].difference == one[0].difference
    assert many[0].detectable > 1.2 * one[0].detectable


def test_results_are_files_that_mteb_reads(task: Path, tmp_path: Path):
    from mteb.results import TaskResult

    result = run_evaluate(config(TaskSection(path=str(task))), Workspace(tmp_path / "runs"))
    (file,) = (Path(result.run) / "mteb" / "results").glob("*tfidf*/*/task.json")
    read_back = TaskResult.from_disk(file)
    ours = result.metrics.scores["task/test"]["tfidf"]["ndcg@10"].value
    assert read_back.get_score() == pytest.approx(ours, abs=1e-5)


def test_the_second_run_needs_no_model_and_gives_the_same_bytes(tiny_model: Path, task: Path, tmp_path: Path, capsys):
    argv = [
        "eval", "--json", "--runs-dir", str(tmp_path / "runs"), "--set", f"models=[{{ref: 'path:{tiny_model}'}}]",
        "--set", f"tasks=[{{path: '{task}'}}]", "--set", "retention=[]", "--set", "slices.by=[relevant]",
    ]  # fmt: skip
    assert main(argv) == 0
    script = (
        "import sys; from hrembed.cli.app import main; sys.exit(main(sys.argv[1:]) or 9 * ('torch' in sys.modules))"
    )
    again = subprocess.run([sys.executable, "-c", script, *argv], capture_output=True, text=True, check=True)
    first, second = (Path(json.loads(said)["run"]) for said in (capsys.readouterr().out, again.stdout))
    assert (first / "metrics.json").read_bytes() == (second / "metrics.json").read_bytes()


def test_a_key_in_place_of_the_name_of_its_variable_reaches_no_file(task: Path, tmp_path: Path, capsys):
    key = "sk-abc123secret"
    code = main(["eval", "--runs-dir", str(tmp_path / "runs"), "--set", "models.0.ref=openai:m",
                 "--set", f"models.0.endpoint.api_key_env={key}"])  # fmt: skip
    shown = "".join(capsys.readouterr())
    assert code == 2
    assert "expected the name of an environment variable" in shown
    assert key not in shown
    assert not (tmp_path / "runs").exists()


def test_rankings_are_no_model_elsewhere(task: Path, tmp_path: Path):
    from hrembed.scoring.encoders import open_encoder

    with pytest.raises(ConfigError, match="contains rankings, not a model"):
        open_encoder(ModelSection(ref="trec:x.run"), Workspace(tmp_path))
