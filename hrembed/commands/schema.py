"""`hrembed schema`: the JSON Schema of a config, or of the `metrics.json` of a command."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hrembed.config.project import project_schema
from hrembed.config.recipe import RECIPE, RecipeConfig
from hrembed.config.schema import SCHEMAS
from hrembed.errors import ConfigError
from hrembed.files import json_text
from hrembed.records.commands import RECORDS, record_of
from hrembed.registry import nearest

if TYPE_CHECKING:
    from hrembed.config.section import Section

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def _configs() -> dict[str, type[Section]]:
    """Schemas by name: of each command, of a recipe, and of a whole project."""
    return {**SCHEMAS, RECIPE: RecipeConfig, "project": project_schema()}


def names(*, metrics: bool = False) -> list[str]:
    """Names of all configs, or of all commands that write `metrics.json`."""
    return [*RECORDS] if metrics else [*_configs()]


def schema_text(name: str, *, metrics: bool = False) -> str:
    """Write a JSON Schema.

    Args:
        name: Name of a command's config, such as `eval` or `data-check`, or `project` for `hrembed.yaml`; with
            `metrics`, name of a
            folder of runs.
        metrics: Describe what the command writes to `metrics.json` in place of its config.

    Raises:
        ConfigError: There is none of that name; the hint lists all.
    """
    known = names(metrics=metrics)
    if name not in known:
        what = "metrics" if metrics else "config"
        raise ConfigError(f"no {what} schema for '{name}'{nearest(name, known)}", hint=", ".join(known))
    if metrics:
        schema = record_of(name).model_json_schema(mode="serialization", by_alias=True)
    else:
        schema = _configs()[name].model_json_schema()
    return json_text({"$schema": _DIALECT, **schema}, sort_keys=False)
