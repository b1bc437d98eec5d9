"""How much each frame of a store is like a wish: exact integers, block by block."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coreframe.tasks.kcenter.layout import block_cuts
from coreframe.tasks.query.vectors import Wish
from coreframe.tasks.store.store import Store

VALUES_AT_ONCE = 2**22
"""Numbers of vectors that are multiplied together: 25 MB."""

ScoresOf = Callable[[Store, NDArray[np.int64], Wish], NDArray[np.int64]]
"""Gives the (n,) scores of n ascending rows, wherever they are computed."""


@dataclass(frozen=True)
class ScoreJob:
    """What one worker scores in one go, small enough to send to it."""

    store: str
    rows: NDArray[np.int64]
    """(n,) ascending."""
    wish: Wish


def similarity(vectors: NDArray[np.int16], wish: Wish) -> NDArray[np.int64]:
    """(n,) scores of n vectors.

    Similarity is the dot product of lattice vectors, exact in float32 (see
    `coreframe.tasks.lattice`): the cosine times SCALE squared, to within 0.01 %. A score is the
    largest similarity to what frames should be like, less the largest to what they should be
    unlike; a side on which nothing is given is 0.

    Args:
        vectors: (n, dim) lattice.
        wish: what is asked for.
    """
    wide = vectors.astype(np.float32)
    score = np.zeros(len(vectors), np.int64)
    if len(wish.like):
        score += (wide @ wish.like.astype(np.float32).T).max(axis=1).astype(np.int64)
    if len(wish.unlike):
        score -= (wide @ wish.unlike.astype(np.float32).T).max(axis=1).astype(np.int64)
    return score


def score_rows(job: ScoreJob) -> NDArray[np.int64]:
    """(n,) scores of a job's rows, which are read here."""
    return scores_here(Store.open(job.store), job.rows, job.wish)


def scores_here(
    store: Store,
    rows: NDArray[np.int64],
    wish: Wish,
    values_at_once: int = VALUES_AT_ONCE,
) -> NDArray[np.int64]:
    """(n,) int64 scores of any rows, computed in this process; see :func:`similarity`.

    Args:
        store: that has the rows.
        rows: (n,) int64 ascending, so that each block is read once.
        wish: what is asked for.
        values_at_once: numbers that are read, and multiplied, together; it changes nothing of the
            scores.
    """
    read, dim = store.row_reader(), store.settings.dim
    found, step = [np.empty(0, np.int64)], max(1, values_at_once // dim)
    for own in np.split(rows, block_cuts(rows, store.block_rows, -(-len(rows) // step))):
        vectors = read(own)  # of a large block more than that
        for start in range(0, len(own), step):
            found.append(similarity(vectors[start : start + step], wish))
    return np.concatenate(found)
