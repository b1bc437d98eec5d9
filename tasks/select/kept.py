"""The centers that exist before a selection starts."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from coreframe.tasks.kcenter.goal import PickedRows
from coreframe.tasks.kcenter.job import Before
from coreframe.tasks.kcenter.partitions import BasePartitions
from coreframe.tasks.select.baselines import distances_in_order
from coreframe.tasks.select.choice import Choice
from coreframe.tasks.select.preselected import preselected_rows
from coreframe.tasks.select.units import Units, unit_reader
from coreframe.tasks.store.catalogue import VideoState
from coreframe.tasks.store.corpus import read_corpus
from coreframe.tasks.store.named_selections import NamedSelection, SavedSelection
from coreframe.tasks.store.store import Store

CENTER_COLUMNS = ["row", "center_row", "preselected", "distance", "radius", "lower_bound"]


class KeptCenters:
    """The centers that exist before the selection starts."""

    def __init__(self, store: Store, choice: Choice, units: Units) -> None:
        self._units = units
        self.place = None if choice.name is None else NamedSelection(store.path, choice.name)
        saved = None if self.place is None else self.place.open(units.length)
        self._saved, self.gone = saved, np.empty(0, np.int64)
        if saved is not None:
            rows = saved.centers["row"].to_numpy()
            there = ~np.isin(rows, _rows_taken_out(store))
            if choice.drop_gone:
                there &= np.isin(rows, units.rows)
            self._saved, self.gone = _still_there(saved, there)
        added = np.empty(0, np.int64)
        if choice.preselected is not None:
            listed = read_corpus(store, ["row", "video", "frame_index"])
            added = preselected_rows(choice.preselected, listed, store.read_catalogue())
            added = added[
                ~np.isin(added, [] if self._saved is None else self._saved.centers["row"])
            ]
        self._vectors = unit_reader(store, units)(added)
        centers = pd.DataFrame({"row": added, "center_row": added, "preselected": True})
        if self._saved is not None:
            self._vectors = np.concatenate([self._saved.vectors, self._vectors])
            centers = pd.concat([self._saved.centers, centers], ignore_index=True)
        self._old = len(centers) - len(added)
        self._centers = centers.reindex(columns=CENTER_COLUMNS)
        if len(added) or len(self.gone):
            self._centers["distance"] = distances_in_order(self._vectors)
        self.rows = centers["row"].to_numpy()
        own = ~centers["preselected"].to_numpy().astype(bool)
        self.counted = len(centers) if choice.count_preselected else int(own.sum())

    @property
    def before(self) -> Before | None:
        """What partitions must know of them, None when there are none."""
        if len(self.rows) == 0:
            return None
        return Before(
            saved=None if self._saved is None else self._saved.folder,
            gone=self.gone,
            added=self.rows[self._old :],
        )

    def followed_by(self, picks: PickedRows) -> pd.DataFrame:
        """All centers in order: CENTER_COLUMNS."""
        kept = self._centers.copy()
        if len(picks.radius_before) == len(kept):
            radius = picks.radius_before.copy()  # for saved ones over the new units alone
            saved = kept["radius"].to_numpy(float)[: self._old]
            radius[: self._old] = np.maximum(saved, radius[: self._old])
            kept["radius"] = radius
        if len(self.gone):  # what the remaining ones cover without the others was never computed
            kept.loc[: self._old - 1, ["radius", "lower_bound"]] = np.nan
        new = pd.DataFrame(
            {
                "row": picks.rows,
                "center_row": picks.center_rows,
                "preselected": False,
                "distance": picks.distance,
                "radius": picks.radius,
                "lower_bound": picks.lower_bound,
            }
        )
        return pd.concat([kept, new], ignore_index=True) if len(kept) else new

    def save(self, parts: BasePartitions, centers: pd.DataFrame) -> None:
        """Keep the selection in the store under its name."""
        assert self.place is not None
        folder = self.place.begin()
        parts.save(folder, centers["row"].to_numpy())
        picked = centers["row"].to_numpy()[len(self.rows) :]
        order = np.argsort(picked)
        vectors = np.empty((len(picked), self._vectors.shape[1]), np.int16)
        if len(picked):
            vectors[order] = parts.collect(picked[order])
        every = np.concatenate([self._vectors, vectors])
        self.place.commit(folder, centers, every, self._units.length)


def _rows_taken_out(store: Store) -> NDArray[np.int64]:
    """Rows of quarantined and forgotten videos: nothing of them stays chosen."""
    states = (VideoState.QUARANTINED, VideoState.FORGOTTEN)
    taken_out = (video for video in store.read_catalogue().videos if video.state in states)
    rows = [np.arange(v.first_row, v.first_row + v.rows) for v in taken_out]
    return np.concatenate([np.empty(0, np.int64), *rows])


def _still_there(
    saved: SavedSelection, there: NDArray[np.bool_]
) -> tuple[SavedSelection | None, NDArray[np.int64]]:
    """The saved selection without the centers that are not there any more, and their rows."""
    rows = saved.centers["row"].to_numpy()
    if there.all():
        return saved, np.empty(0, np.int64)
    if not there.any():
        return None, rows
    centers = saved.centers[there].reset_index(drop=True)
    return SavedSelection(saved.folder, centers, saved.vectors[there]), rows[~there]
