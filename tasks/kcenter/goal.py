"""What a selection is asked for, and what it answers."""

from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

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
    EXHAUSTED = "exhausted"
    """No other row may be picked."""
    THINNED = "thinned"
    """Rows at a fixed rate were left out for being too near to one another."""


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
    rows: NDArray[np.int64]
    video: NDArray[np.int64]
    taken: dict[int, int] = field(default_factory=dict)

    def video_of(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """(k,) videos of k rows."""
        return self.video[np.searchsorted(self.rows, rows)]


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
