"""Unit vectors as small integers, the lattice: its scale, which the store and NumPy need as well.

A unit vector is multiplied by 4000 and rounded, which lengthens it by at most sqrt(dim)/2: to no
more than 4064 up to dim 16,384. What follows from that for distances stands in `lattice`, which
computes them with torch; this module must not load it.
"""

from fractions import Fraction
from math import ceil, floor

import numpy as np
from numpy.typing import NDArray

SCALE = 4000
"""Lattice units in a length of 1."""

MAX_DIM = 16_384
"""Up to here every product of `lattice` is exact."""


def to_l2(squared: NDArray[np.number]) -> NDArray[np.float64]:
    """Squared lattice distances to float64 L2 distances on the unit scale."""
    return np.sqrt(squared.astype(np.float64)) / SCALE


def squared_reach(distance: float) -> int:
    """The largest squared lattice distance that is at most ``distance`` on the unit scale."""
    return floor(Fraction(distance) ** 2 * SCALE**2)


def squared_threshold(distance: float) -> int:
    """The smallest squared lattice distance that is at least ``distance`` on the unit scale."""
    return ceil(Fraction(distance) ** 2 * SCALE**2)
