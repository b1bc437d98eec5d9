"""What clusters that are made here have in common: settings, a secret, and an end in time."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psutil
from dask.distributed import Security
from distributed.core import Status

from coreframe.flows.local_workers import variables
from coreframe.flows.logs import LOGGER

logger = logging.getLogger(LOGGER)

CLOSE_TIMEOUT_S = 10.0

HURRIED_CLOSE_S = 2.0
"""Of a run that is being stopped: somebody waits for it to end."""

HELPERS = {"resource_tracker", "forkserver"}

WORKER_ENVIRONMENT = "distributed.nanny.pre-spawn-environ"

NO_PAGES: dict[str, Any] = {
    # Dask's servers of pages listen even without a dashboard, to anyone on this machine, and tell
    # what runs here. Without routes they have nothing to tell.
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
}


def environment(threads: int) -> dict[str, Any]:
    """Settings with which workers are started that know `variables` of so many threads."""
    return {f"{WORKER_ENVIRONMENT}.{name}": value for name, value in variables(threads).items()}


def encryption(security: Security) -> dict[str, Any]:
    """Settings with which this process and its workers use a cluster's certificates.

    Whoever reaches a scheduler can run programs as its user. With these a connection is taken only
    from who has the cluster's key, which is made for one run and never leaves the memory of its
    processes. Stages open their clients by address and find the key here.
    """
    found = {"ca-file": "ca_file"} | {
        f"{role}.{part}": f"{role}_{part}"
        for role in ("client", "scheduler", "worker")
        for part in ("key", "cert")
    }
    return {
        f"distributed.comm.tls.{key}": getattr(security, f"tls_{name}")
        for key, name in found.items()
    }


def children() -> set[int]:
    """The ids of processes that this one has started, and of those that they have."""
    return {child.pid for child in psutil.Process().children(recursive=True)}


def made(kind: Any, others: set[int], **arguments: Any) -> Any:
    """Make a cluster, or leave nothing of it.

    Args:
        kind: its class.
        others: :func:`children` from before.
        arguments: of the class.
    """
    cluster = kind.__new__(kind)  # so that it is at hand when making it is interrupted
    try:
        cluster.__init__(**arguments)
    except BaseException:
        _leave(cluster, others)
        raise
    return cluster


@contextmanager
def closed_at_end(cluster: Any, others: set[int]) -> Iterator[Any]:
    """Close a cluster at the end, and end its workers if they do not close in time.

    By then a run has what it wanted of them. Dask can wait for ever where a worker dies or starts
    just then (one run in ten here, after a video that kills workers).

    Args:
        cluster: the cluster.
        others: :func:`children` from before it was made.
    """
    limit_s = CLOSE_TIMEOUT_S
    try:
        yield cluster
    except Exception:
        raise
    except BaseException:
        limit_s = HURRIED_CLOSE_S
        raise
    finally:
        _close(cluster, others, limit_s)


@contextmanager
def quiet() -> Iterator[None]:
    """What goes wrong in callbacks of Dask's is raised here, and need not be shown by it, too."""

    def nothing(_: logging.LogRecord) -> bool:
        return False

    shown = logging.getLogger("tornado.application")
    shown.addFilter(nothing)
    try:
        yield
    finally:
        shown.removeFilter(nothing)


def abandon(cluster: Any, others: set[int]) -> None:
    """Close a cluster that could not be had: why is known, and what else goes wrong is not told."""
    if hasattr(cluster, "job_cls"):
        _end_children(others)  # the program that jobs are handed in with: closing would wait for it
    try:
        cluster.close(timeout=HURRIED_CLOSE_S)
    except Exception:  # Dask asserts that all jobs were there before
        _leave(cluster, others)


def _close(cluster: Any, others: set[int], limit_s: float) -> None:
    try:
        with quiet():
            cluster.close(timeout=limit_s)
    except TimeoutError:
        logger.warning("the workers did not close in %g s: ended", limit_s)
        _leave(cluster, others)
    except KeyboardInterrupt:  # a second one
        _leave(cluster, others)
        raise


def _leave(cluster: Any, others: set[int]) -> None:
    """End what a cluster has started on this machine, without asking."""
    with suppress(AttributeError):
        cluster.shutdown_on_close = False  # or Dask closes it when the process ends, for 10 s
    _end_children(others)
    if hasattr(cluster, "job_cls"):
        jobs = [job for job in cluster.workers.values() if job.job_id]
        left = " ".join(str(job.job_id) for job in jobs if job.status != Status.closed)
        if left:
            command = cluster.job_cls.cancel_command
            logger.warning("jobs may be left in the queue: %s %s", command, left)


def _end_children(others: set[int]) -> None:
    own = psutil.Process()
    for child in own.children(recursive=True):
        with suppress(psutil.Error):
            # Python's own, which look after its processes: workers are forks of one of them
            kept = child.ppid() == own.pid and HELPERS & set(
                re.findall(r"\w+", str(child.cmdline()))
            )
            if child.pid not in others and not kept:
                child.kill()
