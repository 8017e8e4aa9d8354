"""What all blocks of settings have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from pydantic import GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import CoreSchema


class Section(BaseModel):
    """A block of settings: unknown keys are errors, values cannot change later."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    short_form: ClassVar[bool] = False
    """Whether a text may stand in place of the section; a validator turns it into one by `of_text`."""

    @classmethod
    def of_text(cls, text: str) -> dict[str, Any]:
        """Write the section out that a text stands for; a `ValueError` says why it stands for none."""
        raise NotImplementedError(f"{cls.__name__} has no short form: {text}")

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Allow the short form in the JSON Schema, too: what validates here validates in an editor."""
        schema = handler.resolve_ref_schema(handler(core))
        return {"anyOf": [{"type": "string"}, schema], "title": cls.__name__} if cls.short_form else schema
