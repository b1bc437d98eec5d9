"""Workers of this machine that share its GPUs.

dask-cuda's `LocalCUDACluster` starts one worker a GPU and refuses more. What it does for it that is
of use here is little: the worker sees its GPU alone, and runs on the cores beside it.
"""

import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from dask.distributed import Nanny, Worker, WorkerPlugin

from coreframe.flows.gpus import Gpu, cores_beside


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
