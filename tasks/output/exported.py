"""What exporting images came to."""

from dataclasses import dataclass, field
from typing import NamedTuple


class EncodedSizes(NamedTuple):
    """What one frame takes at full resolution."""

    png_bytes: int
    jpg_bytes: int


@dataclass
class Exported:
    """What was written."""

    files: int = 0
    absent: int = 0
    """Frames whose videos are gone and of which there is no image."""
    kept_bytes: int = 0
    sample: list[EncodedSizes] = field(default_factory=list)
    """Of each measured frame."""
    small: dict[str, bytes] = field(default_factory=dict)
    """Small WebP pictures of the files written, by their paths."""
    failures: list[str] = field(default_factory=list)
    """One sentence for each frame that could not be written."""
