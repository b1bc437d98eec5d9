"""libswscale's scaler in integer torch: from the planes of 4:2:0 frames to small RGB, bit for bit.

What is repeated is its C path for YUV to ``rgb24`` with the flags of
`coreframe.tasks.video.pixels.SCALING` (accurate rounding, bit-exact, full chroma), as FFmpeg 8.1
has it: a line is filtered to 15 bits by coefficients of 14, columns by coefficients of 12, and the
result is multiplied by the matrix in fixed point. All sums are of integers that float32, or
else float64, holds exactly, so matrix products form them in any order, on any device.

Where a frame is scaled in another way (enlarged, hardly made smaller, in two steps), `Unscalable`
is raised.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from coreframe.tasks.lazy import torch
from coreframe.tasks.video.colours import FULL_RANGE
from coreframe.tasks.video.pixels import Resampling

MATRICES: Final = {
    1: (117489, 138438, 13975, 34925),  # BT.709
    2: (104597, 132201, 25675, 53279),  # nothing is said: BT.601
    4: (104448, 132798, 24759, 53109),  # FCC
    5: (104597, 132201, 25675, 53279),  # BT.601
    6: (104597, 132201, 25675, 53279),
    7: (117579, 136230, 16907, 35559),  # SMPTE 240M
    9: (110013, 140363, 12277, 42626),  # BT.2020
}
"""MatrixCoefficients (ITU-T H.273) -> of narrow range in 65536ths, what Cr adds to red, Cb to blue,
and what Cb and Cr take off green."""

SUPPORT: Final[dict[Resampling, int]] = {"area": 1, "bilinear": 2, "bicubic": 4}
"""Source pixels, a target pixel's width each, that a kernel looks at."""

LINE_ONE, COLUMN_ONE = 1 << 14, 1 << 12
"""What coefficients add up to."""

MIDDLE = 128
"""Of a pixel, in 256ths."""

NEGLIGIBLE = 0.002
"""Coefficients at the ends of a filter are left out that are together at most this share."""

LEAST_TAPS = 3
"""Source lines a target line: for fewer libswscale has other functions."""

MOST_TAPS = 128
"""Source pixels a target pixel: from some number on it scales in two steps."""

FLOAT32_EXACT = 2**24


class Unscalable(Exception):
    """A frame that is scaled in another way than is known here."""


class Siting(NamedTuple):
    """Where chroma samples lie: from 0, at the first of two luma samples, to 256, at the second."""

    across: int
    down: int


SITINGS: Final = (
    *(Siting(0, 128), Siting(128, 128), Siting(0, 0)),
    *(Siting(128, 0), Siting(0, 256), Siting(128, 256)),
)
"""Those that video formats know (ChromaLocType of ITU-T H.273); the first is the usual one."""


@dataclass(frozen=True)
class Picture:
    """What all frames have in common that are scaled in one way.

    Attributes:
        width, height: of the luma, in pixels.
        bits: of a sample.
        matrix: a key of MATRICES.
        full_range: whether luma is from 0 to the largest number, or narrower.
        siting: of the chroma.
    """

    width: int
    height: int
    bits: int
    matrix: int
    full_range: bool
    siting: Siting

    @classmethod
    def of(cls, frame: VideoFrame, bits: int, siting: Siting) -> Picture:
        """Of a frame whose samples have so many bits."""
        full = int(frame.color_range) == FULL_RANGE
        return cls(frame.width, frame.height, bits, int(frame.colorspace), full, siting)


class Filter(NamedTuple):
    """From a line of source samples to one of target samples."""

    weights: NDArray[np.int64]
    """(target, source)."""
    taps: int
    """Source samples that a target sample is made of, at most."""


class Scaler:
    """Scales frames of one kind to (height, width, 3) RGB, on a device."""

    def __init__(
        self,
        picture: Picture,
        width: int,
        height: int,
        resampling: Resampling,
        device: torch.device,
    ) -> None:
        """Make the filters.

        Args:
            picture: the frames.
            width: of the result, in pixels.
            height: likewise.
            resampling: a key of SUPPORT.
            device: where planes lie.

        Raises:
            Unscalable: libswscale does this in another way.
        """
        if resampling not in SUPPORT or picture.matrix not in MATRICES:
            raise Unscalable(f"{resampling} scaling with matrix coefficients {picture.matrix}")
        across, down = picture.siting
        half = (picture.width + 1) // 2, (picture.height + 1) // 2
        lines = line_filter(picture.width, width, LINE_ONE, MIDDLE, resampling)
        columns = line_filter(picture.height, height, COLUMN_ONE, MIDDLE, resampling)
        if columns.taps < LEAST_TAPS or lines.taps > MOST_TAPS or columns.taps > MOST_TAPS:
            raise Unscalable(
                f"{picture.width}x{picture.height} pixels to {width}x{height} by {resampling}"
            )
        chroma_lines = line_filter(half[0], width, LINE_ONE, (across + 128) >> 1, resampling)
        chroma_columns = line_filter(half[1], height, COLUMN_ONE, (down + 128) >> 1, resampling)
        peak = (1 << picture.bits) - 1
        self._shift = 7 if picture.bits == 8 else picture.bits - 1
        self._luma = _on(lines, peak, device), _on(columns, 1 << 15, device)
        self._chroma = _on(chroma_lines, peak, device), _on(chroma_columns, 1 << 15, device)
        self._colours = _colours(picture.matrix, picture.full_range)

    def __call__(self, luma: torch.Tensor, chroma: torch.Tensor) -> torch.Tensor:
        """Scale frames.

        Args:
            luma: (n, height, width) of a type that holds the samples.
            chroma: (n, 2, height / 2, width / 2) of that type, Cb and Cr; rounded up.

        Returns:
            (n, height, width, 3) uint8 RGB, as it is stored: not turned.
        """
        offset, gain, red, green_cr, green_cb, blue = self._colours
        light = (self._filtered(luma, *self._luma) + (1 << 9)) >> 10
        colour = (self._filtered(chroma, *self._chroma) + ((1 << 9) - (128 << 19))) >> 10
        cb, cr = colour.unbind(dim=1)
        light = (light - offset) * gain + (1 << 21)
        rgb = (light + cr * red, light + cr * green_cr + cb * green_cb, light + cb * blue)
        # sums of the brightest and most colourful are more than 32 bits hold, here as there
        wrapped = torch.stack(rgb, dim=-1).to(torch.int32)
        return (wrapped.clamp(0, (1 << 30) - 1) >> 22).to(torch.uint8)

    def _filtered(
        self, samples: torch.Tensor, lines: torch.Tensor, columns: torch.Tensor
    ) -> torch.Tensor:
        """(..., height, width) int64 sums, of (..., source height, source width) samples."""
        along = (samples.to(lines.dtype) @ lines.T).to(torch.int32) >> self._shift
        return (columns @ along.clamp(max=(1 << 15) - 1).to(columns.dtype)).to(torch.int64)


def _on(filtering: Filter, peak: int, device: torch.device) -> torch.Tensor:
    """The weights as floats in which sums over samples up to a peak are exact."""
    largest = int(np.abs(filtering.weights).sum(axis=1).max()) * peak
    dtype = torch.float32 if largest < FLOAT32_EXACT else torch.float64
    return torch.from_numpy(filtering.weights).to(device, dtype)


def _colours(matrix: int, full_range: bool) -> tuple[int, int, int, int, int, int]:
    """Offset and gain of the luma; Cr to red and green, Cb to green and blue."""
    red, blue, green_cb, green_cr = MATRICES[matrix]
    if full_range:
        red, blue, green_cb, green_cr = (one * 224 // 255 for one in MATRICES[matrix])
        gain, offset = 1 << 16, 0
    else:
        gain, offset = (1 << 16) * 255 // 219, 16 << 16
    scaled = (one << 13 for one in (gain, red, -green_cr, -green_cb, blue))
    return _rounded(offset << 9), *(_rounded(one) for one in scaled)  # type: ignore[return-value]


def _rounded(value: int) -> int:
    """65536ths to whole numbers of 16 bits."""
    return max(-(1 << 15), min((1 << 15) - 1, (value + (1 << 15)) >> 16))


@lru_cache(maxsize=64)
def line_filter(source: int, target: int, one: int, siting: int, kernel: Resampling) -> Filter:
    """The weights by which libswscale makes a target line of a source line.

    Args:
        source: samples.
        target: samples.
        one: what the weights of a target sample add up to.
        siting: where in a source sample's place its middle is, in 256ths.
        kernel: of SUPPORT.
    """
    step = ((source << 16) + (target >> 1)) // target
    unit = 1 << (54 - min(max(0, (source // target).bit_length() - 1), 8))
    if abs(step - (1 << 16)) < 10 and siting == MIDDLE:
        return Filter(np.eye(target, source, dtype=np.int64) * one, 1)
    if step <= 1 << 16 and kernel == "area":
        first, shares = _enlarging(target, step, siting, unit)
    else:
        first, shares = _shrinking(source, target, step, siting, kernel, unit)
    taps = _without_ends(first, shares, NEGLIGIBLE * unit)
    weights = np.zeros((target, source), np.int64)
    for row, (begin, own) in enumerate(zip(first, shares, strict=True)):
        kept: dict[int, int] = {}
        for place, share in enumerate(own[:taps], begin):
            inside = min(max(place, 0), source - 1)  # beyond an edge is the sample at the edge
            kept[inside] = kept.get(inside, 0) + share
        whole, error = _quotient(sum(kept.values()) + one // 2, one), 0
        for place in range(min(kept), max(kept) + 1):  # what rounding takes the next one is given
            share = kept.get(place, 0) + error
            weights[row, place] = _nearest(share, whole)
            error = share - int(weights[row, place]) * whole
    return Filter(weights, taps)


def _enlarging(target: int, step: int, siting: int, unit: int) -> tuple[list[int], list[list[int]]]:
    """First source sample and shares of each target sample: of two neighbours, linearly."""
    at = ((MIDDLE * step) >> 8) - ((siting * 0x8000) >> 7)
    first, shares = [], []
    for _ in range(target):
        place = at >> 16
        first.append(place)
        near = (abs((one << 16) - at) * (unit >> 16) for one in (place, place + 1))
        shares.append([max(0, unit - one) for one in near])
        at += step
    return first, shares


def _shrinking(
    source: int, target: int, step: int, siting: int, kernel: Resampling, unit: int
) -> tuple[list[int], list[list[int]]]:
    """The same by a kernel as wide as the target's samples are."""
    support = SUPPORT[kernel]
    taps = 1 + support if step <= 1 << 16 else 1 + -(-support * source // target)
    taps = max(1, min(taps, source - 2))
    at = ((MIDDLE * step) >> 7) - ((siting * 0x10000) >> 7)
    first, shares = [], []
    for _ in range(target):
        begin = _quotient(at - (taps - 2) * (1 << 16), 1 << 17)
        first.append(begin)
        own = []
        for place in range(begin, begin + taps):
            distance = abs((place << 17) - at) << 13
            if step > 1 << 16:
                distance = distance * target // source
            own.append(_share(kernel, distance, step, unit))
        shares.append(own)
        at += 2 * step
    return first, shares


def _share(kernel: Resampling, distance: int, step: int, unit: int) -> int:
    """A source sample's share, from its distance in 2 ** -30 of a target sample."""
    if kernel == "bilinear":
        return max(0, (1 << 30) - distance) * (unit >> 30)
    if kernel == "area":  # how much of it lies inside the target sample
        beyond = (distance - (1 << 29)) * step
        return min(max(0, (1 << 45) - beyond), 1 << 46) * (unit >> 46)
    if distance >= 1 << 31:
        return 0
    sharp, whole = int(0.6 * (1 << 24)), 1 << 24  # cubic, with B = 0 and C = 0.6
    square = (distance * distance) >> 30
    cube = (square * distance) >> 30
    if distance < 1 << 30:
        share = (12 * whole - 6 * sharp) * cube
        share += (-18 * whole + 6 * sharp) * square + (6 * whole << 30)
    else:
        share = -6 * sharp * cube + 30 * sharp * square - 48 * sharp * distance
        share += 24 * sharp << 30
    return _quotient(share, (1 << 54) // unit)


def _without_ends(first: list[int], shares: list[list[int]], negligible: float) -> int:
    """Leave out what hardly counts at both ends of each target sample's shares, in place.

    Returns:
        How many shares are left of that which has the most.
    """
    taps = 0
    for row in range(len(first) - 1, -1, -1):
        own, left_out = shares[row], 0
        for _ in range(len(own)):
            left_out += abs(own[0])
            follows = row + 1 < len(first) and first[row] >= first[row + 1]
            if left_out > negligible or follows:
                break
            own[:] = [*own[1:], 0]
            first[row] += 1
        left, left_out = len(own), 0
        for place in range(len(own) - 1, 0, -1):
            left_out += abs(own[place])
            if left_out > negligible:
                break
            left -= 1
        taps = max(taps, left)
    return taps


def _quotient(dividend: int, divisor: int) -> int:
    """Rounded towards zero, as in C."""
    quotient = abs(dividend) // divisor
    return quotient if dividend >= 0 else -quotient


def _nearest(dividend: int, divisor: int) -> int:
    """Rounded to the nearest, halves away from zero."""
    half = divisor >> 1
    return _quotient(dividend + half if dividend >= 0 else dividend - half, divisor)
