"""The planes of a decoded frame as they lie in memory, without the padding of their lines."""

from functools import lru_cache
from typing import Any

import numpy as np
from av.video.format import VideoFormat
from av.video.frame import VideoFrame
from av.video.plane import VideoPlane
from numpy.typing import NDArray


def plane_lines(frame: VideoFrame, number: int) -> NDArray[np.uint8]:
    """One plane's bytes: (lines, bytes) uint8, not copied."""
    return _lines(frame, number, frame.planes[number])


def all_lines(frame: VideoFrame) -> list[NDArray[np.uint8]]:
    """Those of all planes."""
    return [_lines(frame, number, plane) for number, plane in enumerate(frame.planes)]


def _lines(frame: VideoFrame, number: int, plane: VideoPlane) -> NDArray[np.uint8]:
    buffer: Any = plane  # which its type does not say
    if buffer.line_size == 0:  # a palette
        return np.frombuffer(buffer, np.uint8).reshape(1, -1)
    lines = np.frombuffer(buffer, np.uint8).reshape(-1, buffer.line_size)[: buffer.height]
    return lines[:, : _line_bytes(frame.format.name, frame.width, frame.height, number)]


@lru_cache(maxsize=64)
def _line_bytes(format_name: str, width: int, height: int, plane: int) -> int:
    form = VideoFormat(format_name, width, height)
    if not form.is_planar:  # packed: padded_bits_per_pixel counts all that a pixel occupies
        return -(-width * form.padded_bits_per_pixel // 8)
    own = [part for part in form.components if part.plane == plane]
    return sum(part.width * ((part.bits + 7) // 8) for part in own)
