"""`hrembed finetune`: adapt a model to pairs, with the base scored first."""

from __future__ import annotations

import hashlib
import shutil
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hrembed.errors import ModelError
from hrembed.files import write_text
from hrembed.metrics.intervals import sign_flip_p
from hrembed.metrics.verdicts import judge
from hrembed.models.dense import DenseEncoder, Prompts
from hrembed.models.static import is_model2vec
from hrembed.models.transformer import TransformerBackend, load_model
from hrembed.progress import Silent
from hrembed.registry import resolve
from hrembed.runs.record import open_run
from hrembed.stages.encoders import model_folder, pinned, weights_identity
from hrembed.stages.feeding import build_feed, open_sources
from hrembed.stages.scoring import as_json, compare, estimate, groups_of, open_task, score_task, shown
from hrembed.stages.stopping import deferred_stop
from hrembed.training.checkpoints import check_saved, read_resume_point, sample_vectors, trained
from hrembed.training.methods import count_parameters, freeze_documents, split_sides
from hrembed.training.trainer import Recipe, sample_texts, train
from hrembed.types import StageResult

if TYPE_CHECKING:
    from pathlib import Path

    from hrembed.config.training import FinetuneConfig
    from hrembed.progress import Progress
    from hrembed.runs.record import Run
    from hrembed.training.trainer import Feed
    from hrembed.training.watch import History
    from hrembed.types import Floats, Task


class _Prepared(NamedTuple):
    """Everything that a training needs."""

    model: Any
    feed: Feed
    task: Task
    base: Floats
    parameters: tuple[int, int]


def run_finetune(
    config: FinetuneConfig,
    runs_dir: Path,
    progress: Progress | None = None,
    *,
    resume: str | None = None,
    dry_run: bool = False,
) -> StageResult:
    """Train, keep the checkpoint with the best dev score, and compare it with the base.

    Args:
        config: Validated settings.
        runs_dir: Folder of all runs.
        progress: Told what advances.
        resume: Id of a run that did not end, whose config this is; it goes on in its own folder.
        dry_run: End before the training.

    Returns:
        Base against tuned on the dev task; the model is in `model/` of the run folder.

    Raises:
        StoppedError: Ctrl-C or SIGTERM; `checkpoints/last` holds the weights of that moment.
        HrembedError: Data or model are not usable.
    """
    progress = progress or Silent()
    config = config.model_copy(update={"model": pinned(config.model, runs_dir)})
    seeds = {"train": config.train.seed, "bootstrap": config.bootstrap.seed}
    with open_run(runs_dir, "finetune", config.model_dump(mode="json"), seeds=seeds, resume=resume) as run:
        ready = _prepare(config, runs_dir, run, progress)
        history = _train(config, ready, run, progress)
        tuned = _score(config, _keep_best(config, run, ready.feed, history), ready.task, progress)
        metrics = _metrics(config, ready.base, tuned, ready.task, history)
        metrics["parameters"] = {"trainable": ready.parameters[0], "all": ready.parameters[1]}
        metrics["pairs"] = sum(len(columns["label"]) for columns in ready.feed.columns.values())
        rows = {"query": [q.id for q in ready.task.queries], "base": ready.base, "tuned": tuned}
        run.write_table("per_query", rows)
        run.write_metrics(metrics)
        write_text(run.path / "model" / "README.md", _model_card(config, metrics, run))
        run.add_model("tuned", _encoder(config, run.path / "model").identity, str(run.path / "model"))
    return StageResult(str(run.path), metrics["verdict"], metrics, {"Dev task, base against tuned": _table(metrics)})


def _prepare(config: FinetuneConfig, runs_dir: Path, run: Run, progress: Progress) -> _Prepared:
    sources = open_sources(config, run)
    task = open_task(config.dev, run)
    folder = model_folder(config.model, runs_dir)
    if is_model2vec(folder):
        raise ModelError(f"'{folder}' is a table of static vectors, which has no layers to train")
    run.add_model("base", _encoder(config, folder).identity, str(folder))
    model = _load(config, folder)
    base = _score(config, model, task, progress)
    if config.sides == "query":
        model = split_sides(model)
    parameters = _apply_method(config, model)
    return _Prepared(model, build_feed(config, sources, model, task.instruction), task, base, parameters)


def _train(config: FinetuneConfig, ready: _Prepared, run: Run, progress: Progress) -> History:
    checkpoints = run.path / "checkpoints"
    made_of = _made_of(config, ready, run)
    point = read_resume_point(checkpoints / "resume")
    if point is not None:
        _check_same(point.notes["made_of"], made_of)
        progress.note(f"going on after step {point.step}")
    with deferred_stop(progress.note) as stop_requested:
        return train(
            ready.model,
            ready.feed,
            _recipe(config),
            base_score=float(np.nanmean(ready.base)),
            score_dev=lambda plain: float(np.nanmean(_score(config, plain, ready.task, Silent()))),
            stop_requested=stop_requested,
            checkpoints=checkpoints,
            progress=progress,
            resume=point,
            made_of=made_of,
        )


def _made_of(config: FinetuneConfig, ready: _Prepared, run: Run) -> dict[str, Any]:
    """Say what a training is made of: two of one kind may go on from each other's checkpoints."""
    shapes = {name: list(value.shape) for name, value in trained(ready.model).items()}
    return {
        "the base model": run.manifest["models"]["base"]["identity"],
        "the training data": [v["sha256"] for k, v in run.manifest["inputs"].items() if k.startswith("source-")],
        "the trained parameters": hashlib.sha256(repr(shapes).encode()).hexdigest(),
        "the plan of batches": hashlib.sha256(repr(ready.feed.batches).encode()).hexdigest(),
        "the settings of `train`": config.train.model_dump(mode="json"),
    }


def _check_same(before: dict[str, Any], now: dict[str, Any]) -> None:
    changed = [name for name in now if before.get(name) != now[name]]
    if changed:
        raise ModelError(
            f"the run cannot go on: {' and '.join(changed)} changed since it was started",
            hint="start a new run, or put back what changed",
        )


def _load(config: FinetuneConfig, folder: Path) -> Any:
    return load_model(
        folder,
        dtype=config.model.dtype,
        max_tokens=config.train.max_tokens,
        trust_remote_code=config.model.trust_remote_code,
    )


def _apply_method(config: FinetuneConfig, model: Any) -> tuple[int, int]:
    from transformers import set_seed

    set_seed(config.train.seed)  # adapters start from random numbers
    settings = config.method.model_dump()
    resolve("method", settings.pop("name"))(model, **settings)
    if config.sides == "query":
        freeze_documents(model)
    return count_parameters(model)


def _recipe(config: FinetuneConfig) -> Recipe:
    names = Recipe.__dataclass_fields__
    return Recipe(**{name: value for name, value in config.train.model_dump().items() if name in names})


def _score(config: FinetuneConfig, model: Any, task: Task, progress: Progress) -> Floats:
    backend = TransformerBackend(lambda: model, identity="", batch_size=config.model.batch_size)
    dimensions = config.model.dimensions
    encoder = DenseEncoder(backend, name="dev", prompts=_prompts(config), dimensions=dimensions, progress=progress)
    return score_task(encoder, task, [config.metric])[config.metric]


def _prompts(config: FinetuneConfig) -> Prompts:
    return Prompts(config.model.query_prompt, config.model.document_prompt)


def _encoder(config: FinetuneConfig, folder: Path) -> DenseEncoder:
    """Wrap a model folder as `eval` would, for its identity."""
    identity = weights_identity(folder, config.model.dtype, config.model.max_tokens)
    backend = TransformerBackend(lambda: _load(config, folder), identity=identity)
    return DenseEncoder(backend, name=str(folder), prompts=_prompts(config), dimensions=config.model.dimensions)


def _keep_best(config: FinetuneConfig, run: Run, feed: Feed, history: History) -> Any:
    """Move the best checkpoint to `model/`, and read it back to see that it is the model that was scored."""
    checkpoints = run.path / "checkpoints"
    (checkpoints / "best").replace(run.path / "model")
    if (checkpoints / "best-adapter").exists():
        (checkpoints / "best-adapter").replace(run.path / "adapter")
    saved = _load(config, run.path / "model")
    check_saved(history.best_vectors, sample_vectors(saved, sample_texts(feed)))
    shutil.rmtree(checkpoints)
    return saved
def _metrics(config: FinetuneConfig, base: Floats, tuned: Floats, task: Task, history: History) -> dict[str, Any]:
    bootstrap, groups = config.bootstrap, groups_of(task)
    before, after = estimate(base, groups, bootstrap), estimate(tuned, groups, bootstrap)
    difference = compare(tuned, base, groups, bootstrap)
    p_value = sign_flip_p(tuned, base, groups, rng=np.random.default_rng(bootstrap.seed))
    alpha = 1 - bootstrap.confidence
    return {
        "verdict": judge(difference.estimate, p_value, alpha=alpha, delta=config.delta),
        "delta": config.delta,
        "p_value": p_value,
        "task": task.name,
        "metric": config.metric,
        "confidence": bootstrap.confidence,
        "base": as_json(before),
        "tuned": as_json(after),
        "difference": as_json(difference.estimate),
        "steps": history.steps,
        "best_step": history.best_step,
        "dev_history": [{"step": step, "score": score} for step, score in history.dev],
        "loss_history": history.losses,
    }


def _table(metrics: dict[str, Any]) -> list[dict[str, str]]:
    return [
        {
            "task": metrics["task"],
            "metric": metrics["metric"],
            "base": shown(metrics["base"]),
            "tuned": shown(metrics["tuned"]),
            "difference": shown(metrics["difference"], sign=True),
            "verdict": metrics["verdict"],
            "kept step": f"{metrics['best_step']} of {metrics['steps']}",
        }
    ]


def _model_card(config: FinetuneConfig, metrics: dict[str, Any], run: Run) -> str:
    method = ", ".join(f"{key} {value}" for key, value in config.method.model_dump().items())
    return f"""---
library_name: sentence-transformers
tags: [sentence-transformers, hrembed]
---
# Fine-tuned from `{config.model.ref}`

Made by `hrembed finetune`, run `{run.path.name}`.

* Method: {method}
* Trained parameters: {metrics["parameters"]["trainable"]:,} of {metrics["parameters"]["all"]:,}
* Pairs: {metrics["pairs"]:,} from `{config.sources[0].path}` (SHA-256 `{run.manifest["inputs"]["source-0"]["sha256"]}`)
* {metrics["metric"]} on `{metrics["task"]}`: base {shown(metrics["base"])}, tuned {shown(metrics["tuned"])},
  difference {shown(metrics["difference"], sign=True)}: **{metrics["verdict"]}**

The dev task also chose the checkpoint, so its numbers flatter the tuned model a little; `hrembed eval` on a
test split does not. Whether the model treats groups of people alike is measured by `hrembed bias-audit`, not here.
{_credits(run)}"""


def _credits(run: Run) -> str:
    """Whom the licences of the training data ask to name, in their words."""
    lines = [f"* {credit['attribution']} <{credit['url']}>\n" for credit in run.manifest["attributions"]]
    return "\n## Training data\n\n" + "".join(lines) if lines else ""
