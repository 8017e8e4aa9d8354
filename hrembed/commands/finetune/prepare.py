"""What `finetune` has at hand before the first step: data, tasks, the model with its method, the plan."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hrembed.commands.finetune.enrich import enrich
from hrembed.commands.finetune.layers import choose_layers
from hrembed.commands.finetune.plan import build_plan, sources_json, texts_of
from hrembed.commands.finetune.pretrain import from_random_weights, look_ahead
from hrembed.commands.finetune.proof import Tasks, open_proof
from hrembed.commands.finetune.sources import open_sources
from hrembed.config.scratch import ScratchMethod
from hrembed.errors import ModelError
from hrembed.models.dense import DenseEncoder, Prompts
from hrembed.models.static import is_model2vec
from hrembed.models.transformer import TransformerBackend, load_model
from hrembed.registry import resolve
from hrembed.scoring.encoders import model_folder, weights_identity
from hrembed.scoring.retrieval import open_task, score_task
from hrembed.training.methods import count_parameters, freeze_documents, split_sides
from hrembed.training.plan import Recipe, whole_rounds
from hrembed.training.preflight import check

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from hrembed.commands.finetune.layers import Choice
    from hrembed.commands.finetune.pretrain import Untrained
    from hrembed.config.finetune import FinetuneConfig
    from hrembed.progress import Progress
    from hrembed.runs.record import Run
    from hrembed.training.plan import TrainingPlan
    from hrembed.training.preflight import Preflight
    from hrembed.training.processes import Processes
    from hrembed.types import Floats, Task

FEW_QUERIES = 50  # with fewer, the standard error of a dev score is about what a good training gains


class Prepared(NamedTuple):
    """Everything that a training needs; in a process that follows, without tests and scores.

    `plan_for(model, branch)` plans the batches of a branch anew, for another model; `untrained` is what a model from
    random weights starts from.
    """

    model: Any
    plan: TrainingPlan
    plan_for: Callable[..., TrainingPlan]
    choice: Choice | None
    tasks: Tasks
    base: Floats
    folder: Path
    parameters: tuple[int, int]
    untrained: Untrained | None
    sources: list[dict[str, Any]]
    processes: Processes


def prepare(config: FinetuneConfig, run: Run, processes: Processes) -> Prepared:
    """Read data and tasks, load the model, score the base, plan the batches, and apply the method.

    Raises:
        HrembedError: Data or model are not usable.
    """
    sources = open_sources(config, run)
    dev = open_task(config.dev, run)
    tasks = open_proof(config, dev, run) if processes.leads else Tasks(dev, (), ())
    folder = model_folder(config.model, run.root)
    if is_model2vec(folder):
        raise ModelError(f"'{folder}' is a table of static vectors, which has no layers to train")
    run.add_model("base", encoder_of(config, folder).identity, str(folder))
    model = load(config, folder)
    base = score_dev_task(config, model, dev, run.progress) if processes.leads else np.zeros(1)
    sources = enrich(config, sources, run, dev.instruction)
    untrained = None
    if isinstance(config.method, ScratchMethod):
        untrained = from_random_weights(config, config.method, texts_of(config, sources))
    model = sided(config, untrained.model if untrained else model)

    def plan_for(model: Any, branch: int | None = None) -> TrainingPlan:
        return whole_rounds(build_plan(config, sources, model, run.root, dev.instruction, branch), processes.count)

    plan = plan_for(model)  # before the method, which changes the model in place: layers are scored on the plan
    choice = choose_layers(config, model, plan, run.progress)
    parameters = apply_method(config, model, choice.chosen if choice else None)
    facts = sources_json(config, sources, plan)
    return Prepared(model, plan, plan_for, choice, tasks, base, folder, parameters, untrained, facts, processes)


def look_before(config: FinetuneConfig, ready: Prepared, run: Run, *, probe: bool) -> Preflight:
    """Check a prepared training, and say what looks wrong; with `probe`, run a few steps for time, memory and loss."""
    trainings = len(config.branches) + bool(ready.choice and ready.choice.control)
    recipe = recipe_of(config, ready.processes)
    found = check(ready.model, ready.plan, recipe, run.path, probe=probe, trainings=trainings)
    if ready.untrained is not None:
        facts, warnings = look_ahead(config, ready.untrained, probe=probe)
        found = replace(found, facts={**found.facts, "pretraining": facts}, warnings=(*found.warnings, *warnings))
    queries = len(ready.tasks.dev.queries)
    if queries < FEW_QUERIES and config.train.evaluations > 1:
        few = (
            f"the dev task has {queries} queries, so the best of {config.train.evaluations} checkpoints will be chosen "
            "largely by chance; use a larger one, or `train.evaluations: 1`, which keeps the end of the training"
        )
        found = replace(found, warnings=(*found.warnings, few))
    for warning in found.warnings:
        run.progress.note(f"warning: {warning}")
    return found


def load(config: FinetuneConfig, folder: Path) -> Any:
    """Load a model folder as it is trained."""
    return load_model(
        folder,
        dtype=config.model.dtype,
        max_tokens=config.train.max_tokens,
        trust_remote_code=config.model.trust_remote_code,
    )


def sided(config: FinetuneConfig, model: Any) -> Any:
    """Give queries an encoder of their own, where the config asks for it."""
    return split_sides(model) if config.sides == "query" else model


def apply_method(config: FinetuneConfig, model: Any, layers: Sequence[int] | None) -> tuple[int, int]:
    """Apply the method in place, to these layers if they were chosen; returns (trainable, all) parameters."""
    from transformers import set_seed

    set_seed(config.train.seed)  # adapters start from random numbers
    settings: dict[str, Any] = config.method.model_dump(exclude={"choice"})
    if isinstance(config.method, ScratchMethod):
        settings = {"name": "full"}  # a model from random weights has its sizes already
    settings |= {"layers": tuple(layers)} if layers else {}
    resolve("method", settings.pop("name"))(model, **settings)
    if config.sides == "query":
        freeze_documents(model)
    return count_parameters(model)


def once_more(
    config: FinetuneConfig, ready: Prepared, *, layers: Sequence[int] | None = None, branch: int | None = None
) -> Prepared:
    """Prepare another training from the base: of other layers, or of one branch."""
    model = sided(config, load(config, ready.folder))
    plan = ready.plan_for(model, branch)
    parameters = apply_method(config, model, layers)
    return ready._replace(model=model, plan=plan, parameters=parameters)


def recipe_of(config: FinetuneConfig, processes: Processes) -> Recipe:
    """Take from the config how to train."""
    names = Recipe.__dataclass_fields__
    settings = {name: value for name, value in config.train.model_dump().items() if name in names}
    return Recipe(**settings, processes=processes.count)


def score_dev_task(config: FinetuneConfig, model: Any, task: Task, progress: Progress) -> Floats:
    """Score a loaded model on a task by the metric of the config, one number per query."""
    return score_task(in_memory(config, model, progress), task, [config.metric])[config.metric]


def in_memory(config: FinetuneConfig, model: Any, progress: Progress | None = None) -> DenseEncoder:
    """Wrap a loaded model as `eval` would."""
    backend = TransformerBackend(lambda: model, identity="", batch_size=config.model.batch_size)
    dimensions = config.model.dimensions
    return DenseEncoder(backend, name="dev", prompts=_prompts(config), dimensions=dimensions, progress=progress)


def _prompts(config: FinetuneConfig) -> Prompts:
    return Prompts(config.model.query_prompt, config.model.document_prompt)


def encoder_of(config: FinetuneConfig, folder: Path) -> DenseEncoder:
    """Wrap a model folder as `eval` would, for its identity."""
    identity = weights_identity(folder, config.model.dtype, config.model.max_tokens)
    backend = TransformerBackend(lambda: load(config, folder), identity=identity)
    return DenseEncoder(backend, name=str(folder), prompts=_prompts(config), dimensions=config.model.dimensions)
