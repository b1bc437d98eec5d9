"""The boxes of MP4 files, and reading such a file without what its packets hold."""

import io
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

from coreframe.tasks.errors import BrokenVideoError

MP4_FORMATS = {"mov,mp4,m4a,3gp,3g2,mj2"}
"""FFmpeg's name of them all."""

CONTAINER_BOXES = {b"moov", b"trak", b"mdia", b"minf", b"dinf", b"stbl"}

DEEPEST = 8
"""Boxes inside one another, of those that hold others only: twice as many as there are kinds."""

MOST_BOXES = 1_000_000
"""One after the other: a day in fragments of a second has 172,800."""

LOOKED_AT_BYTES = 1024 * 1024
"""Of the packets, at the beginning: FFmpeg learns from them what the file does not say."""


MOST_HELD_BYTES = 1024 * 1024
"""Of an index, of which more is not held in memory to be looked at."""


class PacketsOnly(io.RawIOBase):
    """A file whose packets' contents read as zeros where its format says which bytes they are.

    That is so of MP4 and its kin, whose index lies apart: to list the packets of one, little more
    than that index is read. The beginning is given as it is, for FFmpeg looks at some packets when
    it opens a file. Whether a later packet is a keyframe it would see in the packet: only the
    file's index tells it now.
    """

    def __init__(self, file: BinaryIO, hollow: Sequence[range]) -> None:
        """Read a file but for some ranges of its bytes, ascending."""
        self._file = file
        self._hollow = hollow

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._file.tell()

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def readinto(self, buffer: Any) -> int:
        place = self._file.tell()
        for zeros in self._hollow:
            if zeros.start <= place < zeros.stop:
                length = min(len(buffer), zeros.stop - place)
                buffer[:length] = bytes(length)
                self._file.seek(place + length)
                return length
            if place < zeros.start:
                buffer = memoryview(buffer)[: zeros.start - place]
                break
        data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def media_data(file: BinaryIO) -> list[range]:
    """The bytes of an MP4 file that packets hold, but for the first of them; [] of others."""
    found = []
    for place, (kind, start, stop) in enumerate(boxes(file, 0, file.seek(0, io.SEEK_END))):
        if place == 0 and kind != b"ftyp":
            break
        if kind == b"mdat":
            found.append(range(start + LOOKED_AT_BYTES, stop))  # of a file that is cut, too
    file.seek(0)
    return [some for some in found if some]


def boxes(file: BinaryIO, start: int, stop: int) -> Iterator[tuple[bytes, int, int]]:
    """The boxes of a part of a file: kind, and where its content begins and ends.

    Raises:
        BrokenVideoError: they are too many to look at.
    """
    place, count = start, 0
    while place + 8 <= stop:
        count += 1
        if count > MOST_BOXES:
            raise BrokenVideoError(
                f"its index has more than {MOST_BOXES:,} parts: write it anew (ffmpeg -i FILE -c "
                "copy NEW)"
            )
        file.seek(place)
        head = file.read(16)
        length, kind, header = int.from_bytes(head[:4], "big"), head[4:8], 8
        if length == 1:
            length, header = int.from_bytes(head[8:16], "big"), 16
        length = length or stop - place
        if length < header:
            return
        yield kind, place + header, min(stop, place + length)
        place += length


def inner_boxes(
    file: BinaryIO, start: int, stop: int, depth: int = 0
) -> Iterator[tuple[bytes, int, int]]:
    """The boxes of a track, and those in boxes that hold others only."""
    for kind, begin, end in boxes(file, start, stop):
        yield kind, begin, end
        if kind in CONTAINER_BOXES and depth < DEEPEST:
            yield from inner_boxes(file, begin, end, depth + 1)


def held(file: BinaryIO, start: int, stop: int) -> tuple[BinaryIO, int, int]:
    """A part of a file in memory, where it is not large: it is looked at in many places."""
    if stop - start > MOST_HELD_BYTES:
        return file, start, stop
    file.seek(start)
    content = file.read(stop - start)
    return io.BytesIO(content), 0, len(content)
