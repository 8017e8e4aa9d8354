"""Selection from planted leaderboards, and what is left for the next command."""

from __future__ import annotations

import gzip
import http.server
import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hrembed.config.load import load_config
from hrembed.config.parts import ModelSection, TaskSection
from hrembed.config.schema import SCHEMAS, AuditConfig, EvalConfig
from hrembed.config.select import (
    ConstraintsSection,
    CostSection,
    FactSection,
    HalvingSection,
    PairsSection,
    ProbeSection,
    ScoresSection,
    SelectConfig,
    TransferSection,
    WeightsSection,
)
from hrembed.config.training import FinetuneConfig
from hrembed.errors import ConfigError, DataError
from hrembed.evaluation.subtask import subtask
from hrembed.progress import Silent
from hrembed.stages import select_refresh
from hrembed.stages.evaluate import run_evaluate
from hrembed.stages.select import run_select
from hrembed.stages.select_probe import Candidate, halve, task_of_pairs
from hrembed.stages.select_transfer import brief
from hrembed.types import Task, Text

from conftest import jsonl

MINI = "sentence-transformers/all-MiniLM-L6-v2"
TASKS = ("ArguAna", "FiQA2018", "SCIDOCS", "TRECCOVID", "STSBenchmark")
# Names no task of these itself; the model that it was made of was trained on two of them.
ADAPTED = "GreenNode/GreenNode-Embedding-KaLM-Mini-Instruct-VN-V1"
NOTHING = ProbeSection(models=(), shortlisted=False)
ANY = ConstraintsSection(licences=(), languages=(), open_weights=None, kinds=())


def own(name: str, **facts: Any) -> FactSection:
    """A model that only the config knows: small, permissive, trained on nothing that counts."""
    given = {"parameters": 10_000_000, "licence": "mit", "trained_on": (), "memory_mb": 40, "dimension": 64, **facts}
    return FactSection(name=name, **given)


def planted(folder: Path, means: dict[str, float], *extra: str, leave: frozenset[tuple[str, str]] = frozenset()) -> str:
    """A CSV of scores: what a model does, plus how easy the task is, plus a little noise."""
    rng = np.random.default_rng(0)
    lines = ["model,revision,task,split,subset,main_score,mteb_version"]
    for model, mean in means.items():
        for n, task in enumerate(TASKS):
            score = mean + 0.05 * n + rng.normal(scale=0.002)
            if (model, task) not in leave:
                lines.append(f"{model},r1,{task},test,default,{score:.4f},2.0.0")
    file = folder / "scores.csv"
    file.write_text("\n".join([*lines, *extra]) + "\n", encoding="utf-8")
    return str(file)


MEANS = {f"own/m{n}": 0.60 - 0.01 * n for n in range(10)}


def select(tmp_path: Path, file: str, facts: tuple[FactSection, ...] = (), **other: Any) -> dict[str, Any]:
    scores = ScoresSection(path=file, tasks=TASKS, **other.pop("scores", {}))
    named = {section.name for section in facts}
    rest = tuple(own(name) for name in MEANS if name not in named)
    given = {"constraints": ConstraintsSection(languages=(), open_weights=None, kinds=()), "probe": NOTHING, **other}
    config = SelectConfig(scores=scores, facts=(*facts, *rest), **given)
    result = run_select(config, tmp_path / "runs")
    return {**result.metrics, "run": Path(result.run)}


def order(metrics: dict[str, Any]) -> list[str]:
    return [row["model"] for row in metrics["leaderboard"]]


def test_a_non_commercial_licence_is_out_and_counted(tmp_path: Path):
    file = planted(tmp_path, MEANS)
    metrics = select(tmp_path, file, (own("own/m0", licence="cc-by-nc-4.0"),))
    assert order(metrics)[0] == "own/m1"
    assert metrics["registry"]["dropped_by"]["licence"] > 100
    both = ConstraintsSection(licences=("permissive", "non-commercial"), languages=(), open_weights=None, kinds=())
    metrics = select(tmp_path, file, (own("own/m0", licence="cc-by-nc-4.0"),), constraints=both)
    assert order(metrics)[0] == "own/m0"
    assert metrics["leaderboard"][0]["licence_class"] == "non-commercial"


def test_a_model_trained_on_the_benchmark_is_marked_discounted_or_excluded(tmp_path: Path):
    file = planted(tmp_path, MEANS)
    trained = (own("own/m0", trained_on=("FiQA2018", "SCIDOCS", "elsewhere")),)
    marked = select(tmp_path, file, trained)
    assert order(marked)[0] == "own/m0"
    assert marked["leaderboard"][0]["trained_on_these_tasks"] == ["FiQA2018", "SCIDOCS"]
    assert marked["leaderboard"][1]["trained_on_these_tasks"] == []
    discounted = select(tmp_path, file, trained, scores={"trained_on": "discount", "discount": 0.1})
    lost = marked["leaderboard"][0]["mean"] - next(
        row["mean"] for row in discounted["leaderboard"] if row["model"] == "own/m0"
    )
    assert lost == pytest.approx(0.1 * (0.65 + 0.70) / 5, abs=0.001)
    assert order(discounted)[0] == "own/m1"
    excluded = select(tmp_path, file, trained, scores={"trained_on": "exclude"})
    assert excluded["ranking"]["left_out"] == {"own/m0": "trained on 2 of the tasks"}


def test_a_model_of_the_registry_is_marked_by_what_it_was_adapted_from(tmp_path: Path):
    file = planted(tmp_path, {**MEANS, ADAPTED: 0.7})
    metrics = select(tmp_path, file, constraints=ANY)
    seen = {row["model"]: row["trained_on_these_tasks"] for row in metrics["leaderboard"]}
    assert seen[ADAPTED] == ["FiQA2018", "TRECCOVID"]
    silent = select(tmp_path, file, (own("own/m0", trained_on=None),), scores={"undisclosed": "drop"})
    assert silent["ranking"]["left_out"]["own/m0"] == "does not say what it was trained on"


def test_a_model_with_missing_tasks_is_named_or_gets_the_lowest_score(tmp_path: Path):
    file = planted(tmp_path, MEANS, leave=frozenset({("own/m0", "TRECCOVID")}))
    metrics = select(tmp_path, file)
    assert order(metrics)[0] == "own/m1"
    assert metrics["ranking"]["left_out"] == {"own/m0": "no score on 1 of 5 tasks"}
    assert any("own/m0: no score on 1 of 5 tasks" in text for text in metrics["notices"])
    worst = select(tmp_path, file, scores={"missing": "worst"})
    mean = next(row["mean"] for row in worst["leaderboard"] if row["model"] == "own/m0")
    # 0.60, 0.65, 0.70, the lowest on TRECCOVID (0.51 + 0.15), 0.80
    assert mean == pytest.approx((0.60 + 0.65 + 0.70 + 0.66 + 0.80) / 5, abs=0.003)
    borda = select(tmp_path, file, scores={"missing": "worst"}, rank_by="borda")
    points = next(row["points"] for row in borda["leaderboard"] if row["model"] == "own/m0")
    assert points == pytest.approx(4 * 9 / 5)  # beats nine on four tasks, nobody on the fifth


def test_an_outlier_is_flagged_and_what_hangs_on_it_is_said(tmp_path: Path):
    extra = [f"own/wrong,r1,{task},test,default,{0.5 + 0.05 * n},2.0.0" for n, task in enumerate(TASKS) if n != 2]
    file = planted(tmp_path, MEANS, *extra, "own/wrong,r1,SCIDOCS,test,default,0.99,2.0.0")
    metrics = select(tmp_path, file, (own("own/wrong"),), shortlist=11)
    flagged = {row["model"]: row["suspicious"] for row in metrics["leaderboard"] if row["suspicious"]}
    assert flagged == {"own/wrong": ["SCIDOCS"]}
    assert any(text.startswith("own/wrong: its score on SCIDOCS fits neither") for text in metrics["notices"])
    dropped = select(tmp_path, file, (own("own/wrong"),), scores={"outliers": "drop"})
    assert dropped["ranking"]["left_out"] == {"own/wrong": "no score on 1 of 5 tasks"}


def test_an_outlier_that_makes_a_model_first_is_found_by_leaving_tasks_out(tmp_path: Path):
    close = {name: 0.6 - 0.001 * n for n, name in enumerate(MEANS)}
    file = planted(tmp_path, {**close, "own/lucky": 0.58}, leave=frozenset({("own/lucky", "SCIDOCS")}))
    with Path(file).open("a", encoding="utf-8") as stream:
        stream.write("own/lucky,r1,SCIDOCS,test,default,0.99,2.0.0\n")
    metrics = select(tmp_path, file, (own("own/lucky"),))
    assert order(metrics)[0] == "own/lucky"
    assert metrics["ranking"]["sensitivity"]["first_without_task"].keys() == {"SCIDOCS"}
    assert len(metrics["ranking"]["tied_with_first"]) > 5


def test_two_revisions_are_not_mixed_without_a_word(tmp_path: Path):
    old = [f"own/m1,r0,{task},test,default,0.95,1.18.0" for task in TASKS[:4]]
    file = planted(tmp_path, MEANS, *old, leave=frozenset({("own/m1", "TRECCOVID")}))
    metrics = select(tmp_path, file)
    row = next(row for row in metrics["leaderboard"] if row["model"] == "own/m1")
    # The newer revision is as full as the older one, so it counts; the older fills the gap, which is said.
    assert row["tasks_of_other_revisions"] == 1
    assert row["mteb_versions"] == ["1", "2"]
    assert row["mean"] == pytest.approx((0.59 + 0.64 + 0.69 + 0.95 + 0.79) / 5, abs=0.003)
    assert metrics["scores"]["of_several_revisions"] == ["own/m1"]
    table = pq.read_table(metrics["run"] / "scores.parquet").to_pylist()
    origin = next(row for row in table if (row["model"], row["task"]) == ("own/m1", "TRECCOVID"))
    assert (origin["revision"], origin["mteb_version"]) == ("r0", "1.18.0")


def test_unknown_models_and_repeated_rows_are_said_once(tmp_path: Path):
    extra = [f"BAAI/bge-smal-en-v1.5,r1,{task},test,default,0.5,2.0.0" for task in TASKS]
    file = planted(tmp_path, MEANS, *extra, extra[0])
    notices = select(tmp_path, file)["notices"]
    assert [text for text in notices if "registry" in text] == [
        "Models of the scores that are not in mteb's registry and have no facts: 1, for example "
        "'BAAI/bge-smal-en-v1.5' (did you mean 'BAAI/bge-small-en-v1.5'?); describe yours under `facts`."
    ]
    assert "Rows that stand more than once with the same score, and count once: 1." in notices


def test_weights_by_hand_by_type_and_like_mine(tmp_path: Path, task: Path):
    file = planted(tmp_path, MEANS)
    by_hand = WeightsSection(tasks={"SCIDOCS": 3, "ArguAna": 0}, types={"STS": 0.5})
    weights = select(tmp_path, file, weights=by_hand)["ranking"]["weights"]
    assert weights == pytest.approx(
        {"FiQA2018": 2 / 11, "SCIDOCS": 6 / 11, "STSBenchmark": 1 / 11, "TRECCOVID": 2 / 11}
    )
    by_type = select(tmp_path, file, weights=WeightsSection(scheme="by-type"))["ranking"]["weights"]
    assert by_type["STSBenchmark"] == pytest.approx(0.5)
    probe = ProbeSection(models=(), shortlisted=False, task=TaskSection(path=str(task)))
    found = select(tmp_path, file, weights=WeightsSection(scheme="like-mine"), probe=probe)
    # Texts of forty characters: pairs of sentences are nearer than searches in whole articles.
    assert max(found["ranking"]["weights"], key=found["ranking"]["weights"].get) == "STSBenchmark"
    assert set(found["ranking"]["sensitivity"]["first_by_scheme"]) == {
        "equal", "by-type", "like-mine", "Retrieval only", "STS only",
    }  # fmt: skip
    with pytest.raises(DataError, match=r"`weights\.tasks` names 'SciDocs', which does not count"):
        select(tmp_path, file, weights=WeightsSection(tasks={"SciDocs": 2}))


def test_weights_may_be_written_in_short(tmp_path: Path):
    (tmp_path / "c.yaml").write_text("weights: like-mine\nprobe: {models: [bm25]}\n", encoding="utf-8")
    config = load_config(tmp_path / "c.yaml", SelectConfig)
    assert (config.weights.scheme, config.probe.models) == ("like-mine", (ModelSection(ref="bm25"),))
    with pytest.raises(ConfigError, match="'like-yours'"):
        load_config(tmp_path / "c.yaml", SelectConfig, ["weights=like-yours"])


def test_earlier_evaluations_count_as_scores(tmp_path: Path, task: Path):
    refs = (ModelSection(ref="tfidf"), ModelSection(ref="bm25"))
    run_evaluate(EvalConfig(models=refs, baselines=(), tasks=(TaskSection(path=str(task)),)), tmp_path / "runs")
    config = SelectConfig(
        scores=ScoresSection(runs=("latest",)), facts=(own("tfidf"), own("bm25")), probe=NOTHING, constraints=ANY
    )
    metrics = run_select(config, tmp_path / "runs").metrics
    assert metrics["scores"]["tasks"] == ["task/test"]
    assert {row["model"] for row in metrics["leaderboard"]} == {"tfidf", "bm25"}
    assert len(metrics["ranking"]["tied_with_first"]) == 2  # one task separates nobody


def test_the_same_config_gives_the_same_numbers_and_a_page(tmp_path: Path):
    file = planted(tmp_path, {**MEANS, "own/<script>": 0.7})
    first, second = (select(tmp_path, file, (own("own/<script>"),)) for _ in range(2))
    numbers = [(found["run"] / "metrics.json").read_bytes() for found in (first, second)]
    assert numbers[0] == numbers[1]
    page = (first["run"] / "report.html").read_text(encoding="utf-8")
    assert "own/&lt;script&gt;" in page
    assert "own/<script>" not in page
    assert page.count("data:image/png;base64,") == 3


def test_the_pick_is_a_model_for_the_other_commands(tmp_path: Path, task: Path):
    probe = ProbeSection(
        models=(ModelSection(ref="bm25"), ModelSection(ref="tfidf")),
        shortlisted=False,
        task=TaskSection(path=str(task)),
        cost=CostSection(measure=False),
    )
    metrics = select(tmp_path, planted(tmp_path, MEANS), probe=probe)
    pick = metrics["run"] / "pick.yaml"
    for command, key in (("bias-audit", "model"), ("eval", "models.0")):
        configs = Path(__file__).resolve().parents[2] / "configs"
        config = load_config(configs / f"{command}.yaml", SCHEMAS[command], [f"{key}={pick}"])
        model = config.model if isinstance(config, AuditConfig) else config.models[0]  # type: ignore[attr-defined]
        assert model == ModelSection(ref=metrics["pick"]["section"]["ref"])
    with pytest.raises(ConfigError, match="has no weights to train"):
        load_config(configs / "finetune.yaml", FinetuneConfig, [f"model={pick}"])
    pick.write_text("ref: minilm\nmax_tokens: 128\n", encoding="utf-8")
    tuned = load_config(configs / "finetune.yaml", FinetuneConfig, [f"model={pick}"])
    assert tuned.model == ModelSection(ref="minilm", max_tokens=128)
    with pytest.raises(ConfigError, match=r"'none\.yaml' cannot be read: No such file"):
        load_config(configs / "finetune.yaml", FinetuneConfig, ["model=none.yaml"])


def test_without_a_probe_the_first_of_the_leaderboard_is_picked(tmp_path: Path):
    metrics = select(tmp_path, planted(tmp_path, {**MEANS, MINI: 0.7}), constraints=ANY)
    assert metrics["pick"]["section"]["ref"].startswith(f"hf:{MINI}@")
    assert "Nothing was measured on your texts" in " ".join(metrics["pick"]["reasons"])


class Fake:
    """Scores the right document of every query with a given chance."""

    def __init__(self, name: str, chance: float) -> None:
        self.name, self.identity, self.source, self._chance = name, name, name, chance
        self.seen: list[int] = []

    def similarity(self, queries: Any, documents: Any, *, instruction: str = "") -> Any:
        self.seen.append(len(queries))
        rng = np.random.default_rng(abs(hash(self._chance)) % 1000)
        scores = rng.uniform(size=(len(queries), len(documents))) * 0.5
        for n, text in enumerate(queries):
            if np.random.default_rng(int(text)).uniform() < self._chance:
                scores[n, list(documents).index(text)] = 1.0
        return Fixed(scores)


class Fixed:
    def __init__(self, scores: Any) -> None:
        self._scores = scores
        self.shape = scores.shape

    def block(self, queries: slice, documents: Any) -> Any:
        return self._scores[queries][:, documents].astype(np.float32)


def large(n: int) -> Task:
    texts = tuple(Text(str(k), str(k)) for k in range(n))
    return Task("large", texts, texts, {str(k): {str(k): 1} for k in range(n)})


def test_halving_spends_the_whole_task_on_those_that_may_be_best():
    chances = {"best": 0.9, "near": 0.88, "fair": 0.8, "poor": 0.3, "worst": 0.05}
    fakes = {name: Fake(name, chance) for name, chance in chances.items()}
    section = ModelSection(ref="minilm")
    candidates = [Candidate(name, section, fake, None) for name, fake in fakes.items()]  # type: ignore[arg-type]
    config = SelectConfig(probe=ProbeSection(halving=HalvingSection(rounds=3, finalists=2)))
    finalists, dropped = halve(config, candidates, large(400), Silent())
    assert [row.name for row in finalists][:2] == ["best", "near"]
    assert {row.name for row in dropped} >= {"poor", "worst"}
    assert all(row.queries == 400 for row in finalists)
    assert fakes["worst"].seen == [100]
    assert all(row.difference.estimate.high < 0 for row in dropped)


def test_nobody_is_dropped_by_luck_alone():
    chances = (0.8, 0.801, 0.802, 0.803, 0.804, 0.805)  # the same but for a hair
    section = ModelSection(ref="minilm")
    candidates = [Candidate(str(chance), section, Fake(str(chance), chance), None) for chance in chances]  # type: ignore[arg-type]
    config = SelectConfig(probe=ProbeSection(halving=HalvingSection(rounds=3, finalists=1)))
    finalists, dropped = halve(config, candidates, large(200), Silent())
    assert (len(finalists), dropped) == (6, [])


def test_a_lexical_baseline_stays_however_far_behind_and_few_models_are_not_halved():
    candidates = [
        Candidate(name, ModelSection(ref=ref), Fake(name, chance), None)  # type: ignore[arg-type]
        for name, ref, chance in (
            ("a", "minilm", 0.9),
            ("b", "minilm", 0.9),
            ("bm25", "bm25", 0.1),
            ("c", "minilm", 0.1),
        )
    ]
    config = SelectConfig(probe=ProbeSection(halving=HalvingSection(rounds=2, finalists=1)))
    finalists, dropped = halve(config, candidates, large(200), Silent())
    assert [row.name for row in dropped] == ["c"]
    assert "bm25" in {row.name for row in finalists}
    few = SelectConfig(probe=ProbeSection(halving=HalvingSection(rounds=3, finalists=4)))
    finalists, dropped = halve(few, candidates, large(200), Silent())
    assert (len(finalists), dropped) == (4, [])


def test_parts_of_a_task_are_nested_and_hold_what_they_need():
    queries = tuple(Text(f"q{n}", "x", group=f"g{n // 3}") for n in range(60))
    documents = tuple(Text(f"d{n}", "x") for n in range(200))
    task = Task("t", queries, documents, {f"q{n}": {f"d{n}": 1, "d199": 0} for n in range(60)})
    small, middle = (subtask(task, share, min_queries=5, seed=1) for share in (0.25, 0.5))
    assert 15 <= len(small.queries) <= 17
    assert {q.id for q in small.queries} < {q.id for q in middle.queries}
    assert {d.id for d in small.documents} < {d.id for d in middle.documents}
    kept = {d.id for d in small.documents}
    assert all(f"d{q.id[1:]}" in kept for q in small.queries)
    groups = {q.group for q in small.queries}
    assert sum(q.group in groups for q in queries) == len(small.queries)
    assert 30 < len(small.documents) < 100
    assert subtask(task, 0.25, min_queries=100, seed=1) is task


def test_pairs_become_a_search(tmp_path: Path):
    rows = [{"anchor": f"ad {n}", "positive": f"profile {n}", "group": f"g{n % 4}"} for n in range(20)]
    task = task_of_pairs(jsonl(tmp_path / "pairs.jsonl", rows), PairsSection())
    assert (len(task.queries), len(task.documents)) == (20, 20)
    assert all(len(judged) == 5 for judged in task.qrels.values())
    mixed = [{**row, "kind": "a" if n else "b"} for n, row in enumerate(rows)]
    with pytest.raises(DataError, match="several kinds: a, b"):
        task_of_pairs(jsonl(tmp_path / "mixed.jsonl", mixed), PairsSection())


@pytest.mark.model
def test_start_up_memory_and_speed_are_measured_in_a_process_of_its_own(tmp_path: Path, task: Path):
    probe = ProbeSection(
        models=(ModelSection(ref="minilm"), ModelSection(ref="bm25")),
        shortlisted=False,
        task=TaskSection(path=str(task)),
    )
    file = planted(tmp_path, MEANS)
    metrics = select(tmp_path, file, probe=probe, constraints=ANY)
    needs = json.loads((metrics["run"] / "timings.json").read_text(encoding="utf-8"))["footprints"]
    assert needs["minilm"][0]["peak_memory_mb"] > needs["bm25"][0]["peak_memory_mb"] + 50
    assert needs["minilm"][0]["start_seconds"] > 0
    assert needs["minilm"][0]["texts_per_second"] > 0
    written = (metrics["run"] / "metrics.json").read_text(encoding="utf-8")
    assert "start_seconds" not in written
    assert "texts_per_second" not in written
    slow = ConstraintsSection(**{**ANY.model_dump(), "max_ms_per_text": 1e-6})
    with pytest.raises(DataError, match="no model takes at most 1e-06 ms for a text on this processor; the fastest"):
        select(tmp_path, file, probe=probe, constraints=slow)


def test_finalists_are_tuned_alike_and_briefly(tmp_path: Path, task: Path, pairs: Path, tiny_model: Path):
    plan = tmp_path / "plan.yaml"
    plan.write_text(
        f"sources: [{{path: {pairs}}}]\nmethod: {{name: full}}\ndev: {{path: {task}}}\n"
        "train: {batch_size: 8, evaluations: 3}\n",
        encoding="utf-8",
    )
    probe = ProbeSection(
        models=(ModelSection(ref=f"path:{tiny_model}"), ModelSection(ref="bm25")),
        shortlisted=False,
        task=TaskSection(path=str(task)),
        cost=CostSection(measure=False),
    )
    transfer = TransferSection(finalists=2, config=str(plan), pairs=16)
    result = run_select(
        SelectConfig(
            probe=probe, transfer=transfer, scores=ScoresSection(path=planted(tmp_path, MEANS), tasks=TASKS),
            facts=tuple(own(n) for n in MEANS), constraints=ANY,
        ),
        tmp_path / "runs",
    )  # fmt: skip
    (row,) = result.metrics["transfer"]  # BM25 has nothing to tune
    assert row["gain"]["value"] == pytest.approx(
        row["score"]["value"] - next(r["score"]["value"] for r in result.metrics["probe"] if r["model"] == row["base"])
    )
    (run,) = (tmp_path / "runs" / "finetune").iterdir()
    tuned = json.loads((run / "config.yaml").read_text(encoding="utf-8"))
    assert (tuned["sources"][0]["limit"], tuned["train"]["evaluations"], tuned["proof"]["tests"]) == (16, 1, [])
    assert result.metrics["pick"]["section"]["ref"] == f"path:{tiny_model}"


def test_a_brief_training_never_takes_more_rows_than_the_plan_has():
    plan = FinetuneConfig.model_validate({"sources": [{"limit": 50}, {}]})
    found = brief(plan, TransferSection(pairs=200), ModelSection())
    assert [source.limit for source in found.sources] == [50, 200]


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
    assert order(run_select(config, tmp_path / "runs").metrics)[0] == "own/m0"
    before = table.read_bytes()
    with pytest.raises(DataError, match="the public results cannot be fetched: ") as caught:
        select_refresh.refresh(Silent(), published=f"{address}/file.gz")
    assert "without a network give a file as `scores.path`" in caught.value.hint
    assert table.read_bytes() == before
