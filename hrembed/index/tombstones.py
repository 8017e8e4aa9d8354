"""Who was forgotten: hashes of ids, so that an old export brings nobody back and no id stands in a file."""

from __future__ import annotations

import hashlib
import json
import secrets
from typing import TYPE_CHECKING

from hrembed.errors import DataError
from hrembed.files import write_json

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

FILE = "tombstones.json"


class Tombstones:
    """Hashes of the ids of forgotten documents.

    The salt keeps hashes of two indexes from being compared; whoever has the file can still test whether an id that
    they know is in it. That is its purpose.

    Args:
        folder: The index.

    Raises:
        DataError: The file is damaged: without it, forgotten people would come back.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / FILE
        try:
            content = json.loads(self._file.read_text(encoding="utf-8"))
            self._salt, self._hashes = bytes.fromhex(content["salt"]), set(content["ids"])
        except FileNotFoundError:
            self._salt, self._hashes = secrets.token_bytes(16), set[str]()
        except (OSError, ValueError, KeyError, TypeError) as err:
            raise DataError(
                f"'{self._file}' cannot be read: {str(err)[:80]}",
                hint="restore it from a backup; it keeps forgotten people out",
            ) from None

    def __len__(self) -> int:
        return len(self._hashes)

    def __contains__(self, document: str) -> bool:
        return bool(self._hashes) and self.hash(document) in self._hashes

    def hash(self, document: str) -> str:
        """What stands in the file in place of an id."""
        return hashlib.blake2b(document.encode("utf-8", "surrogatepass"), digest_size=16, key=self._salt).hexdigest()

    def add(self, documents: Iterable[str]) -> None:
        """Remember ids, at once and on disk.

        Raises:
            HrembedError: The file cannot be written.
        """
        self._hashes |= {self.hash(document) for document in documents}
        write_json(self._file, {"salt": self._salt.hex(), "ids": sorted(self._hashes)})
