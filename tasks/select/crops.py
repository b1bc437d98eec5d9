"""Choosing frames by the objects in them.

The farthest object is picked, its frame is chosen, and all objects of that frame become centers;
the next is the object farthest from all of these.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coreframe.tasks.errors import UsageError
from coreframe.tasks.kcenter.company import Groups
from coreframe.tasks.store.objects import StoredObjects
from coreframe.tasks.store.store import Store


@dataclass(frozen=True)
class Crops:
    """Embedded objects, and which frames they are in.

    Attributes:
        objects: (o,) int64 ascending, their numbers.
        row: (o,) int64, the rows of their frames.
    """

    objects: NDArray[np.int64]
    row: NDArray[np.int64]

    @classmethod
    def read(cls, store: Store) -> "Crops":
        """Those in frames of the corpus.

        Raises:
            UsageError: there are none.
        """
        table = StoredObjects(store).active(["object", "row"])
        if len(table) == 0:
            raise UsageError(
                f"the store {store.path} has no objects to choose by: give it some with "
                f"`coreframe objects boxes.csv --store {store.path}`."
            )
        return cls(table["object"].to_numpy(), table["row"].to_numpy())

    def __len__(self) -> int:
        return len(self.objects)

    @property
    def groups(self) -> Groups:
        """Those of a frame come together."""
        return Groups(self.objects, self.row)

    def within(self, rows: NDArray[np.int64]) -> "Crops":
        """Those in some frames."""
        there = np.isin(self.row, rows)
        return Crops(self.objects[there], self.row[there])

    def rows_of(self, objects: NDArray[np.int64]) -> NDArray[np.int64]:
        """(k,) rows of the frames of k objects."""
        return self.row[np.searchsorted(self.objects, objects)]

    def like(self, rows: NDArray[np.int64], values: NDArray[Any]) -> NDArray[Any]:
        """(o,) what is said of each object's frame.

        Args:
            rows: (r,) ascending, frames, all of these objects' among them.
            values: (r,) of each.
        """
        return values[np.searchsorted(rows, self.row)]
