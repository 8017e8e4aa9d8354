"""Datasets of the Hugging Face Hub as streams of rows."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hrembed.data.cells import Row
from hrembed.data.columns import Names, with_names
from hrembed.data.layout import AS_USUAL
from hrembed.data.slices import Numbered
from hrembed.errors import DataError, HrembedError, raised_here

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hrembed.data.layout import Form
    from hrembed.data.slices import Place, Sliced, Wanted

_TIMEOUT_SECONDS = 30


def hub_rows(
    name: str, wanted: Sequence[str], form: Form = AS_USUAL, *, subset: str | None, split: str
) -> Iterator[Row]:
    """Stream a dataset of the Hugging Face Hub; nothing is stored.

    Args:
        name: `ORG/NAME`, with `@REVISION` where one is meant.
        wanted: Columns that must be there.
        form: Names of columns.
        subset: Configuration of the dataset; None for its only one.
        split: Which split.

    Raises:
        DataError: It cannot be reached, or has no such split or column.
    """
    from datasets import load_dataset

    name, _, revision = name.partition("@")
    with _explained(name):
        _ask(name, revision or None)
        rows = load_dataset(name, subset, split=split, streaming=True, revision=revision or None)
        for number, values in enumerate(rows, start=1):
            if number == 1:
                names = Names(f"hf:{name}", wanted, form.columns, {})
                renamed = names.need(list(values), f"hf:{name}")
            yield with_names(Row(number, values), renamed) if renamed else Row(number, values)


def open_hub(name: str, wanted: Wanted, *, subset: str | None, split: str) -> Sliced:
    """Open a dataset of the Hub for slices: it is downloaded into the cache of the Hub, where rows are found by place.

    Args:
        name: As in `hub_rows`.
        wanted: Which columns are read.
        subset: Configuration of the dataset; None for its only one.
        split: Which split.

    Raises:
        DataError: As `hub_rows`.
    """
    name, _, revision = name.partition("@")
    kept: list[Any] = []

    def read(place: Place) -> Iterator[Row]:
        from datasets import load_dataset

        with _explained(name):
            if not kept:
                _ask(name, revision or None)
                kept.append(load_dataset(name, subset, split=split, revision=revision or None))
            (table,) = kept
            names = Names(f"hf:{name}", wanted.columns, wanted.form.columns, wanted.known_as)
            renamed = names.need(table.column_names, f"hf:{name}")
            for number in range(place.first, len(table)):
                row = Row(number + 1, table[number])
                yield with_names(row, renamed) if renamed else row

    return Numbered(f"hf:{name}", "hub", read, wanted.used)


@contextmanager
def _explained(name: str) -> Iterator[None]:
    """Turn what the libraries of the Hub may raise into one message."""
    try:
        yield
    except HrembedError:
        raise
    except Exception as err:  # each library below `datasets` has its own
        if raised_here(err):
            raise
        raise DataError(
            (f"cannot read dataset 'hf:{name}': {str(err).splitlines()[0] if str(err) else type(err).__name__}"),
            hint="check the network connection and the name (`hf:ORG/NAME`), or pass a downloaded file",
        ) from None


def _ask(name: str, revision: str | None) -> None:
    """Ask for a dataset once; `load_dataset` asks a Hub that cannot be reached for half a minute."""
    from huggingface_hub import HfApi, is_offline_mode

    if not Path(name).exists() and not is_offline_mode():
        HfApi().dataset_info(name, revision=revision, timeout=_TIMEOUT_SECONDS)
