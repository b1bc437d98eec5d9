"""Object stores: how they are reached, and what they answer in a sentence."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

from coreframe.tasks.errors import CoreframeError, UsageError

SCHEMES = ("s3://", "gs://", "az://")

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


@contextmanager
def answering(
    url: str, kind: type[Exception] = CoreframeError, *, found: bool = False
) -> Iterator[None]:
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
        message = re.search("<Message>(.*?)</Message>", said, re.DOTALL)
        brief = said.partition("<?xml")[0].strip().rstrip(":")
        why = f"{brief}: {message[1]}" if message else " ".join(brief.split())
        raise kind(
            f"{url} does not answer as it should ({why}). Look at the bucket, its region and the "
            "credentials, then run again."
        ) from error


def in_bucket(url: str) -> tuple[Any, str]:
    """A client of the place that an object lies in, and its name there."""
    parent, _, name = url.rpartition("/")
    return open_bucket(parent), name


def has(bucket: Any, name: str, url: str) -> bool:
    """Whether a bucket holds an object; ``url`` names it or its place to people."""
    try:
        with answering(url, found=True):
            bucket.head(name)
    except FileNotFoundError:
        return False
    return True
