"""What a model needs: start-up time, memory and speed, seen from outside of a process that does nothing else."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from hrembed.config.parts import ModelSection
from hrembed.memory import peak_memory_mb
from hrembed.records.base import Record
from hrembed.records.select import Footprint
from hrembed.runs.workspace import Workspace
from hrembed.scoring.encoders import open_encoder
from hrembed.scoring.fresh_process import run_in_fresh_process
from hrembed.scoring.retrieval import rank_task
from hrembed.types import Task, Text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class FootprintRequest(Record):
    """What is measured.

    Attributes:
        model: The model.
        runs_dir: Folder of all runs.
        queries: Texts as they are asked.
        documents: Texts as they are searched.
        instruction: What a query asks for.
    """

    model: ModelSection
    runs_dir: Path
    queries: tuple[str, ...]
    documents: tuple[str, ...]
    instruction: str


class FootprintReply(Record):
    """What was measured.

    Attributes:
        first_result: Time of day of the first result, in seconds.
        texts_per_second: Texts embedded (or indexed and searched) after it.
        peak_memory_mb: Largest resident memory of the process, MB.
    """

    first_result: float
    texts_per_second: float
    peak_memory_mb: float


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
    request = FootprintRequest(
        model=section,
        runs_dir=runs_dir,
        queries=tuple(query.text for query in task.queries[: texts // 2]),
        documents=tuple(document.text for document in task.documents[: texts - texts // 2]),
        instruction=task.instruction,
    )
    found = [_footprint(request, "CPU", {"CUDA_VISIBLE_DEVICES": ""})]
    if shutil.which("nvidia-smi"):
        found.append(_footprint(request, "GPU", {}))
    return found


def _footprint(request: FootprintRequest, device: Literal["CPU", "GPU"], environment: Mapping[str, str]) -> Footprint:
    load = os.getloadavg()[0]
    failure = f"cannot measure '{request.model.ref}' in a separate process"
    reply, started = run_in_fresh_process(
        measure_footprint_here, request, FootprintReply, failure=failure, environment=environment
    )
    return Footprint(
        device=device,
        start_seconds=reply.first_result - started,
        texts_per_second=reply.texts_per_second,
        peak_memory_mb=reply.peak_memory_mb,
        load=load,
    )


def measure_footprint_here(request: FootprintRequest) -> FootprintReply:
    """Measure in this process: rank one document for one query first, then all, timed."""
    encoder = open_encoder(request.model, Workspace(request.runs_dir))
    task = _task(request.queries, request.documents, request.instruction)
    rank_task(encoder, replace(task, queries=task.queries[:1], documents=task.documents[:1]))
    first_result = time.time()
    started = time.perf_counter()
    rank_task(encoder, task)
    seconds = time.perf_counter() - started
    return FootprintReply(
        first_result=first_result,
        texts_per_second=(len(request.queries) + len(request.documents)) / seconds,
        peak_memory_mb=peak_memory_mb(),
    )


def _task(queries: Sequence[str], documents: Sequence[str], instruction: str) -> Task:
    sides = [tuple(Text(f"{side}{n}", text) for n, text in enumerate(texts)) for side, texts in
             (("q", queries), ("d", documents))]  # fmt: skip
    return Task("footprint", sides[0], sides[1], {}, instruction=instruction)
