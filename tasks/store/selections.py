"""Named selections: what a store remembers of them, so that a later run can extend them.

A folder of its own under ``STORE/selections`` for each name. What one run leaves is a *generation*:
the centers in pick order with their vectors, and for every frame that could be chosen its distance
to its nearest center and that center. A generation is written beside the last one, then
``selection.json`` is replaced to point to it, so a reader finds one or the other whole.
"""

import json
import os
import re
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.errors import CoreframeError, UsageError

if TYPE_CHECKING:  # workers never need pandas, which takes 35 MB of each
    import pandas as pd

FORMAT_VERSION = 2

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

STATE = np.dtype([("row", "<i8"), ("center", "<i8"), ("distance", "<i4")])
"""A unit's first row, its nearest center's, and the squared lattice distance between them."""


@dataclass(frozen=True)
class Pointer:
    """The content of ``selection.json``."""

    generation: int
    sequence_length: int
    format_version: int = FORMAT_VERSION


@dataclass(frozen=True)
class SavedSelection:
    """One generation of a named selection.

    Attributes:
        folder: where it lies.
        centers: CENTERS_SCHEMA, in pick order.
        vectors: (c, dim) int16 lattice of the centers.
    """

    folder: Path
    centers: "pd.DataFrame"
    vectors: np.ndarray


class NamedSelection:
    """The place of a named selection in a store."""

    def __init__(self, store: Path, name: str) -> None:
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
        self._folder = store / "selections" / name

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
        folder = self._folder / f"{pointer.generation:06d}"
        try:
            centers = pq.read_table(folder / "centers.parquet", schema=CENTERS_SCHEMA).to_pandas()
        except (OSError, ValueError, pa.ArrowException) as error:
            raise self._unreadable(error) from error
        return SavedSelection(folder, centers, _load(folder / "centers.npy"))

    def begin(self) -> Path:
        """Make the folder of the next generation, for workers to write to."""
        pointer = self._pointer()
        folder = self._folder / f"{pointer.generation + 1 if pointer else 1:06d}"
        shutil.rmtree(folder, ignore_errors=True)  # of a run that did not end
        folder.mkdir(parents=True)
        return folder

    def commit(
        self, folder: Path, centers: "pd.DataFrame", vectors: np.ndarray, sequence_length: int
    ) -> None:
        """Complete a generation that :meth:`begin` made, and let it take the last one's place."""
        table = pa.Table.from_pandas(centers, schema=CENTERS_SCHEMA, preserve_index=False)
        pq.write_table(table, folder / "centers.parquet")
        np.save(folder / "centers.npy", vectors)
        np.save(folder / "center-rows.npy", centers["row"].to_numpy(np.int64))
        temporary = self._folder / ".selection.json.tmp"
        pointer = Pointer(int(folder.name), sequence_length)
        temporary.write_text(json.dumps(asdict(pointer)) + "\n")
        os.replace(temporary, self._folder / "selection.json")
        for other in self._folder.iterdir():
            if other.is_dir() and other != folder:
                shutil.rmtree(other)

    def _pointer(self) -> Pointer | None:
        path = self._folder / "selection.json"
        if not path.exists():
            return None
        try:
            pointer = Pointer(**json.loads(path.read_text()))
        except (OSError, ValueError, TypeError) as error:
            raise self._unreadable(error) from error
        if pointer.format_version != FORMAT_VERSION:
            raise UsageError(
                f"the selection {self.name} has format {pointer.format_version}, this version "
                f"reads {FORMAT_VERSION}: use the version that made it, or another name."
            )
        return pointer

    def _unreadable(self, error: Exception) -> CoreframeError:
        return CoreframeError(
            f"{self._folder} cannot be read ({error}). Delete it to select afresh, or use another "
            "name."
        )


def write_distances(
    folder: Path, part: int, rows: np.ndarray, distance: np.ndarray, center: np.ndarray
) -> None:
    """Write one partition's units, as in STATE, in row order."""
    state = np.empty(len(rows), STATE)
    state["row"], state["distance"], state["center"] = rows, distance, center
    path = folder / f"rows-{part:05d}.npy"
    temporary = path.with_name(f".{path.name}.{uuid4().hex}.tmp")
    with temporary.open("wb") as file:
        np.save(file, state)
    os.replace(temporary, path)


def read_centers(folder: Path, gone: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The (c,) int64 rows and (c, dim) int16 lattice of all centers but some rows."""
    rows = _load(folder / "center-rows.npy")
    left = ~np.isin(rows, gone)
    return rows[left], _load(folder / "centers.npy")[left]


def settled_rows(folder: Path, gone: np.ndarray) -> np.ndarray:
    """(n,) int64: the units whose nearest center is known and not one of some rows."""
    states = [np.empty(0, STATE), *_states(folder)]
    return np.concatenate([state["row"][~np.isin(state["center"], gone)] for state in states])


def read_distances(folder: Path, first: int, last: int) -> np.ndarray:
    """(n,) STATE of the units from row ``first`` to row ``last``, in row order."""
    own = [np.empty(0, STATE)]
    for state in _states(folder):
        if len(state) and state["row"][0] <= last and state["row"][-1] >= first:
            own.append(state[slice(*np.searchsorted(state["row"], [first, last + 1]))])
    return np.concatenate(own)


def _states(folder: Path) -> list[np.ndarray]:
    """What partitions wrote, in row order."""
    return [_load(path) for path in sorted(folder.glob("rows-*.npy"))]


def _load(path: Path) -> np.ndarray:
    """Map an array: only what is looked at is read."""
    try:
        return np.load(path, mmap_mode="r")
    except (OSError, ValueError) as error:
        raise CoreframeError(
            f"{path} cannot be read ({error}). Delete {path.parents[1]} to select afresh, or use "
            "another name."
        ) from error
