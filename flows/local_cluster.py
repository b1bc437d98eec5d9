"""A Dask cluster of this machine's own: a worker a core or GPU, which nobody else can use."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dask
import torch
from dask.distributed import LocalCluster, Security

from coreframe.flows.dashboard import NO_DASHBOARD, show_dashboard
from coreframe.flows.parameters import Compute
from coreframe.flows.workers import NO_PAGES, children, closed_at_end, encryption, environment, made
from coreframe.tasks.errors import CoreframeError


@contextmanager
def local_cluster(compute: Compute) -> Iterator[str]:
    """Give the scheduler's address of a new cluster on this machine.

    Raises:
        CoreframeError: its workers cannot be started.
        UsageError: the dashboard is asked for, and a package that it needs is missing.
    """
    gpus = torch.cuda.device_count() if compute.device != "cpu" else 0
    has_affinity = hasattr(os, "sched_getaffinity")
    cores = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1
    workers = compute.workers or gpus or cores
    threads = max(1, cores // workers)
    others = children()
    security = Security.temporary()
    with (
        dask.config.set(environment(threads) | NO_PAGES | encryption(security)),
        closed_at_end(_start(compute, security, workers, threads, gpus), others) as cluster,
    ):
        if compute.dashboard:
            show_dashboard(cluster)
        yield cluster.scheduler_address


def _start(
    compute: Compute, security: Security, workers: int, threads: int, gpus: int
) -> LocalCluster:
    common: dict[str, Any] = dict(
        threads_per_worker=1,
        host="127.0.0.1",
        security=security,
        silence_logs="ERROR",
        memory_limit=compute.memory_limit or "auto",
        **NO_DASHBOARD,
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
    others = children()
    try:
        return made(kind, others, **arguments)
    except RuntimeError:
        pass
    try:
        return made(kind, others, **arguments)
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
