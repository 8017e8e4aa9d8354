"""Datasets of the Hugging Face Hub as streams of rows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hrembed.data.cells import Row, require_columns
from hrembed.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_TIMEOUT_SECONDS = 30


def hub_rows(name: str, wanted: Sequence[str], *, subset: str | None, split: str) -> Iterator[Row]:
    """Stream a dataset of the Hugging Face Hub; nothing is stored.

    Args:
        name: `ORG/NAME`, with `@REVISION` where one is meant.
        wanted: Columns that must be there.
        subset: Configuration of the dataset; None for its only one.
        split: Which split.

    Raises:
        DataError: It cannot be reached, or has no such split or column.
    """
    from datasets import load_dataset

    name, _, revision = name.partition("@")
    try:
        _ask(name, revision or None)
        rows = load_dataset(name, subset, split=split, streaming=True, revision=revision or None)
        for number, values in enumerate(rows, start=1):
            if number == 1:
                require_columns(f"hf:{name}", list(values), wanted)
            yield Row(number, values)
    except DataError:
        raise
    except Exception as err:  # each library below `datasets` has its own
        raise DataError(
            f"dataset 'hf:{name}' cannot be read: {str(err).splitlines()[0] if str(err) else type(err).__name__}",
            hint="is there a network, and is the name `hf:ORG/NAME`? a downloaded file works too",
        ) from None


def _ask(name: str, revision: str | None) -> None:
    """Ask for a dataset once; `load_dataset` asks a Hub that cannot be reached for half a minute."""
    from huggingface_hub import HfApi, is_offline_mode

    if not Path(name).exists() and not is_offline_mode():
        HfApi().dataset_info(name, revision=revision, timeout=_TIMEOUT_SECONDS)
