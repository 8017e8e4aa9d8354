"""Writing files whole or not at all, and naming them by their content."""

from __future__ import annotations

import difflib
import errno
import hashlib
import json
import math
import os
import shutil
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from hrembed.errors import HrembedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import numpy as np
    import numpy.typing as npt

    from hrembed.types import Bools

    Cell = str | int | float | Sequence[str] | None
    """A value of a table that is written row by row."""
    Column = Sequence[object] | npt.NDArray[np.generic]
    """Values of one kind, as Parquet takes them: numbers, texts, or lists of these."""


_ROWS_PER_BATCH = 20_000
_NAMES_LOOKED_AT = 5_000  # of a folder, for the closest one: more would make an error wait


def user_path(text: str) -> Path:
    """Return a path as the user wrote it, `~` and `~NAME` replaced; that of an unknown user stays as it is."""
    return Path(os.path.expanduser(text))  # noqa: PTH111 - `Path.expanduser` raises for an unknown user


def exists(path: Path) -> bool:
    """Whether something is there; nothing is where a path is too long or no path at all."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def instead_of(path: Path) -> str:
    """Say what to look at where nothing is: a path of a close name, or the folder that lacks it.

    Args:
        path: As the user wrote it.

    Returns:
        A hint; empty where what stands above it is a file, or cannot be looked into.
    """
    missing, above = path, path.parent
    while not exists(above) and above != above.parent:
        missing, above = above, above.parent
    try:
        beside = [inner.name for inner in islice(above.iterdir(), _NAMES_LOOKED_AT)]
    except (OSError, ValueError):
        return ""
    for name in difflib.get_close_matches(missing.name, beside, cutoff=0.8):
        if exists(close := above / name / path.relative_to(missing)):
            return f"did you mean '{close}'?"
    if path.is_absolute() or str(above) != ".":
        return f"there is no '{missing.name}' in '{above}'"
    return f"there is no '{missing.name}' in the current directory"


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path` that replaces it when the block ends well.

    A file or a folder may be written there. When the block fails, what was written is removed and
    whatever `path` held before is still there. What a killed process left at the temporary path is removed first.

    Raises:
        HrembedError: The system refuses (full disk, no permission); the message names the path.
    """
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove(part)
        yield part
        if path.is_dir():
            shutil.rmtree(path)
        part.replace(path)
    except BaseException as err:
        _remove(part)
        if isinstance(err, OSError):
            raise cannot_write(path, err) from err
        raise


def cannot_write(path: Path, err: OSError) -> HrembedError:
    """Phrase a refusal of the operating system for the user."""
    full = err.errno in {errno.ENOSPC, errno.EDQUOT, None}
    other = "use another folder: `--out`, or `--runs-dir` for runs"
    return HrembedError(
        f"cannot write '{path}': {err.strerror or err}", hint=f"free up disk space, or {other}" if full else other
    )


def remove_parts(folder: Path) -> None:
    """Remove what a killed process was `writing` anywhere in a folder that nobody else writes to."""
    for part in list(folder.rglob("*.part")):
        _remove(part)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically.

    Raises:
        HrembedError: The file cannot be written.
    """
    with writing(path) as part, part.open("w", encoding="utf-8", newline="\n") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())


def write_json(path: Path, content: object) -> None:
    """Write JSON with sorted keys and two spaces; NaN and infinities become null.

    Args:
        path: The file.
        content: Mappings, lists, texts and numbers, also NumPy's; paths are written as texts.

    Raises:
        HrembedError: The file cannot be written.
    """
    write_text(path, json_text(content) + "\n")


_LONGEST = 120  # bytes; file systems take 255, and endings and parts of other names are added


def file_name(name: str) -> str:
    """Make a name of a model or task fit for a file and a TREC tag; a long one is cut, and ends in its hash."""
    safe = "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in name)
    if not safe.strip("."):  # no name, or one of the folders `.` and `..`
        safe = safe.replace(".", "-") or "-"
    if len(safe.encode()) <= _LONGEST:
        return safe
    return f"{safe.encode()[:_LONGEST].decode(errors='ignore')}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def json_text(content: object, *, sort_keys: bool = True) -> str:
    """Write content as the project's JSON: two spaces, undefined numbers as null; records keep the order of fields."""
    return json.dumps(_plain(content), sort_keys=sort_keys, indent=2, ensure_ascii=False, allow_nan=False)


def write_jsonl(path: Path, rows: Sequence[Mapping[str, Cell]]) -> None:
    """Write one JSON object a line, keys in the order given.

    Raises:
        HrembedError: The file cannot be written.
    """
    write_text(path, "".join(json.dumps(_plain(row), ensure_ascii=False) + "\n" for row in rows))


def write_parquet(path: Path, columns: Mapping[str, Column]) -> None:
    """Write a table of equally long columns.

    Raises:
        HrembedError: The file cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    # pyarrow has its own idea of a path, in which `~` is the home folder: it gets a stream.
    with writing(path) as part, part.open("wb") as stream:
        pq.write_table(pa.table(dict(columns)), stream)


@contextmanager
def parquet_sink(path: Path, columns: Mapping[str, str]) -> Iterator[Callable[[Mapping[str, Cell]], None]]:
    """Write a table row by row, in memory that does not grow with its length.

    Args:
        path: The file; it appears when the block ends well.
        columns: Name to Arrow type, for example `string`; `strings` is a list of them.

    Yields:
        A function that takes the next row.

    Raises:
        HrembedError: The file cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {
        name: pa.list_(pa.string()) if kind == "strings" else getattr(pa, kind)() for name, kind in columns.items()
    }
    schema = pa.schema(list(types.items()))
    waiting: list[Mapping[str, Cell]] = []
    with writing(path) as part, pq.ParquetWriter(part, schema, compression="zstd") as writer:

        def add(row: Mapping[str, Cell]) -> None:
            waiting.append(row)
            if len(waiting) == _ROWS_PER_BATCH:
                flush()

        def flush() -> None:
            writer.write_table(pa.table({name: [row[name] for row in waiting] for name in columns}, schema=schema))
            waiting.clear()

        yield add
        flush()


def filter_parquet(source: Path, target: Path, keep: Bools, without: Sequence[str] = ()) -> None:
    """Copy the rows of a Parquet file for which `keep`, shape (rows,), is true; the file is only moved when all are.

    Args:
        source: The file.
        target: Where the copy goes.
        keep: Which rows are copied.
        without: Columns that are not copied.

    Raises:
        HrembedError: The file cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    with writing(target) as part:
        if keep.all() and not without:
            source.replace(part)
            return
        file = pq.ParquetFile(source)
        start = 0
        columns = [name for name in file.schema_arrow.names if name not in without]
        schema = pa.schema([file.schema_arrow.field(name) for name in columns])
        with pq.ParquetWriter(part, schema, compression="zstd") as writer:
            for batch in file.iter_batches(_ROWS_PER_BATCH, columns=columns):
                chosen = batch.filter(pa.array(keep[start : start + batch.num_rows]))
                writer.write_batch(chosen)
                start += batch.num_rows


def sha256(path: Path) -> str:
    """SHA-256 of a file; of a folder, over the names and hashes of all `files_below` it."""
    if not path.is_dir():
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    lines = [f"{item.relative_to(path).as_posix()} {sha256(item)}" for item in files_below(path)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def files_below(folder: Path) -> list[Path]:
    """List all files that whoever reads a folder can reach, sorted by path, also those behind symbolic links.

    A link back to a folder that leads to it is not entered, since it holds nothing new. Files in which desktops keep
    how they show a folder are left out: no reader opens them.
    """
    return sorted(_walk(folder, ()))


def _walk(folder: Path, above: tuple[Path, ...]) -> Iterator[Path]:
    real = folder.resolve()
    if real in above:
        return
    for item in folder.iterdir():
        if item.is_dir():
            yield from _walk(item, (*above, real))
        elif item.is_file() and item.name not in _OF_DESKTOPS:
            yield item


_OF_DESKTOPS = {".DS_Store", "Thumbs.db", "desktop.ini"}


def _plain(value: object) -> object:
    """Turn NumPy scalars, tuples and paths into what JSON knows."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Path):
        return value.as_posix()
    if hasattr(value, "item") and getattr(value, "ndim", 1) == 0:
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
