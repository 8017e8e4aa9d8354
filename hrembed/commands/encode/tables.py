"""What `encode` shows."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from hrembed.data.personal import CANNOT_SEE
from hrembed.memory import MB
from hrembed.text import counted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hrembed.config.encode import EncodeConfig
    from hrembed.records.encode import EncodeManifest, EncodeRecord

_PRECISION = {
    "float16": "float16 moves a cosine by about 1e-4.",
    "int8": "int8 moves a cosine by about 2e-3, which changes the order of close candidates for half of all queries; "
    "an index on it cannot give exact scores.",
}


def tables(record: EncodeRecord, manifest: EncodeManifest) -> Mapping[str, Sequence[Mapping[str, str]]]:
    """Write counts and sizes for people."""
    unknown = "not known"
    row = {
        "rows": f"{record.rows:,}",
        "distinct texts": f"{record.distinct_texts:,}",
        "vectors": f"{record.dim} x {record.dtype}",
        "shards": f"{record.shards:,} ({record.reused:,} reused)",
        "MB": f"{record.bytes / MB:,.1f}",
        "empty": f"{record.empty_texts:,}",
        "truncated": unknown if record.truncated_texts is None else f"{record.truncated_texts:,}",
        "zero vectors": f"{record.zero_vectors:,}",
    }
    shown = {f"Vectors in {record.out}": [row]}
    if manifest.base is not None:
        new = record.rows - record.changed
        shown[f"Compared with {manifest.base.folder}"] = [
            {
                "new": f"{new:,}",
                "changed": f"{record.changed:,}",
                "unchanged": f"{record.unchanged:,}",
                "removed": f"{record.removed:,}",
            }
        ]
    if record.replaced:
        shown["Personal data replaced"] = [{"type": kind, "count": f"{n:,}"} for kind, n in record.replaced.items()]
    return shown


def conclusion(config: EncodeConfig, manifest: EncodeManifest) -> list[str]:
    """Say what a reader of these vectors must know, and what they are for."""
    sentences = _limits(config, manifest)
    if config.side == "query":
        return sentences
    index = "update index" if manifest.base is not None else "build"
    out = "" if manifest.base is not None else " --out index"
    return [*sentences, "Next, make them searchable:", f"  hrembed index {index} {shlex.quote(config.out)}{out}"]


def _limits(config: EncodeConfig, manifest: EncodeManifest) -> list[str]:
    sentences = []
    if config.anonymise:
        sentences.append(f"This does not guarantee anonymity: {CANNOT_SEE}.")
        kept = ", ".join(f"'{name}'" for name in manifest.columns if name != "text")
        sentences.append(f"Ids {f'and {kept} ' if kept else ''}are kept unchanged.")
    if manifest.zero_vectors:
        sentences.append(f"{counted(manifest.zero_vectors, 'row')} without a vector will never be found by a search.")
    if manifest.truncated_texts:
        sentences.append(
            f"{counted(manifest.truncated_texts, 'text')} longer than the model reads: the rest is unseen."
        )
    sentences += [_PRECISION[manifest.dtype]] if manifest.dtype in _PRECISION else []
    return sentences
