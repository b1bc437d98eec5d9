"""Find the neighbours of a corpus, wherever its partitions are, and of a changed one what changed.

A row whose neighbours are known and all still there has them still, but for rows that are new: it
is compared with these alone. All other rows are compared with all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from coreframe.tasks.kcenter.job import Before
from coreframe.tasks.kcenter.partitions import BasePartitions
from coreframe.tasks.kcenter.tuning import DEFAULT_TUNING, Tuning
from coreframe.tasks.neighbours import job
from coreframe.tasks.neighbours.cells import Cells
from coreframe.tasks.neighbours.found import NONE, Neighbours
from coreframe.tasks.neighbours.sizes import DEFAULT_SIZES, Sizes
from coreframe.tasks.store.store import Store


class PartitionsOf(Protocol):
    """Gives the partitions of rows of a store, for as long as a context lasts."""

    def __call__(
        self,
        store: Store,
        rows: NDArray[np.int64],
        *,
        length: int,
        weight: NDArray[np.int64] | None,
        group: NDArray[np.int32] | None,
        before: Before | None,
        tuning: Tuning,
    ) -> AbstractContextManager[BasePartitions]:
        """Split rows; see :class:`coreframe.tasks.kcenter.on_dask.DaskPartitions`."""
        ...


class Work:
    """What is left to be found of a corpus.

    Attributes:
        anew: (a,) int64 rows that are compared with all.
        new: (b,) int64 rows of which nothing is known; they are among these.
        settled: the others, with the neighbours that are known.
        rows: how many there are to be looked at.
    """

    def __init__(
        self, rows: NDArray[np.int64], digests: NDArray[np.uint64], known: Neighbours
    ) -> None:
        """Look at what is known.

        Args:
            rows: (n,) int64 ascending, of the corpus.
            digests: (n,) uint64 of their frames.
            known: of the corpus as it once was.
        """
        self._rows, self._digests = rows, digests
        place = np.minimum(np.searchsorted(rows, known.rows), len(rows) - 1)
        same = (rows[place] == known.rows) & (digests[place] == known.digests)
        left = known.without(known.rows[~same])
        self.settled = left.at(np.flatnonzero(left.settled))
        self.new = np.setdiff1d(rows, left.rows, assume_unique=True)
        self.anew = np.setdiff1d(rows, self.settled.rows, assume_unique=True)
        self.rows = len(self.anew) + (len(self.settled) if len(self.new) else 0)

    def done(
        self,
        store: Store,
        partitions_of: PartitionsOf,
        advance: Callable[[int], None] = lambda _: None,
        sizes: Sizes = DEFAULT_SIZES,
    ) -> Neighbours:
        """Find it; the arguments are those of :func:`_search`."""
        k = self.settled.k
        keys = np.full((len(self._rows), k), NONE)
        old = np.searchsorted(self._rows, self.settled.rows)
        keys[old] = self.settled.keys
        searches = [(self.anew, self._rows, None), (self.settled.rows, self.new, keys[old])]
        for rows, others, known in searches:
            if len(rows) and len(others):
                found = _search(store, partitions_of, rows, others, k, known, advance, sizes)
                keys[np.searchsorted(self._rows, rows)] = found
        return Neighbours(self._rows, self._digests, keys)


def _search(
    store: Store,
    partitions_of: PartitionsOf,
    rows: NDArray[np.int64],
    others: NDArray[np.int64],
    k: int,
    known: NDArray[np.int64] | None,
    advance: Callable[[int], None],
    sizes: Sizes,
) -> NDArray[np.int64]:
    """The (n, k) keys of the nearest of some rows.

    Args:
        store: that has them.
        partitions_of: splits the rows; each of the partitions reads the others by itself.
        rows: (n,) int64 ascending.
        others: (m,) int64 ascending, among which to look.
        k: how many.
        known: (n, k) keys that are known, or None.
        advance: called with every number of rows just done.
        sizes: how.
    """
    keys = np.empty((len(rows), k), np.int64)
    with partitions_of(
        store, rows, length=1, weight=None, group=None, before=None, tuning=DEFAULT_TUNING
    ) as parts:
        members = parts.layout.members()
        shares = np.array_split(others, len(members))
        what = "Finding neighbours"
        cells = parts.ask(job.cells_of, store.path, sizes, each=shares, what=what)
        held = parts.hold(Cells.joined(cells))
        for numbers, pieces in _pieces(members, known, sizes.piece_of(store.settings.dim)):
            asked = held, store.path, k, sizes
            answers = parts.ask(job.neighbours_of, *asked, each=pieces, some=numbers, what=what)
            for number, piece, answer in zip(numbers, pieces, answers, strict=True):
                keys[members[number][piece.start : piece.stop]] = answer
                advance(len(answer))
    return keys


def _pieces(
    members: Sequence[NDArray[np.int64]], known: NDArray[np.int64] | None, most_rows: int
) -> list[tuple[list[int], list[job.Piece]]]:
    """Rounds of pieces: which partitions have one, and the piece of each.

    Args:
        members: of each partition the places of its rows.
        known: (n, k) keys of all rows, or None.
        most_rows: of a piece.
    """
    longest = max(map(len, members))
    count = -(-longest // most_rows)
    cuts = [np.arange(count + 1) * len(own) // count for own in members]
    rounds = []
    for number in range(count):
        numbers, pieces = [], []
        for part, (own, cut) in enumerate(zip(members, cuts, strict=True)):
            start, stop = int(cut[number]), int(cut[number + 1])
            if start < stop:
                numbers.append(part)
                some = None if known is None else known[own[start:stop]]
                pieces.append(job.Piece(start, stop, some))
        rounds.append((numbers, pieces))
    return rounds
