"""Forget contents: remove what a store holds of them for good, and remember not to look again."""

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from coreframe.tasks.engine.progress import stage_bar
from coreframe.tasks.forget.erase import erase_from_block, erase_from_selection, sweep
from coreframe.tasks.forget.find import Found, find, find_forgotten
from coreframe.tasks.forget.records import Outside, names_to_redact, outside, redact
from coreframe.tasks.neighbours.kept import KeptNeighbours
from coreframe.tasks.store import columns
from coreframe.tasks.store.catalogue import Video, VideoState
from coreframe.tasks.store.forgotten import read_forgotten, write_forgotten
from coreframe.tasks.store.named_selections import names_of
from coreframe.tasks.store.objects import StoredObjects
from coreframe.tasks.store.stalls import forget_stalls
from coreframe.tasks.store.store import Store


def what_goes(store: Store, given: Sequence[str]) -> tuple[Found, list[Outside]]:
    """What would be forgotten, and which folders outside of the store hold something of it.

    Raises:
        UsageError: a name means nothing.
    """
    found = find(store.read_catalogue(), given, store.path)
    return found, outside(store.folder, rows_of(found.videos))


def forget(store: Store, found: Found) -> None:
    """Remove contents for good. Called by the store's only writer.

    The list of what is forgotten is written first, and says at the end that all is done. In between
    the catalogue has the entries as forgotten, but still with their names, which are needed to find
    them elsewhere; they go last. So :func:`complete` finishes what is interrupted at any moment.
    """
    forgotten = read_forgotten(store, store.read_catalogue())
    fingerprints = forgotten.fingerprints | found.fingerprints
    write_forgotten(store, fingerprints, unfinished=True)
    _finish(store, fingerprints, {video.video for video in found.videos})


def complete(store: Store) -> frozenset[str]:
    """Finish what was interrupted, and give the fingerprints of all that is forgotten.

    Raises:
        CoreframeError: the list of what is forgotten is gone or damaged.
    """
    forgotten = read_forgotten(store, store.read_catalogue())
    if forgotten.unfinished:
        _finish(store, forgotten.fingerprints, set())
    return forgotten.fingerprints


def unforget(store: Store, given: Sequence[str]) -> frozenset[str]:
    """Let forgotten contents in again, as if they had never been here: their fingerprints.

    Raises:
        UsageError: one of them is not forgotten.
    """
    known = complete(store)
    found = find_forgotten(given, known, store.path)
    write_forgotten(store, known - found, unfinished=False)
    return found


def rows_of(videos: Collection[Video]) -> NDArray[np.int64]:
    """(n,) ascending rows that are planned for some videos."""
    rows = [np.arange(video.first_row, video.first_row + video.rows) for video in videos]
    return np.sort(np.concatenate([np.empty(0, np.int64), *rows]))


def _finish(store: Store, fingerprints: Collection[str], numbers: Collection[int]) -> None:
    """Do all that follows from the list.

    Args:
        store: the store.
        fingerprints: of all forgotten contents.
        numbers: of videos that are forgotten without one: they could never be read.
    """
    catalogue = store.read_catalogue()
    for video in list(catalogue.videos):
        begun = video.state == VideoState.FORGOTTEN and video.source
        if begun or video.fingerprint in fingerprints or video.video in numbers:
            catalogue.update(video.video, state=VideoState.FORGOTTEN, decoded=0, undecodable=0)
    store.write_catalogue(catalogue)
    gone = [video for video in catalogue.videos if video.state == VideoState.FORGOTTEN]
    named = [video for video in gone if video.source]
    staying = [video for video in catalogue.videos if video.state != VideoState.FORGOTTEN]
    rows = rows_of(gone)
    for name in names_of(store.folder):
        erase_from_selection(store, name, rows)
    columns.erase_rows(store, rows)
    KeptNeighbours(store).erase(rows)
    redact(store.folder, names_to_redact(named, staying))
    StoredObjects(store).erase(rows)
    blocks = sorted(
        {
            block
            for video in named
            for block in store.blocks_of(video.first_row, video.first_row + video.rows)
            if video.rows
        }
    )
    with stage_bar("forget", len(blocks), "blocks") as advance:
        for block in blocks:
            erase_from_block(store, block, rows)
            advance(1)
    for content in {video.fingerprint for video in named} & set(fingerprints):
        store.delete_index(content)
    forget_stalls(store)
    for video in named:
        catalogue.forget(video.video)
    store.write_catalogue(catalogue)
    sweep(store)
    write_forgotten(store, fingerprints, unfinished=False)
