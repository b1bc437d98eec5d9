"""Parts tile their videos, whatever the index, the sampling and the number of workers."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.jobs.embed import (
    LEAST_PART_FRAMES,
    MOST_PART_FRAMES,
    UNSEEKABLE_PART_FRAMES,
    plan_parts,
)
from tasks.store.catalogue import Video
from tasks.video.index import VideoIndex
from tasks.video.sampling import Sampling, at_keyframe


def index_of(key: np.ndarray) -> VideoIndex:
    pts = np.arange(len(key), dtype=np.int64)
    return VideoIndex(
        pts=pts,
        dts=pts,
        key=key,
        frame_index=pts.astype(np.int32),
        digest=None,
        time_base=Fraction(1, 25),
        end_pts=len(key),
        origin_pts=0,
        seekable=True,
    )


def videos_of(frames: list[int], every: int) -> list[Video]:
    rows = [-(-count // every) for count in frames]
    first = np.cumsum([0, *rows]).tolist()
    blank = Video(0, "", "", "", 0, "pending")
    return [
        replace(blank, video=number, frame_count=count, rows=own, first_row=start)
        for number, (count, own, start) in enumerate(zip(frames, rows, first, strict=False))
    ]


@given(
    keys=st.lists(st.sampled_from([False, False, False, True]), min_size=30, max_size=90),
    every=st.integers(1, 4),
    step=st.integers(1, 9),
)
def test_cuts_tile_the_sampled_frames_and_lie_at_keyframes(
    keys: list[bool], every: int, step: int
) -> None:
    index = index_of(np.array([True, *keys]))
    positions = Sampling(every=every).positions(index)
    nominal = [*range(0, len(positions), step), len(positions)]
    cuts = [at_keyframe(index, positions, place, step) for place in nominal]
    assert cuts[0] == 0
    assert cuts[-1] == len(positions)
    assert cuts == sorted(cuts)
    gop = np.searchsorted(np.flatnonzero(index.key), positions, side="right")
    for place, cut in zip(nominal[1:-1], cuts[1:-1], strict=True):
        assert place <= cut < place + step
        begins = np.flatnonzero(np.diff(gop[place - 1 : place + step])) + place
        assert cut == (begins[0] if len(begins) else place)


@given(
    frames=st.lists(st.integers(1, 20_000), min_size=1, max_size=12),
    every=st.integers(1, 100),
    workers=st.integers(1, 50),
    unseekable=st.sets(st.integers(0, 11)),
)
def test_parts_hold_every_row_once_and_are_of_bounded_work(
    frames: list[int], every: int, workers: int, unseekable: set[int]
) -> None:
    videos = videos_of(frames, every)
    parts = list(plan_parts(videos, workers, lambda video: video.video not in unseekable))
    segments = [segment for part in parts for segment in part]
    for video in videos:
        own = [segment for segment in segments if segment.video == video.video]
        ends = [(segment.start, segment.stop) for segment in own]
        assert ends[0][0] == 0
        assert ends[-1][1] == video.rows
        assert [stop for _, stop in ends[:-1]] == [start for start, _ in ends[1:]]
        assert all(segment.slack == 0 for segment in own) == (video.video in unseekable)
        assert len({segment.slack for segment in own}) == 1
    for part in parts:
        starts = [segment.rows.start for segment in part]
        assert starts == sorted(starts)
        spans = [
            (segment.stop - segment.start) * frames[segment.video] / videos[segment.video].rows
            for segment in part
        ]
        most = UNSEEKABLE_PART_FRAMES if {s.video for s in part} & unseekable else MOST_PART_FRAMES
        assert sum(spans) <= most + every + len(part)


@pytest.mark.parametrize("workers", [1, 2, 7])
def test_long_videos_occupy_all_workers(workers: int) -> None:
    parts = list(plan_parts(videos_of([30_000], 15), workers, lambda video: True))
    assert len(parts) >= 30_000 // MOST_PART_FRAMES
    assert len(parts) >= min(8 * workers, 30_000 // LEAST_PART_FRAMES - 1)
