"""Single files, such as videos: whether they are there, and reading anywhere in them."""

import errno
import io
import os
import stat
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, cast

from coreframe.tasks.errors import OutOfReachError
from coreframe.tasks.storage.buckets import Bucket, StoredObject, in_bucket, is_url
from coreframe.tasks.watchdog import elsewhere

LEAST_RANGE_BYTES, MOST_RANGE_BYTES = 64 * 1024, 4 * 1024 * 1024
"""Of one request for a part of an object."""


def exists(place: str) -> bool:
    """Whether there is a file at a path or URL.

    Raises:
        OSError: nobody can tell: a folder on the way to it cannot be read.
    """
    if not is_url(place):
        return Path(place).exists()
    bucket, name = in_bucket(place)
    return bucket.has(name)


def size_bytes(place: str) -> int:
    """Size of the file at a path or URL.

    Raises:
        OSError: there is none.
    """
    if not is_url(place):
        return Path(place).stat().st_size
    bucket, name = in_bucket(place)
    return bucket.head(name).size_bytes


def open_file(place: str) -> BinaryIO:
    """Open the file at a path or URL for reading anywhere in it.

    Raises:
        OSError: there is none, or it is a pipe, a device, a socket: whoever opened one might wait
            for ever for what comes of it.
    """
    if is_url(place):
        return cast(BinaryIO, RangeFile(place))
    _refuse_what_is_no_file(Path(place).stat().st_mode)
    # what has come in its place meanwhile does not keep anyone waiting either
    opened = os.open(place, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        _refuse_what_is_no_file(os.fstat(opened).st_mode)
        return open(opened, "rb")
    except OSError:
        os.close(opened)
        raise


def _refuse_what_is_no_file(mode: int) -> None:
    kinds = {
        stat.S_IFIFO: "a pipe (FIFO)",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
        stat.S_IFSOCK: "a socket",
        stat.S_IFDIR: "a folder",
    }
    if not stat.S_ISREG(mode):
        kind = kinds.get(stat.S_IFMT(mode), "something else")
        raise OSError(errno.EINVAL, f"{kind}, not a file: leave it out")


def listed(url: str) -> list[StoredObject]:
    """The objects at or under a URL, in the order of their names, which are URLs here."""
    url = url.rstrip("/")
    if url.count("/") > 2:  # below a bucket it may be one object
        bucket, name = in_bucket(url)
        with suppress(FileNotFoundError):
            return [bucket.head(name)._replace(name=url)]
    return [found._replace(name=f"{url}/{found.name}") for found in Bucket(url).listed()]


class RangeFile(io.RawIOBase):
    """An object read by ranges: little after a jump, twice as much each time that reading goes on.

    Attributes:
        requests: made so far.
        bytes_read: that they have brought.
    """

    def __init__(self, url: str) -> None:
        self._bucket, self._name = in_bucket(url)
        self._size = self._bucket.head(self._name).size_bytes
        self._failure: Exception | None = None
        self._place = 0
        self._start, self._held = 0, b""
        self._ahead = LEAST_RANGE_BYTES
        self.requests, self.bytes_read = 1, 0

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it, and raise again what kept it from being read.

        Whatever went on reading was told that the file ends there: a video whose bucket was out of
        reach for a while must not pass for one that is short or broken.
        """
        self.close()
        if self._failure is not None and (kind is None or issubclass(kind, Exception)):
            raise self._failure

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        self._place = max(0, base + offset)
        return self._place

    def readinto(self, buffer: Any) -> int:
        wanted = min(len(buffer), self._size - self._place)
        if wanted <= 0 or self._failure is not None:  # PyAV would print the first at a second one
            return 0
        inside = self._place - self._start
        if not 0 <= inside < len(self._held):
            self._fetch(wanted)
            inside = 0
        given = self._held[inside : inside + wanted]
        buffer[: len(given)] = given
        self._place += len(given)
        return len(given)

    def _fetch(self, wanted: int) -> None:
        goes_on = self._place == self._start + len(self._held)
        self._ahead = min(2 * self._ahead, MOST_RANGE_BYTES) if goes_on else LEAST_RANGE_BYTES
        length = min(max(wanted, self._ahead), self._size - self._place)
        try:
            with elsewhere():  # which has a limit of its own
                self._held = self._bucket.get_range(self._name, self._place, length)
        except (OutOfReachError, FileNotFoundError) as error:
            self._failure = error
            raise
        self._start = self._place
        self.requests += 1
        self.bytes_read += length
