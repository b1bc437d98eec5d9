"""Rows that become centers together, such as all objects of a frame."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from coreframe.tasks.kcenter.exchange import Ahead, Taken


@dataclass(frozen=True)
class Groups:
    """Which rows come together: whoever picks one takes all of its group.

    Attributes:
        rows: (r,) int64 ascending, all rows of the corpus.
        group: (r,) int64, equal of those that come together.
    """

    rows: NDArray[np.int64]
    group: NDArray[np.int64]

    def of(self, row: int) -> int:
        """The group of a row."""
        return int(self.group[np.searchsorted(self.rows, row)])

    def members(self, group: int) -> NDArray[np.int64]:
        """(m,) rows of a group, ascending."""
        start, stop = np.searchsorted(self._sorted, [group, group + 1])
        return self.rows[self._order[start:stop]]

    @cached_property
    def _order(self) -> NDArray[np.int64]:
        return np.argsort(self.group, kind="stable")

    @cached_property
    def _sorted(self) -> NDArray[np.int64]:
        return self.group[self._order]


class Collecting(Protocol):
    """A corpus that gives vectors of its rows."""

    def collect(self, rows: NDArray[np.int64]) -> NDArray[np.int16]:
        """(k, dim) lattice of k ascending rows."""
        ...


class Company:
    """Gives the other rows of each pick's group, with their vectors.

    To ask the partitions takes as long as hundreds of picks do, so it is asked for all picks that
    are expected in a pass at once, and for the next in line where one was not.
    """

    def __init__(self, corpus: Collecting, groups: Groups) -> None:
        """Begin before the first pass."""
        self._corpus, self._groups = corpus, groups
        self._known: dict[int, tuple[NDArray[np.int64], NDArray[np.int16]]] = {}
        """Of each group looked up its rows and their vectors."""

    def begin_pass(self, expected: Sequence[Taken]) -> None:
        """Some picks are expected next, or most of them."""
        rows = [pick.row for pick in expected]
        wanted = {self._groups.of(row) for row in rows}
        self._known = {group: one for group, one in self._known.items() if group in wanted}
        self._look_up(rows)

    def __call__(self, pick: Taken, ahead: Ahead) -> tuple[NDArray[np.int64], NDArray[np.int16]]:
        """The (m,) other rows of the pick's group, ascending, and their (m, dim) vectors."""
        group = self._groups.of(pick.row)
        if group not in self._known:
            self._look_up([pick.row, *ahead()[0].tolist()])
        rows, vectors = self._known.pop(group)
        others = rows != pick.row
        return rows[others], vectors[others]

    def _look_up(self, rows: Sequence[int]) -> None:
        groups = list(dict.fromkeys(self._groups.of(row) for row in rows))
        groups = [group for group in groups if group not in self._known]
        members = [self._groups.members(group) for group in groups]
        if not members:
            return
        every = np.concatenate(members)
        order = np.argsort(every, kind="stable")
        vectors = self._corpus.collect(every[order])
        place = np.empty(len(every), np.int64)
        place[order] = np.arange(len(every))
        cuts = np.cumsum([len(some) for some in members])[:-1]
        for group, some, own in zip(groups, members, np.split(place, cuts), strict=True):
            self._known[group] = some, vectors[own]
