"""YAML text to plain values, with the line of every key.

PyYAML reads YAML 1.1, where `no` is False, `2e-5` is text, `12:30` is 750 and a repeated key silently
wins. Configs are read with the scalars of YAML 1.2 (JSON's, in effect), and a repeated key is an error.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import yaml

from hrembed.errors import ConfigError

KeyPath = tuple[str | int, ...]


class _Yaml12(yaml.SafeLoader):
    """`SafeLoader` that resolves the scalars of YAML 1.2 only."""

    yaml_implicit_resolvers: dict[str, list[Any]] = {}  # noqa: RUF012 - PyYAML's own name and type


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
    """

    name: str
    values: dict[str, Any]
    lines: dict[KeyPath, int]

    def where(self, path: KeyPath) -> str:
        """Return `file:line` of a key path, or of the nearest parent that has a line."""
        for end in range(len(path), -1, -1):
            if path[:end] in self.lines:
                return f"{self.name}:{self.lines[path[:end]]}"
        return self.name


def parse(text: str, name: str) -> Source:
    """Read YAML 1.2 text whose top is a mapping.

    Raises:
        ConfigError: Not YAML, a repeated key, or no mapping; the message starts with `file:line`.
    """
    loader = _Yaml12(text)
    lines: dict[KeyPath, int] = {}
    try:
        node = loader.get_single_node()
        values = {} if node is None else _construct(loader, node, (), lines, name)
    except yaml.MarkedYAMLError as err:
        mark = err.problem_mark or err.context_mark
        place = f"{name}:{mark.line + 1}" if mark else name
        raise ConfigError(f"{place}: not valid YAML: {err.problem or err.context}") from None
    except yaml.YAMLError as err:
        raise ConfigError(f"{name}: not valid YAML: {str(err).splitlines()[0]}") from None
    finally:
        loader.dispose()
    if not isinstance(values, dict):
        raise ConfigError(f"{name}:1: the top of a config must be `key: value` lines")
    return Source(name, values, lines)


def _construct(loader: _Yaml12, node: yaml.Node, path: KeyPath, lines: dict[KeyPath, int], name: str) -> Any:
    lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        return _mapping(loader, node, path, lines, name)
    if isinstance(node, yaml.SequenceNode):
        return [_construct(loader, item, (*path, n), lines, name) for n, item in enumerate(node.value)]
    return loader.construct_object(node)


def _mapping(
    loader: _Yaml12, node: yaml.MappingNode, path: KeyPath, lines: dict[KeyPath, int], name: str
) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = str(key_node.value)
        line = key_node.start_mark.line + 1
        if key in values:
            first = lines[(*path, key)]
            raise ConfigError(f"{name}:{line}: key '{key}' stands twice (first on line {first})")
        lines[(*path, key)] = line
        values[key] = _construct(loader, value_node, (*path, key), lines, name)
    return values


def scalar(text: str) -> Any:
    """Read one value as it would be read in a file; used by `--set key=value`.

    Raises:
        ConfigError: The value is not valid YAML.
    """
    return parse(f"value: {text}" if text.strip() else "value: ''", f"--set {text}").values["value"]
