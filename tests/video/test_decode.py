"""Whatever way a video is cut, its frames equal one sequential decode's."""

import random
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from coreframe.tasks.errors import DamagedVideoError, SourceChangedError
from coreframe.tasks.video import decode
from coreframe.tasks.video.ahead import ahead
from coreframe.tasks.video.census import take_census
from coreframe.tasks.video.decode import decode_frames
from coreframe.tasks.video.index import VideoIndex
from coreframe.tasks.video.indexing import index_video
from coreframe.tasks.video.pixels import upright_rgb
from tests.videos import RECIPES, Recipe, damage, make, sequential_rgb

REAL = [
    "av1_video.mkv",
    "cockatoo.mp4",
    "counter.mp4",
    "decord_corrupted.mp4",
    "delayed_start.mp4",
    "flipping_a_pancake.mkv",
    "goldeneye-vfr-drop3.mp4",
    "h264_10bits.mp4",
    "h265_video.mp4",
    "issue-134-rotate.mp4",
    "nasa_13013.mp4",
    "sk_bigbuckbunny.mp4",
    "sk_bikes.mp4",
    "sk_carphone_pristine.mp4",
    "testvideo.mp4",
]


def usable_index(path: Path) -> VideoIndex:
    """The index as a run ends up with it: surveyed where decoding did not go as promised."""
    _, index = index_video(path)
    try:
        for _ in decode_frames(path, index, np.arange(len(index))):
            pass
    except DamagedVideoError:
        index, _ = take_census(path, index)
    return index


def random_cuts(rng: random.Random, frames: int) -> list[np.ndarray]:
    start = rng.randrange(frames)
    some = sorted(rng.sample(range(frames), min(frames, rng.randint(1, 5))))
    return [np.arange(start, min(frames, start + rng.randint(1, 15))), np.array(some)]


def check_cuts(path: Path, cuts: int, index: VideoIndex | None = None) -> None:
    truth = sequential_rgb(path)
    index = index or usable_index(path)
    whole = list(decode_frames(path, index, np.arange(len(index))))
    assert [int(index.frame_index[position]) for position, _ in whole] == list(range(len(truth)))
    for (_, frame), image in zip(whole, truth, strict=True):
        assert np.array_equal(upright_rgb(frame), image)
    rng = random.Random(path.name)
    for _ in range(cuts):
        for positions in random_cuts(rng, len(index)):
            expected = [int(p) for p in positions if index.frame_index[p] >= 0]
            got = list(decode_frames(path, index, positions))
            assert [position for position, _ in got] == expected
            for position, frame in got:
                if index.digest is None:
                    assert frame.pts == index.pts[position]
                assert np.array_equal(upright_rgb(frame), truth[index.frame_index[position]])


@pytest.mark.parametrize("file", [recipe.file for recipe in RECIPES])
def test_any_cut_of_a_made_video(file: str, made_videos: dict[str, Path]) -> None:
    check_cuts(made_videos[file], cuts=6)


@pytest.mark.parametrize("file", REAL)
def test_any_cut_of_a_real_video(file: str, real_videos: Path) -> None:
    check_cuts(real_videos / file, cuts=2)


@pytest.mark.parametrize("file", ["closed_gop.mp4", "open_gop.mp4", "mpeg4.mp4"])
def test_frames_that_nobody_wants_and_no_other_refers_to_are_not_decoded(
    file: str, made_videos: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded = []

    def counted(*arguments: Any) -> Iterator[Any]:
        for frame in frames(*arguments):
            decoded.append(frame.pts)
            yield frame

    frames = decode._Reading.frames
    monkeypatch.setattr(decode._Reading, "frames", counted)
    _, index = index_video(made_videos[file])
    ends = np.array([0, len(index) - 1])
    got = list(decode_frames(made_videos[file], index, ends, seek_gap_frames=1000))
    assert [position for position, _ in got] == [0, len(index) - 1]
    assert len(decoded) < 0.8 * len(index)


@pytest.mark.parametrize("file", ["closed_gop.mp4", "open_gop.mp4", "hevc_open_gop.mkv"])
def test_what_follows_the_last_wanted_frame_is_not_decoded(
    file: str, made_videos: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A decoder that holds pictures back gives them when it is told that nothing follows."""
    read: list[int | None] = []

    def counted(*arguments: Any) -> Iterator[Any]:
        for packet in packets(*arguments):
            read.append(None if packet is None else packet.pts)
            yield packet

    packets = decode.packets
    monkeypatch.setattr(decode, "packets", counted)
    _, index = index_video(made_videos[file])
    list(decode_frames(made_videos[file], index, np.arange(len(index))))
    order = read.copy()
    for position in (3, int(np.flatnonzero(index.key)[1]) - 1):
        read.clear()
        got = list(decode_frames(made_videos[file], index, np.array([position])))
        assert [found for found, _ in got] == [position]
        until = order.index(int(index.pts[position])) + 1
        assert len(read) <= until + 1, "and one that tells that the frame is whole"
        assert read == order[: len(read)]


@pytest.mark.parametrize("file", ["closed_gop.mp4", "open_gop.mp4", "hevc_open_gop.mkv"])
def test_near_keyframes_are_reached_by_reading_on(
    file: str, made_videos: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, index = index_video(made_videos[file])
    keys = np.flatnonzero(index.key)
    whole = list(decode_frames(made_videos[file], index, np.arange(len(index))))
    wanted = np.unique(np.concatenate([keys, keys[1:] - 4]))
    sought: list[int] = []
    monkeypatch.setattr(decode, "_seek", lambda *_: sought.append(1) or seek(*_))
    seek = decode._seek
    got = list(decode_frames(made_videos[file], index, wanted))
    assert [position for position, _ in got] == wanted.tolist()
    for position, frame in got:
        assert np.array_equal(upright_rgb(frame), upright_rgb(whole[position][1]))
    assert len(sought) < len(keys) - 1


def test_damaged_packet_is_found_and_the_rest_is_exact(tmp_path: Path) -> None:
    sound = make(Recipe("sound.mp4", options={"bf": "0"}, frames=60), tmp_path)
    broken = damage(sound, tmp_path / "broken.mp4", packet=30)
    _, promised = index_video(broken)
    with pytest.raises(DamagedVideoError):
        list(decode_frames(broken, promised, np.arange(len(promised))))
    surveyed, trouble = take_census(broken, promised)
    assert trouble
    assert np.array_equal(surveyed.pts, promised.pts)
    assert surveyed.frame_index[30] == -1
    check_cuts(broken, cuts=8)


def test_census_keeps_the_list_of_frames_and_numbers_the_decodable(tmp_path: Path) -> None:
    sound = make(Recipe("sound.mp4", options={"bf": "0"}), tmp_path)
    broken = damage(sound, tmp_path / "broken.mp4", packet=20)
    _, promised = index_video(broken)
    surveyed, _ = take_census(broken, promised)
    kept = surveyed.frame_index[surveyed.frame_index >= 0]
    assert len(surveyed) == 40
    assert kept.tolist() == list(range(len(sequential_rgb(broken))))


@pytest.mark.parametrize("file", ["closed_gop.mp4", "times_missing.h264", "times_guessed.avi"])
def test_replaced_file_is_noticed_after_a_census(
    file: str, made_videos: dict[str, Path], tmp_path: Path
) -> None:
    _, index = index_video(made_videos[file])
    surveyed, _ = take_census(made_videos[file], index if index.digest is None else None)
    other = make(Recipe(file, paint=lambda n, w, h: np.full((h, w, 3), 3 * n, np.uint8)), tmp_path)
    with pytest.raises(SourceChangedError, match="changed since"):
        list(decode_frames(other, surveyed, np.arange(len(surveyed))))


def test_vanished_file_is_named(made_videos: dict[str, Path], tmp_path: Path) -> None:
    _, index = index_video(made_videos["closed_gop.mp4"])
    with pytest.raises(SourceChangedError, match=r"gone\.mp4"):
        list(decode_frames(tmp_path / "gone.mp4", index, np.arange(2)))


def test_ahead_gives_all_items_in_order_and_passes_errors_on() -> None:
    assert list(ahead(iter(range(100)), depth=3)) == list(range(100))

    def failing():
        yield 1
        raise DamagedVideoError("here")

    items = ahead(failing(), depth=3)
    assert next(items) == 1
    with pytest.raises(DamagedVideoError, match="here"):
        next(items)


@pytest.mark.parametrize("depth", [2, 3, 40, 100])
def test_ahead_is_at_most_so_many_items_ahead(depth: int) -> None:
    given = 0

    def source() -> Iterator[int]:
        nonlocal given
        while given < 300:
            given += 1
            yield given

    apart = []
    for taken in ahead(source(), depth):
        for _ in range(20):  # until the thread has gone as far as it may
            before = given
            time.sleep(0.001)
            if given == before:
                break
        apart.append(given - taken)
    assert 1 < max(apart) <= depth


def test_leaving_ahead_early_closes_its_source() -> None:
    closed = []

    def source():
        try:
            yield from range(1000)
        finally:
            closed.append(True)

    items = ahead(source(), depth=2)
    next(items)
    items.close()
    assert closed == [True]


def all_marked_as_keyframes(source: Path, target: Path) -> Path:
    """Copy a video with the flag set on every packet, as some muxers do."""
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        stream = old.streams.video[0]
        copy = new.add_stream_from_template(stream)
        for packet in old.demux(stream):
            if packet.size:
                packet.is_keyframe = True
                packet.stream = copy
                new.mux(packet)
    return target


@pytest.mark.parametrize(
    ("codec", "pixel_format", "suffix"),
    [
        ("mpeg4", "yuv420p", "mp4"),
        ("mpeg4", "yuv420p", "mkv"),
        ("msmpeg4", "yuv420p", "mkv"),
        ("h263", "yuv420p", "3gp"),
        ("flv", "yuv420p", "flv"),
        ("qtrle", "rgb24", "mov"),
        ("libx264", "yuv420p", "mp4"),
        ("libx265", "yuv420p", "mp4"),
        ("mpeg2video", "yuv420p", "ts"),
        ("libvpx-vp9", "yuv420p", "mkv"),
        ("ffv1", "yuv420p", "mkv"),
    ],
)
def test_keyframe_flags_are_not_believed(
    codec: str, pixel_format: str, suffix: str, tmp_path: Path
) -> None:
    options = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    recipe = Recipe(f"sound.{suffix}", codec, frames=60, gop=30, pixel_format=pixel_format)
    sound = make(replace(recipe, width=176, height=144, options=options), tmp_path)
    marked = all_marked_as_keyframes(sound, tmp_path / f"marked.{suffix}")
    try:
        check_cuts(marked, cuts=6)
    except DamagedVideoError:  # its decoder complains: then a census is taken
        check_cuts(marked, cuts=6, index=take_census(marked, index_video(marked)[1])[0])


def test_false_keyframes_cost_no_more_than_a_decode_or_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of frames far apart, too: what is false is found out once."""
    sound = make(Recipe("sound.mov", "qtrle", frames=200, gop=200, pixel_format="rgb24"), tmp_path)
    path = all_marked_as_keyframes(sound, tmp_path / "marked.mov")
    _, index = index_video(path)
    decoded = 0

    def counted(*arguments: Any) -> Iterator[Any]:
        nonlocal decoded
        for frame in tolerantly(*arguments):
            decoded += 1
            yield frame

    tolerantly = decode.decode_tolerantly
    monkeypatch.setattr(decode, "decode_tolerantly", counted)
    got = list(decode_frames(path, index, np.arange(0, 200, 20)))
    assert [position for position, _ in got] == list(range(0, 200, 20))
    assert decoded < 2 * len(index)
