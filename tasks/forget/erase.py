"""Rows of a store, erased: at every moment the store is one that can be read.

Each step may be done again, so whatever ends it on the way, doing all again completes it.
"""

import numpy as np
from numpy.typing import NDArray

from coreframe.tasks.select.baselines import distances_in_order
from coreframe.tasks.storage.folders import LocalFolder
from coreframe.tasks.store.frames import frames_table
from coreframe.tasks.store.named_selections import (
    BEGUN,
    POINTER,
    NamedSelection,
    SavedSelection,
    nearest,
    write_distances,
)
from coreframe.tasks.store.store import Store

TEMPORARY = (".tmp", ".partial")
"""Endings of files that were being written when their writer was ended."""


def erase_from_block(store: Store, block: int, gone: NDArray[np.int64]) -> None:
    """Erase the vectors of some rows, and what a block's table says of them.

    First the table is written without them, and with it their unchanged vectors: its hash is of
    the vectors of its own rows, so it stands when the others then become zeros.

    Args:
        store: the store.
        block: which.
        gone: (n,) rows, of this block and perhaps of others.
    """
    vectors, table = store.read_block(block), store.committed(block)
    start = block * store.block_rows
    own = gone[(gone >= start) & (gone < start + len(vectors))] - start
    left = frames_table([]) if table is None else table
    stays = ~np.isin(left["row"].to_numpy(), gone)
    if not stays.all():
        left = left.filter(stays)
        store.guard()
        store.commit_block(block, vectors, left)
    if vectors[own].any():
        vectors[own] = 0
        store.guard()
        store.commit_block(block, vectors, left)
        if table is None:  # nothing was committed of it before
            store.take_back(block)


def erase_from_selection(store: Store, name: str, gone: NDArray[np.int64]) -> None:
    """Erase the centers among some rows from what is kept of a named selection.

    And all distances of and to these rows, and what a dead run left. The next run of that name
    chooses others in their place.

    Raises:
        CoreframeError: what is kept is damaged.
    """
    place, folder = NamedSelection(store.path, name), f"selections/{name}"
    held = store.folder.names(folder)
    current = ""
    if POINTER in held or BEGUN not in held:
        length = place.sequence_length()
        saved = place.open(length)
        assert saved is not None
        current = _without(store, place, saved, length, gone)
    for one in store.folder.names(folder):
        if one.isdigit() and one != current:
            store.folder.delete(f"{folder}/{one}")


def _without(
    store: Store,
    place: NamedSelection,
    saved: SavedSelection,
    length: int,
    gone: NDArray[np.int64],
) -> str:
    """Write a generation without some rows, if the present one has any; the present one's name."""
    stays = ~np.isin(saved.centers["row"].to_numpy(), gone)
    parts = list(nearest(saved.folder))
    known = [~np.isin(part["row"], gone) & ~np.isin(part["center"], gone) for part in parts]
    if all(some.all() for some in (stays, *known)):
        return saved.folder.rpartition("/")[2]
    centers, vectors = saved.centers[stays].reset_index(drop=True), saved.vectors[stays]
    if not stays.all() and len(centers):
        centers["distance"] = distances_in_order(vectors)
        later = centers.index >= stays.argmin()  # what these cover was never computed
        centers.loc[later, ["radius", "lower_bound"]] = np.nan
    store.guard()
    generation = place.begin()
    for number, (part, left) in enumerate(zip(parts, known, strict=True)):
        own = part[left]
        write_distances(generation, number, own["row"], own["distance"], own["center"])
    place.commit(generation, centers, vectors, length)
    return generation.rpartition("/")[2]


def sweep(store: Store) -> None:
    """Delete what was half written when a writer was ended; in a bucket nothing ever is."""
    if not isinstance(store.folder, LocalFolder):
        return
    for path in store.folder.path.rglob("*"):
        if path.name.endswith(TEMPORARY):
            path.unlink(missing_ok=True)
