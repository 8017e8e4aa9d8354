"""Our tasks in mteb: after `import hrembed.mteb`, `mteb.get_task("HrCoreAdProfile")` runs without a network.

Every task here has one subset, named by the SHA-256 of its data (`content_subset` says why), so that mteb's cache of
results serves no score of other data. Splits of one task may have different documents.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from importlib import import_module
from typing import TYPE_CHECKING, Any

from datasets import ClassLabel, Dataset, DatasetDict, Features, Value
from mteb.abstasks.classification import AbsTaskClassification
from mteb.abstasks.clustering import AbsTaskClustering
from mteb.abstasks.retrieval import AbsTaskRetrieval
from mteb.abstasks.sts import AbsTaskSTS
from mteb.abstasks.task_metadata import TaskMetadata

from hrembed.data.locate import shipped_root
from hrembed.data.read import read_task
from hrembed.data.rows import rows_or_raise
from hrembed.errors import DataError
from hrembed.evaluation.task_result import content_subset
from hrembed.files import sha256

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


_tasks: Any = import_module("mteb.get_tasks")  # `mteb.get_tasks` itself is the function of this name


def retrieval_task(folder: Path, name: str, split: str | None = None) -> type[Any]:
    """Make an mteb task of a BEIR folder.

    Grades and candidates are kept; the documents of the folder are shared by its splits.

    Args:
        folder: With `corpus.jsonl`, `queries.jsonl` and `qrels/<split>.tsv`.
        name: What mteb calls the task, and its file of results.
        split: The only split; None for all in `qrels`.

    Returns:
        A class: `mteb.evaluate(model, cls())`, or `register(cls)` and `mteb.get_task(name)`. Its data must not change
        afterwards.

    Raises:
        DataError: No such folder or split, or malformed data.
    """
    splits = [split] if split else sorted(file.stem for file in (folder / "qrels").glob("*.tsv"))
    for each in splits:
        read_task(folder, each)
    if not splits:
        read_task(folder)  # says what is missing
    return _Retrieval.of(name, dict.fromkeys(splits, folder), _RETRIEVAL)


def register(task_class: type[Any]) -> None:
    """Let `mteb.get_task` and `mteb.get_tasks` find a task by its name.

    A task of this module that has the same name is replaced.

    Raises:
        DataError: mteb has a task of this name.
    """
    name = task_class.metadata.name
    before = _tasks._TASKS_REGISTRY.get(name)
    if before is not None and not issubclass(before, _OnDisk):
        raise DataError(f"mteb already has a task named '{name}'", hint="choose another name")
    _tasks._TASKS_REGISTRY[name] = task_class
    _tasks.TASK_LIST = (*(task for task in _tasks.TASK_LIST if task is not before), task_class)


def register_shipped(data: Path) -> None:
    """Register the tasks that ship with hrembed, as far as they are there.

    Args:
        data: Folder that holds `hr-core` and, where it is there, `general-core`.

    Raises:
        DataError: A file is malformed.
    """
    for task_class in _shipped(data):
        register(task_class)


class _OnDisk(ABC):
    """A task whose data lies on this disk.

    Attributes:
        places: Split name to the file or folder that holds it.
    """

    metadata: Any
    places: Mapping[str, Path]
    data_loaded = False

    @classmethod
    def of(cls, name: str, places: Mapping[str, Path], facts: Mapping[str, Any]) -> type[Any]:
        """Make the class of one task; `facts` are fields of mteb's `TaskMetadata`, by mteb's names."""
        revision = _revision(places)
        metadata = TaskMetadata(
            name=name,
            dataset={"path": f"hrembed/{name}", "revision": revision},
            modalities=["text"],
            eval_splits=[split for split in places if split != "train"],
            eval_langs={content_subset(revision): ["eng-Latn"]},
            **facts,
        )
        return type(name, (cls,), {"metadata": metadata, "places": places, "__doc__": metadata.description})

    def load_data(self, num_proc: int | None = None, **_: Any) -> None:
        """Read all splits.

        Raises:
            DataError: Malformed, or not the data that the task was made of.
        """
        if self.data_loaded:
            return
        if _revision(self.places) != self.metadata.revision:
            raise DataError(
                f"the data of task '{self.metadata.name}' has changed since it was created",
                hint="create the task again",
            )
        (subset,) = self.metadata.hf_subsets
        self.dataset = {subset: self.read()}
        self.data_loaded = True

    @abstractmethod
    def read(self) -> Any:
        """Read each split as mteb wants it."""


def _revision(places: Mapping[str, Path]) -> str:
    lines = [f"{split} {sha256(place)}" for split, place in places.items()]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


class _Retrieval(_OnDisk, AbsTaskRetrieval):
    def read(self) -> dict[str, dict[str, Any]]:
        return {split: self.read_split(folder, split) for split, folder in self.places.items()}

    @staticmethod
    def read_split(folder: Path, split: str) -> dict[str, Any]:
        """Read one split; a document's title is in front of its text already."""
        task = read_task(folder, split)
        ranked = task.candidates
        return {
            "queries": Dataset.from_list([{"id": query.id, "text": query.text} for query in task.queries]),
            "corpus": Dataset.from_list([{"id": document.id, "text": document.text} for document in task.documents]),
            "relevant_docs": {query: dict(judged) for query, judged in task.qrels.items()},
            "top_ranked": None if ranked is None else {query: list(keys) for query, keys in ranked.items()},
        }


class _BiasLanguage(_OnDisk, AbsTaskClassification):
    def read(self) -> DatasetDict:
        features = Features({"text": Value("string"), "label": ClassLabel(names=["neutral", "biased"])})
        return DatasetDict(
            {split: Dataset.from_list(_columns(file, "text", "label"), features) for split, file in self.places.items()}
        )


class _Families(_OnDisk, AbsTaskClustering):
    max_fraction_of_documents_to_embed = None  # 160 titles: all of them

    def read(self) -> DatasetDict:
        return DatasetDict(
            {
                split: Dataset.from_list(
                    [{"sentences": row["title"], "labels": row["family"]} for row in _columns(file, "title", "family")]
                )
                for split, file in self.places.items()
            }
        )


class _Similar(_OnDisk, AbsTaskSTS):
    def read(self) -> DatasetDict:
        columns = "sentence1", "sentence2", "score"
        return DatasetDict({split: Dataset.from_list(_columns(file, *columns)) for split, file in self.places.items()})


def _columns(file: Path, *names: str) -> list[dict[str, Any]]:
    return [{name: row.values[name] for name in names} for row in rows_or_raise(file, names)]


# Fields of mteb's `TaskMetadata`.
_RETRIEVAL = {
    "type": "Retrieval",
    "category": "t2t",
    "main_score": "ndcg_at_10",
    "description": "Retrieval in a BEIR folder of the user.",
}
_OURS: dict[str, Any] = {
    "date": ("2026-11-22", "2026-11-23"),
    "domains": ["Constructed", "Written", "Non-fiction"],
    "license": "apache-2.0",
    "annotations_creators": "derived",
    "sample_creation": "LM-generated and verified",
    "dialect": [],
    "bibtex_citation": "",
    "contributed_by": "hrembed",
}
_TASKS = {
    "ad-profile": (
        "HrCoreAdProfile",
        "Job ad to anonymised profiles: grade 2 for the same occupation, 1 for its neighbour. Occupations of dev and"
        " test are different ones. Every text was written by a language model for hrembed.",
        "Given a job advertisement, retrieve profiles of people who do this work",
    ),
    "title": (
        "HrCoreTitle",
        "A job title in other words to the canonical title of its occupation. Occupations of dev and test are"
        " different ones. Every text was written by a language model for hrembed.",
        "Given a job title, retrieve the canonical title of the same occupation",
    ),
    "skill": (
        "HrCoreSkill",
        "A phrase that describes a skill without its name to the skill's name. Occupations of dev and test are"
        " different ones. Every text was written by a language model for hrembed.",
        "Given a phrase from a job advertisement or profile, retrieve the skill that it describes",
    ),
}


def _shipped(data: Path) -> list[type[Any]]:
    core, general = data / "hr-core", data / "general-core"
    found = []
    for folder, (name, description, ask) in _TASKS.items():
        places = {split: core / split / folder for split in ("dev", "test")}
        facts = {**_RETRIEVAL, **_OURS, "description": description, "prompt": {"query": ask}, "task_subtypes": []}
        found.append(_Retrieval.of(name, places, facts))
    found.append(_bias_language(core / "bias-language"))
    found.append(_families(core / "occupations.csv"))
    if (general / "questions").is_dir():
        found.append(_questions(general / "questions"))
    if (general / "similar" / "test.jsonl").is_file():
        found.append(_similar(general / "similar" / "test.jsonl"))
    return found


def _bias_language(folder: Path) -> type[Any]:
    facts = {
        "type": "Classification",
        "category": "t2c",
        "main_score": "accuracy",
        "description": "Sentences about applicants that are biased, and neutral twins of them, in six kinds of bias."
        " Written and labelled by a language model for hrembed.",
        "prompt": "Classify whether a sentence about an applicant is biased or neutral",
        "task_subtypes": [],
    }
    places = {split: folder / f"{split}.jsonl" for split in ("train", "dev", "test")}
    return _BiasLanguage.of("HrCoreBiasLanguage", places, {**_OURS, **facts, "annotations_creators": "LM-generated"})


def _families(file: Path) -> type[Any]:
    facts = {
        "type": "Clustering",
        "category": "t2c",
        "main_score": "v_measure",
        "description": "Titles of 160 occupations in 20 families of eight. Written by a language model for hrembed.",
        "prompt": "Identify the occupational family of a job title",
        "task_subtypes": ["Thematic clustering"],
    }
    return _Families.of("HrCoreFamilies", {"test": file}, {**_OURS, **facts})


def _questions(folder: Path) -> type[Any]:
    facts = {
        **_RETRIEVAL,
        "description": "Everyday questions to the passages that answer them: what a model for hiring should not"
        " unlearn. Written by a language model for hrembed.",
        "prompt": {"query": "Given a question, retrieve the passage that answers it"},
        "task_subtypes": ["Question answering"],
    }
    return _Retrieval.of("GeneralCoreQuestions", {"test": folder}, {**_OURS, **facts})


def _similar(file: Path) -> type[Any]:
    facts = {
        "type": "STS",
        "category": "t2t",
        "main_score": "cosine_spearman",
        "description": "Pairs of everyday sentences with a grade of likeness: what a model for hiring should not"
        " unlearn. Written and graded by a language model for hrembed.",
        "prompt": "Retrieve semantically similar text",
        "task_subtypes": [],
    }
    return _Similar.of("GeneralCoreSimilar", {"test": file}, {**_OURS, **facts, "annotations_creators": "LM-generated"})


register_shipped(shipped_root() / "data")
