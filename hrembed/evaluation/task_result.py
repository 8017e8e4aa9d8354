"""Scores in the files that mteb reads, written without importing mteb."""

from __future__ import annotations

import json
import re
import time
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from hrembed.files import write_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
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


def task_result_json(
    *,
    task: str,
    split: str,
    data_hash: str,
    scores: Mapping[str, float],
    main: str,
    seconds: float,
    subset: str = "default",
) -> dict[str, Any]:
    """Write the scores of one split as mteb's `TaskResult.to_disk` does (2.26).

    Args:
        task: The name that mteb knows the task by.
        split: Split that was scored.
        data_hash: SHA-256 of the data, or mteb's own revision for a task of mteb.
        scores: Our metric names to values, for example `ndcg@10`; NaN where undefined.
        main: The metric among them that is mteb's main score.
        seconds: Time of the evaluation.
        subset: mteb's name of the subset; for tasks of `hrembed.mteb`, `content_subset` of the task's revision.

    Returns:
        Content of `<task>.json`. NaN stays a float NaN: mteb writes it as the word `NaN`, and reads it back.

    Raises:
        ValueError: `main` is not among the scores.
    """
    if main not in scores:
        raise ValueError(f"main metric '{main}' is not among {', '.join(scores)}")
    return {
        "dataset_revision": data_hash,
        "task_name": task,
        "mteb_version": version("mteb"),
        "scores": {split: [_entry(scores, main, subset)]},
        "evaluation_time": seconds,
        "kg_co2_emissions": None,
        "date": round(time.time(), 3),
        "evaluation_phases": None,
    }


def _entry(scores: Mapping[str, float], main: str, subset: str) -> dict[str, Any]:
    rounded = {name: round(float(value), _DECIMALS) for name, value in scores.items()}
    return {key: value for name, value in rounded.items() for key in mteb_names(name)} | {
        "main_score": rounded[main],
        "hf_subset": subset,
        "languages": ["eng-Latn"],
        "mteb_version": version("mteb"),
        "hrembed_version": version("hrembed"),  # whose numbers they are
    }


def mteb_names(metric: str) -> tuple[str, ...]:
    """Translate a metric name: `ndcg@10` to `ndcg_at_10`, `map` to `map_at_1000`, `hit@10` to `hit_rate_at_10`.

    Returns:
        The keys under which mteb has this number; two for correlations, where cosine is the model's own similarity.
    """
    name, _, k = metric.partition("@")
    cut = f"_at_{k or _DEPTH}" if name in _RANKED or k else ""
    return tuple(key + cut for key in _RENAMED.get(name, (name.replace("-", "_"),)))


def write_task_results(folder: Path, model_name: str, revision: str, results: Iterable[Mapping[str, Any]]) -> Path:
    """Write results where `mteb.ResultCache(folder).load_results()` finds them.

    The layout is `results/<model>/<revision>/<task>.json` beside a `model_meta.json`. mteb knows a model by its name:
    its tables join the revisions of one name. So the name holds the start of the revision, and two checkpoints that
    are called the same stay two models.

    Args:
        folder: What mteb calls the cache path.
        model_name: Short name for people.
        revision: The encoder's identity: a hash of everything that decides the scores.
        results: Of `task_result_json`; those of one task are joined in one file.

    Returns:
        The folder of this model and revision.

    Raises:
        HrembedError: A file cannot be written.
        ValueError: One task has results on different data, or a name that is no file name.
    """
    readable = re.sub(r"[^A-Za-z0-9.-]+", "-", model_name).strip("-.") or "model"
    name = f"hrembed/{readable}-{revision[:12]}"
    place = folder / "results" / name.replace("/", "__") / revision
    for task, result in _by_task(results).items():
        _write(place / f"{task}.json", result)
    meta = dict.fromkeys(_UNKNOWN)
    _write(
        place / "model_meta.json",
        {
            "name": name,
            "revision": revision,
            "loader_kwargs": {},
            "framework": [],
            "modalities": ["text"],
            "model_type": ["dense"],
            **meta,
        },
    )
    return place


def _by_task(results: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for result in results:
        task = result["task_name"]
        if "/" in task or not task.strip("."):
            raise ValueError(f"'{task}' cannot name a file")
        if task not in found:
            found[task] = {**result, "scores": {split: list(rows) for split, rows in result["scores"].items()}}
            continue
        joined = found[task]
        if joined["dataset_revision"] != result["dataset_revision"]:
            raise ValueError(f"task '{task}' has results on two revisions of its data")
        for split, rows in result["scores"].items():
            joined["scores"].setdefault(split, []).extend(rows)
        joined["evaluation_time"] += result["evaluation_time"]
        joined["date"] = max(joined["date"], result["date"])
    return found


def _write(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON as mteb does, with the word `NaN` for what is undefined: its reader takes no null for a score."""
    write_text(path, json.dumps(content, indent=2) + "\n")
