"""Which workers a run starts on this machine, and what makes them start soon.

Nothing here imports Dask, which takes as long as what is begun here.
"""

import math
import os
from dataclasses import dataclass

from coreframe.flows.fork_server import start_fork_server
from coreframe.flows.gpus import Gpu, gpus_here
from coreframe.flows.parameters import Compute

LOGGING = {
    # What goes wrong in a job comes back with it. What a worker itself says at this level is the
    # traceback of a heartbeat that met a closing scheduler (one demo of a few here).
    "DASK_DISTRIBUTED__LOGGING": repr({"distributed": "error", "distributed.worker": "critical"}),
}

MALLOC = {
    # Every thread's own arena keeps memory of its own; one thread of a worker does the work.
    "MALLOC_ARENA_MAX": "2",
    # Dask has workers give every freed page back at once, so that each matrix product meets fresh
    # ones from the kernel: selecting took 1.6 times as long. These, in bytes, let some be reused.
    "MALLOC_TRIM_THRESHOLD_": str(16 * 2**20),
    "MALLOC_MMAP_THRESHOLD_": str(8 * 2**20),
}


WORKER_CORES = 4
"""Of a worker beside a GPU. Threads of one process wait for each other: with 1, 4, 8 and 16 of them
one process took 383, 1,107, 1,389 and 1,623 frames/s of 1080p from the decoder of an H200.
Processes have their turns on a GPU one after the other, and each holds CUDA and the model."""


@dataclass(frozen=True)
class LocalWorkers:
    """How many, and on what."""

    count: int
    threads: int
    """Cores of each."""
    gpus: tuple[Gpu, ...] = ()
    """That they share, in turn; where there are none, workers have one thread of work each."""

    @classmethod
    def of(cls, compute: Compute) -> "LocalWorkers":
        """Those that the parameters ask for, on this machine.

        With GPUs it is one for each WORKER_CORES cores, if their memory has room for them; each has
        its share of the cores as threads. Without, it is one a core.
        """
        gpus = gpus_here() if compute.device != "cpu" else ()
        has_affinity = hasattr(os, "sched_getaffinity")
        cores = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1
        count = compute.workers or cores
        if gpus and not compute.workers:
            room = min(gpu.room for gpu in gpus)
            own = math.ceil(cores / len(gpus) / WORKER_CORES)
            count = len(gpus) * min(own, room)
        threads = math.ceil(cores / count) if gpus else max(1, cores // count)
        return cls(count, threads, gpus[:count])

    def prepare(self) -> bool:
        """Begin to import what they need, and go on at once; say whether they will be forks."""
        return not self.gpus and start_fork_server(variables(self.threads))


def variables(threads: int) -> dict[str, str]:
    """What the environment of workers says, of which each has so many threads."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    return dict.fromkeys(names, str(threads)) | MALLOC | LOGGING
