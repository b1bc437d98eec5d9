"""How many frames a container promises, where its file shows by its own sizes that it was cut."""

import io
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from coreframe.tasks.storage.files import open_file
from coreframe.tasks.video.ebml import elements
from coreframe.tasks.video.mp4 import MP4_FORMATS

HEAD_BYTES = 4096
SEGMENT = 0x18538067


def promised_frames(path: str | Path, container: InputContainer, stream: VideoStream) -> int:
    """Frames that there should be; 0 where nothing says so.

    MP4 lists all its frames. AVI counts them in its header and Matroska says how long it is, which
    tells about how many there were: these are asked only where the file is shorter than it says.
    """
    name = container.format.name
    if name in MP4_FORMATS:
        return stream.frames
    if name not in ("avi", "matroska,webm"):
        return 0
    with open_file(str(path)) as file:
        if not _is_cut(file):
            return 0
    if stream.frames:
        return stream.frames
    rate = stream.average_rate or stream.guessed_rate
    length_s = Fraction(container.duration or 0, av.time_base)
    return round(length_s * rate) if rate else 0


def _is_cut(file: BinaryIO) -> bool:
    """Whether the file is shorter than its own outermost size says."""
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    head = file.read(HEAD_BYTES)
    if head[:4] == b"RIFF":
        return 8 + int.from_bytes(head[4:8], "little") > size
    try:
        for element, start, stop in elements(head, 0, 2**63):
            if element == SEGMENT:
                return size < stop < 2**63
            if start >= len(head):
                break
    except (ValueError, IndexError):
        return False
    return False
