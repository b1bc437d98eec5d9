"""Upper bounds of all gains, and which of them to look at again."""

import numpy as np
from numpy.typing import NDArray

from coreframe.tasks.facility.standing import ASIDE

FIRST = 256
"""Candidates looked at together after a pick."""

GROWTH = 3
"""Times as many as were looked at since the last pick are looked at next, if so many must be."""

MOST = 2048
"""Candidates looked at together at most."""

LOOKED_AT = 4
"""Of the stretches, the share in which they are: one of so many. Mostly that already shows that
others bring more."""


class Bounds:
    """What each unit would bring at most, as the next center, stretch by stretch of the corpus.

    A gain only ever becomes less, and in a stretch by no more than the sum of the gaps there has
    fallen. In a stretch in which a pick brings nothing no row changes, and nor do others' gains
    there; and what a unit would not bring once it will never. So a pick makes only those gains
    uncertain that lie in the same stretches as its own.

    Attributes:
        total: (u,) int64 over all stretches, never less than the true gain.
        fresh: (u,) bool, whether it is the true gain.
        listed: (u,) bool, whether it is kept so by lists, see `listed`.
        gain: (u, s) int32 in each stretch.
    """

    def __init__(self, gain: NDArray[np.int32], gap: NDArray[np.int64], portions: int = 0) -> None:
        """Begin with all true gains.

        Args:
            gain: (u, s) these.
            gap: (s,) the sums of the gaps in each stretch.
            portions: of centers that partitions were given.
        """
        self.gain, self.total = gain, gain.sum(axis=1, dtype=np.int64)
        self.fresh = np.ones(len(gain), bool)
        self.listed = np.zeros(len(gain), bool)
        self._since = np.full(gain.shape, portions, np.int32)  # when each was found
        self._gap = [gap] * (portions + 1)  # after each portion of centers
        self._evaluated = 0

    def note_portion(self, gap: NDArray[np.int64]) -> None:
        """Note the sums of the gaps after one more portion of centers."""
        self._gap.append(gap)

    @property
    def sure(self) -> NDArray[np.bool_]:
        """(u,) whether each is the true gain."""
        return self.fresh | self.listed

    def best(self, can: NDArray[np.bool_]) -> int | None:
        """The unit of the highest bound among (u,) some, of equal ones the lowest."""
        if not can.any():
            return None
        return int(np.argmax(np.where(can, self.total, -1)))

    def equals(self, best: int, can: NDArray[np.bool_]) -> NDArray[np.int64]:
        """The first of those units whose true gain is that of the best, in ascending order."""
        return np.flatnonzero(can & self.sure & (self.total == self.total[best]))[:FIRST]

    def batch(self, can: NDArray[np.bool_]) -> NDArray[np.int64]:
        """(b,) units to be looked at next: of those that might come before the best true gain."""
        sure = self.sure
        stale = can & ~sure
        known = self.best(can & sure)
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

    def since(self, places: NDArray[np.int64]) -> NDArray[np.int32]:
        """(b, s) where to look for what (b,) units would bring, see `standing.Asked`.

        The first ones after a pick are looked at wherever they may have lost anything, so that one
        true gain is known. Others at first where they may have lost most.
        """
        since, loss = self._since[places], self._loss(places)
        wanted = loss > 0
        if self._evaluated:
            count = -(-loss.shape[1] // LOOKED_AT)
            least = np.partition(loss, -count, axis=1)[:, -count]
            wanted &= loss >= least[:, None]
        return np.where(wanted, since, ASIDE)

    def note(
        self, places: NDArray[np.int64], since: NDArray[np.int32], gain: NDArray[np.int32]
    ) -> None:
        """Note (b, s) what (b,) units would bring, true where it was asked for."""
        self.gain[places] = gain
        self.total[places] = np.minimum(self.total[places], gain.sum(axis=1, dtype=np.int64))
        self._since[places] = np.where(since == ASIDE, self._since[places], len(self._gap) - 1)
        self.fresh[places] = ~self._loss(places).any(axis=1)
        self._evaluated += len(places)

    def list(self, places: NDArray[np.int64], total: NDArray[np.int64]) -> None:
        """Note (c,) true gains that lists keep, and that they keep no others."""
        self.listed[:] = False
        self.listed[places] = True
        self.total[places] = total

    def take(self, place: int) -> None:
        """Note a pick, whose true gain is known."""
        for stretch in np.flatnonzero(self.gain[place]):
            self.fresh &= self.gain[:, stretch] == 0
        self._evaluated = 0

    def _loss(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """(b, s) how much less (b,) units may bring than they would have, at most."""
        every = np.array(self._gap)
        before = np.take_along_axis(every, self._since[places].astype(np.int64), axis=0)
        return np.minimum(self.gain[places], before - every[-1])
