"""Opening an index: the only way in for whoever searches it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Protocol

from hrembed.errors import ConfigError, DataError
from hrembed.records.base import SCHEMA, validated
from hrembed.records.index import IndexManifest
from hrembed.registry import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from hrembed.files import Cell
    from hrembed.index.conditions import Condition
    from hrembed.index.ranking import Block, Hits
    from hrembed.records.index import Generation
    from hrembed.types import Floats

FILE = "index.json"


class Index(Protocol):
    """Documents that can be searched by vector, by word and by condition.

    Attributes:
        folder: Where it lies.
        manifest: What `index.json` says.
        generation: The generation that is searched.
    """

    folder: Path
    manifest: IndexManifest
    generation: Generation

    def search(self, queries: Floats, k: int, where: Sequence[Condition] = ()) -> list[Hits]:
        """Find for each query the k documents of highest cosine that meet all conditions.

        Raises:
            ModelError: A query has other dimensions, or is not finite.
        """
        ...

    def exact(self, queries: Floats, k: int, where: Sequence[Condition] = ()) -> list[Hits]:
        """The same by comparing all documents, for many queries at once and as the truth of a measurement."""
        ...

    def rows(self, ids: Sequence[str], columns: Sequence[str]) -> list[Mapping[str, Cell]]:
        """Kept columns of some documents, in the order asked for.

        Raises:
            DataError: An id is not in the index.
        """
        ...

    def vectors(self, ids: Sequence[str]) -> Floats:
        """Vectors of some documents, shape (n, dim), in the order asked for.

        Raises:
            DataError: An id is not in the index.
        """
        ...

    def lexical(self, text: str, k: int, where: Sequence[Condition] = ()) -> list[tuple[str, float]]:
        """Find the k documents of highest BM25 score that share a word with a text and meet all conditions.

        Raises:
            DataError: The texts are not in the index.
        """
        ...

    def count(self, where: Sequence[Condition] = ()) -> int:
        """Count the documents that meet all conditions."""
        ...

    def ids(self, where: Sequence[Condition] = ()) -> list[str]:
        """Ids of the documents that meet all conditions, in the order of their hashes."""
        ...

    def blocks(self, where: Sequence[Condition] = ()) -> Iterator[Block]:
        """Ids and vectors of all documents that meet all conditions, some at a time."""
        ...

    def columns(self, names: Sequence[str]) -> Any:
        """Columns of all rows as an Arrow table: `id`, `text_hash`, `row_hash` or kept ones."""
        ...

    def batches(self, schema: Any) -> Iterator[Any]:
        """All rows with their vectors, as record batches of a schema."""
        ...


def read_manifest(folder: Path) -> IndexManifest:
    """Read what an index says of itself.

    Raises:
        DataError: The folder is no index, or is damaged, or was written with another schema.
    """
    file = folder / FILE
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(
            f"'{folder}' is not an index: it has no `{FILE}`", hint="build one with `index build`"
        ) from None
    except (OSError, ValueError, RecursionError) as err:
        raise DataError(f"'{file}' cannot be read: {str(err)[:120]}", hint="build the index again") from None
    number = content.get("schema") if isinstance(content, dict) else None
    if number != SCHEMA:
        raise DataError(
            f"'{file}' has schema {number}; this version of hrembed reads schema {SCHEMA}", hint="build the index again"
        )
    return validated(IndexManifest, content, f"'{file}' does not have the format of an index")


def open_index(folder: Path, generation: str | None = None) -> Index:
    """Open an index to search it.

    Args:
        folder: The index.
        generation: Name of one of its generations; None for the current one.

    Raises:
        DataError: The folder is no index, or is damaged.
        ModelError: What reads it is not installed.
        ConfigError: It has no such generation.
    """
    manifest = read_manifest(folder)
    chosen = generation_of(manifest, folder, generation)
    if not (folder / chosen.folder).is_dir():
        raise DataError(
            f"index '{folder}' lacks the folder '{chosen.folder}' that `{FILE}` names",
            hint="restore it from a backup, or build the index again",
        )
    return open_generation(folder, manifest, chosen)


def open_generation(folder: Path, manifest: IndexManifest, generation: Generation) -> Index:
    """Open the rows of a generation.

    Raises:
        DataError: They are damaged.
        ModelError: What reads them is not installed.
    """
    if generation.backend == "exact":
        from hrembed.index.exact import ExactIndex

        return ExactIndex(folder, manifest, generation)
    from hrembed.index.lance import LanceIndex

    return LanceIndex(folder, manifest, generation)


def generation_of(manifest: IndexManifest, folder: Path, name: str | None) -> Generation:
    """Find a generation by its name; None is the current one.

    Raises:
        ConfigError: There is none of that name.
    """
    known = [each.name for each in manifest.generations]
    wanted = name or manifest.current
    if wanted not in known:
        raise ConfigError(
            f"index '{folder}' has no generation '{wanted}'{nearest(wanted, known)}", hint=f"known: {', '.join(known)}"
        )
    return manifest.of(wanted)
