"""Greedy k-center, exact, in few passes over the data."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from tasks.lattice import to_l2
from tasks.selection.partition import (
    Candidates,
    Partition,
    assign,
    candidates,
    most_central,
    vector_sum,
)

POOL_ROWS = 2048
"""Candidates pooled per pass. More make fewer passes, and more work for the driver per pick."""


@dataclass(frozen=True)
class Picks:
    """Selected rows in pick order.

    Attributes:
        rows: (k,) int64.
        distance: (k,) float64 L2 on the unit scale to the nearest earlier pick, NaN for the first.
        stopped_by: ``n``, ``min_distance`` or ``exhausted``: which budget ended the selection.
        passes: passes over the corpus that it took.
    """

    rows: np.ndarray
    distance: np.ndarray
    stopped_by: str
    passes: int = 0


class Partitions(Protocol):
    """The corpus, wherever its partitions live."""

    def central(self) -> int | None:
        """The eligible row nearest to the mean of all eligible rows; None when there is none."""
        ...

    def vectors(self, rows: Sequence[int]) -> np.ndarray:
        """(len(rows), dim) int16 lattice of any rows."""
        ...

    def assign(self, rows: np.ndarray, vectors: np.ndarray) -> None:
        """Let every partition take new centers into account."""
        ...

    def candidates(self, count: int) -> list[Candidates]:
        """About ``count`` candidates in all, from every partition its share."""
        ...


def greedy_k_center(corpus: Partitions, n: int, squared_min_distance: int = 0) -> Picks:
    """Pick rows one by one, each the farthest from all picked before it.

    This is the 2-approximation of Gonzalez (1985), "Clustering to minimize the maximum
    intercluster distance"; Sener and Savarese (2018) use it to choose training images. Done
    textbook-wise it reads every row once a pick. Here each pass pools the farthest rows of all
    partitions and picks inside the pool for as long as its best row is farther than every row
    left out of it: those can only come nearer, so each pick is the true farthest row, and the
    picks are those of the textbook, to the bit.

    The first pick is the row nearest to the mean of the eligible rows: the most typical frame.
    Ties go to the lower row everywhere. So the result depends on the rows alone, not on workers,
    partitions or devices.

    Args:
        corpus: the rows; only eligible ones are picked, once each.
        n: picks wanted at most.
        squared_min_distance: stop before a pick that is nearer than this (squared, lattice
            units) to an earlier one; 0 for no such limit.
    """
    first = corpus.central() if n > 0 else None
    if first is None:
        return Picks(np.empty(0, np.int64), np.empty(0), "n" if n <= 0 else "exhausted")
    rows, squared = [first], [0]
    fresh_rows, fresh_vectors = np.array([first]), corpus.vectors([first])
    passes, stopped_by = 2, "n"  # finding the mean and its nearest row read the corpus once each
    while len(rows) < n:
        corpus.assign(fresh_rows, fresh_vectors)
        pool = _Pool(corpus.candidates(POOL_ROWS))
        passes += 1
        taken: list[int] = []
        while len(rows) < n:
            best = pool.best()
            if best is None:
                stopped_by = "" if taken else "exhausted"
                break
            if pool.distance[best] < squared_min_distance:
                stopped_by = "min_distance"
                break
            rows.append(int(pool.rows[best]))
            squared.append(int(pool.distance[best]))
            taken.append(best)
            pool.take(best)
        if len(rows) < n and stopped_by in ("min_distance", "exhausted"):
            break
        stopped_by = "n"
        fresh_rows, fresh_vectors = pool.rows[taken], pool.vectors[taken]
    distance = to_l2(np.array(squared))
    distance[0] = np.nan
    return Picks(np.array(rows, np.int64), distance, stopped_by, passes)


class _Pool:
    """Candidates of all partitions together, kept up to date as picks are made."""

    def __init__(self, parts: Sequence[Candidates]) -> None:
        rows = np.concatenate([part.rows for part in parts])
        order = np.argsort(rows)  # ascending rows: the first of equal distances is the lowest row
        self.rows = rows[order]
        self.distance = np.concatenate([part.distance for part in parts])[order].astype(np.int64)
        self.vectors = np.concatenate([part.vectors for part in parts])[order]
        self._wide = self.vectors.astype(np.float32)
        self._norms = np.einsum("ij,ij->i", self._wide, self._wide).astype(np.int64)
        bars = [part.bar for part in parts if part.bar is not None]
        self._bar = max(bars, key=lambda bar: (bar[0], -bar[1])) if bars else None

    def best(self) -> int | None:
        """Place of the true farthest row, or None when it may be outside the pool."""
        if len(self.rows) == 0:
            return None
        best = int(np.argmax(self.distance))
        farthest, row = int(self.distance[best]), int(self.rows[best])
        if farthest < 0:
            return None
        if self._bar is not None and (self._bar[0], -self._bar[1]) > (farthest, -row):
            return None
        return best

    def take(self, place: int) -> None:
        """Make a pick: the others come nearer, and it is never the best again."""
        dots = (self._wide @ self._wide[place]).astype(np.int64)  # exact, see tasks.lattice
        squared = self._norms + self._norms[place] - 2 * dots
        taken = self.distance < 0
        np.minimum(self.distance, squared, out=self.distance)
        self.distance[taken] = -1
        self.distance[place] = -1


class LocalPartitions:
    """Partitions in this process: for small corpora, notebooks and tests."""

    def __init__(self, parts: Sequence[Partition]) -> None:
        self._parts = list(parts)

    def central(self) -> int | None:
        return central_row(
            [vector_sum(part) for part in self._parts],
            lambda count, total: [most_central(part, count, total) for part in self._parts],
        )

    def vectors(self, rows: Sequence[int]) -> np.ndarray:
        held = {
            int(row): (part, place) for part in self._parts for place, row in enumerate(part.rows)
        }
        found = [held[row] for row in rows]
        return np.stack([part.vectors[place].cpu().numpy() for part, place in found])

    def assign(self, rows: np.ndarray, vectors: np.ndarray) -> None:
        self._parts = [assign(part, rows, vectors) for part in self._parts]

    def candidates(self, count: int) -> list[Candidates]:
        share = -(-count // max(1, len(self._parts)))
        return [candidates(part, share) for part in self._parts]


def central_row(
    sums: Sequence[tuple[int, np.ndarray]],
    search: Callable[[int, np.ndarray], Sequence[tuple[int, int] | None]],
) -> int | None:
    """Combine the partitions' answers to the two questions that lead to the first pick.

    Args:
        sums: :func:`tasks.selection.partition.vector_sum` of every partition.
        search: asks every partition :func:`tasks.selection.partition.most_central`.
    """
    count = sum(number for number, _ in sums)
    if count == 0:
        return None
    total = np.stack([vector for _, vector in sums]).sum(axis=0, dtype=np.int64)
    return min(answer for answer in search(count, total) if answer is not None)[1]
