"""The neighbours that a store keeps: a generation at a time, in a folder of its own.

``STORE/neighbours/neighbours.json`` names the generation and its files, each of so many rows. A
generation is written beside the last one before that is replaced, so a reader finds one or the
other whole. All of it follows from the rest of the store: whatever is wrong with it, it is deleted,
and the next selection that needs it finds it anew.
"""

import re
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import xxhash
from numpy.typing import NDArray

from coreframe.tasks.errors import CoreframeError
from coreframe.tasks.neighbours.found import Neighbours
from coreframe.tasks.store.reading import understandably
from coreframe.tasks.store.seals import (
    SealError,
    open_table,
    parse_json,
    sealed_json,
    sealed_table,
)
from coreframe.tasks.store.store import Store

FOLDER: Final = "neighbours"
POINTER: Final = f"{FOLDER}/neighbours.json"

FORMAT_VERSION: Final = 1

FILE_ROWS: Final = 2**18
"""Rows a file at most."""


@dataclass(frozen=True)
class Pointer:
    """The content of ``neighbours.json``."""

    generation: int
    k: int
    hashes: list[str]
    """XXH3 of each of its files: of one night's files none passes for another's."""
    format_version: int = FORMAT_VERSION


class KeptNeighbours:
    """The place of the neighbours in a store."""

    def __init__(self, store: Store) -> None:
        self._store, self._folder = store, store.folder

    def read(self) -> Neighbours | None:
        """Those that are kept; None where there are none, or of another version of Coreframe.

        Raises:
            CoreframeError: they cannot be read.
        """
        pointer = self._pointer()
        if pointer is None:
            return None
        parts = [Neighbours.nothing(pointer.k)]
        for number, known in enumerate(pointer.hashes):
            name = _name(pointer.generation, number)
            with understandably(self._store.path, name):
                data = self._folder.read(name)
                if _hash(data) != known:
                    raise SealError
                table = open_table(name, data).read()
                parts.append(_from_table(table, pointer.k))
        return Neighbours.joined(parts)

    def write(self, found: Neighbours, file_rows: int = FILE_ROWS) -> None:
        """Let others take their place. Called by the store's only writer."""
        self._store.guard()
        generation = max(self._generations(), default=0) + 1
        hashes = []
        for number, start in enumerate(range(0, len(found), file_rows)):
            table = _to_table(found.at(slice(start, start + file_rows)))
            name = _name(generation, number)
            data = sealed_table(name, table, use_dictionary=False)
            self._folder.write(name, data)
            hashes.append(_hash(data))
        self._store.guard()
        pointer = Pointer(generation, found.k, hashes)
        self._folder.write(POINTER, sealed_json(POINTER, asdict(pointer)))
        for other in self._generations():
            if other != generation:
                self._folder.delete(f"{FOLDER}/{other:06d}")

    def erase(self, gone: NDArray[np.int64]) -> None:
        """Leave nothing of some rows. Called by the store's only writer."""
        try:
            kept = self.read()
        except CoreframeError:
            kept = None
        if kept is None:
            self.drop()
            return
        left = kept.without(gone)
        if not np.array_equal(left.keys, kept.keys):
            self.write(left)
        pointer = self._pointer()
        for other in self._generations():  # of a run that was ended
            if pointer is None or other != pointer.generation:
                self._folder.delete(f"{FOLDER}/{other:06d}")

    def drop(self) -> None:
        """Delete all of it. Called by the store's only writer."""
        self._store.guard()
        self._folder.delete(FOLDER)

    def fault(self) -> str:
        """What is wrong with it, in a sentence; empty for nothing."""
        try:
            self.read()
        except CoreframeError as error:
            return str(error)
        return ""

    def _pointer(self) -> Pointer | None:
        with understandably(self._store.path, POINTER):
            try:
                known = parse_json(POINTER, self._folder.read(POINTER))
            except FileNotFoundError:
                return None
            return Pointer(**known) if known["format_version"] == FORMAT_VERSION else None

    def _generations(self) -> list[int]:
        return [int(name) for name in self._folder.names(FOLDER) if re.fullmatch(r"\d+", name)]


def _name(generation: int, number: int) -> str:
    return f"{FOLDER}/{generation:06d}/rows-{number:05d}.parquet"


def _hash(data: bytes) -> str:
    return xxhash.xxh3_128(data).hexdigest()


def _to_table(found: Neighbours) -> pa.Table:
    near, squared = pa.array(found.near.ravel()), pa.array(found.squared.ravel())
    return pa.table(
        {
            "row": found.rows,
            "digest": found.digests,
            "neighbours": pa.FixedSizeListArray.from_arrays(near, found.k),
            "squared_distances": pa.FixedSizeListArray.from_arrays(squared, found.k),
        }
    )


def _from_table(table: pa.Table, k: int) -> Neighbours:
    near, squared = (
        table[name].combine_chunks().flatten().to_numpy().reshape(-1, k)
        for name in ("neighbours", "squared_distances")
    )
    return Neighbours.of(table["row"].to_numpy(), table["digest"].to_numpy(), near, squared)
