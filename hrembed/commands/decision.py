"""`hrembed decision`: pre-trained, fine-tuned and from scratch, made, evaluated and weighed end to end."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hrembed.commands.compare.run import run_compare
from hrembed.commands.compare.tables import DECISION
from hrembed.commands.eval.run import run_evaluate
from hrembed.commands.finetune.run import run_finetune
from hrembed.config.compare import AlternativeSection
from hrembed.config.parts import ModelSection
from hrembed.files import write_text
from hrembed.models.refs import parse_ref
from hrembed.reports.markdown import markdown_table

if TYPE_CHECKING:
    from hrembed.config.finetune import FinetuneConfig
    from hrembed.config.schema import DecisionConfig
    from hrembed.progress import Phases
    from hrembed.records.compare import CompareRecord
    from hrembed.runs.workspace import Workspace
    from hrembed.types import CommandResult

_PHASES = (_TUNE, _SCRATCH, _EVALUATE, _COMPARE) = (
    "fine-tune the pre-trained model",
    "train a model from scratch",
    "evaluate on data that neither was trained on",
    "compare costs and speed",
)


def run_decision(config: DecisionConfig, workspace: Workspace) -> CommandResult[CompareRecord]:
    """Fine-tune, train from scratch, evaluate both beside the pre-trained model and the baselines, and compare.

    Each step opens a run of its own. Models of `eval.models` take part as further alternatives, for example an API.

    Args:
        config: Validated settings of all steps.
        workspace: Where runs go, and who receives progress updates.

    Returns:
        What `hrembed compare` found; the decision table also lies in `decision.md` beside the runs.

    Raises:
        HrembedError: A step failed.
    """
    with workspace.progress.phases(*_PHASES) as phases:
        return _go_through(config, workspace, phases)


def _go_through(config: DecisionConfig, workspace: Workspace, phases: Phases) -> CommandResult[CompareRecord]:
    base = config.tuned.model.model_copy(update={"max_tokens": config.tuned.train.max_tokens})
    phases.begin(_TUNE)
    tuned = _trained(config.tuned, "fine-tuned", workspace)
    phases.begin(_SCRATCH)
    scratch = _trained(config.scratch, "from scratch", workspace)
    models = (base, tuned, scratch, *(model for model in config.eval.models if model.ref != base.ref))
    phases.begin(_EVALUATE)
    evaluated = run_evaluate(config.eval.model_copy(update={"models": models}), workspace)
    label = AlternativeSection(model=base.name or parse_ref(base.ref).short_name, label="pre-trained")
    prices = config.compare.prices
    priced = prices.model_copy(update={"alternatives": (*prices.alternatives, label)})
    settings = config.compare.model_copy(update={"runs": (f"eval/{Path(evaluated.run).name}",), "prices": priced})
    phases.begin(_COMPARE)
    compared = run_compare(settings, workspace)
    write_text(workspace.root / "decision.md", markdown_table(compared.tables[DECISION]))
    return compared


def _trained(config: FinetuneConfig, name: str, workspace: Workspace) -> ModelSection:
    """Train, and describe the result as `eval` takes it, under a name for its tables."""
    done = run_finetune(config, workspace)
    return ModelSection(ref=f"run:{Path(done.run).name}", name=name, max_tokens=config.train.max_tokens)
