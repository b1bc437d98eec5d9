"""End a worker whose decoder hangs: nothing in Python can interrupt it, the process must go.

A thread that decodes says so (:func:`watching`), and gives a sign of life at every packet or frame
(:func:`beat`). When none comes for too long the reason is left behind and the process ends itself,
as a crash would end it. Dask then runs the job again on another worker.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

CHECK_S = 0.5


@dataclass
class _Watched:
    limit_s: float
    stalled: Callable[[], None]
    since: float | None
    """When the last sign of life came; None while others are at work, not the decoder."""


_watched: dict[int, _Watched] = {}
"""By thread."""

_started = threading.Lock()


@contextmanager
def watching(limit_s: float, stalled: Callable[[], None]) -> Iterator[None]:
    """Watch this thread while the context lasts.

    Args:
        limit_s: longest time without a sign of life; 0 watches nothing.
        stalled: called once before the process is killed.
    """
    if not limit_s:
        yield
        return
    if _started.acquire(blocking=False):
        threading.Thread(target=_watch, name="coreframe-watchdog", daemon=True).start()
    thread = threading.get_ident()
    _watched[thread] = _Watched(limit_s, stalled, time.monotonic())
    try:
        yield
    finally:
        del _watched[thread]


def beat() -> None:
    """Give a sign of life."""
    watched = _watched.get(threading.get_ident())
    if watched is not None:
        watched.since = time.monotonic()


def rest() -> None:
    """Say that what comes next is not the decoder's work; :func:`beat` ends that."""
    watched = _watched.get(threading.get_ident())
    if watched is not None:
        watched.since = None


@contextmanager
def elsewhere() -> Iterator[None]:
    """For as long as the context lasts this thread waits for another machine, not its decoder."""
    watched = _watched.get(threading.get_ident())
    counting = watched is not None and watched.since is not None
    rest()
    try:
        yield
    finally:
        if counting:
            beat()


def _watch() -> None:
    while True:
        time.sleep(CHECK_S)
        now = time.monotonic()
        for watched in list(_watched.values()):
            if watched.since is not None and now - watched.since > watched.limit_s:
                try:
                    watched.stalled()
                finally:
                    os.kill(os.getpid(), signal.SIGKILL)
