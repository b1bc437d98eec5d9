"""Tests of the pictures that training draws from."""

from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from coreframe.tasks.train.contrast import UNDECIDED_S, undecided
from coreframe.tasks.train.frames import PictureFile, TrainingFrames


def test_pictures_of_several_files_by_place(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (20, 4, 4, 3)).astype(np.uint8)
    files = []
    for number, part in enumerate(np.split(images, [1, 7, 8])):
        files.append(tmp_path / f"{number}.npy")
        np.save(files[-1], part)
    frames = TrainingFrames(tuple(files), np.zeros(20, np.int32), np.arange(20.0))
    places = np.array([19, 0, 7, 7, 1, 6, 8, 12])
    assert np.array_equal(frames.open()[places].numpy(), images[places])


def test_files_are_put_in_order_and_empty_ones_left_out() -> None:
    files = [
        PictureFile(Path("c"), 7, np.array([2.0])),
        PictureFile(Path("b"), 5, np.zeros(0)),
        PictureFile(Path("a"), 3, np.array([0.0, 1.0])),
    ]
    frames = TrainingFrames.from_files(files)
    assert frames.files == (Path("a"), Path("c"))
    assert frames.video.tolist() == [3, 3, 7]
    assert frames.time_s.tolist() == [0.0, 1.0, 2.0]
    assert len(TrainingFrames.from_files([])) == 0


moments = st.lists(st.lists(st.integers(0, 100), min_size=1, max_size=8), min_size=1, max_size=4)


def frames_of(videos: list[list[int]]) -> TrainingFrames:
    video = np.repeat(np.arange(len(videos)) * 3, [len(times) for times in videos])
    time_s = np.concatenate([np.sort(times) for times in videos]) / 10
    return TrainingFrames((), video.astype(np.int32), time_s)


@given(moments, st.integers(0, 30))
def test_neighbours_are_those_of_the_definition(videos: list[list[int]], tenths: int) -> None:
    frames = frames_of(videos)
    first, stop = frames.neighbours(tenths / 10 + 1e-9)
    for place in range(len(frames)):
        close = [
            other
            for other in range(len(frames))
            if frames.video[other] == frames.video[place]
            and abs(frames.time_s[other] - frames.time_s[place]) <= tenths / 10 + 1e-9
        ]
        assert list(range(first[place], stop[place])) == close


@given(moments)
def test_undecided_pairs_are_those_of_the_definition(videos: list[list[int]]) -> None:
    frames = frames_of(videos)
    places = np.arange(len(frames))[::-1].copy()
    found = undecided(frames, places)
    for i, one in enumerate(places):
        for j, other in enumerate(places):
            same = frames.video[one] == frames.video[other]
            close = abs(frames.time_s[one] - frames.time_s[other]) <= UNDECIDED_S
            assert bool(found[i, j]) == bool(same and close)
