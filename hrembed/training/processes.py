"""The processes of one training, started by `accelerate launch` or `torchrun`.

The first one leads: it reads, scores, writes and speaks. The others take part in the training steps and follow.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from hrembed.errors import ConfigError, HrembedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

T = TypeVar("T")

# The others wait while a large dev task is scored; one that dies breaks the connection, which is noticed at once.
_TIMEOUT = timedelta(days=7)
_COUNTS = ("WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE")  # those that accelerate reads
_FAILED = "hrembed-failed"


class Failure(NamedTuple):
    """Why a training of several processes ended.

    Attributes:
        rank: Process that failed first.
        message: Its error.
        exit_code: Status with which it ended.
    """

    rank: int
    message: str
    exit_code: int


@dataclass(frozen=True)
class Processes:
    """All processes of a training as one of them sees them; alone by default, and then nothing is sent.

    Attributes:
        rank: Number of this process, from 0; 0 leads.
        count: How many there are.
        group: Their connection. It is a CPU's also beside GPUs, so that waiting costs nothing.
    """

    rank: int = 0
    count: int = 1
    group: Any = None

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes and speaks."""
        return self.rank == 0

    def share(self, value: T | None) -> T:
        """Give every process the value of the first one; the others wait for it, and theirs does not matter."""
        values: list[Any] = [value]
        if self.count > 1:
            from torch.distributed import broadcast_object_list

            broadcast_object_list(values, src=0, group=self.group)
        shared: T = values[0]
        return shared

    def gather(self, value: T) -> list[T]:
        """Collect the value of every process, by rank; all wait for the last one."""
        values: list[Any] = [value]
        if self.count > 1:
            from torch.distributed import all_gather_object

            values = [None] * self.count
            all_gather_object(values, value, group=self.group)
        return values

    def equalise(self, parameters: Iterable[Any]) -> None:
        """Give the parameters of every process the values of the first one's, in place."""
        if self.count > 1:
            from torch.distributed import broadcast

            for parameter in parameters:
                broadcast(parameter.data, src=0)

    def average_gradients(self, parameters: Iterable[Any]) -> None:
        """Replace every gradient by its mean over the processes, in place.

        A parameter that got a gradient in some processes counts as zero in the others. One that got none at all keeps
        none, so that the optimizer leaves it alone.
        """
        if self.count == 1:
            return
        import torch
        from torch.distributed import ReduceOp, all_reduce

        every = list(parameters)
        used = torch.tensor([parameter.grad is not None for parameter in every], dtype=torch.int32)
        all_reduce(used, op=ReduceOp.MAX, group=self.group)
        chosen = [parameter for parameter, anywhere in zip(every, used.tolist(), strict=True) if anywhere]
        for parameter in chosen:
            parameter.grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad.contiguous()
        for work in [all_reduce(parameter.grad, async_op=True) for parameter in chosen]:
            work.wait()
        for parameter in chosen:
            parameter.grad /= self.count

    def tell_failure(self, error: BaseException) -> None:
        """Leave a note for the others before this process ends; the first note stays."""
        code = (
            error.exit_code if isinstance(error, HrembedError) else 130 if isinstance(error, KeyboardInterrupt) else 1
        )
        message = str(error) if isinstance(error, HrembedError) else f"{type(error).__name__}: {error}"
        _store().compare_set(_FAILED, "", json.dumps([self.rank, message, code]))

    def failure_elsewhere(self) -> Failure | None:
        """Read the note of another process; None where none failed, or where the one that kept the notes is gone."""
        try:
            failure = Failure(*json.loads(_store().get(_FAILED))) if _store().check([_FAILED]) else None
        except RuntimeError:
            return None
        return failure if failure and failure.rank != self.rank else None


def join(environment: Mapping[str, str] = os.environ) -> Processes:
    """Join the other processes of a launch. Without a launch nothing is imported, and nothing is opened.

    Raises:
        ConfigError: The launch would spread one model over the processes.
    """
    if not launched(environment):
        return Processes()
    for kind in ("FSDP", "DEEPSPEED", "MEGATRON_LM"):
        if environment.get(f"ACCELERATE_USE_{kind}", "false").lower() == "true":
            raise ConfigError(
                f"the launcher is configured for {kind}, which shards the model across processes",
                hint="use plain data parallelism: every process trains a full copy of the model",
            )
    from accelerate import PartialState
    from sentence_transformers.util import get_device_name
    from torch.distributed import new_group

    state = PartialState(cpu=get_device_name() == "cpu", timeout=_TIMEOUT)
    return Processes(state.process_index, state.num_processes, new_group(backend="gloo", timeout=_TIMEOUT))


def launched(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether this is one of several processes that a launcher started."""
    return any(int(environment.get(name) or 1) > 1 for name in _COUNTS)


def is_broken(error: BaseException) -> bool:
    """Whether an error says that the connection to another process is lost; gloo has no class of its own for it."""
    from torch.distributed import DistError

    return isinstance(error, DistError) or "gloo/transport" in str(error)


def launch_lost(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether `accelerate launch` was asked for several processes and started one: `--cpu` does that without a word."""
    by_accelerate = "ACCELERATE_MIXED_PRECISION" in environment and "MASTER_ADDR" in environment
    return by_accelerate and not any(name in environment for name in _COUNTS)


def _store() -> Any:
    """Return the notes that all processes see; torch opens them for every launch and has no public name for them."""
    from torch.distributed.distributed_c10d import _get_default_store

    return _get_default_store()
