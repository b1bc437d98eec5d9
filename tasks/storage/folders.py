"""Folders of small files, such as a store: written so that nothing is half there.

A reader sees a file as it was or as it is, never half of it, and of several processes that want to
replace the same version of a file exactly one does.
"""

import errno
import io
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from coreframe.tasks.errors import CoreframeError
from coreframe.tasks.names import shown
from coreframe.tasks.storage.buckets import Bucket, UnansweredError, is_url

GUARD = ".guard"
"""What processes of one machine lock for a moment, empty."""


class Folder(Protocol):
    """Files by name; names hold ``/`` where there are folders inside."""

    name: str
    """An absolute path or a URL."""

    at_once: int
    """Files that are best read at once: each takes memory, and a wait where it is far away."""

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

    def zarr_store(self) -> Any:
        """What Zarr opens to find this folder."""

    def size_bytes(self) -> int:
        """Bytes of all files in it and in the folders inside."""


def open_folder(place: str | Path) -> Folder:
    """The folder at a path or URL; nothing is made or looked at yet.

    Raises:
        UsageError: the URL names no bucket, or credentials that cannot be used.
    """
    return BucketFolder(str(place)) if is_url(place) else LocalFolder(place)


@contextmanager
def explain_full_disk(place: str | Path) -> Iterator[None]:
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


def inside(folder: str, name: str) -> str:
    """A name of a file or folder in a folder, as it is.

    Names come from catalogues and selections, too, which anybody may have written.

    Args:
        folder: its path or URL.
        name: as it was given.

    Raises:
        CoreframeError: it names the folder itself, or leads elsewhere.
    """
    if "\0" in name or {"", ".", ".."} & set(name.split("/")):
        raise CoreframeError(
            f"{shown(name)!r} would lead out of {folder}: no such name was written by Coreframe. "
            "Nothing was read or changed there; find out where it comes from."
        )
    return name


def save_array(folder: Folder, name: str, values: NDArray[Any]) -> None:
    """Write an ``.npy`` file."""
    buffer = io.BytesIO()
    np.save(buffer, values)
    folder.write(name, buffer.getvalue())


class LocalFolder:
    """:class:`Folder` on a file system of this machine."""

    at_once = 2

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).absolute()  # workers may run in another folder
        self.name = str(self.path)

    def read(self, name: str) -> bytes:
        return self._place(name).read_bytes()

    def write(self, name: str, data: bytes) -> None:
        path = self._own_place(name)
        temporary = path.with_name(f".{path.name}.{uuid4().hex}.tmp")
        with explain_full_disk(path):
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
        return self._place(name).exists()

    def names(self, inner: str = "") -> list[str]:
        folder = self._place(inner) if inner else self.path
        try:
            return sorted(path.name for path in folder.iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return []

    def delete(self, name: str) -> None:
        path = self._own_place(name)
        if path.is_dir() and not path.is_symlink():
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
    def _alone(self) -> Iterator[None]:
        """Keep others out for a moment; the system lets go of it when a process dies."""
        import fcntl

        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / GUARD).open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def writable(self) -> bool:
        """Whether this process may write to the folder, which exists."""
        return os.access(self.path, os.W_OK, effective_ids=True)

    def _place(self, name: str) -> Path:
        return self.path / inside(self.name, name)

    def _own_place(self, name: str) -> Path:
        """Where a file is that may be changed: not behind a link that leads out of the folder.

        Raises:
            CoreframeError: it is.
        """
        path = self._place(name)
        parent, own = os.path.realpath(path.parent), os.path.realpath(self.path)
        if os.path.commonpath([parent, own]) != own:
            raise CoreframeError(
                f"{shown(str(path))} lies in {shown(parent)}, outside {self.name}, by a link: "
                "nothing is changed there. Put a folder in the place of the link."
            )
        return path

    def zarr_store(self) -> Any:
        return self.name

    def size_bytes(self) -> int:
        sizes = 0
        for path in self.path.rglob("*"):
            with suppress(FileNotFoundError):  # one that another process just replaced
                sizes += path.stat().st_size if path.is_file() else 0
        return sizes


class BucketFolder:
    """:class:`Folder` under a prefix of a bucket, through obstore (the Rust object_store crate).

    Credentials and endpoints come from the environment variables that each service's own tools
    read, such as ``AWS_ACCESS_KEY_ID`` and ``AWS_ENDPOINT_URL``.
    """

    at_once = 8

    def __init__(self, url: str) -> None:
        self._bucket = Bucket(url)
        self.name = self._bucket.url

    def __reduce__(self) -> tuple:
        return BucketFolder, (self.name,)

    def read(self, name: str) -> bytes:
        return self._bucket.get(inside(self.name, name))[0]

    def write(self, name: str, data: bytes) -> None:
        self._bucket.put(inside(self.name, name), data)

    def exists(self, name: str) -> bool:
        return self._bucket.has(inside(self.name, name))

    def names(self, inner: str = "") -> list[str]:
        return self._bucket.level(inside(self.name, inner) if inner else inner)

    def delete(self, name: str) -> None:
        held = [found.name for found in self._bucket.listed(inside(self.name, name))]
        self._bucket.delete(held or [name])

    def swap(self, name: str, before: bytes | None, after: bytes) -> bool:
        """A write whose answer was lost may have been done, and the next then meets its own.

        So whatever a write came to but success, the object is read again. Holding what this asked
        for, it is this that wrote it; holding what was before, nothing was done, and it is tried
        again; else another came before, or after: then it no longer is as wanted.
        """
        name = inside(self.name, name)
        tries, asked = self._bucket.tries(), False
        while True:
            now, version = None, None
            if asked or before is not None:
                with suppress(FileNotFoundError):
                    now, version = self._bucket.get(name)
            if now != before:
                return asked and now == after
            try:
                if self._bucket.put_if(name, after, version):
                    return True
                why = "another came between"
            except UnansweredError as error:
                why = str(error)
            asked = True
            if not tries.another(f"{self.name}/{name}", why):
                raise self._bucket.out_of_reach("written", name, why, tries)

    def zarr_store(self) -> Any:
        from coreframe.tasks.storage.zarr_store import FolderStore

        return FolderStore(self)

    def size_bytes(self) -> int:
        return sum(found.size_bytes for found in self._bucket.listed(""))
