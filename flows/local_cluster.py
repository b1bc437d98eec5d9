"""A Dask cluster of this machine's own: a worker a core or GPU, which nobody else can use."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dask
from dask.distributed import LocalCluster, Security

from coreframe.flows.dashboard import NO_DASHBOARD, show_dashboard
from coreframe.flows.local_workers import LocalWorkers
from coreframe.flows.parameters import Compute
from coreframe.flows.workers import NO_PAGES, children, closed_at_end, encryption, environment, made
from coreframe.tasks.errors import CoreframeError

METHOD = "distributed.worker.multiprocessing-method"


@contextmanager
def local_cluster(compute: Compute) -> Iterator[str]:
    """Give the scheduler's address of a new cluster on this machine.

    Raises:
        CoreframeError: its workers cannot be started.
        UsageError: the dashboard is asked for, and a package that it needs is missing.
    """
    workers = LocalWorkers.of(compute)
    method = {METHOD: "forkserver"} if workers.prepare() else {}
    others = children()
    security = Security.temporary()
    with (
        dask.config.set(environment(workers.threads) | NO_PAGES | encryption(security) | method),
        closed_at_end(_start(compute, security, workers), others) as cluster,
    ):
        if compute.dashboard:
            show_dashboard(cluster)
        yield cluster.scheduler_address


def _start(compute: Compute, security: Security, workers: LocalWorkers) -> LocalCluster:
    common: dict[str, Any] = dict(
        threads_per_worker=1,
        host="127.0.0.1",
        security=security,
        silence_logs="ERROR",
        memory_limit=compute.memory_limit or "auto",
        env=dict(os.environ),  # as it is now: forks would have that of when their server started
        **NO_DASHBOARD,
    )
    if workers.gpus:
        cuda_cluster = _cuda_cluster_type()
        if cuda_cluster is not None:
            # One CPU core decodes too little to keep a GPU busy: each of its worker's threads
            # decodes and embeds a part of its own.
            visible = list(range(min(workers.count, workers.gpus)))
            common |= {"threads_per_worker": workers.threads}
            common |= {"CUDA_VISIBLE_DEVICES": visible}
            return _start_with_retry(cuda_cluster, n_workers=len(visible), **common)
    return _start_with_retry(LocalCluster, n_workers=workers.count, processes=True, **common)


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
