"""Greedy k-center, exact, in few passes over the data."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from coreframe.tasks.kcenter.partition import (
    FAR,
    Farthest,
)
from coreframe.tasks.kcenter.pool import Candidates, pick
from coreframe.tasks.scale import to_l2

POOL_ROWS = 4096
"""Candidates pooled in a pass at least. More make fewer passes, and more work per pick."""

POOL_VALUES = 2**21
"""Numbers in a pool's vectors at most, where that is more candidates. The first passes are for a
few picks each and use it all; it is halved once picks are so many that they cost the driver."""

EXTENDING = 4
"""Times as many where centers exist before. The picks then come from all new rows at once, and in
one or two passes instead of five."""


@dataclass(frozen=True)
class Quota:
    """How many rows of each video are picked, at most and at least.

    Attributes:
        most: at most so many of any video; None for no such limit.
        least: so many of every video, before anything else, where it has them.
        rows: (r,) int64 ascending, all rows of the corpus.
        video: (r,) int64, their videos.
        taken: rows of each video that are centers before the selection starts.
    """

    most: int | None
    least: int
    rows: np.ndarray
    video: np.ndarray
    taken: dict[int, int] = field(default_factory=dict)

    def video_of(self, rows: np.ndarray) -> np.ndarray:
        """(k,) int64 videos of rows."""
        return self.video[np.searchsorted(self.rows, rows)]


@dataclass(frozen=True)
class Goal:
    """When a selection is done. What is set combines: whichever comes first."""

    n: int
    squared_min_distance: int = 0
    """No pick is nearer than this to an earlier one; in squared lattice units."""
    squared_radius: int | None = None
    """A row as near as this to a center needs none of its own; in squared lattice units."""
    quota: Quota | None = None


@dataclass(frozen=True)
class Picks:
    """Selected rows in pick order.

    Attributes:
        rows: (k,) int64.
        distance: (k,) float64 L2 on the unit scale to the nearest earlier center, NaN when there
            is none.
        radius: (k,) float64 L2, the covering radius once the pick is made: the largest distance
            of any row of the corpus to its nearest center.
        lower_bound: (k,) float64 L2: no other rows in place of these k have a covering radius
            below this.
        radius_before: (p,) float64 L2, the same after each center that existed before.
        stopped_by: ``n``, ``min_distance``, ``radius``, ``max_per_video`` or ``exhausted``.
        passes: passes over the corpus that it took.
        pairs: distances that it formed, where the textbook forms len(corpus) * k.
        screened: distances between short sketches, or in bfloat16, that it formed to save others.
    """

    rows: np.ndarray
    distance: np.ndarray
    radius: np.ndarray
    lower_bound: np.ndarray
    radius_before: np.ndarray
    stopped_by: str
    passes: int = 0
    pairs: int = 0
    screened: int = 0


class Partitions(Protocol):
    """The corpus, wherever its partitions live."""

    @property
    def dim(self) -> int:
        """Numbers a vector."""
        ...

    def central(self) -> int | None:
        """The row nearest to the mean of all rows; None when there is none."""
        ...

    def assign(self, rows: np.ndarray, vectors: np.ndarray, curve: bool = False) -> None:
        """Let every partition take new centers into account."""
        ...

    def farthest(
        self, count: int, squared_threshold: int, closed: np.ndarray | None
    ) -> list[Farthest]:
        """Every partition's answer to :func:`coreframe.tasks.kcenter.partition.farthest`."""
        ...

    def collect(self, rows: np.ndarray) -> np.ndarray:
        """(k, dim) int16 lattice of ascending rows of any partitions."""
        ...

    def weight(self, rows: np.ndarray) -> np.ndarray | None:
        """(k,) int64 weights of rows, None when all are alike."""
        ...


def greedy_k_center(
    corpus: Partitions, goal: Goal, advance: Callable[[int], None] = lambda _: None
) -> Picks:
    """Pick rows one by one, each the farthest from all picked before it.

    This is the 2-approximation of Gonzalez (1985), "Clustering to minimize the maximum
    intercluster distance"; Sener and Savarese (2018) use it to choose training images. Done
    textbook-wise it reads every row once a pick. Here each pass pools the farthest rows of all
    partitions and picks inside the pool for as long as its best row is farther than every row
    left out of it: those can only come nearer, so each pick is the true farthest row, and the
    picks are those of the textbook, to the bit.

    Centers that exist before are in the corpus already, with a curve if one is wanted. Without
    any, the first pick is the row nearest to the mean of the corpus: the most typical frame. Ties
    go to the lower row everywhere. So the result depends on the rows alone, not on workers,
    partitions or devices.

    With weights, "farthest" means the largest squared distance times weight. With a quota, rows
    of videos that have theirs are passed over; while any video lacks its least number, all others
    are.

    The lower bound is half the smallest distance among k + 1 rows that lie apart, the picks and
    the farthest row: of any k centers one serves two of these (Gonzalez; Hochbaum and Shmoys
    1985). Without weights and quotas it is half the radius.

    Args:
        corpus: the rows, with any centers that exist before already assigned.
        goal: when to stop.
        advance: told of every number of picks just made.
    """
    weighted = corpus.weight(np.empty(0, np.int64)) is not None
    progress = _Progress(goal, weighted, max(POOL_ROWS, EXTENDING * POOL_VALUES // corpus.dim))
    reports = _farthest(corpus, progress)
    before = highest_curve(reports)
    if goal.n > 0 and any(report.largest >= FAR for report in reports):
        progress.pool_rows = max(POOL_ROWS, POOL_VALUES // corpus.dim)
        first = corpus.central()
        assert first is not None  # a row that is far from everything exists
        progress.passes += 2  # finding the mean and its nearest row read the corpus once each
        vectors = corpus.collect(np.array([first]))
        progress.take(np.array([first]), [])
        reports = _assign(corpus, progress, np.array([first]), vectors, advance)
    while len(progress.rows) < goal.n:
        if not any(report.pickable for report in reports):
            if not progress.stop_filling():
                break
            reports = _farthest(corpus, progress)
            continue
        pool = _pool(corpus, reports, progress)
        places, squared = pick(
            pool, goal.n - len(progress.rows), progress.threshold, progress.room()
        )
        assert places, "the best row of all is a candidate, and above the bar"
        progress.take(pool.rows[places], squared)
        reports = _assign(corpus, progress, pool.rows[places], pool.vectors[places], advance)
    return progress.picks(reports, before)


def _assign(
    corpus: Partitions,
    progress: "_Progress",
    rows: np.ndarray,
    vectors: np.ndarray,
    advance: Callable[[int], None],
) -> list[Farthest]:
    corpus.assign(rows, vectors, curve=progress.needs_curve)
    reports = _farthest(corpus, progress)
    progress.passes += 1
    progress.note(reports)
    advance(len(rows))
    return reports


def _farthest(corpus: Partitions, progress: "_Progress") -> list[Farthest]:
    return corpus.farthest(progress.pool_rows, progress.threshold, progress.closed())


def _pool(corpus: Partitions, reports: Sequence[Farthest], progress: "_Progress") -> Candidates:
    """The best rows of all partitions together, and the bar: the best that may be left out."""
    rows = np.concatenate([report.rows for report in reports])
    keys = np.concatenate([report.keys for report in reports])
    order = np.lexsort((rows, -keys))
    size, quota = progress.pool_rows, progress.goal.quota
    bars = [(int(keys[place]), -int(rows[place])) for place in order[size : size + 1]]
    for report in reports:
        if report.pickable > len(report.rows):  # what it did not name is below what it named last
            bars.append((int(report.keys[-1]), -int(report.rows[-1])))
    best = order[:size][np.argsort(rows[order[:size]])]
    kept = rows[best]
    return Candidates(
        rows=kept,
        distance=np.concatenate([report.distance for report in reports])[best],
        vectors=corpus.collect(kept),
        weight=corpus.weight(kept),
        video=None if quota is None else quota.video_of(kept),
        bar=max(bars, default=None),
    )


class _Progress:
    """What has been picked, and what that means for the next pass."""

    def __init__(self, goal: Goal, weighted: bool, pool_rows: int) -> None:
        self.goal = goal
        self.pool_rows = pool_rows
        self.needs_curve = weighted or goal.quota is not None
        self.passes = 0
        self.rows: list[int] = []
        self._squared: list[int] = []
        self._radius: list[int] = []
        self._first_alone = False
        self._filling = goal.quota is not None and goal.quota.least > 0
        self._left: dict[int, int] = {}
        """Rows of each video that may still be picked in this phase."""
        if goal.quota is not None:
            self._taken = Counter(goal.quota.taken)
            self._available = Counter(goal.quota.video.tolist())
            self._count_left()

    @property
    def threshold(self) -> int:
        """Rows nearer than this to a center are not picked now; squared."""
        if self._filling or self.goal.squared_radius is None:
            return self.goal.squared_min_distance
        return max(self.goal.squared_min_distance, self.goal.squared_radius + 1)

    def closed(self) -> np.ndarray | None:
        """Videos of which no row may be picked now."""
        if self.room() is None:
            return None
        return np.array([video for video, left in self._left.items() if left <= 0], np.int32)

    def room(self) -> dict[int, int] | None:
        """Rows of each video that may still be picked, None when there is no limit."""
        quota = self.goal.quota
        return None if quota is None or (quota.most is None and not self._filling) else self._left

    def take(self, rows: np.ndarray, squared: Sequence[int]) -> None:
        """Record the picks of a pass; no distance for the very first center."""
        if len(rows) > self.pool_rows // 16:
            self.pool_rows = max(POOL_ROWS, self.pool_rows // 2)
        self._first_alone |= len(squared) < len(rows)
        self.rows += rows.tolist()
        self._squared += squared
        if self.goal.quota is not None:
            self._taken.update(self.goal.quota.video_of(rows).tolist())
            self._count_left()
            if self._filling and all(left <= 0 for left in self._left.values()):
                self.stop_filling()

    def stop_filling(self) -> bool:
        """End the phase in which videos get their least number; False when it was over."""
        was, self._filling = self._filling, False
        if was:
            self._count_left()
        return was

    def note(self, reports: Sequence[Farthest]) -> None:
        """Take the radius after each of the last picks from the partitions' answers."""
        if self.needs_curve:
            self._radius += highest_curve(reports).tolist()

    def picks(self, reports: Sequence[Farthest], before: np.ndarray) -> Picks:
        """The selection, given the answers after its last pick."""
        largest = max((report.largest for report in reports), default=0)
        squared = [0] * self._first_alone + self._squared
        radius = self._radius
        if not self.needs_curve:  # each pick was the farthest row
            radius = [*squared[1:], largest] if self.rows else []
        apart = np.array(squared, np.int64)
        if self._first_alone:
            apart[0] = FAR
        bound = np.minimum(np.minimum.accumulate(apart), np.array(radius, np.int64))
        distance = to_l2(np.array(squared, np.int64))
        if self._first_alone:
            distance[0] = np.nan
        return Picks(
            rows=np.array(self.rows, np.int64),
            distance=distance,
            radius=to_l2(np.array(radius, np.int64)),
            lower_bound=to_l2(bound) / 2,
            radius_before=to_l2(before),
            stopped_by=self._stopped_by(reports, largest),
            passes=self.passes,
            pairs=sum(report.pairs for report in reports),
            screened=sum(report.screened for report in reports),
        )

    def _stopped_by(self, reports: Sequence[Farthest], largest: int) -> str:
        goal = self.goal
        if len(self.rows) >= goal.n:
            return "n"
        if not any(report.unpicked for report in reports):
            return "exhausted"
        if goal.squared_radius is not None and largest <= goal.squared_radius:
            return "radius"
        closed = self.closed()
        if closed is not None and len(closed):
            return "max_per_video"
        return "min_distance" if goal.squared_min_distance else "exhausted"

    def _count_left(self) -> None:
        quota = self.goal.quota
        assert quota is not None
        for video, available in self._available.items():
            limit = min(quota.least, available) if self._filling else quota.most
            self._left[video] = available if limit is None else limit - self._taken[video]


def highest_curve(reports: Sequence[Farthest]) -> np.ndarray:
    """(m,) squared covering radius after each of the centers that partitions last took up."""
    curves = [report.curve for report in reports if report.curve is not None]
    return np.max(curves, axis=0) if curves else np.empty(0, np.int64)


def share_of(count: int, partitions: int) -> int:
    """Rows that each partition names so that the best ``count`` of all are probably among them."""
    return min(count + 1, max(256, 4 * count // max(1, partitions)))


def central_row(
    sums: Sequence[tuple[int, np.ndarray]],
    search: Callable[[int, np.ndarray], Sequence[tuple[int, int] | None]],
) -> int | None:
    """Combine the partitions' answers to the two questions that lead to the first pick.

    Args:
        sums: :func:`coreframe.tasks.kcenter.partition.vector_sum` of every partition.
        search: asks every partition :func:`coreframe.tasks.kcenter.partition.most_central`.
    """
    count = sum(number for number, _ in sums)
    if count == 0:
        return None
    total = np.stack([vector for _, vector in sums]).sum(axis=0, dtype=np.int64)
    return min(answer for answer in search(count, total) if answer is not None)[1]
