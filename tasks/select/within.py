"""Which frames of a corpus are within limits and meet a condition, whoever asks it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coreframe.tasks.errors import UsageError
from coreframe.tasks.select.choice import Choice
from coreframe.tasks.select.columns import FrameColumns, KnownColumns
from coreframe.tasks.select.units import Derive, nothing_derived
from coreframe.tasks.select.wishes import Wishes, none_within
from coreframe.tasks.store.corpus import read_corpus
from coreframe.tasks.store.store import Store


@dataclass(frozen=True)
class Within:
    """The frames that are within."""

    rows: NDArray[np.int64]
    """(m,) ascending."""
    frames: int
    """Decodable ones of the corpus."""
    limits: str
    """What was asked of them, in words."""

    def __str__(self) -> str:
        verb = "meets" if len(self.rows) == 1 else "meet"
        return f"{len(self.rows):,} of {self.frames:,} frames {verb} {self.limits}"


def rows_within(store: Store, choice: Choice, derive: Derive = nothing_derived) -> Within | None:
    """Look which decodable frames are within what a choice says by ``where``, ``min`` and ``max``.

    It is what :func:`coreframe.tasks.select.units.units_of` closes frames by.

    Args:
        store: that has the frames, and the columns.
        choice: the options; all others are passed over.
        derive: gives what is computed of vectors, if the choice needs any of it.

    Returns:
        None where it says nothing of the kind.

    Raises:
        UsageError: a column is not there or cannot be used so, or no frame is within.
    """
    if not choice.limits:
        return None
    known = KnownColumns.of(store)
    wishes = Wishes.of(choice, known)
    names = dict.fromkeys(["row", "video", "digest", *sorted(wishes.read)])
    frames = read_corpus(store, list(names))
    frames = frames.assign(**derive(store, choice, frames))
    columns = FrameColumns(frames, known, store, store.read_catalogue())
    met = wishes.met(columns)
    if not met.any():
        raise UsageError(none_within(choice, wishes, columns))
    rows = frames["row"].to_numpy().astype(np.int64)
    return Within(rows[met], len(rows), ", ".join(choice.limits))
