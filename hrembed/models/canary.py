"""Vectors of fixed texts by which a model that was changed behind its name is seen.

The name of a model at an endpoint says nothing of its weights. Eight texts are therefore embedded when an endpoint is
used for the first time, kept in the cache folder, and embedded again whenever it is used.
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hrembed.errors import ModelError
from hrembed.files import cannot_write, writing
from hrembed.models.dense import unit_rows

if TYPE_CHECKING:
    from pathlib import Path

    from hrembed.models.endpoint import Ask
    from hrembed.progress import Progress
    from hrembed.types import Floats

# Never to be changed: what is kept would then be compared with the vectors of other texts.
CANARY_TEXTS = (
    "Registered nurse, intensive care, night shifts",
    "Backs up databases, tunes slow queries and writes runbooks for the on-call team.",
    "Schweißer für Edelstahl, Wechselschicht",
    "Enseignante de mathématiques au collège",
    "Бухгалтер, знание МСФО",
    "看護師、訪問介護",
    "forklift licence",
    "Led a team of nine, cut the time to hire from 41 to 27 days, and trained recruiters in structured interviews.",
)
_KEYS = {"fingerprint", "made"}


class ChangedError(ModelError):
    """An endpoint gives other vectors than before."""


class Kept(NamedTuple):
    """What an endpoint gave when it was first used, or when a change was accepted.

    Attributes:
        vectors: Unit rows of `CANARY_TEXTS`.
        fingerprint: Becomes a part of the identity of the model.
        made: Day.
    """

    vectors: Floats
    fingerprint: str
    made: str


class Canary:
    """Compares an endpoint with what it gave before.

    Args:
        folder: Where vectors are kept, one small file for each endpoint and name.
        url: Address of the endpoint.
        name: Name of the model there.
        min_cosine: Lowest cosine of a text's vector to the one that is kept.
        accepting: The command that keeps what the endpoint gives now.
        progress: Receives notes.
    """

    def __init__(
        self, folder: Path, url: str, name: str, *, min_cosine: float, accepting: str, progress: Progress
    ) -> None:
        self._url, self._name = url, name
        self.accepting = accepting
        self._min_cosine, self._progress = min_cosine, progress
        self.file = folder / f"{hashlib.sha256(json.dumps([url, name]).encode()).hexdigest()[:32]}.safetensors"
        self._compared = False

    def fingerprint(self, ask: Ask) -> str:
        """Return what stands for the model in its identity, and compare the endpoint once, where it answers.

        Where it does not, and vectors were kept before, there is a note and no error: nothing can be embedded then,
        and what is in the cache belongs to what is kept.

        Raises:
            ModelError: The model has changed; or nothing is kept, and the endpoint does not answer.
        """
        kept = self.kept()
        if kept is not None and not self._compared:
            try:
                self._compare(kept, ask(CANARY_TEXTS, attempts=1))
            except ChangedError:
                raise
            except ModelError as err:
                which = f"'{self._name}' at {self._url}"
                self._progress.note(f"warning: could not check whether the model {which} has changed: {err}")
        return (kept or self._first(ask)).fingerprint

    def check(self, ask: Ask) -> None:
        """Compare the endpoint, unless that was done, before anything is embedded.

        Raises:
            ModelError: The model has changed, or the endpoint does not answer.
        """
        if not self._compared:
            kept = self.kept()
            if kept is None:
                self._first(ask)
            else:
                self._compare(kept, ask(CANARY_TEXTS))

    def _first(self, ask: Ask) -> Kept:
        """Keep the first vectors, or compare with those that another process kept meanwhile."""
        found = ask(CANARY_TEXTS)
        kept = self.keep(found, replace=False)
        self._compare(kept, found)
        return kept

    def keep(self, vectors: Floats, *, replace: bool) -> Kept:
        """Keep what the endpoint gives now; a change gives its model another identity, and none leaves it as it was.

        Args:
            vectors: Of `CANARY_TEXTS`.
            replace: Whether what is kept already makes way where it differs.

        Raises:
            HrembedError: The file cannot be written.
        """
        from filelock import FileLock
        from safetensors.numpy import save_file

        rows = unit_rows(vectors)
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(self.file.with_suffix(".lock")):
                before = self.kept()
                if before is not None and (not replace or lowest_cosine(before.vectors, rows) >= self._min_cosine):
                    return before
                fingerprint = sketch(rows)
                if before is not None and before.fingerprint == fingerprint:
                    fingerprint = hashlib.sha256(rows.tobytes()).hexdigest()
                kept = Kept(rows, fingerprint, datetime.now(UTC).date().isoformat())
                with writing(self.file) as part:
                    save_file({"vectors": rows}, part, metadata={"fingerprint": kept.fingerprint, "made": kept.made})
                return kept
        except OSError as err:
            raise cannot_write(self.file, err) from err

    def kept(self) -> Kept | None:
        """Read what is kept; None where nothing is, or the file is damaged."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(self.file, framework="np") as stream:
                rows, metadata = stream.get_tensor("vectors"), stream.metadata() or {}
        except (SafetensorError, OSError):
            return None
        whole = rows.ndim == 2 and len(rows) == len(CANARY_TEXTS) and metadata.keys() >= _KEYS
        return Kept(rows, metadata["fingerprint"], metadata["made"]) if whole and np.isfinite(rows).all() else None

    def _compare(self, kept: Kept, found: Floats) -> None:
        lowest = lowest_cosine(kept.vectors, unit_rows(found))
        if lowest < self._min_cosine:
            what = (
                f"the lowest cosine of {len(CANARY_TEXTS)} fixed texts is {lowest:.4f} (limit {self._min_cosine:g})"
                if found.shape == kept.vectors.shape
                else f"its vectors have {found.shape[1]} numbers, before {kept.vectors.shape[1]}"
            )
            raise ChangedError(
                f"the model behind '{self._name}' at {self._url} has changed since {kept.made}: {what}",
                hint=f"`{self.accepting}` accepts it as another model, for which nothing in the cache is used; an "
                "endpoint that is only inexact needs a lower `endpoint.canary`",
            )
        self._compared = True


def lowest_cosine(first: Floats, second: Floats) -> float:
    """Lowest cosine of two rows at the same place; -1 where they are not equally long."""
    return float((first * second).sum(axis=1).min()) if first.shape == second.shape else -1.0


def sketch(rows: Floats) -> str:
    """Name a model by the place at which each text stands out most from the mean of all.

    The last digits of a vector differ between requests and machines; they must not make another model of the same one,
    and hardly ever decide which number of a vector is the largest. Two models that are told apart by `lowest_cosine`
    alone may share a sketch; `Canary.keep` then names the newer one by its very numbers.
    """
    places = np.abs(rows - rows.mean(axis=0)).argmax(axis=1)
    return hashlib.sha256(json.dumps([rows.shape[1], places.tolist()]).encode()).hexdigest()
