"""What exporting images came to."""

from dataclasses import dataclass, field


@dataclass
class Exported:
    """What was written."""

    files: int = 0
    absent: int = 0
    """Frames whose videos are gone and of which there is no image."""
    kept_bytes: int = 0
    sample: list[tuple[int, int]] = field(default_factory=list)
    """(PNG bytes, JPEG bytes) of each measured frame at full resolution."""
    small: dict[str, bytes] = field(default_factory=dict)
    """Small WebP pictures of the files written, by their paths."""
    failures: list[str] = field(default_factory=list)
    """One sentence for each frame that could not be written."""
