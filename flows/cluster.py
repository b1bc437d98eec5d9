"""The Dask cluster that a flow runs on: made here, or one that exists."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dask
import torch
import yaml
from dask.distributed import Client, LocalCluster

from flows.parameters import Compute
from tasks.errors import CoreframeError, UsageError

CONNECT_TIMEOUT_S = 30

SETTINGS = {
    # A job whose worker died is tried on two more; then it is the job's fault.
    "distributed.scheduler.allowed-failures": 2,
    # Workers hold what they run and no queue: a dying one takes no innocent job with it.
    "distributed.scheduler.worker-saturation": 1.0,
    "distributed.logging.distributed": "error",
    # Dask's profiler looks at all threads every 10 ms through sys._current_frames(), which can
    # deadlock a process under CPython 3.11 (seen here); nobody reads its profiles.
    "distributed.worker.profile.enabled": False,
    # Vectors that all workers need go with a task, so that they can be had again when the worker
    # that holds them dies; from 10 MB on Dask would warn of that on the terminal.
    "distributed.admin.large-graph-warning-threshold": "1GB",
    # Workers know their memory limit and stay below it by themselves. What they hold is no use on
    # disk, and a worker that Dask pauses for what it holds never gets below the mark again. One
    # that comes near the limit all the same is still ended, at 0.95 of it.
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
}

WORKER_ENVIRONMENT = "distributed.nanny.pre-spawn-environ"

MALLOC = {
    # Every thread's own arena keeps memory of its own; one thread of a worker does the work.
    "MALLOC_ARENA_MAX": 2,
    # Dask has workers give every freed page back at once, so that each matrix product meets fresh
    # ones from the kernel: selecting took 1.6 times as long. These, in bytes, let some be reused.
    "MALLOC_TRIM_THRESHOLD_": 16 * 2**20,
    "MALLOC_MMAP_THRESHOLD_": 8 * 2**20,
}


@contextmanager
def open_cluster(compute: Compute) -> Iterator[str]:
    """Give the scheduler's address of the cluster that the parameters name, or of a new local one.

    Raises:
        UsageError: the cluster file cannot be used.
        CoreframeError: the scheduler does not answer.
    """
    with dask.config.set(SETTINGS):
        if compute.cluster is not None:
            yield _existing(compute.cluster)
            return
        gpus = torch.cuda.device_count() if compute.device != "cpu" else 0
        cores = (
            len(os.sched_getaffinity(0))
            if hasattr(os, "sched_getaffinity")
            else os.cpu_count() or 1
        )
        workers = compute.workers or gpus or cores
        threads = max(1, cores // workers)
        with (
            dask.config.set(_environment(threads)),
            _local(compute, workers, threads, gpus) as cluster,
        ):
            yield cluster.scheduler_address


def _local(compute: Compute, workers: int, threads: int, gpus: int) -> LocalCluster:
    common: dict[str, Any] = dict(
        threads_per_worker=1,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",  # any free port
        silence_logs="ERROR",
        memory_limit=compute.memory_limit or "auto",
    )
    if gpus:
        cuda_cluster = _cuda_cluster_type()
        if cuda_cluster is not None:
            # One CPU core decodes too little to keep a GPU busy: each of its worker's threads
            # decodes and embeds a part of its own.
            visible = list(range(min(workers, gpus)))
            common |= {"threads_per_worker": threads}
            return cuda_cluster(CUDA_VISIBLE_DEVICES=visible, n_workers=len(visible), **common)
    return LocalCluster(n_workers=workers, processes=True, **common)


def _cuda_cluster_type() -> Any:
    """dask-cuda's cluster, or None where it is not installed or there is no NVML to ask.

    Any other fault of a GPU is not hidden behind a slow run on the CPU.
    """
    try:
        import pynvml
        from dask_cuda import LocalCUDACluster
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
    except (pynvml.NVMLError_LibraryNotFound, pynvml.NVMLError_DriverNotLoaded):
        return None
    return LocalCUDACluster


def _environment(threads: int) -> dict[str, Any]:
    """What workers start with."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    return {f"{WORKER_ENVIRONMENT}.{name}": threads for name in names} | {
        f"{WORKER_ENVIRONMENT}.{name}": size for name, size in MALLOC.items()
    }


def _existing(named: str) -> str:
    """A scheduler's address, given as such or in a YAML file with an ``address`` in it."""
    address = named
    if "://" not in named:
        try:
            content = yaml.safe_load(Path(named).read_text())
            address = str(content["address"])
        except OSError as error:
            raise UsageError(f"cannot read the cluster file {named}: {error.strerror}.") from error
        except (yaml.YAMLError, TypeError, KeyError, ValueError) as error:
            raise UsageError(
                f"the cluster file {named} names no scheduler: it needs a line `address: tcp://HOST:PORT`."
            ) from error
    try:
        with Client(address, timeout=CONNECT_TIMEOUT_S):
            return address
    except (OSError, ValueError) as error:
        raise CoreframeError(
            f"no Dask scheduler answers at {address} within {CONNECT_TIMEOUT_S} s. Start it, or "
            "leave --cluster out to work on this machine."
        ) from error
