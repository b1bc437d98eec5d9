"""Workers of this machine that share its GPUs.

dask-cuda's `LocalCUDACluster` starts one worker a GPU and refuses more. What it does for it that is
of use here is little: the worker sees its GPU alone, and runs on the cores beside it.
"""

import math
import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from dask.distributed import Nanny, Worker, WorkerPlugin

from coreframe.flows.local_workers import Gpu


class _OnCores(WorkerPlugin):
    """Keeps a worker's threads on some cores."""

    def __init__(self, cores: frozenset[int]) -> None:
        self._cores = cores

    def setup(self, worker: Worker) -> None:
        os.sched_setaffinity(0, self._cores)  # of this thread, which starts those that work


def on_gpus(gpus: Sequence[Gpu]) -> Callable[..., Nanny]:
    """What to make workers with, as `worker_class` of a `LocalCluster`: each gets the next GPU."""
    return partial(_nanny, gpus, cores_beside(gpus))


def _nanny(
    gpus: Sequence[Gpu], cores: Sequence[frozenset[int]], scheduler: str, **options: Any
) -> Nanny:
    number = options["name"] % len(gpus)
    options["env"] = options["env"] | {"CUDA_VISIBLE_DEVICES": gpus[number].name}
    if cores:
        options["plugins"] = (_OnCores(cores[number]),)
    return Nanny(scheduler, **options)


def cores_beside(gpus: Sequence[Gpu]) -> list[frozenset[int]]:
    """For each GPU, the cores from which the way to it is short, of those that this process has.

    Nothing where it makes no difference or cannot be told, and where it would leave a core without
    work: decoding wants all of them more than it wants short ways.
    """
    if not hasattr(os, "sched_getaffinity"):
        return []
    own = frozenset(os.sched_getaffinity(0))
    near = [_near(gpu, own) for gpu in gpus]
    if frozenset().union(*near) != own or all(some == own for some in near):
        return []
    return near


def _near(gpu: Gpu, own: frozenset[int]) -> frozenset[int]:
    """The cores beside a GPU as its driver knows them; all where it does not."""
    try:
        import pynvml
    except ImportError:
        return own
    try:
        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{gpu.uuid}".encode())
        words = pynvml.nvmlDeviceGetCpuAffinity(handle, math.ceil((max(own) + 1) / 64))
    except pynvml.NVMLError:  # such as for a part of a GPU
        return own
    bits = sum(int(word) << (64 * place) for place, word in enumerate(words))
    return frozenset(core for core in own if bits >> core & 1)
