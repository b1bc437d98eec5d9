"""Small pictures for the report: of images that are there, and of frames decoded again."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from math import ceil

import numpy as np
from PIL import Image

from coreframe.tasks.output.thumbnails import small_picture
from coreframe.tasks.store.decoding import recorded_frames
from coreframe.tasks.video.pixels import upright_rgb
from coreframe.tasks.video.viewing import Viewing


@dataclass(frozen=True)
class ImageJob:
    """Some image files."""

    paths: tuple[str, ...]
    side_px: int
    """Of the longer side."""


@dataclass(frozen=True)
class FrameJob:
    """Some frames of one video."""

    store: str
    source: str
    fingerprint: str
    rows: tuple[int, ...]
    frame_index: tuple[int, ...]
    """Ascending."""
    digest: tuple[int, ...]
    viewing: Viewing
    side_px: int


@dataclass(frozen=True)
class CropJob:
    """Parts of some frames of one video."""

    frames: FrameJob
    boxes: tuple[tuple[tuple[int, tuple[float, ...]], ...], ...]
    """Of each frame, by what its picture is called: x, y, width, height in pixels of it."""


def shrink_images(job: ImageJob) -> dict[str, bytes]:
    """Make small WebP pictures of a job's files; a file that cannot be read has none."""
    found = {}
    for path in job.paths:
        # Pillow has many errors for a broken file; whichever it is, the page goes without.
        with suppress(Exception), Image.open(path) as image:
            found[path] = small_picture(image, job.side_px)
    return found


def shrink_frames(job: FrameJob) -> dict[int, bytes]:
    """Make small WebP pictures of a job's rows; a frame that cannot be had any more has none."""
    return dict(shrunk(job))


def shrunk(job: FrameJob) -> Iterator[tuple[int, bytes]]:
    """Each row and its small picture, as they are decoded; none after what cannot be had."""
    with suppress(Exception):
        for which, frame in recorded_frames(
            job.store, job.source, job.fingerprint, job.frame_index, job.digest
        ):
            image = Image.fromarray(np.ascontiguousarray(upright_rgb(frame, job.viewing)))
            yield job.rows[which], small_picture(image, job.side_px)


def shrink_crops(job: CropJob) -> dict[int, bytes]:
    """Make small WebP pictures of parts of frames; what cannot be had any more has none."""
    found, frames = {}, job.frames
    with suppress(Exception):
        for which, frame in recorded_frames(
            frames.store, frames.source, frames.fingerprint, frames.frame_index, frames.digest
        ):
            image = upright_rgb(frame, frames.viewing)
            for key, (x, y, width, height) in job.boxes[which]:
                inside = image[int(y) : ceil(y + height), int(x) : ceil(x + width)]
                picture = Image.fromarray(np.ascontiguousarray(inside))
                found[key] = small_picture(picture, frames.side_px)
    return found
