"""How a file asks for its pictures to be turned and mirrored, and in which shape to show pixels."""

import struct
from collections.abc import Mapping
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np
from av.sidedata.sidedata import Type
from av.video.frame import VideoFrame

from coreframe.tasks.video.viewing import UPRIGHT, Orientation, Viewing

MATRIX_UNIT = 2**16
"""One, in a display matrix."""

NEARLY = 0.02
"""How far a display matrix may be from a turn by right angles: FFmpeg's one degree."""

MOST_ASPECT = 16
"""Pixels that are said to be longer than this are taken for square: no camera makes them."""


def orientation(frame: VideoFrame, viewing: Viewing) -> Orientation:
    """Read a frame's display matrix, as FFmpeg's command does; stores of format 1 saw no mirror."""
    if not viewing.as_players:
        return Orientation(round(frame.rotation / 90) % 4)
    if viewing.orientation is not None and frame.rotation == viewing.matrix_degrees:
        return viewing.orientation  # PyAV's side data keeps a frame until garbage is collected
    side_data: Mapping[Any, Any] = frame.side_data  # its type says that the keys are texts
    data = side_data.get(Type.DISPLAYMATRIX)
    return UPRIGHT if data is None else _of_matrix(bytes(data))


@lru_cache(maxsize=64)
def _of_matrix(data: bytes) -> Orientation:
    """Of nine native 32-bit integers: the upper left four say where x and y go.

    A point (x, y) is shown at (a x + c y, b x + d y), with y downwards.
    """
    a, b, _, c, d, *_ = (number / MATRIX_UNIT for number in struct.unpack("=9i", data))
    found = np.array([[a, c], [b, d]])
    scale = np.hypot(*found)
    if not scale.all():
        return UPRIGHT
    found /= scale
    for mirrored in (False, True):
        mirror = np.diag([-1.0 if mirrored else 1.0, 1.0])
        for turns in range(4):
            turn = np.linalg.matrix_power(np.array([[0.0, 1.0], [-1.0, 0.0]]), turns)
            if np.abs(turn @ mirror - found).max() < NEARLY:
                return Orientation(turns, mirrored)
    return Orientation(0, askew=True)


def usable_aspect(aspect: Fraction | None) -> Fraction:
    """Width to height of a pixel; 1 where that is not known, or cannot be."""
    if not aspect or not Fraction(1, MOST_ASPECT) <= aspect <= MOST_ASPECT:
        return Fraction(1)
    return Fraction(aspect)


def square_size(width: int, height: int, aspect: Fraction) -> tuple[int, int]:
    """(width, height) of a stored picture in square pixels: no side becomes shorter."""
    if aspect == 1:
        return width, height
    if aspect > 1:
        return max(1, round(width * aspect)), height
    return width, max(1, round(height / aspect))
