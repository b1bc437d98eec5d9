"""Which row of the store a line of somebody's file is about."""

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from coreframe.tasks.store.catalogue import Catalogue
from coreframe.tasks.store.frames import FrameState
from coreframe.tasks.store.row_reader import frames_name
from coreframe.tasks.store.store import Store
from coreframe.tasks.video.sampling import Sampling

KEPT_VIDEOS = 8
"""Videos whose frames are remembered while lines are joined."""

LONE_STEP_S = 0.04
"""Sampling step of a video that has one frame alone."""

SLACK_S = 1e-6
"""Times that people write are rounded."""


@dataclass(frozen=True)
class VideoFrames:
    """The decodable frames of a video.

    Attributes:
        row: (n,) int64 ascending, as is the next.
        frame_index: (n,) int64.
        time_s: (n,) float64, mostly ascending.
        step_s: the sampling step.
    """

    row: NDArray[np.int64]
    frame_index: NDArray[np.int64]
    time_s: NDArray[np.float64]
    step_s: float

    def by_index(self, asked: NDArray[np.int64]) -> NDArray[np.int64]:
        """(k,) rows of the frames with these indexes, -1 where there is none."""
        if len(self.row) == 0:
            return np.full(len(asked), -1, np.int64)
        place = np.minimum(np.searchsorted(self.frame_index, asked), len(self.row) - 1)
        return np.where(self.frame_index[place] == asked, self.row[place], -1)

    def by_time(self, asked_s: NDArray[np.float64]) -> NDArray[np.int64]:
        """(k,) rows of the frames nearest in time, within half a step; -1 where there is none.

        Of two equally near frames it is the earlier one.
        """
        if len(self.row) == 0:
            return np.full(len(asked_s), -1, np.int64)
        order = np.argsort(self.time_s, kind="stable")
        times = self.time_s[order]
        after = np.clip(np.searchsorted(times, asked_s), 1, max(1, len(times) - 1))
        before = after - 1
        after = np.minimum(after, len(times) - 1)
        later = np.abs(times[after] - asked_s) < np.abs(times[before] - asked_s)
        nearest = np.where(later, after, before)
        near = np.abs(times[nearest] - asked_s) <= self.step_s / 2 + SLACK_S  # NaN is not
        return np.where(near, self.row[order[nearest]], -1)


class Joiner:
    """Finds the rows of frames that are named as people name them, some videos at a time."""

    def __init__(self, store: Store, catalogue: Catalogue) -> None:
        self._store = store
        self._videos = {video.path: video for video in catalogue.videos if video.active}
        self._inactive = {
            video.path: video for video in catalogue.videos if not video.active and video.path
        }
        self._frames: OrderedDict[str, VideoFrames] = OrderedDict()

    def rows(self, table: pa.Table, key: str) -> NDArray[np.int64]:
        """(n,) the row that each line is about, -1 where there is none.

        Args:
            table: with ``video`` and ``key``.
            key: ``frame_index`` or ``time_s``.
        """
        videos = table["video"].combine_chunks().dictionary_encode()
        of = pc.fill_null(videos.indices, -1).to_numpy(zero_copy_only=False)
        asked = pc.fill_null(table[key], np.nan if key == "time_s" else -1).to_numpy()
        found = np.full(len(table), -1, np.int64)
        for number, name in enumerate(videos.dictionary.to_pylist()):
            own = np.flatnonzero(of == number)
            frames = self._frames_of(name)
            if frames is not None:
                by = frames.by_time if key == "time_s" else frames.by_index
                found[own] = by(asked[own])
        return found

    def why_not(self, video: str | None) -> str:
        """Why a line about a video has no row."""
        if video is None:
            return "it names no video"
        if video in self._videos:
            return "the store has no such decodable frame of that video"
        if video in self._inactive:
            other = self._inactive[video]
            return f"its video is {other.state} ({other.reason or other.note})"
        return "the store has no such video"

    @property
    def some_video(self) -> str:
        """A name as the store has them; empty where it has none."""
        return next(iter(self._videos), "")

    def _frames_of(self, name: str) -> VideoFrames | None:
        if name not in self._frames:
            video = self._videos.get(name)
            if video is None:
                return None
            number, store = video.video, self._store

            def wanted(table: pa.Table) -> pa.ChunkedArray:
                own = pc.equal(table["video"], number)
                return pc.and_(own, pc.equal(table["state"], FrameState.OK))

            blocks = store.blocks_of(video.first_row, video.first_row + video.rows)
            names = [frames_name(block) for block in blocks]
            names = [one for one in names if store.folder.exists(one)]
            columns = ["row", "frame_index", "time_s"]
            frames = store.scan(columns, wanted, by=("video", "state"), names=names)
            time_s = frames["time_s"].to_numpy()
            self._frames[name] = VideoFrames(
                frames["row"].to_numpy(),
                frames["frame_index"].to_numpy().astype(np.int64),
                time_s,
                _step_s(store.settings.sampling, time_s),
            )
            while len(self._frames) > KEPT_VIDEOS:
                self._frames.popitem(last=False)
        self._frames.move_to_end(name)
        return self._frames[name]


def _step_s(sampling: str, time_s: NDArray[np.float64]) -> float:
    """Seconds from one sampled frame to the next: as was asked for, or the middle of all gaps."""
    fps = Sampling.parse(sampling).fps
    if fps is not None:
        return float(1 / fps)
    if len(time_s) < 2:
        return LONE_STEP_S
    return float(np.median(np.diff(np.sort(time_s))))
