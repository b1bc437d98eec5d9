"""What people write to say what they look for."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from coreframe.tasks.errors import UsageError

PREFIXES = "file:PATH, frame:VIDEO@TIME or text:WORDS"

FOUND = 20
"""Frames that a search shows where nobody says."""

APART_S = 2.0
"""Seconds between two of one video that it shows, where nobody says: not one moment twice."""


class Kind(StrEnum):
    """What a query is made of; each equals the word before its colon."""

    FILE = "file"
    """A picture that FFmpeg reads."""
    FRAME = "frame"
    """A frame of the store."""
    TEXT = "text"
    """Words, for embedders that know some."""


@dataclass(frozen=True)
class Query:
    """One thing that frames may be like, or unlike."""

    text: str
    """As it was written."""
    kind: Kind
    what: str
    """The path, the words, or the video's name."""
    time_s: float = 0.0
    """Of a frame."""


def parse_queries(texts: Sequence[str]) -> list[Query]:
    """Read several; see :func:`parse_query`."""
    return [parse_query(text) for text in texts]


def parse_query(text: str) -> Query:
    """Read ``file:PATH``, ``frame:VIDEO@TIME`` or ``text:WORDS``; or the path of a file that is.

    Raises:
        UsageError: it is none of these.
    """
    found = parse_prefixed(text)
    if found is not None:
        return found
    if text and Path(text).expanduser().is_file():
        return Query(text, Kind.FILE, text)
    raise UsageError(
        f"the query {text!r} is no file here: say what it is, {PREFIXES} (text:{text or 'a dog'})."
    )


def parse_prefixed(text: str) -> Query | None:
    """Read a query by its prefix; None of what has none.

    Raises:
        UsageError: what follows is not what the prefix says.
    """
    prefix, colon, what = text.partition(":")
    if not colon or prefix not in set(Kind):
        return None
    if not what.strip():
        raise UsageError(f"the query {text!r} says nothing after its prefix: use {PREFIXES}.")
    return _frame(text, what) if prefix == Kind.FRAME else Query(text, Kind(prefix), what)


def _frame(text: str, what: str) -> Query:
    video, at, time = what.rpartition("@")
    time_s = seconds(time)
    if not at or not video or time_s is None:
        raise UsageError(
            f"the query {text!r} is not frame:VIDEO@TIME, with a video as `coreframe info` names "
            "it and a time in seconds, m:ss or h:mm:ss, such as frame:drive.mp4@1:02.5."
        )
    return Query(text, Kind.FRAME, video, time_s)


def seconds(time: str) -> float | None:
    """Read ``62.5``, ``1:02.5`` or ``0:01:02.5``; None of what is no time from 0 on."""
    *before, last = time.split(":")
    if len(before) > 2 or not all(part.isascii() and part.isdecimal() for part in before):
        return None
    try:
        value = float(last)
    except ValueError:
        return None
    if not math.isfinite(value) or value < 0 or (before and value >= 60):
        return None
    if len(before) == 2 and int(before[1]) >= 60:
        return None
    for place, part in enumerate(reversed(before), 1):
        value += int(part) * 60**place
    return value


def spelled(time_s: float) -> str:
    """``m:ss.s`` for people, as :func:`seconds` reads it."""
    tenths = round(time_s * 10)
    sign, tenths = "-" * (tenths < 0), abs(tenths)
    return f"{sign}{tenths // 600}:{tenths % 600 // 10:02d}.{tenths % 10}"
