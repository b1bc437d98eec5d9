"""What the methods choose that a selection is compared with."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from coreframe.tasks.output.metrics import Methods
from coreframe.tasks.scale import SCALE
from coreframe.tasks.select.baselines import keep_apart
from coreframe.tasks.select.units import Units, unit_reader
from coreframe.tasks.store.store import Store

SHEET = 48
"""Units shown of what another method chooses."""

PICTURED = ["row", "video", "frame_index", "time_s", "digest"]
"""Columns of frames of which pictures are made."""


def rival_rows(methods: Methods) -> dict[str, NDArray[np.int64]]:
    """(m,) rows of the frames that ``fixed_rate`` and ``random`` choose, in their order."""
    return {
        "fixed_rate": np.array(methods.fixed_rate.rows, np.int64),
        "random": np.array(methods.random.rows, np.int64),
    }


def rival_sheets(store: Store, units: Units, methods: Methods) -> pd.DataFrame:
    """See :attr:`coreframe.tasks.report.evidence.Evidence.sheets`.

    Args:
        store: that has the units.
        units: of the corpus.
        methods: what was measured; where the different ones were not counted, none is told here.
    """
    read, found = unit_reader(store, units), []
    least = (methods.coreset.distinct and methods.different) or 0.0
    for method, frames in rival_rows(methods).items():
        rows = np.sort(frames[:: units.length])
        rows = rows[np.unique(np.linspace(0, len(rows) - 1, min(SHEET, len(rows))).astype(int))]
        kept = keep_apart(rows, read, round(least**2 * SCALE**2), len(rows))
        table = store.frames_at(rows, PICTURED)
        found.append(table.assign(method=method, again=~np.isin(rows, kept)))
    return pd.concat(found, ignore_index=True)
