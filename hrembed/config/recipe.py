"""Recipes: YAML that names steps, each of which is a command with its settings, and what the user has to give."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from hrembed.config.load import load_source, override, read_config, set_value
from hrembed.config.pinned import pin_runs
from hrembed.config.schema import SCHEMAS
from hrembed.config.section import Section
from hrembed.config.source import KeyPath, Source
from hrembed.config.starters import config_file, starters
from hrembed.data.locate import SHIPPED, locate
from hrembed.errors import ConfigError, DataError
from hrembed.records.base import typed
from hrembed.registry import nearest
from hrembed.runs.workspace import Workspace

RECIPE = "recipe"
"""Where recipes ship (`shipped:recipe/titles`), and the folder of their runs."""

COMMANDS = {
    "data-import-onet": "hrembed.commands.data.imports:run_import_onet",
    "data-import-esco": "hrembed.commands.data.imports:run_import_esco",
    "data-import-table": "hrembed.commands.data.imports:run_import_table",
    "data-import-ats": "hrembed.commands.data.ats:run_import_ats",
    "data-split": "hrembed.commands.data.split:run_split",
    "data-check": "hrembed.commands.data.check:run_check",
    "data-anonymise": "hrembed.commands.data.anonymise:run_anonymise",
    "select": "hrembed.commands.select.run:run_select",
    "finetune": "hrembed.commands.finetune.run:run_finetune",
    "eval": "hrembed.commands.eval.run:run_evaluate",
    "bias-audit": "hrembed.commands.bias_audit.run:run_bias_audit",
    "compare": "hrembed.commands.compare.run:run_compare",
    "gate": "hrembed.commands.gate.run:run_gate",
    "export": "hrembed.commands.export.run:run_export",
}
"""What a step may run: command -> the function that runs it, as `module:function`."""

_NAME = r"^[a-z][a-z0-9-]*$"
_REFERENCE = re.compile(r"(?P<kind>input|step):(?P<name>[^/]*)(?:/(?P<file>.+))?")
_ELSEWHERE = ("hf:", "mteb:", "run:")  # no file that could be missing here


class InputSection(Section):
    """Something that the user gives to a recipe."""

    description: str = Field(default="", description="What it is, for messages.")
    kind: Literal["path", "text"] = Field(
        default="path",
        description="`path` must exist here, unless it is of a hub or a library; `text` may be anything.",
    )
    several: bool = Field(default=False, description="A list.")
    value: str | tuple[str, ...] | None = Field(default=None, description="Used where none is given; null asks for it.")


class StepSection(Section):
    """A command of a recipe."""

    name: str = Field(pattern=_NAME, description="Name of the step: later ones say `step:NAME`.")
    run: str = Field(description="Command, for example `data check` or `finetune`.")
    config: str | dict[str, Any] = Field(
        default={},
        description="Its settings: a file or `shipped:NAME`, or the settings themselves. `input:NAME` is what the user "
        "gave; `step:NAME` the run of an earlier step (its model, if it is a training), `step:NAME/FILE` a file of it.",
    )
    set: dict[str, Any] = Field(default={}, description="Changes to these settings, as `{train.epochs: 2}`.")
    files: dict[str, str] = Field(
        default={}, description="Paths in these settings, and what stands in their place: `{pairs.jsonl: step:check}`."
    )


class RecipeConfig(Section):
    """`hrembed finetune --recipe`: several commands as one run."""

    name: str = Field(default="", description="Name for tables; empty takes the reference of the file.")
    inputs: dict[str, InputSection] = Field(
        default={}, description="What the user gives: `--onet`, `--esco`, `--against`, else `--input NAME=VALUE`."
    )
    steps: tuple[StepSection, ...] = Field(min_length=1, description="Commands in their order.")


def recipe_file(reference: str) -> Path:
    """Find a recipe: the name of one that ships, or the user's own file.

    Raises:
        ConfigError: None of that name ships.
    """
    if reference.endswith((".yaml", ".yml")) or "/" in reference:
        return config_file(reference)
    known = [row.name.removeprefix(f"{RECIPE}/") for row in starters() if row.name.startswith(f"{RECIPE}/")]
    if reference not in known:
        raise ConfigError(
            f"unknown recipe '{reference}'{nearest(reference, known)}",
            hint=f"recipes that ship: {', '.join(known)}; a file of your own ends in .yaml",
        )
    return config_file(f"{SHIPPED}{RECIPE}/{reference}")


def load_recipe(
    reference: str, given: Mapping[str, Sequence[str]], overrides: Sequence[str], workspace: Workspace
) -> RecipeConfig:
    """Read a recipe, and check the settings of all steps before the first one runs.

    Args:
        reference: Name of one that ships, or a path.
        given: Input -> its values.
        overrides: `STEP.key.path=value` texts.
        workspace: Where the runs are that it may name.

    Returns:
        The recipe with the values of its inputs, and the settings of its steps in it, which still say `input:NAME` and
        `step:NAME`.

    Raises:
        ConfigError: The file, an input or the settings of a step are wrong.
        DataError: A run that it names is not there.
    """
    source = read_config(recipe_file(reference))
    recipe = load_source(source, RecipeConfig)
    inputs = _fill(recipe, reference, source, given, workspace)
    filled = recipe.model_copy(update={"inputs": inputs})
    loader = _Steps(recipe, source, values_of(filled), _by_step(recipe, overrides), workspace)
    steps = tuple(loader.settled(number) for number in range(len(recipe.steps)))
    if unused := sorted(set(inputs) - loader.used):
        place = source.where(("inputs", unused[0]))
        raise ConfigError(f"{place}: inputs.{unused[0]}: no step says `input:{unused[0]}`")
    return RecipeConfig(name=recipe.name or reference, inputs=inputs, steps=steps)


def step_settings(step: StepSection, made: Mapping[str, str], recipe: RecipeConfig) -> Any:
    """Return the settings of a step of a recipe that `load_recipe` read.

    Args:
        step: The step.
        made: Earlier step -> what stands in place of `step:NAME`: a run folder or a model.
        recipe: The recipe, with the values of its inputs.

    Raises:
        ConfigError: What an earlier step made does not fit.
    """
    values = _replaced(_with_inputs(step.config, values_of(recipe)), lambda text: _made(text, made))
    return load_source(Source(f"{recipe.name}: step '{step.name}'", values, {}), SCHEMAS[step.run])


def values_of(recipe: RecipeConfig) -> dict[str, str | tuple[str, ...]]:
    """Values of the inputs of a recipe, by name."""
    return {name: one.value for name, one in recipe.inputs.items() if one.value is not None}


def _made(text: str, made: Mapping[str, str]) -> str:
    match = _REFERENCE.fullmatch(text)
    if match is None or match["kind"] != "step":
        return text
    whole = made[match["name"]]
    return whole if match["file"] is None else f"{whole}/{match['file']}"


def _fill(
    recipe: RecipeConfig, reference: str, source: Source, given: Mapping[str, Sequence[str]], workspace: Workspace
) -> dict[str, InputSection]:
    """Give every input its value.

    Raises:
        ConfigError: One is missing, unknown, given too often, or is not there; all that are missing are listed.
    """
    declared = recipe.inputs
    for name in given:
        if name not in declared:
            known = f"its inputs: {', '.join(declared)}" if declared else "it takes no inputs"
            raise ConfigError(
                f"{_option(name)}: the recipe '{reference}' has no input '{name}'{nearest(name, [*declared])}",
                hint=known,
            )
        if len(given[name]) > 1 and not declared[name].several:
            raise ConfigError(f"{_option(name)}: the recipe '{reference}' takes one value, got {len(given[name])}")
    chosen: dict[str, Any] = {
        name: (list(given[name]) if one.several else given[name][0]) if given.get(name) else one.value
        for name, one in declared.items()
    }
    if missing := [name for name in declared if not chosen[name]]:
        rows = [f"{_option(name)}: {declared[name].description or 'a value'}" for name in missing]
        raise ConfigError("\n  ".join([f"the recipe '{reference}' needs", *rows]), hint=_example(reference, declared))
    options: dict[KeyPath, str] = {(name,): f"{_option(name)}" for name in given}
    filled = Source(source.name, chosen, {(n,): source.lines[("inputs", n)] for n in declared}, options)
    pin_runs(filled, workspace)
    for name, one in declared.items():
        value = filled.values[name] = _as_declared(filled.values[name], one)
        if one.kind == "path":
            _check_paths([value] if isinstance(value, str) else value, filled.where((name,)))
    return {name: one.model_copy(update={"value": filled.values[name]}) for name, one in declared.items()}


def _as_declared(value: str | Sequence[str], declared: InputSection) -> str | tuple[str, ...]:
    """A default may be written as a text where several may be given."""
    if declared.several:
        return (value,) if isinstance(value, str) else tuple(value)
    return value if isinstance(value, str) else ", ".join(value)


def is_here(value: str) -> bool:
    """Whether a path that was given to a recipe is one of this machine, and not of a library or a hub."""
    return not value.startswith(_ELSEWHERE)


def _check_paths(values: Sequence[str], place: str) -> None:
    for value in values:
        if not is_here(value):
            continue
        try:
            locate(value)
        except DataError as err:
            raise ConfigError(f"{place}: {err}", hint=err.hint) from None


def _option(name: str) -> str:
    return f"--{name}" if name in {"onet", "esco", "against"} else f"--input {name}="


def _example(reference: str, declared: Mapping[str, InputSection]) -> str:
    given = [f"{_option(name)}{'' if _option(name).endswith('=') else ' '}{name.upper()}" for name in declared]
    return f"for example: `hrembed finetune --recipe {reference} {' '.join(given)}`"


def _by_step(recipe: RecipeConfig, overrides: Sequence[str]) -> dict[str, list[str]]:
    """Sort `--set STEP.KEY=VALUE` by steps."""
    names = [step.name for step in recipe.steps]
    found: dict[str, list[str]] = {name: [] for name in names}
    for text in overrides:
        step, dot, rest = text.partition(".")
        if not dot or step not in found:
            raise ConfigError(
                f"`--set {text}`: in a recipe, a key begins with the name of a step{nearest(step, names)}",
                hint=f"steps: {', '.join(names)}; for example `--set {names[-1]}.KEY=VALUE`",
            )
        found[step].append(rest)
    return found


class _Steps:
    """Settles the settings of each step."""

    def __init__(
        self,
        recipe: RecipeConfig,
        source: Source,
        inputs: Mapping[str, str | tuple[str, ...]],
        overrides: Mapping[str, Sequence[str]],
        workspace: Workspace,
    ) -> None:
        self.used: set[str] = set()
        self._recipe, self._source, self._inputs = recipe, source, inputs
        self._overrides, self._workspace = overrides, workspace

    def settled(self, number: int) -> StepSection:
        """Return a step with all its settings in place, checked with stand-ins for what earlier steps will make."""
        step, place = self._recipe.steps[number], ("steps", number)
        command = step.run.strip().removeprefix("hrembed ").replace(" ", "-")
        earlier = {before.name: before.run for before in self._recipe.steps[:number]}
        if step.name in earlier:
            raise self._wrong((*place, "name"), f"'{step.name}' is the name of an earlier step")
        if command not in COMMANDS:
            known = [typed(name) for name in COMMANDS]
            raise self._wrong(
                (*place, "run"), f"no step can run '{step.run}'{nearest(step.run, known)}; known: {', '.join(known)}"
            )
        schema = SCHEMAS[command]
        settings = self._read(step, place)
        for key, value in step.set.items():
            where = self._source.where((*place, "set", key))
            set_value(settings, schema, key, value, f"{where}: {key}", where)
        for text in self._overrides[step.name]:
            override(settings, schema, text, above=f"{step.name}.")
        self._replace_files(settings, step, place)
        self._check_references(settings.values, settings, (), earlier)
        pin_runs(settings, self._workspace)
        # Checked on a copy: what `step:NAME` stands for is not there yet.
        given = _with_inputs(settings.values, self._inputs)
        stand_in = _replaced(given, lambda text: self._stand_in(text, earlier))
        load_source(Source(settings.name, stand_in, settings.lines, settings.options, settings.section), schema)
        return StepSection(name=step.name, run=command, config=settings.values)

    def _wrong(self, path: KeyPath, text: str) -> ConfigError:
        return ConfigError(f"{self._source.where(path)}: {self._source.dotted(path)}: {text}")

    def _read(self, step: StepSection, place: KeyPath) -> Source:
        if isinstance(step.config, str):
            return read_config(config_file(step.config))
        return self._source.below((*place, "config"))

    def _replace_files(self, settings: Source, step: StepSection, place: KeyPath) -> None:
        found: set[str] = set()

        def other(text: str) -> str:
            if text in step.files:
                found.add(text)
            return step.files.get(text, text)

        for key in list(settings.values):
            settings.values[key] = _replaced(settings.values[key], other)
        for file in step.files:
            if file not in found:
                raise self._wrong((*place, "files", file), "the settings of this step name no such file")

    def _check_references(self, value: Any, settings: Source, path: KeyPath, earlier: Mapping[str, str]) -> None:
        """Look at every `input:NAME` and `step:NAME/FILE`.

        Raises:
            ConfigError: There is no such input, or no such step before this one.
        """
        if isinstance(value, dict | list):
            for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
                self._check_references(inner, settings, (*path, key), earlier)
        match = _REFERENCE.fullmatch(value) if isinstance(value, str) else None
        if match is None:
            return
        is_input, name = match["kind"] == "input", match["name"]
        known = [*self._inputs] if is_input else [*earlier]
        if name not in known or (is_input and match["file"]):
            what = "input of this recipe" if is_input else "earlier step"
            raise ConfigError(
                f"{settings.where(path)}: {settings.dotted(path)}: '{value}' is no {what}{nearest(name, known)}",
                hint=f"known: {', '.join(known) or 'none'}",
            )
        if is_input:
            self.used.add(name)

    def _stand_in(self, text: str, earlier: Mapping[str, str]) -> str:
        """Something of the kind that a step will make: a model, the file of a model section, or any path."""
        match = _REFERENCE.fullmatch(text)
        if match is None or match["kind"] != "step":
            return text
        if match["file"]:
            return "minilm" if match["file"].endswith((".yaml", ".yml")) else f"{match['name']}/{match['file']}"
        return "run:latest" if earlier[match["name"]] == "finetune" else match["name"]


def _with_inputs(value: Any, inputs: Mapping[str, str | tuple[str, ...]]) -> Any:
    """Put the values of inputs in place; several values go into the list around them."""
    if isinstance(value, dict):
        return {key: _with_inputs(inner, inputs) for key, inner in value.items()}
    if isinstance(value, list):
        found = [(inner, _with_inputs(inner, inputs)) for inner in value]
        return [
            one for inner, new in found for one in (new if isinstance(inner, str) and isinstance(new, list) else [new])
        ]
    if not isinstance(value, str) or not value.startswith("input:"):
        return value
    chosen = inputs[value.removeprefix("input:")]
    return list(chosen) if isinstance(chosen, tuple) else chosen


def _replaced(value: Any, other: Callable[[str], Any]) -> Any:
    """Replace texts inside of settings."""
    if isinstance(value, dict):
        return {key: _replaced(inner, other) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_replaced(inner, other) for inner in value]
    return other(value) if isinstance(value, str) else value
