"""What a training is made of, in hashes: only the same may go on from the other's checkpoints."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from hrembed.runs.environment import threads
from hrembed.training.checkpoints import THREADS, trainable_parameters

if TYPE_CHECKING:
    from hrembed.config.finetune import TrainSection
    from hrembed.config.scratch import ScratchMethod
    from hrembed.runs.record import Run
    from hrembed.training.checkpoints import Fingerprint
    from hrembed.training.plan import TrainingPlan
    from hrembed.training.processes import Processes


def pretraining_fingerprint(run: Run, train: TrainSection, method: ScratchMethod, tokenizer: Any) -> Fingerprint:
    """Fingerprint of masked language modelling, with the tokenizer that was learnt for it."""
    return {
        "the training data": _training_data(run),
        "the vocabulary": _hash(json.dumps(tokenizer.get_vocab(), sort_keys=True)),
        THREADS: str(threads()),
        "the settings of `method`": _hash(method.model_dump_json()),
        "the settings of `train`": _hash(train.model_dump_json()),
    }


def training_fingerprint(
    run: Run, train: TrainSection, model: Any, plan: TrainingPlan, processes: Processes
) -> Fingerprint:
    """Fingerprint of a training on the losses of its sources; of the model, what is trained of it."""
    models = run.manifest.models
    helpers = [recorded.identity for name, recorded in models.items() if name.startswith(("miner-", "teacher-"))]
    shapes = {name: list(value.shape) for name, value in trainable_parameters(model).items()}
    return {
        "the base model": models["base"].identity,
        "the training data": _training_data(run),
        "the mining and teacher models": _hash(repr(helpers)),
        "the trained parameters": _hash(repr(shapes)),
        "the batch plan": _hash(repr(plan.batches)),
        "the number of processes": str(processes.count),
        THREADS: str(threads()),
        "the settings of `train`": _hash(train.model_dump_json()),
    }


def _training_data(run: Run) -> str:
    inputs = run.manifest.inputs
    return _hash(repr([recorded.sha256 for name, recorded in inputs.items() if name.startswith("source-")]))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
