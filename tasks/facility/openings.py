"""Which units may be picked: not yet picked, not too near, of videos and classes with room."""

import numpy as np
from numpy.typing import NDArray

from coreframe.tasks.kcenter.goal import Goal, StoppedBy
from coreframe.tasks.kcenter.quotas import Limits


class Openings:
    """Which units may be picked as things stand.

    Attributes:
        open: (u,) bool, may be picked if its video and class have room.
    """

    def __init__(self, goal: Goal, rows: NDArray[np.int64], can: NDArray[np.bool_]) -> None:
        """Begin before the first pick.

        Args:
            goal: what is asked for.
            rows: (u,) of all units.
            can: (u,) which of them may be picked as far as partitions know.
        """
        self._goal, self._rows, self.open = goal, rows, can.copy()
        self._unpicked = int(can.sum())
        self._limits = None if goal.quota is None else Limits(goal.quota, goal.n)
        self._closed: NDArray[np.bool_] | None = None
        """(u,) those whose video or class has no room now, where that was asked."""

    def now(self) -> NDArray[np.bool_]:
        """(u,) which units may be picked now."""
        if self._limits is None or self._goal.quota is None:
            return self.open
        if self._closed is None:
            closed = self._limits.closed()
            none = np.empty(0, np.int32)
            self._closed = np.isin(self._goal.quota.group, none if closed is None else closed)
        return self.open & ~self._closed

    def take(self, place: int) -> None:
        """Note a pick."""
        self.open[place] = False
        self._unpicked -= 1
        if self._limits is not None:
            self._limits.take([int(self._rows[place])])
            self._closed = None

    def close(self, places: NDArray[np.int64]) -> None:
        """Note that units are too near to a center."""
        self.open[places] = False

    def stop_filling(self) -> bool:
        """End the phase in which videos get their least number; False when it was over."""
        self._closed = None
        return self._limits is not None and self._limits.stop_filling()

    def stopped_by(self, picked: int) -> StoppedBy:
        """Why so many picks are all."""
        if picked >= self._goal.n:
            return StoppedBy.N
        if self._unpicked == 0:
            return StoppedBy.EXHAUSTED
        closed = None if self._limits is None else self._limits.closed()
        if closed is not None and len(closed) and self._goal.quota is not None:
            balanced = self._goal.quota.classes is not None
            return StoppedBy.BALANCE if balanced else StoppedBy.MAX_PER_VIDEO
        return StoppedBy.MIN_DISTANCE if self._goal.squared_min_distance else StoppedBy.EXHAUSTED
