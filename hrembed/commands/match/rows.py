"""The list as rows: for tables on disk, a spreadsheet and the terminal."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

import numpy as np

from hrembed.data.personal import CANNOT_SEE
from hrembed.files import json_text, write_jsonl, write_parquet, write_text
from hrembed.records.base import as_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from hrembed.files import Cell, Column
    from hrembed.records.match import Candidate, Exposure, MatchRecord, Reasons

SCORES = ("cosine", "bm25", "fused", "rescored", "cross_encoder")
_SEPARATOR = "\n"
# A spreadsheet takes a text that begins so for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def flat(candidate: Candidate) -> dict[str, Cell]:
    """Every score and rank of a candidate, its columns, and its reasons as texts; what nobody has is left out later."""
    row: dict[str, Cell] = {"rank": candidate.rank, "id": candidate.id}
    for score in SCORES:
        value = getattr(candidate, score)
        row[score] = None if np.isnan(value) else value
        row[f"{score}_rank"] = getattr(candidate, f"{score}_rank")
    row["original_rank"] = candidate.original_rank
    for name, value in candidate.columns.items():
        row[f"column: {name}"] = list(value) if isinstance(value, tuple) else value
    row["text"] = candidate.text
    if candidate.reasons is not None:
        row["sentences of the candidate"] = _listed(candidate.reasons)
        row["unanswered sentences of the job"] = [str(place + 1) for place in candidate.reasons.unanswered]
    return row


def _listed(reasons: Reasons) -> list[str]:
    return [f"{each.share:.3f}: {each.text or f'sentence {each.place + 1}'}" for each in reasons.candidate]


def columns_of(rows: Sequence[Mapping[str, Cell]]) -> list[str]:
    """Names of the columns that hold anything, in the order in which they first come."""
    names = dict.fromkeys(name for row in rows for name in row)
    return [name for name in names if any(row.get(name) is not None for row in rows)]


def write_list(path: Path, rows: Sequence[Mapping[str, Cell]]) -> None:
    """Write rows as `.jsonl`, `.csv` or `.parquet`, as the ending says.

    Raises:
        HrembedError: The file cannot be written.
    """
    names = columns_of(rows) or ["rank", "id"]
    kept = [{name: row.get(name) for name in names} for row in rows]
    if path.suffix.lower() == ".jsonl":
        write_jsonl(path, kept)
    elif path.suffix.lower() == ".csv":
        write_text(path, _csv(names, kept))
    else:
        columns: dict[str, Column] = {name: [row[name] for row in kept] for name in names}
        write_parquet(path, columns)


def _csv(names: Sequence[str], rows: Sequence[Mapping[str, Cell]]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([_cell(name) for name in names])
    writer.writerows([_cell(row[name]) for name in names] for row in rows)
    return stream.getvalue()


def _cell(value: Cell) -> object:
    if value is None:
        return ""
    text = _SEPARATOR.join(value) if isinstance(value, list | tuple) else value
    return f"'{text}" if isinstance(text, str) and text.startswith(_FORMULA) else text


def write_record_as_json(path: Path, record: MatchRecord) -> None:
    """Write all that is said as one JSON object.

    Raises:
        HrembedError: The file cannot be written.
    """
    write_text(path, json_text(as_json(record), sort_keys=False) + "\n")


def tables_of(record: MatchRecord) -> dict[str, list[dict[str, str]]]:
    """What the terminal shows."""
    tables: dict[str, list[dict[str, str]]] = {}
    if record.batch is None:
        title = f"{len(record.candidates)} of {record.matching:,} candidates"
        rows = [flat(candidate) for candidate in record.candidates]
        # Ranks of stages are in the files; the terminal has room for scores.
        names = [name for name in columns_of(rows) if not name.endswith("_rank") or name == "original_rank"]
        tables[title] = [{name.removeprefix("column: "): _shown(row.get(name)) for name in names} for row in rows]
    if record.exposure is not None:
        tables["What groups get of the ranking"] = exposure_rows(record.exposure)
    return tables


def _shown(value: Cell) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.3f}"
    return _SEPARATOR.join(value) if isinstance(value, list | tuple) else str(value)


def exposure_rows(exposure: Exposure) -> list[dict[str, str]]:
    """What each group gets, as cells of a table."""
    rows = []
    for name, group in exposure.groups.items():
        row = {"group": name, "pool": f"{group.pool:,} ({group.pool_share:.0%})"}
        for cut, found in group.cuts.items():
            chance = "" if np.isnan(found.p_value) else f", p {found.p_value:.2g}"
            row[f"first {cut}"] = f"{found.count:.3g} ({found.share:.0%}{chance})"
        row["attention / pool"] = f"{group.attention_ratio:.2f}"
        rows.append(row)
    return rows


def notice_of(record: MatchRecord, unmet: Sequence[str], *, show_text: bool, why: bool) -> str:
    """Sentences below the tables: what made the order, what is not shown, and what the numbers do not say."""
    lines = [f"Order: {'; '.join(record.stages)}. A cosine is no probability."]
    if record.batch is None and len(record.candidates) < record.matching and not record.candidates:
        lines.append("No candidate was found.")
    if unmet:
        lines.append(f"No candidate meets {' or '.join(f'`{each}`' for each in unmet)}.")
    elif record.matching == 0:
        lines.append("No candidate meets all conditions; remove one of `--where`.")
    if why and record.faithfulness is not None:
        lines.append(faithfulness_words(record))
    if show_text:
        lines.append(f"Texts are redacted: {CANNOT_SEE}.")
    return "\n".join(lines)


def faithfulness_words(record: MatchRecord) -> str:
    """Say whether sentences are shown, and on what that rests."""
    found = record.faithfulness
    if found is None:
        return ""
    measured = (
        f"leaving out the named sentence lowered the score more than leaving out another of like length in "
        f"{found.share.value:.0%} of {found.pairs} pairs of {found.task} ({found.method})"
    )
    if found.passes:
        return f"Sentences are those that carry the cosine: {measured}."
    return f"No sentences are shown: {measured}, and at least {found.needed:.0%} is needed."
