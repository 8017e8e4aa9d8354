"""`hrembed runs accept | reject | rollback`: what a person decides on a trained model, kept in the registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hrembed.errors import ConfigError
from hrembed.runs.model_registry import decide, read_registry
from hrembed.runs.past import LATEST, find_run, trained_model
from hrembed.types import CommandResult

if TYPE_CHECKING:
    from pathlib import Path

    from hrembed.records.registry import Action, RegisteredModel, Registry


def decide_on_run(runs_dir: Path, action: Action, reference: str, *, by: str, why: str) -> CommandResult[Registry]:
    """Record a decision on the model of a finetune run, and show the registry as it is then.

    Args:
        runs_dir: Folder of all runs.
        action: What was decided.
        reference: The finetune run, by its id or folder.
        by: Who decided.
        why: Reason.

    Raises:
        ConfigError: `latest` is named, or `by` or `why` is blank.
        DataError: There is no such run, or a rollback names a model that was not in use before.
        ModelError: A model is to be used whose training did not end well, or whose files were changed.
    """
    for option, text in (("--by", by), ("--why", why)):
        if not text.strip():
            raise ConfigError(f"`{option}` is empty", hint="every decision records who made it and why")
    run = find_run(runs_dir, reference, "finetune")
    if reference.rpartition("/")[2] == LATEST:
        raise ConfigError(
            (
                f"a decision requires a run id: '{reference}' currently means {run.in_words}, but may refer to "
                "another run later"
            ),
            hint=f"`hrembed runs {action} {run.path.name} --by NAME --why TEXT`",
        )
    if action != "reject":
        trained_model(runs_dir, str(run.path))
    before = read_registry(runs_dir).accepted()
    registry = decide(runs_dir, run.path.name, action, by=by.strip(), why=why.strip())
    tables = {"Registry": [_row(model) for model in registry.models]}
    status, notice = registry.status_of(run.path.name), _notice(before, registry)
    return CommandResult(run.name, status, registry, tables, notice=notice)


def _row(entry: RegisteredModel) -> dict[str, str]:
    last = entry.decisions[-1] if entry.decisions else None
    return {
        "model": entry.model,
        "status": entry.status,
        "gate": entry.gate,
        "decided": last.time if last else entry.registered,
        "by": last.by if last else "",
        "why": last.why if last else "",
    }


def _notice(before: RegisteredModel | None, registry: Registry) -> str:
    """Say which model is in use now."""
    in_use = registry.accepted()
    if in_use is not None:
        unchanged = before is not None and before.model == in_use.model
        return f"The model in use is {'still ' if unchanged else 'now '}run:{in_use.model}."
    earlier = [entry.model for entry in registry.models if entry.status == "superseded"]
    back = (
        f" To go back to an earlier one: `hrembed runs rollback {earlier[-1]} --by NAME --why TEXT`." if earlier else ""
    )
    return f"No model is in use; `hrembed retrain` starts from the base.{back}"
