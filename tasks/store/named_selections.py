"""Named selections: what a store remembers of them, so that a later run can extend them.

A folder of its own under ``STORE/selections`` for each name. What one run leaves is a *generation*:
the centers in pick order with their vectors, and for every frame that could be chosen its distance
to its nearest center and that center. A generation is written beside the last one, then
``selection.json`` is replaced to point to it, so a reader finds one or the other whole.
"""

import io
import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from coreframe.tasks.errors import CoreframeError, UsageError
from coreframe.tasks.storage.folders import Folder, open_folder, save_array

if TYPE_CHECKING:  # workers never need pandas, which takes 35 MB of each
    import pandas as pd


SELECTION_FORMAT_VERSION = 2

CENTERS_SCHEMA = pa.schema(
    {
        "row": pa.int64(),
        "preselected": pa.bool_(),
        "distance": pa.float64(),
        "radius": pa.float64(),
        "lower_bound": pa.float64(),
    }
)
"""A center in pick order: its first row, and the columns of the same names of what a run writes."""

NEAREST_DTYPE = np.dtype([("row", "<i8"), ("center", "<i8"), ("distance", "<i4")])
"""A unit's first row, its nearest center's, and the squared lattice distance between them."""


@dataclass(frozen=True)
class Pointer:
    """The content of ``selection.json``."""

    generation: int
    sequence_length: int
    format_version: int = SELECTION_FORMAT_VERSION


@dataclass(frozen=True)
class SavedSelection:
    """One generation of a named selection.

    Attributes:
        folder: where it lies, a path or URL.
        centers: CENTERS_SCHEMA, in pick order.
        vectors: (c, dim) int16 lattice of the centers.
    """

    folder: str
    centers: "pd.DataFrame"
    vectors: NDArray[np.int16]


class NamedSelection:
    """The place of a named selection in a store."""

    def __init__(self, store: str, name: str) -> None:
        """Name it; nothing is written before :meth:`begin`.

        Raises:
            UsageError: the name cannot be a folder's.
        """
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name):
            raise UsageError(
                f"name {name!r}: use up to 100 letters, digits, dots, dashes and underscores, "
                "beginning with a letter or digit."
            )
        self.name = name
        self._folder = open_folder(f"{store}/selections/{name}")

    def open(self, sequence_length: int) -> SavedSelection | None:
        """Read the last generation, or None before the first.

        Raises:
            UsageError: it is one of sequences of another length, or of another format.
            CoreframeError: it cannot be read.
        """
        pointer = self._pointer()
        if pointer is None:
            return None
        if pointer.sequence_length != sequence_length:
            raise UsageError(
                f"the selection {self.name} has sequence-length {pointer.sequence_length}, not "
                f"{sequence_length}: ask for that, or use another name."
            )
        folder = open_folder(f"{self._folder.name}/{pointer.generation:06d}")
        try:
            table = pa.BufferReader(folder.read("centers.parquet"))
            centers = pq.read_table(table, schema=CENTERS_SCHEMA).to_pandas()
        except (OSError, ValueError, pa.ArrowException) as error:
            raise self._unreadable(error) from error
        return SavedSelection(folder.name, centers, _load(folder, "centers.npy"))

    def begin(self) -> str:
        """Name the place of the next generation, for workers to write to."""
        pointer = self._pointer()
        generation = f"{pointer.generation + 1 if pointer else 1:06d}"
        self._folder.delete(generation)  # of a run that did not end
        return f"{self._folder.name}/{generation}"

    def commit(
        self,
        folder: str,
        centers: "pd.DataFrame",
        vectors: NDArray[np.int16],
        sequence_length: int,
    ) -> None:
        """Complete a generation that :meth:`begin` made, and let it take the last one's place."""
        place = open_folder(folder)
        sink = io.BytesIO()
        table = pa.Table.from_pandas(centers, schema=CENTERS_SCHEMA, preserve_index=False)
        pq.write_table(table, sink)
        place.write("centers.parquet", sink.getvalue())
        save_array(place, "centers.npy", vectors)
        save_array(place, "center-rows.npy", centers["row"].to_numpy(np.int64))
        own = folder.rpartition("/")[2]
        pointer = Pointer(int(own), sequence_length)
        self._folder.write("selection.json", f"{json.dumps(asdict(pointer))}\n".encode())
        for other in self._folder.names():
            if other.isdigit() and other != own:
                self._folder.delete(other)

    def _pointer(self) -> Pointer | None:
        try:
            pointer = Pointer(**json.loads(self._folder.read("selection.json")))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError) as error:
            raise self._unreadable(error) from error
        if pointer.format_version != SELECTION_FORMAT_VERSION:
            raise UsageError(
                f"the selection {self.name} has format {pointer.format_version}, this version "
                f"reads {SELECTION_FORMAT_VERSION}: use the version that made it, or another name."
            )
        return pointer

    def _unreadable(self, error: Exception) -> CoreframeError:
        return CoreframeError(
            f"{self._folder.name} cannot be read ({error}). Delete it to select afresh, or use "
            "another name."
        )


def write_distances(
    folder: str,
    part: int,
    rows: NDArray[np.int64],
    distance: NDArray[np.int32],
    center: NDArray[np.int64],
) -> None:
    """Write one partition's units, (n,) each, as in NEAREST_DTYPE, in row order."""
    nearest = np.empty(len(rows), NEAREST_DTYPE)
    nearest["row"], nearest["distance"], nearest["center"] = rows, distance, center
    save_array(open_folder(folder), f"rows-{part:05d}.npy", nearest)


def read_centers(
    folder: str, gone: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int16]]:
    """The (c,) int64 rows and (c, dim) int16 lattice of all centers but some rows."""
    place = open_folder(folder)
    rows = _load(place, "center-rows.npy")
    left = ~np.isin(rows, gone)
    return rows[left], _load(place, "centers.npy")[left]


def settled_rows(folder: str, gone: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n,) int64: the units whose nearest center is known and not one of some rows."""
    rows = [part["row"][~np.isin(part["center"], gone)] for part in _nearest(folder)]
    return np.concatenate([np.empty(0, np.int64), *rows])


def read_distances(
    folder: str, rows: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.void]]]:
    """Of each partition, (n,) places among ascending rows, and (n,) NEAREST_DTYPE of the units."""
    for part in _nearest(folder):
        asked = part[np.isin(part["row"], rows, assume_unique=True)]
        yield np.searchsorted(rows, asked["row"]), asked


def _nearest(folder: str) -> Iterator[NDArray[np.void]]:
    """What partitions wrote, one after the other: together they may be more than fits."""
    place = open_folder(folder)
    for name in place.names():
        if name.startswith("rows-"):
            yield _load(place, name)


def _load(folder: Folder, name: str) -> NDArray[Any]:
    try:
        return folder.load_array(name)
    except (OSError, ValueError) as error:
        raise CoreframeError(
            f"{folder.name}/{name} cannot be read ({error}). Delete "
            f"{folder.name.rpartition('/')[0]} to select afresh, or use another name."
        ) from error
