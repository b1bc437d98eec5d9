"""Look at some files: fingerprint them, and write the index of those whose content is new."""

import errno
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256

from coreframe.tasks.errors import BrokenVideoError, CoreframeError, NotAVideoError, OutOfReachError
from coreframe.tasks.storage.files import size_bytes
from coreframe.tasks.storage.fingerprint import fingerprint
from coreframe.tasks.store.catalogue import Video, VideoState
from coreframe.tasks.store.stalls import Stall, hung, note_stall
from coreframe.tasks.store.store import Store
from coreframe.tasks.video.discover import SourceFile, readable
from coreframe.tasks.video.index import VideoFacts, VideoIndex
from coreframe.tasks.video.indexing import index_video
from coreframe.tasks.video.sampling import Sampling
from coreframe.tasks.video.viewing import Viewing
from coreframe.tasks.watchdog import watching

logger = logging.getLogger("coreframe")


@dataclass(frozen=True)
class IndexJob:
    """Some files to look at."""

    store: str
    first: int
    """Place of the first among all files of the run."""
    files: tuple[SourceFile, ...]
    sampling: Sampling
    viewing: Viewing
    quarantined: frozenset[str]
    """Fingerprints of contents that are not to be opened."""
    stall_limit_s: float
    most_frames: int
    """That a file may have."""
    forgotten: frozenset[str] = frozenset()
    """Fingerprints of contents of which nothing is to be kept."""


def look_at_files(job: IndexJob) -> list[Video]:
    """Fingerprint some files, and write the index of those whose content is new.

    Returns:
        What the catalogue is to say of each file, not yet numbered.
    """
    store = Store.open(job.store)
    hanging = hung(store)
    found = [_look_at(file, job, store, hanging) for file in job.files]
    for video in found:
        if video.state == VideoState.BROKEN:
            logger.warning("%s: %s", video.source, video.reason)
    return found


def _look_at(file: SourceFile, job: IndexJob, store: Store, hanging: Mapping[str, Stall]) -> Video:
    video = Video(
        video=-1,
        path=file.name,
        source=readable(file.path),
        fingerprint="",
        size_bytes=0,
        state=VideoState.BROKEN,
        version=file.version,
    )
    if video.source != file.path:
        return replace(video, reason="its name is not valid UTF-8: rename it")
    unread = replace(video, version="")  # so that the next run looks again: it says nothing of it
    try:
        content, size = _read(file, job, store, hanging)
        video = replace(video, fingerprint=content, size_bytes=size)
    except OSError as error:
        return replace(unread, reason=f"cannot be read: {error.strerror or error}")
    except OutOfReachError as error:
        return replace(unread, reason=str(error))
    if video.fingerprint in job.forgotten:
        return replace(video, state=VideoState.FORGOTTEN)
    if video.fingerprint in job.quarantined:
        return replace(video, state=VideoState.QUARANTINED)
    if video.fingerprint in hanging:
        stall = hanging[video.fingerprint]
        state = VideoState.QUARANTINED
        return replace(video, state=state, reason=stall.reason, attempts=stall.times)

    def stalled() -> None:
        reason = f"its packets or its first frame did not come for {job.stall_limit_s:g} s"
        note_stall(store, video.fingerprint, reason)

    try:
        with watching(job.stall_limit_s, stalled):
            facts, index = _facts_and_index(file, video.fingerprint, store, job)
    except NotAVideoError as error:
        return replace(video, state=VideoState.SKIPPED, reason=str(error))
    except BrokenVideoError as error:
        return replace(video, reason=str(error))
    except (OSError, CoreframeError) as error:  # a bucket's or the store's fault
        return replace(video, reason=str(error), version=unread.version)
    except Exception as error:  # whatever one file does, the others go on
        return replace(video, reason=f"{type(error).__name__}: {error}")
    return _described(video, job, facts, index)


def _described(video: Video, job: IndexJob, facts: VideoFacts, index: VideoIndex) -> Video:
    """A video's entry with what its file says."""
    if not job.viewing.holds_crop(facts.width, facts.height):
        reason = f"its {facts.width}x{facts.height} pixels do not hold the crop {job.viewing.crop}"
        return replace(video, reason=reason)
    return _pending(video, facts, index, job.sampling)


def _pending(video: Video, facts: VideoFacts, index: VideoIndex, sampling: Sampling) -> Video:
    """What is known of a video whose frames are to be embedded."""
    return replace(
        video,
        state=VideoState.PENDING,
        note=facts.note,
        container=facts.container,
        codec=facts.codec,
        width=facts.width,
        height=facts.height,
        pixel_format=facts.pixel_format,
        rotation=facts.rotation,
        missing=facts.missing,
        mirrored=facts.mirrored,
        matrix_degrees=facts.matrix_degrees,
        sample_aspect_num=facts.sample_aspect_num,
        sample_aspect_den=facts.sample_aspect_den,
        margins=facts.margins,
        color_transfer=facts.color_transfer,
        color_primaries=facts.color_primaries,
        interlaced=facts.interlaced,
        stream_index=facts.stream_index,
        time_base_num=index.time_base.numerator,
        time_base_den=index.time_base.denominator,
        duration_s=facts.duration_s,
        created=facts.created,
        frame_count=len(index),
        rows=len(sampling.positions(index)),
    )


def _read(
    file: SourceFile, job: IndexJob, store: Store, hanging: Mapping[str, Stall]
) -> tuple[str, int]:
    """The fingerprint and the size of a file.

    Raises:
        OSError: it cannot be read, or nothing of it came the last times.
    """
    place = sha256(file.path.encode()).hexdigest()[:32]  # it has no fingerprint yet
    if place in hanging:
        raise OSError(errno.ETIMEDOUT, hanging[place].reason)

    def silent() -> None:
        note_stall(store, place, f"nothing of it came for {job.stall_limit_s:g} s")

    with watching(job.stall_limit_s, silent):
        return fingerprint(file.path), size_bytes(file.path)


def _facts_and_index(
    file: SourceFile, content: str, store: Store, job: IndexJob
) -> tuple[VideoFacts, VideoIndex]:
    """What the store knows of the content, or what the file says, which the store keeps."""
    if store.has_index(content):
        try:
            return store.read_facts_and_index(content)
        except CoreframeError as error:  # damaged: the file says it again
            logger.warning("%s is indexed anew: %s", file.path, error)
    facts, index = index_video(file.path, job.viewing, job.most_frames)
    store.write_index(content, facts, index)
    return facts, index
