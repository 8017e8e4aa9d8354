"""A YAML file and `--set` options to one frozen settings object, all problems at once."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from hrembed.config.source import KeyPath, Source, parse, scalar
from hrembed.errors import ConfigError
from hrembed.registry import nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic_core import ErrorDetails

Config = TypeVar("Config", bound=BaseModel)


def load_config(path: Path, schema: type[Config], overrides: Sequence[str] = ()) -> Config:
    """Read, override and validate a config.

    Args:
        path: YAML (or JSON) file.
        schema: What the file must hold.
        overrides: `key.path=value` texts, applied in order; the value is read as YAML.

    Returns:
        Frozen settings with every default filled in.

    Raises:
        ConfigError: The file cannot be read, or holds mistakes; all of them are listed as
            `file:line: key: what is wrong`.
    """
    source = parse(_read(path), str(path))
    for text in overrides:
        _override(source.values, text)
    try:
        return schema.model_validate(source.values)
    except ValidationError as err:
        raise _explain(err, schema, source, overrides) from None


def _read(path: Path) -> str:
    if path.is_dir():
        raise ConfigError(f"config '{path}' is a folder, not a file", hint=f"did you mean '{path}/config.yaml'?")
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(
            f"config '{path}' does not exist", hint="leave it out to run on the embedded default"
        ) from None
    except UnicodeDecodeError as err:
        raise ConfigError(f"config '{path}' is not UTF-8 text (byte {err.start})") from None
    except OSError as err:
        raise ConfigError(f"config '{path}' cannot be read: {err.strerror}") from None


def _override(values: dict[str, Any], text: str) -> None:
    """Put the value of one `--set` into what the user's YAML says."""
    key, equals, value = text.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts):
        raise ConfigError(f"`--set {text}`: write it as key.path=value, for example `--set train.epochs=2`")
    place: Any = values
    for part, following in pairwise(parts):
        place = _step(place, part, following, text)
    _put(place, parts[-1], scalar(value), text)


def _put(place: Any, part: str, value: Any, text: str) -> None:
    if isinstance(place, list):
        index = _index(place, part, text)
        place[index : index + 1] = [value]
    else:
        place[part] = value


def _step(place: Any, part: str, following: str, text: str) -> Any:
    """Go one level down; a section or list item that is not there yet is made."""
    inner = _get(place, part, text)
    if inner is None:
        inner = [] if following.isdigit() else {}
        _put(place, part, inner, text)
    if not isinstance(inner, dict | list):
        raise ConfigError(f"`--set {text}`: '{part}' holds a value, not a section")
    return inner


def _get(place: Any, part: str, text: str) -> Any:
    if isinstance(place, list):
        index = _index(place, part, text)
        return place[index] if index < len(place) else None
    return place.get(part)


def _index(place: list[Any], part: str, text: str) -> int:
    """Read a position in a list; the one after the last is allowed, and appends."""
    if not part.isdigit() or int(part) > len(place):
        raise ConfigError(f"`--set {text}`: '{part}' is not a position in a list of {len(place)}")
    return int(part)


def _explain(err: ValidationError, schema: type[BaseModel], source: Source, overrides: Sequence[str]) -> ConfigError:
    set_keys = {text.partition("=")[0].strip() for text in overrides}
    rows = []
    for problem in err.errors():
        if problem["type"] == "too_short" and _has_bad_items(err, problem["loc"]):
            continue
        loc = tuple(part for part in problem["loc"] if _is_real(part, source.values, problem["loc"]))
        dotted = ".".join(str(part) for part in loc)
        place = f"--set {dotted}" if dotted in set_keys else source.where(loc)
        text = _phrase(problem, schema, loc)
        rows.append(f"{place}: {dotted}: {text}" if dotted else f"{place}: {text}")
    if len(rows) == 1:
        return ConfigError(rows[0])
    return ConfigError("\n  ".join([f"{source.name}: {len(rows)} problems", *rows]))


def _has_bad_items(err: ValidationError, loc: KeyPath) -> bool:
    """Tell a list that is too short from one whose items pydantic dropped because they are wrong."""
    return any(other["loc"][: len(loc)] == loc and len(other["loc"]) > len(loc) for other in err.errors())


def _is_real(part: str | int, values: Any, loc: KeyPath) -> bool:
    """Drop the tags that pydantic inserts into a path for members of a union."""
    if part == loc[-1] or isinstance(part, int):
        return True
    return _holds(values, part)


def _holds(values: Any, key: str) -> bool:
    if isinstance(values, dict):
        return key in values or any(_holds(inner, key) for inner in values.values())
    return isinstance(values, list) and any(_holds(inner, key) for inner in values)


def _phrase(problem: ErrorDetails, schema: type[BaseModel], loc: KeyPath) -> str:
    kind = problem["type"]
    if kind == "extra_forbidden":
        return f"unknown key{nearest(str(loc[-1]), _known_keys(schema, loc[:-1]))}"
    if kind == "missing":
        return "is required"
    if kind == "value_error":
        return str(problem["msg"]).removeprefix("Value error, ")
    message = str(problem["msg"]).replace("Tuple ", "List ").removesuffix(" after validation, not 0")
    given = problem["input"]
    guess = nearest(str(given), _literal_names(problem)) if kind == "literal_error" else ""
    shown = "" if isinstance(given, dict | list) else f", got {given!r}"
    return f"{message[0].lower()}{message[1:]}{shown}{guess}"


def _literal_names(problem: ErrorDetails) -> list[str]:
    expected = str(problem.get("ctx", {}).get("expected", ""))
    return [part.strip(" '") for part in expected.replace(" or ", ",").split(",")]


def _known_keys(schema: type[BaseModel], path: KeyPath) -> list[str]:
    """Field names of the section at `path`; those of all variants where a union stands there."""
    sections: list[type[BaseModel]] = [schema]
    for part in path:
        if isinstance(part, int):
            continue
        sections = [
            inner
            for section in sections
            if part in section.model_fields
            for inner in _sections_in(section.model_fields[part].annotation)
        ]
    return [name for section in sections for name in section.model_fields]


def _sections_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in getattr(annotation, "__args__", ()) for model in _sections_in(inner)]
