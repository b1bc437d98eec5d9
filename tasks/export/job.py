"""Decode chosen frames of one video again, check them, and write them as images."""

import io
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from coreframe.tasks.errors import DamagedVideoError, SourceChangedError, UsageError
from coreframe.tasks.output.exported import EncodedSizes, Exported
from coreframe.tasks.output.images import (
    ImageFormat,
    PictureSettings,
    Pixels,
    encode,
    to_pillow,
)
from coreframe.tasks.output.thumbnails import small_picture
from coreframe.tasks.store.decoding import recorded_frames
from coreframe.tasks.video.pixels import upright_deep, upright_rgb
from coreframe.tasks.video.viewing import Viewing


@dataclass(frozen=True)
class ExportJob:
    """Some frames of one video."""

    store: str
    source: str
    fingerprint: str
    frame_index: tuple[int, ...]
    """Ascending."""
    digest: tuple[int, ...]
    """What each frame's pixels must hash to."""
    targets: tuple[str, ...]
    """Where each goes, an absolute path; empty for a frame that is only measured."""
    measure: tuple[bool, ...]
    """Whether to find the frame's size as full-resolution PNG and JPEG."""
    viewing: Viewing
    picture: PictureSettings
    small_px: int = 0
    """The longer side of the small pictures for the report; 0 for none."""


def export_job(job: ExportJob) -> Exported:
    """Decode one job's frames, check their digests, write and measure them."""
    frames = recorded_frames(job.store, job.source, job.fingerprint, job.frame_index, job.digest)
    due = set(range(len(job.frame_index)))
    result = Exported()
    trouble = "it cannot be decoded"
    try:
        for which, frame in frames:
            if job.targets[which]:
                png = job.picture.format == ImageFormat.PNG
                whole = (upright_deep if png else upright_rgb)(frame, job.viewing)
                image = job.picture.sized(whole)
                data = job.picture.encode(image)
                target = Path(job.targets[which])
                target.unlink(missing_ok=True)  # or its hard links in datasets would change, too
                target.write_bytes(data)
                result.files += 1
                result.kept_bytes += len(data)
                if job.small_px:
                    result.small[job.targets[which]] = _small(job, image, data)
            if job.measure[which]:
                uncropped = replace(job.viewing, crop=None)
                deep, flat = upright_deep(frame, uncropped), upright_rgb(frame, uncropped)
                sizes = len(encode(deep, ImageFormat.PNG)), len(encode(flat, ImageFormat.JPG))
                result.sample.append(EncodedSizes(*sizes))
            due.remove(which)
    except (DamagedVideoError, SourceChangedError, UsageError, OSError) as error:
        trouble = str(error)
    result.failures = [
        f"frame {job.frame_index[which]} of {job.source} was not written: {trouble}"
        for which in sorted(due)
        if job.targets[which]
    ]
    return result


def _small(job: ExportJob, image: Pixels, data: bytes) -> bytes:
    """The picture that the report would make of the file: PNG loses nothing, the others do."""
    lossless = job.picture.format == ImageFormat.PNG
    return small_picture(
        to_pillow(image) if lossless else Image.open(io.BytesIO(data)), job.small_px
    )
