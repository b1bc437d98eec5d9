"""One writer at a time: a lease on a store that its owner renews and that outlives nobody for long.

A file in the store names the run that writes. Whoever finds it asks whether that run still lives:
on its own machine by its process, elsewhere by the time until which the lease was last renewed
(clocks must agree to within some seconds). Taking, renewing and taking over are each one step that
nobody can come between (:meth:`coreframe.tasks.storage.folders.Folder.swap`), on disk and in object
stores alike. In these an answer may be lost after the work was done. So a run knows its own lease
by its token, whatever it believes to have written last; and what is written is never the same
twice, so that a write which a network has delayed does not find what it may replace.
"""

import errno
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import psutil

from coreframe.tasks.errors import CoreframeError, ReadOnlyError
from coreframe.tasks.store.store import Store, not_held

LOCK = "lock.json"


@dataclass(frozen=True)
class LeaseTimes:
    """How a lease is kept, in seconds."""

    lease_s: float = 60.0
    """After so long without renewal the owner counts as dead to other machines."""
    renew_s: float = 15.0
    """The owner renews it this often."""
    poll_s: float = 1.0
    """Who waits for it looks this often."""


LEASE_TIMES = LeaseTimes()


@dataclass(frozen=True)
class Holder:
    """Who writes to a store."""

    token: str
    """Told apart from every other lease by it."""
    run: str
    """Name of the flow and of its run, for people."""
    host: str
    where: str
    """This start of this machine and, in a container, which: process numbers count only there."""
    pid: int
    started_s: float
    """When the process began, seconds since 1970: process numbers are used again."""
    since: str
    until_s: float
    """Seconds since 1970; it is renewed before."""

    def lives(self) -> bool:
        """Whether the run may still be writing."""
        if self.where != _where():
            return time.time() < self.until_s
        if self.pid == os.getpid() and self.token not in _held:
            return False  # taken, or given back, by this process, which was never told that it was
        try:
            process = psutil.Process(self.pid)
            ended = process.status() == psutil.STATUS_ZOMBIE  # and its parent has not asked yet
            return not ended and abs(process.create_time() - self.started_s) < 1
        except psutil.NoSuchProcess:
            return False


_held: set[str] = set()
"""Tokens of the leases that this process holds or is asking for."""


@contextmanager
def writing(
    store: Store, run: str, wait_s: float = 0.0, times: LeaseTimes = LEASE_TIMES
) -> Iterator[None]:
    """Be the only one who writes to a store, for as long as the context lasts.

    ``store.guard`` raises meanwhile if the lease was lost, which takes that this process was
    stopped, or the store out of its reach, for longer than a lease lasts.

    Args:
        store: the store.
        run: a name for this run that tells people which it is.
        wait_s: how long to wait for another writer.
        times: how the lease is kept.

    Raises:
        CoreframeError: another run writes to it, and does not end in time.
        ReadOnlyError: nobody here may write to it.
    """
    try:
        mine = _take(store, run, wait_s, times)
    except OSError as error:
        if error.errno not in (errno.EROFS, errno.EACCES, errno.EPERM):
            raise
        raise ReadOnlyError(
            f"the store {store.path} cannot be written ({error.strerror}): run this as a user who "
            "may write there, or name another store."
        ) from error
    lease = _Lease(store, mine, times)
    ended = threading.Event()

    def keep() -> None:
        while not ended.wait(times.renew_s):
            with suppress(OSError, CoreframeError):  # out of reach: the next, or the guard, tries
                lease.renew()

    thread = threading.Thread(target=keep, name="coreframe-lease", daemon=True)
    thread.start()
    store.guard = lease.guard
    try:
        yield
    finally:
        ended.set()
        thread.join()
        store.guard = not_held
        lease.give_back()


class _Lease:
    """A lease that was taken."""

    def __init__(self, store: Store, mine: Holder, times: LeaseTimes) -> None:
        self._store, self._mine, self._times = store, mine, times
        self._one_at_a_time = threading.Lock()
        self._lost = False

    def renew(self) -> None:
        """Make it last longer, or find that it is lost.

        Raises:
            OSError, CoreframeError: the store is out of reach.
        """
        with self._one_at_a_time:
            until_s = time.time() + self._times.lease_s
            longer = replace(self._mine, until_s=until_s)
            if not self._lost and not self._replaced(_written(longer)):
                self._lost = True
            self._mine = longer

    def guard(self) -> None:
        """Make sure that it is held now, asking the store if it has not been renewed in time.

        Raises:
            CoreframeError: it is lost, or the store out of reach.
        """
        if time.time() > self._mine.until_s:
            self.renew()
        if self._lost:
            raise CoreframeError(
                f"this run was stopped, or {self._store.path} out of its reach, for over "
                f"{self._times.lease_s:g} s, and another may write to the store by now: run it "
                "again to continue."
            )

    def give_back(self) -> None:
        """Let others write."""
        with suppress(OSError, CoreframeError):  # a lease that cannot be given back runs out
            self._replaced(_released())
        _held.discard(self._mine.token)

    def _replaced(self, after: bytes) -> bool:
        """Write something else if it still is this lease that is written, renewed as it may be."""
        while True:
            found = _read(self._store)
            holder = _holder(found)
            if holder is None or holder.token != self._mine.token:
                return False
            if self._store.folder.swap(LOCK, found, after):
                return True


@contextmanager
def sole_writer(store: Store, run: str) -> Iterator[None]:
    """:func:`writing` for a moment, or nothing where this process is the only writer already."""
    if store.guard is not_held:
        with writing(store, run):
            yield
    else:
        store.guard()
        yield


def _take(store: Store, run: str, wait_s: float, times: LeaseTimes) -> Holder:
    """Take the lease."""
    own = psutil.Process()
    stop = time.monotonic() + wait_s
    while True:
        found = _read(store)
        holder = _holder(found)
        if holder is None or not holder.lives():
            mine = Holder(
                token=uuid4().hex,
                run=run,
                host=socket.gethostname(),
                where=_where(),
                pid=own.pid,
                started_s=own.create_time(),
                since=datetime.now(UTC).isoformat(timespec="seconds"),
                until_s=time.time() + times.lease_s,
            )
            _held.add(mine.token)
            taken = False
            try:
                taken = store.folder.swap(LOCK, found, _written(mine))
            finally:
                if not taken:
                    _held.discard(mine.token)
            if taken:
                return mine
        elif time.monotonic() >= stop:
            waited = f" {wait_s:g} s were not enough." if wait_s else ""
            raise CoreframeError(
                f"the store {store.path} is being written to by {holder.run} (process {holder.pid}"
                f" on {holder.host}, since {holder.since}).{waited} Wait for it with --wait "
                "SECONDS, or stop it first."
            )
        else:
            time.sleep(min(times.poll_s, max(0.0, stop - time.monotonic())))


def _read(store: Store) -> bytes | None:
    try:
        return store.folder.read(LOCK)
    except FileNotFoundError:
        return None


def _holder(found: bytes | None) -> Holder | None:
    """Who holds the lease; nobody, too, where what is written makes no sense."""
    try:
        return Holder(**json.loads(found or b"{}"))
    except (ValueError, TypeError):
        return None


def _written(holder: Holder) -> bytes:
    return f"{json.dumps(asdict(holder), indent=2)}\n".encode()


def _released() -> bytes:
    return f"{json.dumps({'released': uuid4().hex})}\n".encode()


def _where() -> str:
    """The same for two processes that see each other's numbers, and for no others."""
    parts = [socket.gethostname()]
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
    with suppress(OSError):
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    return " ".join(parts)
