"""What happens to videos while workers read them."""

from dataclasses import dataclass, field
from typing import NamedTuple


class Quarantine(NamedTuple):
    """What took a video out."""

    reason: str
    """Why it is not tried any more."""
    attempts: int
    """Workers that it has cost."""


@dataclass
class Incidents:
    """What happened to videos while they were read, by their numbers in the catalogue."""

    damaged: set[int] = field(default_factory=set)
    """Videos that need a census before their rows here can be embedded."""
    notes: dict[int, str] = field(default_factory=dict)
    """video -> what its census found."""
    censuses: set[int] = field(default_factory=set)
    """Videos of which one was taken here."""
    unreadable: dict[int, str] = field(default_factory=dict)
    """video -> why its rows here stay uncommitted."""
    quarantined: dict[int, Quarantine] = field(default_factory=dict)
    """video -> why it is not tried any more."""
    fallbacks: dict[int, str] = field(default_factory=dict)
    """video -> why CPU cores decoded it, though there is a GPU."""
    faults: set[tuple[int, int]] = field(default_factory=set)
    """Where a GPU failed: video, and the position of the first frame that it still owed, -1 for
    none."""

    def __ior__(self, other: "Incidents") -> "Incidents":
        """Add what happened elsewhere."""
        self.damaged |= other.damaged
        self.notes |= other.notes
        self.censuses |= other.censuses
        self.unreadable |= other.unreadable
        self.quarantined |= other.quarantined
        self.fallbacks |= other.fallbacks
        self.faults |= other.faults
        return self
