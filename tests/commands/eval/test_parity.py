"""Our numbers against an independent engine, on real weights."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq
import pytest
from hrembed.commands.eval.run import run_evaluate
from hrembed.config.eval import EvalConfig
from hrembed.config.parts import TaskSection
from hrembed.data.read import read_task
from hrembed.models.refs import parse_ref
from hrembed.models.transformer import load_model
from hrembed.models.weights import locate_weights
from hrembed.runs.workspace import Workspace
from places import HR_CORE

if TYPE_CHECKING:
    from hrembed.types import Task

DEV = HR_CORE / "dev"


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


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """Grades of 0 to 3, and every tenth query without a relevant document."""
    folder = tmp_path / "odd"
    shutil.copytree(DEV / "skill", folder)
    rng = np.random.default_rng(5)
    documents = [document.id for document in read_task(folder).documents]
    rows = []
    for number, query in enumerate(read_task(folder).queries):
        chosen = rng.choice(documents, 6, replace=False)
        grades = np.zeros(6, dtype=int) if number % 10 == 0 else rng.permutation([0, 0, 1, 1, 2, 3])
        rows += [f"{query.id}\t{document}\t{grade}\n" for document, grade in zip(chosen, grades, strict=True)]
    (folder / "qrels" / "dev.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(rows), encoding="utf-8")
    return folder


NAMES = {"ndcg@10": "ndcg_cut_10", "map": "map_cut_1000", "recall@100": "recall_100", "precision@5": "P_5"}


@pytest.mark.usefixtures("minilm")
@pytest.mark.filterwarnings("ignore")  # mteb's own; what is compared is numbers
# Long texts take the same way as titles do, and six times as long.
@pytest.mark.parametrize("name", [pytest.param("ad-profile", marks=pytest.mark.slow), "title", "odd"])
def test_eval_equals_mteb_and_trec_eval(name, odd, monkeypatch, tmp_path: Path):
    import pytrec_eval

    import mteb

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    folder = odd if name == "odd" else DEV / name
    per_query: dict[str, dict[str, float]] = {}
    model = load_model(locate_weights(parse_ref("minilm")))
    task = read_task(folder)
    mteb.evaluate(model, [mteb_task(task, per_query)], cache=None, show_progress_bar=False)
    config = EvalConfig(tasks=(TaskSection(path=str(folder)),), baselines=(), metrics=tuple(NAMES))
    result = run_evaluate(config, Workspace(tmp_path))
    rows = pq.read_table(Path(result.run) / "per_query.parquet").to_pydict()
    scores = result.metrics.scores[f"{name}/dev"]["minilm"]

    lines = (Path(result.run) / "trec" / "minilm" / f"{name}--dev.run").read_text(encoding="utf-8").splitlines()
    run: dict[str, dict[str, float]] = {}
    for query, _, document, rank, _, _ in map(str.split, lines):
        run.setdefault(query, {})[document] = -float(rank)  # trec_eval would break ties by id
    engine = pytrec_eval.RelevanceEvaluator(
        {query: dict(judged) for query, judged in task.qrels.items()},
        {"ndcg_cut.10", "map_cut.1000", "recall.100", "P.5"},
    ).evaluate(run)

    judged = [any(task.qrels[query].values()) for query in rows["query"]]
    assert all(judged) == (name != "odd")
    for ours, each in NAMES.items():
        for query, value, defined in zip(rows["query"], rows[ours], judged, strict=True):
            if defined:
                assert value == pytest.approx(per_query[query][each], abs=1e-6), (ours, query)
                assert value == pytest.approx(engine[query][each], abs=1e-6), (ours, query)
            else:
                assert np.isnan(value)  # both engines say 0, as if the model had failed
                assert engine[query][each] == 0
        kept = [query for query, defined in zip(rows["query"], judged, strict=True) if defined]
        expected = np.mean([per_query[query][each] for query in kept])
        assert scores[ours].value == pytest.approx(expected, abs=1e-6)
        assert scores[ours].undefined == judged.count(False)
