"""Times of frames: what FFmpeg's command shows, and what becomes of those that cannot be right."""

import re
import subprocess
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coreframe.tasks.video.clock import mended
from coreframe.tasks.video.decode import decode_frames
from coreframe.tasks.video.index import VideoIndex
from coreframe.tasks.video.indexing import index_video
from coreframe.tasks.video.pixels import upright_rgb
from coreframe.tasks.video.sampling import Sampling
from coreframe.tasks.video.viewing import Viewing
from tests.videos import Recipe, make, sequential_rgb

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()

PLAIN = Recipe("plain.mkv", frames=40, options={"bf": "2"})


def ffmpeg(*arguments: str | Path) -> str:
    command = [FFMPEG, "-hide_banner", "-y", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stderr


def with_times(folder: Path, name: str, times_ms: list[int], rate: int = 25) -> Path:
    """A file of intra frames with any times at all, in milliseconds: repeated, or out of order."""
    path = folder / name
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=rate)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuvj420p"
        for number, time_ms in enumerate(times_ms):
            image = np.full((64, 96, 3), 255 * number // len(times_ms), np.uint8)
            for packet in stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")):
                packet.time_base = Fraction(1, 1000)
                packet.pts = packet.dts = time_ms
                packet.duration = 0
                container.mux(packet)
    return path


def joined(folder: Path, name: str, *shifts_s: float) -> Path:
    """Recordings one after the other, with clocks that begin at any time."""
    source = make(replace(PLAIN, file="part.ts", frames=30), folder)
    content = b""
    for shift_s in shifts_s:
        part = folder / f"part{shift_s}{Path(name).suffix}"
        copies = ("-c", "copy", "-muxdelay", "0", "-output_ts_offset", str(shift_s))
        ffmpeg("-i", source, *copies, part)
        content += part.read_bytes()
    path = folder / name
    path.write_bytes(content)
    return path


def gaps_in_avi(folder: Path) -> Path:
    source, path = make(PLAIN, folder), folder / "gaps.avi"
    dropped = "select='not(between(n,10,17))'"
    ffmpeg("-i", source, "-vf", dropped, "-fps_mode", "vfr", "-c:v", "mpeg4", "-bf", "2", path)
    return path


def without_pts(folder: Path) -> Path:
    source = make(replace(PLAIN, file="with.mpg", codec="mpeg2video", rate=30), folder)
    ffmpeg("-i", source, "-c", "copy", "-bsf:v", "setts=pts=NOPTS", folder / "without.mpg")
    return folder / "without.mpg"


def picture_with_delays(folder: Path) -> Path:
    pts = [0, 40, 100, 250, 300, 420, 500, 600, 650, 700]
    recipe = Recipe("picture.gif", "gif", frames=10, pixel_format="rgb8", pts=pts)
    return make(recipe, folder)


ONE_TWICE = [200 * n for n in range(20)] + [3800] + [200 * n for n in range(20, 39)]

KINDS: dict[str, Callable[[Path], Path]] = {
    "late": lambda folder: joined(folder, "late.ts", 1.48),
    "near the wrap": lambda folder: joined(folder, "wrap.ts", 95443.0),
    "half a frame later": lambda folder: joined(folder, "half.ts", 1.4, 1.42),
    "backwards": lambda folder: joined(folder, "back.ts", 100, 0),
    "three": lambda folder: joined(folder, "three.ts", 1, 50, 20),
    "program streams": lambda folder: joined(folder, "two.mpg", 1, 1),
    "one time twice": lambda folder: with_times(folder, "twice.mkv", sorted(ONE_TWICE)),
    "slow motion": lambda folder: with_times(
        folder, "slow.mkv", [n // 2 for n in range(100)], 2000
    ),
    "gaps in AVI": gaps_in_avi,
    "no times in MPEG-PS": without_pts,
    "GIF": picture_with_delays,
}


@pytest.fixture(params=KINDS, scope="module")
def video(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return KINDS[request.param](tmp_path_factory.mktemp("clock"))


@pytest.fixture(scope="module")
def index(video: Path) -> VideoIndex:
    return index_video(video)[1]


@pytest.mark.integration
def test_times_are_those_that_players_show(video: Path, index: VideoIndex) -> None:
    shown = ffmpeg("-i", video, "-map", "0:v", "-vf", "showinfo", "-f", "null", "-")
    expected = [int(pts) for pts in re.findall(r"n: *\d+ pts: *(-?\d+) ", shown)]
    played = (index.file_pts - index.zero_pts) // index.finer
    assert played.tolist() == expected
    assert np.all(np.diff(index.pts) > 0)
    good = index.file_pts == index.pts
    assert good.sum() >= len(index) // 2  # most are kept as they are
    assert index.time_s()[good] == pytest.approx(
        played[good] * float(index.time_base) * index.finer
    )


@pytest.mark.integration
@pytest.mark.parametrize("fps", ["5", "2", "30000/1001"])
def test_sampling_keeps_what_the_command_keeps(
    video: Path, index: VideoIndex, fps: str, tmp_path: Path
) -> None:
    truth = [image.tobytes() for image in sequential_rgb(video)]
    ffmpeg("-i", video, "-map", "0:v", "-vf", f"fps={fps}", tmp_path / "%04d.png")
    pictures = [av.open(str(path)) for path in sorted(tmp_path.glob("*.png"))]
    kept: list[bytes] = []
    for container in pictures:
        with container:
            image = next(container.decode(video=0)).to_ndarray(format="rgb24").tobytes()
        if not kept or kept[-1] != image:
            kept.append(image)
    ours = [truth[index.frame_index[p]] for p in Sampling(fps=Fraction(fps)).positions(index)]
    distinct = [one for place, one in enumerate(ours) if not place or one != ours[place - 1]]
    assert distinct == (kept or truth[:1])  # no video vanishes


@pytest.mark.integration
def test_any_cut_gives_the_sequential_pictures(video: Path, index: VideoIndex) -> None:
    truth = sequential_rgb(video)
    assert len(truth) == len(index)
    for positions in (np.arange(len(index)), np.arange(3, len(index), 7), np.array([5, 6, 29])):
        positions = positions[positions < len(index)]
        found = list(decode_frames(video, index, positions))
        assert [position for position, _ in found] == positions.tolist()
        for position, frame in found:
            assert np.array_equal(upright_rgb(frame), truth[position])


@pytest.mark.integration
def test_lengths(tmp_path: Path) -> None:
    length_s = {name: index_video(make(tmp_path))[0].duration_s for name, make in KINDS.items()}
    assert length_s["half a frame later"] == pytest.approx(2.4, abs=0.05)
    assert length_s["backwards"] == pytest.approx(2.4, abs=0.05)
    assert length_s["three"] == pytest.approx(3.6, abs=0.1)
    assert length_s["one time twice"] == pytest.approx(8, abs=0.5)
    assert length_s["slow motion"] == pytest.approx(0.05, abs=0.002)
    assert length_s["gaps in AVI"] == pytest.approx(1.6, abs=0.1)
    assert length_s["no times in MPEG-PS"] == pytest.approx(40 / 30, abs=0.05)


@pytest.mark.integration
def test_what_was_mended_is_told(tmp_path: Path) -> None:
    slow, _ = index_video(KINDS["slow motion"](tmp_path))
    assert "the times of 50 of its 100 frames were mended" in slow.note
    back, _ = index_video(KINDS["backwards"](tmp_path))
    assert "its clock starts anew in the middle" in back.note


@pytest.mark.integration
def test_a_store_of_format_1_keeps_the_clock_of_the_file(tmp_path: Path) -> None:
    late = KINDS["late"](tmp_path)
    _, index = index_video(late, Viewing(as_players=False))
    assert index.time_s()[0] == pytest.approx(1.48, abs=0.09)
    assert index_video(late)[1].time_s()[0] == pytest.approx(0, abs=0.09)


@given(st.lists(st.integers(-50, 50), min_size=1, max_size=60))
def test_mended_times_rise_and_keep_what_rises(times: list[int]) -> None:
    made, finer, count = mended(times)
    assert np.all(np.diff(made) > 0)
    same = sum(one == finer * other for one, other in zip(made.tolist(), times, strict=True))
    assert same >= len(times) - count
    longest: list[int] = []  # by the textbook's recursion
    for place, value in enumerate(times):
        before = [longest[k] for k in range(place) if times[k] < value]
        longest.append(1 + max(before, default=0))
    assert len(times) - count == max(longest)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=60))
def test_times_that_rise_are_left_alone(steps: list[int]) -> None:
    times = np.cumsum(steps)
    made, finer, count = mended(times.tolist())
    assert (made.tolist(), finer, count) == (times.tolist(), 1, 0)
