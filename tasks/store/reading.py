"""Turning what a damaged file raises into a sentence that names it, and the mend."""

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa

from coreframe.tasks.errors import CoreframeError, UsageError


def mend(store: str) -> str:
    """What to do about a damaged store, at the end of a sentence."""
    return f"mend the store with `coreframe check --store {store} --repair`, then ingest again"


@contextmanager
def understandably(store: str, name: str) -> Iterator[None]:
    """Name the file of a store in whatever error its unreadable content gives rise to."""
    try:
        yield
    except (UsageError, CoreframeError):
        raise
    except FileNotFoundError as error:
        raise CoreframeError(f"{store}/{name} is missing: {mend(store)}.") from error
    except (
        OSError,
        ValueError,
        LookupError,
        TypeError,
        RuntimeError,
        AttributeError,
        ArithmeticError,
        pa.ArrowException,
    ) as error:
        why = " ".join(str(error).split()) or type(error).__name__
        raise CoreframeError(f"{store}/{name} cannot be read ({why}): {mend(store)}.") from error
