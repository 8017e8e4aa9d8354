"""People in what `match` kept: the lists of its runs, which name candidates by their ids."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

from hrembed.files import files_below, remove_parts, sha256, write_json, write_text, writing
from hrembed.records.base import as_json
from hrembed.runs.past import past_runs

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hrembed.runs.past import PastRun

_COMMANDS = ("match",)
_AS_RUN = {"manifest.json", "config.yaml", "log.txt"}


def kept_files(root: Path) -> list[tuple[PastRun, Path]]:
    """Files that runs of `match` wrote, with their runs."""
    return [(run, file) for run in _runs(root) for file in _tables_of(run)]


def _runs(root: Path) -> list[PastRun]:
    return [run for command in _COMMANDS for run in past_runs(root, command) if not run.damaged]


def traces_in_results(root: Path, gone: set[str]) -> int:
    """Count entries of kept results that name one of some ids."""
    return sum(_cleaned(file, gone)[1] for _, file in kept_files(root))


def runs_that_name(root: Path, gone: set[str]) -> list[str]:
    """Names of other runs on an index whose tables name one of some ids: their numbers depend on every row."""
    runs = [run for command in ("eval", "bias-audit") for run in past_runs(root, command) if not run.damaged]
    return [run.name for run in runs if _is_of_index(run) and any(_cleaned(file, gone)[1] for file in _tables_of(run))]


def _is_of_index(run: PastRun) -> bool:
    config = run.path / "config.yaml"
    return config.is_file() and "index:" in config.read_text(encoding="utf-8")


def _tables_of(run: PastRun) -> list[Path]:
    return [file for file in files_below(run.path) if file.name not in _AS_RUN]


def forget_results(root: Path, gone: set[str]) -> dict[str, str]:
    """Take entries out of kept results, and bring the hashes of their runs up to date.

    Pages are removed: they are made of the other files.

    Args:
        root: Folder of all runs.
        gone: Ids.

    Returns:
        Path of each file that was written again, below the folder of runs -> its SHA-256; empty for one that is gone.

    Raises:
        HrembedError: A file cannot be written.
    """
    for run in _runs(root):
        if run.manifest.status != "started":
            remove_parts(run.path)  # what was killed here before its end may name the person as well
    written: dict[str, str] = {}
    for run, file in kept_files(root):
        write, found = _cleaned(file, gone)
        if not found:
            continue
        write()
        digest = sha256(file) if file.exists() else ""
        written[file.relative_to(root).as_posix()] = digest
        name = file.relative_to(run.path).as_posix()
        outputs = {each: hashed for each, hashed in run.manifest.outputs.items() if each != name}
        run.manifest.outputs = outputs | ({name: digest} if digest else {})
        write_json(run.path / "manifest.json", as_json(run.manifest))
    return written


def _cleaned(file: Path, gone: set[str]) -> tuple[Callable[[], None], int]:
    """How a file is written without some ids, and how many entries that takes out."""
    kinds = {".json": _json, ".jsonl": _jsonl, ".csv": _csv, ".parquet": _parquet}
    return kinds.get(file.suffix, _other)(file, gone)


def _json(file: Path, gone: set[str]) -> tuple[Callable[[], None], int]:
    content, found = _without(json.loads(file.read_text(encoding="utf-8")), gone)
    return lambda: write_text(file, json.dumps(content, indent=2, ensure_ascii=False) + "\n"), found


def _jsonl(file: Path, gone: set[str]) -> tuple[Callable[[], None], int]:
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    kept, found = _without(lines, gone)
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in kept)
    return lambda: write_text(file, text), found


def _csv(file: Path, gone: set[str]) -> tuple[Callable[[], None], int]:
    rows = list(csv.reader(io.StringIO(file.read_text(encoding="utf-8"))))
    # `match` writes an apostrophe before a cell that a spreadsheet would take for a formula.
    kept = [row for row in rows if not gone.intersection([*row, *(cell.removeprefix("'") for cell in row)])]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(kept)
    return lambda: write_text(file, text.getvalue()), len(rows) - len(kept)


def _parquet(file: Path, gone: set[str]) -> tuple[Callable[[], None], int]:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    with file.open("rb") as stream:
        table = pq.read_table(stream)
    named = np.zeros(table.num_rows, dtype=bool)
    for column in table.columns:
        if pa.types.is_string(column.type):
            named |= pc.fill_null(pc.is_in(column, value_set=pa.array(sorted(gone))), False).to_numpy()

    def write() -> None:
        with writing(file) as part, part.open("wb") as stream:
            pq.write_table(table.filter(pa.array(~named)), stream)

    return write, int(named.sum())


def _other(file: Path, gone: set[str]) -> tuple[Callable[[], None], int]:
    text = file.read_bytes()
    found = sum(text.count(each.encode()) for each in gone) if file.suffix in {".html", ".md", ".txt", ".trec"} else 0
    return file.unlink, found


def _without(content: Any, gone: set[str]) -> tuple[Any, int]:
    """Take out what names an id: an entry of a list whose own fields name it, a key, a plain text of a list."""
    if isinstance(content, list):
        kept = [each for each in content if not _names(each, gone)]
        cleaned = [_without(each, gone) for each in kept]
        return [each for each, _ in cleaned], len(content) - len(kept) + sum(found for _, found in cleaned)
    if isinstance(content, dict):
        cleaned_of = {key: _without(each, gone) for key, each in content.items() if key not in gone}
        found = len(content) - len(cleaned_of) + sum(count for _, count in cleaned_of.values())
        return {key: each for key, (each, _) in cleaned_of.items()}, found
    return ("", 1) if isinstance(content, str) and content in gone else (content, 0)


def _names(entry: Any, gone: set[str]) -> bool:
    if isinstance(entry, dict):
        return any(isinstance(each, str) and each in gone for each in entry.values())
    return isinstance(entry, str) and entry in gone
