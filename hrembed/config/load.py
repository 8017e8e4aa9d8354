"""A YAML file and `--set` options to one frozen settings object, all problems at once."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError

from hrembed.config.pinned import pin_runs
from hrembed.config.section import Section
from hrembed.config.source import KeyPath, Source, parse, scalar
from hrembed.config.starters import starters
from hrembed.data.locate import SHIPPED
from hrembed.errors import ConfigError
from hrembed.files import instead_of
from hrembed.registry import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic_core import ErrorDetails

    from hrembed.runs.workspace import Workspace

Config = TypeVar("Config", bound=BaseModel)


def load_config(path: Path, schema: type[Config], overrides: Sequence[str] = ()) -> Config:
    """Read, override and validate a config; `load_source` says what comes of it.

    Raises:
        ConfigError: The file cannot be read, or holds mistakes.
    """
    return load_source(read_config(path), schema, overrides)


def load_source(
    source: Source, schema: type[Config], overrides: Sequence[str] = (), workspace: Workspace | None = None
) -> Config:
    """Override and validate what was read of a config.

    Args:
        source: A file, or a section of one; options and references to runs are written into it.
        schema: What it must hold.
        overrides: `key.path=value` texts, applied in order; the value is read as YAML.
        workspace: Where the runs are that it may name; None leaves their names as they are.

    Returns:
        Frozen settings with every default filled in.

    Raises:
        ConfigError: There are mistakes; all of them are listed as `file:line: key: what is wrong`.
        DataError: A run that it names is not there.
    """
    of_file = _problems(schema, source.values) if overrides else set()
    for text in overrides:
        override(source, schema, text)
    if workspace is not None:
        pin_runs(source, workspace)
    try:
        return schema.model_validate(source.values)
    except ValidationError as err:
        raise _explain(err, schema, source, of_file) from None


def _problems(schema: type[BaseModel], values: Mapping[str, Any]) -> set[tuple[KeyPath, str]]:
    """What is wrong with a file before any option changes it: place and message."""
    try:
        schema.model_validate(values)
    except ValidationError as err:
        return {(problem["loc"], problem["msg"]) for problem in err.errors()}
    return set()


def read_config(path: Path) -> Source:
    """Read a YAML (or JSON) file, with the line of every key.

    Raises:
        ConfigError: It cannot be read, or is not YAML.
    """
    return parse(_read(path), str(path))


def _read(path: Path) -> str:
    if path.is_dir():
        inside = sorted([*path.glob("*.yaml"), *path.glob("*.yml")])
        hint = f"did you mean '{inside[0]}'?" if inside else "`hrembed configs` lists the configs that ship"
        raise ConfigError(f"config '{path}' is a folder, not a file", hint=hint)
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        name = path.with_suffix("").as_posix()
        shipped = [row.name for row in starters() if f"/{row.name}".endswith(f"/{name}")]
        hint = f"one ships with hrembed: `{SHIPPED}{shipped[0]}`" if shipped else instead_of(path)
        raise ConfigError(f"config '{path}' does not exist", hint=hint) from None
    except UnicodeDecodeError as err:
        raise ConfigError(f"config '{path}' is not UTF-8 text (byte {err.start})") from None
    except OSError as err:
        raise ConfigError(f"config '{path}' cannot be read: {err.strerror}") from None


def override(source: Source, schema: type[BaseModel], text: str, *, above: str = "") -> None:
    """Put the value of one `--set` into what the user's YAML says.

    Args:
        source: What was read; it is changed.
        schema: What it must hold.
        text: `key.path=value`, the value as YAML.
        above: What stood in front of the key, for messages.

    Raises:
        ConfigError: The key leads nowhere, or the value is not valid YAML.
    """
    key, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"`--set {above}{text}`: {_EXPECTED}")
    try:
        content = scalar(value)
    except ConfigError as err:
        raise ConfigError(f"`--set {above}{text}`: {str(err).partition(': ')[2]}") from None
    set_value(source, schema, key.strip(), content, f"--set {above}{text}", f"--set {above}{key.strip()}")


def set_value(source: Source, schema: type[BaseModel], key: str, content: Any, shown: str, option: str) -> None:
    """Put a value at a key into what the user's YAML says.

    Args:
        source: What was read; it is changed.
        schema: What it must hold; a section that is written as a text is written out where the key leads into it.
        key: `key.path`, with positions in lists.
        content: The value.
        shown: What asks for it, for messages about the key.
        option: What asks for it, for messages about the value.

    Raises:
        ConfigError: The key leads nowhere.
    """
    parts = key.split(".")
    if not all(parts) or len(parts) > _LEVELS:
        raise ConfigError(f"`{shown}`: {_EXPECTED}")
    place: Any = source.values
    path: KeyPath = ()
    for part, following in pairwise(parts):
        path += (_name_of(place, part, shown),)
        place = _step(place, path, following, shown, schema)
    path += (_name_of(place, parts[-1], shown),)
    _put(place, path[-1], content)
    for places in (source.lines, source.options):
        for older in [older for older in places if older[: len(path)] == path]:
            places.pop(older)
    source.options[path] = option


_EXPECTED = "expected KEY.PATH=VALUE, for example `--set train.epochs=2`"
_LEVELS = 20


def _name_of(place: Any, part: str, shown: str) -> str | int:
    """Read a part of a key; the position after the last of a list is allowed, and appends."""
    if not isinstance(place, list):
        return part
    if not _is_position(part) or int(part) > len(place):
        raise ConfigError(f"`{shown}`: '{part}' is not a valid index for a list of length {len(place)}")
    return int(part)


def _is_position(part: str) -> bool:
    return part.isascii() and part.isdigit() and len(part) < 10


def _put(place: Any, name: str | int, value: Any) -> None:
    if isinstance(name, int):
        place[name : name + 1] = [value]
    else:
        place[name] = value


def _step(place: Any, path: KeyPath, following: str, shown: str, schema: type[BaseModel]) -> Any:
    """Go one level down; a section or list item that is not there yet is made, a section's short form written out."""
    name = path[-1]
    inner = dict(enumerate(place) if isinstance(place, list) else place).get(name)
    if inner is None:
        inner = [] if _is_position(following) else {}
        _put(place, name, inner)
    if isinstance(inner, str):
        inner = _written_out(inner, path, shown, schema)
        _put(place, name, inner)
    if not isinstance(inner, dict | list):
        raise ConfigError(f"`{shown}`: '{name}' is a value, not a section")
    return inner


def _written_out(text: str, path: KeyPath, shown: str, schema: type[BaseModel]) -> Any:
    """Turn `model: minilm` into `model: {ref: minilm}`; what is no section stays a text."""
    for section in _sections_at(schema, path):
        if issubclass(section, Section) and section.short_form:
            try:
                return section.of_text(text)
            except ValueError as err:
                raise ConfigError(f"`{shown}`: {err}") from None
    return text


def _explain(
    err: ValidationError, schema: type[BaseModel], source: Source, of_file: set[tuple[KeyPath, str]]
) -> ConfigError:
    rows, places = [], []
    for problem in err.errors():
        if problem["type"] == "too_short" and _has_bad_items(err, problem["loc"]):
            continue
        loc = tuple(part for part in problem["loc"] if _is_real(part, source.values, problem["loc"]))
        dotted = source.dotted(loc)
        # A section that was right as the file has it is wrong for what an option put into it.
        options = [] if (problem["loc"], problem["msg"]) in of_file else source.options_below(loc)
        place = ", ".join(options) or source.where(loc)
        text = _phrase(problem, schema, loc)
        named = place == f"--set {'.'.join(map(str, loc))}"
        rows.append(f"{place}: {dotted}: {text}" if dotted and not named else f"{place}: {text}")
        places.append(place)
    if len(rows) == 1:
        return ConfigError(rows[0])
    given = "--set" if all(place.startswith("--set") for place in places) else source.name
    return ConfigError("\n  ".join([f"{given}: {len(rows)} problems", *rows]))


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
        return _unknown_key(problem, schema, loc)
    if kind in {"union_tag_invalid", "union_tag_not_found"}:
        names = [tag for section in _sections_at(schema, loc) for tag in _tags(section)]
        given = problem.get("ctx", {}).get("tag")
        if given is None:
            return f"`name` is required: one of {', '.join(names)}"
        return f"unknown name '{given}'{nearest(given, names)}; known: {', '.join(names)}"
    if kind == "missing":
        return "is required"
    if kind == "value_error":
        return str(problem["msg"]).removeprefix("Value error, ")
    if kind in {"model_type", "model_attributes_type"}:
        return f"must be a section of `key: value` lines, got {problem['input']!r}"
    if kind == "tuple_type":
        return f"must be a list, in brackets or with `- ` before each item, got {problem['input']!r}"
    message = str(problem["msg"]).replace("Tuple ", "List ").removesuffix(" after validation, not 0")
    given = problem["input"]
    guess = nearest(str(given), _literal_names(problem)) if kind == "literal_error" else ""
    shown = "" if isinstance(given, dict | list) else f", got {given!r}"
    return f"{message[0].lower()}{message[1:]}{shown}{guess}"


def _literal_names(problem: ErrorDetails) -> list[str]:
    expected = str(problem.get("ctx", {}).get("expected", ""))
    return [part.strip(" '") for part in expected.replace(" or ", ",").split(",")]


def _unknown_key(problem: ErrorDetails, schema: type[BaseModel], loc: KeyPath) -> str:
    """Name the closest key, or all that are possible; of a union, those of the variant that was chosen by `name`."""
    key, sections = str(loc[-1]), _sections_at(schema, loc[:-1])
    owners = [tag for section in sections for tag in _tags(section) if key in section.model_fields]
    chosen = [section for section in sections if problem["loc"][-2:-1] == _tags(section)]
    if owners and chosen:
        return f"unknown key for '{_tags(chosen[0])[0]}'; it belongs to {', '.join(owners)}"
    known = list(dict.fromkeys(name for section in chosen or sections for name in section.model_fields))
    return f"unknown key{nearest(key, known) or '; possible here: ' + ', '.join(known)}"


def _tags(section: type[BaseModel]) -> tuple[str, ...]:
    """What `name` has to be for this section, where that is fixed."""
    field = section.model_fields.get("name")
    return get_args(field.annotation) if field is not None and get_origin(field.annotation) is Literal else ()


def _sections_at(schema: type[BaseModel], path: KeyPath) -> list[type[BaseModel]]:
    """Sections that may stand at `path`."""
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
    return sections


def _sections_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in getattr(annotation, "__args__", ()) for model in _sections_in(inner)]
