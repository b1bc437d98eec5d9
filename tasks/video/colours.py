"""From a decoded frame's planes to RGB, in 8 bits or in 16, whatever its colours are.

libswscale does it, as in the ``ffmpeg`` command. Where it refuses the frame's matrix, the same is
done here if it can be done exactly:

- YCgCo, by the equations of ITU-T H.273 (MatrixCoefficients 8);
- "chromaticity-derived non-constant luminance" (12) of primaries whose matrix has a name.

All others (BT.2020 constant luminance, SMPTE 2085, ICtCp, ...) raise `ColoursError`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import av
import numpy as np
from av.video.format import VideoFormat
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from coreframe.tasks.errors import ColoursError
from coreframe.tasks.video.graph import filtered
from coreframe.tasks.video.tone_map import is_hdr, tone_map
from coreframe.tasks.video.viewing import AS_SHOWN, Viewing

MATRICES = {
    0: "RGB",
    1: "BT.709",
    4: "FCC",
    5: "BT.601",
    6: "BT.601",
    7: "SMPTE 240M",
    8: "YCgCo",
    9: "BT.2020",
    10: "BT.2020 constant luminance",
    11: "SMPTE 2085",
    12: "chromaticity-derived",
    13: "chromaticity-derived constant luminance",
    14: "ICtCp",
    15: "IPT-C2",
    16: "YCgCo-Re",
    17: "YCgCo-Ro",
}
"""MatrixCoefficients of ITU-T H.273, as people know them."""

TRANSFERS = {
    1: "bt709",
    4: "gamma22",
    5: "gamma28",
    6: "smpte170m",
    7: "smpte240m",
    8: "linear",
    9: "log100",
    10: "log316",
    11: "iec61966-2-4",
    12: "bt1361e",
    13: "iec61966-2-1",
    14: "bt2020-10",
    15: "bt2020-12",
    16: "smpte2084",
    17: "smpte428",
    18: "arib-std-b67",
}
"""TransferCharacteristics, as FFmpeg names them."""

PRIMARIES = {
    1: "bt709",
    4: "bt470m",
    5: "bt470bg",
    6: "smpte170m",
    7: "smpte240m",
    8: "film",
    9: "bt2020",
    10: "smpte428",
    11: "smpte431",
    12: "smpte432",
    22: "ebu3213",
}
"""ColourPrimaries, as FFmpeg names them."""

YCGCO, BT709, CHROMA_DERIVED, UNSPECIFIED = 8, 1, 12, 2

NAMED_MATRIX = {1: 1, 9: 9}
"""ColourPrimaries whose derived matrix is that of BT.709, or that of BT.2020."""

FULL_RANGE = 2

LIKE_FFMPEG = "flags=bicubic:threads=1"
"""How the ``ffmpeg`` command's filter ``scale`` converts: with an eye to where coarser chroma lies,
which libswscale alone does not have."""

UNCHANGED = ":in_range=full:out_range=full:in_color_matrix=bt709:out_color_matrix=bt709"
"""Values as they are."""


def is_deep(frame: VideoFrame) -> bool:
    """Whether its colours have more than 8 bits."""
    return _bits(frame.format.name) > 8


def is_grey(frame: VideoFrame) -> bool:
    """Whether it has no colours, only light (and perhaps an alpha channel)."""
    return frame.format.name.startswith(("gray", "ya"))


def is_tone_mapped(frame: VideoFrame, viewing: Viewing) -> bool:
    """Whether its picture is one of high dynamic range made ordinary: of 8 bits, then."""
    return viewing.tone_map and is_hdr(int(frame.color_trc))


def to_rgb(frame: VideoFrame, viewing: Viewing = AS_SHOWN) -> NDArray[np.uint8]:
    """(height, width, 3) uint8 RGB, as stored: not turned, not cropped.

    Raises:
        ColoursError: its colours cannot be turned into RGB.
    """
    if is_tone_mapped(frame, viewing):
        return tone_map(to_deep(frame), int(frame.color_trc))
    # One thread: with several, libswscale converts some formats differently from run to run.
    return np.asarray(convertible(frame).reformat(format="rgb24", threads=1).to_ndarray(), np.uint8)


def to_deep(frame: VideoFrame) -> NDArray[np.uint16]:
    """(height, width, 3) uint16 RGB, or (height, width) of a grey frame, over all of 16 bits.

    The same integers as in the PNG that the ``ffmpeg`` command makes of a frame of more than 8
    bits; alpha is left out.

    Raises:
        ColoursError: its colours cannot be turned into RGB.
    """
    form = "gray16le" if is_grey(frame) else "rgb48le"
    taken = convertible(frame)
    return np.asarray(_reformatted(taken, form, int(taken.colorspace)).to_ndarray(), np.uint16)


def convertible(frame: VideoFrame) -> VideoFrame:
    """The frame if libswscale takes it, else one of the same picture that it takes.

    Raises:
        ColoursError: there is none.
    """
    matrix = int(frame.colorspace)
    if _is_taken(matrix, frame.format.name):
        return frame
    if is_grey(frame) or _is_rgb(frame.format.name):
        return _as_if(frame, BT709)  # which it does not need
    if matrix == YCGCO:
        return _from_ycgco(frame)
    named = NAMED_MATRIX.get(int(frame.color_primaries)) if matrix == CHROMA_DERIVED else None
    if named is None:
        raise _refusal(frame)
    return _as_if(frame, named)


def _as_if(frame: VideoFrame, matrix: int) -> VideoFrame:
    """RGB, or grey, of a frame as if its matrix were another."""
    if is_deep(frame):
        return _reformatted(frame, "gray16le" if is_grey(frame) else "rgb48le", matrix)
    with _taken_for(frame, matrix):
        return frame.reformat(format="gray" if is_grey(frame) else "rgb24", threads=1)


def _from_ycgco(frame: VideoFrame) -> VideoFrame:
    """RGB of a YCgCo frame: G = Y + Cg, and R, B = Y - Cg ± Co, of quantised values.

    Coarser chroma is interpolated first, by libswscale. In narrow range R, G and B are narrow,
    and are stretched.
    """
    bits = _bits(frame.format.name)
    dtype: Any = np.uint16 if bits > 8 else np.uint8
    form = f"yuv444p{bits}le" if bits > 8 else "yuv444p"
    narrow = int(frame.color_range) != FULL_RANGE and not frame.format.name.startswith("yuvj")
    try:
        whole = _reformatted(frame, form, BT709, options=UNCHANGED)
    except (av.FFmpegError, ValueError) as error:
        raise _refusal(frame) from error
    luma, green, orange = (_plane(whole, number, dtype) for number in range(3))
    middle = 1 << (bits - 1)
    green, orange = green - middle, orange - middle
    rgb = np.stack([luma - green + orange, luma + green, luma - green - orange], axis=-1)
    peak, full = (1 << bits) - 1, int(np.iinfo(dtype).max)
    rgb = rgb.clip(0, peak)
    low, span = (16 << (bits - 8), 219 << (bits - 8)) if narrow else (0, peak)
    stretched = ((rgb - low) * (2 * full) + span) // (2 * span)
    image: Any = stretched.clip(0, full).astype(dtype)
    return VideoFrame.from_ndarray(image, format="rgb48le" if bits > 8 else "rgb24")


def _reformatted(
    frame: VideoFrame, format_name: str, matrix: int, *, options: str = ""
) -> VideoFrame:
    """Converted by the filter, which refuses rare transfers and primaries though it needs none."""
    with _taken_for(frame, matrix):
        return filtered(frame, ("scale", LIKE_FFMPEG + options), ("format", format_name))[0]


def _plane(frame: VideoFrame, number: int, dtype: Any) -> NDArray[np.int64]:
    """(height, width) int64 of one plane of a frame in which all have the same size."""
    plane: Any = frame.planes[number]  # a buffer, which its type does not say
    lines = np.frombuffer(plane, dtype).reshape(-1, plane.line_size // np.dtype(dtype).itemsize)
    return lines[: frame.height, : frame.width].astype(np.int64)


@contextmanager
def _taken_for(frame: VideoFrame, matrix: int) -> Iterator[None]:
    """Let FFmpeg take the frame for one of another matrix, whose file says no more of colours."""
    own = frame.colorspace, frame.color_trc, frame.color_primaries
    frame.colorspace, frame.color_trc, frame.color_primaries = matrix, UNSPECIFIED, UNSPECIFIED
    try:
        yield
    finally:
        frame.colorspace, frame.color_trc, frame.color_primaries = own


@lru_cache(maxsize=256)
def _is_taken(matrix: int, format_name: str) -> bool:
    """Whether libswscale turns such a frame into RGB: it is asked, with a small one."""
    small = VideoFrame(16, 16, format_name)
    small.colorspace = matrix
    try:
        VideoReformatter().reformat(small, format="rgb24", threads=1)
    except (av.FFmpegError, ValueError):
        return False
    return True


@lru_cache(maxsize=64)
def _bits(format_name: str) -> int:
    """Of the finest of its components, alpha apart."""
    parts = VideoFormat(format_name, 16, 16).components
    return max((part.bits for part in parts if not part.is_alpha), default=8)


@lru_cache(maxsize=64)
def _is_rgb(format_name: str) -> bool:
    return VideoFormat(format_name, 16, 16).is_rgb


def _refusal(frame: VideoFrame) -> ColoursError:
    matrix = int(frame.colorspace)
    return ColoursError(
        f"its colours ({MATRICES.get(matrix, 'an unknown matrix')}, matrix coefficients {matrix}, "
        f"{frame.format.name}) cannot be turned into RGB here: convert it to BT.709"
    )
