"""What a selection is asked for, and what it answers."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from coreframe.tasks.kcenter.apportion import apportion
from coreframe.tasks.kcenter.company import Groups
from coreframe.tasks.kcenter.exchange import Substitutes


class StoppedBy(StrEnum):
    """Why a selection ended; each equals the word that the outputs have."""

    N = "n"
    """As many were picked as were asked for."""
    MIN_DISTANCE = "min_distance"
    """All other rows are too near to a center."""
    RADIUS = "radius"
    """Every row is as near to a center as was asked for."""
    MAX_PER_VIDEO = "max_per_video"
    """Some videos have as many picks as they may."""
    BALANCE = "balance"
    """The classes that may have more have no other row."""
    EXHAUSTED = "exhausted"
    """No other row may be picked."""
    THINNED = "thinned"
    """Rows at a fixed rate were left out for being too near to one another."""


@dataclass(frozen=True)
class Classes:
    """Classes of rows that are picked in given shares.

    Attributes:
        of: (r,) int64, the class of each row of the corpus.
        shares: of each class, of all that are centers in the end; they need not add up to one.
        taken: rows of each class that are centers before the selection starts.
        free: rows of each class that may be picked.
    """

    of: NDArray[np.int64]
    shares: tuple[Fraction, ...]
    taken: tuple[int, ...]
    free: tuple[int, ...]

    def targets(self, n: int, taken: Sequence[int] | None = None) -> list[int]:
        """Centers of each class in the end, where ``n`` more are picked.

        Args:
            n: picks.
            taken: rows of each class that are centers by now, with those there were; by default
                only these.
        """
        taken = self.taken if taken is None else taken
        most = [one + free for one, free in zip(self.taken, self.free, strict=True)]
        return apportion(n + sum(taken), self.shares, taken, most)


@dataclass(frozen=True)
class Quota:
    """How many rows of each video, and of each class, are picked.

    Attributes:
        most: at most so many of any video; None for no such limit.
        least: so many of every video, before anything else, where it has them.
        rows: (r,) int64 ascending, all rows of the corpus.
        video: (r,) int64, their videos.
        taken: rows of each video that are centers before the selection starts.
        classes: what is to be chosen in given shares, None for nothing.
    """

    most: int | None
    least: int
    rows: NDArray[np.int64]
    video: NDArray[np.int64]
    taken: dict[int, int] = field(default_factory=dict)
    classes: Classes | None = None

    def labels_of(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], ...]:
        """The (k,) videos of k rows and, where there are classes, their (k,) classes."""
        places = np.searchsorted(self.rows, rows)
        return tuple(labels[places] for labels in self._labels)

    @property
    def group(self) -> NDArray[np.int32]:
        """(r,) of each row: those of one group are picked or passed over together."""
        return self._groups[1]

    @property
    def group_labels(self) -> NDArray[np.int64]:
        """(g, l) the labels that the rows of each group have, as of :meth:`labels_of`."""
        return self._groups[0]

    @property
    def _labels(self) -> list[NDArray[np.int64]]:
        return [self.video] if self.classes is None else [self.video, self.classes.of]

    @cached_property
    def _groups(self) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        labels = np.stack(self._labels, axis=1)
        found, group = np.unique(labels, axis=0, return_inverse=True)
        return found, group.reshape(-1).astype(np.int32)


@dataclass(frozen=True)
class Goal:
    """When a selection is done. What is set combines: whichever comes first."""

    n: int
    """Picks at most."""
    squared_min_distance: int = 0
    """No pick is nearer than this to an earlier one; in squared lattice units."""
    squared_radius: int | None = None
    """A row as near as this to a center needs none of its own; in squared lattice units."""
    quota: Quota | None = None
    """How many rows of each video; None for any number."""
    substitutes: Substitutes | None = None
    """What may be taken for a pick; None for the pick alone."""
    groups: Groups | None = None
    """What becomes a center with a pick; None for nothing. They are of the quota's rows."""


@dataclass(frozen=True)
class PickedRows:
    """Selected rows in pick order.

    Attributes:
        rows: (k,) int64.
        center_rows: (k,) int64, the greedy picks that they were taken for: mostly themselves.
        distance: (k,) float64 L2 on the unit scale to the nearest earlier center, NaN when there
            is none.
        radius: (k,) float64 L2, the covering radius once the pick is made: the largest distance
            of any row of the corpus to its nearest center.
        lower_bound: (k,) float64 L2: no other rows in place of these k have a covering radius
            below this.
        radius_before: (p,) float64 L2, the same after each center that existed before.
        stopped_by: why there are no more.
        passes: passes over the corpus that it took.
        distances_formed: (row, center) distances, where the textbook forms len(corpus) * k.
        rough_distances_formed: distances between short sketches, or in bfloat16, that were formed
            to save others.
    """

    rows: NDArray[np.int64]
    center_rows: NDArray[np.int64]
    distance: NDArray[np.float64]
    radius: NDArray[np.float64]
    lower_bound: NDArray[np.float64]
    radius_before: NDArray[np.float64]
    stopped_by: StoppedBy
    passes: int = 0
    distances_formed: int = 0
    rough_distances_formed: int = 0
