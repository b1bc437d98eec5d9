"""Decode chosen frames of one video again, check them, and write them as images."""

import io
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from tasks.errors import DamagedVideoError, SourceChangedError, UsageError
from tasks.jobs.pictures import small_picture
from tasks.jobs.recorded import recorded_frames
from tasks.video.pictures import PictureSettings, encode
from tasks.video.pixels import upright_rgb


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
    picture: PictureSettings
    small_px: int = 0
    """The longer side of the small pictures for the report; 0 for none."""


@dataclass
class Exported:
    """What was written."""

    files: int = 0
    absent: int = 0
    """Frames whose videos are gone and of which there is no image."""
    kept_bytes: int = 0
    sample: list[tuple[int, int]] = field(default_factory=list)
    """(PNG bytes, JPEG bytes) of each measured frame at full resolution."""
    small: dict[str, bytes] = field(default_factory=dict)
    """Small WebP pictures of the files written, by their paths."""
    failures: list[str] = field(default_factory=list)
    """One sentence for each frame that could not be written."""


def export_job(job: ExportJob) -> Exported:
    """Decode one job's frames, check their digests, write and measure them."""
    frames = recorded_frames(job.store, job.source, job.fingerprint, job.frame_index, job.digest)
    due = set(range(len(job.frame_index)))
    result = Exported()
    trouble = "it cannot be decoded"
    try:
        for which, frame in frames:
            if job.targets[which]:
                image = job.picture.sized(upright_rgb(frame, job.picture.crop))
                data = job.picture.encode(image)
                target = Path(job.targets[which])
                target.unlink(missing_ok=True)  # or its hard links in datasets would change, too
                target.write_bytes(data)
                result.files += 1
                result.kept_bytes += len(data)
                if job.small_px:
                    result.small[job.targets[which]] = _small(job, image, data)
            if job.measure[which]:
                whole = Image.fromarray(np.ascontiguousarray(upright_rgb(frame)))
                result.sample.append((len(encode(whole, "png")), len(encode(whole, "jpg"))))
            due.remove(which)
    except (DamagedVideoError, SourceChangedError, UsageError, OSError) as error:
        trouble = str(error)
    result.failures = [
        f"frame {job.frame_index[which]} of {job.source} was not written: {trouble}"
        for which in sorted(due)
        if job.targets[which]
    ]
    return result


def _small(job: ExportJob, image: Image.Image, data: bytes) -> bytes:
    """The picture that the report would make of the file: PNG loses nothing, the others do."""
    seen = image if job.picture.format == "png" else Image.open(io.BytesIO(data))
    return small_picture(seen, job.small_px)
