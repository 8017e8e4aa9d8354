"""Our numbers against an independent engine, on real weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq
import pytest
from hrembed.config.parts import TaskSection
from hrembed.config.schema import EvalConfig
from hrembed.data.read import read_task
from hrembed.models.refs import parse_ref
from hrembed.models.transformer import load_model
from hrembed.models.weights import locate_weights
from hrembed.stages.evaluate import run_evaluate

if TYPE_CHECKING:
    from hrembed.types import Task

DEV = Path(__file__).resolve().parents[2] / "data" / "hr-core" / "dev"


def mteb_task(task: Task, per_query: dict[str, dict[str, float]]):
    """Wrap a task for mteb, which knows only registered ones."""
    from datasets import Dataset
    from mteb.abstasks.retrieval import AbsTaskRetrieval
    from mteb.abstasks.task_metadata import TaskMetadata

    class Local(AbsTaskRetrieval):
        metadata = TaskMetadata(
            name="HrembedParity", description="parity", reference=None, type="Retrieval", category="t2t",
            modalities=["text"], eval_splits=["test"], eval_langs=["eng-Latn"], main_score="ndcg_at_10",
            dataset={"path": "local", "revision": "1"},
        )  # fmt: skip

        def load_data(self, **_):
            queries = [{"id": q.id, "text": q.text} for q in task.queries]
            corpus = [{"id": d.id, "title": "", "text": d.text} for d in task.documents]
            self.dataset = {
                "default": {
                    "test": {
                        "queries": Dataset.from_list(queries),
                        "corpus": Dataset.from_list(corpus),
                        "relevant_docs": {q: dict(judged) for q, judged in task.qrels.items()},
                        "top_ranked": None,
                    }
                }
            }
            self.data_loaded = True

        def task_specific_scores(self, scores, qrels, results, hf_split, hf_subset):
            """Keep what mteb computed for each query, before it rounds the means to five places."""
            per_query.update(scores)
            return {}

    return Local()


@pytest.mark.model
@pytest.mark.filterwarnings("ignore")  # mteb's own; what is compared is numbers
@pytest.mark.parametrize("name", ["ad-profile", "title"])
def test_eval_equals_mteb(name, monkeypatch, tmp_path: Path):
    import mteb

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    per_query: dict[str, dict[str, float]] = {}
    model = load_model(locate_weights(parse_ref("minilm")))
    task = mteb_task(read_task(DEV / name), per_query)
    theirs = mteb.evaluate(model, [task], cache=None, show_progress_bar=False).task_results[0].scores["test"][0]
    config = EvalConfig(
        tasks=(TaskSection(path=str(DEV / name)),), baselines=(), metrics=("ndcg@10", "map", "recall@100")
    )
    result = run_evaluate(config, tmp_path)
    rows = pq.read_table(Path(result.run) / "per_query.parquet").to_pydict()
    scores = result.metrics["scores"][f"{name}/dev"]["minilm"]
    names = {
        "ndcg@10": ("ndcg_cut_10", "ndcg_at_10"),
        "map": ("map_cut_1000", "map_at_1000"),
        "recall@100": ("recall_100", "recall_at_100"),
    }
    for ours, (each, mean) in names.items():
        expected = [per_query[query][each] for query in rows["query"]]
        assert rows[ours] == pytest.approx(expected, abs=1e-6), ours
        assert scores[ours]["value"] == pytest.approx(np.mean(expected), abs=1e-6)
        assert round(scores[ours]["value"], 5) == pytest.approx(theirs[mean], abs=1.1e-5)
