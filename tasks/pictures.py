"""Small pictures for people to look at: of images that are there, and of frames decoded again."""

import io
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from dask.distributed import Client
from PIL import Image

from tasks.dispatch import run_jobs
from tasks.jobs.pictures import FrameJob, ImageJob, shrink_frames, shrink_images
from tasks.store.catalogue import Video
from tasks.store.fingerprint import fingerprint
from tasks.store.store import Store
from tasks.video.pixels import Crop

PICTURES_BYTES = 5_000_000
"""Taken by the pictures of the chosen frames together; a third more inside the page."""

SIDES_PX = ((150, 256), (600, 192), (1500, 144))
"""Up to so many chosen frames, a picture's longer side."""

SMALL_PX = 112

LEAST_BYTES = 500
"""Of a picture, so that no more are made than can have room."""

FRAME_PX = 192
"""The longer side of a dropped frame's picture."""

IMAGES_PER_JOB = 32

THUMBNAILS = "thumbnails.parquet"
"""In an output folder: the small pictures, so that a report made again decodes no image."""

THUMBNAILS_SCHEMA = pa.schema(
    {
        "file": pa.string(),
        "side_px": pa.int32(),
        "fingerprint": pa.string(),
        "webp": pa.binary(),
    }
)


def side_px(count: int) -> int:
    """The longer side of the small pictures of so many chosen units."""
    return next((side for most, side in SIDES_PX if count <= most), SMALL_PX)


def small_pictures(
    client: Client, out: Path, files: pd.Series, known: Mapping[str, bytes] = MappingProxyType({})
) -> tuple[dict[str, bytes], int]:
    """Give small WebP pictures of images in an output folder, as many as PICTURES_BYTES hold.

    Those that ``thumbnails.parquet`` has of the files as they are now are taken from there.

    Args:
        client: of the cluster.
        out: the folder.
        files: of the chosen units in pick order; null for one without an image.
        known: pictures that were made before, by file.

    Returns:
        The pictures by file, and of how many units in pick order there was room for theirs.
    """
    there = [str(file) for file in files if isinstance(file, str)]
    side = side_px(len(there))
    known = _kept(out, side, {file for file in there if file not in known}) | dict(known)
    lacking = [
        str(out / file) for file in there[: PICTURES_BYTES // LEAST_BYTES] if file not in known
    ]
    jobs = [
        ImageJob(tuple(lacking[start : start + IMAGES_PER_JOB]), side)
        for start in range(0, len(lacking), IMAGES_PER_JOB)
    ]
    made: dict[str, bytes] = {}
    for _, some in run_jobs(
        client,
        shrink_images,
        jobs,
        lambda _: "Making small pictures",
        killed=lambda job, error: {},
    ):
        made |= some
    pictures: dict[str, bytes] = {}
    left = PICTURES_BYTES
    for place, file in enumerate(files):
        picture = known.get(file) or made.get(str(out / str(file)))
        left -= LEAST_BYTES if picture is None else len(picture)
        if left < 0:
            return pictures, place
        if picture is not None:
            pictures[str(file)] = picture
    return pictures, len(files)


def keep_pictures(path: Path, out: Path, pictures: Mapping[str, bytes], side_px: int) -> None:
    """Write small pictures of an output folder's images, by file, as THUMBNAILS_SCHEMA says."""
    table = {
        "file": list(pictures),
        "side_px": [side_px] * len(pictures),
        "fingerprint": [fingerprint(str(out / file)) for file in pictures],
        "webp": list(pictures.values()),
    }
    pq.write_table(pa.table(table, THUMBNAILS_SCHEMA), path, compression="none")


def _kept(out: Path, side_px: int, wanted: set[str]) -> dict[str, bytes]:
    """Those of the right size, of the files asked for, whose files have not changed since."""
    try:
        table = pq.read_table(out / THUMBNAILS, schema=THUMBNAILS_SCHEMA).to_pylist()
    except (OSError, ValueError, pa.ArrowException):  # not there, or not ours: they are made again
        return {}
    found = {}
    for one in table:
        if one["side_px"] != side_px or one["file"] not in wanted:
            continue
        with suppress(OSError):
            if one["fingerprint"] == fingerprint(str(out / one["file"])):
                found[one["file"]] = one["webp"]
    return found


def pictures_of_frames(store: Store, rows: np.ndarray, side_px: int) -> dict[int, Image.Image]:
    """Decode some rows in this process, and make them small; one that cannot be had is left out."""
    frames = store.frames_at(rows)
    videos = {video.video: video for video in store.read_catalogue().videos}
    found: dict[int, Image.Image] = {}
    for job in _frame_jobs(store, frames, videos, side_px):
        for row, picture in shrink_frames(job).items():
            found[row] = Image.open(io.BytesIO(picture))
    return found


def _frame_jobs(
    store: Store, frames: pd.DataFrame, videos: Mapping[int, Video], side_px: int
) -> list[FrameJob]:
    """One for each video that any of the frames is of."""
    crop = Crop.parse(store.settings.crop) if store.settings.crop else None
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
                crop=crop,
                side_px=side_px,
            )
        )
    return jobs


def pictures_of_dropped(
    client: Client, store: Store, frames: pd.DataFrame, videos: Mapping[int, Video]
) -> dict[int, bytes]:
    """Decode frames on the workers, and make small WebP pictures of them, by row."""
    found: dict[int, bytes] = {}
    for _, pictures in run_jobs(
        client,
        shrink_frames,
        _frame_jobs(store, frames, videos, FRAME_PX),
        lambda job: f"Decoding frames of {job.source}",
        killed=lambda job, error: {},
    ):
        found |= pictures
    return found
