"""Rows of the embedding array, decoded from their chunks directly."""

import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import xxhash
from numcodecs.zstd import decompress
from numpy.typing import NDArray

from coreframe.tasks.storage.folders import Folder
from coreframe.tasks.store.reading import understandably
from coreframe.tasks.store.settings import ARRAY, StoreSettings

CODECS = {1: ("numcodecs.fixedscaleoffset", "bytes", "zstd"), 2: ("bytes", "zstd")}
"""Of the array, by the store's format: in 1 a filter from float32 to the lattice's int16; then to
bytes, and the compressor."""

READ_VALUES = 2**22
"""Numbers at most in blocks that are read at once, if they are more than one."""


class RowReader:
    """Reads lattice vectors of a store as it is now.

    A block is one chunk of the array, and its integers are what lies there compressed. Taking them
    from there costs half of what Zarr's own way does.
    """

    def __init__(self, folder: Folder, settings: StoreSettings) -> None:
        """Look at how the store's array is laid out.

        Args:
            folder: the store's.
            settings: what made it.

        Raises:
            CoreframeError: it cannot be read, or is not as Coreframe writes it.
        """
        self._folder, self._size, self._dim = folder, settings.block_rows, settings.dim
        name = f"{ARRAY}/zarr.json"
        with understandably(f"{folder.name}/{name}"):
            array = json.loads(folder.read(name))
            chunk = array["chunk_grid"]["configuration"]["chunk_shape"]
            codecs = tuple(codec["name"] for codec in array["codecs"])
            ours = [self._size, self._dim], CODECS[settings.format_version]
            if (chunk, codecs) != ours:
                raise ValueError(f"chunks of {chunk} by {codecs}, where ingest makes {ours}")
            self._planned = int(array["shape"][0])

    def block(self, block: int) -> NDArray[np.int16]:
        """(rows, dim) int16 lattice of one block."""
        vectors = np.empty((self._size, self._dim), np.int16)
        self._decode(block, vectors)
        return vectors[: max(0, self._planned - block * self._size)]

    def __call__(
        self, rows: NDArray[np.int64], into: NDArray[np.int16] | None = None
    ) -> NDArray[np.int16]:
        """(len(rows), dim) int16 lattice of any rows, in the order asked, some blocks at a time.

        Args:
            rows: (n,) int64, which.
            into: the array that is filled and returned, of just that shape; a new one by default.
        """
        size, dim = self._size, self._dim
        vectors = np.empty((len(rows), dim), np.int16) if into is None else into
        order = np.argsort(rows // size, kind="stable")
        blocks, starts = np.unique((rows // size)[order], return_index=True)

        def read(block: int, places: NDArray[np.int64]) -> None:
            first, last, own = places[0], places[-1], rows[places] - block * size
            if len(own) == size == last - first + 1 and (np.diff(own) == 1).all():
                self._decode(block, vectors[first : last + 1])  # where they belong
            else:
                vectors[places] = self.block(block)[own]

        threads = max(1, min(self._folder.at_once, READ_VALUES // (size * dim)))
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(read, blocks.tolist(), np.split(order, starts[1:])))
        return vectors

    def _decode(self, block: int, vectors: NDArray[np.int16]) -> None:
        """Fill (block_rows, dim) int16 with a block."""
        name = f"{ARRAY}/c/{block}/0"
        with understandably(f"{self._folder.name}/{name}"):
            try:
                compressed = self._folder.read(name)
            except FileNotFoundError:  # Zarr writes no chunk of zeros
                vectors[:] = 0
            else:  # a copy costs a tenth; decompressing into the array, too few bytes would pass
                values = np.frombuffer(decompress(compressed), np.int16)
                vectors[:] = values.reshape(vectors.shape)


def vectors_hash(vectors: NDArray[np.int16]) -> str:
    """By which a commit knows its embeddings: XXH3 of (rows, dim) int16 lattice."""
    return xxhash.xxh3_128(np.ascontiguousarray(vectors, np.int16).data).hexdigest()
