"""How typical each frame of a corpus is: as near as its nearest neighbours are.

The neighbours are taken from the store where it keeps them. What it lacks is found, and kept there
for the next time if it can be.
"""

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from coreframe.tasks.errors import CoreframeError, ReadOnlyError
from coreframe.tasks.neighbours.find import PartitionsOf, Work
from coreframe.tasks.neighbours.found import Neighbours
from coreframe.tasks.neighbours.kept import KeptNeighbours
from coreframe.tasks.neighbours.sizes import DEFAULT_SIZES, Sizes
from coreframe.tasks.store.lock import sole_writer
from coreframe.tasks.store.store import Store

logger = logging.getLogger("coreframe")

Bar = Callable[[int], AbstractContextManager[Callable[[int], None]]]
"""Shows how far work is that is done to so many rows; gives what is told of rows just done."""


def no_bar(_: int) -> AbstractContextManager[Callable[[int], None]]:
    """Show nothing."""
    return nullcontext(lambda _: None)


class Density(NamedTuple):
    """How near the neighbours of each frame are.

    Attributes:
        rows: (n,) int64 ascending: the decodable frames of the corpus.
        mean_distance: (n,) float64 mean L2 distance to the k nearest others.
    """

    rows: NDArray[np.int64]
    mean_distance: NDArray[np.float64]

    @property
    def typical(self) -> NDArray[np.float64]:
        """(n,) float64 from 0 to 1, larger where neighbours are nearer: 1 - mean distance / 2."""
        return np.clip(1 - self.mean_distance / 2, 0.0, 1.0)


def density(
    store: Store,
    rows: NDArray[np.int64],
    digests: NDArray[np.uint64],
    k: int,
    partitions_of: PartitionsOf,
    bar: Bar = no_bar,
    sizes: Sizes = DEFAULT_SIZES,
) -> Density:
    """How near the k nearest of each frame are; arguments as of :func:`find_neighbours`."""
    found = find_neighbours(store, rows, digests, k, partitions_of, bar, sizes)
    return Density(found.rows, found.mean_distance(k))


def find_neighbours(
    store: Store,
    rows: NDArray[np.int64],
    digests: NDArray[np.uint64],
    k: int,
    partitions_of: PartitionsOf,
    bar: Bar = no_bar,
    sizes: Sizes = DEFAULT_SIZES,
) -> Neighbours:
    """The k nearest others of each decodable frame of a corpus.

    Args:
        store: that holds the corpus.
        rows: (n,) int64 ascending, of these frames, at least one.
        digests: (n,) uint64 of their pixels.
        k: how many, at least 1.
        partitions_of: splits rows of it.
        bar: shows how far it is.
        sizes: how it is done.
    """
    kept, known = KeptNeighbours(store), None
    try:
        known = kept.read()
    except CoreframeError as error:
        why = str(error).partition(": mend the store")[0]  # which is done here
        logger.warning("the neighbours that the store keeps are found anew: %s", why)
    if known is None or known.k < k:  # all of it is found anew
        known = Neighbours.nothing(k)
    work = Work(rows, digests, known)
    if work.rows == 0 and len(known) == len(rows):
        return known.nearest(k)
    with bar(work.rows) as advance:
        found = work.done(store, partitions_of, advance, sizes)
    _keep(kept, store, found)
    return found.nearest(k)


def _keep(kept: KeptNeighbours, store: Store, found: Neighbours) -> None:
    """Let the store keep them, if it may be written and nobody else writes to it."""
    try:
        with sole_writer(store, "a selection"):
            kept.write(found)
    except (CoreframeError, ReadOnlyError, OSError) as error:
        why = str(error).rstrip(".")
        logger.info(
            "the neighbours of frames are not kept in the store (%s): the page, and the next "
            "selection that needs them, find them again",
            why,
        )
