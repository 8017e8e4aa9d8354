"""After the trainings: keep the best model, prove it, and write what there is to say."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import numpy as np

from hrembed.commands.finetune.card import draw, model_card
from hrembed.commands.finetune.models import apply_sides, encoder_of, identity_of, load, score_dev_task, titles
from hrembed.commands.finetune.phases import PROVE, STRENGTHS, WRITE
from hrembed.commands.finetune.plan import source_records
from hrembed.commands.finetune.prepare import recipe_of
from hrembed.commands.finetune.proof import choose_strength, prove, sweep
from hrembed.files import write_text, writing
from hrembed.metrics.intervals import sign_flip_p
from hrembed.metrics.verdicts import judge
from hrembed.models.folder import write_title_setting
from hrembed.progress import Silent
from hrembed.records.finetune import Branch, DevScore, FinetuneRecord
from hrembed.scoring.encoders import describe_use
from hrembed.scoring.retrieval import compare, estimate, groups_of
from hrembed.training.callbacks import joined
from hrembed.training.checkpoints import check_saved, sample_vectors, save
from hrembed.training.plan import sample_texts
from hrembed.training.weight_interpolation import Blend, average

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hrembed.commands.finetune.prepare import Prepared
    from hrembed.commands.finetune.proof import Proof
    from hrembed.commands.finetune.train import Training, Trainings
    from hrembed.config.finetune import FinetuneConfig
    from hrembed.records.finetune import StrengthPoint
    from hrembed.types import Floats


def finish(prepared: Prepared, trainings: Trainings) -> FinetuneRecord:
    """Keep the best model, compare it with the base, and write numbers, pictures and model card.

    Raises:
        ModelError: A model that was read back is not the one that was trained.
    """
    config, run, tasks = prepared.config, prepared.run, prepared.tasks
    best = _keep_best(prepared, trainings.branches)
    base = load(config, prepared.base_folder)
    strengths, strength, final = _choose_strength(prepared, base, best)
    if strength < 1:
        texts = sample_texts(prepared.plan)
        save(final, run.path / "model")
        _read_back(config, run.path / "model", sample_vectors(final, texts), texts)
    write_title_setting(run.path / "model", titles(config))
    run.phases.begin(PROVE)
    proof = prove(config, tasks, encoder_of(config, base), encoder_of(config, final), run.progress)
    tuned_scores = score_dev_task(config, final, tasks.dev, run.progress)
    run.phases.begin(WRITE)
    record = _record(prepared, trainings, tuned_scores, strengths, strength, proof)
    queries = [query.id for query in tasks.dev.queries]
    run.write_table("per_query", {"query": queries, "base": prepared.base_scores, "tuned": tuned_scores})
    run.write_metrics(record)
    draw(run.path, record)
    write_text(run.path / "model" / "README.md", model_card(config, record, run))
    use = describe_use(config.model, run.path / "model", Silent())
    run.add_model("tuned", identity_of(config, run.path / "model"), str(run.path / "model"), use)
    shutil.rmtree(run.path / "checkpoints")  # not earlier: a run that is killed above goes on from them
    return record


def _keep_best(prepared: Prepared, branches: Sequence[Training]) -> Any:
    """Copy the best checkpoint to `model/`, or write the mean of several there; returns what was read back."""
    config, run = prepared.config, prepared.run
    if len(branches) > 1:
        best = [_read_best(config, run.path / branch.folder / "best", branch) for branch in branches]
        texts = [text for branch in branches for text in sample_texts(branch.plan)]
        mean = average(best)
        save(mean, run.path / "model")
        return _read_back(config, run.path / "model", sample_vectors(mean, texts), texts)
    (training,) = branches
    checkpoints = run.path / training.folder
    for checkpoint, name in (("best", "model"), ("best-adapter", "adapter")):
        if (checkpoints / checkpoint).exists():
            with writing(run.path / name) as part:
                shutil.copytree(checkpoints / checkpoint, part)
    return _read_best(config, run.path / "model", training)


def _read_best(config: FinetuneConfig, folder: Path, training: Training) -> Any:
    """Read the best model of a training back, to see that it is the one that was scored."""
    return _read_back(config, folder, training.history.best_vectors, sample_texts(training.plan))


def _read_back(config: FinetuneConfig, folder: Path, vectors: Floats, texts: Sequence[str]) -> Any:
    saved = load(config, folder)
    check_saved(vectors, sample_vectors(saved, texts))
    return saved


def _choose_strength(prepared: Prepared, base: Any, best: Any) -> tuple[list[StrengthPoint], float, Any]:
    """Return what was measured at each strength, the one chosen, and the model there."""
    if prepared.untrained is not None:  # nothing lies between two architectures
        return [], 1.0, best
    config, progress = prepared.config, prepared.run.progress
    if config.proof.strengths:
        prepared.run.phases.begin(STRENGTHS)
    blend = Blend(apply_sides(config, base), best)
    points = sweep(config, prepared.tasks, lambda strength: encoder_of(config, blend.at(strength)), progress)
    chosen = choose_strength(points, config.proof)
    lost = next((point.lost for point in points if point.strength == chosen), {})
    if config.proof.strength == "auto" and max(lost.values(), default=0) > config.proof.max_loss:
        progress.note(
            "warning: every interpolation weight exceeds `proof.max_loss`; using the smallest, "
            f"{chosen:g}. Try smaller values in `proof.strengths`, or add a source with `loss.every_step` "
            "that preserves the embeddings of other texts"
        )
    return points, chosen, blend.at(chosen)


def _record(
    prepared: Prepared,
    trainings: Trainings,
    tuned_scores: Floats,
    strengths: Sequence[StrengthPoint],
    strength: float,
    proof: Proof,
) -> FinetuneRecord:
    """Compare base and tuned model on the dev task, and write down the trainings."""
    config, dev, base_scores = prepared.config, prepared.tasks.dev, prepared.base_scores
    bootstrap, groups = config.bootstrap, groups_of(dev)
    difference = compare(tuned_scores, base_scores, groups, bootstrap).estimate
    p_value = sign_flip_p(tuned_scores, base_scores, groups, rng=np.random.default_rng(bootstrap.seed))
    history = joined([branch.history for branch in trainings.branches])
    return FinetuneRecord(
        verdict=judge(difference, p_value, alpha=1 - bootstrap.confidence, delta=config.delta),
        delta=config.delta,
        confidence=bootstrap.confidence,
        task=dev.name,
        metric=config.metric,
        base=estimate(base_scores, groups, bootstrap),
        tuned=estimate(tuned_scores, groups, bootstrap),
        difference=difference,
        p_value=p_value,
        tests=proof.tests,
        retention=proof.retention,
        strength=strength,
        strengths=tuple(strengths),
        branches=_branches(config, trainings.branches),
        pretraining=trainings.pretraining,
        parameters=prepared.parameters,
        pairs=sum(prepared.plan.sizes().values()),
        sources=source_records(config, prepared.sources, prepared.plan),
        steps=history.steps,
        steps_done=len(history.losses),
        best_step=history.best_step,
        dev_history=tuple(DevScore(step=step, score=score) for step, score in history.dev),
        loss_history=tuple(history.losses),
        step_sources=_step_sources(prepared, trainings.branches),
        leaks=prepared.leaks,
        warnings=prepared.warnings,
    )


def _step_sources(prepared: Prepared, trainings: Sequence[Training]) -> tuple[int, ...]:
    """Say which source each step was trained on; nothing where a step joins several batches."""
    if recipe_of(prepared).batches_per_step > 1:
        return ()
    return tuple(
        int(training.plan.locate(batch)[0].removeprefix("source-"))
        for training in trainings
        for batch in training.plan.batches[: len(training.history.losses)]
    )


def _branches(config: FinetuneConfig, trainings: Sequence[Training]) -> tuple[Branch, ...]:
    """Say what each branch reached; nothing where there is only one."""
    if len(trainings) == 1:
        return ()
    return tuple(
        Branch(
            branch=branch,
            sources=tuple(int(name.removeprefix("source-")) for name in training.plan.columns),
            steps=training.history.steps,
            best_step=training.history.best_step,
            dev=dict(training.history.dev)[training.history.best_step],
        )
        for branch, training in zip(config.branches, trainings, strict=True)
    )
