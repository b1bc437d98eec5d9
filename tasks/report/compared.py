"""What gaps are measured between: the corpus's units, or the objects in its frames."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from coreframe.tasks.errors import UsageError
from coreframe.tasks.kcenter.coverage import Represented
from coreframe.tasks.select.choice import Choice
from coreframe.tasks.select.crops import Crops
from coreframe.tasks.select.units import Units, unit_reader
from coreframe.tasks.store.settings import FRAMES, OBJECTS, Place
from coreframe.tasks.store.store import Store

NO_OBJECT = -1


@dataclass(frozen=True)
class Compared:
    """What distances are between.

    Attributes:
        numbers: (m,) int64 ascending, of all: first rows of units, or numbers of objects.
        centers: (c,) int64, those of chosen units.
        pick: (c,) int64, which chosen unit each center is of, in pick order.
        leading: (k,) int64, of each chosen unit itself, or the object that it was picked for.
        crops: the objects; None where units are compared.
    """

    numbers: NDArray[np.int64]
    centers: NDArray[np.int64]
    pick: NDArray[np.int64]
    leading: NDArray[np.int64]
    crops: Crops | None

    @classmethod
    def of(cls, store: Store, choice: Choice, units: Units, chosen: pd.DataFrame) -> "Compared":
        """What is compared of a corpus with what was chosen, a row each unit.

        Raises:
            UsageError: the store's objects have changed since.
        """
        picks = chosen["row"].to_numpy()
        if not choice.objects:
            return cls(units.measured, picks, np.arange(len(picks)), picks, None)
        crops = Crops.read(store).within(units.measured)
        leading = chosen["object"].to_numpy()
        known = np.isin(leading, crops.objects)
        changed = ~known & np.isin(picks, units.measured)
        changed[known] = crops.rows_of(leading[known]) != picks[known]
        if changed.any():
            raise UsageError(
                f"the store {store.path} has other objects than when this selection was made: "
                "select again."
            )
        own = crops.within(picks)
        order = np.argsort(picks)
        pick = order[np.searchsorted(picks, own.row, sorter=order)]
        return cls(crops.objects, own.objects, pick, leading, crops)

    @property
    def picks(self) -> int:
        """How many units are chosen."""
        return len(self.leading)

    @property
    def place(self) -> Place:
        """Which of the store's arrays has their vectors."""
        return FRAMES if self.crops is None else OBJECTS

    def reader(
        self, store: Store, units: Units
    ) -> Callable[[NDArray[np.int64]], NDArray[np.int16]]:
        """What reads the (k, dim) lattice vectors of k of them."""
        return unit_reader(store, units) if self.crops is None else store.row_reader(OBJECTS)

    @property
    def own(self) -> NDArray[np.int64]:
        """(k,) how many of all are each chosen unit's own."""
        there = np.isin(self.centers, self.numbers)
        return np.bincount(self.pick[there], minlength=self.picks)

    def located(self, numbers: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(k,) rows of the frames that some begin with or are in, and (k,) objects, if they are."""
        if self.crops is None:
            return numbers, np.full(len(numbers), NO_OBJECT)
        return self.crops.rows_of(numbers), numbers

    def first(self, picks: int) -> np.ndarray:
        """The centers of the first so many chosen units."""
        return self.centers[self.pick < picks]

    def standing(self, stood: Represented, vectors: NDArray[np.int16]) -> "Standing":
        """What each chosen unit stands for.

        Args:
            stood: what each center does.
            vectors: (c, dim) lattice of the centers.
        """
        if self.crops is None:
            every = np.arange(self.picks)
            return Standing(stood.count - self.own, every, every)
        count = np.bincount(self.pick, weights=stood.count, minlength=self.picks).astype(np.int64)
        most, weakest = np.full(self.picks, -1), np.full(self.picks, -1)
        _, first, same = np.unique(vectors, axis=0, return_index=True, return_inverse=True)
        count -= np.bincount(self.pick[first[same]], minlength=self.picks)  # the centers themselves
        others = np.where(stood.near_row >= 0, stood.count, 0)
        others[np.isin(self.centers, self.leading)] *= 2**32  # the picked ones, if they may
        far = np.where(stood.far_row >= 0, stood.far.astype(np.int64) + 1, 0)
        for found, size in ((most, others), (weakest, far)):
            order = np.lexsort((self.centers, -size, self.pick))
            picks, first = np.unique(self.pick[order], return_index=True)
            found[picks] = order[first]
        return Standing(count, most, weakest)


@dataclass(frozen=True)
class Standing:
    """What each of k chosen units stands for, and by which of its centers that is shown.

    Attributes:
        count: (k,) int64, others whose nearest center is one of its own.
        shown: (k,) int64 place of the center whose nearest and farthest others are shown: that
            which the unit was picked for, or if it has none the one that stands for most.
        weakest: (k,) int64 place of the center that the farthest of all these others has.
    """

    count: NDArray[np.int64]
    shown: NDArray[np.int64]
    weakest: NDArray[np.int64]
