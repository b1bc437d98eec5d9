"""Chosen units that look alike, side by side."""

import numpy as np
from numpy.typing import NDArray

UNITS_PER_MOMENT = 3
"""The first third of the picks are what the others are put beside."""


def moments_of(vectors: NDArray[np.int16]) -> NDArray[np.int64]:
    """Put each chosen unit beside the one of the first third that it is most like.

    The first picks are the most different of the corpus, and cover all of it, so that a later one
    is another look at what one of them shows.

    Args:
        vectors: (c, dim) lattice, in pick order.

    Returns:
        (c,) of each the pick that it is put beside; of one of the first third that is itself.
    """
    heads = -(-len(vectors) // UNITS_PER_MOMENT)
    wide = vectors.astype(np.float32)  # whose products are exact
    norms = np.einsum("ij,ij->i", wide, wide).astype(np.int64)
    products = (wide @ wide[:heads].T).astype(np.int64)
    nearest = (norms[:heads] - 2 * products).argmin(axis=1) if heads else np.empty(0, np.int64)
    nearest[:heads] = np.arange(heads)
    return nearest.astype(np.int64)
