"""Small pictures of frames of a store: the jobs that decode them, run here or by workers."""

import io
from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from coreframe.tasks.report.job import FrameJob, shrink_frames
from coreframe.tasks.store.catalogue import Video
from coreframe.tasks.store.store import Store


def pictures_of_frames(
    store: Store, rows: NDArray[np.int64], side_px: int
) -> dict[int, Image.Image]:
    """Decode some rows in this process, and make them small; one that cannot be had is left out."""
    frames = store.frames_at(rows)
    videos = {video.video: video for video in store.read_catalogue().videos}
    found: dict[int, Image.Image] = {}
    for job in frame_jobs(store, frames, videos, side_px):
        for row, picture in shrink_frames(job).items():
            found[row] = Image.open(io.BytesIO(picture))
    return found


def frame_jobs(
    store: Store, frames: pd.DataFrame, videos: Mapping[int, Video], side_px: int
) -> list[FrameJob]:
    """One for each video that any of the frames is of."""
    jobs = []
    for number, some in frames.drop_duplicates("row").groupby("video"):
        video, ordered = videos[int(str(number))], some.sort_values("frame_index")
        jobs.append(
            FrameJob(
                store=store.path,
                source=video.source,
                fingerprint=video.fingerprint,
                rows=tuple(ordered["row"].tolist()),
                frame_index=tuple(ordered["frame_index"].tolist()),
                digest=tuple(ordered["digest"].tolist()),
                viewing=store.settings.viewing.of(video),
                side_px=side_px,
            )
        )
    return jobs
