"""Chosen units that look alike, side by side."""

import numpy as np
from numpy.typing import NDArray

ORDERED = 2000
"""Units that are put in order at most: as many take a second."""


def alike_side_by_side(vectors: NDArray[np.int16]) -> NDArray[np.int64]:
    """Put units in an order in which the most alike are neighbours.

    It walks the minimum spanning tree of their distances from the first unit on, into the nearest
    branch first (Prim 1957, "Shortest connection networks and some generalizations").

    Args:
        vectors: (c, dim) lattice, in pick order.

    Returns:
        (c,) the units in that order; those from ORDERED on stay at the end.
    """
    wide = vectors[:ORDERED].astype(np.float32)  # whose products are exact
    count = len(wide)
    norms = np.einsum("ij,ij->i", wide, wide).astype(np.int64)
    nearest, branch = np.full(count, np.iinfo(np.int64).max), np.zeros(count, np.int64)
    branches: list[list[int]] = [[] for _ in range(count)]
    outside = np.ones(count, bool)
    last = 0
    for _ in range(count - 1):
        outside[last] = False
        squared = norms[last] + norms - 2 * (wide @ wide[last]).astype(np.int64)
        nearer = outside & (squared < nearest)
        nearest[nearer], branch[nearer] = squared[nearer], last
        last = int(np.where(outside, nearest, np.iinfo(np.int64).max).argmin())
        branches[branch[last]].append(last)
    order, ahead = [], [0] * (count > 0)
    while ahead:
        order.append(ahead.pop())
        ahead += sorted(branches[order[-1]], key=lambda unit: -nearest[unit])
    return np.array([*order, *range(count, len(vectors))], np.int64)
