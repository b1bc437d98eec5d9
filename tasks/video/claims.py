"""How much a file may ask for: a small one can claim more than any machine could list.

An MP4 file may say in some bytes that there are thousands of millions of samples, all alike. FFmpeg
makes an entry of each when it opens the file: 24 bytes, or 36. So what such tables claim without
listing it is counted beforehand, and what a file gives is counted as it is read.
"""

import io
import re
from dataclasses import dataclass
from functools import cached_property
from typing import BinaryIO

from coreframe.tasks.errors import BrokenVideoError, NotAVideoError
from coreframe.tasks.video.contents import REFERENCES
from coreframe.tasks.video.mp4 import boxes, held, inner_boxes

MOST_FRAMES = 20_000_000
"""Of a file, unless another limit is given: a day at 30 a second is 2.6 million."""

LEAST_BYTES_A_FRAME = 8
"""The smallest that encoders made here of a picture that stands still was 15 bytes of the file a
frame (x264, 64x64), 30 at 1920x1080 (SVT-AV1)."""

MOST_PIXELS = 2**27
"""Of a picture: 16K (15360x8640) fits. In RGB it takes 400 MB, and decoding it some times that."""

MOST_STREAMS = 1000
"""Of a file: FFmpeg's own limit."""

SHORTEST_NAME_BYTES = 16
"""Of a file, with what stands before it; some writers leave the name empty that is their own."""

SIZES_OF_SAMPLES = 0x000F00
"""Flags of a fragment's run of samples: for each there is a duration, a size, flags, an offset."""


@dataclass(frozen=True)
class Allowance:
    """What one file may give."""

    size_bytes: int
    most_frames: int

    @cached_property
    def frames(self) -> int:
        """That are not refused."""
        return min(self.most_frames, self.size_bytes // LEAST_BYTES_A_FRAME)

    def check(self, frames: int) -> None:
        """Refuse a number of frames that a file has given or lists.

        Raises:
            BrokenVideoError: they are too many, or too many for its size.
        """
        if frames * LEAST_BYTES_A_FRAME > self.size_bytes:
            raise BrokenVideoError(
                f"it claims {frames:,} frames or more in {self.size_bytes:,} bytes, and at least "
                f"{LEAST_BYTES_A_FRAME} bytes a frame are needed to hold pictures: its index is "
                "damaged or made up, copy the file again"
            )
        if frames > self.most_frames:
            raise BrokenVideoError(
                f"it has {frames:,} frames or more, and {self.most_frames:,} are allowed: raise "
                "--max-frames-per-file if that is right, or cut it into parts"
            )


def refuse_claims(file: BinaryIO, most_frames: int) -> Allowance:
    """Refuse a file whose tables claim more than it can hold; what is no MP4 has no such tables.

    Returns:
        What it may give.

    Raises:
        BrokenVideoError: it claims more.
        NotAVideoError: its pictures lie in other files.
    """
    allowance = Allowance(file.seek(0, io.SEEK_END), most_frames)
    unlisted = 0
    for place, (kind, start, stop) in enumerate(boxes(file, 0, allowance.size_bytes)):
        if place == 0 and not re.fullmatch(rb"[A-Za-z0-9 ]{4}", kind):
            break  # FFmpeg takes it for MP4 whatever box comes first
        if kind == b"moov":
            unlisted += _of_tracks(*held(file, start, stop), allowance)
        elif kind == b"moof":
            unlisted += _of_fragment(file, start, stop)
            allowance.check(unlisted)
    file.seek(0)
    return allowance


def _of_tracks(file: BinaryIO, start: int, stop: int, allowance: Allowance) -> int:
    """How many samples are claimed of all tracks and listed nowhere."""
    unlisted = 0
    for kind, begin, end in boxes(file, start, stop):
        if kind != b"trak":
            continue
        found = {kind: (begin, end) for kind, begin, end in inner_boxes(file, begin, end)}
        claimed, listed = _sizes(file, found)
        handler = _bytes(file, found, b"hdlr", 12)[8:]
        if handler == b"vide":
            if _elsewhere(file, *found.get(b"dref", (0, 0))):
                raise NotAVideoError(REFERENCES)
            if claimed > allowance.most_frames:
                allowance.check(claimed)
        elif _raw_sound(file, found):  # FFmpeg lists its chunks only
            continue
        unlisted += max(0, claimed - listed)
        allowance.check(unlisted)
    return unlisted


def _bytes(file: BinaryIO, found: dict[bytes, tuple[int, int]], kind: bytes, length: int) -> bytes:
    """The beginning of a box; b"" where there is none."""
    begin, end = found.get(kind, (0, 0))
    file.seek(begin)
    return file.read(min(length, end - begin))


def _sizes(file: BinaryIO, found: dict[bytes, tuple[int, int]]) -> tuple[int, int]:
    """How many samples a track claims, and of how many it has a size of their own."""
    for kind in (b"stsz", b"stz2"):
        head = _bytes(file, found, kind, 12)
        if len(head) == 12:
            begin, end = found[kind]
            count, size = int.from_bytes(head[8:], "big"), int.from_bytes(head[4:8], "big")
            bits = (size & 0xFF or 32) if kind == b"stz2" else 32
            same = kind == b"stsz" and size > 0
            return count, 0 if same else (end - begin - 12) * 8 // bits
    return 0, 0


def _elsewhere(file: BinaryIO, begin: int, end: int) -> bool:
    """Whether a track's data references (ISO 14496-12, 8.7.2) all name other files."""
    named = []
    for _, first, last in boxes(file, begin + 8, end):
        file.seek(first)
        flags = file.read(4)
        named.append(flags[3:] != b"\1" and last - first > SHORTEST_NAME_BYTES)
    return bool(named) and all(named)


def _raw_sound(file: BinaryIO, found: dict[bytes, tuple[int, int]]) -> bool:
    """Whether all samples last one unit, as those of sound that is not compressed do."""
    head = _bytes(file, found, b"stts", 16)
    sound = _bytes(file, found, b"hdlr", 12)[8:] == b"soun"
    return sound and head[4:8] == b"\0\0\0\1" and head[12:] == b"\0\0\0\1"


def _of_fragment(file: BinaryIO, start: int, stop: int) -> int:
    """How many samples a fragment claims without a word on each."""
    index, begin, end = held(file, start, stop)
    return sum(
        _of_run(index, begin, end)
        for kind, first, last in boxes(index, begin, end)
        if kind == b"traf"
        for kind, begin, end in boxes(index, first, last)
        if kind == b"trun"
    )


def _of_run(index: BinaryIO, begin: int, end: int) -> int:
    index.seek(begin)
    head = index.read(8)
    if len(head) < 8:
        return 0
    each = 4 * (int.from_bytes(head[1:4], "big") & SIZES_OF_SAMPLES).bit_count()
    listed = (end - begin - 8) // each if each else 0
    return max(0, int.from_bytes(head[4:], "big") - listed)
