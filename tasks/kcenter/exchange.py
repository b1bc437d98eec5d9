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
"""Picks whose substitutes are looked up together with those of the first: one question for all."""


@dataclass(frozen=True)
class Substitutes:
    """Which rows may be taken for one another.

    Attributes:
        rows: (r,) int64 ascending, all rows of the corpus.
        video: (r,) int64, their videos, each of which is in one piece.
        time_s: (r,) float64, when in the video.
        quality: (r,) float64, the larger the better.
        squared_within: between a pick and its substitute at most; in squared lattice units.
    """

    rows: NDArray[np.int64]
    video: NDArray[np.int64]
    time_s: NDArray[np.float64]
    quality: NDArray[np.float64]
    squared_within: int

    def better_than(self, row: int) -> NDArray[np.int64]:
        """(m,) rows of its video at most WITHIN_S away that are better, the best first."""
        place = int(np.searchsorted(self.rows, row))
        video = int(np.searchsorted(self._edges, place, side="right"))
        start, stop = self._edges[video - 1], self._edges[video]
        quality, time_s = self.quality[start:stop], self.time_s[start:stop]
        better = quality > self.quality[place]
        better &= np.abs(time_s - self.time_s[place]) <= WITHIN_S
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


Exchange = Callable[[Taken, Callable[[], NDArray[np.int64]]], Taken]
"""Gives what is taken for a pick: the pick itself, or its substitute. The second argument tells
the rows that are probably picked next, the pick's among them, when that is asked."""


class Standings(Protocol):
    """A corpus that tells where its rows stand."""

    def standing(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int16], NDArray[np.int64]]:
        """(k, dim) lattice of k ascending rows, and their (k,) squared distances to the centers."""
        ...


class Exchanger:
    """Exchanges the picks of one pass, one after the other.

    Of the rows that are better than a pick it takes the best one that is within the distance
    allowed, and within a quarter of the pick's own distance to the centers; that is no center and
    not equal to one; and that is as far from all of them as any two have to be. Where there is
    none the pick stays. That depends on the picks so far alone, not on where a pass began.
    """

    def __init__(
        self, corpus: Standings, substitutes: Substitutes, squared_min_distance: int
    ) -> None:
        """Begin a pass.

        Args:
            corpus: where things stand at its beginning.
            substitutes: which rows may be taken for which.
            squared_min_distance: between any two centers; in squared lattice units.
        """
        self._corpus, self._substitutes = corpus, substitutes
        self._least = max(1, squared_min_distance)
        self._better: dict[int, tuple[NDArray[np.int64], NDArray[np.int16], NDArray[np.int64]]] = {}
        """For each pick looked up its better rows, their vectors, and squared distances."""
        self._taken: list[NDArray[np.int16]] = []
        """Vectors of this pass's centers."""

    def __call__(self, pick: Taken, ahead: Callable[[], NDArray[np.int64]]) -> Taken:
        """See :data:`Exchange`."""
        if pick.row not in self._better:
            self._look_up([pick.row, *ahead().tolist()])
        taken = self._best(pick)
        self._taken.append(taken.vector)
        return taken

    def _best(self, pick: Taken) -> Taken:
        rows, vectors, distance = self._better[pick.row]
        apart = squared_to(pick.vector, vectors)
        near = apart <= self._substitutes.squared_within
        near &= apart * SHARE_OF_DISTANCE**2 <= pick.squared
        for place in np.flatnonzero(near).tolist():  # the best first
            squared = int(distance[place])
            if self._taken:
                squared = min(squared, int(squared_to(vectors[place], self._taken).min()))
            if squared >= self._least:
                return Taken(int(rows[place]), vectors[place], squared)
        return pick

    def _look_up(self, picks: Sequence[int]) -> None:
        """Ask what may be taken for some rows, all at once."""
        new = [row for row in picks if row not in self._better]
        better = [self._substitutes.better_than(row) for row in new]
        every = np.unique(np.concatenate(better))
        vectors, distance = self._corpus.standing(every)
        for row, rows in zip(new, better, strict=True):
            places = np.searchsorted(every, rows)
            self._better[row] = (rows, vectors[places], distance[places])


def squared_to(
    vector: NDArray[np.int16], others: NDArray[np.int16] | Sequence[NDArray[np.int16]]
) -> NDArray[np.int64]:
    """(n,) squared distances of one lattice vector to others, (n, dim)."""
    apart = np.asarray(others, np.int32) - vector.astype(np.int32)
    return np.einsum("ij,ij->i", apart, apart, dtype=np.int64)
