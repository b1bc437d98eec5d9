"""Which frames a worker decodes together: segments of videos, and parts made of them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coreframe.tasks.store.catalogue import Video
from coreframe.tasks.video.index import VideoIndex
from coreframe.tasks.video.sampling import Sampling, gop_starts


@dataclass(frozen=True)
class PartLimits:
    """How large a part may be, and how the work in it is estimated."""

    frame_cost_px: int = 2**16
    """What every frame costs besides its pixels: as so many more pixels."""
    file_cost_px: int = 2**20
    """What opening a file costs: as so many pixels."""
    least_px: int = 2**27
    """Work that is worth a part of its own: some tenths of a second."""
    parts_left_per_worker: int = 4
    """A part is at most a fourth of what is left for each worker, so that parts become small
    towards the end and all workers are done at about one time (Polychronopoulos and Kuck 1987,
    "Guided self-scheduling")."""
    most_frames: int = 4096
    """Frames of the file, wanted or not, that a part spans: no more than what is soon done
    again."""
    unseekable_frames: int = 8192
    """The same in a file that is always decoded from its beginning, where every cut costs that."""

    def frame_px(self, video: Video) -> int:
        """What a frame of the video costs, in pixels."""
        return video.width * video.height + self.frame_cost_px


PART_LIMITS = PartLimits()


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
    limits: PartLimits = PART_LIMITS,
) -> Iterator[tuple[Segment, ...]]:
    """Cut videos into parts that occupy all workers to the end; small videos share one.

    Work is estimated from frames and their pixels. Cuts are at keyframes, so that no frame is
    decoded twice, but for GOPs longer than any part and videos without keyframes to start at.

    Args:
        videos: in row order.
        workers: that there are.
        sampling: which frames are rows.
        index_of: gives the index of a video; asked only of one that is to be cut.
        limits: how large parts may be.
    """
    left_px: float = sum(
        video.frame_count * limits.frame_px(video) + limits.file_cost_px for video in videos
    )
    part: list[Segment] = []
    part_px = part_frames = 0.0
    for video in videos:
        frame_px = limits.frame_px(video)
        frames_per_row = video.frame_count / max(1, video.rows)
        cuts: _Cuts | None = None
        start = 0
        while start < video.rows:
            share_px = max(limits.least_px, left_px / (limits.parts_left_per_worker * workers))
            frames = (video.rows - start) * frames_per_row
            pieces = round(frames / min(share_px / frame_px, limits.most_frames))
            stop = video.rows
            if pieces > 1:
                cuts = cuts or _Cuts.from_index(index_of(video), sampling, limits)
                stop = cuts.next(start, pieces)
            span = (stop - start) * frames_per_row
            work_px = span * frame_px + limits.file_cost_px
            too_much = part_px + work_px > share_px or part_frames + span > limits.most_frames
            if part and too_much:
                yield tuple(part)
                part, part_px, part_frames = [], 0.0, 0.0
            part.append(_segment(video, start, stop))
            part_px, part_frames = part_px + work_px, part_frames + span
            left_px -= work_px
            start = stop
    if part:
        yield tuple(part)


@dataclass(frozen=True)
class _Cuts:
    """Where a video may be cut.

    Attributes:
        positions: (rows,) int64, those of its sampled frames.
        free: (c,) int64 rows before which a cut costs nothing, ascending; the end is the last.
        most: frames to which a part is cut where there is no such row.
    """

    positions: NDArray[np.int64]
    free: NDArray[np.int64]
    most: int

    @classmethod
    def from_index(cls, index: VideoIndex, sampling: Sampling, limits: PartLimits) -> "_Cuts":
        positions = sampling.positions(index)
        if index.seekable:
            free = np.append(gop_starts(index, positions), len(positions))
            return cls(positions, free, limits.most_frames)
        return cls(positions, np.array([len(positions)]), limits.unseekable_frames)

    def next(self, start: int, pieces: int) -> int:
        """Where the first of so many equal pieces of the rows from ``start`` on ends, about."""
        end = int(np.searchsorted(self.positions, self.positions[start] + self.most))
        due = start + (len(self.positions) - start) / pieces
        free = self.free[(self.free > start) & (self.free <= end)]
        return int(free[np.abs(free - due).argmin()]) if len(free) else max(end, start + 1)


def _segment(video: Video, start: int, stop: int) -> Segment:
    source = (video.video, video.source, video.fingerprint)
    return Segment(*source, video.first_row, start, stop)
