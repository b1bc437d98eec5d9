"""A Dask cluster of this machine's own, which nobody else can use."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dask
from dask.distributed import LocalCluster, Security

from coreframe.flows.dashboard import NO_DASHBOARD, show_dashboard
from coreframe.flows.gpu_worker import on_gpus, shared_cuda_cluster
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
    kind: Any = LocalCluster
    arguments: dict[str, Any] = dict(
        n_workers=workers.count,
        processes=True,
        threads_per_worker=1,
        host="127.0.0.1",
        security=security,
        silence_logs="ERROR",
        memory_limit=compute.memory_limit or "auto",
        env=dict(os.environ),  # as it is now: forks would have that of when their server started
        **NO_DASHBOARD,
    )
    if workers.gpus:
        # One CPU core decodes too little to keep a GPU busy: each of its workers' threads decodes
        # and embeds a part of its own.
        arguments["threads_per_worker"] = workers.threads
        cuda_cluster = shared_cuda_cluster(workers.gpus)
        if cuda_cluster is None:
            arguments["worker_class"] = on_gpus(workers.gpus)
        else:
            kind = cuda_cluster
            arguments["CUDA_VISIBLE_DEVICES"] = [gpu.name for gpu in workers.gpus]
    others = children()
    try:
        return made(kind, others, **arguments)
    except RuntimeError:  # a worker died in its first moments
        pass
    try:
        return made(kind, others, **arguments)
    except RuntimeError as error:
        raise CoreframeError(
            f"the workers of the local cluster cannot be started ({error}). Look whether memory is "
            "free and what ended them, then run again."
        ) from error
