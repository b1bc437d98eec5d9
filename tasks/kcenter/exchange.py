"""Exchange a pick for a better row close to it, such as a sharper frame of the same moment."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

WITHIN_S = 1.0
"""How far a pick's substitute may be from it in time."""

SHARE_OF_DISTANCE = 4
"""A substitute is nearer to the pick than this part of the pick's distance to the centers, so that
it lies nearly as far out as the pick, and centers stay apart."""

AHEAD = 32
"""Picks whose substitutes are looked up together with those of one that was not expected."""

REMEMBERED = 2000
"""Centers ago that a pick was asked about at most: with more to compare with, asking is cheaper."""


@dataclass(frozen=True)
class Substitutes:
    """Which rows may be taken for one another.

    Attributes:
        rows: (r,) int64 ascending, all rows of the corpus.
        video: (r,) int64, their videos, each of which is in one piece.
        time_s: (r,) float64, when in the video.
        quality: (r,) float64, the larger the better.
        squared_within: between a pick and its substitute at most; in squared lattice units.
        label: (r,) int64, such that only rows of one label may be; None for any.
    """

    rows: NDArray[np.int64]
    video: NDArray[np.int64]
    time_s: NDArray[np.float64]
    quality: NDArray[np.float64]
    squared_within: int
    label: NDArray[np.int64] | None = None

    def better_than(self, row: int) -> NDArray[np.int64]:
        """(m,) rows of its video at most WITHIN_S away that are better, the best first."""
        place = int(np.searchsorted(self.rows, row))
        video = int(np.searchsorted(self._edges, place, side="right"))
        start, stop = self._edges[video - 1], self._edges[video]
        quality, time_s = self.quality[start:stop], self.time_s[start:stop]
        better = quality > self.quality[place]
        better &= np.abs(time_s - self.time_s[place]) <= WITHIN_S
        if self.label is not None:
            better &= self.label[start:stop] == self.label[place]
        places = np.flatnonzero(better)
        return self.rows[start + places[np.argsort(-quality[places], kind="stable")]]

    @cached_property
    def _edges(self) -> NDArray[np.int64]:
        """Where the rows of each video begin, and where the last ones end."""
        between = np.flatnonzero(np.diff(self.video)) + 1
        return np.concatenate([[0], between, [len(self.rows)]])


class Taken(NamedTuple):
    """A new center."""

    row: int
    vector: NDArray[np.int16]
    """(dim,) lattice."""
    squared: int
    """Its squared distance to the centers before it."""


class Pairs(NamedTuple):
    """Rows, each with a pick that it might be taken for.

    Attributes:
        rows: (m,) int64 ascending, perhaps with repetitions.
        of: (m,) int64, the places of their picks.
        picks: (p, dim) int16 lattice.
        squared_within: how far from each other they may be.
    """

    rows: NDArray[np.int64]
    of: NDArray[np.int64]
    picks: NDArray[np.int16]
    squared_within: int


class Near(NamedTuple):
    """Of pairs those that are near each other.

    Attributes:
        place: (k,) int64 of each pair.
        vectors: (k, dim) int16 lattice of its row.
        apart: (k,) int64, the squared distance of row and pick.
        squared: (k,) int64, the row's squared distance to the centers.
    """

    place: NDArray[np.int64]
    vectors: NDArray[np.int16]
    apart: NDArray[np.int64]
    squared: NDArray[np.int64]

    def some(self, places: NDArray[np.int64]) -> "Near":
        """Those at some places."""
        place, vectors, apart, squared = self
        return Near(place[places], vectors[places], apart[places], squared[places])


Ahead = Callable[[], tuple[NDArray[np.int64], NDArray[np.int16]]]
"""Tells the rows that are probably picked next, and their vectors."""

Exchange = Callable[[Taken, Ahead], Taken]
"""Gives what is taken for a pick: the pick itself, or its substitute."""


class Neighbours(Protocol):
    """A corpus that tells which of its rows are near picks."""

    def near(self, pairs: Pairs) -> Near:
        """Look at pairs of rows and picks."""
        ...


class Exchanger:
    """Exchanges picks, one after the other.

    Of the rows that are better than a pick it takes the best one that is within the distance
    allowed, and within a quarter of the pick's own distance to the centers; that is no center and
    not equal to one; and that is as far from all of them as any two have to be. Where there is
    none the pick stays. That depends on the picks so far alone, not on where a pass began.

    To ask takes as long as hundreds of picks do, so it is asked about all that are expected in a
    pass at once, and kept from pass to pass: what was taken since then is compared with here.
    """

    def __init__(
        self, corpus: Neighbours, substitutes: Substitutes, squared_min_distance: int, dim: int
    ) -> None:
        """Begin before the first pass.

        Args:
            corpus: that has the rows.
            substitutes: which rows may be taken for which.
            squared_min_distance: between any two centers; in squared lattice units.
            dim: of the vectors.
        """
        self._corpus, self._substitutes = corpus, substitutes
        self._least = max(1, squared_min_distance)
        self._known: dict[int, tuple[int, NDArray[np.int64], Near]] = {}
        """For each pick looked up: how many centers its distances know of; the rows that are better
        and near enough, the best first."""
        self._taken = np.empty((64, dim), np.float32)
        """Vectors of the centers that are not forgotten, and room for more."""
        self._count = self._before = self._forgotten = 0
        """Centers; those that the corpus knows of; those that nothing is compared with again."""

    def begin_pass(self, expected: Sequence[Taken]) -> None:
        """The corpus has taken up all centers; some picks are expected next, or most of them."""
        self._before = self._count
        oldest = max(self._forgotten, self._count - REMEMBERED)
        self._known = {row: one for row, one in self._known.items() if one[0] >= oldest}
        self._taken = self._taken[oldest - self._forgotten :].copy()
        self._forgotten = oldest
        rows = np.array([pick.row for pick in expected])
        self._look_up(rows, np.stack([pick.vector for pick in expected]))

    def __call__(self, pick: Taken, ahead: Ahead) -> Taken:
        """See :data:`Exchange`."""
        if pick.row not in self._known:
            self._look_up(*ahead())
        taken = self._best(pick)
        place = self._count - self._forgotten
        if place >= len(self._taken):
            room = np.empty((place + 64, self._taken.shape[1]), np.float32)
            self._taken = np.concatenate([self._taken, room])
        self._taken[place] = taken.vector
        self._count += 1
        return taken

    def _best(self, pick: Taken) -> Taken:
        since, rows, near = self._known.pop(pick.row)
        close = near.apart * SHARE_OF_DISTANCE**2 <= pick.squared
        for place in np.flatnonzero(close).tolist():
            vector, squared = near.vectors[place], int(near.squared[place])
            if since < self._count:
                later = slice(since - self._forgotten, self._count - self._forgotten)
                nearest = squared_to(vector, self._taken[later]).min()
                squared = min(squared, int(nearest))
            if squared >= self._least:
                return Taken(int(rows[place]), vector, squared)
        return pick

    def _look_up(self, picks: NDArray[np.int64], vectors: NDArray[np.int16]) -> None:
        """Ask what may be taken for some rows, all at once."""
        new = np.array([row not in self._known for row in picks.tolist()])
        picks, vectors = picks[new], vectors[new]
        if len(picks) == 0:
            return
        better = [self._substitutes.better_than(row) for row in picks.tolist()]
        rows = np.concatenate(better)
        of = np.repeat(np.arange(len(picks)), [len(some) for some in better])
        order = np.argsort(rows, kind="stable")
        within = self._substitutes.squared_within
        found = self._corpus.near(Pairs(rows[order], of[order], vectors, within))
        place = order[found.place]
        for number, row in enumerate(picks.tolist()):
            own = np.flatnonzero(of[place] == number)
            own = own[np.argsort(place[own])]  # the best first
            self._known[row] = self._before, rows[place[own]], found.some(own)


def squared_to(vector: NDArray[np.int16], others: NDArray[np.number]) -> NDArray[np.int64]:
    """(n,) squared distances of one lattice vector to others, (n, dim)."""
    wide, own = others.astype(np.float32, copy=False), vector.astype(np.float32)
    lengths = np.einsum("ij,ij->i", wide, wide).astype(np.int64) + int(own @ own)
    return lengths - 2 * (wide @ own).astype(np.int64)  # of whole numbers, exact: see `lattice`
