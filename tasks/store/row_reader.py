"""Rows of the embedding array, decoded from their chunks directly, and verified."""

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import xxhash
from numcodecs.zstd import decompress
from numpy.typing import NDArray

from coreframe.tasks.errors import CoreframeError
from coreframe.tasks.storage.folders import Folder
from coreframe.tasks.store.array import read_array_document
from coreframe.tasks.store.reading import mend, understandably
from coreframe.tasks.store.seals import open_table
from coreframe.tasks.store.settings import FRAMES, Place, StoreSettings

READ_VALUES = 2**22
"""Numbers at most in blocks that are read at once, if they are more than one."""

VECTORS, ROWS = b"vectors", b"rows"
"""In the metadata of a block's table: the hash of its embeddings, and the ranges of its rows."""


def frames_name(block: int) -> str:
    """The file of the store that holds a block's table."""
    return FRAMES.table(block)


@dataclass(frozen=True)
class Commit:
    """What a block's table says of its embeddings."""

    hash: str
    """See :func:`vectors_hash`."""
    places: slice | NDArray[np.int64]
    """The committed rows, counted from the block's first."""

    def holds(self, vectors: NDArray[np.int16]) -> bool:
        """Whether the (block_rows, dim) embeddings of the block are those that were committed."""
        return vectors_hash(vectors[self.places]) == self.hash


class RowReader:
    """Reads lattice vectors of a store as it is now.

    A block is one chunk of the array, and its integers are what lies there compressed. Taking them
    from there costs half of what Zarr's own way does. What is read is compared with the hash in the
    block's commit: Zarr itself takes a chunk that is missing for zeros, and one that was changed
    for what it now holds. Of a block without a commit nothing is known.
    """

    def __init__(
        self,
        folder: Folder,
        settings: StoreSettings,
        planned: int | None = None,
        place: Place = FRAMES,
    ) -> None:
        """Look at how an array of the store is laid out.

        Args:
            folder: the store's.
            settings: what made it.
            planned: rows of the array, where what is written of it is not to be looked at.
            place: the array, and its tables.

        Raises:
            CoreframeError: it cannot be read, or is not as Coreframe writes it.
        """
        self._folder, self._size, self._dim = folder, settings.block_rows, settings.dim
        self._place = place
        if planned is None:
            planned = int(read_array_document(folder, settings, place)["shape"][0])
        self._planned = planned
        self._commits: dict[int, Commit | None] = {}

    def block(self, block: int) -> NDArray[np.int16]:
        """(rows, dim) int16 lattice of one block.

        Raises:
            CoreframeError: it is not what was committed.
        """
        vectors = np.empty((self._size, self._dim), np.int16)
        self._read(block, vectors)
        return vectors[: max(0, self._planned - block * self._size)]

    def __call__(
        self, rows: NDArray[np.int64], into: NDArray[np.int16] | None = None
    ) -> NDArray[np.int16]:
        """(len(rows), dim) int16 lattice of any rows, in the order asked, some blocks at a time.

        Args:
            rows: (n,) int64, which.
            into: the array that is filled and returned, of just that shape; a new one by default.

        Raises:
            CoreframeError: a block is not what was committed, or the array has not so many rows.
        """
        size, dim = self._size, self._dim
        if len(rows) and rows.max() >= self._planned:
            raise CoreframeError(
                f"the array {self._folder.name}/{self._place.array} has {self._planned:,} rows, "
                f"and row {rows.max():,} is committed: {mend(self._folder.name)}."
            )
        vectors = np.empty((len(rows), dim), np.int16) if into is None else into
        order = np.argsort(rows // size, kind="stable")
        blocks, starts = np.unique((rows // size)[order], return_index=True)

        def read(block: int, places: NDArray[np.int64]) -> None:
            first, last, own = places[0], places[-1], rows[places] - block * size
            if len(own) == size == last - first + 1 and (np.diff(own) == 1).all():
                self._read(block, vectors[first : last + 1])  # where they belong
            else:
                vectors[places] = self.block(block)[own]

        threads = max(1, min(self._folder.at_once, READ_VALUES // (size * dim)))
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(read, blocks.tolist(), np.split(order, starts[1:])))
        return vectors

    def _read(self, block: int, vectors: NDArray[np.int16]) -> None:
        """Fill (block_rows, dim) int16 with a block.

        The commit is read before the chunk: while a block grows, its embeddings are the first to be
        written, and are still those of the rows that it had.
        """
        if block not in self._commits:
            self._commits[block] = read_commit(self._folder, block, self._size, self._place)
        for attempt in (1, 2):
            commit = self._commits[block]
            self._decode(block, vectors)
            if commit is None or commit.holds(vectors):
                return
            if attempt == 1:  # another run may have written it anew just now
                self._commits[block] = read_commit(self._folder, block, self._size, self._place)
        store = self._folder.name
        raise CoreframeError(
            f"{store}/{self._place.chunk(block)} holds other embeddings of block {block} than were "
            f"committed: {mend(store)}."
        )

    def _decode(self, block: int, vectors: NDArray[np.int16]) -> None:
        name = self._place.chunk(block)
        with understandably(self._folder.name, name):
            try:
                compressed = self._folder.read(name)
            except FileNotFoundError:  # Zarr writes no chunk of zeros
                vectors[:] = 0
            else:  # a copy costs a tenth; decompressing into the array, too few bytes would pass
                values = np.frombuffer(decompress(compressed), np.int16)
                vectors[:] = values.reshape(vectors.shape)


def read_commit(
    folder: Folder, block: int, block_rows: int, place: Place = FRAMES
) -> Commit | None:
    """What a block's table says of its embeddings; None where it says nothing, or is not there.

    Raises:
        CoreframeError: the table is damaged.
    """
    name = place.table(block)
    with understandably(folder.name, name):
        try:
            table = open_table(name, folder.read(name))
        except FileNotFoundError:
            return None
        facts = table.metadata.metadata or {}
        if VECTORS not in facts:
            return None
        if ROWS in facts:
            ranges = json.loads(facts[ROWS])
        else:  # an earlier version wrote it
            rows = table.read(columns=["row"], use_threads=False)["row"].to_numpy()
            ranges = row_ranges(rows - block * block_rows)
        places: slice | NDArray[np.int64]
        if len(ranges) == 1:
            places = slice(*ranges[0])
        else:
            every = [np.arange(start, stop) for start, stop in ranges]
            places = np.concatenate([np.empty(0, np.int64), *every])
        return Commit(facts[VECTORS].decode(), places)


def row_ranges(rows: NDArray[np.int64]) -> list[list[int]]:
    """Ascending rows as half-open ranges."""
    cuts = np.flatnonzero(np.diff(rows) != 1) + 1
    parts: Sequence[NDArray[np.int64]] = np.split(rows, cuts) if len(rows) else []
    return [[int(part[0]), int(part[-1]) + 1] for part in parts]


def vectors_hash(vectors: NDArray[np.int16]) -> str:
    """By which a commit knows its embeddings: XXH3 of (rows, dim) int16 lattice."""
    return xxhash.xxh3_128(np.ascontiguousarray(vectors, np.int16).data).hexdigest()
