"""Which workers a run starts on this machine, and what makes them start soon.

Nothing here imports Dask, which takes as long as what is begun here.
"""

import ctypes
import os
import sys
from contextlib import suppress
from dataclasses import dataclass

from coreframe.flows.fork_server import start_fork_server
from coreframe.flows.parameters import Compute

CUDA = {"linux": "libcuda.so.1", "win32": "nvcuda.dll"}
"""The driver's library, without which torch sees no GPU."""

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


@dataclass(frozen=True)
class LocalWorkers:
    """How many, and on what."""

    count: int
    threads: int
    """Cores of each."""
    gpus: int
    """That they share; where there are none, workers have one thread of work each."""

    @classmethod
    def of(cls, compute: Compute) -> "LocalWorkers":
        """Those that the parameters ask for, on this machine."""
        gpus = _gpus() if compute.device != "cpu" else 0
        has_affinity = hasattr(os, "sched_getaffinity")
        cores = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1
        count = compute.workers or gpus or cores
        return cls(count, max(1, cores // count), gpus)

    def prepare(self) -> bool:
        """Begin to import what they need, and go on at once; say whether they will be forks."""
        return not self.gpus and start_fork_server(variables(self.threads))


def variables(threads: int) -> dict[str, str]:
    """What the environment of workers says, of which each has so many threads."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    return dict.fromkeys(names, str(threads)) | MALLOC | LOGGING


def _gpus() -> int:
    """GPUs that torch sees; it takes a second and a half to ask it where there may be any."""
    with suppress(OSError):
        if sys.platform in CUDA:
            ctypes.CDLL(CUDA[sys.platform])
            import torch

            return torch.cuda.device_count()
    return 0
