"""Objects: boxes in frames, and the vectors of the pictures in them.

Objects are numbered in the order in which they were first asked for. ``boxes.parquet`` lists all
that are, and is written first. Then come blocks as of frames: of an array ``objects`` beside that
of the frames, with a table for each block whose appearance is its commit. A version of Coreframe
that knows no objects reads none of these files.
"""

import json
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import zarr
from numpy.typing import NDArray

from coreframe.tasks.errors import CoreframeError
from coreframe.tasks.storage.folders import explain_full_disk
from coreframe.tasks.store.array import array_document, read_array_document, write_rows
from coreframe.tasks.store.corpus import in_corpus
from coreframe.tasks.store.reading import understandably
from coreframe.tasks.store.row_reader import ROWS, VECTORS, RowReader, row_ranges, vectors_hash
from coreframe.tasks.store.seals import SEAL_KEY, open_table, sealed_table
from coreframe.tasks.store.settings import OBJECTS
from coreframe.tasks.store.store import Store

BOXES = "boxes.parquet"


class ObjectState(StrEnum):
    """What became of an object."""

    OK = "ok"
    """It is embedded."""
    SMALL = "small"
    """It is not: its frame is smaller than the video's first, and shows too little of the box."""


SCHEMA = pa.schema(
    {
        "object": pa.int64(),  # its place in the array
        "row": pa.int64(),  # its frame's
        "x": pa.float32(),  # pixels of the upright, cropped picture, as are the next three
        "y": pa.float32(),
        "width": pa.float32(),
        "height": pa.float32(),
        "label": pa.string(),
        "score": pa.float32(),  # NaN where there is none
        "state": pa.string(),
    }
)
"""Of a block's table. That of the boxes has no state."""

BOX = ("x", "y", "width", "height")
BOXES_SCHEMA = pa.schema([field for field in SCHEMA if field.name != "state"])

PLANNED, EMBEDDED = b"objects", b"embedded"
"""In the metadata of the boxes' table; see :class:`Boxes`."""


@dataclass(frozen=True)
class Boxes:
    """All boxes that were asked for."""

    table: pa.Table
    """BOXES_SCHEMA, ascending. Numbers may be missing: of frames that were forgotten."""
    planned: int
    """Rows of the array."""
    embedded: int = 0
    """Objects that were committed when this was written."""


class StoredObjects:
    """The objects of a store."""

    def __init__(self, store: Store) -> None:
        self._store, self._folder = store, store.folder

    def boxes(self) -> Boxes:
        """All that were asked for; none where nobody asked.

        Raises:
            CoreframeError: the list is damaged, or gone.
        """
        with understandably(self._store.path, BOXES):
            try:
                file = open_table(BOXES, self._folder.read(BOXES))
            except FileNotFoundError:
                if self.blocks():
                    raise
                return Boxes(BOXES_SCHEMA.empty_table(), 0)
            facts = file.metadata.metadata or {}
            table = file.read(use_threads=False).replace_schema_metadata()
            return Boxes(table, int(facts[PLANNED]), int(facts[EMBEDDED]))

    def write_boxes(self, boxes: Boxes) -> None:
        """Replace the list, and make room for all."""
        facts = {PLANNED: str(boxes.planned), EMBEDDED: str(boxes.embedded)}
        self._store.guard()
        table = boxes.table.cast(BOXES_SCHEMA).replace_schema_metadata(facts)
        self._folder.write(BOXES, sealed_table(BOXES, table))
        self.make_room(boxes.planned)

    def make_room(self, rows: int) -> None:
        """Let the array have so many rows."""
        settings = self._store.settings
        if not self._folder.exists(OBJECTS.document):
            self._folder.write(OBJECTS.document, array_document(settings, rows, OBJECTS))
        elif read_array_document(self._folder, settings, OBJECTS)["shape"][0] != rows:
            write_rows(self._folder, settings, rows, OBJECTS)

    def erase(self, rows: NDArray[np.int64]) -> None:
        """Erase the objects in some frames, and their vectors, so that each block stays whole.

        A table is written without them first, and with it their unchanged vectors: its hash is of
        those of its own objects, so it stands when the others then become zeros. They leave the
        list of boxes last of all. All of it may be done again.
        """
        boxes, size = self.boxes(), self._store.block_rows
        theirs = np.isin(boxes.table["row"].to_numpy(), rows)
        if not theirs.any():
            return
        numbers = boxes.table["object"].to_numpy()[theirs]
        held = self.table(["row"], whole=False)["row"].to_numpy()
        left = int((~np.isin(held, rows)).sum())
        self.write_boxes(replace(boxes, embedded=left))  # or they were missed on the way
        reader = self.reader()
        for block in np.unique(numbers // size).tolist():
            vectors, table = reader.block(block), self.committed(block)
            own = numbers[numbers // size == block] - block * size
            known = SCHEMA.empty_table() if table is None else table
            stays = known.filter(~np.isin(known["object"].to_numpy(), numbers))
            if len(stays) < len(known):
                self._store.guard()
                self.commit(block, vectors, stays)
            if vectors[own].any():
                vectors[own] = 0
                self._store.guard()
                self.commit(block, vectors, stays)
                if table is None:  # nothing was committed of it before
                    self.take_back(block)
        self.write_boxes(Boxes(boxes.table.filter(~theirs), boxes.planned, left))

    def clear(self) -> None:
        """Take all objects away: the tables first, so that no commit lacks its vectors."""
        self.write_boxes(replace(self.boxes(), embedded=0))  # or tables that are gone were missed
        for place in (OBJECTS.tables, OBJECTS.array, BOXES):
            self._folder.delete(place)

    def blocks(self) -> list[int]:
        """The blocks of which objects are committed, in order."""
        names = self._folder.names(OBJECTS.tables)
        found = [re.fullmatch(r"block-(\d{8,})\.parquet", name) for name in names]
        return [int(one[1]) for one in found if one]

    def commit(self, block: int, vectors: NDArray[np.int16], table: pa.Table) -> None:
        """Write a block's vectors, then the table that makes them count.

        Args:
            block: the block's number.
            vectors: (rows of the block that are planned, dim) int16 lattice; zeros where nothing
                is embedded.
            table: the committed objects, SCHEMA.
        """
        start = block * self._store.block_rows
        with (
            explain_full_disk(self._store.path),
            understandably(self._store.path, OBJECTS.document),
        ):
            array = zarr.open_array(self._folder.zarr_store(), path=OBJECTS.array, mode="r+")
            array[start : start + len(vectors)] = vectors
        places = table["object"].to_numpy() - start
        facts = {VECTORS: vectors_hash(vectors[places]), ROWS: json.dumps(row_ranges(places))}
        name = OBJECTS.table(block)
        sealed = sealed_table(name, table.replace_schema_metadata(facts))
        self._folder.write(name, sealed)

    def committed(self, block: int, columns: Sequence[str] | None = None) -> pa.Table | None:
        """A block's committed objects, or None when there are none yet."""
        name = OBJECTS.table(block)
        with understandably(self._store.path, name):
            try:
                file = open_table(name, self._folder.read(name))
            except FileNotFoundError:
                return None
            table = file.read(columns=list(columns or SCHEMA.names), use_threads=False)
            facts = dict(table.schema.metadata or {})
            facts.pop(SEAL_KEY.encode(), None)
            return table.replace_schema_metadata(facts or None)

    def take_back(self, block: int) -> None:
        """Undo a block's commit: its objects are missing again."""
        self._folder.delete(OBJECTS.table(block))

    def table(self, columns: Sequence[str] | None = None, *, whole: bool = True) -> pa.Table:
        """All committed objects, ascending.

        Args:
            columns: of SCHEMA; all by default.
            whole: whether none may be gone.

        Raises:
            CoreframeError: some are gone.
        """
        columns = list(columns or SCHEMA.names)
        schema = pa.schema([SCHEMA.field(name) for name in columns])
        with ThreadPoolExecutor(self._folder.at_once) as threads:
            found = threads.map(lambda block: self.committed(block, columns), self.blocks())
            tables = [one.replace_schema_metadata() for one in found if one is not None]
        table = pa.concat_tables([schema.empty_table(), *tables])
        lacking = self.boxes().embedded - len(table) if whole else 0
        if lacking > 0:
            raise CoreframeError(
                f"the store {self._store.path} lacks {lacking:,} of its objects: mend it with "
                f"`coreframe check --store {self._store.path} --repair`, then run `coreframe "
                f"objects --store {self._store.path}`."
            )
        return table

    def active(self, columns: Sequence[str] = SCHEMA.names) -> pa.Table:
        """The embedded objects in frames of the corpus, ascending.

        Args:
            columns: of SCHEMA.

        Raises:
            CoreframeError: some are gone.
        """
        table = self.table([*dict.fromkeys([*columns, "row", "state"])])
        inside = in_corpus(self._store.read_catalogue(), table["row"].to_numpy())
        embedded = pc.equal(table["state"], ObjectState.OK)
        return table.filter(pc.and_(embedded, pa.array(inside))).select(list(columns))

    def reader(self) -> RowReader:
        """What reads vectors of objects, by their numbers."""
        return self._store.row_reader(OBJECTS)
