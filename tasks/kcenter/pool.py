"""The driver's part of a pass: pick among candidates for as long as that is exact."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coreframe.tasks.kcenter.company import Company
from coreframe.tasks.kcenter.exchange import AHEAD, Exchange, Taken, squared_to
from coreframe.tasks.kcenter.quotas import Left
from coreframe.tasks.kcenter.tuning import DEFAULT_TUNING, Tuning
from coreframe.tasks.lattice import TILE_VALUES

CenterArrays = tuple[NDArray[np.int64], NDArray[np.int16]]
"""(c,) rows and (c, dim) lattice."""

Standing = tuple[int, int]
"""(key, -row) of a row: of two rows the one with the higher standing is picked first."""


FARTHEST = np.iinfo(np.int32).max
"""Of a vector to none at all."""


@dataclass(frozen=True)
class Candidates:
    """The rows that may be picked in a pass, with their vectors.

    Attributes:
        rows: (p,) int64 ascending.
        distance: (p,) int64 squared to the nearest center.
        vectors: (p, dim) int16 lattice.
        weight: (p,) int64, or None when all rows are alike.
        labels: (p,) int64 each, of what picks are limited by: see
            `coreframe.tasks.kcenter.quotas`; nothing when there is no limit.
        bar: of the best row that is not among them, None when there is none.
        between: gives the (f, f) squared distances of (f, dim) vectors of theirs, faster than this
            process could; valid until it is asked again. None when there is no such help.
    """

    rows: NDArray[np.int64]
    distance: NDArray[np.int64]
    vectors: NDArray[np.int16]
    weight: NDArray[np.int64] | None
    labels: tuple[NDArray[np.int64], ...]
    bar: Standing | None
    between: Callable[[NDArray[np.int16]], NDArray[np.int32]] | None = None


@dataclass(frozen=True)
class PoolPicks:
    """What was picked, in order, and what was taken for it.

    Attributes:
        rows: what was picked.
        squared: the squared distances that these had when they were picked.
        taken: the new centers: the same rows, but for those that were exchanged.
        company: for each of them what else becomes a center with it.
    """

    rows: list[int] = field(default_factory=list)
    squared: list[int] = field(default_factory=list)
    taken: list[Taken] = field(default_factory=list)
    company: list[CenterArrays] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.rows)

    def add(self, pick: Taken, taken: Taken, company: CenterArrays | None = None) -> None:
        """Add one that stayed or was exchanged, with its company."""
        self.rows.append(pick.row)
        self.squared.append(pick.squared)
        self.taken.append(taken)
        none = np.empty(0, np.int64), np.empty((0, len(taken.vector)), np.int16)
        self.company.append(none if company is None else company)

    def centers(self, start: int = 0) -> CenterArrays:
        """All (m,) new centers from a pick on, each before its company, and (m, dim) vectors."""
        some = list(zip(self.taken[start:], self.company[start:], strict=True))
        rows = [part for one, (others, _) in some for part in ([one.row], others)]
        vectors = [part for one, (_, own) in some for part in (one.vector[None], own)]
        return np.concatenate(rows).astype(np.int64), np.concatenate(vectors)

    @property
    def ends(self) -> NDArray[np.int64]:
        """(k,) places among all centers of the last that came with each pick."""
        return np.cumsum([1 + len(rows) for rows, _ in self.company]) - 1


def pick(
    candidates: Candidates,
    n: int,
    squared_threshold: int,
    left_of: Left | None = None,
    tuning: Tuning = DEFAULT_TUNING,
    exchange: Exchange | None = None,
    company: Company | None = None,
) -> PoolPicks:
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
        left_of: how many rows of each label may still be picked, None for any number; changed by
            the picks.
        tuning: how many candidates are looked at together.
        exchange: what is taken for each pick; by default itself.
        company: what else becomes a center with each; by default nothing.
    """
    state = _PoolState(candidates, squared_threshold, tuning)
    picks, bar = PoolPicks(), candidates.bar
    front_rows = tuning.front_rows if candidates.between is None else tuning.device_front_rows
    while len(picks) < n:
        front, rest = state.front(front_rows, bar)
        best = state.best_of(front)  # it is the best of all candidates
        if best is None or (bar is not None and best < bar):
            break
        limit = max((bound for bound in (bar, rest) if bound is not None), default=None)
        before = len(picks)
        keys, distance = _pick_in_front(state, front, n, limit, left_of, picks, exchange, company)
        state.take(*picks.centers(before), left_of)
        state.bring_up(front, keys, distance)
    return picks


def _pick_in_front(
    state: "_PoolState",
    front: NDArray[np.int64],
    n: int,
    limit: Standing | None,
    left_of: Left | None,
    picks: PoolPicks,
    exchange: Exchange | None,
    company: Company | None,
) -> tuple[NDArray[np.integer], NDArray[np.int32] | None]:
    """Pick in the front, for as long as no other row can be better: one pick at least.

    This is done once a pick and by one process for all, so there is little in it: a key is the
    least of those that distances to single centers give, see `_PoolState.keyed`.

    Args:
        state: of all candidates.
        front: (f,) ascending places of the best of them.
        n: picks at most, with those from before.
        limit: of the best row outside the front, a candidate or not.
        left_of: see :func:`pick`.
        picks: is added to.
        exchange: see :func:`pick`.
        company: see :func:`pick`.

    Returns:
        The (f,) keys that they have then, and with weights their (f,) squared distances.
    """
    between = state.between(front)
    keys, rows = state.keys[front], state.rows[front]
    distance = None if state.distance is None else state.distance[front]
    limits = [(own[front], left) for own, left in zip(state.labels, left_of or (), strict=False)]
    for _ in range(n - len(picks)):
        best = int(keys.argmax())  # rows ascend: the first of equal keys is the lowest row
        key, row = int(keys[best]), int(rows[best])
        if key < 0 or (limit is not None and (key, -row) < limit):
            break
        squared = key if distance is None else int(distance[best])
        own = taken = Taken(row, state.vectors[front[best]], squared)
        nearer, ahead = between[best], partial(_next, rows, state.vectors, front, keys)
        if exchange is not None:
            taken = exchange(own, ahead)
            if taken.row != row:
                nearer = squared_to(taken.vector, state.vectors[front]).astype(np.int32)
        others = None
        if company is not None:
            others = company(taken, ahead)
            nearer = np.minimum(nearer, nearest_squared(state.vectors[front], others[1]))
            keys[np.isin(rows, others[0])] = -1
        picks.add(own, taken, others)
        np.minimum(keys, state.keyed(nearer, front), out=keys)
        if distance is not None:
            np.minimum(distance, nearer, out=distance)
        if taken.row == row:
            keys[best] = -1
        else:
            keys[rows == taken.row] = -1
        for labels, left in limits:
            label = int(labels[best])
            left[label] -= 1
            if left[label] == 0:
                keys[labels == label] = -1
    return keys, distance


def _next(
    rows: NDArray[np.int64],
    vectors: NDArray[np.int16],
    front: NDArray[np.int64],
    keys: NDArray[np.integer],
) -> tuple[NDArray[np.int64], NDArray[np.int16]]:
    """The AHEAD rows of a front with the largest keys, and their vectors."""
    order = np.argsort(-keys, kind="stable")[:AHEAD]
    return rows[order], vectors[front[order]]


class _PoolState:
    """Keys of the candidates as picks are made.

    Attributes:
        rows: see :class:`Candidates`.
        vectors: likewise.
        weight: likewise.
        labels: likewise.
        keys: (p,) of those distances that are known: int32 squared distances, int64 with weights;
            -1 for those that may not be picked any more.
        distance: (p,) int32 squared distances known, None without weights: the keys are these.
    """

    def __init__(self, candidates: Candidates, squared_threshold: int, tuning: Tuning) -> None:
        self.rows, self.weight, self.labels = candidates.rows, candidates.weight, candidates.labels
        self.vectors = candidates.vectors
        self._squared_threshold, self._tuning = squared_threshold, tuning
        self._tile_values = tuning.tile_values or TILE_VALUES["cpu"]
        self._taken: list[NDArray[np.int16]] = []
        self._seen = np.zeros(len(self.rows), np.int64)
        """How many of the picks each candidate's distance takes into account."""
        distance = candidates.distance.astype(np.int32)
        self.distance = None if self.weight is None else distance
        self.keys = self.keyed(distance.copy(), slice(None))
        self._between = candidates.between

    def keyed(self, squared: NDArray[np.int32], places: Any) -> NDArray[np.integer]:
        """The keys that squared distances of k candidates, (k,), give alone.

        The least over all centers is the candidate's key, for one that is too near has -1.
        """
        keys = squared if self.weight is None else squared * self.weight[places]
        if self._squared_threshold == 0:
            return keys
        return np.where(squared >= self._squared_threshold, keys, -1)

    def best_of(self, front: NDArray[np.int64]) -> Standing | None:
        """The highest standing in a front, None if none of its candidates may be picked."""
        if len(front) == 0:
            return None
        best = front[np.argmax(self.keys[front])]
        return (int(self.keys[best]), -int(self.rows[best])) if self.keys[best] >= 0 else None

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
        return (self._seen[places] < len(self._taken)) & (self.keys[places] >= max(0, least))

    def _refresh(self, places: NDArray[np.int64], least: int) -> None:
        """Bring the stale ones among some candidates up to date."""
        places = np.unique(places[self._stale(places, least)])
        missed = np.stack(self._taken[self._seen[places].min() :]).astype(np.float32)
        missed_norms = _squared_norms(missed)
        step = max(1, self._tile_values // max(missed.shape))
        for start in range(0, len(places), step):
            at = places[start : start + step]
            nearest = _nearest(self.vectors[at].astype(np.float32), missed, missed_norms)
            self.keys[at] = np.minimum(self.keys[at], self.keyed(nearest, at))
            if self.distance is not None:
                self.distance[at] = np.minimum(self.distance[at], nearest)
        self._seen[places] = len(self._taken)

    def bring_up(
        self,
        front: NDArray[np.int64],
        keys: NDArray[np.integer],
        distance: NDArray[np.int32] | None,
    ) -> None:
        """Note what is known of a front once all its picks are taken, with the picks."""
        self.keys[front], self._seen[front] = keys, len(self._taken)
        if self.distance is not None and distance is not None:
            self.distance[front] = distance

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

    def between(self, places: NDArray[np.int64]) -> NDArray[np.int32]:
        """(f, f) squared distances of some candidates; valid until the next call."""
        if self._between is not None:
            return self._between(self.vectors[places])
        wide = self.vectors[places].astype(np.float32)
        dots = (wide @ wide.T).astype(np.int32)  # exact, see `coreframe.tasks.lattice`
        norms = np.diagonal(dots)
        return norms[:, None] + norms[None, :] - 2 * dots

    def take(
        self,
        rows: NDArray[np.int64],
        vectors: NDArray[np.int16],
        left_of: Left | None,
    ) -> None:
        """Take note of new centers, and of the labels that may have no more."""
        self._taken += list(vectors)
        self.keys[np.isin(self.rows, rows)] = -1
        for labels, left in zip(self.labels, left_of or (), strict=False):
            self.keys[np.isin(labels, [label for label, rows in left.items() if rows == 0])] = -1


def _squared_norms(wide: NDArray[np.float32]) -> NDArray[np.int32]:
    """(n, dim) float32 that hold lattice integers to (n,) squared lengths."""
    return np.einsum("ij,ij->i", wide, wide).astype(np.int32)


def nearest_squared(vectors: NDArray[np.int16], others: NDArray[np.int16]) -> NDArray[np.int32]:
    """(n,) squared distances of (n, dim) lattice vectors to their nearest of (m, dim) others."""
    if len(others) == 0:
        return np.full(len(vectors), FARTHEST, np.int32)
    wide = others.astype(np.float32)
    return _nearest(vectors.astype(np.float32), wide, _squared_norms(wide))


def _nearest(
    wide: NDArray[np.float32], others: NDArray[np.float32], norms: NDArray[np.int32]
) -> NDArray[np.int32]:
    # whole numbers, and the products exact, see `coreframe.tasks.lattice`
    nearest: NDArray[np.int32] = (norms - 2 * (wide @ others.T).astype(np.int32)).min(axis=1)
    return nearest + _squared_norms(wide)
