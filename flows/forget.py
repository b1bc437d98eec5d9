"""Forgetting videos: plain functions, not Prefect flows.

A flow's parameters, which would be the names of what is to be forgotten, stay in the database of
Prefect's server.
"""

from collections.abc import Sequence
from typing import Any

from coreframe.flows.record import recorded
from coreframe.tasks.forget.find import Found
from coreframe.tasks.forget.task import forget as forget_contents
from coreframe.tasks.forget.task import unforget as let_in
from coreframe.tasks.forget.task import what_goes
from coreframe.tasks.store.store import Store


def forget(
    store: str, videos: Sequence[str], wait_s: float = 0.0, *, dry_run: bool = False
) -> dict[str, Any]:
    """Remove videos and all that a store holds of them, for good.

    Returns:
        ``contents``, ``videos``, ``frames``: how many; ``fingerprints``; ``outside``: a path and a
        number of frames, None for a model, of each folder that holds something of them; and
        ``dry_run``.

    Raises:
        UsageError: a name means nothing.
        CoreframeError: another run writes to the store, or it is damaged.
    """
    opened = Store.open(store)
    found, outside = what_goes(opened, videos)
    if not dry_run:
        with recorded(opened, "forget", {"store": store}, wait_s) as record:
            found, outside = what_goes(opened, videos)  # another run may have ended meanwhile
            record["counts"] = _counts(found)
            forget_contents(opened, found)
    return _counts(found) | {
        "fingerprints": sorted(found.fingerprints),
        "outside": [(one.path, one.frames) for one in outside],
        "dry_run": dry_run,
    }


def _counts(found: Found) -> dict[str, int]:
    return {
        "contents": len(found.fingerprints),
        "videos": len(found.videos),
        "frames": found.frames,
    }


def unforget(store: str, videos: Sequence[str], wait_s: float = 0.0) -> list[str]:
    """Let forgotten contents in again, by their files or fingerprints: which.

    Raises:
        UsageError: one of them is not forgotten.
        CoreframeError: another run writes to the store.
    """
    opened = Store.open(store)
    with recorded(opened, "unforget", {"store": store}, wait_s):
        return sorted(let_in(opened, videos))
