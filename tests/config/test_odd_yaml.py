"""YAML that no config is made of: one message with its line, in no time and no memory."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from hrembed.config.load import load_config
from hrembed.config.schema import SCHEMAS
from hrembed.config.source import parse
from hrembed.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

LEVELS = "abcdefghij"
BOMB = "\n".join(
    f"{name}: &{name} [{', '.join([f'*{LEVELS[n - 1]}' if n else 'lol'] * 9)}]" for n, name in enumerate(LEVELS)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, r"aliases \(`\*name`\) expand this config to more than 10,000 values"),
        ("a: &a {b: *a}", "expand this config to more than"),
        ("a: 1\nb: &b [*b, *b]", "expand this config to more than"),
        ("a: " + "[" * 20_000, "c.yaml:1: not valid YAML: nested more than 50 levels deep"),
        ("a: " + "{a: " * 3_000, "more than 50 levels"),
        ("- " * 5_000, "more than 50 levels"),
        ("a: 1\nb: \x1b[31m", "c.yaml:2: not valid YAML: control character #x001b"),
        ('a: 1\nb: "\\0"', "c.yaml:2: text contains a NUL character"),
        ('a: "\\ud800"', "c.yaml:1: text contains an unpaired surrogate"),
        ('"\\udfff": 1', "c.yaml:1: text contains an unpaired surrogate"),
        ("a: !!int ten", "c.yaml:1: expected int"),
        ('a: !!int ""', "c.yaml:1: expected int"),
        ("a: !!bool maybe", "c.yaml:1: expected bool"),
        ("a: !!float x", "c.yaml:1: expected float"),
        (f"a: {'9' * 5000}", "c.yaml:1: expected int, got '9999999999999999999999999999999999999...'"),
        ("a: !!timestamp yesterday", "c.yaml:1: unsupported tag 'tag:yaml.org,2002:timestamp'"),
        ("a: !!binary aGk=", "unsupported tag"),
        ("a: !!python/object/apply:os.system [ls]", "unsupported tag|not valid YAML|expected"),
        ("? [a, b]\n: c", "c.yaml:1: keys must be text, not lists or mappings"),
        ('a: "\\UFFFFFFFF"', "c.yaml:1: not valid YAML"),
        (f"%YAML 1.{'9' * 5000}\n---\na: 1", "c.yaml:1: not valid YAML"),
        ("a: *nobody", "c.yaml:1: not valid YAML: found undefined alias"),
        ("a: 1\n---\nb: 2", "c.yaml:2: not valid YAML"),
    ],
)
def test_odd_yaml_is_one_message_with_its_line(text: str, message: str):
    begun = time.perf_counter()
    with pytest.raises(ConfigError, match=message) as caught:
        parse(text, "c.yaml")
    assert len(str(caught.value)) < 300
    assert time.perf_counter() - begun < 5


def test_what_json_writes_beyond_sixteen_bits_is_one_character():
    assert parse('{"a": "\\ud83d\\ude00"}', "c.json").values == {"a": "😀"}


def test_an_alias_may_repeat_a_section():
    values = parse("a: &a {b: [1, x]}\nc: *a\nd: [*a, *a]", "c.yaml").values
    assert values == {"a": {"b": [1, "x"]}, "c": {"b": [1, "x"]}, "d": [{"b": [1, "x"]}] * 2}


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["bootstrap.resamples=["], r"^`--set bootstrap.resamples=\[`: not valid YAML"),
        (["bootstrap.resamples=*x"], r"^`--set bootstrap.resamples=\*x`: not valid YAML"),
        (["bootstrap.resamples=many"], "^--set bootstrap.resamples: input should be a valid integer"),
        (["bootstrap=3"], "^--set bootstrap: must be a section of `key: value` lines, got 3$"),
        (["models=[{ref: bm25, foo: 1}]"], "^--set models: models.0.foo: unknown key"),
        (["models.0.precision=int8", "models.0.dtype=float16"], "^--set models.0.precision, --set models.0.dtype: mod"),
        (["models.0.backend=torch", "models.0.precision=int8", "x=1"], "^--set: 2 problems\n  --set models.0.backend"),
        (["models.0={ref: bm25}", "models.0.ref=nobody"], "^--set models.0.ref: unknown model 'nobody'"),
        (["models.²=bm25"], "'²' is not a valid index for a list of length 1"),
        ([f"models.{'9' * 5000}=bm25"], "is not a valid index for a list of length 1"),
        ([".".join("a" * 3000) + "=1"], "expected KEY.PATH=VALUE, for example `--set train.epochs=2`"),
        (['cache.folder="\\ud800"'], "text contains an unpaired surrogate"),
    ],
)
def test_a_wrong_value_of_an_option_is_blamed_on_the_option(tmp_path: Path, overrides: list[str], message: str):
    file = tmp_path / "c.yaml"
    file.write_text("bootstrap:\n  resamples: 200\nmodels:\n  - ref: minilm\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=message) as caught:
        load_config(file, SCHEMAS["eval"], overrides)
    assert "c.yaml" not in str(caught.value)


def test_a_mistake_of_the_file_is_not_blamed_on_an_option_beside_it(tmp_path: Path):
    file = tmp_path / "c.yaml"
    file.write_text("models:\n  - {ref: minilm, backend: torch, precision: int8}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"^\S+c.yaml:2: models.0: `precision` is only supported by OpenVINO"):
        load_config(file, SCHEMAS["eval"], ["models.0.batch_size=4"])
