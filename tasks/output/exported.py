"""What exporting images came to."""

from dataclasses import dataclass, field
from typing import NamedTuple

from coreframe.tasks.store.catalogue import VideoState

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
