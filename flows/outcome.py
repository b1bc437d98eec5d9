"""How a run ends that did all it could: in an error, with warnings, or well.

Nothing here imports Prefect or Dask.
"""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from itertools import zip_longest

from coreframe.flows.parameters import Sources
from coreframe.flows.preflight import none_found, not_a_video
from coreframe.tasks.errors import CoreframeError
from coreframe.tasks.names import shown
from coreframe.tasks.select.choice import exact
from coreframe.tasks.store.catalogue import REPLACED, Video, VideoState
from coreframe.tasks.store.store import Store
from coreframe.tasks.video.discover import SourceFile
from coreframe.tasks.video.listing import Unread

NAMED = 3
"""Videos named in a sentence."""


class Outcome(StrEnum):
    """How a run ended, as its record says."""

    COMPLETED = "completed"
    WARNED = "completed with warnings"
    """The outputs are whole; of some videos that this run met for the first time, or that have
    changed, they hold nothing."""
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    """Somebody stopped it."""


def warnings(
    before: Sequence[Video], after: Sequence[Video], unread: Sequence[Unread] = ()
) -> list[str]:
    """What somebody ought to look at though the outputs are whole, a sentence each.

    It is said once: a video that was in trouble before the run and still is, is in the report.

    Args:
        before: the catalogue's entries when the run began.
        after: the same at its end.
        unread: folders and links that could not be looked at, and could before.
    """
    new = [
        video
        for known, video in zip_longest(before, after)
        if _in_trouble(video) and (known is None or _trouble(known) != _trouble(video))
    ]
    found = list(_sentences(new))
    if unread:
        noun = "1 folder or link" if len(unread) == 1 else f"{len(unread):,} folders or links"
        whys = "; ".join(f"{one.path}: {one.why}" for one in unread[:NAMED])
        found.append(f"{noun} could not be looked at: {whys}{_more(unread)}")
    return [shown(sentence) for sentence in found]


def _in_trouble(video: Video) -> bool:
    replaced = video.state == VideoState.MISSING and video.reason == REPLACED
    return video.lost or replaced or video.state == VideoState.QUARANTINED


def _trouble(video: Video) -> tuple[bool, VideoState, str, int]:
    return _in_trouble(video), video.state, video.reason, video.attempts


def _sentences(videos: Sequence[Video]) -> Iterator[str]:
    kinds = {
        VideoState.QUARANTINED: "taken out (quarantined)",
        VideoState.MISSING: "left out for now",
        VideoState.BROKEN: "broken",
        VideoState.PENDING: "not embedded yet",
    }
    for state, what in kinds.items():
        own = [video for video in videos if video.state == state]
        if own:
            noun = "1 video is" if len(own) == 1 else f"{len(own):,} videos are"
            yield f"{noun} {what}: {_reasons(own)}"


def check_named(files: Sequence[SourceFile], videos: Sequence[Video], corpus: Sources) -> None:
    """Refuse after indexing what `check_corpus` had no time to look at.

    Args:
        files: that were looked at.
        videos: what the catalogue says of each.
        corpus: as it was asked for.

    Raises:
        UsageError: a file named explicitly is no video, or none is.
    """
    skipped = [
        (file, video)
        for file, video in zip(files, videos, strict=True)
        if video.state == VideoState.SKIPPED
    ]
    for file, video in skipped:
        if file.explicit:
            raise not_a_video(file, video.reason)
    if files and len(skipped) == len(files):
        told = [f"{file.name}: {video.reason}" for file, video in skipped]
        raise none_found(corpus, len(files), told)


def check_broken(videos: Sequence[Video], threshold: float) -> None:
    """End the run in an error when too many videos are broken, after all that could be done.

    Raises:
        CoreframeError: naming the share, the limit and the first broken ones.
    """
    lost, counted = _lost(videos)
    if too_many_broken(videos, threshold):
        raise CoreframeError(
            f"{len(lost)} of {counted} videos are broken, more than the threshold of {threshold:g} "
            f"({_reasons(lost)}). The rest is done and written. Mend or exclude them, or raise "
            "--corrupt-threshold."
        )


def too_many_broken(videos: Sequence[Video], threshold: float) -> bool:
    """Whether the share of videos that could not be read is above a limit.

    Those that were read once and have changed since do not count.
    """
    lost, counted = _lost(videos)
    return len(lost) > exact(threshold) * counted


def outcome(
    videos: Sequence[Video], threshold: float, failures: Sequence[object], warned: Sequence[str]
) -> Outcome:
    """How a run ends: see :func:`check_broken` and :func:`warnings`; failures are lost frames."""
    if failures or too_many_broken(videos, threshold):
        return Outcome.FAILED
    return Outcome.WARNED if warned else Outcome.COMPLETED


def check_selectable(store: Store, videos: Sequence[Video]) -> None:
    """End the run before selecting when there is nothing to select from.

    Raises:
        CoreframeError: naming the first of the given videos that are broken.
    """
    if not any(video.decoded for video in store.read_catalogue().videos if video.active):
        lost, counted = _lost(videos)
        raise CoreframeError(
            f"there is no frame to select from: {len(lost)} of {counted} videos are broken "
            f"({_reasons(lost)}). Mend them, or give at least one sound video."
        )


def _lost(videos: Sequence[Video]) -> tuple[list[Video], int]:
    """The videos of which no frame, or not every planned one, was read; and how many there are."""
    counted = [video for video in videos if video.state != VideoState.SKIPPED]
    return [video for video in counted if video.lost], len(counted)


def _reasons(videos: Sequence[Video]) -> str:
    return "; ".join(f"{v.path}: {v.reason}" for v in videos[:NAMED]) + _more(videos)


def _more(some: Sequence[object]) -> str:
    return f"; and {len(some) - NAMED:,} more" if len(some) > NAMED else ""
