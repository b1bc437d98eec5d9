"""The Dask cluster that a flow runs on: made here, or one that exists."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

import dask

from coreframe.flows.local_cluster import local_cluster
from coreframe.flows.logs import logs_of_workers
from coreframe.flows.named_cluster import named_cluster
from coreframe.flows.parameters import Compute
from coreframe.tasks import status

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
    # Every process wakes 50 times a second only to see whether it is late: 2 % of each core here.
    "distributed.admin.tick.interval": "1s",
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


@contextmanager
def open_cluster(compute: Compute) -> Iterator[str]:
    """Give the scheduler's address of the cluster that the parameters name, or of a new local one.

    While the context lasts, a `Client` of that address has the certificates that it needs. When
    the run is being stopped (KeyboardInterrupt, SystemExit), workers are gone within seconds.

    Raises:
        UsageError: the cluster file cannot be used, or the dashboard not be shown.
        CoreframeError: there is no cluster with a worker within the limit.
    """
    status.show("starting the workers")
    chosen = local_cluster(compute) if compute.cluster is None else named_cluster(compute)
    with (
        dask.config.set(DASK_SETTINGS),
        _without_garbage_search(),
        chosen as address,
        logs_of_workers(address),
    ):
        yield address


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
