"""What a model needs: start-up time, memory and speed, seen from outside of a process that does nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from hrembed.config.load import load_config
from hrembed.config.parts import ModelSection
from hrembed.config.section import Section
from hrembed.errors import ModelError
from hrembed.files import write_json
from hrembed.records.select import Footprint
from hrembed.runs.environment import peak_memory_mb
from hrembed.runs.workspace import Workspace
from hrembed.scoring.encoders import open_encoder
from hrembed.scoring.retrieval import rank_task
from hrembed.types import Task, Text

if TYPE_CHECKING:
    from collections.abc import Sequence


class Order(Section):
    """What the process is told to do."""

    model: ModelSection
    runs_dir: str
    queries: tuple[str, ...]
    documents: tuple[str, ...]
    instruction: str


def footprints(section: ModelSection, task: Task, runs_dir: Path, texts: int) -> list[Footprint]:
    """Measure a model on this processor, and on a GPU where there is one.

    Args:
        section: The model; nothing of it is taken from a cache.
        task: Gives the texts: half queries, half documents, in their order.
        runs_dir: Folder of all runs, for `run:ID`.
        texts: How many are timed.

    Raises:
        ModelError: The process failed; its last line is shown.
    """
    order = Order(
        model=section,
        runs_dir=str(runs_dir),
        queries=tuple(query.text for query in task.queries[: texts // 2]),
        documents=tuple(document.text for document in task.documents[: texts - texts // 2]),
        instruction=task.instruction,
    )
    found = [_measured(order, "CPU", {"CUDA_VISIBLE_DEVICES": ""})]
    if shutil.which("nvidia-smi"):
        found.append(_measured(order, "GPU", {}))
    return found


def _measured(order: Order, device: Literal["CPU", "GPU"], environment: dict[str, str]) -> Footprint:
    # The texts may be those of people: the folder is nobody else's, and is gone when the block ends.
    with tempfile.TemporaryDirectory(prefix="hrembed-") as folder:
        told, answer = Path(folder) / "order.json", Path(folder) / "answer.json"
        write_json(told, order.model_dump(mode="json"))
        load, started = os.getloadavg()[0], time.time()
        done = subprocess.run(
            [sys.executable, "-m", __name__, str(told), str(answer)],
            env={**os.environ, **environment, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            lines = done.stderr.strip().splitlines()
            raise ModelError(
                f"'{order.model.ref}' cannot be measured on its own: {lines[-1] if lines else 'no message'}"
            )
        found = load_config(answer, _Answer)
    return Footprint(
        device=device,
        start_seconds=found.first - started,
        texts_per_second=found.texts_per_second,
        peak_memory_mb=found.peak_memory_mb,
        load=load,
    )


class _Answer(Section):
    """What the process found; `first` is the time of day of the first result."""

    first: float
    texts_per_second: float
    peak_memory_mb: float


def answer(order: Order) -> dict[str, Any]:
    """Do what the process is there for: one pair of texts first, then all of them, timed."""
    encoder = open_encoder(order.model, Workspace(Path(order.runs_dir)))
    task = _task(order.queries, order.documents, order.instruction)
    rank_task(encoder, replace(task, queries=task.queries[:1], documents=task.documents[:1]))
    first = time.time()
    started = time.perf_counter()
    rank_task(encoder, task)
    seconds = time.perf_counter() - started
    return {
        "first": first,
        "texts_per_second": (len(order.queries) + len(order.documents)) / seconds,
        "peak_memory_mb": peak_memory_mb(),
    }


def _task(queries: Sequence[str], documents: Sequence[str], instruction: str) -> Task:
    sides = [tuple(Text(f"{side}{n}", text) for n, text in enumerate(texts)) for side, texts in
             (("q", queries), ("d", documents))]  # fmt: skip
    return Task("footprint", sides[0], sides[1], {}, instruction=instruction)


if __name__ == "__main__":
    write_json(Path(sys.argv[2]), answer(load_config(Path(sys.argv[1]), Order)))
