"""What the JSON files of a model folder may say, checked before a library builds a model of them.

Sentence Transformers and transformers report a wrong value where they stumble over it, with the name of a Python
function; here it is reported with its file and key. Only keys that decide how a text becomes a vector are checked.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, PositiveInt, RootModel, ValidationError, model_validator

from hrembed.errors import ModelError
from hrembed.models.folder import is_static, read_json, transformer_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Mode = Literal["cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"]
Options = dict[str, JsonValue]


class _File(BaseModel):
    """A JSON file of a library, of which only the named keys matter here."""

    model_config = ConfigDict(strict=True, extra="ignore")


class _Module(_File):
    path: str
    type: str
    name: str


class _Modules(RootModel[Annotated[list[_Module], Field(min_length=1)]]):
    model_config = ConfigDict(strict=True)

    @model_validator(mode="after")
    def _names_differ(self) -> _Modules:
        names = [module.name for module in self.root]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"duplicate module name '{twice}'")
        return self


class _Settings(_File):
    """`config_sentence_transformers.json`."""

    prompts: dict[str, str | None] = {}
    default_prompt_name: str | None = None
    truncate_dim: PositiveInt | None = None
    versions: dict[str, str] = Field({}, alias="__version__")


class _Modality(_File):
    method: str
    method_output_name: str | Annotated[list[str | int], Field(min_length=1)] | None


class _Transformer(_File):
    """`sentence_bert_config.json`, or its older names."""

    modality_config: dict[str, _Modality] = {}
    module_output_name: str | None = None
    max_seq_length: PositiveInt | None = None
    query_length: PositiveInt | None = None
    document_length: PositiveInt | None = None
    processing_kwargs: dict[str, Options] | None = None
    model_args: Options = {}
    tokenizer_args: Options = {}
    config_args: Options = {}
    model_kwargs: Options = {}
    processor_kwargs: Options = {}
    config_kwargs: Options = {}

    @model_validator(mode="after")
    def _takes_text(self) -> _Transformer:
        if "modality_config" in self.model_fields_set and not self.modality_config.keys() & {"text", "message"}:
            raise ValueError("`modality_config` has no entry `text`, so the model does not accept text")
        return self


class _Pooling(_File):
    embedding_dimension: PositiveInt | None = None
    word_embedding_dimension: PositiveInt | None = None  # before release 5.4
    pooling_mode: Mode | Annotated[list[Mode], Field(min_length=1)] = "mean"
    include_prompt: bool = True

    @model_validator(mode="after")
    def _has_a_dimension(self) -> _Pooling:
        if self.embedding_dimension is None and self.word_embedding_dimension is None:
            raise ValueError("`embedding_dimension` is missing")
        return self


class _Dense(_File):
    in_features: PositiveInt
    out_features: PositiveInt
    bias: bool = True
    activation_function: str = ""


class _Checkpoint(_File):
    """`config.json` of a transformer."""

    model_type: str
    vocab_size: PositiveInt | None = None
    hidden_size: PositiveInt | None = None
    num_hidden_layers: PositiveInt | None = None


class _TokenizerSettings(_File):
    model_max_length: Annotated[float, Field(gt=0)] | None = None


class _Tokenizer(_File):
    model: Options


class _Adapter(_File):
    base_model_name_or_path: Annotated[str, Field(min_length=1)]
    peft_type: str


_OF_TRANSFORMER: dict[str, type[BaseModel]] = {
    "sentence_*_config.json": _Transformer,
    "config.json": _Checkpoint,
    "tokenizer_config.json": _TokenizerSettings,
    "tokenizer.json": _Tokenizer,
    "adapter_config.json": _Adapter,
}
_OF_MODULE: dict[str, type[BaseModel]] = {"Pooling": _Pooling, "Dense": _Dense}
_WANTED = {  # kinds of errors of pydantic
    "model_type": "an object",
    "dict_type": "an object",
    "list_type": "a list",
    "string_type": "a string",
    "int_type": "an integer",
    "float_type": "a number",
    "bool_type": "true or false",
    "greater_than": "a number above {gt}",
    "too_short": "at least one entry",
    "string_too_short": "a string that is not empty",
    "literal_error": "{expected}",
}
# Numbered layers in the names of weights. Those that layers share (ALBERT) have other names.
_LAYER = re.compile(r"(?:^|\.)(?:layers?|h|blocks?)\.(\d+)\.")


def check_layout(folder: Path) -> None:
    """Refuse a model folder with a JSON file that no model can be built of.

    Raises:
        ModelError: A file is not JSON, misses a key or has a value that it cannot have; names the file and the key.
    """
    for file, kind in _files(folder):
        content = read_json(file)
        if content is None and not file.exists():
            raise ModelError(f"'{file}' does not exist, but `modules.json` refers to its folder")
        try:
            kind.model_validate(content)
        except ValidationError as err:
            raise ModelError(
                f"'{file}': {_explain(err, content)}",
                hint="compare it with the same file of the original model",
            ) from None


def check_depth(folder: Path) -> None:
    """Refuse weights with fewer layers than the config asks for: the missing ones would be filled at random.

    Raises:
        ModelError: A layer is missing, or a file of weights is damaged.
    """
    from safetensors import SafetensorError, safe_open

    body = transformer_folder(folder)
    config = read_json(body / "config.json")
    asked = config.get("num_hidden_layers") if isinstance(config, dict) else None
    found: set[int] = set()
    for file in sorted(body.glob("model*.safetensors")):
        try:
            with safe_open(file, framework="numpy") as tensors:
                found |= {int(number) for name in tensors.keys() for number in _LAYER.findall(name)}  # noqa: SIM118
        except (OSError, SafetensorError) as err:
            raise ModelError(f"'{file}' is not a valid safetensors file: {err}") from None
    if found and isinstance(asked, int) and max(found) + 1 < asked:
        raise ModelError(
            (
                f"'{body / 'config.json'}': `num_hidden_layers` is {asked}, but the weights contain only "
                f"{max(found) + 1} layers"
            ),
            hint="the folder mixes files of two models, or some weights are missing",
        )


def _files(folder: Path) -> Iterator[tuple[Path, type[BaseModel]]]:
    """Yield the files that are there, or must be, each with what it may say; `modules.json` first."""
    if (folder / "modules.json").exists():
        yield folder / "modules.json", _Modules
    if (folder / "config_sentence_transformers.json").exists():
        yield folder / "config_sentence_transformers.json", _Settings
    for module in read_json(folder / "modules.json") or []:
        kind = _OF_MODULE.get(module["type"].rpartition(".")[2])
        if kind is not None:
            yield folder / module["path"] / "config.json", kind
    body = transformer_folder(folder)
    config = read_json(body / "config.json")
    if isinstance(config, dict) and is_static(config):
        return
    for pattern, kind in _OF_TRANSFORMER.items():
        yield from ((file, kind) for file in sorted(body.glob(pattern)))


def _explain(err: ValidationError, content: Any) -> str:
    """Say what is wrong with the first value that is, and where it is."""
    first = err.errors(include_url=False)[0]
    place: list[str] = []
    value = content
    for part in first["loc"]:
        inner = dict(enumerate(value)) if isinstance(value, list) else value
        if first["type"] == "missing" and isinstance(inner, dict) and part not in inner:
            return f"`{'.'.join([*place, str(part)])}` is missing"
        if not isinstance(inner, dict) or part not in inner:  # the branch of a union, which is not a key
            break
        place.append(str(part))
        value = inner[part]
    if first["type"] == "value_error":
        return str(first["ctx"]["error"])
    where = f"`{'.'.join(place)}`: " if place else ""
    wanted = _WANTED.get(first["type"], first["msg"]).format(**first.get("ctx", {}))
    return f"{where}expected {wanted}, got {_short(value)}"


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:60]}..."
