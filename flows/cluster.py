"""The Dask cluster that a flow runs on: made here, or one that exists."""

import gc
import logging
import multiprocessing
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import dask
import torch
import yaml
from dask.distributed import Client, LocalCluster

from coreframe.flows.logs import LOGGER, logs_of_workers
from coreframe.flows.parameters import Compute
from coreframe.tasks import status
from coreframe.tasks.errors import CoreframeError, UsageError

logger = logging.getLogger(LOGGER)

CONNECT_TIMEOUT_S = 30

CLOSE_TIMEOUT_S = 10

DASK_SETTINGS = {
    # A job whose worker died is tried on two more; then it is the job's fault.
    "distributed.scheduler.allowed-failures": 2,
    # Dask gives a worker up that is not there 15 s after one of its deaths. One that is given
    # deadly videos dies some times in a row and may be starting just then; it will be back.
    "distributed.deploy.lost-worker-timeout": "1 day",
    # Workers hold what they run and no queue: a dying one takes no innocent job with it.
    "distributed.scheduler.worker-saturation": 1.0,
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

LOGGING = {
    # What goes wrong in a job comes back with it. What a worker itself says at this level is the
    # traceback of a heartbeat that met a closing scheduler (one demo of a few here).
    "DASK_DISTRIBUTED__LOGGING": repr({"distributed": "error", "distributed.worker": "critical"}),
}

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
    status.show("starting the workers")
    with dask.config.set(DASK_SETTINGS), _without_garbage_search():
        if compute.cluster is not None:
            with _named_cluster(compute.cluster) as address, logs_of_workers(address):
                yield address
            return
        gpus = torch.cuda.device_count() if compute.device != "cpu" else 0
        cores = (
            len(os.sched_getaffinity(0))
            if hasattr(os, "sched_getaffinity")
            else os.cpu_count() or 1
        )
        workers = compute.workers or gpus or cores
        threads = max(1, cores // workers)
        others = multiprocessing.active_children()
        with (
            dask.config.set(_environment(threads)),
            _closed_at_end(_local_cluster(compute, workers, threads, gpus), others) as cluster,
            logs_of_workers(cluster.scheduler_address),
        ):
            yield cluster.scheduler_address


@contextmanager
def _without_garbage_search() -> Iterator[None]:
    """While the context lasts, Python looks for garbage only among what it makes meanwhile.

    To search all that Prefect, Dask and torch are takes a fourth of a second each time, in which
    nothing is given to the workers.
    """
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@contextmanager
def _closed_at_end(cluster: LocalCluster, others: list[BaseProcess]) -> Iterator[LocalCluster]:
    """Close a cluster at the end, and end its workers if they do not close in time.

    By then a run has what it wanted of them. Dask can wait for ever where a worker dies or starts
    just then (one run in ten here, after a video that kills workers).

    Args:
        cluster: the cluster.
        others: processes of this one that are not its workers.
    """
    try:
        yield cluster
    finally:
        status.show("ending the workers")
        try:
            cluster.close(timeout=CLOSE_TIMEOUT_S)
        except TimeoutError:
            logger.warning("the local workers did not close in %d s: ended", CLOSE_TIMEOUT_S)
            for process in multiprocessing.active_children():
                if process not in others:
                    process.kill()


def _local_cluster(compute: Compute, workers: int, threads: int, gpus: int) -> LocalCluster:
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
            common |= {"CUDA_VISIBLE_DEVICES": visible}
            return _start_with_retry(cuda_cluster, n_workers=len(visible), **common)
    return _start_with_retry(LocalCluster, n_workers=workers, processes=True, **common)


def _start_with_retry(kind: Any, **arguments: Any) -> LocalCluster:
    """Start a cluster, and start it again if a worker dies in its first moments.

    Raises:
        CoreframeError: it did both times.
    """
    with suppress(RuntimeError):
        return kind(**arguments)
    try:
        return kind(**arguments)
    except RuntimeError as error:
        raise CoreframeError(
            f"the workers of the local cluster cannot be started ({error}). Look whether memory is "
            "free and what ended them, then run again."
        ) from error


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
        f"{WORKER_ENVIRONMENT}.{name}": value for name, value in (MALLOC | LOGGING).items()
    }


@contextmanager
def _named_cluster(named: str) -> Iterator[str]:
    """The cluster at an address, or that a file describes: by its address or by its class."""
    if "://" in named:
        yield _checked_address(named)
        return
    content = _read_cluster_file(named)
    if "address" in content:
        yield _checked_address(str(content["address"]))
        return
    arguments = content.get("arguments") or {}
    with (
        dask.config.set(_environment(int(arguments.get("threads_per_worker", 1)))),
        _cluster_of_class(named, str(content["class"]), arguments) as cluster,
    ):
        if content.get("workers"):
            cluster.scale(int(content["workers"]))
        with Client(cluster, timeout=CONNECT_TIMEOUT_S) as client:
            client.wait_for_workers(1)
        yield cluster.scheduler_address


def _read_cluster_file(path: str) -> dict[str, Any]:
    """Read a cluster file.

    Raises:
        UsageError: it cannot be read, or says neither where a cluster is nor how to make one.
    """
    try:
        content = yaml.safe_load(Path(path).read_text())
    except OSError as error:
        raise UsageError(f"cannot read the cluster file {path}: {error.strerror}.") from error
    except (yaml.YAMLError, ValueError):
        content = None
    if not isinstance(content, dict) or not {"address", "class"} & content.keys():
        raise UsageError(
            f"the cluster file {path} names no scheduler: it needs a line `address: "
            "tcp://HOST:PORT`, or `class: dask_jobqueue.SLURMCluster` with its `arguments`."
        )
    return content


def _cluster_of_class(path: str, name: str, arguments: dict[str, Any]) -> Any:
    """Make a cluster of one of Dask's cluster classes.

    Raises:
        UsageError: there is no such class here, or not with these arguments.
    """
    module, _, attribute = name.rpartition(".")
    try:
        return getattr(import_module(module), attribute)(**arguments)
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise UsageError(
            f"the cluster file {path} asks for {name}, which cannot be made: {error}. Install the "
            "package that has it, and look at its arguments."
        ) from error


def _checked_address(address: str) -> str:
    """The address, once its scheduler has answered.

    Raises:
        CoreframeError: it does not.
    """
    try:
        with Client(address, timeout=CONNECT_TIMEOUT_S):
            return address
    except (OSError, ValueError) as error:
        raise CoreframeError(
            f"no Dask scheduler answers at {address} within {CONNECT_TIMEOUT_S} s. Start it, or "
            "leave --cluster out to work on this machine."
        ) from error
