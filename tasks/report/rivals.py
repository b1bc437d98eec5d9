"""What the methods choose that a selection is compared with, and what they miss."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from dask.distributed import Client
from numpy.typing import NDArray

from coreframe.tasks.kcenter.on_dask import DaskPartitions
from coreframe.tasks.output.metrics import Methods
from coreframe.tasks.scale import SCALE
from coreframe.tasks.select.baselines import keep_apart
from coreframe.tasks.select.units import Units, unit_reader
from coreframe.tasks.store.store import Store

MISSED = 6
"""Chosen units shown that each of the other methods misses by most."""

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


def rival_sheets(
    store: Store, units: Units, rivals: Mapping[str, NDArray[np.int64]], different: float | None
) -> pd.DataFrame:
    """See :attr:`coreframe.tasks.report.evidence.Evidence.sheets`.

    Args:
        store: that has the units.
        units: of the corpus.
        rivals: see :func:`rival_rows`.
        different: L2 from which on two units count as different.
    """
    read, found = unit_reader(store, units), []
    for method, frames in rivals.items():
        rows = np.sort(frames[:: units.length])
        rows = rows[np.unique(np.linspace(0, len(rows) - 1, min(SHEET, len(rows))).astype(int))]
        squared = round((different or 0.0) ** 2 * SCALE**2)
        kept = keep_apart(rows, read, squared, len(rows))
        table = store.frames_at(rows, PICTURED)
        found.append(table.assign(method=method, again=~np.isin(rows, kept)))
    return pd.concat(found, ignore_index=True)


def missed_by(
    client: Client,
    store: Store,
    units: Units,
    picks: np.ndarray,
    rivals: Mapping[str, np.ndarray],
    device: str,
) -> pd.DataFrame:
    """See :attr:`Evidence.missed`: what a greedy choice would add to each rival, of the picks.

    Args:
        client: of the cluster.
        store: that has the units.
        units: of the corpus.
        picks: (c,) int64 rows of chosen ones, of which ``pick`` are the places.
        rivals: see :func:`rival_rows`.
        device: where workers keep tensors.
    """
    if not rivals:
        return store.frames_at(picks[:0], PICTURED).assign(
            method="", pick=0, of_video=0, of_time_s=0.0, distance=0.0
        )
    order = np.argsort(picks)
    there, read, found = picks[order], unit_reader(store, units), []
    vectors = np.asarray(read(there)).astype(np.float32)  # whose products are exact
    parts = DaskPartitions(client, store, there, length=units.length, device=device)
    for method, frames in rivals.items():
        rows = frames[:: units.length]
        _, nearest, squared = parts.represented(rows, np.asarray(read(rows)), there)
        first, left = [], squared.astype(np.float64)
        for _ in range(min(MISSED, len(there))):
            first.append(int(left.argmax()))
            left = np.minimum(left, ((vectors - vectors[first[-1]]) ** 2).sum(axis=1))
        of = store.frames_at(there[first], ["video", "time_s"])
        found.append(
            store.frames_at(rows[nearest[first]], PICTURED).assign(
                method=method,
                pick=order[first],
                of_video=of["video"],
                of_time_s=of["time_s"],
                distance=np.sqrt(squared[first]) / SCALE,
            )
        )
    return pd.concat(found, ignore_index=True)
