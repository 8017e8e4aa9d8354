"""What `hrembed finetune --recipe` says."""

from __future__ import annotations

from typing import ClassVar

from hrembed.records.base import CommandRecord, Record


class StepOutcome(Record):
    """A step of a recipe.

    Attributes:
        name: Its name in the recipe.
        command: What was run, as its folder of runs is called.
        run: `COMMAND/ID` of its run.
        verdict: What the command said came out: of a check the leaks that it found; empty where it judges nothing.
        counts: What it counted, for example `pairs`, or the rows that a check removed.
    """

    name: str
    command: str
    run: str
    verdict: str
    counts: dict[str, int]


class RecipeRecord(CommandRecord):
    """The runs of a recipe.

    Attributes:
        recipe: Its name, or its file.
        steps: What was run, in order.
        model: The last model that was trained, as commands take it (`run:ID`); null where none was.
    """

    command: ClassVar[str] = "recipe"

    recipe: str
    steps: tuple[StepOutcome, ...]
    model: str | None = None
