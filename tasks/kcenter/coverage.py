"""How well given rows cover a partition, and what each of them stands for."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from coreframe.tasks.kcenter.assign import assign
from coreframe.tasks.kcenter.partition import FAR, Partition


def coverage(part: Partition, subset: NDArray[np.int16]) -> tuple[int, float, int]:
    """How well a subset covers the partition's rows.

    Args:
        part: the partition.
        subset: (m, dim) int16 lattice.

    Returns:
        The largest squared distance of a row to its nearest subset vector, the sum of the
        (unsquared) lattice distances, and the number of rows.
    """
    if len(part) == 0:
        return 0, 0.0, 0
    fresh = Partition.without_centers(part.rows.cpu().numpy(), part.vectors)
    nearest = assign(fresh, np.empty(0, np.int64), subset).distance
    return int(nearest.max()), float(nearest.double().sqrt().sum()), len(part)


@dataclass(frozen=True)
class Represented:
    """What each of some centers stands for: the rows that have it as their nearest.

    Attributes:
        count: (c,) int64 rows, the center's own included.
        near_row: (c,) int64, of the rows that are no center the nearest; -1 where there is none.
        near: (c,) int32 its squared distance.
        far_row: (c,) int64, likewise the farthest.
        far: (c,) int32.
    """

    count: NDArray[np.int64]
    near_row: NDArray[np.int64]
    near: NDArray[np.int32]
    far_row: NDArray[np.int64]
    far: NDArray[np.int32]

    @classmethod
    def nothing(cls, centers: int) -> "Represented":
        """Of no row at all."""
        return cls(
            np.zeros(centers, np.int64),
            np.full(centers, -1, np.int64),
            np.full(centers, FAR, np.int32),
            np.full(centers, -1, np.int64),
            np.zeros(centers, np.int32),
        )

    def merge(self, other: "Represented") -> "Represented":
        """That of the rows of both; of equally distant rows the one in ``self``."""
        nearer = (other.near_row >= 0) & ((self.near_row < 0) | (other.near < self.near))
        farther = (other.far_row >= 0) & ((self.far_row < 0) | (other.far > self.far))
        return Represented(
            self.count + other.count,
            np.where(nearer, other.near_row, self.near_row),
            np.where(nearer, other.near, self.near),
            np.where(farther, other.far_row, self.far_row),
            np.where(farther, other.far, self.far),
        )


def represented(
    part: Partition,
    rows: NDArray[np.int64],
    vectors: NDArray[np.int16],
    asked: NDArray[np.int64],
) -> tuple[Represented, NDArray[np.int64], NDArray[np.int32]]:
    """Tell what each of a set of centers stands for among the partition's rows.

    Args:
        part: the partition, whatever centers it has.
        rows: (c,) int64 the centers' rows, in this partition or not.
        vectors: (c, dim) int16 lattice.
        asked: (a,) int64 ascending, some of its own rows.

    Returns:
        What they stand for; and of the asked rows the (a,) int64 place of their center, and
        their (a,) int32 squared distances to it.
    """
    found = Represented.nothing(len(rows))
    if len(part) == 0 or len(rows) == 0:
        return found, np.full(len(asked), -1, np.int64), np.full(len(asked), FAR, np.int32)
    own = part.rows.cpu().numpy()
    done = assign(Partition.without_centers(own, part.vectors), rows, vectors)
    center, distance = done.center, done.distance.cpu().numpy()
    found = replace(found, count=np.bincount(center, minlength=len(rows)))
    dropped = np.flatnonzero(~np.isin(own, rows))
    for sign, row, squared in (
        (1, found.near_row, found.near),
        (-1, found.far_row, found.far),
    ):
        order = dropped[np.lexsort((own[dropped], sign * distance[dropped], center[dropped]))]
        owning, first = np.unique(center[order], return_index=True)
        row[owning], squared[owning] = own[order[first]], distance[order[first]]
    at = np.searchsorted(own, asked)
    return found, center[at], distance[at]
