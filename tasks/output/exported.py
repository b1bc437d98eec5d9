"""What exporting images came to."""

from dataclasses import dataclass, field

RESTORE = "Restore the video, or ingest it again, and select again."
NOTHING_MORE = ""


@dataclass(frozen=True)
class Failure:
    """A frame that could not be written."""

    sentence: str
    """Which, and why; without a full stop."""
    next_step: str = RESTORE
    """A sentence, or NOTHING_MORE where the other one says it."""


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
