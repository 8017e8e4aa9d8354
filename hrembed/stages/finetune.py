"""`hrembed finetune`: adapt a model to pairs, with the base scored first."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import numpy as np

from hrembed.data.locate import locate
from hrembed.data.pairs import pairs_file, read_pairs
from hrembed.errors import DataError, ModelError
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
from hrembed.stages.scoring import as_json, compare, estimate, groups_of, open_task, score_task, shown
from hrembed.stages.stopping import deferred_stop
from hrembed.training.methods import count_parameters
from hrembed.training.trainer import Recipe, check_saved, sample_vectors, train
from hrembed.types import StageResult

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hrembed.config.schema import FinetuneConfig
    from hrembed.progress import Progress
    from hrembed.runs.record import Run
    from hrembed.training.trainer import History
    from hrembed.types import Floats, Pair, Task


def run_finetune(config: FinetuneConfig, runs_dir: Path, progress: Progress | None = None) -> StageResult:
    """Train, keep the checkpoint with the best dev score, and compare it with the base.

    Args:
        config: Validated settings.
        runs_dir: Folder of all runs.
        progress: Told what advances.

    Returns:
        Base against tuned on the dev task; the model is in `model/` of the run folder.

    Raises:
        StoppedError: Ctrl-C or SIGTERM; `checkpoints/last` holds the weights of that moment.
        HrembedError: Data or model are not usable.
    """
    progress = progress or Silent()
    config = config.model_copy(update={"model": pinned(config.model, runs_dir)})
    seeds = {"train": config.train.seed, "bootstrap": config.bootstrap.seed}
    with open_run(runs_dir, "finetune", config.model_dump(mode="json"), seeds=seeds) as run:
        pairs = _open_pairs(config, run)
        task = open_task(config.dev, run)
        folder = model_folder(config.model, runs_dir)
        if is_model2vec(folder):
            raise ModelError(f"'{folder}' is a table of static vectors, which has no layers to train")
        run.add_model("base", _encoder(config, folder).identity, str(folder))
        model = _load(config, folder)
        base = _score(config, model, task, progress)
        trainable, total = _apply_method(config, model)
        history = _train(config, model, pairs, task, float(np.nanmean(base)), run, progress)
        tuned = _score(config, _keep_best(config, run, pairs, history), task, progress)
        metrics = _metrics(config, base, tuned, task, history)
        metrics["parameters"] = {"trainable": trainable, "all": total}
        metrics["pairs"] = len(pairs)
        run.write_table("per_query", {"query": [q.id for q in task.queries], "base": base, "tuned": tuned})
        run.write_metrics(metrics)
        write_text(run.path / "model" / "README.md", _model_card(config, metrics, run))
        run.add_model("tuned", _encoder(config, run.path / "model").identity, str(run.path / "model"))
    return StageResult(str(run.path), metrics["verdict"], metrics, {"Dev task, base against tuned": _table(metrics)})


def _train(
    config: FinetuneConfig, model: Any, pairs: Sequence[Pair], task: Task, base: float, run: Run, progress: Progress
) -> History:
    with deferred_stop(progress.note) as stop_requested:
        return train(
            model,
            pairs,
            _recipe(config),
            base_score=base,
            score_dev=lambda plain: float(np.nanmean(_score(config, plain, task, Silent()))),
            stop_requested=stop_requested,
            checkpoints=run.path / "checkpoints",
            progress=progress,
        )


def _open_pairs(config: FinetuneConfig, run: Run) -> list[Pair]:
    path = pairs_file(locate(config.pairs.path))
    pairs = read_pairs(path, config.pairs.kinds)
    run.add_input("pairs", path)
    if config.pairs.limit is not None and config.pairs.limit < len(pairs):
        chosen = np.random.default_rng(config.train.seed).choice(len(pairs), config.pairs.limit, replace=False)
        pairs = [pairs[n] for n in sorted(chosen)]
    if len(pairs) < 2:
        raise DataError(f"{path}: training needs two pairs or more, found {len(pairs)}")
    return pairs


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
    return count_parameters(model)


def _recipe(config: FinetuneConfig) -> Recipe:
    train_section = config.train
    return Recipe(
        epochs=train_section.epochs,
        batch_size=train_section.batch_size,
        learning_rate=train_section.learning_rate,
        warmup=train_section.warmup,
        temperature=train_section.temperature,
        evaluations=train_section.evaluations,
        seed=train_section.seed,
    )


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


def _keep_best(config: FinetuneConfig, run: Run, pairs: Sequence[Pair], history: History) -> Any:
    """Move the best checkpoint to `model/`, and read it back to see that it is the model that was scored."""
    checkpoints = run.path / "checkpoints"
    (checkpoints / "best").replace(run.path / "model")
    if (checkpoints / "best-adapter").exists():
        (checkpoints / "best-adapter").replace(run.path / "adapter")
    saved = _load(config, run.path / "model")
    check_saved(history.best_vectors, sample_vectors(saved, pairs))
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
* Pairs: {metrics["pairs"]:,} from `{config.pairs.path}` (SHA-256 `{run.manifest["inputs"]["pairs"]["sha256"]}`)
* {metrics["metric"]} on `{metrics["task"]}`: base {shown(metrics["base"])}, tuned {shown(metrics["tuned"])},
  difference {shown(metrics["difference"], sign=True)}: **{metrics["verdict"]}**

The dev task also chose the checkpoint, so its numbers flatter the tuned model a little; `hrembed eval` on a
test split does not. Whether the model treats groups of people alike is measured by `hrembed bias-audit`, not here.
{_credits(run)}"""


def _credits(run: Run) -> str:
    """Whom the licences of the training data ask to name, in their words."""
    lines = [f"* {credit['attribution']} <{credit['url']}>\n" for credit in run.manifest["attributions"]]
    return "\n## Training data\n\n" + "".join(lines) if lines else ""
