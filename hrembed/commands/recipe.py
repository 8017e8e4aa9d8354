"""`hrembed finetune --recipe`: the steps of a recipe, each a command with a run of its own, as one run."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hrembed.config.recipe import COMMANDS, RECIPE, is_here, step_settings
from hrembed.data.locate import locate
from hrembed.errors import ConfigError, DataError, HrembedError, MendedError
from hrembed.files import exists, json_text, sha256
from hrembed.records.base import read_record, typed
from hrembed.records.commands import record_of
from hrembed.records.recipe import RecipeRecord, StepOutcome
from hrembed.runs.past import find_run, past_runs
from hrembed.runs.record import open_run
from hrembed.training.processes import launched
from hrembed.types import CommandResult
from hrembed.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hrembed.config.recipe import RecipeConfig, StepSection
    from hrembed.config.section import Section
    from hrembed.runs.past import PastRun
    from hrembed.runs.record import Run
    from hrembed.runs.workspace import Workspace

_TRAINS = "finetune"


def run_recipe(config: RecipeConfig, workspace: Workspace, *, resume: str | None = None) -> CommandResult[RecipeRecord]:
    """Run the steps in order; each opens a run of its own, which the manifest of the recipe names by its hash.

    A check that removed what it found does not stop a recipe: that is what it is there for.

    Args:
        config: What `load_recipe` read.
        workspace: Where runs go, and who receives progress updates.
        resume: Id of a run of this recipe that did not end. Steps that did are not repeated where their settings, what
            they read and what they wrote are unchanged; a training goes on from its last checkpoint.

    Returns:
        The steps, and the tables of the last one, whose status and failure are those of the recipe.

    Raises:
        ConfigError: A launcher started several processes, each of which would run all steps.
        HrembedError: A step failed; the hint says how to go on.
    """
    if launched():
        raise ConfigError(
            "a recipe runs in one process, but several were launched",
            hint="start the recipe without a launcher; then launch `hrembed finetune` with the `config.yaml` of its "
            "training",
        )
    names = [f"{step.name} ({typed(step.run)})" for step in config.steps]
    resolved = config.model_dump(mode="json")
    with open_run(workspace, RECIPE, resolved, seeds={}, resume=resume, phases=names) as run:
        for name, values in _paths(config):
            for number, path in enumerate(values):
                run.add_input(name if len(values) == 1 else f"{name} {number + 1}", path)
        before = _finished_steps(run) if resume else {}
        outcomes: list[StepOutcome] = []
        made: dict[str, str] = {}
        result: CommandResult[Any] | None = None
        for number, step in enumerate(config.steps, start=1):
            run.phases.begin(names[number - 1])
            settings = step_settings(step, made, config)
            training = _begun_training(settings, run) if resume and step.run == _TRAINS else None
            past = _unchanged(before.get(step.name) or _ended(training), settings, run)
            result = None
            if past is None:
                result = _run_step(step, settings, run, training)
                past = find_run(run.root, f"{step.run}/{Path(result.run).name}")
                _stop_where_it_failed(result, run, last=number == len(config.steps))
            made[step.name] = f"run:{past.path.name}" if step.run == _TRAINS else past.path.as_posix()
            outcomes.append(_outcome(step, past))
            run.add_input(f"step {step.name}", past.path / "manifest.json")
            models = [made[done.name] for done in config.steps[:number] if done.run == _TRAINS]
            record = RecipeRecord(recipe=config.name, steps=tuple(outcomes), model=models[-1] if models else None)
            run.write_metrics(record)
    tables = {"Steps": _steps_table(record.steps, workspace.root), **(result.tables if result else {})}
    status, failure, notice = (result.status, result.failure, result.notice) if result else ("ok", None, "")
    failure = None if isinstance(failure, MendedError) else failure
    details = result.details if result else ()
    return CommandResult(str(run.path), status, record, tables, failure, notice, details)


def _paths(config: RecipeConfig) -> list[tuple[str, list[Path]]]:
    """Files and folders that the user gave."""
    found = []
    for name, one in config.inputs.items():
        values = [one.value] if isinstance(one.value, str) else [*(one.value or ())]
        if one.kind == "path":
            found.append((name, [locate(value) for value in values if is_here(value)]))
    return found


def _run_step(step: StepSection, settings: Section, run: Run, training: PastRun | None) -> CommandResult[Any]:
    """Run a step.

    Args:
        step: The step.
        settings: Its settings.
        run: The run of the recipe.
        training: A training of this step that did not end, which goes on; None for any other step.

    Raises:
        HrembedError: It failed; the hint says how to go on with the recipe.
    """
    module, _, function = COMMANDS[step.run].partition(":")
    options: dict[str, Any] = {}
    if training is not None and training.status != "ok":
        run.progress.note(f"going on with the training of {training.in_words}")
        options["resume"] = training.path.name
    try:
        result: CommandResult[Any] = getattr(import_module(module), function)(settings, run, **options)
    except HrembedError as err:
        err.hint = f"{err.hint}; {_how_to_go_on(run)}" if err.hint else _how_to_go_on(run)
        raise
    except KeyboardInterrupt:
        run.progress.note(_how_to_go_on(run))
        raise
    return result


def _stop_where_it_failed(result: CommandResult[Any], run: Run, *, last: bool) -> None:
    """Raise the limit that a step did not meet, unless what was wrong is mended; the last step's is the recipe's."""
    if last or result.failure is None or isinstance(result.failure, MendedError):
        return
    if isinstance(result.failure, HrembedError):
        hint = result.failure.hint
        result.failure.hint = f"{hint}; {_how_to_go_on(run)}" if hint else _how_to_go_on(run)
    raise result.failure


def _how_to_go_on(run: Run) -> str:
    return f"to repeat this step and go on: `hrembed finetune --resume {RECIPE}/{run.path.name}`"


def _finished_steps(run: Run) -> dict[str, str]:
    """Runs of the steps of a resumed run that passed, by name; none where it was stopped before the first one had."""
    file = run.path / "metrics.json"
    if not exists(file):
        return {}
    record = read_record(RecipeRecord, file.read_text(encoding="utf-8"), str(file))
    return {step.name: step.run for step in record.steps}


def _unchanged(before: str | None, settings: Section, run: Run) -> PastRun | None:
    """Return the run of a step that need not be repeated: same version, settings and data, what it wrote unchanged."""
    if before is None:
        return None
    try:
        past = find_run(run.root, before)
        same = past.text("config.yaml") == _written(settings)
        for output in past.manifest.outputs:
            past.verified(output)
    except DataError as err:
        run.progress.note(f"repeated: {err}")
        return None
    if past.status != "ok" or past.manifest.versions.get("hrembed") != __version__:
        same = False
    read = past.manifest.inputs.values()
    if not same or any(not exists(Path(one.path)) or sha256(Path(one.path)) != one.sha256 for one in read):
        run.progress.note(f"repeated: its settings, its data or hrembed changed since {past.in_words}")
        return None
    run.progress.note(f"done already: {past.in_words}")
    return past


def _ended(training: PastRun | None) -> str | None:
    """A training that was resumed by itself, and ended, is none that the recipe has to do again."""
    return training.name if training is not None and training.status == "ok" else None


def _begun_training(settings: Section, run: Run) -> PastRun | None:
    """Find the newest training with these settings since this recipe began."""
    for past in reversed(past_runs(run.root, _TRAINS)):
        config = past.path / "config.yaml"
        if past.damaged or past.manifest.started < run.manifest.started or not exists(config):
            continue
        if config.read_text(encoding="utf-8") == _written(settings):
            return past
    return None


def _written(settings: Section) -> str:
    """Settings as a run keeps them."""
    return json_text(settings.model_dump(mode="json")) + "\n"


def _outcome(step: StepSection, past: PastRun) -> StepOutcome:
    """What a step said, read from its run: plain counts and its verdict."""
    record = past.record(record_of(step.run))
    counts = {
        name: value
        for name in type(record).model_fields
        if name != "schema_number" and type(value := getattr(record, name)) is int
    }
    verdict = str(getattr(record, "verdict", ""))
    return StepOutcome(name=step.name, command=step.run, run=past.name, verdict=verdict, counts=counts)


def _steps_table(steps: Sequence[StepOutcome], root: Path) -> list[dict[str, str]]:
    return [
        {
            "step": step.name,
            "counts": ", ".join(f"{name.replace('_', ' ')} {number:,}" for name, number in step.counts.items()),
            "verdict": step.verdict,
            "seconds": f"{find_run(root, step.run).manifest.seconds:,.0f}",
            "run": step.run,
        }
        for step in steps
    ]
