"""Parts of pictures that a container says not to show: ``clap`` in MP4, ``PixelCrop`` in Matroska.

FFmpeg's command applies them since 7.1; PyAV 18.1 has no way to ask for them, so they are read here
(ISO 14496-12, 12.1.4.1; RFC 9559, 5.1.4.1.28). What cannot be read says nothing.
"""

import io
import struct
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

from av.video.stream import VideoStream

from coreframe.tasks.storage.files import open_file
from coreframe.tasks.video.ebml import elements
from coreframe.tasks.video.mp4 import boxes, held, inner_boxes
from coreframe.tasks.video.viewing import Margins

VISUAL_ENTRY_BYTES = 78
"""Of a sample description, before the boxes in it."""
LOOKED_AT_BYTES = 8 * 1024 * 1024
"""Of a Matroska file: its tracks come before its pictures."""

SEGMENT, TRACKS, TRACK, VIDEO, CLUSTER = 0x18538067, 0x1654AE6B, 0xAE, 0xE0, 0x1F43B675
CROPS = {0x54CC: "left", 0x54BB: "top", 0x54DD: "right", 0x54AA: "bottom"}


def read_margins(path: str | Path, format_name: str, stream: VideoStream) -> Margins:
    """Look for margins of a stream's pictures.

    Args:
        path: the file, or the URL of an object.
        format_name: FFmpeg's.
        stream: whose pictures they are.
    """
    width, height = stream.codec_context.width, stream.codec_context.height
    try:
        with open_file(str(path)) as file:
            if "mp4" in format_name:
                found = _of_mp4(file, stream.id, width, height)
            elif "matroska" in format_name:
                found = _of_matroska(file.read(LOOKED_AT_BYTES), stream.index)
            else:
                found = Margins()
    except (OSError, ValueError, struct.error, IndexError, ZeroDivisionError):
        return Margins()
    return found if min(found) >= 0 and found.shown(width, height) else Margins()


def _of_mp4(file: BinaryIO, track: int, width: int, height: int) -> Margins:
    size = file.seek(0, io.SEEK_END)
    moov = next((one for one in boxes(file, 0, size) if one[0] == b"moov"), None)
    if moov is None:
        return Margins()
    file, begin, end = held(file, *moov[1:])
    for kind, start, stop in boxes(file, begin, end):
        if kind != b"trak":
            continue
        found = {kind: (begin, end) for kind, begin, end in inner_boxes(file, start, stop)}
        begin, _ = found.get(b"tkhd", (0, 0))
        file.seek(begin)
        head = file.read(24)
        if int.from_bytes(head[20:24] if head[0] else head[12:16], "big") != track:
            continue
        begin, end = found.get(b"stsd", (0, 0))
        _, entry, entry_end = next(boxes(file, begin + 8, end))
        for kind, begin, _ in boxes(file, entry + VISUAL_ENTRY_BYTES, entry_end):
            if kind == b"clap":
                file.seek(begin)
                return _of_aperture(struct.unpack(">8i", file.read(32)), width, height)
    return Margins()


def _of_aperture(numbers: tuple[int, ...], width: int, height: int) -> Margins:
    """The clean aperture lies around the middle of the picture, moved by its offsets."""
    wide, high, right, down = (Fraction(*numbers[at : at + 2]) for at in range(0, 8, 2))
    left = Fraction(width - 1, 2) + right - (wide - 1) / 2
    top = Fraction(height - 1, 2) + down - (high - 1) / 2
    return Margins(int(left), int(top), int(width - left - wide), int(height - top - high))


def _of_matroska(data: bytes, track: int) -> Margins:
    for segment, start, stop in elements(data, 0, len(data)):
        if segment != SEGMENT:
            continue
        for part, begin, end in elements(data, start, stop):
            if part == CLUSTER:
                break
            if part == TRACKS:
                tracks = [one for one in elements(data, begin, end) if one[0] == TRACK]
                _, first, last = tracks[track]
                inner = {one: (at, to) for one, at, to in elements(data, first, last)}
                return Margins(**_crops(data, *inner[VIDEO])) if VIDEO in inner else Margins()
    return Margins()


def _crops(data: bytes, start: int, stop: int) -> dict[str, int]:
    return {
        CROPS[element]: int.from_bytes(data[begin:end], "big")
        for element, begin, end in elements(data, start, stop)
        if element in CROPS
    }
