"""`hrembed finetune`: adapt a model to pairs, with the base scored first."""

from __future__ import annotations

import hashlib
import shutil
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hrembed.errors import ModelError
from hrembed.files import write_text
from hrembed.models.dense import DenseEncoder, Prompts
from hrembed.models.static import is_model2vec
from hrembed.models.transformer import TransformerBackend, load_model
from hrembed.progress import Silent
from hrembed.registry import resolve
from hrembed.runs.record import open_run
from hrembed.stages.encoders import model_folder, pinned, weights_identity
from hrembed.stages.feeding import build_feed, open_sources
from hrembed.stages.finetune_result import dev_metrics, draw, model_card, preflight_tables, tables_of
from hrembed.stages.launched import check_alike, in_turn, meet, one_run
from hrembed.stages.proof import Tasks, choose_strength, open_proof, points_json, prove, sweep
from hrembed.stages.scoring import open_task, score_task
from hrembed.stages.stopping import deferred_stop
from hrembed.training.checkpoints import check_saved, read_resume_point, sample_vectors, save, trained
from hrembed.training.methods import count_parameters, freeze_documents, split_sides
from hrembed.training.preflight import check
from hrembed.training.strength import Blend
from hrembed.training.trainer import Context, Recipe, sample_texts, train, whole_rounds
from hrembed.types import StageResult

if TYPE_CHECKING:
    from pathlib import Path

    from hrembed.config.training import FinetuneConfig
    from hrembed.progress import Progress
    from hrembed.runs.record import Run
    from hrembed.training.preflight import Preflight
    from hrembed.training.processes import Processes
    from hrembed.training.trainer import Feed
    from hrembed.training.watch import History
    from hrembed.types import Floats, Task


class _Prepared(NamedTuple):
    """Everything that a training needs; in a process that follows, without tests and scores."""

    model: Any
    feed: Feed
    tasks: Tasks
    base: Floats
    folder: Path
    parameters: tuple[int, int]
    processes: Processes


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
        dry_run: Check, estimate time and memory with a few steps, and end; the run folder is `finetune-preflight`.

    Returns:
        Base against tuned on the dev task; the model is in `model/` of the run folder. Of several processes only the
        first one has this result.

    Raises:
        StoppedError: Ctrl-C or SIGTERM; `checkpoints/last` holds the weights of that moment.
        HrembedError: Data or model are not usable.
    """
    progress = progress or Silent()
    processes = meet(progress)
    progress = progress if processes.leads else Silent()
    config = config.model_copy(update={"model": pinned(config.model, runs_dir)})
    seeds = {"train": config.train.seed, "bootstrap": config.bootstrap.seed}
    command = "finetune-preflight" if dry_run else "finetune"
    opened = open_run(runs_dir, command, config.model_dump(mode="json"), seeds=seeds, resume=resume)
    with one_run(processes, opened) as run:
        return _run(config, runs_dir, run, progress, processes, dry_run=dry_run)


def _run(
    config: FinetuneConfig, runs_dir: Path, run: Run, progress: Progress, processes: Processes, *, dry_run: bool
) -> StageResult:
    with in_turn(processes):
        ready = _prepare(config, runs_dir, run, progress, processes)
        preflight = _preflight(config, ready, run, progress, probe=dry_run and processes.leads)
    history = None if dry_run else _train(config, ready, run, progress)
    if not processes.leads:
        return StageResult(str(run.path), "ok", {}, follows=True)
    if history is None:
        run.write_metrics({"preflight": preflight.facts, "warnings": preflight.warnings})
        return StageResult(str(run.path), "ok", preflight.facts, preflight_tables(preflight))
    metrics = _finish(config, ready, history, run, progress)
    return StageResult(str(run.path), metrics["verdict"], metrics, tables_of(metrics))


def _finish(config: FinetuneConfig, ready: _Prepared, history: History, run: Run, progress: Progress) -> dict[str, Any]:
    """Keep the best model, prove it, and write everything; returns the metrics."""
    best = _keep_best(config, run, ready.feed, history)
    proof, final = _prove(config, ready, best, run, progress)
    dev = ready.tasks.dev
    tuned = _score(config, final, dev, progress)
    metrics = dev_metrics(config, ready.base, tuned, dev, history)
    metrics |= {"parameters": {"trainable": ready.parameters[0], "all": ready.parameters[1]}, **proof}
    metrics["pairs"] = sum(len(columns["label"]) for columns in ready.feed.columns.values())
    run.write_table("per_query", {"query": [q.id for q in dev.queries], "base": ready.base, "tuned": tuned})
    run.write_metrics(metrics)
    draw(run, metrics)
    write_text(run.path / "model" / "README.md", model_card(config, metrics, run))
    run.add_model("tuned", _encoder(config, run.path / "model").identity, str(run.path / "model"))
    return metrics


def _prepare(config: FinetuneConfig, runs_dir: Path, run: Run, progress: Progress, processes: Processes) -> _Prepared:
    sources = open_sources(config, run)
    dev = open_task(config.dev, run)
    tasks = open_proof(config, dev, run, progress) if processes.leads else Tasks(dev, (), ())
    folder = model_folder(config.model, runs_dir)
    if is_model2vec(folder):
        raise ModelError(f"'{folder}' is a table of static vectors, which has no layers to train")
    run.add_model("base", _encoder(config, folder).identity, str(folder))
    model = _load(config, folder)
    base = _score(config, model, dev, progress) if processes.leads else np.zeros(1)
    if config.sides == "query":
        model = split_sides(model)
    parameters = _apply_method(config, model)
    feed = whole_rounds(build_feed(config, sources, model, runs_dir, dev.instruction), processes.count)
    return _Prepared(model, feed, tasks, base, folder, parameters, processes)


def _prove(
    config: FinetuneConfig, ready: _Prepared, best: Any, run: Run, progress: Progress
) -> tuple[dict[str, Any], Any]:
    """Choose the strength, write that model, and compare it with the base; returns metrics and the final model."""
    base = _load(config, ready.folder)
    blend = Blend(split_sides(base) if config.sides == "query" else base, best)
    points = sweep(config, ready.tasks, lambda strength: _in_memory(config, blend.at(strength)), progress)
    chosen = choose_strength(points, config.proof)
    final = blend.at(chosen)
    if chosen < 1:
        save(final, run.path / "model")
        texts = sample_texts(ready.feed)
        check_saved(sample_vectors(final, texts), sample_vectors(_load(config, run.path / "model"), texts))
    found = prove(config, ready.tasks, _in_memory(config, base), _in_memory(config, final), progress)
    return {**found, "strengths": points_json(points), "strength": chosen}, final


def _preflight(config: FinetuneConfig, ready: _Prepared, run: Run, progress: Progress, *, probe: bool) -> Preflight:
    found = check(ready.model, ready.feed, _recipe(config, ready.processes), run.path, probe=probe)
    for warning in found.warnings:
        progress.note(f"warning: {warning}")
    return found


def _train(config: FinetuneConfig, ready: _Prepared, run: Run, progress: Progress) -> History:
    checkpoints = run.path / "checkpoints"
    made_of = _made_of(config, ready, run)
    point = read_resume_point(checkpoints / "resume")
    check_alike(ready.processes, {**made_of, "the resume point": point.step if point else 0})
    if point is not None:
        _check_same(point.notes["made_of"], made_of)
        progress.note(f"going on after step {point.step}")
    with deferred_stop(progress.note, launched=ready.processes.count > 1) as stop_requested:
        context = Context(
            base_score=float(np.nanmean(ready.base)),
            score_dev=lambda plain: float(np.nanmean(_score(config, plain, ready.tasks.dev, Silent()))),
            stop_requested=stop_requested,
            checkpoints=checkpoints,
            progress=progress,
            resume=point,
            made_of=made_of,
            processes=ready.processes,
        )
        return train(ready.model, ready.feed, _recipe(config, ready.processes), context)


def _made_of(config: FinetuneConfig, ready: _Prepared, run: Run) -> dict[str, Any]:
    """Say what a training is made of: two of one kind may go on from each other's checkpoints."""
    shapes = {name: list(value.shape) for name, value in trained(ready.model).items()}
    return {
        "the base model": run.manifest["models"]["base"]["identity"],
        "the training data": [v["sha256"] for k, v in run.manifest["inputs"].items() if k.startswith("source-")],
        "the trained parameters": hashlib.sha256(repr(shapes).encode()).hexdigest(),
        "the plan of batches": hashlib.sha256(repr(ready.feed.batches).encode()).hexdigest(),
        "the number of processes": ready.processes.count,
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


def _recipe(config: FinetuneConfig, processes: Processes) -> Recipe:
    names = Recipe.__dataclass_fields__
    settings = {name: value for name, value in config.train.model_dump().items() if name in names}
    return Recipe(**settings, processes=processes.count)


def _score(config: FinetuneConfig, model: Any, task: Task, progress: Progress) -> Floats:
    return score_task(_in_memory(config, model, progress), task, [config.metric])[config.metric]


def _in_memory(config: FinetuneConfig, model: Any, progress: Progress | None = None) -> DenseEncoder:
    """Wrap a loaded model as `eval` would."""
    backend = TransformerBackend(lambda: model, identity="", batch_size=config.model.batch_size)
    dimensions = config.model.dimensions
    return DenseEncoder(backend, name="dev", prompts=_prompts(config), dimensions=dimensions, progress=progress)


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
