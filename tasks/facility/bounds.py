"""Upper bounds of all gains, and which of them to look at again."""

import numpy as np
from numpy.typing import NDArray

FIRST = 64
"""Candidates looked at together after a pick."""

GROWTH = 3
"""Times as many as were looked at since the last pick are looked at next, if so many must be."""

MOST = 2048
"""Candidates looked at together at most."""


class Bounds:
    """What each unit would bring at most, as the next center, stretch by stretch of the corpus.

    A gain only ever becomes less. In a stretch in which a pick brings nothing no row changes, and
    nor do others' gains there; and what a unit would not bring once it will never. So a pick makes
    only those gains uncertain that lie in the same stretches as its own.

    Attributes:
        total: (u,) int64 over all stretches, never less than the true gain.
        fresh: (u,) bool, whether it is the true gain.
        gain: (u, s) int32 in each stretch.
        since: (u,) int64 portions of centers that there were when gains were found last.
    """

    def __init__(self, gain: NDArray[np.int32], portions: int) -> None:
        """Begin with all (u, s) true gains, found after so many portions of centers."""
        self.gain, self.total = gain, gain.sum(axis=1, dtype=np.int64)
        self.fresh = np.ones(len(gain), bool)
        self.since = np.full(len(gain), portions, np.int64)
        self._evaluated = 0

    def best(self, can: NDArray[np.bool_]) -> int | None:
        """The unit of the highest bound among (u,) some, of equal ones the lowest."""
        if not can.any():
            return None
        return int(np.argmax(np.where(can, self.total, -1)))

    def equals(self, best: int, can: NDArray[np.bool_]) -> NDArray[np.int64]:
        """The first of those units whose true gain is that of the best, in ascending order."""
        return np.flatnonzero(can & self.fresh & (self.total == self.total[best]))[:FIRST]

    def batch(self, can: NDArray[np.bool_]) -> NDArray[np.int64]:
        """(b,) units to be looked at next: of those that might come before the best true gain."""
        stale = can & ~self.fresh
        known = self.best(can & self.fresh)
        if known is not None:
            bar = self.total[known]
            stale[:known] &= self.total[:known] >= bar
            stale[known:] &= self.total[known:] > bar
        places = np.flatnonzero(stale)
        count = min(len(places), MOST, max(FIRST, GROWTH * self._evaluated))
        total = self.total[places]
        least = np.partition(total, -count)[-count]
        above = places[total > least]
        return np.concatenate([above, places[total == least][: count - len(above)]])

    def note(self, places: NDArray[np.int64], gain: NDArray[np.int32], portions: int) -> None:
        """Note the true gains, (b, s), of (b,) units after so many portions of centers."""
        self.gain[places], self.total[places] = gain, gain.sum(axis=1, dtype=np.int64)
        self.fresh[places], self.since[places] = True, portions
        self._evaluated += len(places)

    def take(self, place: int) -> None:
        """Note a pick, whose true gain is known."""
        for stretch in np.flatnonzero(self.gain[place]):
            self.fresh &= self.gain[:, stretch] == 0
        self._evaluated = 0
