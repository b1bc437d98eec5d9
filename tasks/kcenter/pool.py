"""The driver's part of a pass: pick among candidates for as long as that is exact."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coreframe.tasks.kcenter.tuning import DEFAULT_TUNING, Tuning
from coreframe.tasks.lattice import TILE_VALUES

Standing = tuple[int, int]
"""(key, -row) of a row: of two rows the one with the higher standing is picked first."""


@dataclass(frozen=True)
class Candidates:
    """The rows that may be picked in a pass, with their vectors.

    Attributes:
        rows: (p,) int64 ascending.
        distance: (p,) int64 squared to the nearest center.
        vectors: (p, dim) int16 lattice.
        weight: (p,) int64, or None when all rows are alike.
        video: (p,) int64, or None when videos do not matter.
        bar: of the best row that is not among them, None when there is none.
    """

    rows: NDArray[np.int64]
    distance: NDArray[np.int64]
    vectors: NDArray[np.int16]
    weight: NDArray[np.int64] | None
    video: NDArray[np.int64] | None
    bar: Standing | None


def pick(
    candidates: Candidates,
    n: int,
    squared_threshold: int,
    left_of: dict[int, int] | None = None,
    tuning: Tuning = DEFAULT_TUNING,
) -> tuple[list[int], list[int]]:
    """Pick greedily: always the candidate with the largest key, of equal ones the lowest row.

    Rows outside the candidates can only come nearer, so while the best candidate is above the bar
    it is the best of all. The same argument is used twice more inside. A *front* of the best
    candidates is picked from by their distances to one another alone, for as long as it is above
    the best of the rest. And a candidate is brought up to date with what was picked only when it
    would be in the front: what it was before is a bound on what it is (Minoux 1978, "Accelerated
    greedy algorithms for maximizing submodular set functions").

    Args:
        candidates: the candidates.
        n: picks at most.
        squared_threshold: candidates nearer than this to a center are not picked.
        left_of: how many rows of each video may still be picked, None for any number; changed by
            the picks.
        tuning: how many candidates are looked at together.

    Returns:
        Their places among the candidates, in pick order, and the squared distance that each had
        when it was picked.
    """
    state = _PoolState(candidates, squared_threshold, tuning)
    taken: list[int] = []
    squared: list[int] = []
    while len(taken) < n:
        front, rest = state.front(tuning.front_rows, candidates.bar)
        if len(front) == 0:
            break
        bar = candidates.bar
        limit = max((bound for bound in (bar, rest) if bound is not None), default=None)
        places, distances = _pick_in_front(state, front, n - len(taken), bar, limit, left_of)
        if not places:
            break
        taken += places
        squared += distances
        state.take(places, left_of)
    return taken, squared


def _pick_in_front(
    state: "_PoolState",
    front: NDArray[np.int64],
    n: int,
    bar: Standing | None,
    limit: Standing | None,
    left_of: dict[int, int] | None,
) -> tuple[list[int], list[int]]:
    """Pick in the front, for as long as no other row can be better.

    Args:
        state: of all candidates.
        front: (f,) ascending places of the best of them.
        n: picks at most.
        bar: of the best row that is no candidate.
        limit: of the best row outside the front, a candidate or not.
        left_of: see :func:`pick`.

    Returns:
        As :func:`pick`.
    """
    between = state.between(front)
    distance, keys, rows = state.distance[front], state.keys[front], state.rows[front]
    weight = None if state.weight is None else state.weight[front]
    video = None if state.video is None else state.video[front]
    picked: list[int] = []
    squared: list[int] = []
    while len(picked) < n:
        best = int(np.argmax(keys))  # rows ascend: the first of equal keys is the lowest row
        # the first is the best of all candidates; a later one must also beat what has gone stale
        bound = limit if picked else bar
        if keys[best] < 0 or (bound is not None and (int(keys[best]), -int(rows[best])) < bound):
            break
        picked.append(best)
        squared.append(int(distance[best]))
        np.minimum(distance, between[best], out=distance)
        alive = (keys >= 0) & (distance >= state.squared_threshold)
        alive[best] = False
        if video is not None and left_of is not None:
            left_of[int(video[best])] -= 1
            if left_of[int(video[best])] == 0:
                alive &= video != video[best]
        keys = np.where(alive, distance if weight is None else distance * weight, -1)
    return front[picked].tolist(), squared


class _PoolState:
    """Distances and keys of the candidates as picks are made."""

    def __init__(self, candidates: Candidates, squared_threshold: int, tuning: Tuning) -> None:
        self.rows, self.weight, self.video = candidates.rows, candidates.weight, candidates.video
        self.squared_threshold = squared_threshold
        self.distance = candidates.distance.astype(np.int64)
        self._lattice = candidates.vectors
        self._tuning = tuning
        self._tile_values = tuning.tile_values or TILE_VALUES["cpu"]
        self._alive = np.ones(len(self.rows), bool)
        self._picked: list[int] = []
        self._seen = np.zeros(len(self.rows), np.int64)
        """How many of the picks each candidate's distance takes into account."""
        self._rekey()

    def front(self, count: int, bar: Standing | None) -> tuple[NDArray[np.int64], Standing | None]:
        """Places of the best candidates, ascending, and a standing that no other is above.

        They are up to date, but for those below the bar, which are not picked anyway.
        """
        least = -1 if bar is None else bar[0]
        while True:
            front, rest = self._best(count)
            if not self._stale(front, least).any():
                return front, rest
            most = min(max(count, self._tuning.refreshed_rows), len(self.keys))
            ahead = np.argpartition(self.keys, len(self.keys) - most)[-most:]
            self._refresh(np.concatenate([front, ahead]), least)

    def _stale(self, places: NDArray[np.int64], least: int) -> NDArray[np.bool_]:
        """Which candidates' distances lack picks, though their keys reach ``least``."""
        return (self._seen[places] < len(self._picked)) & (self.keys[places] >= max(0, least))

    def _refresh(self, places: NDArray[np.int64], least: int) -> None:
        """Bring the stale ones among some candidates up to date."""
        places = np.unique(places[self._stale(places, least)])
        missed = self._lattice[self._picked[self._seen[places].min() :]].astype(np.float32)
        missed_norms = _squared_norms(missed)
        step = max(1, self._tile_values // max(missed.shape))
        for start in range(0, len(places), step):
            at = places[start : start + step]
            wide = self._lattice[at].astype(np.float32)
            # whole numbers, and the products exact, see `coreframe.tasks.lattice`
            nearest = (missed_norms - 2 * (wide @ missed.T).astype(np.int32)).min(axis=1)
            self.distance[at] = np.minimum(self.distance[at], _squared_norms(wide) + nearest)
        self._seen[places] = len(self._picked)
        self._rekey()

    def _best(self, count: int) -> tuple[NDArray[np.int64], Standing | None]:
        """The best by the keys known now; as :meth:`front`."""
        if len(self.keys) <= count:
            return np.flatnonzero(self.keys >= 0), None
        least = int(np.partition(self.keys, len(self.keys) - count)[-count])
        if least < 0:
            return np.flatnonzero(self.keys >= 0), None
        above, ties = np.flatnonzero(self.keys > least), np.flatnonzero(self.keys == least)
        taken = count - len(above)
        front = np.sort(np.concatenate([above, ties[:taken]]))
        if len(ties) > taken:
            return front, (least, -int(self.rows[ties[taken]]))
        below = np.where(self.keys < least, self.keys, -1)
        best = int(np.argmax(below))
        return front, (int(below[best]), -int(self.rows[best])) if below[best] >= 0 else None

    def between(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """(f, f) int64 squared distances of some candidates."""
        wide = self._lattice[places].astype(np.float32)
        dots = (wide @ wide.T).astype(np.int64)  # exact, see `coreframe.tasks.lattice`
        norms = np.diagonal(dots)
        return norms[:, None] + norms[None, :] - 2 * dots

    def take(self, places: list[int], left_of: dict[int, int] | None) -> None:
        """Take note of picks, and of the videos that may have no more."""
        self._picked += places
        self._alive[places] = False
        if self.video is not None and left_of is not None:
            videos = np.unique(self.video[places]).tolist()
            full = [video for video in videos if left_of[video] == 0]
            self._alive &= ~np.isin(self.video, full)
        self._rekey()

    def _rekey(self) -> None:
        keys = self.distance if self.weight is None else self.distance * self.weight
        self.keys = np.where(self._alive & (self.distance >= self.squared_threshold), keys, -1)


def _squared_norms(wide: NDArray[np.float32]) -> NDArray[np.int32]:
    """(n, dim) float32 that hold lattice integers to (n,) squared lengths."""
    return np.einsum("ij,ij->i", wide, wide).astype(np.int32)
