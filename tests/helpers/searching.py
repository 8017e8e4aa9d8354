"""An index of real texts under a static model, for tests of what searches it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hrembed.config.parts import ModelSection
from hrembed.runs.workspace import Workspace
from hrembed.scoring.encoders import open_encoder
from indexes import small_index, space

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from hrembed.records.index import BridgeUse

CANDIDATES = {
    "c1": "Cleans wounds and dresses them on the ward. Speaks German and English. Likes long walks.",
    "c2": "Gives medicine and checks blood pressure on the ward. Ten years of night shifts. Mail: jane.doe@example.org",
    "c3": "Repairs brakes and engines of cars. Welds frames. Holds a driving licence for lorries.",
    "c4": "Changes tyres and oil of cars. Sells spare parts. Writes invoices.",
    "c5": "Bakes bread before sunrise. Orders flour and yeast. Cleans ovens.",
    "c6": "Shapes pastry and decorates cakes. Trains apprentices. Plans the week.",
    "c7": "Assists surgeons in theatre. Sterilises instruments. Documents care.",
    "c8": "Drives buses in the city. Sells tickets. Helps passengers.",
}
COUNTRY = dict(zip(CANDIDATES, ["DE", "AT", "DE", "FR", "DE", "AT", "DE", "FR"], strict=True))
YEARS = dict(zip(CANDIDATES, [3, 10, 7, 1, 12, 4, 6, 2], strict=True))
COLUMNS: Mapping[str, Sequence[Any]] = {"country": [*COUNTRY.values()], "years": [*YEARS.values()]}


def text_index(
    folder: Path,
    texts: Mapping[str, str] = CANDIDATES,
    columns: Mapping[str, Sequence[Any]] = COLUMNS,
    *,
    model: Mapping[str, Any] | None = None,
    keep_text: bool = True,
    bridges: tuple[BridgeUse, ...] = (),
    backend: str = "exact",
    anonymised: bool = False,
) -> Path:
    """Write an index of texts, encoded here."""
    section = ModelSection.model_validate(model or {"ref": "wordllama"})
    encoder = open_encoder(section, Workspace(folder.parent))
    vectors = encoder.vectors([*texts.values()], "document")
    types = {int: "int64", str: "string", list: "strings", bool: "bool", float: "double"}
    kept = {name: types[type(values[0])] for name, values in columns.items()}
    if keep_text:
        columns, kept = {**columns, "text": [*texts.values()]}, {**kept, "text": "string"}
    whose = space(vectors.shape[1], model=section.model_dump(mode="json"), identity=encoder.identity)
    whose = whose.model_copy(update={"anonymised": anonymised})
    small_index(folder, [*texts], vectors, kept, columns, space=whose, bridges=bridges, backend=backend)
    return folder
