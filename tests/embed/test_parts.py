"""Parts tile their videos, whatever the index, the sampling and the number of workers."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coreframe.tasks.embed.plan import PART_LIMITS, Segment, plan_parts
from coreframe.tasks.store.catalogue import Video, VideoState
from coreframe.tasks.video.index import VideoIndex
from coreframe.tasks.video.sampling import Sampling, gop_starts

PX = 1280 * 720 + PART_LIMITS.frame_cost_px


def index_of(frames: int, gop: int, *, seekable: bool = True) -> VideoIndex:
    pts = np.arange(frames, dtype=np.int64)
    return VideoIndex(
        pts=pts,
        dts=pts,
        key=pts % gop == 0,
        frame_index=pts.astype(np.int32),
        digest=None,
        time_base=Fraction(1, 25),
        end_pts=frames,
        origin_pts=0,
        seekable=seekable,
    )


def planned(
    indexes: list[VideoIndex], every: int, workers: int, *, px: tuple[int, int] = (1280, 720)
) -> tuple[list[Video], list[tuple[Segment, ...]]]:
    """Videos with these indexes, and their parts."""
    sampling = Sampling(every=every)
    rows = [len(sampling.positions(index)) for index in indexes]
    first = np.cumsum([0, *rows]).tolist()
    blank = Video(0, "", "", "", 0, VideoState.PENDING, width=px[0], height=px[1])
    videos = [
        replace(blank, video=number, frame_count=len(index), rows=own, first_row=start)
        for number, (index, own, start) in enumerate(zip(indexes, rows, first, strict=False))
    ]
    return videos, list(plan_parts(videos, workers, sampling, lambda one: indexes[one.video]))


def frames_of(segments: tuple[Segment, ...], every: int) -> int:
    return sum(segment.stop - segment.start for segment in segments) * every


@given(
    keys=st.lists(st.sampled_from([False, False, False, True]), min_size=30, max_size=90),
    every=st.integers(1, 4),
)
def test_a_cut_at_a_gop_start_has_no_frame_to_decode_on_both_sides(
    keys: list[bool], every: int
) -> None:
    index = replace(index_of(len(keys) + 1, 1), key=np.array([True, *keys]))
    positions = Sampling(every=every).positions(index)
    key = np.flatnonzero(index.key)
    needed = [key[np.searchsorted(key, position, side="right") - 1] for position in positions]
    free = [
        place
        for place in range(1, len(positions))
        if needed[place] > positions[place - 1]  # decoding the later starts behind the earlier
    ]
    assert gop_starts(index, positions).tolist() == free


@given(
    frames=st.lists(st.integers(1, 20_000), min_size=1, max_size=12),
    gop=st.sampled_from([1, 12, 250, 30_000]),
    every=st.integers(1, 100),
    workers=st.integers(1, 50),
    unseekable=st.sets(st.integers(0, 11)),
)
def test_parts_hold_every_row_once_and_are_of_bounded_work(
    frames: list[int], gop: int, every: int, workers: int, unseekable: set[int]
) -> None:
    indexes = [
        index_of(count, gop, seekable=number not in unseekable)
        for number, count in enumerate(frames)
    ]
    videos, parts = planned(indexes, every, workers)
    segments = [segment for part in parts for segment in part]
    assert [segment.rows.start for segment in segments] == sorted(
        segment.rows.start for segment in segments
    )
    for video, index in zip(videos, indexes, strict=True):
        ends = [(one.start, one.stop) for one in segments if one.video == video.video]
        assert ends[0][0] == 0
        assert ends[-1][1] == video.rows
        assert [stop for _, stop in ends[:-1]] == [start for start, _ in ends[1:]]
        free = set(gop_starts(index, Sampling(every=every).positions(index)).tolist())
        if index.seekable and gop <= 250:
            assert {start for start, _ in ends[1:]} <= free
    for part in parts:
        limit = PART_LIMITS.unseekable_frames if {one.video for one in part} & unseekable else 0
        assert frames_of(part, every) <= max(limit, 1.5 * PART_LIMITS.most_frames) + every * len(
            part
        )


@given(
    frames=st.lists(st.integers(1, 60_000), min_size=1, max_size=12),
    workers=st.sampled_from([1, 2, 7, 16]),
)
def test_parts_leave_work_for_all_to_the_end(frames: list[int], workers: int) -> None:
    """None is much larger than its worker's share of what is left, but for the least worth it."""
    _, parts = planned([index_of(count, 25) for count in frames], 1, workers)
    left = sum(frames)
    for part in parts:
        equal = (left + 1) / (PART_LIMITS.parts_left_per_worker * workers)
        share = max(PART_LIMITS.least_px / PX, equal)
        assert frames_of(part, 1) <= 1.5 * share + 25
        left -= frames_of(part, 1)
    assert left == 0


@pytest.mark.parametrize("workers", [1, 2, 7])
def test_long_videos_occupy_all_workers(workers: int) -> None:
    _, parts = planned([index_of(30_000, 25)], 15, workers)
    assert len(parts) >= 30_000 // PART_LIMITS.most_frames
    assert len(parts) >= 8 * workers


def test_small_pictures_make_parts_of_more_frames_and_files_cost_too() -> None:
    large, small = (
        planned([index_of(8, 8)] * 200, 1, 1, px=px)[1] for px in ((1920, 1080), (96, 96))
    )
    assert 1 < len(small) < len(large) / 3
