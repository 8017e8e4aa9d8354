"""Selection from planted leaderboards, and what is left for the next command."""

from __future__ import annotations

import gzip
import http.server
import json
import shutil
import threading
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hrembed.commands.eval.run import run_evaluate
from hrembed.commands.select import refresh as select_refresh
from hrembed.commands.select.run import run_select
from hrembed.config.eval import EvalConfig
from hrembed.config.finetune import FinetuneConfig
from hrembed.config.load import load_config
from hrembed.config.parts import ModelSection, TaskSection
from hrembed.config.schema import SCHEMAS, AuditConfig
from hrembed.config.select import (
    ConstraintsSection,
    CostSection,
    ProbeSection,
    ScoresSection,
    SelectConfig,
    WeightsSection,
)
from hrembed.errors import ConfigError, DataError
from hrembed.progress import Silent
from hrembed.records.base import as_json
from hrembed.records.eval import EvalRecord
from hrembed.records.select import SelectRecord
from hrembed.runs.past import find_run
from hrembed.runs.workspace import Workspace
from leaderboards import ADAPTED, ANY, MEANS, MINI, NOTHING, TASKS, order, own, planted, run_planted, select
from places import ROOT


def test_a_non_commercial_licence_is_out_and_counted(tmp_path: Path):
    file = planted(tmp_path, MEANS)
    record = select(tmp_path, file, (own("own/m0", licence="cc-by-nc-4.0"),))
    assert order(record)[0] == "own/m1"
    assert record.registry.dropped_by["licence"] > 100
    both = ConstraintsSection(licences=("permissive", "non-commercial"), languages=(), open_weights=None)
    record = select(tmp_path, file, (own("own/m0", licence="cc-by-nc-4.0"),), constraints=both)
    assert order(record)[0] == "own/m0"
    assert record.leaderboard[0].licence_class == "non-commercial"


def test_a_model_trained_on_the_benchmark_is_marked_discounted_or_excluded(tmp_path: Path):
    file = planted(tmp_path, MEANS)
    trained = (own("own/m0", trained_on=("FiQA2018", "SCIDOCS", "elsewhere")),)
    marked = select(tmp_path, file, trained)
    assert order(marked)[0] == "own/m0"
    assert marked.leaderboard[0].trained_on_these_tasks == ("FiQA2018", "SCIDOCS")
    assert marked.leaderboard[1].trained_on_these_tasks == ()
    discounted = select(tmp_path, file, trained, scores={"trained_on": "discount"})
    lost = marked.leaderboard[0].mean - next(row.mean for row in discounted.leaderboard if row.model == "own/m0")
    assert lost == pytest.approx(0.1 * (0.65 + 0.70) / 5, abs=0.001)
    assert order(discounted)[0] == "own/m1"
    excluded = select(tmp_path, file, trained, scores={"trained_on": "exclude"})
    assert excluded.ranking.left_out == {"own/m0": "trained on 2 of the tasks"}


def test_a_model_of_the_registry_is_marked_by_what_it_was_adapted_from(tmp_path: Path):
    file = planted(tmp_path, {**MEANS, ADAPTED: 0.7})
    record = select(tmp_path, file, constraints=ANY)
    seen = {row.model: row.trained_on_these_tasks for row in record.leaderboard}
    assert seen[ADAPTED] == ("FiQA2018", "TRECCOVID")
    silent = select(tmp_path, file, (own("own/m0", trained_on=None),), scores={"undisclosed": "drop"})
    assert silent.ranking.left_out["own/m0"] == "does not state its training data"


def test_a_model_with_missing_tasks_is_named_or_gets_the_lowest_score(tmp_path: Path):
    file = planted(tmp_path, MEANS, leave=frozenset({("own/m0", "TRECCOVID")}))
    record = select(tmp_path, file)
    assert order(record)[0] == "own/m1"
    assert record.ranking.left_out == {"own/m0": "no score on 1 of 5 tasks"}
    assert any("own/m0: no score on 1 of 5 tasks" in text for text in record.notices)
    worst = select(tmp_path, file, scores={"missing": "worst"})
    mean = next(row.mean for row in worst.leaderboard if row.model == "own/m0")
    # 0.60, 0.65, 0.70, the lowest on TRECCOVID (0.51 + 0.15), 0.80
    assert mean == pytest.approx((0.60 + 0.65 + 0.70 + 0.66 + 0.80) / 5, abs=0.003)
    borda = select(tmp_path, file, scores={"missing": "worst"}, rank_by="borda")
    points = next(row.points.value for row in borda.leaderboard if row.model == "own/m0")
    assert points == pytest.approx(4 * 9 / 5)  # beats nine on four tasks, nobody on the fifth


def test_an_outlier_is_flagged_and_what_hangs_on_it_is_said(tmp_path: Path):
    extra = [f"own/wrong,r1,{task},test,default,{0.5 + 0.05 * n},2.0.0" for n, task in enumerate(TASKS) if n != 2]
    file = planted(tmp_path, MEANS, *extra, "own/wrong,r1,SCIDOCS,test,default,0.99,2.0.0")
    record = select(tmp_path, file, (own("own/wrong"),), shortlist=11)
    flagged = {row.model: row.suspicious for row in record.leaderboard if row.suspicious}
    assert flagged == {"own/wrong": ("SCIDOCS",)}
    assert any(
        text.startswith("own/wrong: its score on SCIDOCS is an outlier for both the model and the task; check it")
        for text in record.notices
    )
    dropped = select(tmp_path, file, (own("own/wrong"),), scores={"outliers": "drop"})
    assert dropped.ranking.left_out == {"own/wrong": "no score on 1 of 5 tasks"}


def test_an_outlier_that_makes_a_model_first_is_found_by_leaving_tasks_out(tmp_path: Path):
    close = {name: 0.6 - 0.001 * n for n, name in enumerate(MEANS)}
    file = planted(tmp_path, {**close, "own/lucky": 0.58}, leave=frozenset({("own/lucky", "SCIDOCS")}))
    with Path(file).open("a", encoding="utf-8") as stream:
        stream.write("own/lucky,r1,SCIDOCS,test,default,0.99,2.0.0\n")
    record = select(tmp_path, file, (own("own/lucky"),))
    assert order(record)[0] == "own/lucky"
    assert record.ranking.sensitivity.first_without_task.keys() == {"SCIDOCS"}
    assert len(record.ranking.tied_with_first) > 5


def test_two_revisions_are_not_mixed_without_a_word(tmp_path: Path):
    old = [f"own/m1,r0,{task},test,default,0.95,1.18.0" for task in TASKS[:4]]
    file = planted(tmp_path, MEANS, *old, leave=frozenset({("own/m1", "TRECCOVID")}))
    result = run_planted(tmp_path, file)
    record = result.metrics
    row = next(row for row in record.leaderboard if row.model == "own/m1")
    # The newer revision is as full as the older one, so it counts; the older fills the gap, which is said.
    assert row.tasks_of_other_revisions == 1
    assert row.mteb_versions == ("1", "2")
    assert row.mean == pytest.approx((0.59 + 0.64 + 0.69 + 0.95 + 0.79) / 5, abs=0.003)
    assert record.scores.of_several_revisions == ("own/m1",)
    table = pq.read_table(Path(result.run) / "scores.parquet").to_pylist()
    origin = next(row for row in table if (row["model"], row["task"]) == ("own/m1", "TRECCOVID"))
    assert (origin["revision"], origin["mteb_version"]) == ("r0", "1.18.0")


def test_unknown_models_and_repeated_rows_are_said_once(tmp_path: Path):
    extra = [f"BAAI/bge-smal-en-v1.5,r1,{task},test,default,0.5,2.0.0" for task in TASKS]
    file = planted(tmp_path, MEANS, *extra, extra[0])
    notices = select(tmp_path, file).notices
    assert [text for text in notices if "metadata" in text] == [
        "Models in the scores without metadata in mteb: 1, for example "
        "'BAAI/bge-smal-en-v1.5' (did you mean 'BAAI/bge-small-en-v1.5'?); describe them under `facts`."
    ]
    assert "Duplicate rows with the same score, which count once: 1." in notices


def test_weights_by_hand_by_type_and_like_mine(tmp_path: Path, task: Path):
    file = planted(tmp_path, MEANS)
    by_hand = WeightsSection(tasks={"SCIDOCS": 3, "ArguAna": 0}, types={"STS": 0.5})
    weights = select(tmp_path, file, weights=by_hand).ranking.weights
    assert weights == pytest.approx(
        {"FiQA2018": 2 / 11, "SCIDOCS": 6 / 11, "STSBenchmark": 1 / 11, "TRECCOVID": 2 / 11}
    )
    by_type = select(tmp_path, file, weights=WeightsSection(scheme="by-type")).ranking.weights
    assert by_type["STSBenchmark"] == pytest.approx(0.5)
    probe = ProbeSection(models=(), shortlisted=False, task=TaskSection(path=str(task)))
    found = select(tmp_path, file, weights=WeightsSection(scheme="like-mine"), probe=probe)
    # Texts of forty characters: pairs of sentences are nearer than searches in whole articles.
    assert max(found.ranking.weights, key=found.ranking.weights.get) == "STSBenchmark"
    assert set(found.ranking.sensitivity.first_by_scheme) == {
        "equal", "by-type", "like-mine", "Retrieval only", "STS only",
    }  # fmt: skip
    with pytest.raises(DataError, match=r"`weights.tasks`: 'SciDocs' is not a ranked task; available"):
        select(tmp_path, file, weights=WeightsSection(tasks={"SciDocs": 2}))


def test_weights_may_be_written_in_short(tmp_path: Path):
    (tmp_path / "c.yaml").write_text("weights: like-mine\nprobe: {models: [bm25]}\n", encoding="utf-8")
    config = load_config(tmp_path / "c.yaml", SelectConfig)
    assert (config.weights.scheme, config.probe.models) == ("like-mine", (ModelSection(ref="bm25"),))
    with pytest.raises(ConfigError, match="'like-yours'"):
        load_config(tmp_path / "c.yaml", SelectConfig, ["weights=like-yours"])


@pytest.fixture
def evaluated(tmp_path: Path, task: Path) -> Path:
    """Folder of an eval run of two lexical models."""
    refs = (ModelSection(ref="tfidf"), ModelSection(ref="bm25"))
    config = EvalConfig(models=refs, baselines=(), tasks=(TaskSection(path=str(task)),))
    return Path(run_evaluate(config, Workspace(tmp_path / "runs")).run)


def of_runs(root: Path, *references: str) -> SelectRecord:
    config = SelectConfig(
        scores=ScoresSection(runs=references), facts=(own("tfidf"), own("bm25")), probe=NOTHING, constraints=ANY
    )
    return run_select(config, Workspace(root)).metrics


def test_earlier_evaluations_count_as_scores(tmp_path: Path, evaluated: Path):
    record = of_runs(tmp_path / "runs", "latest")
    assert record.scores.tasks == ("task/test",)
    means = {row.model: row.mean for row in record.leaderboard}
    scores = find_run(tmp_path / "runs", "latest", "eval").record(EvalRecord).scores["task/test"]
    assert means == {model: scores[model]["ndcg@10"].value for model in ("tfidf", "bm25")}
    assert len(record.ranking.tied_with_first) == 2  # one task separates nobody
    assert as_json(of_runs(tmp_path / "runs", str(evaluated))) == as_json(record)


@pytest.mark.parametrize("status", ["started", "failed", "interrupted"])
def test_the_latest_evaluation_is_the_newest_that_ended_well(tmp_path: Path, evaluated: Path, status: str):
    before = of_runs(tmp_path / "runs", "latest")
    newer = evaluated.with_name("29991231T000000Z-00000000")
    shutil.copytree(evaluated, newer)
    manifest = json.loads((newer / "manifest.json").read_text(encoding="utf-8"))
    manifest |= {"status": status, "started": "2999-12-31T00:00:00+00:00"}
    (newer / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    metrics = json.loads((newer / "metrics.json").read_text(encoding="utf-8"))
    metrics["scores"]["task/test"]["bm25"]["ndcg@10"]["value"] = 0.01
    (newer / "metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
    assert as_json(of_runs(tmp_path / "runs", "latest")) == as_json(before)
    with pytest.raises(DataError, match=f"has status '{status}', so its results are incomplete"):
        of_runs(tmp_path / "runs", newer.name)


def test_an_edited_evaluation_is_refused(tmp_path: Path, evaluated: Path):
    file = evaluated / "metrics.json"
    file.write_text(file.read_text(encoding="utf-8").replace("1.0", "0.5"), encoding="utf-8")
    for reference in ("latest", evaluated.name, str(evaluated)):
        with pytest.raises(
            DataError, match=r"metrics.json' was modified after the run: its SHA-256 differs from the manifest"
        ):
            of_runs(tmp_path / "runs", reference)


def test_a_folder_that_is_no_evaluation_is_refused(tmp_path: Path):
    (tmp_path / "elsewhere").mkdir()
    with pytest.raises(DataError, match=f"'{tmp_path / 'elsewhere'}' is not a run folder"):
        of_runs(tmp_path / "runs", str(tmp_path / "elsewhere"))
    with pytest.raises(DataError, match="no finished eval run found in"):
        of_runs(tmp_path / "runs", "latest")
    select(tmp_path, planted(tmp_path, MEANS))
    with pytest.raises(DataError, match="belongs to `select`, but `eval` is required"):
        of_runs(tmp_path / "runs", "select/latest")


def test_a_selection_is_read_back_as_it_was_written(tmp_path: Path):
    probe = ProbeSection(models=(ModelSection(ref="bm25"),), shortlisted=False, cost=CostSection(measure=False))
    record = select(tmp_path, planted(tmp_path, MEANS), probe=probe)
    assert find_run(tmp_path / "runs", "latest", "select").record(SelectRecord) == record
    assert record.leaderboard[0].points.n == len(TASKS)


def test_the_same_config_gives_the_same_numbers_and_a_page(tmp_path: Path):
    file = planted(tmp_path, {**MEANS, "own/<script>": 0.7})
    first, second = (Path(run_planted(tmp_path, file, (own("own/<script>"),)).run) for _ in range(2))
    numbers = [(run / "metrics.json").read_bytes() for run in (first, second)]
    assert numbers[0] == numbers[1]
    page = (first / "report.html").read_text(encoding="utf-8")
    assert "own/&lt;script&gt;" in page
    assert "own/<script>" not in page
    for title in ("Quality against size", "Ranks that fit the tasks", "How much first place depends on the weights"):
        assert f"<figcaption>{title}" in page


def test_the_pick_is_a_model_for_the_other_commands(tmp_path: Path, task: Path):
    probe = ProbeSection(
        models=(ModelSection(ref="bm25"), ModelSection(ref="tfidf")),
        shortlisted=False,
        task=TaskSection(path=str(task)),
        cost=CostSection(measure=False),
    )
    result = run_planted(tmp_path, planted(tmp_path, MEANS), probe=probe)
    pick = Path(result.run) / "pick.yaml"
    for command, key in (("bias-audit", "model"), ("eval", "models.0")):
        configs = ROOT / "configs"
        config = load_config(configs / f"{command}.yaml", SCHEMAS[command], [f"{key}={pick}"])
        model = config.model if isinstance(config, AuditConfig) else config.models[0]  # type: ignore[attr-defined]
        assert model == ModelSection(ref=result.metrics.pick.section["ref"])
    with pytest.raises(ConfigError, match="has no weights to train"):
        load_config(configs / "finetune.yaml", FinetuneConfig, [f"model={pick}"])
    pick.write_text("ref: minilm\nmax_tokens: 128\n", encoding="utf-8")
    tuned = load_config(configs / "finetune.yaml", FinetuneConfig, [f"model={pick}"])
    assert tuned.model == ModelSection(ref="minilm", max_tokens=128)
    with pytest.raises(ConfigError, match=r"'none.yaml' cannot be read: No such file"):
        load_config(configs / "finetune.yaml", FinetuneConfig, ["model=none.yaml"])


def test_without_a_probe_the_first_of_the_leaderboard_is_picked(tmp_path: Path):
    record = select(tmp_path, planted(tmp_path, {**MEANS, MINI: 0.7}), constraints=ANY)
    assert record.pick.section["ref"].startswith(f"hf:{MINI}@")
    assert "Nothing was measured on your data: leaderboard scores say little about hiring" in " ".join(
        record.pick.reasons
    )


class _Published(http.server.BaseHTTPRequestHandler):
    body = b""

    def do_GET(self) -> None:
        body = b"version https://git-lfs.github.com/spec/v1\n" if "pointer" in self.path else self.body
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


def test_public_scores_are_fetched_once_and_read_without_a_network_afterwards(tmp_path: Path, monkeypatch):
    results = [
        {
            "model_name": name,
            "model_revision": "r1",
            "task_results": [
                {
                    "task_name": task,
                    "mteb_version": "2.0.0",
                    "scores": {"test": [{"hf_subset": "default", "main_score": mean + 0.01 * n}]},
                }
                for n, task in enumerate(TASKS)
            ],
        }
        for name, mean in MEANS.items()
    ]
    monkeypatch.setenv("MTEB_CACHE", str(tmp_path / "cache"))
    handler = type("Handler", (_Published,), {"body": gzip.compress(json.dumps({"model_results": results}).encode())})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as served:
        threading.Thread(target=served.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{served.server_port}"
        table = select_refresh.refresh(Silent(), published=f"{address}/pointer.gz", in_lfs=f"{address}/file.gz")
        served.shutdown()
    assert table.is_relative_to(tmp_path / "cache" / "leaderboard")
    config = SelectConfig(
        scores=ScoresSection(tasks=TASKS), facts=tuple(own(n) for n in MEANS), constraints=ANY, probe=NOTHING
    )
    assert order(run_select(config, Workspace(tmp_path / "runs")).metrics)[0] == "own/m0"
    before = table.read_bytes()
    with pytest.raises(DataError, match="cannot download the public results") as caught:
        select_refresh.refresh(Silent(), published=f"{address}/file.gz")
    assert (
        "check the network connection and run `hrembed select --refresh` again, which resumes the download"
        in caught.value.hint
    )
    assert table.read_bytes() == before
