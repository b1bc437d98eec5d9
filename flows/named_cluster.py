"""A cluster that the parameters name: by its scheduler's address, or a file with that or a class.

Whatever keeps it from being there ends in one sentence within a limit of time.
"""

import inspect
import logging
import re
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

import dask
import yaml
from dask.distributed import LocalCluster, Security
from distributed.deploy.spec import SpecCluster
from rich.console import Console

from coreframe.flows.dashboard import NO_DASHBOARD, show_dashboard
from coreframe.flows.jobs import jobs_of
from coreframe.flows.logs import LOGGER
from coreframe.flows.parameters import Compute
from coreframe.flows.reach import await_worker
from coreframe.flows.workers import (
    NO_PAGES,
    abandon,
    children,
    closed_at_end,
    encryption,
    environment,
    made,
    quiet,
)
from coreframe.tasks.errors import CoreframeError, UsageError
from coreframe.tasks.names import shown

logger = logging.getLogger(LOGGER)

T = TypeVar("T")


@contextmanager
def named_cluster(compute: Compute) -> Iterator[str]:
    """Give the scheduler's address of a cluster that has a worker.

    Args:
        compute: its ``cluster`` is an address, or a file with an ``address`` or a ``class``.

    Raises:
        UsageError: the file cannot be used, or the address be one.
        CoreframeError: there is no worker within ``cluster_timeout``.
    """
    named, limit_s = compute.cluster or "", compute.cluster_timeout
    content = {"address": named} if "://" in named else _read_cluster_file(named)
    if "address" in content:
        if compute.dashboard:
            raise UsageError(
                "--dashboard shows a cluster that the command makes: that of a scheduler which "
                "runs already is its own."
            )
        address = str(content["address"])
        await_worker(address, time.monotonic() + limit_s, limit_s)
        yield address
        return
    with _cluster_of_class(named, content, limit_s) as cluster:
        if compute.dashboard:
            show_dashboard(cluster)
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
    workers, arguments = content.get("workers"), content.get("arguments")
    if not isinstance(workers, int | None) or not isinstance(arguments, dict | None):
        raise UsageError(
            f"the cluster file {path} needs a number as `workers`, and names with values as "
            "`arguments`."
        )
    return content


@contextmanager
def _cluster_of_class(path: str, content: dict[str, Any], limit_s: float) -> Iterator[Any]:
    """A cluster of one of Dask's classes, once it has a worker.

    Raises:
        UsageError: there is no such class here, or not with these arguments.
        CoreframeError: it has no worker within the limit.
    """
    end_s = time.monotonic() + limit_s
    name = str(content["class"])
    try:
        module, _, attribute = name.rpartition(".")
        with _signals_kept():
            kind = getattr(import_module(module), attribute)
        given = content.get("arguments") or {}
        arguments = _closed_to_others(kind, given)
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise _cannot_be_made(path, name, error) from error
    job = getattr(kind, "job_cls", None)
    asked = job.submit_command if job is not None else "what it asks for workers"
    others = children()
    with dask.config.set(environment(int(given.get("threads_per_worker", 1))) | NO_PAGES):
        _say(f"starting the cluster of {path}")
        with _explained(path, name, asked, limit_s):
            make = partial(made, kind, others, **arguments)
            cluster = _within(limit_s, make, lambda late: abandon(late, others))
        security = getattr(cluster, "security", None)
        secret = encryption(security) if isinstance(security, Security) else {}
        with dask.config.set(secret):
            with quiet():
                try:
                    with _explained(path, name, asked, limit_s):
                        left_s = end_s - time.monotonic()
                        _within(left_s, lambda: _grow(cluster, content.get("workers")))
                    jobs = partial(jobs_of, cluster) if job is not None else None
                    await_worker(cluster.scheduler_address, end_s, limit_s, jobs)
                except BaseException:
                    abandon(cluster, others)
                    raise
            with closed_at_end(cluster, others):
                yield cluster


@contextmanager
def _signals_kept() -> Iterator[None]:
    """A module that is imported takes no signals: dask-jobqueue's end the process with status 0."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    kept = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for one, handler in kept.items():
            if handler is not None:  # which was set outside of Python, and cannot be set here
                signal.signal(one, handler)


def _closed_to_others(kind: Any, given: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a class, with an encrypted scheduler and no pages where none are asked for.

    Machines with SLURM are other people's, too.
    """
    if inspect.isclass(kind) and issubclass(kind, LocalCluster):
        return {"security": True, **NO_DASHBOARD, **given}
    if hasattr(kind, "job_cls"):
        pages = {"dashboard": False, "dashboard_address": "127.0.0.1:0"}
        scheduler = pages | (given.get("scheduler_options") or {})
        return {"security": True, **given, "scheduler_options": scheduler}
    return given


def _grow(cluster: Any, workers: int | None) -> None:
    """Ask for workers, and learn of what is refused."""
    if not workers:
        return
    if not isinstance(cluster, SpecCluster):
        cluster.scale(workers)
        return

    async def grow() -> None:
        # Dask asks for them in a callback, whose errors nobody gets; to await the cluster in the
        # same turn of its loop is to await that callback's work.
        cluster.scale(workers)
        await cluster

    cluster.sync(grow)


def _within(limit_s: float, do: Callable[[], T], undo: Callable[[T], None] | None = None) -> T:
    """Do what may take for ever in another thread, and have its result, if it is there in time.

    Args:
        limit_s: how long it may take.
        do: what.
        undo: is given a result that came too late.

    Raises:
        TimeoutError: it took longer. The thread goes on.
    """
    done: list[T] = []
    failed: list[BaseException] = []
    given_up = threading.Event()

    def work() -> None:
        try:
            with warnings.catch_warnings():
                # dask-jobqueue warns where it keeps the secret, in a file that only the user reads.
                warnings.filterwarnings("ignore", "Using a temporary security object")
                done.append(do())
        except BaseException as error:
            failed.append(error)
        if given_up.is_set() and done and undo is not None:
            undo(done[0])

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        thread.join(max(0.0, limit_s))
    finally:
        given_up.set()
    if failed:
        raise failed[0]
    if not done:
        raise TimeoutError
    return done[0]


@contextmanager
def _explained(path: str, name: str, asked: str, limit_s: float) -> Iterator[None]:
    """Say in a sentence why a cluster cannot be made."""
    try:
        yield
    except TimeoutError as error:
        raise CoreframeError(
            f"the cluster of {path} ({name}) did not start within {limit_s:g} s. Look whether "
            f"{asked} answers, or wait longer with --cluster-timeout."
        ) from error
    except FileNotFoundError as error:
        raise CoreframeError(
            f"{name} of {path} runs {error.filename}, which is not on this machine. Run the "
            "command where it is, such as on a login node."
        ) from error
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise _cannot_be_made(path, name, error) from error
    except (RuntimeError, OSError) as error:
        raise CoreframeError(
            f"the cluster of {path} ({name}) cannot be started: {_reason(error)}."
        ) from error


def _cannot_be_made(path: str, name: str, error: Exception) -> UsageError:
    return UsageError(
        f"the cluster file {path} asks for {name}, which cannot be made: {_reason(error)}. Install "
        "the package that has it, and look at its arguments."
    )


def _reason(error: Exception) -> str:
    """What went wrong, on one line; of a program, what it said."""
    text = str(error) or type(error).__name__
    program = re.search(r"Exit code: (\d+)\s+Command:\s+(\S+).*stderr:\s*(.*)", text, re.DOTALL)
    if program:
        text = f"{program[2]} ended with status {program[1]} and said {program[3] or 'nothing'}"
    text = text.removeprefix("Cluster failed to start: ")
    return " ".join(text.split()).rstrip(".")


def _say(what: str) -> None:
    logger.info(what)
    console = Console(stderr=True)
    if console.is_terminal:
        console.print(shown(what), highlight=False, markup=False, soft_wrap=True)
