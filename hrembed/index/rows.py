"""What both kinds of index say about rows that are not there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hrembed.errors import DataError
from hrembed.text import counted, printable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def missing_rows(folder: Path, ids: Sequence[str]) -> DataError:
    """Say which ids an index does not hold."""
    return DataError(
        f"index '{folder}' does not hold {counted(len(ids), 'id')}, for example '{printable(ids[0][:60])}'",
        hint="ids are those of the encoded table; whoever was forgotten is no longer in the index",
    )


def no_texts(folder: Path) -> DataError:
    """Say that words cannot be searched."""
    return DataError(
        f"index '{folder}' holds no texts, so words cannot be searched",
        hint="keep them (`encode` with `--keep text`, then `index build`), or search without BM25",
    )


def unreadable(place: Path, err: Exception) -> DataError:
    """Say that files of an index cannot be read, which also happens where a writer has just replaced them."""
    return DataError(
        f"'{place}' cannot be read: {str(err).splitlines()[0][:120] if str(err) else type(err).__name__}",
        hint="repeat the command, since an update may have replaced it; otherwise build the index again",
    )
