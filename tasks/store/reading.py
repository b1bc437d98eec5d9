"""Turning what a damaged file raises into a sentence that names it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from coreframe.tasks.errors import CoreframeError, UsageError


@contextmanager
def understandably(path: str | Path) -> Iterator[None]:
    """Name the file in whatever error its unreadable content gives rise to."""
    try:
        yield
    except (UsageError, CoreframeError):
        raise
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, pa.ArrowException) as error:
        raise CoreframeError(
            f"{path} cannot be read ({error}). Restore it, or delete the store and ingest again."
        ) from error
