"""Compare the objects of a store with what was written: their list, their array, their blocks."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from coreframe.tasks.check.files import clause
from coreframe.tasks.check.job import ObjectsCheck
from coreframe.tasks.errors import CoreframeError
from coreframe.tasks.store.array import array_document, read_array_document
from coreframe.tasks.store.catalogue import Catalogue, VideoState
from coreframe.tasks.store.objects import BOXES, BOXES_SCHEMA, Boxes, StoredObjects
from coreframe.tasks.store.settings import OBJECTS
from coreframe.tasks.store.store import Store


def check_listed(store: Store, found: list[str], *, repair: bool) -> Boxes:
    """Look at the list of boxes and at what is written of the array.

    A list that cannot be read is made anew of what blocks have; boxes that were never embedded are
    not in it.

    Args:
        store: to look at.
        found: what is wrong is added, a clause each.
        repair: whether to mend it.
    """
    objects, settings = StoredObjects(store), store.settings
    try:
        boxes = objects.boxes()
    except CoreframeError as error:
        found.append(clause(error))
        boxes = _of_blocks(objects)
    if boxes.planned == 0 and not found:
        return boxes
    wrong = ""
    try:
        rows = read_array_document(store.folder, settings, OBJECTS)["shape"][0]
        if rows != boxes.planned:
            wrong = f"{store.path}/{OBJECTS.document} has {rows:,} rows, and {BOXES} lists "
            wrong += f"{boxes.planned:,}"
    except CoreframeError as error:
        wrong = clause(error)
    if wrong:
        found.append(wrong)
    if found and repair and boxes.planned:
        store.guard()
        rows = array_document(settings, boxes.planned, OBJECTS)
        store.folder.write(OBJECTS.document, rows)
        objects.write_boxes(boxes)
    return boxes


def objects_jobs(store: Store, boxes: Boxes) -> Iterator[ObjectsCheck]:
    """A job for each block of objects."""
    numbers, size = boxes.table["object"].to_numpy(), store.block_rows
    for block in StoredObjects(store).blocks():
        first, last = np.searchsorted(numbers, [block * size, (block + 1) * size]).tolist()
        own = boxes.table.slice(first, last - first).combine_chunks()
        yield ObjectsCheck(store.path, store.settings, block, boxes.planned, own)


def recount_objects(store: Store, boxes: Boxes, faulty: dict[int, str], *, repair: bool) -> str:
    """How many objects are missing, in a clause; empty if none is.

    Args:
        store: to look at.
        boxes: that are listed.
        faulty: blocks that are taken back, or would be.
        repair: whether to write how many there are.
    """
    objects = StoredObjects(store)
    left = [block for block in objects.blocks() if block not in faulty]
    held = 0
    for block in left:
        table = objects.committed(block, ["object"])
        held += 0 if table is None else len(table)
    if held >= boxes.embedded:
        return ""
    if repair:
        objects.write_boxes(Boxes(boxes.table, boxes.planned, held))
    return f"{boxes.embedded - held:,} of {boxes.embedded:,} objects are missing"


def forgotten_objects(store: Store, catalogue: Catalogue, boxes: Boxes, *, repair: bool) -> str:
    """Whether there are boxes in frames of forgotten videos, in a clause; empty if not.

    Versions that know no objects forget videos without them.
    """
    done = [video for video in catalogue.videos if not video.source]  # others: the next run ends it
    gone = [video for video in done if video.state == VideoState.FORGOTTEN]
    rows = [np.arange(video.first_row, video.first_row + video.rows) for video in gone]
    every = np.concatenate([np.empty(0, np.int64), *rows])
    count = int(np.isin(boxes.table["row"].to_numpy(), every).sum())
    if not count:
        return ""
    if repair:
        StoredObjects(store).erase(every)
    return f"{count:,} objects are of videos that were forgotten"


def _of_blocks(objects: StoredObjects) -> Boxes:
    tables = [BOXES_SCHEMA.empty_table()]
    for block in objects.blocks():
        try:
            table = objects.committed(block, BOXES_SCHEMA.names)
        except CoreframeError:
            continue  # its own check says so
        if table is not None:
            tables.append(table.replace_schema_metadata())
    table = pa.concat_tables(tables)
    numbers = table["object"].to_numpy()
    return Boxes(table, int(numbers.max(initial=-1)) + 1, len(table))
