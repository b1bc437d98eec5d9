"""When a recording began, as its file says."""

from collections.abc import Mapping
from datetime import datetime

WHERE = ("com.apple.quicktime.creationdate", "creation_time", "date")
"""Keys of metadata, the best first: Apple's has the clock of the place, ``creation_time`` of MP4
is UTC by the standard, and of Matroska and others what the writer took it for."""

UNSET_YEARS = frozenset({1900, 1904, 1970})
"""In which the clocks of containers and cameras begin: who says so says nothing."""


def created(*metadata: Mapping[str, str]) -> str:
    """The moment that metadata name, ISO 8601 without a time zone; empty for none.

    Args:
        metadata: of the container, and of the stream.
    """
    for key in WHERE:
        for one in metadata:
            moment = _moment(one.get(key, ""))
            if moment is not None:
                return moment.replace(tzinfo=None).isoformat()
    return ""


def _moment(text: str) -> datetime | None:
    """A date with a time of day; a date alone says no hour."""
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    lone = len(text.strip()) <= len("2024-05-01")
    return None if lone or moment.year in UNSET_YEARS else moment
