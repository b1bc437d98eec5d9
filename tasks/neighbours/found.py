"""The neighbours that were found, by row, and what becomes of them when rows leave the corpus."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from coreframe.tasks.scale import SCALE

ROW_BITS: Final = 37
"""Squared distances stay below 2^26, so 2^37 rows can be told apart in an int64."""

NONE: Final = 2**63 - 1
"""Stands for a neighbour that there is not."""


@dataclass(frozen=True)
class Neighbours:
    """The k nearest neighbours of each row among all of them.

    A neighbour is one number, its *key*: the squared lattice distance times 2^37, plus its row. So
    the nearer has the smaller, and of equally near ones the lower row has.

    Attributes:
        rows: (n,) int64 ascending.
        digests: (n,) uint64 of their frames' pixels: by which a row is known to hold them still.
        keys: (n, k) int64 ascending in each row; NONE where there are fewer others. A row that has
            none at all is to be looked at anew.
    """

    rows: NDArray[np.int64]
    digests: NDArray[np.uint64]
    keys: NDArray[np.int64]

    @classmethod
    def nothing(cls, k: int) -> Neighbours:
        """Of no rows, k each."""
        empty = np.empty(0, np.int64)
        return cls(empty, np.empty(0, np.uint64), np.empty((0, k), np.int64))

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def k(self) -> int:
        """Neighbours that each row has at most."""
        return self.keys.shape[1]

    @property
    def settled(self) -> NDArray[np.bool_]:
        """(n,) whether a row's neighbours are known."""
        return self.keys[:, 0] != NONE

    @property
    def near(self) -> NDArray[np.int64]:
        """(n, k) rows of the neighbours, -1 for none."""
        return np.where(self.keys == NONE, -1, self.keys & (2**ROW_BITS - 1))

    @property
    def squared(self) -> NDArray[np.int32]:
        """(n, k) squared lattice distances to them, -1 for none."""
        return np.where(self.keys == NONE, -1, self.keys >> ROW_BITS).astype(np.int32)

    @classmethod
    def of(
        cls,
        rows: NDArray[np.int64],
        digests: NDArray[np.uint64],
        near: NDArray[np.int64],
        squared: NDArray[np.int32],
    ) -> Neighbours:
        """Put together what :attr:`near` and :attr:`squared` give."""
        keys = np.where(near < 0, NONE, (squared.astype(np.int64) << ROW_BITS) | near)
        return cls(rows, digests, keys)

    @classmethod
    def joined(cls, parts: Sequence[Neighbours]) -> Neighbours:
        """Of ascending rows, part after part; at least one part."""
        columns = ([part.rows for part in parts], [part.digests for part in parts])
        keys = np.concatenate([part.keys for part in parts])
        return cls(np.concatenate(columns[0]), np.concatenate(columns[1]), keys)

    def at(self, places: NDArray[np.int64] | slice) -> Neighbours:
        """Those of some rows, with what they know of all."""
        return Neighbours(self.rows[places], self.digests[places], self.keys[places])

    def nearest(self, k: int) -> Neighbours:
        """The same of fewer neighbours."""
        return replace(self, keys=self.keys[:, :k])

    def without(self, gone: NDArray[np.int64]) -> Neighbours:
        """Nothing of some rows is left, not even in what the others know."""
        stays = ~np.isin(self.rows, gone)
        keys = self.keys[stays]
        lost = np.isin(keys & (2**ROW_BITS - 1), gone) & (keys != NONE)
        keys[lost.any(axis=1)] = NONE
        return Neighbours(self.rows[stays], self.digests[stays], keys)

    def mean_distance(self, k: int) -> NDArray[np.float64]:
        """(n,) float64 mean L2 distance to the k nearest, or to all others where these are fewer.

        The square roots are added up in ascending order, one by one. 0 for a row that is alone:
        nothing says that it is odd.
        """
        count = min(k, len(self) - 1)
        total = np.zeros(len(self))
        for squared in self.squared[:, :count].T:
            total += np.sqrt(squared.astype(np.float64))
        return total / (max(1, count) * SCALE)
