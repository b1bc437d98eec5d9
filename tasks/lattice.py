"""Unit vectors as small integers, so that distances are exact and reproducible to the bit.

A unit vector is multiplied by 4000 and rounded. All partial sums of a dot product of two such
vectors are integers below 2^24 (Cauchy-Schwarz; rounding lengthens a vector by at most
sqrt(dim)/2, so up to dim 36,000 it stays below 4096), hence a float32 matrix product over them is
exact in any order, on any device, with TF32 off. Squared distances reach 4 * 4096^2 < 2^26 and
are formed in int32.
"""

from collections.abc import Sequence
from fractions import Fraction
from math import ceil

import numpy as np
import torch

SCALE = 4000

TILE_VALUES = 2 * 1024 * 1024
"""Values widened or distances formed at a time: 8 MiB of float32 or int32."""


def from_floats(vectors: np.ndarray) -> np.ndarray:
    """(n, dim) float unit vectors, or lattice values divided by SCALE, to int16 lattice."""
    return np.rint(vectors * np.float32(SCALE)).astype(np.int16)


def quantise(vectors: torch.Tensor) -> np.ndarray:
    """(n, dim) float unit vectors on any device to (n, dim) int16 lattice."""
    return torch.round(vectors.double() * SCALE).to(torch.int16).cpu().numpy()


def on_device(array: np.ndarray, device: torch.device) -> torch.Tensor:
    """Bring an array to a device. What Dask hands over may be read-only, which torch cannot be."""
    return torch.from_numpy(np.require(array, requirements=["C", "W"])).to(device)


def squared_norms(vectors: torch.Tensor) -> torch.Tensor:
    """(n, dim) int16 lattice to (n,) int32 squared lengths."""
    parts = [tile.float().square().sum(dim=1).to(torch.int32) for tile in tiles(vectors)]
    return torch.cat(parts) if parts else torch.empty(0, dtype=torch.int32, device=vectors.device)


def tiles(vectors: torch.Tensor) -> Sequence[torch.Tensor]:
    """Split (n, dim) rows so that a widened copy of one part stays small, however large n is."""
    return torch.split(vectors, max(1, TILE_VALUES // max(1, vectors.shape[1])))


def squared_distances(
    left: torch.Tensor, left_norms: torch.Tensor, right: torch.Tensor, right_norms: torch.Tensor
) -> torch.Tensor:
    """(n, m) int32 exact squared distances.

    Args:
        left: (n, dim) float32 holding lattice integers.
        left_norms: (n,) int32 squared lengths.
        right: (m, dim) float32 holding lattice integers.
        right_norms: (m,) int32 squared lengths.
    """
    dots = (left @ right.T).to(torch.int32)
    return left_norms[:, None] + right_norms[None, :] - 2 * dots


def to_l2(squared: np.ndarray) -> np.ndarray:
    """Squared lattice distances to float64 L2 distances on the unit scale."""
    return np.sqrt(squared.astype(np.float64)) / SCALE


def squared_threshold(distance: float) -> int:
    """The smallest squared lattice distance that is at least ``distance`` on the unit scale."""
    return ceil(Fraction(distance) ** 2 * SCALE**2)
