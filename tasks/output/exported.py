"""What exporting images came to."""

from dataclasses import dataclass, field
from typing import NamedTuple

from coreframe.tasks.storage.files import exists
from coreframe.tasks.storage.fingerprint import fingerprint
from coreframe.tasks.store.catalogue import GONE, REPLACED, UNREADABLE, VideoState

RESTORE = "Restore the video, or ingest it again, and select again."
NOTHING_MORE = ""


@dataclass(frozen=True)
class Failure:
    """A frame that could not be written."""

    sentence: str
    """Which, and why; without a full stop."""
    next_step: str = RESTORE
    """A sentence, or NOTHING_MORE where the other one says it."""
    target: str = ""
    """The image's absolute path."""


class Fault(NamedTuple):
    """Why a video did not give again what was embedded of it."""

    state: VideoState
    """That it is to be in: quarantined, or missing where its file is gone or cannot be read."""
    reason: str
    """For people."""


def fault(source: str, known: str, trouble: Exception) -> Fault:
    """What is wrong with a video whose frames did not come: with its file, or what is in it.

    Args:
        source: the file.
        known: the fingerprint of what was embedded.
        trouble: what decoding ended with.
    """
    cause = trouble.__cause__
    try:
        if not exists(source):
            return Fault(VideoState.MISSING, GONE)
        now = fingerprint(source)
    except OSError as unreadable:
        cause = unreadable
    if isinstance(cause, OSError):
        return Fault(VideoState.MISSING, f"{UNREADABLE}: {cause.strerror or cause}")
    if now != known:
        return Fault(VideoState.MISSING, REPLACED)
    detail = str(trouble).replace(source, "it")
    return Fault(VideoState.QUARANTINED, f"it does not decode to what was embedded: {detail}")


@dataclass
class Exported:
    """What was written."""

    files: int = 0
    absent: int = 0
    """Frames whose videos are gone and of which there is no image."""
    kept_bytes: int = 0
    sample: list[int] = field(default_factory=list)
    """Bytes of each measured frame, written as the chosen ones are; 0 of one that cannot be."""
    small: dict[str, bytes] = field(default_factory=dict)
    """Small WebP pictures of the files written, by their paths."""
    failures: list[Failure] = field(default_factory=list)
    """Of each frame that could not be written."""
    faults: dict[int, Fault] = field(default_factory=dict)
    """video -> what is wrong with it, of those whose frames did not come."""
