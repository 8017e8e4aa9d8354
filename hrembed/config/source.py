"""YAML text to plain values, with the line of every key.

PyYAML reads YAML 1.1, where `no` is False, `2e-5` is text, `12:30` is 750 and a repeated key silently
wins. Configs are read with the scalars of YAML 1.2 (JSON's, in effect), and a repeated key is an error.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from hrembed.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

KeyPath = tuple[str | int, ...]

# No config comes near: the deepest has six levels, and the longest some hundred values.
_DEPTH = 50
_REPEATED = 10_000


class _Yaml12(yaml.SafeLoader):
    """`SafeLoader` that resolves the scalars of YAML 1.2 only."""

    yaml_implicit_resolvers: dict[str, list[Any]] = {}  # noqa: RUF012 - PyYAML's own name and type

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Read a node and what is inside; PyYAML calls itself for each level, without end."""
        if self._depth > _DEPTH:
            mark = parent.start_mark if parent else None
            raise yaml.MarkedYAMLError(problem=f"nested more than {_DEPTH} levels deep", problem_mark=mark)
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


_Yaml12.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)
_Yaml12.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""])
_Yaml12.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^[-+]?(?:0|[1-9][0-9]*)$"), list("-+0123456789"))
_Yaml12.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"^[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?$|^[-+]?\.(?:inf|Inf|INF)$|^\.(?:nan|NaN|NAN)$"
    ),
    list("-+0123456789."),
)


@dataclass(frozen=True)
class Source:
    """A config as written.

    Attributes:
        name: File name for messages.
        values: The user's YAML as plain values, a mapping at the top.
        lines: Key path to the line (from 1) on which it stands.
        options: Key path to the `--set` option that gave its value.
        section: Where in the file it stands, for messages; empty for the whole file.
    """

    name: str
    values: dict[str, Any]
    lines: dict[KeyPath, int]
    options: dict[KeyPath, str] = field(default_factory=dict)
    section: KeyPath = ()

    def dotted(self, path: KeyPath) -> str:
        """Return a key path as messages show it, from the top of the file on."""
        return ".".join(str(part) for part in (*self.section, *path))

    def below(self, path: KeyPath) -> Source:
        """Return a section as a config of its own; one that holds nothing is an empty config.

        Raises:
            ConfigError: It holds a value, not a section.
        """
        values: Any = self.values
        for end, part in enumerate(path, start=1):
            values = values[part] if isinstance(part, int) else values.get(part)
            values = {} if values is None else values
            wanted = list if end < len(path) and isinstance(path[end], int) else dict
            if not isinstance(values, wanted):
                place, key = self.where(path[:end]), self.dotted(path[:end])
                raise ConfigError(f"{place}: {key}: must be a section of `key: value` lines, got {values!r}")
        lines = {key[len(path) :]: line for key, line in self.lines.items() if key[: len(path)] == path}
        return Source(self.name, values, lines, section=(*self.section, *path))

    def where(self, path: KeyPath) -> str:
        """Return `file:line` of a key path, or of the nearest parent that has a line; `--set key` if that gave it."""
        for end in range(len(path), -1, -1):
            if path[:end] in self.options:
                return self.options[path[:end]]
            if path[:end] in self.lines:
                return f"{self.name}:{self.lines[path[:end]]}"
        return self.name

    def options_below(self, path: KeyPath) -> list[str]:
        """List the `--set` options that gave a value inside of a section."""
        return [option for key, option in self.options.items() if key[: len(path)] == path]


def parse(text: str, name: str) -> Source:
    """Read YAML 1.2 text whose top is a mapping.

    Raises:
        ConfigError: Not YAML, a repeated key, no mapping, or more than a config holds: aliases that multiply into a
            giant, sections in sections without end. The message starts with `file:line`.
    """
    try:
        loader = _Yaml12(text)
    except yaml.reader.ReaderError as err:
        line = text.count("\n", 0, err.position) + 1
        raise ConfigError(f"{name}:{line}: not valid YAML: control character #x{err.character:04x}") from None
    try:
        node = loader.get_single_node()
    except yaml.MarkedYAMLError as err:
        mark = err.problem_mark or err.context_mark
        place = f"{name}:{mark.line + 1}" if mark else name
        raise ConfigError(f"{place}: not valid YAML: {err.problem or err.context}") from None
    except (ValueError, OverflowError):  # PyYAML takes any digits in `%YAML 1.2` and any code in `\U0001f600`
        place = f"{name}:{loader.line + 1}"
        raise ConfigError(f"{place}: not valid YAML: invalid version number or character code") from None
    finally:
        loader.dispose()
    reader = _Reader(name)
    values = {} if node is None else reader.value(node, ())
    if not isinstance(values, dict):
        raise ConfigError(f"{name}:1: a config must be a mapping (`key: value` lines)")
    return Source(name, values, reader.lines)


class _Reader:
    """Turns the nodes of a document into plain values, and remembers where each key stands."""

    def __init__(self, name: str) -> None:
        self.lines: dict[KeyPath, int] = {}
        self._name = name
        self._seen: set[int] = set()
        self._repeated = 0

    def value(self, node: yaml.Node, path: KeyPath) -> Any:
        """Read a node; what an alias stands for is read again."""
        line = node.start_mark.line + 1
        self._repeated += id(node) in self._seen
        self._seen.add(id(node))
        if self._repeated > _REPEATED or len(path) > _DEPTH:  # an alias inside of its own anchor has no end
            raise ConfigError(
                f"{self._name}:{line}: aliases (`*name`) expand this config to more than {_REPEATED:,} values"
            )
        self.lines.setdefault(path, line)
        kind = node.tag.rpartition(":")[2]
        if kind not in {"map", "seq", *_READ}:
            raise ConfigError(f"{self._name}:{line}: unsupported tag '{node.tag}'")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*path, n)) for n, item in enumerate(node.value)]
        text = self._text(node)
        try:
            return _READ[kind](text)
        except (KeyError, ValueError):  # `!!int ten`, or more digits than Python reads
            raise ConfigError(f"{self._name}:{line}: expected {kind}, got '{_short(text)}'") from None

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise ConfigError(f"{self._name}:{line}: keys must be text, not lists or mappings")
            key = self._text(key_node)
            if key in found:
                first = self.lines[(*path, key)]
                raise ConfigError(f"{self._name}:{line}: duplicate key '{key}' (first defined on line {first})")
            self.lines[(*path, key)] = line
            found[key] = self.value(value_node, (*path, key))
        return found

    def _text(self, node: yaml.Node) -> str:
        """Return the text of a scalar; halves of a pair, as JSON writes characters beyond 16 bits, are joined."""
        text = str(node.value)
        try:
            text = text.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            raise ConfigError(
                f"{self._where(node)}: text contains an unpaired surrogate, so it is not valid UTF-8"
            ) from None
        if "\0" in text:
            raise ConfigError(f"{self._where(node)}: text contains a NUL character")
        return text

    def _where(self, node: yaml.Node) -> str:
        return f"{self._name}:{node.start_mark.line + 1}"


# Tag of a scalar: how it is read.
_READ: dict[str, Callable[[str], str | bool | int | float | None]] = {
    "str": str,
    "null": lambda text: None,
    "bool": lambda text: {"true": True, "false": False}[text.lower()],
    "int": int,
    "float": lambda text: float(text.lower().replace(".inf", "inf").replace(".nan", "nan")),
}


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:37]}..."


def scalar(text: str) -> Any:
    """Read one value as it would be read in a file; used by `--set key=value`.

    Raises:
        ConfigError: The value is not valid YAML.
    """
    return parse(f"value: {text}" if text.strip() else "value: ''", "value").values["value"]
