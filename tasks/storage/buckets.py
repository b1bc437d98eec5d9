"""Object stores: how they are asked, and what is done and said when they do not answer.

A request may be refused, its answer may be lost after the work was done, or be cut. So each is made
again for some minutes (:mod:`coreframe.tasks.storage.patience`); all but the conditional write of
:meth:`Bucket.put_if` come to the same when they are done twice.
"""

import os
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from coreframe.tasks.errors import OutOfReachError, UsageError
from coreframe.tasks.storage.patience import Outage, Tries, may_come_right

T = TypeVar("T")

SCHEMES = ("s3://", "gs://", "az://")

REQUEST_S = 120.0
"""A request that takes longer counts as failed; the largest brings some MiB."""

SWAP_S = 15.0
"""Likewise a conditional write: what is written so is small, and a lease waits for it."""

RETRIES: dict[str, Any] = {
    # of pages of long listings, which cannot be asked for one by one; the rest is done here
    "max_retries": 3,
    "retry_timeout": timedelta(minutes=1),
    "backoff": {
        "init_backoff": timedelta(milliseconds=50),
        "max_backoff": timedelta(seconds=5),
    },
}


class StoredObject(NamedTuple):
    """An object in a bucket."""

    name: str
    """Of an object in a `Bucket`, below its prefix."""
    size_bytes: int
    version: str
    """What the service names its version by, another for another content; "" if it does not."""


class UnansweredError(Exception):
    """A request that is not made again failed, and may have done its work all the same."""


class Client(NamedTuple):
    """What a process has of one bucket; it is safe among threads."""

    store: Any
    """Obstore's."""
    quick: Any
    """The same, which gives up a request sooner."""
    outage: Outage


def is_url(place: str | Path) -> bool:
    """Whether a place lies in an object store."""
    return str(place).startswith(SCHEMES)


@lru_cache(maxsize=64)
def _client(root: str, environment: tuple[tuple[str, str], ...]) -> Client:
    """A process's client of a bucket, in an environment.

    Raises:
        UsageError: the URL or what the environment says of it cannot be used.
    """
    from obstore.exceptions import BaseError
    from obstore.store import from_url

    def made(limit_s: float) -> Any:
        # servers on a loopback or a private network, such as MinIO's, often speak plain HTTP
        client = {"allow_http": True, "timeout": timedelta(seconds=limit_s)}
        options: dict[str, Any] = {"client_options": client, "retry_config": RETRIES}
        return from_url(root, **options)

    try:
        return Client(made(REQUEST_S), made(SWAP_S), Outage())
    except (BaseError, ValueError) as error:
        raise UsageError(f"{root} cannot be used: {error}") from error


class Bucket:
    """The objects under a URL's prefix, by the rest of their names.

    Every method raises OutOfReachError, in a sentence, when the bucket refuses or goes on failing.
    """

    def __init__(self, url: str) -> None:
        """Look at nothing yet.

        Raises:
            UsageError: the URL or what the environment says of it cannot be used.
        """
        self.url = url.rstrip("/")
        scheme, _, rest = self.url.partition("://")
        root, _, prefix = rest.partition("/")
        self._prefix = f"{prefix}/" if prefix else ""
        self._client = _client(f"{scheme}://{root}", _environment())

    def head(self, name: str) -> StoredObject:
        """What is known of an object.

        Raises:
            FileNotFoundError: there is none.
        """
        found = self._ask("looked at", name, lambda: self._store.head(self._key(name)), True)
        return self._object(found)

    def has(self, name: str) -> bool:
        """Whether there is such an object."""
        try:
            self.head(name)
        except FileNotFoundError:
            return False
        return True

    def get(self, name: str) -> tuple[bytes, dict[str, str]]:
        """An object's content, and what names its version in conditions.

        Raises:
            FileNotFoundError: there is none.
        """

        def ask() -> tuple[bytes, dict[str, str]]:
            found = self._store.get(self._key(name))
            known = {key: found.meta.get(key) for key in ("e_tag", "version")}
            return bytes(found.bytes()), {key: one for key, one in known.items() if one is not None}

        return self._ask("read", name, ask, True)

    def get_range(self, name: str, start: int, length: int) -> bytes:
        """A part of an object, in bytes.

        Raises:
            FileNotFoundError: there is no such object.
        """
        key = self._key(name)
        return self._ask(
            "read",
            name,
            lambda: bytes(self._store.get_range(key, start=start, length=length)),
            True,
        )

    def put(self, name: str, data: bytes) -> None:
        """Write an object, or replace it."""
        self._ask("written", name, lambda: self._store.put(self._key(name), data))

    def put_if(self, name: str, data: bytes, version: dict[str, str] | None) -> bool:
        """Write an object once, if it still has a version, or does not exist for None.

        Returns:
            Whether it was so.

        Raises:
            UnansweredError: no answer came; the object may have been written, or may yet be.
        """
        from obstore import exceptions as theirs

        mode: Any = "create" if version is None else version
        try:
            self._client.quick.put(self._key(name), data, mode=mode)
        except (FileNotFoundError, theirs.AlreadyExistsError, theirs.PreconditionError):
            return False
        except theirs.BaseError as error:
            if not _may_come_right(error):
                raise self.out_of_reach("written", name, _why(error)) from error
            raise UnansweredError(_why(error)) from error
        return True

    def tries(self) -> Tries:
        """For what a caller makes again itself, after :class:`UnansweredError`."""
        return Tries(self._client.outage)

    def listed(self, inner: str = "") -> list[StoredObject]:
        """All objects in an inner folder, or of all, in the order of their names.

        A listing that breaks off goes on after what it has brought.
        """
        prefix = self._key(inner).rstrip("/") or None
        found: list[Any] = []

        def ask() -> None:
            after = found[-1]["path"] if found else None
            for batch in self._store.list(prefix, offset=after):
                found.extend(batch)

        self._ask("listed", inner, ask)
        return sorted(map(self._object, found))

    def level(self, inner: str = "") -> list[str]:
        """Last parts of the names of the folders and objects directly in a folder, in order."""
        prefix = self._key(inner).rstrip("/") or None
        found = self._ask("listed", inner, lambda: self._store.list_with_delimiter(prefix))
        whole = [*found["common_prefixes"], *(item["path"] for item in found["objects"])]
        return sorted(path.rstrip("/").rpartition("/")[2] for path in whole)

    def delete(self, names: list[str]) -> None:
        """Delete objects; nothing happens to those that there are none of."""
        keys = [self._key(name) for name in names]

        def ask() -> None:
            try:
                self._store.delete(keys)
            except FileNotFoundError:  # some services say so, of what an unheard answer was about
                for key in keys:
                    with suppress(FileNotFoundError):
                        self._store.delete(key)

        if names:
            self._ask("deleted", names[0], ask)

    @property
    def _store(self) -> Any:
        return self._client.store

    def _key(self, name: str) -> str:
        return f"{self._prefix}{name}"

    def _object(self, found: Any) -> StoredObject:
        name = found["path"].removeprefix(self._prefix)
        return StoredObject(name, int(found["size"]), found.get("e_tag") or "")

    def _ask(self, done: str, name: str, request: Callable[[], T], may_lack: bool = False) -> T:
        """Make a request until it is answered.

        Args:
            done: to the object, in a word.
            name: of the object.
            request: what asks for it.
            may_lack: there may be no such object: FileNotFoundError passes unchanged.
        """
        from obstore.exceptions import BaseError

        tries = self.tries()
        while True:
            try:
                answer = request()
            except FileNotFoundError as error:
                self._client.outage.over()
                if may_lack:
                    raise
                raise self.out_of_reach(done, name, _why(error)) from error
            except BaseError as error:
                why = _why(error)
                if not (_may_come_right(error) and tries.another(f"{self.url}/{name}", why)):
                    raise self.out_of_reach(done, name, why, tries) from error
            else:
                self._client.outage.over()
                return answer

    def out_of_reach(
        self, done: str, name: str, why: str, tries: Tries | None = None
    ) -> OutOfReachError:
        """What is to be raised of a request that is given up.

        Args:
            done: what could not be done to the object, in a word.
            name: of the object.
            why: as the bucket or its client says.
            tries: that were made, if more than one.
        """
        place = f"{self.url}/{name}" if name else self.url
        tried = ""
        if tries is not None and tries.made > 1:
            tried = f", tried {tries.made} times in {tries.seconds:.0f} s"
        return OutOfReachError(
            f"{place} cannot be {done}: its bucket does not answer as it should "
            f"({why}){tried}. Look at the bucket, its region and the credentials, then run "
            "again."
        )


def in_bucket(url: str) -> tuple[Bucket, str]:
    """The place that an object lies in, and its name there."""
    parent, _, name = url.rpartition("/")
    return Bucket(parent), name


def _environment() -> tuple[tuple[str, str], ...]:
    """What the environment says of buckets: it may be set after a first try has failed."""
    own = ("AWS_", "GOOGLE_", "AZURE_")
    return tuple(sorted(item for item in os.environ.items() if item[0].startswith(own)))


def _may_come_right(error: Exception) -> bool:
    from obstore import exceptions as theirs

    answers = (
        theirs.InvalidPathError,
        theirs.NotModifiedError,
        theirs.NotSupportedError,
        theirs.PermissionDeniedError,
        theirs.PreconditionError,
        theirs.UnauthenticatedError,
        theirs.UnknownConfigurationKeyError,
    )
    return not isinstance(error, answers) and may_come_right(str(error))


def _why(error: Exception) -> str:
    """What the client says of a failure, without what is for its developers."""
    said, _, details = str(error).partition("\n\nDebug source")
    message = re.search("<Message>(.*?)</Message>", said, re.DOTALL)
    brief = " ".join(said.partition("<?xml")[0].split()).rstrip(": ")
    cause = message or re.search(r'message: "([^"]+)"', details)
    return f"{brief}: {cause[1]}" if cause else brief
