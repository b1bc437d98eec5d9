from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from coreframe.tasks.video.census import take_census
from coreframe.tasks.video.decode import decode_frames
from coreframe.tasks.video.deinterlace import (
    decode_shown,
    deinterlaced,
    field_order,
    with_neighbours,
)
from coreframe.tasks.video.digest import frame_digest
from coreframe.tasks.video.indexing import index_video
from coreframe.tasks.video.viewing import Viewing
from tests.ffmpeg_command import ffmpeg, frames_of, interlaced, raw
from tests.videos import Recipe, damage, make

SIZE = (96, 64)
WHOLE, PLAIN = Viewing(deinterlace=True), Viewing()
FILTER = ("-vf", "yadif=mode=send_frame:parity=auto:deint=interlaced")
ILME = ("-flags", "+ilme+ildct")


def h264(folder: Path) -> Path:
    options = "tff=1:bframes=2:keyint=8:scenecut=0"
    return interlaced(folder / "tff.mp4", "libx264", "-x264-params", options)


def bottom_first(folder: Path) -> Path:
    return interlaced(folder / "bff.mkv", "mpeg2video", *ILME, "-g", "8", first="bottom")


def ten_bits(folder: Path) -> Path:
    form = ("-pix_fmt", "yuv422p10le")
    return interlaced(folder / "prores.mov", "prores_ks", "-flags", "+ildct", *form)


def broadcast(folder: Path) -> Path:
    return interlaced(folder / "program.mpg", "mpeg2video", *ILME, "-g", "8", "-bf", "2")


def partly(folder: Path) -> Path:
    """Ten frames that are not interlaced, twenty-five that are, ten that are not."""
    path = folder / "partly.mkv"
    still = "testsrc2=s=96x64:r=25:d=0.4,setfield=prog"
    moving = "testsrc2=s=96x64:r=50:d=1,tinterlace=interleave_top,setfield=tff"
    graph = f"{still}[a];{moving}[b];{still}[c];[a][b][c]concat=3"
    ffmpeg("-y", "-filter_complex", graph, "-c:v", "ffv1", "-g", "1", str(path))
    return path


MAKERS = [h264, bottom_first, ten_bits, broadcast, partly]


@pytest.mark.integration
@pytest.mark.parametrize("maker", MAKERS, ids=lambda maker: maker.__name__)
def test_every_cut_gives_what_a_sequential_run_gives(
    maker: Callable[[Path], Path], tmp_path: Path
) -> None:
    path = maker(tmp_path)
    facts, index = index_video(path, WHOLE)
    form = facts.pixel_format
    plain, whole = frames_of(path, form, SIZE), frames_of(path, form, SIZE, *FILTER)
    assert len(plain) == len(whole) == len(index)
    assert not np.array_equal(plain, whole)
    everything = np.arange(len(index))
    cuts = [everything[start : start + 6] for start in range(0, len(index), 6)]
    chosen = np.array([0, 1, 9, 10, 11, 20, len(index) - 1])
    for positions in (everything, everything[::3], everything[1::7], chosen, *cuts):
        shown = list(decode_shown(path, index, positions, WHOLE))
        assert [one.position for one in shown] == positions.tolist()
        for one in shown:
            assert np.array_equal(np.frombuffer(raw(one.shown), np.uint8), whole[one.position])
            assert np.array_equal(np.frombuffer(raw(one.frame), np.uint8), plain[one.position])


@pytest.mark.integration
def test_field_orders_are_told(tmp_path: Path) -> None:
    orders = [index_video(maker(tmp_path), PLAIN)[0] for maker in MAKERS[:4]]
    assert [facts.interlaced for facts in orders] == ["tff", "bff", "tff", "tff"]
    assert "bottom field first" in orders[1].note
    assert all("--deinterlace on" in facts.note for facts in orders)
    mixed = interlaced(tmp_path / "telecine.mkv", "mpeg2video", *ILME)
    film = ["-f", "lavfi", "-i", "testsrc2=s=96x64:r=24:d=1", "-vf", "telecine"]
    ffmpeg("-y", *film, "-c:v", "mpeg2video", *ILME, str(mixed))
    assert index_video(mixed, PLAIN)[0].interlaced == "mixed"
    told, _ = index_video(tmp_path / "tff.mp4", WHOLE)
    assert (told.interlaced, told.note) == ("tff", "")


def test_what_is_not_interlaced_is_told_nothing_and_stays(tmp_path: Path) -> None:
    path = make(Recipe("progressive.mp4", options={"bf": "2"}), tmp_path)
    facts, index = index_video(path, PLAIN)
    assert (facts.interlaced, facts.note) == ("progressive", "")
    wanted = np.arange(3, 40, 5)
    plain = [frame_digest(frame) for _, frame in decode_frames(path, index, wanted)]
    shown = list(decode_shown(path, index, wanted, WHOLE))
    assert [frame_digest(one.shown) for one in shown] == plain
    assert [frame_digest(one.frame) for one in shown] == plain


@pytest.mark.integration
def test_a_lost_frame_is_nobodys_neighbour(tmp_path: Path) -> None:
    """Of a damaged video: as if what cannot be decoded had never been there."""
    every_frame_alone = ("-x264-params", "tff=1:keyint=1")
    sound = interlaced(tmp_path / "sound.mp4", "libx264", *every_frame_alone)
    path = damage(sound, tmp_path / "damaged.mp4", packet=9)
    index, trouble = take_census(path, index_video(path, WHOLE)[1], WHOLE)
    assert trouble
    decodable = np.flatnonzero(index.frame_index >= 0)
    assert len(decodable) < len(index)
    frames = list(decode_frames(path, index, decodable, WHOLE))
    sequential = {one.position: one for one in deinterlaced(frames, decodable)}
    for positions in (decodable, np.array([8, 10]), np.array([10])):
        for one in decode_shown(path, index, positions, WHOLE):
            assert frame_digest(one.shown) == frame_digest(sequential[one.position].shown)


def test_neighbours() -> None:
    decodable = np.array([0, 1, 2, 5, 6, 9])
    assert with_neighbours(np.array([0, 5]), decodable).tolist() == [0, 1, 2, 5, 6]
    assert with_neighbours(np.array([9]), decodable).tolist() == [6, 9]
    assert with_neighbours(np.array([], np.int64), decodable).tolist() == []


@pytest.mark.integration
def test_frames_of_another_shape_are_no_neighbours(tmp_path: Path) -> None:
    """Two films of one file, as joined broadcasts have them: each as if it were alone."""
    films = []
    for size in ("96x64", "64x48"):
        path = interlaced(tmp_path / f"{size}.m2v", "mpeg2video", *ILME, "-s", size)
        with av.open(str(path)) as container:
            films.append(list(container.decode(video=0)))
    both = np.arange(sum(map(len, films)))
    joined = list(deinterlaced(enumerate(films[0] + films[1]), both))
    alone = [one for film in films for one in deinterlaced(enumerate(film), np.arange(len(film)))]
    assert [frame_digest(one.shown) for one in joined] == [frame_digest(one.shown) for one in alone]
    assert field_order(films[0]) == "tff"


def test_tiny_frames_are_left_alone() -> None:
    """The filter refuses them."""
    frame = av.VideoFrame(2, 2, "yuv420p")
    one = list(deinterlaced([(0, frame)], np.array([0])))
    assert one[0].shown is frame
