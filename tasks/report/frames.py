"""Small pictures of frames of a store: the jobs that decode them, run in other processes."""

import io
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from coreframe.tasks.report.evidence import picture_key
from coreframe.tasks.report.job import CropJob, FrameJob
from coreframe.tasks.store.catalogue import Video
from coreframe.tasks.store.store import Store

FRAMES_PER_JOB = 16
"""Of one video: what is far from it another process may decode meanwhile."""


def pictures_of_frames(
    store: Store,
    rows: NDArray[np.int64],
    side_px: int,
    shrink: Callable[[FrameJob], Mapping[int, bytes]],
) -> dict[int, Image.Image]:
    """Decode some rows, and make them small; one that cannot be had is left out.

    Args:
        store: that has the rows.
        rows: (k,) of it.
        side_px: of the longer side.
        shrink: has a job done in a process that may be ended.
    """
    frames = store.frames_at(rows)
    videos = {video.video: video for video in store.read_catalogue().videos}
    found: dict[int, Image.Image] = {}
    for job in frame_jobs(store, frames, videos, side_px):
        for row, picture in shrink(job).items():
            found[row] = Image.open(io.BytesIO(picture))
    return found


def frame_jobs(
    store: Store, frames: pd.DataFrame, videos: Mapping[int, Video], side_px: int
) -> list[FrameJob]:
    """One or more for each video that any of the frames is of."""
    jobs = []
    for number, some in frames.drop_duplicates("row").groupby("video"):
        video, ordered = videos[int(str(number))], some.sort_values("frame_index")
        for start in range(0, len(ordered), FRAMES_PER_JOB):
            own = ordered.iloc[start : start + FRAMES_PER_JOB]
            jobs.append(
                FrameJob(
                    store=store.path,
                    source=video.source,
                    fingerprint=video.fingerprint,
                    rows=tuple(own["row"].tolist()),
                    frame_index=tuple(own["frame_index"].tolist()),
                    digest=tuple(own["digest"].tolist()),
                    viewing=store.settings.viewing.of(video),
                    side_px=side_px,
                )
            )
    return jobs


def crop_jobs(
    store: Store, wanted: pd.DataFrame, videos: Mapping[int, Video], side_px: int
) -> Iterator[CropJob]:
    """One or more for each video that any of the objects is in: object, row and BOX of each."""
    boxes: dict[int, list[tuple[int, tuple[float, ...]]]] = {}
    for number, row, *box in wanted.itertuples(index=False):
        boxes.setdefault(int(row), []).append((picture_key(0, int(number)), tuple(box)))
    frames = store.frames_at(np.array(sorted(boxes)))
    for job in frame_jobs(store, frames, videos, side_px):
        yield CropJob(job, tuple(tuple(boxes[row]) for row in job.rows))
