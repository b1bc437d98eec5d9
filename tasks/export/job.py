"""Decode chosen frames of one video again, check them, and write them as images."""

import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from coreframe.tasks.errors import (
    DamagedVideoError,
    OutOfReachError,
    SourceChangedError,
    UsageError,
)
from coreframe.tasks.names import shown
from coreframe.tasks.output.exported import NOTHING_MORE, Exported, Failure, fault
from coreframe.tasks.output.images import ImageFormat, PictureSettings, Pixels, to_pillow
from coreframe.tasks.output.thumbnails import small_picture
from coreframe.tasks.store.decoding import recorded_frames
from coreframe.tasks.video.pixels import upright_deep, upright_rgb
from coreframe.tasks.video.viewing import Viewing


@dataclass(frozen=True)
class ExportJob:
    """Some frames of one video."""

    store: str
    video: int
    source: str
    fingerprint: str
    frame_index: tuple[int, ...]
    """Ascending."""
    digest: tuple[int, ...]
    """What each frame's pixels must hash to."""
    targets: tuple[str, ...]
    """Where each goes, an absolute path; empty for a frame that is only measured."""
    measure: tuple[bool, ...]
    """Whether to find how many bytes the frame takes, written as the chosen ones are."""
    viewing: Viewing
    picture: PictureSettings
    small_px: int = 0
    """The longer side of the small pictures for the report; 0 for none."""


def export_job(job: ExportJob) -> Exported:
    """Decode one job's frames, check their digests, write and measure them.

    Frames that do not come are the video's fault, and told as one, unless it is the disk's.
    """
    frames = recorded_frames(job.store, job.source, job.fingerprint, job.frame_index, job.digest)
    due = set(range(len(job.frame_index)))
    result = Exported()
    trouble: Exception = DamagedVideoError("it cannot be decoded")
    try:
        for which, frame in frames:
            upright = upright_deep if job.picture.format == ImageFormat.PNG else upright_rgb
            data = _write(job, which, upright(frame, job.viewing), result)
            if job.measure[which]:
                result.sample.append(len(data))
            due.remove(which)
    except (
        DamagedVideoError,
        SourceChangedError,
        OutOfReachError,
        _CannotWriteError,
        UsageError,
        OSError,
    ) as error:
        trouble = error
    lacking = not_written(job, due, str(trouble))
    result.failures += lacking
    if lacking and isinstance(trouble, DamagedVideoError | SourceChangedError):
        result.faults[job.video] = fault(job.source, job.fingerprint, trouble)
    return result


class _CannotWriteError(RuntimeError):
    """An image could not be written, which is not its video's fault."""


def not_written(job: ExportJob, due: Iterable[int], why: str) -> list[Failure]:
    """Say of some of a job's frames, those that have targets, that they were not written."""
    return [
        Failure(_sentence(job, which, why), target=job.targets[which])
        for which in sorted(due)
        if job.targets[which]
    ]


def _write(job: ExportJob, which: int, pixels: Pixels, result: Exported) -> bytes:
    """Make a frame's image, and write it if it has a target; nothing of one that is too large.

    Args:
        job: says where to, and how.
        which: of its frames.
        pixels: the picture.
        result: what was written is added to it.
    """
    target = job.targets[which]
    if target:
        Path(target).unlink(missing_ok=True)  # or its hard links in datasets would change, too
    refusal = job.picture.refusal(pixels.shape[1], pixels.shape[0])
    if refusal:
        if target:
            failure = Failure(_sentence(job, which, refusal), NOTHING_MORE, target)
            result.failures.append(failure)
        return b""
    image = job.picture.sized(pixels)
    data = job.picture.encode(image)
    if target:
        try:
            Path(target).write_bytes(data)
        except OSError as error:
            Path(target).unlink(missing_ok=True)  # the half of it
            raise _CannotWriteError(f"{target}: {error.strerror or error}") from error
        result.files += 1
        result.kept_bytes += len(data)
        if job.small_px:
            result.small[target] = _small(job, image, data)
    return data


def _sentence(job: ExportJob, which: int, why: str) -> str:
    return shown(f"frame {job.frame_index[which]} of {job.source} was not written: {why}")


def _small(job: ExportJob, image: Pixels, data: bytes) -> bytes:
    """The picture that the report would make of the file: PNG loses nothing, the others do."""
    lossless = job.picture.format == ImageFormat.PNG
    return small_picture(
        to_pillow(image) if lossless else Image.open(io.BytesIO(data)), job.small_px
    )
