"""YAML to settings: what is read, and how a mistake looks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hrembed.config.bias_audit import AuditConfig
from hrembed.config.eval import EvalConfig
from hrembed.config.load import load_config
from hrembed.config.schema import SCHEMAS, FinetuneConfig
from hrembed.config.section import Section
from hrembed.config.source import parse, scalar
from hrembed.config.starters import config_file
from hrembed.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),  # YAML 1.1 reads Norway as False
        ("on", "on"),
        ("2e-5", 2e-5),  # YAML 1.1 reads text
        ("12:30", "12:30"),  # YAML 1.1 reads 750
        ("017", "017"),  # YAML 1.1 reads 15
        ("1_000", "1_000"),
        ("2026-11-22", "2026-11-22"),
        ("true", True),
        ("~", None),
        ("-3", -3),
        (".5", 0.5),
        ("'7'", "7"),
        ("[en, no]", ["en", "no"]),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text, value):
    assert scalar(text) == value
    assert type(scalar(text)) is type(value)


def test_all_problems_come_at_once_with_line_and_nearest_name(tmp_path: Path):
    file = tmp_path / "bad.yaml"
    file.write_text(
        "model:\n  ref: minilm\n  max_tokns: 12\ntrain:\n  epochs: 0\n  batch_size: many\n"
        "method:\n  name: lora\n  rnk: 4\nmetric: ndgc@10\n",
        encoding="utf-8",
    )
    with pytest.raises(ConfigError) as caught:
        load_config(file, FinetuneConfig)
    assert str(caught.value).replace(str(tmp_path), "") == (
        "/bad.yaml: 5 problems\n"
        "  /bad.yaml:3: model.max_tokns: unknown key (did you mean 'max_tokens'?)\n"
        "  /bad.yaml:9: method.rnk: unknown key (did you mean 'rank'?)\n"
        "  /bad.yaml:5: train.epochs: input should be greater than or equal to 1, got 0\n"
        "  /bad.yaml:6: train.batch_size: input should be a valid integer, "
        "unable to parse string as an integer, got 'many'\n"
        "  /bad.yaml:10: metric: unknown metric 'ndgc@10' (did you mean 'ndcg'?); known: hit, map, mrr, ndcg, "
        "ndcg-exp, precision, r-precision, recall"
    )


def test_a_list_item_is_found_on_its_line(tmp_path: Path):
    file = tmp_path / "bad.yaml"
    file.write_text("models:\n  - ref: minilm\n  - ref: minilmm\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"bad.yaml:3: models.1.ref: unknown model 'minilmm' \(did you mean 'minilm'"):
        load_config(file, EvalConfig)


def test_a_wrong_choice_shows_the_nearest(tmp_path: Path):
    file = tmp_path / "bad.yaml"
    file.write_text("fail_on: fial\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"bad.yaml:1: fail_on: .*got 'fial' \(did you mean 'fail'"):
        load_config(file, AuditConfig)


def test_a_repeated_key_is_refused():
    with pytest.raises(ConfigError, match=r"c.yaml:3: duplicate key 'a'"):
        parse("a: 1\nb: 2\na: 3\n", "c.yaml")


def test_set_overrides_values_sections_and_list_items(tmp_path: Path):
    file = tmp_path / "c.yaml"
    file.write_text("models:\n  - ref: minilm\n", encoding="utf-8")
    config = load_config(file, EvalConfig, ["models.0.ref=bm25", "bootstrap.seed=5", "metrics=[map]"])
    assert (config.models[0].ref, config.bootstrap.seed, config.metrics) == ("bm25", 5, ("map",))


def test_set_after_the_last_item_appends(tmp_path: Path):
    file = tmp_path / "c.yaml"
    file.write_text("models:\n  - ref: minilm\n", encoding="utf-8")
    config = load_config(file, EvalConfig, ["models.1.ref=bm25", "metrics.0=map"])
    assert [model.ref for model in config.models] == ["minilm", "bm25"]
    assert config.metrics == ("map",)


def test_set_reaches_into_a_section_that_is_written_as_a_text(tmp_path: Path):
    file = tmp_path / "c.yaml"
    file.write_text("models: [minilm, bm25]\n", encoding="utf-8")
    config = load_config(file, EvalConfig, ["models.0.ref=tfidf", "models.1.name=today"])
    assert [(model.ref, model.name) for model in config.models] == [("tfidf", None), ("bm25", "today")]
    (tmp_path / "pick.yaml").write_text("ref: hf:a/b\nmax_tokens: 64\n", encoding="utf-8")
    file.write_text(f"model: {tmp_path}/pick.yaml\n", encoding="utf-8")
    picked = load_config(file, FinetuneConfig, ["model.batch_size=8"]).model
    assert (picked.ref, picked.max_tokens, picked.batch_size) == ("hf:a/b", 64, 8)
    file.write_text("model: none.yaml\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"`--set model.ref=x`: 'none.yaml' cannot be read"):
        load_config(file, FinetuneConfig, ["model.ref=x"])
    file.write_text("weights: like-mine\n", encoding="utf-8")
    weights = load_config(file, SCHEMAS["select"], ["weights.types.Retrieval=2"]).weights
    assert (weights.scheme, weights.types) == ("like-mine", {"Retrieval": 2.0})


def test_every_section_with_a_short_form_can_be_written_out():
    def sections(above: type) -> list[type]:
        return [each for below in above.__subclasses__() for each in (below, *sections(below))]

    short = {each.__name__: each for each in sections(Section) if each.short_form}
    assert {"ModelSection", "WeightsSection"} <= set(short)
    texts = {"ModelSection": "minilm", "WeightsSection": "like-mine"}
    for name, section in short.items():
        assert section.model_validate(texts[name]) == section.model_validate(section.of_text(texts[name]))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("models.0.ref", "expected KEY.PATH=VALUE, for example `--set train.epochs=2`"),
        ("models.3.ref=bm25", "'3' is not a valid index for a list of length 1"),
        ("models.0.ref.x=1", "'ref' is a value, not a section"),
        ("bootstrap.sed=1", r"--set bootstrap.sed: unknown key \(did you mean 'seed'\?\)"),
        ("bootstrap.zzz=1", "--set bootstrap.zzz: unknown key; possible here: .*seed"),
    ],
)
def test_a_wrong_override_is_named(tmp_path: Path, override, message):
    file = tmp_path / "c.yaml"
    file.write_text("models:\n  - ref: minilm\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        load_config(file, EvalConfig, [override])


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("{name: full, layers: 2}", "method.layers: unknown key for 'full'; it belongs to lora, partial, scratch$"),
        ("{name: full, rnk: 2}", "method.rnk: unknown key; possible here: name$"),
        ("{name: lora, rnk: 2}", r"method.rnk: unknown key \(did you mean 'rank'\?\)$"),
        ("{name: lara}", r"unknown name 'lara' \(did you mean 'lora'\?\); known: lora, partial, full, scratch$"),
        ("{rank: 2}", "`name` is required: one of lora, partial, full, scratch$"),
    ],
)
def test_a_key_of_another_variant_is_told_from_one_that_nobody_has(method, message):
    with pytest.raises(ConfigError, match=f"^--set method: {message}"):
        load_config(config_file("shipped:finetune"), FinetuneConfig, [f"method={method}"])


def test_a_list_is_only_called_too_short_when_it_is(tmp_path: Path):
    file = tmp_path / "c.yaml"
    file.write_text("models:\n  - ref: hf:nobody\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_config(file, EvalConfig)
    assert str(caught.value).endswith(
        "c.yaml:2: models.0.ref: model 'hf:nobody': Hub models must have the form hf:ORG/NAME or hf:ORG/NAME@REVISION"
    )
    file.write_text("models: minilm\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"c.yaml:1: models: must be a list, in brackets or .*, got 'minilm'$"):
        load_config(file, EvalConfig)
    file.write_text("models: []\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"c.yaml:1: models: list should have at least 1 item$"):
        load_config(file, EvalConfig)


def test_settings_cannot_change_later():
    from pydantic import ValidationError

    with pytest.raises(ValidationError, match="frozen"):
        EvalConfig().metrics = ("map",)  # type: ignore[misc]


@pytest.mark.parametrize("command", sorted(SCHEMAS))
def test_resolved_settings_can_be_read_again(tmp_path: Path, command):
    from hrembed.files import write_json

    config = SCHEMAS[command]()
    write_json(tmp_path / "config.yaml", config.model_dump(mode="json"))
    assert load_config(tmp_path / "config.yaml", SCHEMAS[command]) == config


def test_rules_between_fields(tmp_path: Path):
    file = tmp_path / "c.yaml"
    file.write_text("headline_cut: 0.15\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"`headline_cut` 0.15 is not one of `cuts`"):
        load_config(file, AuditConfig)
    file.write_text("model:\n  ref: bm25\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="has no weights to train"):
        load_config(file, FinetuneConfig)


@pytest.mark.parametrize("ref", ["bm25", "trec:runs", "vectors:table.parquet"])
def test_titles_of_what_embeds_no_text_are_refused(ref):
    with pytest.raises(ValueError, match="`normalise_titles` requires an embedding model, which"):
        EvalConfig(models=({"ref": ref, "normalise_titles": "queries"},))
