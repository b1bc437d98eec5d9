"""Which frames a worker decodes together: segments of videos, and parts made of them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from coreframe.tasks.store.catalogue import Video
from coreframe.tasks.video.index import VideoIndex
from coreframe.tasks.video.sampling import Sampling, gop_starts

FRAME_PX, FILE_PX = 2**16, 2**20
"""What every frame costs beside its pixels, and every file that is opened: as so many pixels."""

LEAST_PART_PX = 2**27
"""Work that is worth a part of its own: some tenths of a second."""

LEFT_PER_WORKER = 4
"""A part is at most a fourth of what is left for each worker, so that parts become small towards
the end and all workers are done at about one time (Polychronopoulos and Kuck 1987, "Guided
self-scheduling")."""

MOST_PART_FRAMES = 4096
"""Frames of the file, wanted or not, that a part spans: no more than what is soon done again."""

UNSEEKABLE_PART_FRAMES = 8192
"""In a file that is always decoded from its beginning, where every cut costs that."""


@dataclass(frozen=True)
class Segment:
    """A half-open run of one video's sampled frames, and the rows that are theirs."""

    video: int
    source: str
    fingerprint: str
    first_row: int
    """Row of the video's first sampled frame."""
    start: int
    """Place among the video's sampled frames."""
    stop: int

    @property
    def rows(self) -> range:
        """The rows that are its own."""
        return range(self.first_row + self.start, self.first_row + self.stop)


def plan_segments(videos: Iterable[Video], start_row: int, stop_row: int) -> tuple[Segment, ...]:
    """The segments of the videos whose rows lie in ``start_row`` to ``stop_row`` (half-open)."""
    segments = []
    for video in videos:
        low = max(video.first_row, start_row) - video.first_row
        high = min(video.first_row + video.rows, stop_row) - video.first_row
        if low < high:
            segments.append(_segment(video, low, high))
    return tuple(segments)


def plan_parts(
    videos: Sequence[Video],
    workers: int,
    sampling: Sampling,
    index_of: Callable[[Video], VideoIndex],
) -> Iterator[tuple[Segment, ...]]:
    """Cut videos into parts that occupy all workers to the end; small videos share one.

    Work is estimated from frames and their pixels. Cuts are at keyframes, so that no frame is
    decoded twice, but for GOPs longer than any part and videos without keyframes to start at.

    Args:
        videos: in row order.
        workers: that there are.
        sampling: which frames are rows.
        index_of: gives the index of a video; asked only of one that is to be cut.
    """
    left_px: float = sum(video.frame_count * _frame_px(video) + FILE_PX for video in videos)
    part: list[Segment] = []
    part_px = part_frames = 0.0
    for video in videos:
        frame_px, frames_per_row = _frame_px(video), video.frame_count / max(1, video.rows)
        cuts: _Cuts | None = None
        start = 0
        while start < video.rows:
            share_px = max(LEAST_PART_PX, left_px / (LEFT_PER_WORKER * workers))
            frames = (video.rows - start) * frames_per_row
            pieces = round(frames / min(share_px / frame_px, MOST_PART_FRAMES))
            stop = video.rows
            if pieces > 1:
                cuts = cuts or _Cuts.of(index_of(video), sampling)
                stop = cuts.next(start, pieces)
            span = (stop - start) * frames_per_row
            work_px = span * frame_px + FILE_PX
            too_much = part_px + work_px > share_px or part_frames + span > MOST_PART_FRAMES
            if part and too_much:
                yield tuple(part)
                part, part_px, part_frames = [], 0.0, 0.0
            part.append(_segment(video, start, stop))
            part_px, part_frames = part_px + work_px, part_frames + span
            left_px -= work_px
            start = stop
    if part:
        yield tuple(part)


def _frame_px(video: Video) -> int:
    return video.width * video.height + FRAME_PX


@dataclass(frozen=True)
class _Cuts:
    """Where a video may be cut.

    Attributes:
        positions: (rows,) those of its sampled frames.
        free: (c,) int64 rows before which a cut costs nothing, ascending; the end is the last.
        most: frames to which a part is cut where there is no such row.
    """

    positions: np.ndarray
    free: np.ndarray
    most: int

    @classmethod
    def of(cls, index: VideoIndex, sampling: Sampling) -> "_Cuts":
        positions = sampling.positions(index)
        if index.seekable:
            return cls(
                positions, np.append(gop_starts(index, positions), len(positions)), MOST_PART_FRAMES
            )
        return cls(positions, np.array([len(positions)]), UNSEEKABLE_PART_FRAMES)

    def next(self, start: int, pieces: int) -> int:
        """Where the first of so many equal pieces of the rows from ``start`` on ends, about."""
        end = int(np.searchsorted(self.positions, self.positions[start] + self.most))
        due = start + (len(self.positions) - start) / pieces
        free = self.free[(self.free > start) & (self.free <= end)]
        return int(free[np.abs(free - due).argmin()]) if len(free) else max(end, start + 1)


def _segment(video: Video, start: int, stop: int) -> Segment:
    source = (video.video, video.source, video.fingerprint)
    return Segment(*source, video.first_row, start, stop)
