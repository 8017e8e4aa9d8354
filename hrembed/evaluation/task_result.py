"""Scores in the files that mteb reads, written without importing mteb."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING, NamedTuple

from hrembed.files import write_text
from hrembed.version import version_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

_DECIMALS = 6  # as mteb rounds what it writes
_DEPTH = 1000  # mteb ranks no deeper; a metric over the whole ranking stands under this cut-off
_RENAMED = {
    "hit": ("hit_rate",),
    "spearman": ("spearman", "cosine_spearman"),
    "pearson": ("pearson", "cosine_pearson"),
    "v-measure": ("v_measure",),
}
_RANKED = {"ndcg", "map", "mrr", "recall", "precision", "hit"}
# All fields of mteb's ModelMeta but name and revision that must stand in the file.
_UNKNOWN = (
    "release_date", "languages", "n_parameters", "n_active_parameters_override", "n_embedding_parameters",
    "memory_usage_mb", "max_tokens", "embed_dim", "license", "open_weights", "public_training_code",
    "public_training_data", "reference", "similarity_fn_name", "use_instructions", "training_datasets", "adapted_from",
    "superseded_by", "citation", "contacts", "experiment_kwargs", "output_dtypes", "extra_requirements_groups",
    "loader",
)  # fmt: skip


def content_subset(data_hash: str) -> str:
    """Name a subset by its data: `sha256-` and 16 digits of the hash.

    mteb (2.26) looks a cached score up by model, task, split and subset. It compares the revision of the data only
    when a split or a subset is missing, so that a score of older data would be served; under another subset it is not.
    """
    return f"sha256-{data_hash[:16]}"


class SplitScores(NamedTuple):
    """Scores of a model on one split of a task.

    Attributes:
        task: The name that mteb knows the task by.
        split: Split that was scored.
        data_hash: SHA-256 of the data, or mteb's own revision for a task of mteb.
        scores: Our metric names to values, for example `ndcg@10`; NaN where undefined.
        main: The metric among them that is mteb's main score.
        seconds: Time of the evaluation.
        subset: mteb's name of the subset; for tasks of `hrembed.mteb`, `content_subset` of the task's revision.
    """

    task: str
    split: str
    data_hash: str
    scores: Mapping[str, float]
    main: str
    seconds: float
    subset: str = "default"


def mteb_names(metric: str) -> tuple[str, ...]:
    """Translate a metric name: `ndcg@10` to `ndcg_at_10`, `map` to `map_at_1000`, `hit@10` to `hit_rate_at_10`.

    Returns:
        The keys under which mteb has this number; two for correlations, where cosine is the model's own similarity.
    """
    name, _, k = metric.partition("@")
    cut = f"_at_{k or _DEPTH}" if name in _RANKED or k else ""
    return tuple(key + cut for key in _RENAMED.get(name, (name.replace("-", "_"),)))


def write_task_results(folder: Path, model_name: str, revision: str, results: Iterable[SplitScores]) -> Path:
    """Write results where `mteb.ResultCache(folder).load_results()` finds them, as mteb 2.26 writes its own.

    The layout is `results/<model>/<revision>/<task>.json` beside a `model_meta.json`. mteb knows a model by its name:
    its tables join the revisions of one name. So the name holds the start of the revision, and two checkpoints that
    are called the same stay two models.

    Args:
        folder: What mteb calls the cache path.
        model_name: Short name for people.
        revision: The encoder's identity: a hash of everything that decides the scores.
        results: The splits; those of one task are joined in one file.

    Returns:
        The folder of this model and revision.

    Raises:
        HrembedError: A file cannot be written.
        ValueError: A main metric is not among the scores, one task has results on different data, or a name is no file
            name.
    """
    readable = re.sub(r"[^A-Za-z0-9.-]+", "-", model_name).strip("-.") or "model"
    name = f"hrembed/{readable}-{revision[:12]}"
    place = folder / "results" / name.replace("/", "__") / revision
    by_task: dict[str, list[SplitScores]] = {}
    for result in results:
        by_task.setdefault(result.task, []).append(result)
    for task, splits in by_task.items():
        if "/" in task or not task.strip("."):
            raise ValueError(f"'{task}' cannot be used as a file name")
        _write(place / f"{task}.json", _task_result(task, splits))
    meta = {
        "name": name,
        "revision": revision,
        "loader_kwargs": {},
        "framework": [],
        "modalities": ["text"],
        "model_type": ["dense"],
    }
    _write(place / "model_meta.json", {**meta, **dict.fromkeys(_UNKNOWN)})
    return place


def _task_result(task: str, splits: Sequence[SplitScores]) -> dict[str, object]:
    """Content of a file of one task; the keys are those of mteb's `TaskResult`."""
    revisions = {split.data_hash for split in splits}
    if len(revisions) > 1:
        raise ValueError(f"task '{task}' has results for two versions of its data")
    scores: dict[str, list[dict[str, object]]] = {}
    for split in splits:
        scores.setdefault(split.split, []).append(_entry(split))
    return {
        "dataset_revision": revisions.pop(),
        "task_name": task,
        "mteb_version": version_of("mteb"),
        "scores": scores,
        "evaluation_time": sum(split.seconds for split in splits),
        "kg_co2_emissions": None,
        "date": round(time.time(), 3),
        "evaluation_phases": None,
    }


def _entry(split: SplitScores) -> dict[str, object]:
    """Scores of one split under mteb's names."""
    if split.main not in split.scores:
        raise ValueError(f"main metric '{split.main}' is not one of {', '.join(split.scores)}")
    rounded = {name: round(float(value), _DECIMALS) for name, value in split.scores.items()}
    return {key: value for name, value in rounded.items() for key in mteb_names(name)} | {
        "main_score": rounded[split.main],
        "hf_subset": split.subset,
        "languages": ["eng-Latn"],
        "mteb_version": version_of("mteb"),
        "hrembed_version": version_of("hrembed"),  # whose numbers they are
    }


def _write(path: Path, content: Mapping[str, object]) -> None:
    """Write JSON as mteb does, with the word `NaN` for what is undefined: its reader takes no null for a score."""
    write_text(path, json.dumps(content, indent=2) + "\n")
