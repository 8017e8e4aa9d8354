"""What the config of `encode` may hold."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, field_validator, model_validator

from hrembed.config.data import PersonalSection
from hrembed.config.parts import COLUMNS, DELIMITER, ENCODING, ModelSection, check_plain_score, known_columns
from hrembed.config.section import Section
from hrembed.data.database import has_password, is_database
from hrembed.models.refs import parse_ref
from hrembed.records.encode import CellType, VectorType
from hrembed.types import Side

ENCODE_COLUMNS = ("id", "text", "title")
_RESERVED = ("id", "vector", "scale", "text_hash")
_TYPES: dict[str, CellType] = {
    "string": "string",
    "int": "int64",
    "float": "double",
    "bool": "bool",
    "strings": "strings",
}


class RaySection(Section):
    """How Ray is used; only with `engine: ray`."""

    address: str | None = Field(
        default=None,
        description="Cluster to join, as `HOST:PORT` or `auto`; null starts one of its own here, and ends it.",
    )
    cpus_per_worker: float = Field(default=1.0, gt=0, le=1024, description="Processors that Ray reserves for a worker.")
    gpus_per_worker: float = Field(default=0.0, ge=0, le=64, description="GPUs that Ray reserves for a worker.")
    object_store_mb: int = Field(
        default=100, ge=80, le=100_000, description="Object store of a cluster of its own, MB; only hashes go there."
    )


class EncodeConfig(Section):
    """`hrembed encode`: embed a table once, into a folder of shards."""

    input: str = Field(
        default="shipped:hr-core/test/ad-profile/corpus.jsonl",
        description="JSONL, CSV or Parquet, a folder of them, a URL of fsspec (`s3://bucket/key`), `hf:ORG/NAME`, or a "
        "SQLAlchemy URL without a password (`sqlite:///FILE`, `postgresql+psycopg://USER@HOST/NAME`).",
    )
    query: str | None = Field(
        default=None,
        description="SELECT that gives id, text and kept columns, for a database; read in the order of its ids.",
    )
    password_env: str = Field(
        default="HREMBED_DB_PASSWORD",
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        description="Environment variable with the password of the database.",
    )
    subset: str | None = Field(default=None, description="Configuration of a Hub dataset.")
    split: str = Field(default="train", description="Split of a Hub dataset.")
    columns: dict[str, str] = COLUMNS
    delimiter: str | None = DELIMITER
    encoding: str = ENCODING
    keep: tuple[str, ...] = Field(
        default=(),
        description="Columns that lie beside the vectors, as filters for example; `text` is what was embedded. The "
        "type is recognised, or given: `years:int` (`string`, `int`, `float`, `bool`, `strings`).",
    )
    out: str = Field(default="vectors", description="Folder of the shards, or a URL of fsspec. It is resumed.")
    model: ModelSection = ModelSection()
    side: Side = Field(default="document", description="Which side the texts stand on: that decides their prompt.")
    dtype: VectorType = Field(
        default="float32",
        description="`float16` takes half the space and moves a cosine by 1e-4; `int8` takes a third and moves it by "
        "2e-3, which changes the order of close candidates for half of all queries.",
    )
    anonymise: bool = Field(
        default=False, description="Replace personal data in the texts before they are embedded (and kept)."
    )
    name_columns: tuple[str, ...] = Field(
        default=(), description="Columns with the person's name, which is then replaced in the text as well."
    )
    personal_data: PersonalSection = PersonalSection()
    base: str | None = Field(
        default=None, description="Finished folder of the same settings: only new and changed rows are encoded."
    )
    rows_per_shard: int = Field(
        default=10_000, ge=1, le=1_000_000, description="Rows of a shard, which is also what is lost by a kill."
    )
    engine: Literal["local", "ray"] = Field(
        default="local",
        description="Processes of this machine, or actors of Ray (`hrembed[ray]`). Both write the same.",
    )
    workers: int | None = Field(
        default=None,
        ge=1,
        le=10_000,
        description="Processes or actors; null takes one for each processor (of the cluster), one for an endpoint.",
    )
    threads: int = Field(
        default=1, ge=1, le=1024, description="Threads of a worker; with other numbers torch may round differently."
    )
    ray: RaySection = RaySection()

    _columns = field_validator("columns")(lambda cls, value: known_columns(value, ENCODE_COLUMNS))
    _model = field_validator("model")(check_plain_score)

    @field_validator("keep")
    @classmethod
    def _kept(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        names = []
        for text in value:
            name, colon, kind = text.rpartition(":")
            name = name if colon else kind
            if colon and kind not in _TYPES:
                raise ValueError(f"`{text}`: unknown type `{kind}`; known: {', '.join(_TYPES)}")
            if not name or name in _RESERVED:
                raise ValueError(f"`{name}` cannot be kept under this name; reserved: {', '.join(_RESERVED)}")
            names.append(name)
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"`{twice}` appears twice")
        return value

    @property
    def kept_types(self) -> dict[str, CellType | None]:
        """Kept column -> the type that was given for it, None where it is to be recognised."""
        types: dict[str, CellType | None] = {}
        for text in self.keep:
            name, colon, kind = text.rpartition(":")
            types[name if colon else kind] = _TYPES[kind] if colon else None
        return types

    @model_validator(mode="after")
    def _a_model_with_vectors(self) -> EncodeConfig:
        ref = parse_ref(self.model.ref)
        if not ref.has_vectors:
            raise ValueError(f"`model`: `{self.model.ref}` has no vectors to keep")
        if ref.is_endpoint and (self.workers or 1) > 1 and self.model.endpoint.requests_per_minute is not None:
            raise ValueError("`model.endpoint.requests_per_minute` holds for each worker; remove it, or `workers`")
        return self

    @model_validator(mode="after")
    def _no_secrets_and_one_query(self) -> EncodeConfig:
        for key in ("input", "out", "base"):
            if has_password(getattr(self, key) or ""):
                raise ValueError(
                    f"`{key}` contains a password, which would appear in the files of the run; remove it, and set the "
                    f"environment variable {self.password_env} (database) or those of fsspec (`FSSPEC_FTP_PASSWORD`)"
                )
        if is_database(self.input):
            if not self.query:
                raise ValueError("a database needs a `query`, for example `SELECT id, text FROM profiles`")
        elif self.query:
            raise ValueError("`query` is for a database, as `sqlite:///profiles.db`")
        return self

    @model_validator(mode="after")
    def _all_used(self) -> EncodeConfig:
        if self.name_columns and not (self.anonymise and "name" in self.personal_data.types):
            raise ValueError("`name_columns` requires `anonymise` and `name` in `personal_data.types`")
        if self.engine != "ray" and self.ray != RaySection():
            raise ValueError("`ray` has no effect without `engine: ray`")
        for key, default in (("subset", None), ("split", "train")):
            if getattr(self, key) != default and not re.match("hf:", self.input):
                raise ValueError(f"`{key}` is for a dataset of the Hub (`hf:ORG/NAME`)")
        return self
