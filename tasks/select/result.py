"""What a selection came to."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from coreframe.tasks.kcenter.goal import StoppedBy
from coreframe.tasks.select.crops import Crops
from coreframe.tasks.select.units import Derived, Units


@dataclass(frozen=True)
class ClassCount:
    """Of a class what there is and what was chosen, in units."""

    name: str
    eligible: int
    """That may be chosen."""
    asked: int
    """Its part of all that may be chosen and are, were there enough of it."""
    chosen: int


@dataclass(frozen=True)
class Selection:
    """What was chosen, and from what."""

    frames: pd.DataFrame
    """One row a frame in pick order: rank, row, video (its catalogue number), frame_index, pts,
    time_s, center_row (the greedy pick that it was taken for), distance, radius, lower_bound,
    preselected, sequence, digest; with objects also object, the one that each was taken for."""
    chosen: NDArray[np.int64]
    """(k,) units in pick order, those from before first; a unit is named by its first row."""
    units: Units
    decodable: int
    """Frames of the corpus."""
    asked: int | None
    """Frames the budget asked for, perhaps more than there are; None when it set no number."""
    kept: int
    """Frames that were selected before: by an earlier run under this name, or preselected."""
    gone: int
    """Frames that an earlier run under this name selected and that are now dropped."""
    absent: int
    """Of those kept, frames whose videos are gone or changed."""
    stopped_by: StoppedBy
    """Why there are no more."""
    passes: int
    """Passes over the corpus that it took."""
    distances_formed: int
    """Between frames, or sequences, and chosen ones."""
    rough_distances_formed: int
    """Between sketches, or in bfloat16, to save others."""
    derived: Derived
    """What was computed of the corpus's frames for the choice."""
    classes: list[ClassCount]
    """In their order; empty where nothing is balanced."""

    crops: Crops | None = None
    """The objects in frames that show something, where these are chosen by them."""

    @property
    def added(self) -> NDArray[np.int64]:
        """Those of ``chosen`` that were not selected before."""
        return self.chosen[self.kept // self.units.length :]
