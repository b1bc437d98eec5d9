"""How much memory the vectors that a process keeps may take."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil

MEMORY_SHARE = 0.5
"""Of a process's memory limit that it may reach with the vectors it keeps. At 0.6 Dask begins to
move what a worker holds to disk, at 0.95 it ends the worker."""

CGROUP_LIMITS = (
    "/sys/fs/cgroup/memory.max",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes",
)
"""Where Linux says what a container may take: of version 2 of control groups, and of version 1."""


def vectors_bytes(limit_bytes: int, used_bytes: int) -> int:
    """What vectors may fill in a process with this limit that takes so much already."""
    return int(max(0.0, MEMORY_SHARE * limit_bytes - used_bytes))


def own_vectors_bytes(limit_bytes: int | None = None) -> int:
    """What vectors may fill in this process.

    Args:
        limit_bytes: its memory limit; by default all that the machine has, or the container.
    """
    if limit_bytes is None:
        limit_bytes = machine_bytes()
    return vectors_bytes(limit_bytes, psutil.Process().memory_info().rss)


def machine_bytes(limit_files: Sequence[str] = CGROUP_LIMITS) -> int:
    """Memory of this machine, or of the container that this process is in.

    Args:
        limit_files: that say what a container may take; of those that are there, the least counts.
    """
    limits = [psutil.virtual_memory().total]
    for file in limit_files:
        with suppress(OSError, ValueError):  # there is none, or it says that there is no limit
            limits.append(int(Path(file).read_text()))
    return min(limits)
