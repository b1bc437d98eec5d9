"""Compare a block of a store with what its commit says."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from coreframe.tasks.check.files import clause
from coreframe.tasks.errors import CoreframeError
from coreframe.tasks.store.frames import FrameState
from coreframe.tasks.store.objects import BOXES, ObjectState, StoredObjects
from coreframe.tasks.store.row_reader import RowReader
from coreframe.tasks.store.settings import OBJECTS, StoreSettings
from coreframe.tasks.store.store import Store


class PlannedRows(NamedTuple):
    """Rows of a block that the catalogue plans for one video."""

    first: int
    stop: int
    """The row after the last."""
    video: int


@dataclass(frozen=True)
class BlockCheck:
    """A block to look at, and which rows of which video the catalogue plans for it."""

    store: str
    settings: StoreSettings
    """What made it, since what is written of that may be damaged."""
    rows: int
    """That the catalogue plans in all."""
    block: int
    planned: tuple[PlannedRows, ...]
    """Ascending."""


@dataclass(frozen=True)
class BlockFault:
    """What is wrong with a block."""

    block: int
    reason: str


def check_block(job: BlockCheck) -> BlockFault | None:
    """Find what is wrong with a block, None if nothing is: whatever is, it must be done again."""
    store = Store(job.store, job.settings)
    try:
        table = store.committed(job.block)
        if table is None:
            return None
        vectors = RowReader(store.folder, job.settings, job.rows).block(job.block)
    except CoreframeError as error:
        return BlockFault(job.block, clause(error))
    rows, videos = table["row"].to_numpy(), table["video"].to_numpy()
    start = job.block * store.block_rows
    if not np.array_equal(rows, np.unique(rows)) or not _planned(job, rows, videos):
        return BlockFault(job.block, "it holds rows that the catalogue does not plan")
    if len(rows) and rows[-1] - start >= len(vectors):
        return BlockFault(job.block, "its embeddings are shorter than its commit says")
    own = vectors[rows - start]
    lengths = np.linalg.norm(own.astype(np.float64), axis=1)
    sound = np.array(table["state"].to_pylist()) == FrameState.OK
    if not (np.all(lengths[sound] > 0) and np.all(lengths[~sound] == 0)):
        return BlockFault(job.block, "rows with a frame lack an embedding, or the reverse")
    return None


@dataclass(frozen=True)
class ObjectsCheck:
    """A block of objects to look at."""

    store: str
    settings: StoreSettings
    block: int
    planned: int
    """Rows of the array."""
    boxes: pa.Table
    """That are listed for this block: BOXES_SCHEMA."""


def check_objects(job: ObjectsCheck) -> BlockFault | None:
    """Find what is wrong with a block of objects, None if nothing is."""
    store = Store(job.store, job.settings)
    try:
        table = StoredObjects(store).committed(job.block)
        if table is None:
            return None
        reader = RowReader(store.folder, job.settings, job.planned, OBJECTS)
        vectors = reader.block(job.block)
    except CoreframeError as error:
        return BlockFault(job.block, clause(error))
    numbers, boxes = table["object"].to_numpy(), job.boxes
    listed = boxes.filter(np.isin(boxes["object"].to_numpy(), numbers)).to_pandas()
    if not table.select(boxes.column_names).to_pandas().equals(listed):
        return BlockFault(job.block, f"it holds objects that {BOXES} does not list")
    lengths = np.linalg.norm(vectors[numbers - job.block * store.block_rows].astype(float), axis=1)
    if not np.array_equal(lengths > 0, np.array(table["state"].to_pylist()) == ObjectState.OK):
        return BlockFault(job.block, "objects lack an embedding, or the reverse")
    return None


def _planned(job: BlockCheck, rows: NDArray[np.int64], videos: NDArray[np.int32]) -> bool:
    """Whether rows, (n,) each, are those of the videos that the catalogue plans them for."""
    owner = np.full(len(rows), -1)
    for planned in job.planned:
        owner[(rows >= planned.first) & (rows < planned.stop)] = planned.video
    return bool(np.array_equal(owner, videos))
