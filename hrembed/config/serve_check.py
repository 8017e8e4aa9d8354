"""What the config of `serve-check` may hold."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from hrembed.config.parts import BootstrapSection, EndpointSection, ModelSection, TaskSection, check_plain_score
from hrembed.config.section import Section
from hrembed.models.refs import parse_ref


class ServeCheckConfig(Section):
    """`hrembed serve-check`: does somebody's server give the vectors of this model?"""

    model: ModelSection | None = Field(
        default=ModelSection(),
        description="The model that the server should run; null compares it only with what it gave before.",
    )
    endpoint: EndpointSection = Field(
        default=EndpointSection(base_url="http://127.0.0.1:8080/v1"), description="The server."
    )
    name: str | None = Field(
        default=None,
        min_length=1,
        description="Name of the model on the server; null takes the only one that `GET /models` lists, or else "
        "`default`.",
    )
    side: Literal["query", "document"] | None = Field(
        default=None,
        description="What the server embeds, where it has a server or a model for each side; null checks both.",
    )
    prompts: Literal["client", "server"] = Field(
        default="client",
        description="Who puts the prompts of the model in front of texts: `client`, as `openai:` references do, or the "
        "server.",
    )
    min_cosine: float = Field(default=0.9999, ge=0, le=1, description="Lowest cosine of a vector to the model's own.")
    at_once: int = Field(default=64, ge=16, le=2048, description="Texts of the largest request that is tried.")
    task: TaskSection | None = Field(
        default=TaskSection(path="shipped:hr-core/dev/ad-profile"),
        description="Retrieval task that is ranked through the server and by the model itself; null ranks none.",
    )
    max_difference: float = Field(
        default=0.002, ge=0, lt=1, description="Largest difference of mean nDCG@10, in either direction."
    )
    bootstrap: BootstrapSection = BootstrapSection()

    @field_validator("model")
    @classmethod
    def _is_a_model(cls, section: ModelSection | None) -> ModelSection | None:
        if section is None:
            return None
        ref = parse_ref(section.ref)
        if not ref.has_weights and ref.scheme != "static":
            raise ValueError(f"`{section.ref}` is not a model on this machine, with which a server can be compared")
        if section.backend == "openvino" or section.precision != "float32" or section.compile:
            raise ValueError("vectors are compared with those of torch; remove `backend`, `precision` and `compile`")
        return check_plain_score(section)

    @model_validator(mode="after")
    def _the_server_is_named(self) -> ServeCheckConfig:
        if "base_url" not in self.endpoint.model_fields_set:
            raise ValueError("`endpoint.base_url` is not set; put the URL behind the command")
        return self
