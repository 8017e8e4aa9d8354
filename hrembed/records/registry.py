"""What `registry.json` holds: which trained models are in use, and what gates and people decided on them."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from hrembed.records.base import Record

Plan = Literal["continue", "restart"]
Action = Literal["accept", "reject", "rollback"]
ModelStatus = Literal["accepted", "rejected", "superseded", "outdated"]


class PersonalDecision(Record):
    """What a person decided on a model.

    Attributes:
        action: What was decided; a rollback stands in both models, the one that is left and the one gone back to.
        time: When, in ISO 8601 (UTC).
        by: Who decided.
        why: Reason.
    """

    action: Action
    time: str
    by: str
    why: str


class RegisteredModel(Record):
    """A model in the registry; other keys of the file are kept as they are.

    Attributes:
        model: Id of its finetune run.
        status: `accepted` (the model in use), `superseded` (it was in use), `rejected`, or `outdated`: it passed its
            gate against a model that was no longer the one in use.
        previous: The model that it was gated against, as `finetune/ID` or the base; `from` in JSON, empty where it is
            not known.
        plan: Whether its training went on from that one; null where no retraining made it.
        continuations: Times in a row that training went on from the model before.
        retrain: Id of the run that registered it; empty for none.
        gate: Id of the gate run that judged it; empty for none.
        registered: When, in ISO 8601; empty where only people decided on it.
        decisions: What people decided, oldest first.
    """

    model_config = ConfigDict(extra="allow")

    model: str
    status: ModelStatus
    previous: str = Field(default="", validation_alias="from", serialization_alias="from")
    plan: Plan | None = None
    continuations: int = 0
    retrain: str = ""
    gate: str = ""
    registered: str = ""
    decisions: tuple[PersonalDecision, ...] = ()

    def decided(self, status: ModelStatus, decision: PersonalDecision) -> RegisteredModel:
        """Add a decision and what it led to."""
        return self.model_copy(update={"status": status, "decisions": (*self.decisions, decision)})


class Registry(Record):
    """Every model that a gate or a person decided on, the content of `registry.json`.

    Attributes:
        format: Number of the shape.
        models: Oldest first; one at most is accepted.
    """

    format: Literal[1] = 1
    models: tuple[RegisteredModel, ...] = ()

    def __len__(self) -> int:
        """Count the models."""
        return len(self.models)

    def accepted(self) -> RegisteredModel | None:
        """Return the model in use; None where none was accepted."""
        return next((entry for entry in reversed(self.models) if entry.status == "accepted"), None)

    def of(self, model: str) -> RegisteredModel | None:
        """Return what was registered last of a model; None where nothing was."""
        return next((entry for entry in reversed(self.models) if entry.model == model), None)

    def status_of(self, model: str) -> str:
        """Return the status of a model; one without an entry is `not gated`: neither a gate nor a person decided."""
        entry = self.of(model)
        return "not gated" if entry is None else entry.status
