"""Workers as actors of Ray Core, which are told numbers and ranges of shards; no text passes through Ray.

Ray Data is not used: it carries the rows themselves, keeps nothing of a run that was killed within a block, and writes
files whose bytes depend on its own batches.
"""

from __future__ import annotations

import math
import os
import secrets
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hrembed.commands.encode.work import limit_threads
from hrembed.errors import ConfigError, HrembedError
from hrembed.memory import MB

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from hrembed.commands.encode.work import Job
    from hrembed.config.encode import RaySection
    from hrembed.records.encode import ShardPlan
    from hrembed.shards.plan import Receipt

_PREFIX = "hrembed-ray-"


def check_ray() -> None:
    """Refuse to go on without Ray, before the input is read.

    Raises:
        ConfigError: It is not installed.
    """
    from importlib.util import find_spec

    if find_spec("ray") is None:
        raise ConfigError("`engine: ray` requires Ray, which is not installed", hint="`pip install 'hrembed[ray]'`")


def encode_on_ray(
    job: Job, shards: Sequence[ShardPlan], workers: int | None, started: Callable[[int], None]
) -> Iterator[Receipt]:
    """Encode shards in actors, and yield what came of each as it is done.

    Args:
        job: What each actor is told.
        shards: What is to be encoded.
        workers: How many actors; None for as many as the cluster has processors for.
        started: Told how many there are, which nobody knows before the cluster was asked.

    Raises:
        HrembedError: An actor failed, or the cluster cannot be reached.
    """
    section = job.config.ray
    with _cluster(section, workers, job.config.threads) as ray:
        count = min(workers or _fitting(ray, section), len(shards))
        started(count)
        actor = ray.remote(num_cpus=section.cpus_per_worker, num_gpus=section.gpus_per_worker, max_restarts=0)(_Actor)
        actors = [actor.remote(job) for _ in range(count)]
        waiting = list(reversed(shards))
        running = {each.encode.remote(waiting.pop()): each for each in actors}
        while running:
            (done,), _ = ray.wait(list(running), num_returns=1)
            each = running.pop(done)
            yield _received(ray, done)
            if waiting:
                running[each.encode.remote(waiting.pop())] = each


class _Actor:
    """A worker as Ray runs it; what it raises comes back as a value, so that a message stays one sentence."""

    def __init__(self, job: Job) -> None:
        from hrembed.commands.encode.work import Worker

        self._worker: Any = None
        self._failed: HrembedError | None = None
        try:
            self._worker = Worker(job)
        except HrembedError as err:
            self._failed = err

    def encode(self, shard: ShardPlan) -> Receipt | HrembedError:
        if self._failed is not None:
            return self._failed
        try:
            receipt: Receipt = self._worker.encode(shard)
        except HrembedError as err:
            return err
        return receipt


def _received(ray: Any, done: Any) -> Receipt:
    try:
        outcome = ray.get(done)
    except ray.exceptions.RayActorError as err:
        raise HrembedError(
            f"an actor of Ray died: {str(err).splitlines()[0]}",
            hint="finished shards are kept: repeat the command, with fewer `workers` if memory was short",
        ) from None
    if isinstance(outcome, HrembedError):
        raise outcome
    receipt: Receipt = outcome
    return receipt


def _fitting(ray: Any, section: RaySection) -> int:
    resources = ray.cluster_resources()
    fitting = resources.get("CPU", 1) / section.cpus_per_worker
    if section.gpus_per_worker:
        fitting = min(fitting, resources.get("GPU", 0) / section.gpus_per_worker)
    if fitting < 1:
        raise ConfigError(
            f"the cluster has no room for one worker: {resources.get('CPU', 0):g} processors, "
            f"{resources.get('GPU', 0):g} GPUs",
            hint="lower `ray.cpus_per_worker` or `ray.gpus_per_worker`",
        )
    return int(fitting)


@contextmanager
def _cluster(section: RaySection, workers: int | None, threads: int) -> Iterator[Any]:
    """Join a cluster, or start one that ends with the block and leaves nothing behind."""
    before = dict(os.environ)
    os.environ.update(RAY_USAGE_STATS_ENABLED="0", RAY_DEDUP_LOGS="0", RAY_ENABLE_UV_RUN_RUNTIME_ENV="0")
    limit_threads(threads)
    place = None
    if section.address is None:
        # A token of our own in place of the one that Ray would write into the home folder.
        os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=secrets.token_hex(32))
        os.environ.pop("RAY_ADDRESS", None)
        _remove_orphans()
        place = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=_short_folder()))
    import ray

    try:
        _start(ray, section, workers, place)
        yield ray
    finally:
        ray.shutdown()
        os.environ.clear()
        os.environ.update(before)
        if place is not None:
            shutil.rmtree(place, ignore_errors=True)


def _start(ray: Any, section: RaySection, workers: int | None, place: Path | None) -> None:
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR", "configure_logging": True}
    own: dict[str, Any] = {"address": section.address}
    if place is not None:
        cpus = (workers or len(os.sched_getaffinity(0))) * section.cpus_per_worker
        own = {
            "num_cpus": max(1, math.ceil(cpus)),
            "include_dashboard": False,
            "object_store_memory": section.object_store_mb * MB,
            "_temp_dir": str(place),
        }
    for left in reversed(range(_ATTEMPTS)):
        try:
            ray.init(**own, **quiet)
            return
        except Exception as err:  # Ray has errors of many kinds here
            ray.shutdown()
            # Ray waits half a minute for its own processes, which a machine under load exceeds.
            if left and "timed out during startup" in str(err):
                continue
            where = f"join the Ray cluster at '{section.address}'" if section.address else "start Ray"
            raise HrembedError(
                f"cannot {where}: {type(err).__name__}: {str(err).strip().splitlines()[0][:200]}",
                hint="check `ray.address`; `--engine local` needs no Ray",
            ) from err


_ATTEMPTS = 3


def _short_folder() -> Path:
    """Temporary folder whose path leaves room for the names of Ray's sockets: a path of one has 107 bytes at most."""
    usual, short = Path(tempfile.gettempdir()), Path("/tmp")
    return short if len(str(usual)) > _LONGEST and os.access(short, os.W_OK) else usual


_LONGEST = 20


def _remove_orphans() -> None:
    """Remove what Ray left of a run that was killed."""
    import psutil

    for folder in _short_folder().glob(f"{_PREFIX}*"):
        pid = folder.name.removeprefix(_PREFIX).partition("-")[0]
        if pid.isdecimal() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)
