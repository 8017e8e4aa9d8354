"""Where mteb's caches give a wrong number without a word, and that ours do not.

Each test first shows the trap on mteb 2.26 itself: when mteb mends it, that half fails and tells us.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest
from hrembed.commands.eval.run import run_evaluate
from hrembed.config.eval import EvalConfig
from hrembed.config.parts import ModelSection, TaskSection
from hrembed.data.locate import shipped_root
from hrembed.data.read import read_task
from hrembed.runs.workspace import Workspace

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("ignore")  # mteb's own; what is compared is numbers

FOLDER = shipped_root() / "data" / "hr-core" / "dev" / "title"


@pytest.fixture(scope="module")
def checkpoints(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two local folders of one architecture and one name with different weights."""
    import torch
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(tiny_model), device="cpu")
    torch.manual_seed(1)
    with torch.no_grad():
        for weights in model.parameters():
            weights.add_(torch.randn_like(weights) * 0.5)
    other = tmp_path_factory.mktemp("other") / tiny_model.name
    model.save_pretrained(str(other), create_model_card=False)
    return tiny_model, other


@pytest.fixture
def changed(tmp_path: Path) -> Path:
    """The task with every judgement moved to the next document."""
    folder = tmp_path / "changed" / FOLDER.name
    shutil.copytree(FOLDER, folder)
    documents = [document.id for document in read_task(FOLDER).documents]
    following = dict(zip(documents, documents[1:] + documents[:1], strict=True))
    header, *rows = (FOLDER / "qrels" / "dev.tsv").read_text(encoding="utf-8").splitlines()
    moved = ["\t".join((query, following[document], grade)) for query, document, grade in map(str.split, rows)]
    (folder / "qrels" / "dev.tsv").write_text("\n".join([header, *moved]) + "\n", encoding="utf-8")
    return folder


def plain_task(folder: Path, revision: str = "1") -> Any:
    """A task as a user of mteb writes it, with a name and a revision of the user's choice."""
    from datasets import Dataset
    from mteb.abstasks.retrieval import AbsTaskRetrieval
    from mteb.abstasks.task_metadata import TaskMetadata

    class Mine(AbsTaskRetrieval):
        metadata = TaskMetadata(
            name="Mine", description="made for a test", type="Retrieval", category="t2t", eval_splits=["test"],
            eval_langs=["eng-Latn"], main_score="ndcg_at_10", dataset={"path": "local", "revision": revision},
        )  # fmt: skip

        def load_data(self, **_):
            task = read_task(folder)
            self.dataset = {
                "default": {
                    "test": {
                        "queries": Dataset.from_list([{"id": q.id, "text": q.text} for q in task.queries]),
                        "corpus": Dataset.from_list([{"id": d.id, "text": d.text} for d in task.documents]),
                        "relevant_docs": {q: dict(judged) for q, judged in task.qrels.items()},
                        "top_ranked": None,
                    }
                }
            }
            self.data_loaded = True

    return Mine()


def load(checkpoint: Path):
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(checkpoint), device="cpu")


def ndcg_by_mteb(model: Any, task: Any, cache: Path | None = None) -> float:
    import mteb

    kept = None if cache is None else mteb.ResultCache(cache)
    return float(mteb.evaluate(model, task, cache=kept, show_progress_bar=False).task_results[0].get_score())


def ndcg_by_ours(checkpoint: Path, folder: Path, place: Path) -> float:
    """`hrembed eval`, with one cache in `place` for all calls."""
    config = EvalConfig(
        models=(ModelSection(ref=f"path:{checkpoint}"),), baselines=(), tasks=(TaskSection(path=str(folder)),), worst=0
    )
    (models,) = run_evaluate(config, Workspace(place)).metrics.scores.values()
    (scores,) = models.values()
    return scores["ndcg@10"].value


def test_two_checkpoints_under_one_name(checkpoints: tuple[Path, Path], tmp_path: Path):
    first, second = map(load, checkpoints)
    truth = ndcg_by_mteb(first, plain_task(FOLDER)), ndcg_by_mteb(second, plain_task(FOLDER))
    assert abs(truth[0] - truth[1]) > 0.01
    assert ndcg_by_mteb(first, plain_task(FOLDER), tmp_path / "cache") == truth[0]
    assert ndcg_by_mteb(second, plain_task(FOLDER), tmp_path / "cache") == truth[0]  # the first one's

    ours = [ndcg_by_ours(checkpoint, FOLDER, tmp_path / "runs") for checkpoint in (*checkpoints, checkpoints[0])]
    assert ours == pytest.approx([*truth, truth[0]], abs=0.005)  # random weights nearly tie, so rounding shows


@pytest.mark.parametrize("revision", ["1", "2"], ids=["same revision", "another revision"])
def test_other_judgements_under_one_name(checkpoints: tuple[Path, Path], changed: Path, tmp_path: Path, revision):
    """The revision of the data does not help: mteb compares it only when a split or subset is missing."""
    model = load(checkpoints[0])
    truth = ndcg_by_mteb(model, plain_task(FOLDER)), ndcg_by_mteb(model, plain_task(changed))
    assert abs(truth[0] - truth[1]) > 0.01
    assert ndcg_by_mteb(model, plain_task(FOLDER), tmp_path / "cache") == truth[0]
    assert ndcg_by_mteb(model, plain_task(changed, revision), tmp_path / "cache") == truth[0]  # of the old judgements

    ours = [ndcg_by_ours(checkpoints[0], folder, tmp_path / "runs") for folder in (FOLDER, changed, FOLDER)]
    assert ours == pytest.approx([*truth, truth[0]], abs=0.005)

    from hrembed.mteb import retrieval_task

    assert ndcg_by_mteb(model, retrieval_task(FOLDER, "Ours")(), tmp_path / "cache") == truth[0]
    assert ndcg_by_mteb(model, retrieval_task(changed, "Ours")(), tmp_path / "cache") == truth[1]
    assert ndcg_by_mteb(model, retrieval_task(FOLDER, "Ours")(), tmp_path / "cache") == truth[0]  # and back


def test_unchanged_data_are_scored_once(checkpoints: tuple[Path, Path], tmp_path: Path, monkeypatch):
    """The cure leaves the cache its use."""
    from hrembed.mteb import retrieval_task

    model = load(checkpoints[0])
    truth = ndcg_by_mteb(model, retrieval_task(FOLDER, "Ours")(), tmp_path / "cache")
    again = retrieval_task(FOLDER, "Ours")()
    monkeypatch.setattr(again, "load_data", lambda **_: pytest.fail("the data were loaded again"))
    assert ndcg_by_mteb(model, again, tmp_path / "cache") == truth


def test_one_folder_of_vectors_for_two_models(checkpoints: tuple[Path, Path], tmp_path: Path):
    from mteb.models.cache_wrappers import CachedEmbeddingWrapper
    from mteb.models.sentence_transformer_wrapper import SentenceTransformerEncoderWrapper

    first, second = (SentenceTransformerEncoderWrapper(load(checkpoint)) for checkpoint in checkpoints)
    truth = ndcg_by_mteb(first, plain_task(FOLDER)), ndcg_by_mteb(second, plain_task(FOLDER))
    assert abs(truth[0] - truth[1]) > 0.01
    assert ndcg_by_mteb(CachedEmbeddingWrapper(first, tmp_path / "vectors"), plain_task(FOLDER)) == truth[0]
    second.encode = lambda *_, **__: pytest.fail("the second model was asked")
    cached = CachedEmbeddingWrapper(second, tmp_path / "vectors")
    assert ndcg_by_mteb(cached, plain_task(FOLDER)) == truth[0]  # the first one's vectors

    place = tmp_path / "runs"
    assert ndcg_by_ours(checkpoints[0], FOLDER, place) == pytest.approx(truth[0], abs=0.005)
    assert list((place / ".cache" / "vectors").rglob("*.safetensors"))
    assert ndcg_by_ours(checkpoints[1], FOLDER, place) == pytest.approx(truth[1], abs=0.005)
