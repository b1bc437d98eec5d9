"""Which objects a worker embeds together: parts of one video, cut at keyframes."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from coreframe.tasks.store.catalogue import Video
from coreframe.tasks.video.index import VideoIndex
from coreframe.tasks.video.sampling import gop_starts

PART_FRAMES, PART_OBJECTS = 256, 2048
"""After so many a part ends with its GOP: small enough for all workers to have some, and for what
one gives to fit beside what they hold. They depend on nothing else, so that a network is given the
same pictures at once by any workers."""


@dataclass(frozen=True)
class Part:
    """Objects in consecutive frames of one video; each frame is decoded once for all of its own.

    Attributes:
        video: of the frames.
        frame_index: (f,) int64 ascending, of the frames.
        digest: (f,) uint64, what their pixels must hash to.
        objects: (n,) int64 ascending.
        place: (n,) int64, which frame each object is in.
        box: (n, 4) float32, see :data:`coreframe.tasks.store.objects.BOX`.
    """

    video: Video
    frame_index: NDArray[np.int64]
    digest: NDArray[np.uint64]
    objects: NDArray[np.int64]
    place: NDArray[np.int64]
    box: NDArray[np.float32]


def plan_parts(
    missing: pd.DataFrame,
    frames: pd.DataFrame,
    videos: dict[int, Video],
    index_of: Callable[[Video], VideoIndex],
) -> Iterator[Part]:
    """Split objects into parts, video by video; those whose frames are not there are left out.

    Args:
        missing: object, row and BOX of those to be embedded.
        frames: the corpus, with row, video, frame_index and digest.
        videos: by number.
        index_of: gives the index of a video; asked only of one that may be cut.
    """
    known = missing.merge(frames, on="row").sort_values("object", kind="stable")
    for number, own in known.groupby("video"):
        shown = own.drop_duplicates("row").sort_values("frame_index")
        frame_index = shown["frame_index"].to_numpy(np.int64)
        place = np.searchsorted(frame_index, own["frame_index"].to_numpy())
        video, cuts = videos[int(str(number))], np.empty(0, np.int64)
        if len(shown) > PART_FRAMES or len(own) > PART_OBJECTS:
            index = index_of(video)
            if index.seekable:
                cuts = gop_starts(index, index.positions_of(frame_index.tolist()))
        count = np.bincount(place, minlength=len(shown))
        for start, stop in _spans(count, cuts):
            inside = (place >= start) & (place < stop)
            some = own[inside]
            yield Part(
                video=video,
                frame_index=frame_index[start:stop],
                digest=shown["digest"].to_numpy(np.uint64)[start:stop],
                objects=some["object"].to_numpy(np.int64),
                place=place[inside] - start,
                box=some[["x", "y", "width", "height"]].to_numpy(np.float32),
            )


def _spans(count: NDArray[np.int64], cuts: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Half-open runs of frames, each ended by the first cut after it is large enough.

    Args:
        count: (f,) objects of each frame.
        cuts: (c,) ascending places at which a run may begin.
    """
    start, before = 0, np.concatenate([[0], np.cumsum(count)])
    for cut in cuts.tolist():
        if cut - start >= PART_FRAMES or before[cut] - before[start] >= PART_OBJECTS:
            yield start, cut
            start = cut
    yield start, len(count)
