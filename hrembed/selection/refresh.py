"""The public results: mteb's published file, read model by model into a table that fits in memory."""

from __future__ import annotations

import gzip
import json
import zlib
from typing import TYPE_CHECKING, Any

from hrembed.errors import DataError
from hrembed.files import parquet_sink
from hrembed.selection.read_scores import COLUMNS, OPTIONAL, result_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_TABLE = "hrembed_scores.parquet"
_PUBLISHED = "__cached_results.json"
_CHUNK = 2**20


def published_file() -> Path:
    """Where the file lies in mteb's own cache (`MTEB_CACHE`, or `~/.cache/mteb`), compressed as it is published."""
    import mteb

    folder: Path = mteb.ResultCache().leaderboard_parquet_path.parent
    return folder / f"{_PUBLISHED}.gz"


def refreshed_scores() -> Path | None:
    """The table that the last refresh left; None before the first one."""
    table = published_file().with_name(_TABLE)
    return table if table.is_file() else None


def write_scores(published: Path, advance: Callable[[int, str], None]) -> Path:
    """Read the published file, 0.7 GB of JSON, and write its scores as a table beside it, whole or not at all.

    Args:
        published: Gzip of what mteb's `BenchmarkResults.to_disk` writes.
        advance: Receives one step and the name for each model.

    Returns:
        The table.

    Raises:
        DataError: It is not what mteb publishes.
        HrembedError: The table cannot be written.
    """
    table = published.with_name(_TABLE)
    types = dict.fromkeys((*COLUMNS, OPTIONAL), "string") | {"main_score": "float64"}
    models = 0
    try:
        with parquet_sink(table, types) as add:
            for result in _models(published):
                name, revision = result["model_name"], result["model_revision"] or ""
                for task in result["task_results"]:
                    for row in result_rows(task, name, revision, result.get("experiment_name") or "", ""):
                        values = {**row._asdict(), "main_score": row.score, "mteb_version": row.version}
                        add({column: values[column] for column in types})
                models += 1
                advance(1, name)
            if not models:
                raise ValueError("it contains no models")
    except (ValueError, KeyError, TypeError, AttributeError, EOFError, zlib.error, gzip.BadGzipFile) as err:
        raise DataError(
            f"'{published}' does not have the format published by mteb: {type(err).__name__} {err}",
            hint="delete it and run `hrembed select --refresh` again",
        ) from None
    return table


def _models(published: Path) -> Iterator[dict[str, Any]]:
    """Yield the objects in mteb's list `model_results`, one in memory at a time."""
    decoder = json.JSONDecoder()
    with gzip.open(published, "rt", encoding="utf-8") as stream:
        text = stream.read(_CHUNK)
        opened = text.find("[")
        if '"model_results"' not in text[: max(opened, 0)]:
            raise ValueError("it does not start with `model_results`")
        text = text[opened + 1 :]
        wanted = _CHUNK
        while True:
            text = text.lstrip(" \r\n\t,")
            if text.startswith("]"):
                return
            try:
                result, end = decoder.raw_decode(text)
            except json.JSONDecodeError:
                chunk = stream.read(wanted)
                if not chunk:
                    raise
                text += chunk
                wanted *= 2  # so that a large object is not parsed again for each of its chunks
                continue
            yield result
            text, wanted = text[end:], _CHUNK
