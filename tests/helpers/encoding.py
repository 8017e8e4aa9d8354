"""Tables to encode, and a way to encode them without processes."""

from __future__ import annotations

import hashlib
import random
from typing import TYPE_CHECKING, Any

from hrembed.commands.encode import run as command
from hrembed.commands.encode.work import Worker
from hrembed.config.encode import EncodeConfig
from hrembed.runs.workspace import Workspace

from conftest import jsonl

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import pytest
    from hrembed.commands.encode.work import Job
    from hrembed.records.encode import EncodeRecord, ShardPlan
    from hrembed.shards.plan import Receipt
    from hrembed.types import CommandResult

WORDS = [
    "nurse",
    "ward",
    "wounds",
    "brakes",
    "engines",
    "cars",
    "bread",
    "cakes",
    "school",
    "lessons",
    "pupils",
    "contracts",
    "law",
    "taxes",
    "roofs",
    "pipes",
]


def profiles(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Rows with an id, a text and two filters."""
    rng = random.Random(seed)
    rows = []
    for n in range(count):
        text, country = " ".join(rng.choices(WORDS, k=8)), rng.choice(["DE", "AT", "CH"])
        rows.append({"id": f"c{n}", "text": text, "country": country, "years": n % 9})
    return rows


def table(path: Path, count: int = 25) -> Path:
    return jsonl(path, profiles(count))


def here(job: Job, shards: Sequence[ShardPlan], workers: int) -> Iterator[Receipt]:
    """A worker in this process: what it writes does not depend on where it runs, which tests of the engines show."""
    worker = Worker(job)
    for shard in shards:
        yield worker.encode(shard)


def encode(path: Path, monkeypatch: pytest.MonkeyPatch | None = None, **settings: Any) -> CommandResult[EncodeRecord]:
    """Encode with a static model, ten rows a shard; runs lie in `runs` below the path, shards in `out`."""
    if monkeypatch is not None:
        monkeypatch.setattr(command, "encode_locally", here)
    given = {"model": "wordllama", "rows_per_shard": 10, "out": str(path / "out"), "workers": 1} | settings
    config = EncodeConfig.model_validate({name: value for name, value in given.items() if value is not None})
    return command.run_encode(config, Workspace(path / "runs"))


def hashes(folder: Path) -> dict[str, str]:
    """Name of each shard -> its hash."""
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(folder.glob("shard-*.parquet"))}
