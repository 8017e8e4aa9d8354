"""`hrembed compare`: the decision table from runs, with costs that are measured and growth that says what is not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from gates import audit_run, eval_run, values
from hrembed.cli.app import main
from hrembed.commands.compare.costs import CostRequest, measure_cost
from hrembed.commands.compare.page import headline
from hrembed.commands.compare.run import run_compare
from hrembed.commands.compare.tables import price_of
from hrembed.commands.eval.run import run_evaluate
from hrembed.commands.finetune.run import run_finetune
from hrembed.config.compare import AlternativeSection, CompareConfig, LoadSection, PricesSection
from hrembed.config.eval import EvalConfig
from hrembed.config.finetune import FinetuneConfig, SourceSection, TrainSection
from hrembed.config.parts import ModelSection, TaskSection
from hrembed.data.read import read_task
from hrembed.errors import ConfigError, DataError, ModelError
from hrembed.metrics.scaling import fit_growth, transformer_flops
from hrembed.records.base import as_json
from hrembed.records.compare import CompareRecord, ModelCost, TrainingEffort
from hrembed.records.finetune import ParameterCounts
from hrembed.runs.past import find_run
from hrembed.runs.workspace import Workspace
from source_runs import NO_PROOF

from conftest import jsonl

LOAD = LoadSection(texts=10, batch=40, sizes=(10, 100, 1000, 100_000), memory_mb=64, seconds=5)


def test_a_power_law_is_found_again():
    curve = fit_growth([10, 100, 1000], [2 * size**1.5 for size in (10, 100, 1000)])
    assert curve.factor == pytest.approx(2)
    assert curve.at(1e6) == pytest.approx(2e9)
    with pytest.raises(ValueError, match="two different sizes"):
        fit_growth([10, 10], [1, 2])
    with pytest.raises(ValueError, match="above 0"):
        fit_growth([10, 20], [0, 1])


def test_the_arithmetic_of_minilm_by_hand():
    """Six layers, width 384, 1,536 inside, 100 tokens: 6 · 100 · (8·384² + 4·384·1536 + 4·100·384)."""
    assert transformer_flops(layers=6, width=384, feed_forward=1536, tokens=100) == 2_215_526_400


def test_prices_of_machines_and_of_endpoints():
    prices = PricesSection(machine_hour=3.6)
    cost = ModelCost(dimensions=2, load_seconds=0, query_ms=(1,), document_ms=(1,), texts_per_second=1000.0,
                     peak_memory_mb=1, embedding=None, growth=(), search_exponent=1, document_tokens=50.0)  # fmt: skip
    counts = ParameterCounts(trainable=1, all=1)
    training = TrainingEffort(run="finetune/x", seconds=1000, peak_memory_mb=1, pairs=1, steps=1, parameters=counts)
    own = AlternativeSection(model="m", setup=5)
    assert price_of(cost, training, own, prices) == pytest.approx((5 + 1.0, 1.0))
    api = AlternativeSection(model="m", per_million_tokens=0.02)
    assert price_of(cost, None, api, prices) == pytest.approx((0.0, 1.0))  # 50 million tokens


def test_accuracy_is_paired_and_fairness_on_the_same_stimuli(tmp_path: Path, task: Path):
    runs = tmp_path / "runs"
    both = eval_run(runs, {"old": values(0), "new": values(0.05, seed=2)}, task)
    same = eval_run(runs, {"same": values(0, seed=3)}, task)
    audits = [audit_run(runs, "old"), audit_run(runs, "new", verdict="fail", gap=0.3)]
    config = CompareConfig(runs=tuple(run.name for run in (both, same, *audits)), load=None)
    result = run_compare(config, Workspace(runs))
    verdicts = {row.model: row.verdict for row in result.metrics.differences}
    assert verdicts == {"path:new": "better", "path:same": "no difference larger than δ"}
    assert result.metrics.fairness["path:new"].growth[0].growth.value == pytest.approx(0.28, abs=0.05)
    assert "path:new against path:old: task/test +0.05" in result.notice
    assert result.notice.splitlines()[-1] == (
        f'  hrembed gate --set candidate.eval=eval/{both.name} --set "candidate.model=path:new" '
        '--set "baseline.model=path:old"'
    )
    page = (Path(result.run) / "report.html").read_text(encoding="utf-8")
    assert "<h2>path:new is better than path:old on task/test</h2>" in page
    assert ">no difference larger than 0.02</span>" in page or ">no difference larger than 0.02</td>" in page
    assert "larger than δ</" not in page
    assert as_json(find_run(runs, "compare/latest").record(CompareRecord)) == as_json(result.metrics)
    again = run_compare(config, Workspace(runs))
    assert (Path(again.run) / "metrics.json").read_bytes() == (Path(result.run) / "metrics.json").read_bytes()


def test_the_page_of_a_comparison_begins_with_whether_anything_is_better(tmp_path: Path, task: Path):
    runs = tmp_path / "runs"
    both = eval_run(runs, {"old": values(0), "new": values(0.05, seed=2)}, task)
    record = run_compare(CompareConfig(runs=(both.name,), load=None), Workspace(runs)).metrics
    (row,) = record.differences

    def said(*rows: tuple[str, str, str]) -> str:
        changed = [
            row.model_copy(update={"model": model, "task": on, "verdict": verdict}) for model, on, verdict in rows
        ]
        return headline(record.model_copy(update={"reference": "old", "differences": tuple(changed)}))

    assert said(("a", "x", "better"), ("a", "y", "better"), ("b", "x", "worse")) == "a is better than old on x and y"
    assert said(("a", "x", "better"), ("b", "y", "better")) == "a and b are each better than old on at least one task"
    assert said(("a", "x", "worse"), ("b", "x", "cannot tell")) == "Whether anything is better than old cannot be told"
    assert said(("a", "x", "worse")) == "Nothing is better than old"
    assert said() == "There is nothing to compare"


def test_what_cannot_be_compared_is_refused(tmp_path: Path, task: Path):
    runs = tmp_path / "runs"
    one = eval_run(runs, {"old": values(0)}, task)
    with pytest.raises(ConfigError, match="a comparison requires at least two models"):
        run_compare(CompareConfig(load=None), Workspace(runs))
    stranger = audit_run(runs, "stranger")
    two = eval_run(runs, {"old": values(0), "new": values(0)}, task)
    with pytest.raises(DataError, match="does not belong to any of the compared models"):
        run_compare(CompareConfig(runs=(two.name, stranger.name), load=None), Workspace(runs))
    with pytest.raises(ConfigError, match=r"unknown model 'path:nwe' \(did you mean 'path:new'\?\)"):
        run_compare(CompareConfig(runs=(two.name,), reference="path:nwe", load=None), Workspace(runs))
    (task / "corpus.jsonl").write_text('{"_id": "d1", "text": "other"}\n', encoding="utf-8")
    other = eval_run(runs, {"new": values(0)}, task)
    with pytest.raises(DataError, match="differs between the runs"):
        run_compare(CompareConfig(runs=(one.name, other.name), load=None), Workspace(runs))


def test_every_component_is_measured_in_a_process_of_its_own(tiny_model: Path, task: Path, tmp_path: Path, capsys):
    runs = tmp_path / "runs"
    arguments = ["eval", "--quiet", "--runs-dir", str(runs), "--set", f"models=[{{ref: 'path:{tiny_model}'}}]",
                 "--set", f"tasks=[{{path: '{task}'}}]", "--set", "retention=[]", "--set", "slices.by=[]",
                 "--set", "robustness.changes=[]", "--set", "baselines=[bm25]"]  # fmt: skip
    assert main(arguments) == 0
    load = json.dumps(LOAD.model_dump(mode="json"))
    assert main(["compare", "eval/latest", "--runs-dir", str(runs), "--set", f"load={load}"]) == 0
    out = capsys.readouterr().out
    for component in ("latency", "computation", "cost", "accuracy", "scalability"):
        assert component in out
    folder = next((runs / "compare").iterdir())
    costs = json.loads((folder / "timings.json").read_text(encoding="utf-8"))
    dense = next(found for label, found in costs.items() if label != "bm25")
    assert dense["dimensions"] == 32
    assert len(dense["query_ms"]) == 10
    assert dense["document_flops"] > 0
    assert [row["embed_measured"] for row in dense["growth"]] == [True, False, False, False]
    assert dense["growth"][-1]["index_mb"] == pytest.approx(12.8)
    assert dense["peak_memory_mb"] > 1.3 * costs["bm25"]["peak_memory_mb"] > 0  # torch is in one process only
    ends = [row["embed_seconds"] / row["documents"] for row in dense["growth"]]
    assert ends == pytest.approx([ends[0]] * 4)
    rows = json.loads((folder / "decision.json").read_text(encoding="utf-8"))["tables"]["Decision table"]
    embed = next(row for row in rows if row["measure"] == "100,000 documents: embed (h)")
    assert next(cell for label, cell in embed.items() if label.startswith("path:")).endswith(" *")
    assert "<svg" in (folder / "growth.svg").read_text(encoding="utf-8")


def test_a_size_that_does_not_fit_is_extrapolated(tmp_path: Path):
    load = LOAD.model_copy(update={"sizes": (100, 1000, 10_000, 20_000_000), "memory_mb": 64})
    documents = tuple(f"ward nurse {n}" for n in range(40))
    cost = measure_cost(
        CostRequest(
            section=ModelSection(ref="bm25"), runs_dir=tmp_path, queries=("nurse",), documents=documents, load=load
        )
    )
    assert [size.search_measured for size in cost.growth] == [True, True, True, False]
    assert cost.growth[-1].search_ms > cost.growth[-2].search_ms
    assert np.isfinite(cost.growth[-1].index_mb)


def test_a_model_that_cannot_be_measured_says_why(tmp_path: Path):
    with pytest.raises(ModelError, match=r"cannot measure 'path:/nowhere': .*nowhere"):
        measure_cost(
            CostRequest(
                section=ModelSection(ref="path:/nowhere"),
                runs_dir=tmp_path,
                queries=("a",),
                documents=("b",) * 12,
                load=LOAD,
            )
        )


def test_a_table_of_vectors_is_compared_and_costs_nothing_here(task: Path, tmp_path: Path):
    """It holds the vectors of the task's texts alone, so no other text can be timed."""
    rows = read_task(task)
    texts = [text.text for side in (rows.queries, rows.documents) for text in side]
    vectors = np.random.default_rng(0).normal(size=(len(texts), 8)).tolist()
    pq.write_table(pa.table({"text": texts, "vector": vectors}), tmp_path / "vectors.parquet")
    arguments = ["--quiet", "--runs-dir", str(tmp_path / "runs")]
    models = f"[{{ref: 'vectors:{tmp_path / 'vectors.parquet'}'}}]"
    sets = (
        f"models={models}",
        f"tasks=[{{path: '{task}'}}]",
        "baselines=[bm25]",
        "retention=[]",
        "robustness.changes=[]",
    )
    assert main(["eval", *arguments, *(part for each in sets for part in ("--set", each))]) == 0
    load = json.dumps(LOAD.model_dump(mode="json"))
    assert main(["compare", "eval/latest", *arguments, "--set", f"load={load}"]) == 0
    (folder,) = (tmp_path / "runs" / "compare").iterdir()
    assert list(json.loads((folder / "timings.json").read_text(encoding="utf-8"))) == ["bm25"]


def test_what_a_training_took_is_that_of_its_run(tiny_model: Path, pairs: Path, task: Path, tmp_path: Path):
    runs, base = tmp_path / "runs", ModelSection(ref=f"path:{tiny_model}")
    tuned = run_finetune(
        FinetuneConfig(
            model=base,
            sources=(SourceSection(path=str(pairs)),),
            train=TrainSection(epochs=1, batch_size=8, max_tokens=32, evaluations=1),
            dev=TaskSection(path=str(task)),
            proof=NO_PROOF,
        ),
        Workspace(runs),
    )
    models = (base, ModelSection(ref=f"run:{Path(tuned.run).name}", max_tokens=32))
    run_evaluate(EvalConfig(models=models, baselines=(), tasks=(TaskSection(path=str(task)),)), Workspace(runs))
    record = run_compare(CompareConfig(load=None), Workspace(runs)).metrics
    (without, effort) = record.training.values()
    manifest = find_run(runs, "latest", "finetune").manifest
    assert without is None
    assert effort == TrainingEffort(
        run=f"finetune/{Path(tuned.run).name}",
        seconds=manifest.seconds,
        peak_memory_mb=manifest.peak_memory_mb,
        pairs=tuned.metrics.pairs,
        steps=tuned.metrics.steps,
        parameters=tuned.metrics.parameters,
    )


def ranked_apart(tmp_path: Path, shifts: dict[str, list[int]]) -> tuple[Path, dict[str, Path]]:
    """Make a task of 200 queries, and rankings in which the relevant document stands first, or as far below as told."""
    task, count = tmp_path / "apart", 200
    (task / "qrels").mkdir(parents=True)
    jsonl(task / "corpus.jsonl", [{"_id": f"d{n}", "text": f"document {n}"} for n in range(count)])
    jsonl(task / "queries.jsonl", [{"_id": f"q{n}", "text": f"query {n}"} for n in range(count)])
    lines = "".join(f"q{n}\td{n}\t1\n" for n in range(count))
    (task / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + lines, encoding="utf-8")
    rankings = {}
    for name, below in shifts.items():
        ranks = [[*(m for m in range(n + 1, n + 1 + below[n])), n] for n in range(count)]
        rows = [
            f"q{n} Q0 d{document % count} {rank} {1 / rank} x\n"
            for n, documents in enumerate(ranks)
            for rank, document in enumerate(documents, start=1)
        ]
        rankings[name] = tmp_path / f"{name}.run"
        rankings[name].write_text("".join(rows), encoding="utf-8")
    return task, rankings


@pytest.mark.parametrize("pairs", ["all", "reference"])
def test_eval_and_compare_say_the_same_of_the_same_pair(pairs: str, tmp_path: Path, capsys):
    """Two models that differ by less than δ, and a third that is worse; with every verdict, p-value and interval."""
    same = [0] * 200
    alike = [1 if n < 7 else 0 for n in range(200)]  # seven queries lost, seven won
    base = [1 if 7 <= n < 14 else 0 for n in range(200)]
    worse = [1 if n % 4 == 0 else 0 for n in range(200)]
    task, rankings = ranked_apart(tmp_path, {"base": base, "alike": alike, "worse": worse, "best": same})
    models = ", ".join(f"{{ref: 'trec:{file}'}}" for file in rankings.values())
    runs = ["--runs-dir", str(tmp_path / "runs"), "--quiet"]
    sets = {"models": f"[{models}]", "baselines": "[]", "metrics": "[mrr@10]", "slices.by": "[]", "worst": "0",
            "tasks": f"[{{path: '{task}'}}]", "retention": f"[{{path: '{task}'}}]", "compare.pairs": pairs}  # fmt: skip
    assert main(["eval", *runs, *(part for key, value in sets.items() for part in ("--set", f"{key}={value}"))]) == 0
    assert main(["compare", "eval/latest", *runs, "--set", "load=null"]) == 0
    of_eval, of_compare = (
        json.loads((Path(folder) / "metrics.json").read_text(encoding="utf-8"))["differences"]
        for folder in capsys.readouterr().out.split()
    )
    by_eval = {(row["task"], row["model"], row["reference"]): row for row in of_eval}
    assert len(of_compare) == 6
    for row in of_compare:
        other = by_eval[row["task"], row["model"], row["reference"]]
        assert row["verdict"] == other["verdict"]
        assert row["difference"] == other["difference"]
        assert (row["p_value"], row["p_holm"]) == (other["p_value"], other["p_holm"])
    verdicts = {row["model"].rpartition("/")[2]: row["verdict"] for row in of_compare}
    assert verdicts["alike.run"] == "no difference larger than δ"
    assert verdicts["worse.run"] == "worse"
