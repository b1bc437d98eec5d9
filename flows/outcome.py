"""What ends a run in an error after it did all it could.

Nothing here imports Prefect or Dask.
"""

from collections.abc import Sequence

from coreframe.flows.parameters import Sources
from coreframe.flows.preflight import none_found, not_a_video
from coreframe.tasks.errors import CoreframeError
from coreframe.tasks.select.choice import exact
from coreframe.tasks.store.catalogue import Video, VideoState
from coreframe.tasks.store.store import Store
from coreframe.tasks.video.discover import SourceFile

LOST = (VideoState.BROKEN, VideoState.PENDING, VideoState.QUARANTINED)
"""States of videos of which no frame, or not every planned one, is to be had."""


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
    if len(skipped) == len(files):
        told = [f"{file.name}: {video.reason}" for file, video in skipped]
        raise none_found(corpus, len(files), told)


def check_broken(videos: Sequence[Video], threshold: float) -> None:
    """End the run in an error when too many videos are broken, after all that could be done.

    Raises:
        CoreframeError: naming the share, the limit and the first broken ones.
    """
    lost, counted = _lost(videos)
    if len(lost) > exact(threshold) * counted:
        raise CoreframeError(
            f"{len(lost)} of {counted} videos are broken, more than the threshold of {threshold:g} "
            f"({_reasons(lost)}). The rest is done and written. Mend or exclude them, or raise "
            "--corrupt-threshold."
        )


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
    return [video for video in counted if video.state in LOST], len(counted)


def _reasons(videos: Sequence[Video]) -> str:
    return "; ".join(f"{video.path}: {video.reason}" for video in videos[:3])
