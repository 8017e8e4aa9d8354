"""`hrembed finetune`: adapt a model to pairs, with the base scored first."""

from __future__ import annotations

import hashlib
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np

from hrembed.commands.finetune.card import draw, model_card
from hrembed.commands.finetune.distributed import check_alike, in_turn, meet, one_run
from hrembed.commands.finetune.layers import compare_control, draw_choice, layer_tables, layers_json
from hrembed.commands.finetune.metrics import Branch, branches_json, dev_metrics
from hrembed.commands.finetune.prepare import (
    encoder_of,
    in_memory,
    load,
    look_before,
    once_more,
    prepare,
    recipe_of,
    score_dev_task,
    sided,
)
from hrembed.commands.finetune.pretrain import pretrain
from hrembed.commands.finetune.proof import choose_strength, points_json, prove, sweep
from hrembed.commands.finetune.tables import preflight_tables, tables_of
from hrembed.files import write_text, writing
from hrembed.progress import Silent
from hrembed.runs.record import open_run
from hrembed.runs.workspace import Workspace
from hrembed.scoring.encoders import pinned
from hrembed.training.callbacks import joined
from hrembed.training.checkpoints import check_same, check_saved, read_resume_point, sample_vectors, save, trained
from hrembed.training.interrupts import deferred_stop
from hrembed.training.plan import sample_texts
from hrembed.training.trainer import Context, train
from hrembed.training.weight_interpolation import Blend, average
from hrembed.types import CommandResult

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hrembed.commands.finetune.layers import Choice
    from hrembed.commands.finetune.prepare import Prepared
    from hrembed.commands.finetune.proof import Point
    from hrembed.config.finetune import FinetuneConfig
    from hrembed.progress import Progress
    from hrembed.runs.record import Run
    from hrembed.training.callbacks import History
    from hrembed.training.plan import TrainingPlan
    from hrembed.training.preflight import Preflight
    from hrembed.training.processes import Processes
    from hrembed.types import Floats

_CONTROL = "checkpoints/control"


def run_finetune(
    config: FinetuneConfig,
    workspace: Workspace,
    *,
    resume: str | None = None,
    dry_run: bool = False,
) -> CommandResult[Any]:
    """Train, keep the checkpoint with the best dev score, and compare it with the base.

    Args:
        config: Validated settings.
        workspace: Where runs go, and who receives progress updates.
        resume: Id of a run that did not end, whose config this is; it goes on in its own folder.
        dry_run: Check, estimate time and memory with a few steps, and end; the run folder is `finetune-preflight`.

    Returns:
        Base against tuned on the dev task; the model is in `model/` of the run folder. Of several processes only the
        first one has this result.

    Raises:
        StoppedError: Ctrl-C or SIGTERM; `checkpoints/last` holds the weights of that moment.
        HrembedError: Data or model are not usable.
    """
    processes = meet(workspace.progress)
    workspace = workspace if processes.leads else Workspace(workspace.root)
    config = config.model_copy(update={"model": pinned(config.model, workspace.root)})
    seeds = {"train": config.train.seed, "bootstrap": config.bootstrap.seed}
    command = "finetune-preflight" if dry_run else "finetune"
    opened = open_run(workspace, command, config.model_dump(mode="json"), seeds=seeds, resume=resume)
    with one_run(processes, workspace, opened) as run:
        return _run(config, run, processes, dry_run=dry_run)


def _run(config: FinetuneConfig, run: Run, processes: Processes, *, dry_run: bool) -> CommandResult[Any]:
    with in_turn(processes):
        ready = prepare(config, run, processes)
        # Half precision is slower than none on some processors, so a few steps of both are timed before it is used.
        probe = (dry_run or config.train.precision == "bfloat16") and processes.leads
        preflight = look_before(config, ready, run, probe=probe)
    before = {} if dry_run else _pretrain(config, ready, run)
    trained = [] if dry_run else _train_branches(config, ready, run)
    if not processes.leads:
        _follow(config, ready, run, dry_run=dry_run)
        return CommandResult(str(run.path), "ok", {}, follows=True)
    if dry_run:
        return _dry_result(ready, preflight, run)
    metrics = _finish(config, ready, trained, before, run)
    return CommandResult(str(run.path), metrics["verdict"], metrics, tables_of(metrics))


def _finish(
    config: FinetuneConfig, ready: Prepared, trained: Sequence[Branch], before: dict[str, Any], run: Run
) -> dict[str, Any]:
    """Keep the best model, prove it, and write everything; returns the metrics."""
    best = _keep_best(config, run, trained)
    proof, final = _prove(config, ready, best, run)
    proof |= layers_json(ready.choice)
    if ready.choice is not None and ready.choice.control:
        proof["control"] = _control(config, ready, ready.choice, final, proof["strength"], run)
    dev = ready.tasks.dev
    tuned = score_dev_task(config, final, dev, run.progress)
    metrics = before | dev_metrics(config, ready.base, tuned, dev, joined([own.history for own in trained]))
    metrics |= branches_json(trained)
    metrics |= {"parameters": {"trainable": ready.parameters[0], "all": ready.parameters[1]}, **proof}
    metrics["pairs"] = sum(len(columns["label"]) for columns in ready.plan.columns.values())
    metrics["sources"] = ready.sources
    run.write_table("per_query", {"query": [q.id for q in dev.queries], "base": ready.base, "tuned": tuned})
    run.write_metrics(metrics)
    draw(run, metrics)
    write_text(run.path / "model" / "README.md", model_card(config, metrics, run))
    run.add_model("tuned", encoder_of(config, run.path / "model").identity, str(run.path / "model"))
    shutil.rmtree(run.path / "checkpoints")  # not earlier: a run that is killed above goes on from them
    return metrics


def _pretrain(config: FinetuneConfig, ready: Prepared, run: Run) -> dict[str, Any]:
    """Teach a model from random weights its texts, in the first process; the others read what that one wrote."""
    if ready.untrained is None:
        return {}
    with in_turn(ready.processes):
        launched = ready.processes.count > 1
        return {"pretraining": pretrain(config, ready.untrained, run, launched=launched)}


def _follow(config: FinetuneConfig, ready: Prepared, run: Run, *, dry_run: bool) -> None:
    """Take part in what the first process still trains."""
    if ready.choice is not None and ready.choice.control and not dry_run:
        _train_control(config, ready, ready.choice, run)


def _dry_result(ready: Prepared, preflight: Preflight, run: Run) -> CommandResult[Any]:
    layers = layers_json(ready.choice)
    draw_choice(run, layers)
    facts = {"preflight": preflight.facts, "warnings": preflight.warnings, "sources": ready.sources, **layers}
    run.write_metrics(facts)
    tables = {**layer_tables(layers), **preflight_tables(preflight)}
    return CommandResult(str(run.path), "ok", preflight.facts | layers, tables)


def _train_control(config: FinetuneConfig, ready: Prepared, choice: Choice, run: Run) -> tuple[TrainingPlan, History]:
    """Train the same on a random choice of layers, from the base."""
    run.progress.note(f"control: the same training on layers {', '.join(map(str, choice.control))}")
    control = once_more(config, ready, layers=choice.control)
    return control.plan, _train(config, control, run, _CONTROL)


def _control(
    config: FinetuneConfig, ready: Prepared, choice: Choice, final: Any, strength: float, run: Run
) -> dict[str, Any]:
    """Compare the chosen layers with a random choice, whose model is thrown away."""
    plan, history = _train_control(config, ready, choice, run)
    best = _read_best(config, run.path / _CONTROL / "best", plan, history)
    tuned = Blend(sided(config, load(config, ready.folder)), best).at(strength)
    sides = in_memory(config, final), in_memory(config, tuned)
    found = compare_control(config, ready.tasks, *sides, run.progress)
    steps = {"best_step": history.best_step, "steps_done": len(history.losses)}
    return {"layers": list(choice.control), **steps, **found}


def _prove(config: FinetuneConfig, ready: Prepared, best: Any, run: Run) -> tuple[dict[str, Any], Any]:
    """Choose the strength, write that model, and compare it with the base; returns metrics and the final model."""
    base = load(config, ready.folder)
    points, chosen, final = _choose(config, ready, base, best, run.progress)
    if chosen < 1:
        save(final, run.path / "model")
        texts = sample_texts(ready.plan)
        _read_same(config, run.path / "model", sample_vectors(final, texts), texts)
    found = prove(config, ready.tasks, in_memory(config, base), in_memory(config, final), run.progress)
    return {**found, "strengths": points_json(points), "strength": chosen}, final


def _choose(
    config: FinetuneConfig, ready: Prepared, base: Any, best: Any, progress: Progress
) -> tuple[list[Point], float, Any]:
    """Return what was measured at each strength, the one chosen, and the model there."""
    if ready.untrained is not None:  # nothing lies between two architectures
        return [], 1.0, best
    blend = Blend(sided(config, base), best)
    points = sweep(config, ready.tasks, lambda strength: in_memory(config, blend.at(strength)), progress)
    chosen = choose_strength(points, config.proof)
    kept = next((point for point in points if point.strength == chosen), None)
    if config.proof.strength == "auto" and kept and max(kept.lost.values(), default=0) > config.proof.max_loss:
        progress.note(
            f"warning: every strength tried loses more than `proof.max_loss`; the smallest, {chosen:g}, is kept. Try "
            "smaller ones (`proof.strengths`), or a source with `loss.every_step` that holds other texts in place"
        )
    return points, chosen, blend.at(chosen)


def _train_branches(config: FinetuneConfig, ready: Prepared, run: Run) -> list[Branch]:
    """Train every branch from the base; one alone is the usual training."""
    if len(config.branches) == 1:
        history = _train(config, ready, run)
        return [Branch(config.branches[0], "checkpoints", ready.plan, history)]
    layers = ready.choice.chosen if ready.choice else None
    done = []
    for branch in config.branches:
        run.progress.note(f"branch {branch}, one of {len(config.branches)}")
        folder, own = f"checkpoints/branch-{branch}", once_more(config, ready, layers=layers, branch=branch)
        done.append(Branch(branch, folder, own.plan, _train(config, own, run, folder)))
    return done


def _train(config: FinetuneConfig, ready: Prepared, run: Run, folder: str = "checkpoints") -> History:
    checkpoints = run.path / folder
    made_of = _made_of(config, ready, run)
    point = read_resume_point(checkpoints / "resume")
    check_alike(ready.processes, {**made_of, "the resume point": point.step if point else 0})
    if point is not None:
        check_same(point.notes["made_of"], made_of)
        run.progress.note(f"going on after step {point.step}")
    # A model of its own starts from what it learnt of the language, not from what it is compared with.
    owned = ready.untrained is not None and ready.processes.leads
    first = score_dev_task(config, ready.model, ready.tasks.dev, Silent()) if owned else ready.base
    with deferred_stop(run.progress.note, launched=ready.processes.count > 1) as stop_requested:
        context = Context(
            base_score=float(np.nanmean(first)),
            score_dev=lambda plain: float(np.nanmean(score_dev_task(config, plain, ready.tasks.dev, Silent()))),
            stop_requested=stop_requested,
            checkpoints=checkpoints,
            progress=run.progress,
            resume=point,
            made_of=made_of,
            processes=ready.processes,
        )
        return train(ready.model, ready.plan, recipe_of(config, ready.processes), context)


def _made_of(config: FinetuneConfig, ready: Prepared, run: Run) -> dict[str, Any]:
    """Say what a training is made of: two of one kind may go on from each other's checkpoints."""
    shapes = {name: list(value.shape) for name, value in trained(ready.model).items()}
    return {
        "the base model": run.manifest.models["base"].identity,
        "the training data": [v.sha256 for k, v in run.manifest.inputs.items() if k.startswith("source-")],
        "the models that mine and teach": [
            found.identity for name, found in run.manifest.models.items() if name.startswith(("miner-", "teacher-"))
        ],
        "the trained parameters": hashlib.sha256(repr(shapes).encode()).hexdigest(),
        "the plan of batches": hashlib.sha256(repr(ready.plan.batches).encode()).hexdigest(),
        "the number of processes": ready.processes.count,
        "the settings of `train`": config.train.model_dump(mode="json"),
    }


def _keep_best(config: FinetuneConfig, run: Run, trained: Sequence[Branch]) -> Any:
    """Copy the best checkpoint to `model/`, or write the mean of several there; returns what was read back."""
    if len(trained) > 1:
        best = [_read_best(config, run.path / own.folder / "best", own.plan, own.history) for own in trained]
        texts = [text for own in trained for text in sample_texts(own.plan)]
        mean = average(best)
        save(mean, run.path / "model")
        return _read_same(config, run.path / "model", sample_vectors(mean, texts), texts)
    (own,) = trained
    checkpoints = run.path / own.folder
    for kept, name in (("best", "model"), ("best-adapter", "adapter")):
        if (checkpoints / kept).exists():
            with writing(run.path / name) as part:
                shutil.copytree(checkpoints / kept, part)
    return _read_best(config, run.path / "model", own.plan, own.history)


def _read_best(config: FinetuneConfig, folder: Path, plan: TrainingPlan, history: History) -> Any:
    """Read the best model of a training back, to see that it is the one that was scored."""
    return _read_same(config, folder, history.best_vectors, sample_texts(plan))


def _read_same(config: FinetuneConfig, folder: Path, vectors: Floats, texts: Sequence[str]) -> Any:
    saved = load(config, folder)
    check_saved(vectors, sample_vectors(saved, texts))
    return saved
