"""The decodable frames of a store, and whether all that the catalogue counts are there."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from coreframe.tasks.errors import CoreframeError
from coreframe.tasks.store.catalogue import Catalogue
from coreframe.tasks.store.frames import FrameState
from coreframe.tasks.store.reading import mend
from coreframe.tasks.store.store import Store

FRAME_COLUMNS = ["row", "video", "frame_index", "pts", "time_s", "digest"]

ATTEMPTS = 3
"""At reading while another run writes."""


def read_corpus(store: Store, columns: Sequence[str]) -> pd.DataFrame:
    """The decodable frames of all videos that are not retired, in row order.

    Raises:
        CoreframeError: there are none, or others than the catalogue counts.
    """
    catalogue = store.read_catalogue()
    for attempt in range(1, ATTEMPTS + 1):
        frames, wrong = _frames_and_fault(store, catalogue, columns)
        if not wrong:
            break
        before, catalogue = catalogue, store.read_catalogue()
        if attempt == ATTEMPTS or catalogue == before:  # it is not that another run writes
            raise CoreframeError(f"the store {store.path} {wrong}: {mend(store.path)}.")
    if frames.empty:
        raise CoreframeError(
            f"the store {store.path} holds no decodable frame: ingest at least one sound video."
        )
    return frames


def _frames_and_fault(
    store: Store, catalogue: Catalogue, columns: Sequence[str]
) -> tuple[pd.DataFrame, str]:
    """The frames, and how the blocks and the catalogue contradict each other; empty if not."""
    videos = catalogue.videos
    first = np.array([video.first_row for video in videos], np.int64)
    stop = first + np.array([video.rows for video in videos], np.int64)
    active = pa.array([video.video for video in videos if video.active], pa.int32())
    counts: list[np.ndarray] = []
    foreign: list[int] = []

    def wanted(table: pa.Table) -> pa.ChunkedArray:
        row, video = table["row"].to_numpy(), table["video"].to_numpy()
        known = (video >= 0) & (video < len(videos))
        own = known.copy()
        own[known] = (row[known] >= first[video[known]]) & (row[known] < stop[video[known]])
        foreign.extend(row[~own].tolist()[:1])
        sound = pc.equal(table["state"], FrameState.OK)
        counts.append(np.bincount(video[own & sound.to_numpy()], minlength=len(videos)))
        return pc.and_(sound, pc.is_in(table["video"], active))

    frames = store.scan(columns, wanted, by=("row", "video", "state"))
    if foreign:
        return frames, f"holds row {min(foreign):,}, which its catalogue does not know"
    held = np.sum([np.zeros(len(videos), np.int64), *counts], axis=0)
    for video in videos:
        if held[video.video] < video.decoded:
            lacking = f"{video.decoded - held[video.video]:,} of {video.decoded:,}"
            return frames, f"lacks {lacking} frames of {video.path}"
    return frames, ""


def in_corpus(catalogue: Catalogue, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(n,) whether each of some rows is of a video that is in the corpus now.

    Args:
        catalogue: of the store.
        rows: (n,) in any order.
    """
    videos = sorted(
        (video.first_row, video.first_row + video.rows)
        for video in catalogue.videos
        if video.active
    )
    spans = np.array(videos, np.int64).reshape(-1, 2)
    place = np.searchsorted(spans[:, 0], rows, side="right") - 1
    inside = place >= 0
    inside[inside] = rows[inside] < spans[place[inside], 1]
    return inside


def refuse_lost_blocks(store: Store, catalogue: Catalogue) -> None:
    """Look, by their names alone, whether all blocks are there that the catalogue counts.

    Raises:
        CoreframeError: one is gone, or one is there that the catalogue does not know.
    """
    there = set(store.committed_blocks())
    for video in catalogue.videos:
        if video.rows and video.complete:
            lost = set(store.blocks_of(video.first_row, video.first_row + video.rows)) - there
            if lost:
                raise CoreframeError(
                    f"the store {store.path} has lost block {min(lost)}, which holds frames of "
                    f"{video.path}: {mend(store.path)}."
                )
    beyond = there - set(store.blocks_of(0, catalogue.rows))
    if beyond:
        raise CoreframeError(
            f"the store {store.path} holds block {min(beyond)}, which its catalogue does not know: "
            f"{mend(store.path)}."
        )
