"""Named selections: what a store remembers of them, so that a later run can extend them.

A folder of its own under ``STORE/selections`` for each name. What one run leaves is a *generation*:
the centers in pick order with their vectors, and for every frame that could be chosen its distance
to its nearest center and that center. A generation is written beside the last one, then
``selection.json`` is replaced to point to it, so a reader finds one or the other whole.

In its own folder a generation has a second ``selection.json``, with a hash of each of its files:
what is read is compared with it, so files of another generation do not pass for its own.
"""

import io
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash
from numpy.typing import NDArray

from coreframe.tasks.errors import CoreframeError, UsageError
from coreframe.tasks.storage.folders import Folder, open_folder, save_array
from coreframe.tasks.store.seals import parse_json, sealed_json

if TYPE_CHECKING:  # workers never need pandas, which takes 35 MB of each
    import pandas as pd


SELECTION_FORMAT_VERSION = 2

_PARSING = Lock()
"""Python 3.11 can fail where two threads parse literals, such as an array's header, at a time
("AST constructor recursion depth mismatch", seen once in a thousand runs here)."""

POINTER = "selection.json"
"""Beside the generations; and in each, what it consists of."""

CENTERS, CENTER_VECTORS, CENTER_ROWS = "centers.parquet", "centers.npy", "center-rows.npy"

BEGUN = ".begun"
"""There while a name has no generation yet: without it, a pointer that is missing was lost."""

CENTERS_SCHEMA = pa.schema(
    {
        "row": pa.int64(),
        "center_row": pa.int64(),
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
    """The content of ``selection.json`` beside the generations."""

    generation: int
    sequence_length: int
    format_version: int = SELECTION_FORMAT_VERSION


@dataclass(frozen=True)
class Generation:
    """The content of a generation's own."""

    sequence_length: int
    hashes: dict[str, str]
    """XXH3 of each of its files, by name."""


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
        generation = _Files(f"{self._folder.name}/{pointer.generation:06d}")
        generation.check_length(pointer.sequence_length)
        with generation.understandably(CENTERS):
            table = pa.BufferReader(generation.read(CENTERS))
            centers = pq.read_table(table, schema=CENTERS_SCHEMA).to_pandas()
        own = centers["row"]  # before picks were exchanged there was no other
        centers["center_row"] = centers["center_row"].fillna(own).astype(np.int64)
        return SavedSelection(generation.folder.name, centers, generation.load(CENTER_VECTORS))

    def rows(self) -> NDArray[np.int64]:
        """(c,) int64: of the last generation the centers' first rows in pick order; none before it.

        Raises:
            UsageError: it is of another format.
            CoreframeError: it cannot be read.
        """
        pointer = self._pointer()
        if pointer is None:
            return np.empty(0, np.int64)
        return _Files(f"{self._folder.name}/{pointer.generation:06d}").load(CENTER_ROWS)

    def sequence_length(self) -> int:
        """Of the sequences that were chosen; 1 for frames, and before the first generation."""
        pointer = self._pointer()
        return 1 if pointer is None else pointer.sequence_length

    def begin(self) -> str:
        """Name the place of the next generation, for workers to write to."""
        pointer = self._pointer()
        if pointer is None:
            self._folder.write(BEGUN, b"")
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
        place.write(CENTERS, sink.getvalue())
        save_array(place, CENTER_VECTORS, vectors)
        save_array(place, CENTER_ROWS, centers["row"].to_numpy(np.int64))
        hashes = {name: _hash(place.read(name)) for name in place.names() if name != POINTER}
        _describe(place, Generation(sequence_length, hashes))
        own = folder.rpartition("/")[2]
        self._point_to(Pointer(int(own), sequence_length))
        for other in self._folder.names():
            if (other.isdigit() and other != own) or other == BEGUN:
                self._folder.delete(other)

    def _point_to(self, pointer: Pointer) -> None:
        self._folder.write(POINTER, f"{json.dumps(asdict(pointer))}\n".encode())

    def _pointer(self) -> Pointer | None:
        try:
            pointer = Pointer(**json.loads(self._folder.read(POINTER)))
            if not isinstance(pointer.generation, int):
                raise ValueError(f"its generation is {pointer.generation!r}")
        except FileNotFoundError:
            names = self._folder.names()
            if BEGUN not in names and any(name.isdigit() for name in names):
                raise unreadable(self._folder.name, f"its {POINTER} is missing") from None
            return None
        except (OSError, ValueError, TypeError) as error:
            raise unreadable(self._folder.name, error) from error
        if pointer.format_version != SELECTION_FORMAT_VERSION:
            raise UsageError(
                f"the selection {self.name} has format {pointer.format_version}, this version "
                f"reads {SELECTION_FORMAT_VERSION}: use the version that made it, or another name."
            )
        return pointer

    def fault(self) -> str:
        """What is wrong with it, in a sentence; empty for nothing."""
        try:
            pointer = self._pointer()
            if pointer is None:
                return ""
            generation = _Files(f"{self._folder.name}/{pointer.generation:06d}")
            generation.check_length(pointer.sequence_length)
            for name in generation.names():
                with generation.understandably(name):
                    generation.read(name)
        except (CoreframeError, UsageError) as error:
            return str(error)
        return ""

    def mend(self) -> bool:
        """Bring back what can be had without choosing anew, and say whether that is all.

        The pointer follows from the generation that there is. Distances that are lost are computed
        again when they are missed. Centers cannot be had again.
        """
        for name in sorted(filter(str.isdigit, self._folder.names()), reverse=True):
            with suppress(CoreframeError):
                generation = _Files(f"{self._folder.name}/{name}")
                if generation.complete():
                    generation.drop_lost_distances()
                    self._point_to(Pointer(int(name), generation.sequence_length))
                    break
        return not self.fault()


def names_of(store: Folder) -> list[str]:
    """The names under which a store keeps selections."""
    return store.names("selections")


class _Files:
    """The files of a generation, each compared with its hash when it is read."""

    def __init__(self, folder: str) -> None:
        self.folder = open_folder(folder)
        self._known: Generation | None = None
        with self.understandably(POINTER):
            try:
                data = self.folder.read(POINTER)
            except FileNotFoundError:
                if not self.folder.names():
                    raise
            else:
                self._known = Generation(**parse_json(_own_name(self.folder), data))

    @property
    def sequence_length(self) -> int:
        assert self._known is not None
        return self._known.sequence_length

    def check_length(self, length: int) -> None:
        """Look whether its pointer says the same of it as it does itself.

        Raises:
            CoreframeError: it does not.
        """
        if self._known is not None and self._known.sequence_length != length:
            why = f"{POINTER} is not of generation {self.folder.name.rpartition('/')[2]}"
            raise unreadable(self.folder.name.rpartition("/")[0], why)

    def names(self) -> list[str]:
        """Those that it consists of."""
        return self.folder.names() if self._known is None else list(self._known.hashes)

    def read(self, name: str) -> bytes:
        """Read one of them.

        Raises:
            ValueError: it is another than was written.
        """
        data = self.folder.read(name)
        if self._known is not None and _hash(data) != self._known.hashes.get(name):
            raise ValueError("it is not what was written there")
        return data

    def load(self, name: str) -> NDArray[Any]:
        """Read an array of them.

        Raises:
            CoreframeError: it cannot be read.
        """
        with self.understandably(name):
            data = io.BytesIO(self.read(name))
            with _PARSING:
                values: NDArray[Any] = np.load(data)
            return values

    def distances(self) -> list[str]:
        """The names of what partitions wrote."""
        return [name for name in self.names() if name.startswith("rows-")]

    def _sound(self, name: str) -> bool:
        try:
            self.read(name)
        except (OSError, ValueError):
            return False
        return True

    def complete(self) -> bool:
        """Whether it is known what it consists of, and all of it is there but for distances."""
        needed = (CENTERS, CENTER_VECTORS, CENTER_ROWS)
        return self._known is not None and all(map(self._sound, needed))

    def drop_lost_distances(self) -> None:
        """Let it consist of what is still there of it."""
        assert self._known is not None
        sound = {name: known for name, known in self._known.hashes.items() if self._sound(name)}
        if sound != self._known.hashes:
            _describe(self.folder, Generation(self._known.sequence_length, sound))

    @contextmanager
    def understandably(self, name: str) -> Iterator[None]:
        """Name the file, and what to do, in whatever error comes of it."""
        try:
            yield
        except (OSError, ValueError, TypeError, EOFError, pa.ArrowException) as error:
            raise unreadable(self.folder.name.rpartition("/")[0], f"{name}: {error}") from error


def _own_name(folder: Folder) -> str:
    """By which a generation's own ``selection.json`` is sealed, wherever the store lies."""
    return "/".join([*folder.name.split("/")[-3:-1], POINTER])


def _describe(folder: Folder, generation: Generation) -> None:
    folder.write(POINTER, sealed_json(_own_name(folder), asdict(generation)))


def _hash(data: bytes) -> str:
    return xxhash.xxh3_128(data).hexdigest()


def unreadable(folder: str, why: object) -> CoreframeError:
    """The answer where what is kept of a named selection is damaged."""
    store = folder.rpartition("/selections/")[0]
    return CoreframeError(
        f"the selection {folder} cannot be read ({why}). Mend it with `coreframe check --store "
        f"{store} --repair`; if that cannot, delete the folder to select afresh, or use another "
        "name."
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
    generation = _Files(folder)
    rows = generation.load(CENTER_ROWS)
    left = ~np.isin(rows, gone)
    return rows[left], generation.load(CENTER_VECTORS)[left]


def settled_rows(folder: str, gone: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n,) int64: the units whose nearest center is known and not one of some rows."""
    rows = [part["row"][~np.isin(part["center"], gone)] for part in nearest(folder)]
    return np.concatenate([np.empty(0, np.int64), *rows])


def read_distances(
    folder: str, rows: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.void]]]:
    """Of each partition, (n,) places among ascending rows, and (n,) NEAREST_DTYPE of the units."""
    for part in nearest(folder):
        asked = part[np.isin(part["row"], rows, assume_unique=True)]
        yield np.searchsorted(rows, asked["row"]), asked


def nearest(folder: str) -> Iterator[NDArray[np.void]]:
    """What partitions wrote, one after the other: together they may be more than fits."""
    generation = _Files(folder)
    for name in generation.distances():
        yield generation.load(name)
