"""What a selection has picked so far, and what follows from it for the next pass."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from coreframe.tasks.kcenter.goal import Goal, PickedRows, StoppedBy
from coreframe.tasks.kcenter.partition import FAR, Farthest
from coreframe.tasks.kcenter.pool import PoolPicks
from coreframe.tasks.kcenter.quotas import Left, Limits
from coreframe.tasks.kcenter.tuning import Tuning
from coreframe.tasks.scale import to_l2


class Progress:
    """What has been picked, and what that means for the next pass."""

    def __init__(self, goal: Goal, weighted: bool, dim: int, tuning: Tuning) -> None:
        """Begin before the first pass.

        Args:
            goal: when to stop.
            weighted: whether rows have weights.
            dim: of the vectors.
            tuning: how large pools are.
        """
        self.goal = goal
        self.pool_rows = tuning.pool_rows_of(dim, extending=True)
        self._least_pool_rows = tuning.pool_rows
        self.needs_curve = weighted or goal.quota is not None
        self.passes = 0
        self.rows: list[int] = []
        """Centers."""
        self._picked: list[int] = []
        """The rows for which they were taken, and how far these were."""
        self._reach: list[int] = []
        self._squared: list[int] = []
        self._radius: list[int] = []
        self._first_alone = False
        self._limits = None if goal.quota is None else Limits(goal.quota, goal.n)

    @property
    def threshold(self) -> int:
        """Rows nearer than this to a center are not picked now; squared."""
        filling = self._limits is not None and self._limits.filling
        if filling or self.goal.squared_radius is None:
            return self.goal.squared_min_distance
        return max(self.goal.squared_min_distance, self.goal.squared_radius + 1)

    def closed(self) -> NDArray[np.int32] | None:
        """(c,) groups of which no row may be picked now; None when there is no limit."""
        return None if self._limits is None else self._limits.closed()

    @property
    def left(self) -> Left | None:
        """Rows of each video and class that may still be picked, None when there is no limit."""
        return None if self._limits is None else self._limits.left

    def take_first(self, picked: int, center: int) -> None:
        """Record the very first center, which is far from none."""
        self._first_alone = True
        self._record([picked], [FAR], [center], [FAR])

    def take(self, picks: PoolPicks) -> None:
        """Record the picks of a pass."""
        centers = [center.row for center in picks.taken]
        self._record(picks.rows, picks.squared, centers, [one.squared for one in picks.taken])

    def _record(
        self, picked: list[int], reach: list[int], centers: list[int], squared: list[int]
    ) -> None:
        if len(centers) > self.pool_rows // 16:
            self.pool_rows = max(self._least_pool_rows, self.pool_rows // 2)
        self._picked += picked
        self._reach += reach
        self.rows += centers
        self._squared += squared
        if self._limits is not None:
            self._limits.take(centers)

    def stop_filling(self) -> bool:
        """End the phase in which videos get their least number; False when it was over."""
        return self._limits is not None and self._limits.stop_filling()

    def note(self, reports: Sequence[Farthest], ends: NDArray[np.int64]) -> None:
        """Take the radius after each of the last picks from the partitions' answers.

        Args:
            reports: these.
            ends: (k,) place of the last center that came with each pick.
        """
        if self.needs_curve:
            self._radius += highest_curve(reports)[ends].tolist()

    def picks(self, reports: Sequence[Farthest], before: NDArray[np.int32]) -> PickedRows:
        """The selection.

        Args:
            reports: the partitions' answers after its last pick.
            before: (p,) squared covering radius after each center that existed before.
        """
        largest = max((report.largest for report in reports), default=0)
        radius = self._radius
        if not self.needs_curve:  # each pick was the farthest row
            radius = [*self._reach[1:], largest] if self.rows else []
        apart = np.array(self._squared, np.int64)
        bound = np.minimum(np.minimum.accumulate(apart), np.array(radius, np.int64))
        distance = to_l2(apart)
        if self._first_alone:
            distance[0] = np.nan
        return PickedRows(
            rows=np.array(self.rows, np.int64),
            center_rows=np.array(self._picked, np.int64),
            distance=distance,
            radius=to_l2(np.array(radius, np.int64)),
            lower_bound=np.full(len(bound), np.nan) if self.goal.groups else to_l2(bound) / 2,
            radius_before=to_l2(before),
            stopped_by=self._stopped_by(reports, largest),
            passes=self.passes,
            distances_formed=sum(report.distances_formed for report in reports),
            rough_distances_formed=sum(report.rough_distances_formed for report in reports),
        )

    def _stopped_by(self, reports: Sequence[Farthest], largest: int) -> StoppedBy:
        goal = self.goal
        if len(self.rows) >= goal.n:
            return StoppedBy.N
        if not any(report.unpicked for report in reports):
            return StoppedBy.EXHAUSTED
        if goal.squared_radius is not None and largest <= goal.squared_radius:
            return StoppedBy.RADIUS
        closed = self.closed()
        if closed is not None and len(closed):
            balanced = goal.quota is not None and goal.quota.classes is not None
            return StoppedBy.BALANCE if balanced else StoppedBy.MAX_PER_VIDEO
        return StoppedBy.MIN_DISTANCE if goal.squared_min_distance else StoppedBy.EXHAUSTED


def highest_curve(reports: Sequence[Farthest]) -> NDArray[np.int32]:
    """(m,) squared covering radius after each of the centers that partitions last took up."""
    curves = [report.curve for report in reports if report.curve is not None]
    return np.max(curves, axis=0) if curves else np.empty(0, np.int32)
