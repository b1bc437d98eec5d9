"""Whether a scheduler is there, speaks Dask's language and has workers: asked within a limit."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from dask.distributed import Security
from distributed.comm.addressing import parse_address
from distributed.comm.registry import backends
from distributed.core import rpc

from coreframe.tasks.errors import CoreframeError, UsageError

TRY_S = 10.0
"""A scheduler that took a connection and does not answer within this time is asked again."""

LOOK_AGAIN_S = 0.2

LOOK_AT_JOBS_EVERY_S = 5.0


def await_worker(
    address: str, end_s: float, limit_s: float, jobs: Callable[[], tuple[int, str]] | None = None
) -> None:
    """Wait until a scheduler has a worker.

    Args:
        address: the scheduler's.
        end_s: until when, on the monotonic clock.
        limit_s: what the person set, of which some may be over.
        jobs: of a cluster whose workers are jobs, says how many are left, and in words what of
            them is known.

    Raises:
        UsageError: it is no address of a scheduler.
        CoreframeError: nothing that is a scheduler answers in time, or it has no worker then, or
            no job that could become one.
    """
    scheme, place = parse_address(address)
    here = scheme == "inproc"  # of this process, and without a port
    if scheme not in backends or not (here or place.rpartition(":")[2].isdecimal()):
        raise UsageError(
            f"{address} is no address of a Dask scheduler: it looks like tcp://HOST:8786, or "
            "tls://HOST:8786."
        )
    try:
        asked = Security().get_connection_args("client")
    except OSError as error:
        raise UsageError(
            f"the certificates for {address}, which Dask's settings name (distributed.comm.tls), "
            f"cannot be read: {error}."
        ) from error
    if scheme == "tls" and asked["ssl_context"] is None:
        raise UsageError(
            f"{address} takes only who has its certificates: name them in Dask's settings, such as "
            "DASK_DISTRIBUTED__COMM__TLS__CA_FILE and __CLIENT__KEY and __CLIENT__CERT."
        )
    reason = asyncio.run(_look(address, asked, end_s, jobs))
    if reason:
        raise CoreframeError(reason.format(address=address, limit_s=limit_s))


async def _look(
    address: str,
    asked: dict[str, Any],
    end_s: float,
    jobs: Callable[[], tuple[int, str]] | None,
) -> str | None:
    """Look for a worker until the end: None, or a sentence that says what is missing."""
    reason = "nothing was heard of it"
    answered = False
    look_at_jobs_s = time.monotonic() + LOOK_AT_JOBS_EVERY_S
    while (left_s := end_s - time.monotonic()) > 0:
        try:
            try_s = min(TRY_S, left_s)
            if await asyncio.wait_for(_workers(address, asked, 0.8 * try_s), try_s):
                return None
            answered = True
        except TimeoutError:
            answered = answered and left_s < TRY_S  # or it was not asked for long
        except Exception as error:  # what others than schedulers send raises what it will
            answered, reason = False, _in_words(error) or reason
        if jobs is not None and answered and time.monotonic() > look_at_jobs_s:
            left, said = await asyncio.to_thread(jobs)
            if not left:
                return f"no worker has joined the scheduler at {{address}}: {said}."
            look_at_jobs_s = time.monotonic() + LOOK_AT_JOBS_EVERY_S
        await asyncio.sleep(min(LOOK_AGAIN_S, max(0.0, end_s - time.monotonic())))
    if answered and jobs is not None:
        said = (await asyncio.to_thread(jobs))[1]
        return (
            f"no worker has joined the scheduler at {{address}} within {{limit_s:g}} s: {said}. "
            "Wait longer with --cluster-timeout, or ask for what is free."
        )
    if answered:
        return (
            "the Dask scheduler at {address} has no worker after {limit_s:g} s. Start some (`dask "
            "worker {address}`), or wait longer with --cluster-timeout."
        )
    return (
        f"no Dask scheduler answers at {{address}} within {{limit_s:g}} s ({reason}). Start it, or "
        "leave --cluster out to work on this machine."
    )


async def _workers(address: str, asked: dict[str, Any], connect_s: float) -> int:
    scheduler = rpc(address, timeout=connect_s, connection_args=asked)
    try:
        return len(await scheduler.ncores())
    finally:
        await scheduler.close_rpc()


def _in_words(error: BaseException) -> str:
    """The first cause of an error, as one line without braces."""
    while error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, TimeoutError | asyncio.CancelledError):
        return ""
    said = str(error).rpartition(">: ")[2]  # Dask names its own objects first
    return " ".join(said.split()).translate(str.maketrans("{}", "()")) or type(error).__name__
