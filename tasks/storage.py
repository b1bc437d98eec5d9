"""A folder of small files on this machine or in an object store, behind one door.

Everything that a store writes goes through here, so that it is safe in both places: a reader sees
a file as it was or as it is, never half of it, and of several processes that want to replace the
same version of a file exactly one does.
"""

import errno
import io
import os
import re
import shutil
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, cast
from uuid import uuid4

import numpy as np

from tasks.errors import CoreframeError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEMES = ("s3://", "gs://", "az://")

GUARD = ".guard"
"""What processes of one machine lock for a moment, empty."""

LEAST_RANGE_BYTES, MOST_RANGE_BYTES = 64 * 1024, 4 * 1024 * 1024
"""Of one request for a part of an object."""

RETRIES: dict[str, Any] = {
    "max_retries": 20,
    "retry_timeout": timedelta(minutes=5),
    "backoff": {"init_backoff": timedelta(milliseconds=200), "max_backoff": timedelta(seconds=20)},
}
"""A bucket that cannot be reached for a while is asked again, ever less often, for five minutes."""


CLIENT: dict[str, Any] = {
    # servers on a loopback or a private network, such as MinIO's, often speak plain HTTP
    "allow_http": True,
    "timeout": timedelta(minutes=2),
}


def is_url(place: str | Path) -> bool:
    """Whether a place lies in an object store."""
    return str(place).startswith(SCHEMES)


class Folder(Protocol):
    """Files by name; names hold ``/`` where there are folders inside."""

    name: str
    """An absolute path or a URL."""

    def read(self, name: str) -> bytes:
        """Read a whole file.

        Raises:
            FileNotFoundError: there is none.
        """

    def write(self, name: str, data: bytes) -> None:
        """Write or replace a whole file, and the folders it lies in."""

    def exists(self, name: str) -> bool: ...

    def names(self, inner: str = "") -> list[str]:
        """Names of the files and folders directly inside this or an inner folder, in order.

        They are relative to that inner folder; none when it does not exist.
        """

    def delete(self, name: str) -> None:
        """Delete a file, or a folder with all that is in it; nothing happens if there is none."""

    def swap(self, name: str, before: bytes | None, after: bytes) -> bool:
        """Replace a file if it still is what it was, as one step that nobody can come between.

        Args:
            name: the file's.
            before: what it must hold now; None for no file.
            after: what it is to hold.

        Returns:
            Whether it was so, and now is as wanted.
        """

    def load_array(self, name: str) -> np.ndarray:
        """Read an ``.npy`` file; only what is looked at, where that is possible."""

    def zarr_store(self) -> Any:
        """What Zarr opens to find this folder."""


def open_folder(place: str | Path) -> Folder:
    """The folder at a path or URL; nothing is made or looked at yet.

    Raises:
        UsageError: the URL names no bucket, or credentials that cannot be used.
    """
    return BucketFolder(str(place)) if is_url(place) else LocalFolder(place)


def exists(place: str) -> bool:
    """Whether there is a file at a path or URL."""
    if not is_url(place):
        return Path(place).exists()
    bucket, name = _in_bucket(place)
    try:
        with _answering(place, found=True):
            bucket.head(name)
    except FileNotFoundError:
        return False
    return True


def size_bytes(place: str) -> int:
    """Size of the file at a path or URL.

    Raises:
        OSError: there is none.
    """
    if not is_url(place):
        return Path(place).stat().st_size
    bucket, name = _in_bucket(place)
    with _answering(place, OSError, found=True):
        return int(bucket.head(name)["size"])


def open_file(place: str) -> BinaryIO:
    """Open the file at a path or URL for reading anywhere in it.

    Raises:
        OSError: there is none.
    """
    return open(place, "rb") if not is_url(place) else cast(BinaryIO, RangeFile(place))


def listed(url: str) -> list[tuple[str, str]]:
    """The objects at or under a URL, in the order of their names.

    Returns:
        The URL of each, and what the service names its version by ("" if it does not): another
        content has another.
    """
    url = url.rstrip("/")
    if url.count("/") > 2:  # below a bucket it may be one object
        bucket, name = _in_bucket(url)
        with suppress(FileNotFoundError), _answering(url, found=True):
            return [(url, bucket.head(name).get("e_tag") or "")]
    with _answering(url):
        found = [item for batch in open_bucket(url).list() for item in batch]
    return sorted((f"{url}/{item['path']}", item.get("e_tag") or "") for item in found)


def _in_bucket(url: str) -> tuple[Any, str]:
    """A client of the place that an object lies in, and its name there."""
    parent, _, name = url.rpartition("/")
    return open_bucket(parent), name


class RangeFile(io.RawIOBase):
    """An object read by ranges: little after a jump, twice as much each time that reading goes on.

    Attributes:
        requests: made so far.
        bytes_read: that they have brought.
    """

    def __init__(self, url: str) -> None:
        self._bucket, self._name = _in_bucket(url)
        self._size = size_bytes(url)
        self._place = 0
        self._start, self._held = 0, b""
        self._ahead = LEAST_RANGE_BYTES
        self.requests, self.bytes_read = 1, 0

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
        if wanted <= 0:
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
        with _answering(self._name, OSError):
            held = self._bucket.get_range(self._name, start=self._place, length=length)
        self._held = bytes(held)
        self._start = self._place
        self.requests += 1
        self.bytes_read += length


@contextmanager
def room(place: str | Path) -> "Iterator[None]":
    """Say in a sentence when writing to a place fails because its disk or quota is full.

    Raises:
        CoreframeError: naming the place and the next step.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise CoreframeError(
            f"no space is left for {place} ({os.strerror(error.errno)}): make room, then run the "
            "same again. It continues from what has been committed."
        ) from error


@contextmanager
def _answering(
    url: str, kind: type[Exception] = CoreframeError, *, found: bool = False
) -> "Iterator[None]":
    """Say in a sentence what a bucket answered, when that was nothing good.

    Args:
        url: of what was asked for.
        kind: of exception to raise.
        found: there may be no such object: FileNotFoundError passes unchanged.

    Raises:
        Exception: of the given kind. Answers to conditions pass unchanged.
    """
    from obstore import exceptions as theirs

    try:
        yield
    except (theirs.AlreadyExistsError, theirs.PreconditionError):
        raise
    except (theirs.BaseError, FileNotFoundError) as error:
        if found and isinstance(error, FileNotFoundError):
            raise
        said = str(error).partition("\n\nDebug source")[0]
        told = re.search("<Message>(.*?)</Message>", said, re.DOTALL)
        brief = said.partition("<?xml")[0].strip().rstrip(":")
        why = f"{brief}: {told[1]}" if told else " ".join(brief.split())
        raise kind(
            f"{url} does not answer as it should ({why}). Look at the bucket, its region and the "
            "credentials, then run again."
        ) from error


def save_array(folder: Folder, name: str, values: np.ndarray) -> None:
    """Write an ``.npy`` file."""
    buffer = io.BytesIO()
    np.save(buffer, values)
    folder.write(name, buffer.getvalue())


class LocalFolder:
    """:class:`Folder` on a file system of this machine."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).absolute()  # workers may run in another folder
        self.name = str(self.path)

    def read(self, name: str) -> bytes:
        return (self.path / name).read_bytes()

    def write(self, name: str, data: bytes) -> None:
        path = self.path / name
        temporary = path.with_name(f".{path.name}.{uuid4().hex}.tmp")
        with room(path):
            try:
                try:
                    temporary.write_bytes(data)
                except FileNotFoundError:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    temporary.write_bytes(data)
                os.replace(temporary, path)
            finally:
                temporary.unlink(missing_ok=True)

    def exists(self, name: str) -> bool:
        return (self.path / name).exists()

    def names(self, inner: str = "") -> list[str]:
        try:
            return sorted(path.name for path in (self.path / inner).iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return []

    def delete(self, name: str) -> None:
        path = self.path / name
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)

    def swap(self, name: str, before: bytes | None, after: bytes) -> bool:
        with self._alone():
            try:
                now = self.read(name)
            except FileNotFoundError:
                now = None
            if now != before:
                return False
            self.write(name, after)
            return True

    @contextmanager
    def _alone(self) -> "Iterator[None]":
        """Keep others out for a moment; the system lets go of it when a process dies."""
        import fcntl

        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / GUARD).open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def load_array(self, name: str) -> np.ndarray:
        return np.load(self.path / name, mmap_mode="r")

    def zarr_store(self) -> Any:
        return self.name


class BucketFolder:
    """:class:`Folder` under a prefix of a bucket, through obstore (the Rust object_store crate).

    Credentials and endpoints come from the environment variables that each service's own tools
    read, such as ``AWS_ACCESS_KEY_ID`` and ``AWS_ENDPOINT_URL``.
    """

    def __init__(self, url: str) -> None:
        self.name = url.rstrip("/")
        self._bucket = open_bucket(self.name)

    def __reduce__(self) -> tuple:
        return BucketFolder, (self.name,)

    def read(self, name: str) -> bytes:
        with _answering(self.name, found=True):
            return bytes(self._bucket.get(name).bytes())

    def write(self, name: str, data: bytes) -> None:
        with _answering(self.name):
            self._bucket.put(name, data)

    def exists(self, name: str) -> bool:
        try:
            with _answering(self.name, found=True):
                self._bucket.head(name)
        except FileNotFoundError:
            return False
        return True

    def names(self, inner: str = "") -> list[str]:
        with _answering(self.name):
            found = self._bucket.list_with_delimiter(inner or None)
        whole = [*found["common_prefixes"], *(item["path"] for item in found["objects"])]
        return sorted(PurePosixPath(name).name for name in whole)

    def delete(self, name: str) -> None:
        with _answering(self.name):
            inside = [item["path"] for batch in self._bucket.list(f"{name}/") for item in batch]
            self._bucket.delete(inside or [name])

    def swap(self, name: str, before: bytes | None, after: bytes) -> bool:
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        mode: Any = "create"
        try:
            if before is not None:
                with _answering(self.name, found=True):
                    found = self._bucket.get(name)
                    if bytes(found.bytes()) != before:
                        return False
                known = {key: found.meta.get(key) for key in ("e_tag", "version")}
                mode = {key: value for key, value in known.items() if value is not None}
            with _answering(self.name):
                self._bucket.put(name, after, mode=mode)
        except (FileNotFoundError, AlreadyExistsError, PreconditionError):
            return False
        return True

    def load_array(self, name: str) -> np.ndarray:
        return np.load(io.BytesIO(self.read(name)))

    def zarr_store(self) -> Any:
        from zarr.storage import ObjectStore

        return ObjectStore(self._bucket)


@lru_cache(maxsize=64)
def open_bucket(url: str) -> Any:
    """Obstore's client of a bucket and prefix; one a process and URL, it is safe among threads.

    Raises:
        UsageError: the URL or what the environment says of it cannot be used.
    """
    from obstore.exceptions import BaseError
    from obstore.store import from_url

    try:
        options: dict[str, Any] = {"client_options": CLIENT, "retry_config": RETRIES}
        return from_url(url, **options)
    except (BaseError, ValueError) as error:
        raise UsageError(f"{url} cannot be used: {error}") from error
