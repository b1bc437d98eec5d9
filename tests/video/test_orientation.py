"""Pictures as players show them: turned, mirrored, trimmed, and of square pixels."""

import struct
import subprocess
from fractions import Fraction
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image

from coreframe.tasks.video.decode import decode_frames
from coreframe.tasks.video.digest import frame_digest
from coreframe.tasks.video.index import VideoFacts
from coreframe.tasks.video.indexing import index_video
from coreframe.tasks.video.orientation import square_size, usable_aspect
from coreframe.tasks.video.pixels import (
    Framing,
    InputScaler,
    upright_rgb,
    upright_size,
)
from coreframe.tasks.video.viewing import Crop, Viewing
from tests.videos import Recipe, make

pytestmark = pytest.mark.integration  # FFmpeg's command makes the inputs, and is the reference

STORED = Viewing(square_pixels=False)


def ffmpeg(*arguments: object) -> None:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *map(str, arguments)]
    subprocess.run(command, check=True)


def first_by_ffmpeg(path: Path, *filters: str) -> np.ndarray:
    target = path.with_suffix(".png")
    ffmpeg("-i", path, *filters, "-frames:v", "1", "-pix_fmt", "rgb24", target)
    return np.asarray(Image.open(target))


def first(path: Path, viewing: Viewing) -> tuple[VideoFacts, np.ndarray, int]:
    """Facts, picture and digest of the first frame."""
    facts, index = index_video(path, viewing)
    own = viewing.of(facts)
    _, frame = next(iter(decode_frames(path, index, np.array([0]), own)))
    assert upright_size(frame, own) == (facts.width, facts.height)
    return facts, upright_rgb(frame, own), frame_digest(frame, own)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(Recipe("plain.mp4", frames=3), tmp_path_factory.mktemp("plain"))


EIGHT = [(turn, flip) for turn in (0, 90, 180, 270) for flip in (0, 1)]


def turned(plain: Path, folder: Path, degrees: float, flip: int) -> Path:
    path = folder / f"turned{degrees}{flip}.mp4"
    mirror = ["-display_hflip"] if flip else []
    ffmpeg("-display_rotation", degrees, *mirror, "-i", plain, "-c", "copy", path)
    return path


@pytest.mark.parametrize(("degrees", "flip"), EIGHT)
def test_all_eight_orientations(plain: Path, tmp_path: Path, degrees: int, flip: int) -> None:
    path = turned(plain, tmp_path, degrees, flip)
    facts, picture, _ = first(path, Viewing())
    assert np.array_equal(picture, first_by_ffmpeg(path))
    assert facts.mirrored == bool(flip)
    small = InputScaler(Framing(16))
    _, index = index_video(path)
    _, frame = next(iter(decode_frames(path, index, np.array([0]))))
    shown = np.asarray(Image.fromarray(picture).resize((16, 16), Image.Resampling.BOX), int)
    assert np.abs(small(frame).astype(int) - shown).mean() < 12  # turned in the same way


def test_every_orientation_has_its_digest(plain: Path, tmp_path: Path) -> None:
    paths = [turned(plain, tmp_path, *one) for one in EIGHT]
    assert len({first(path, Viewing())[2] for path in paths}) == 8
    before = [first(path, Viewing(as_players=False))[2] for path in paths[::2]]
    assert [first(path, Viewing())[2] for path in paths[::2]] == before  # of turns alone


def test_other_angles_are_told_and_left(plain: Path, tmp_path: Path) -> None:
    facts, picture, _ = first(turned(plain, tmp_path, 30, 0), Viewing())
    assert "no multiple of 90 degrees" in facts.note
    assert np.array_equal(picture, first(plain, Viewing())[1])


@pytest.mark.parametrize(("codec", "name"), [("libx264", "h264"), ("libx265", "hevc")])
def test_cropping_on_the_left_in_the_bitstream(codec: str, name: str, tmp_path: Path) -> None:
    options = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    source = make(Recipe("whole.mp4", codec, frames=3, options=options), tmp_path)
    path = tmp_path / "cropped.mp4"
    trim = f"{name}_metadata=crop_left=6:crop_right=4:crop_top=8:crop_bottom=2"
    ffmpeg("-i", source, "-c", "copy", "-bsf:v", trim, path)
    facts, picture, _ = first(path, Viewing())
    assert (facts.width, facts.height) == (86, 54)
    assert np.array_equal(picture, first_by_ffmpeg(path))


def with_clean_aperture(source: Path, target: Path, numbers: tuple[int, ...]) -> Path:
    """Put a ``clap`` box into an MP4 file whose index is behind its pictures."""
    data = bytearray(source.read_bytes())
    box = struct.pack(">I4s8i", 40, b"clap", *numbers)
    entry = data.index(b"avc1", data.index(b"stsd")) - 4
    end = entry + struct.unpack(">I", data[entry : entry + 4])[0]
    data[end:end] = box
    for kind in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"avc1"):
        place = data.index(kind, data.index(b"moov")) - 4
        data[place : place + 4] = struct.pack(
            ">I", struct.unpack(">I", data[place : place + 4])[0] + 40
        )
    target.write_bytes(data)
    return target


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_cropping_by_the_container(plain: Path, suffix: str, tmp_path: Path) -> None:
    numbers = (80, 1, 48, 1, 4, 1, -2, 1)  # 80 x 48 of 96 x 64, from (12, 6)
    path = with_clean_aperture(plain, tmp_path / "clap.mp4", numbers)
    if suffix == "mkv":
        ffmpeg("-i", path, "-c", "copy", tmp_path / "crop.mkv")
        path = tmp_path / "crop.mkv"
    facts, picture, digest = first(path, Viewing())
    assert (facts.width, facts.height, facts.margins) == (80, 48, "12:6:4:10")
    assert np.array_equal(picture, first_by_ffmpeg(path))
    whole = first(plain, Viewing())
    assert np.array_equal(picture, whole[1][6:54, 12:92])
    assert digest != whole[2]


@pytest.mark.parametrize("damage", [0, 4, 8, 20])
def test_broken_boxes_say_nothing(plain: Path, damage: int, tmp_path: Path) -> None:
    path = with_clean_aperture(plain, tmp_path / "clap.mp4", (80, 1, 48, 1, 4, 1, -2, 1))
    data = bytearray(path.read_bytes())
    place = data.index(b"clap") + 4 + damage
    data[place : place + 4] = b"\0\0\0\0"
    path.write_bytes(data)
    assert first(path, Viewing())[1].shape[1] <= 96


@pytest.mark.parametrize(
    ("aspect", "size"), [("16/11", (140, 64)), ("1/2", (96, 128)), ("2/1", (192, 64))]
)
def test_pixels_that_are_not_square(
    plain: Path, aspect: str, size: tuple[int, int], tmp_path: Path
) -> None:
    path = tmp_path / "wide.mkv"
    ffmpeg("-i", plain, "-vf", f"setsar={aspect}", path)
    facts, picture, _ = first(path, Viewing())
    assert (facts.sample_aspect_num, facts.sample_aspect_den) == tuple(map(int, aspect.split("/")))
    assert (facts.width, facts.height) == size
    assert picture.shape[1::-1] == size
    scaled = f"scale={size[0]}:{size[1]}:flags=bicubic"
    difference = np.abs(picture.astype(int) - first_by_ffmpeg(path, "-vf", scaled))
    assert difference.mean() < 4  # it scales before it converts colours
    stored = first(path, STORED)
    assert np.array_equal(stored[1], first_by_ffmpeg(path))
    cropped = first_crop(path, Viewing(Crop(20, 10, 70, 50)))
    assert np.array_equal(cropped, picture[50:60, 70:90])


def first_crop(path: Path, viewing: Viewing) -> np.ndarray:
    facts, index = index_video(path, viewing)
    _, frame = next(iter(decode_frames(path, index, np.array([0]))))
    return upright_rgb(frame, viewing.of(facts))


def test_the_embedder_sees_the_same_squashed_picture(plain: Path, tmp_path: Path) -> None:
    path = tmp_path / "wide.mkv"
    ffmpeg("-i", plain, "-vf", "setsar=2/1", path)
    facts, index = index_video(path)
    _, frame = next(iter(decode_frames(path, index, np.array([0]))))
    square, stored = Viewing().of(facts), STORED.of(facts)
    squashed = Framing(32)
    assert np.array_equal(
        InputScaler(squashed, square)(frame), InputScaler(squashed, stored)(frame)
    )
    middle = Framing(32, shorter_px=32)  # of a picture that is three times as wide as high
    assert not np.array_equal(
        InputScaler(middle, square)(frame), InputScaler(middle, stored)(frame)
    )


def test_sizes_and_aspects_that_cannot_be() -> None:
    assert square_size(720, 576, Fraction(64, 45)) == (1024, 576)
    assert square_size(100, 100, Fraction(1, 3)) == (100, 300)
    for wrong in (None, Fraction(0), Fraction(1, 1000), Fraction(1000)):
        assert usable_aspect(wrong) == 1
