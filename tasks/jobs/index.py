"""Look at some files: fingerprint them, and write the index of those whose content is new."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace

from tasks.errors import BrokenVideoError, NotAVideoError
from tasks.storage.files import size_bytes
from tasks.store.catalogue import Video
from tasks.store.fingerprint import fingerprint
from tasks.store.stalls import Stall, hung, note_stall
from tasks.store.store import Store
from tasks.video.discover import SourceFile, readable
from tasks.video.index import VideoFacts, VideoIndex, index_video, take_census
from tasks.video.pixels import Crop
from tasks.video.sampling import Sampling
from tasks.video.watchdog import watching

logger = logging.getLogger("coreframe")


@dataclass(frozen=True)
class IndexJob:
    """Some files to look at."""

    store: str
    first: int
    """Place of the first among all files of the run."""
    files: tuple[SourceFile, ...]
    sampling: Sampling
    crop: Crop | None
    quarantined: frozenset[str]
    """Fingerprints of contents that are not to be opened."""
    stall_limit_s: float


def look_at_files(job: IndexJob) -> list[Video]:
    """Fingerprint some files, and write the index of those whose content is new.

    Returns:
        One catalogue entry a file, not yet numbered.
    """
    store = Store.open(job.store)
    hanging = hung(store)
    found = [_look_at(file, job, store, hanging) for file in job.files]
    for entry in found:
        if entry.state == "broken":
            logger.warning("%s: %s", entry.source, entry.reason)
    return found


def _look_at(file: SourceFile, job: IndexJob, store: Store, hanging: Mapping[str, Stall]) -> Video:
    entry = Video(-1, file.name, readable(file.path), "", 0, "broken", version=file.version)
    if entry.source != file.path:
        return replace(entry, reason="its name is not valid UTF-8: rename it")
    try:
        entry = replace(entry, fingerprint=fingerprint(file.path), size_bytes=size_bytes(file.path))
    except OSError as error:
        return replace(entry, reason=f"cannot be read: {error.strerror or error}")
    if entry.fingerprint in job.quarantined:
        return replace(entry, state="quarantined")
    if entry.fingerprint in hanging:
        stall = hanging[entry.fingerprint]
        return replace(entry, state="quarantined", reason=stall.reason, attempts=stall.times)

    def stalled() -> None:
        reason = f"its packets or its first frame did not come for {job.stall_limit_s:g} s"
        note_stall(store, entry.fingerprint, reason)

    try:
        with watching(job.stall_limit_s, stalled):
            facts, index = _facts_and_index(file, entry.fingerprint, store)
    except NotAVideoError as error:
        return replace(entry, state="skipped", reason=str(error))
    except (BrokenVideoError, OSError) as error:
        return replace(entry, reason=str(error))
    except Exception as error:  # whatever one file does, the others go on
        return replace(entry, reason=f"{type(error).__name__}: {error}")
    if job.crop is not None and not job.crop.fits(facts.width, facts.height):
        reason = f"its {facts.width}x{facts.height} pixels do not hold the crop {job.crop}"
        return replace(entry, reason=reason)
    return replace(
        entry,
        state="pending",
        note=facts.note,
        container=facts.container,
        codec=facts.codec,
        width=facts.width,
        height=facts.height,
        pixel_format=facts.pixel_format,
        rotation=facts.rotation,
        time_base_num=index.time_base.numerator,
        time_base_den=index.time_base.denominator,
        duration_s=facts.duration_s,
        frame_count=len(index),
        rows=len(job.sampling.positions(index)),
    )


def _facts_and_index(file: SourceFile, content: str, store: Store) -> tuple[VideoFacts, VideoIndex]:
    """What the store knows of the content, or what the file says, which the store keeps."""
    if store.has_index(content):
        return store.read_facts_and_index(content)
    facts, index = index_video(file.path)
    store.write_index(content, facts, index)
    return facts, index


@dataclass(frozen=True)
class CensusJob:
    """A video to be decoded from beginning to end, to learn what can be decoded."""

    store: str
    video: int
    source: str
    fingerprint: str
    stall_limit_s: float


def take_and_keep_census(job: CensusJob) -> str:
    """Take a video's census on its own: why there is none, or "" when it is in the store."""
    try:
        survey(Store.open(job.store), job.source, job.fingerprint, job.stall_limit_s)
    except (BrokenVideoError, NotAVideoError, OSError) as error:
        return str(error)
    return ""


def survey(store: Store, source: str, content: str, stall_limit_s: float) -> str:
    """Take a video's census and keep it as its index, with a note of what it met.

    Returns:
        The note.

    Raises:
        BrokenVideoError, NotAVideoError, OSError: nothing can be decoded any more.
    """
    facts, demuxed = store.read_facts_and_index(content)

    def stalled() -> None:
        reason = f"its decoder gave nothing for {stall_limit_s:g} s in a decode from its beginning"
        note_stall(store, content, reason)

    with watching(stall_limit_s, stalled):
        index, trouble = take_census(source, demuxed)
    note = trouble or "it does not decode as its packets promise"
    store.write_index(content, replace(facts, note=note), index)
    return note
