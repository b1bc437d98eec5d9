"""The two ways of choosing that people use today: at a fixed rate and at random."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from coreframe.tasks.scale import to_l2
from coreframe.tasks.select.choice import Method

ROWS_AT_ONCE = 1024
"""Rows read from the store at a time."""


def random_rows(eligible: NDArray[np.int64], n: int, seed: int) -> NDArray[np.int64]:
    """``n`` of the eligible rows at random, in order of drawing; a larger n extends a smaller."""
    return np.random.default_rng(seed).permutation(eligible)[:n]


def fixed_rate_rows(eligible: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """``n`` of the eligible rows at an even stride over the corpus, each in its stride's middle."""
    places = (2 * np.arange(n, dtype=np.int64) + 1) * len(eligible) // (2 * max(1, n))
    return eligible[places]


def nearest_earlier(vectors: NDArray[np.int16]) -> NDArray[np.int64]:
    """(n,) squared distance of each vector to the nearest one before it; -1 for the first.

    Args:
        vectors: (n, dim) lattice.
    """
    wide = vectors.astype(np.float32)
    norms = np.einsum("ij,ij->i", wide, wide).astype(np.int64)
    nearest = np.full(len(wide), -1, np.int64)
    tile = max(1, 4 * 1024 * 1024 // max(1, len(wide)))
    for start in range(0, len(wide), tile):
        stop = min(start + tile, len(wide))
        dots = (wide[start:stop] @ wide[:stop].T).astype(np.int64)
        squared = norms[start:stop, None] + norms[None, :stop] - 2 * dots
        later = np.arange(stop)[None, :] >= np.arange(start, stop)[:, None]
        squared[later] = np.iinfo(np.int64).max
        nearest[start:stop] = squared.min(axis=1)
    nearest[:1] = -1
    return nearest


def keep_apart(
    rows: NDArray[np.int64],
    read: Callable[[NDArray[np.int64]], NDArray[np.int16]],
    squared_min_distance: int,
    n: int,
    rows_at_once: int = ROWS_AT_ONCE,
) -> NDArray[np.int64]:
    """Go through rows in order and keep those at least so far from every kept one, at most ``n``.

    Args:
        rows: (m,).
        read: gives the (k, dim) lattice vectors of k rows.
        squared_min_distance: in squared lattice units.
        n: where to stop.
        rows_at_once: read from the store together.
    """
    kept: list[int] = []
    near = np.empty((0, 0), np.float32)
    norms = np.empty(0, np.int64)
    for start in range(0, len(rows), rows_at_once):
        vectors = read(rows[start : start + rows_at_once]).astype(np.float32)
        for row, vector in zip(rows[start : start + rows_at_once].tolist(), vectors, strict=True):
            if len(kept) == n:
                return np.array(kept, np.int64)
            norm = int(vector @ vector)
            if len(kept) == len(near):  # full: twice as large
                larger = np.zeros((max(16, 2 * len(near)), len(vector)), np.float32)
                larger[: len(near)] = near.reshape(-1, len(vector))
                near, norms = larger, np.resize(norms, len(larger))
            held = slice(0, len(kept))
            squared = norms[held] + norm - 2 * (near[held] @ vector).astype(np.int64)
            if not np.any(squared < squared_min_distance):
                near[len(kept)], norms[len(kept)] = vector, norm
                kept.append(row)
    return np.array(kept, np.int64)


def distances_in_order(vectors: NDArray[np.int16]) -> NDArray[np.float64]:
    """(n,) L2 to the nearest earlier vector, NaN for the first."""
    squared = nearest_earlier(vectors).astype(np.float64)
    squared[:1] = np.nan
    return to_l2(squared)


def baseline_rows(
    method: Method, eligible: NDArray[np.int64], n: int, seed: int
) -> NDArray[np.int64]:
    """The units that ``random`` or ``fixed-rate`` chooses, in its order."""
    if method == Method.RANDOM:
        return random_rows(eligible, n, seed)
    return fixed_rate_rows(eligible, n)
