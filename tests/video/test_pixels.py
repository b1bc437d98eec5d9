from pathlib import Path

import av
import numpy as np
import pytest

from coreframe.tasks.errors import UsageError
from coreframe.tasks.video.digest import frame_digest
from coreframe.tasks.video.pixels import (
    FLAT_SPREAD,
    Framing,
    InputScaler,
    is_flat,
    luminance_and_sharpness,
    upright_rgb,
)
from coreframe.tasks.video.viewing import Crop, Viewing
from tests.videos import scenes

PIXEL_FORMATS = [
    "yuv420p",
    "yuv420p10le",
    "yuv444p",
    "nv12",
    "p010le",
    "yuyv422",
    "rgb24",
    "gbrp",
    "gray",
    "gray10le",
    "bgr0",
    "monow",
    "yuva420p",
    "rgb48le",
]


def picture(form: str, number: int = 0, width: int = 50, height: int = 38) -> av.VideoFrame:
    frame = av.VideoFrame.from_ndarray(scenes(number, width, height), format="rgb24")
    return frame.reformat(format=form, threads=1)


def padded(frame: av.VideoFrame, fill: int) -> av.VideoFrame:
    """The same picture with something else in the bytes that belong to no pixel."""
    copy = av.VideoFrame(frame.width, frame.height, frame.format.name)
    for source, target in zip(frame.planes, copy.planes, strict=True):
        target.update(bytes([fill]) * target.buffer_size)
        lines = np.frombuffer(source, np.uint8).reshape(-1, source.line_size)
        out = np.frombuffer(target, np.uint8).reshape(-1, target.line_size).copy()
        used = source.width * max(1, frame.format.components[0].bits > 8 and 2)
        out[: source.height, :used] = lines[: source.height, :used]
        target.update(out.tobytes())
    return copy


@pytest.mark.parametrize("form", PIXEL_FORMATS)
def test_digest_knows_a_picture_again_and_tells_others_apart(form: str) -> None:
    digests = [frame_digest(picture(form, number)) for number in (0, 0, 1, 2)]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3


@pytest.mark.parametrize("form", ["yuv420p", "yuv444p", "yuv420p10le", "gray"])
def test_digest_ignores_line_padding(form: str) -> None:
    frame = picture(form)
    assert frame.planes[0].line_size > frame.width
    assert len({frame_digest(padded(frame, fill)) for fill in (0, 1, 255)}) == 1


def test_digest_sees_one_changed_sample_of_any_plane() -> None:
    frame = picture("yuv420p")
    seen = {frame_digest(frame)}
    for number in range(3):
        changed = picture("yuv420p")
        data = bytearray(bytes(changed.planes[number]))
        data[0] ^= 1
        changed.planes[number].update(bytes(data))
        seen.add(frame_digest(changed))
    assert len(seen) == 4


@pytest.mark.parametrize("form", PIXEL_FORMATS)
def test_measures_are_in_range_for_every_format(form: str) -> None:
    luminance, sharpness = luminance_and_sharpness(picture(form))
    assert 0 <= luminance <= 1
    assert 0 <= sharpness <= 4


def test_measures_mean_what_they_say() -> None:
    black, white = (
        av.VideoFrame.from_ndarray(np.full((40, 40, 3), value, np.uint8), "rgb24").reformat(
            format="gray"
        )
        for value in (0, 255)
    )
    assert luminance_and_sharpness(black) == (0.0, 0.0)
    assert luminance_and_sharpness(white)[0] == pytest.approx(1, abs=0.01)
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (64, 64, 3)).astype(np.uint8)
    smooth = np.repeat(np.repeat(noise[:8, :8], 8, 0), 8, 1)
    sharp, blunt = (
        luminance_and_sharpness(
            av.VideoFrame.from_ndarray(image, "rgb24").reformat(format="yuv420p")
        )[1]
        for image in (noise, smooth)
    )
    assert sharp > 2 * blunt > 0


def test_luma_of_ten_bit_is_on_the_same_scale() -> None:
    eight, ten = (luminance_and_sharpness(picture(form)) for form in ("yuv420p", "yuv420p10le"))
    assert eight == pytest.approx(ten, abs=0.01)


def test_crop_is_read_and_checked() -> None:
    assert Crop.parse("30:20:5:8") == Crop(30, 20, 5, 8)
    for wrong in ("30:20:5", "a:b:c:d", "0:20:0:0", "30x20", "-3:4:0:0"):
        with pytest.raises(UsageError, match=wrong):
            Crop.parse(wrong)
    frame = picture("yuv420p")
    whole = upright_rgb(frame)
    assert np.array_equal(upright_rgb(frame, Viewing(Crop(30, 20, 5, 8))), whole[8:28, 5:35])
    with pytest.raises(UsageError, match="50x38"):
        upright_rgb(frame, Viewing(Crop(50, 38, 1, 0)))


def test_thumbnail_shows_the_crop_only() -> None:
    image = np.zeros((60, 80, 3), np.uint8)
    image[10:40, 20:60] = 200
    frame = av.VideoFrame.from_ndarray(image, "rgb24")
    small = InputScaler(Framing(32), Viewing(Crop(40, 30, 20, 10)))(frame)
    assert small.shape == (32, 32, 3)
    assert np.abs(small.astype(int) - 200).max() <= 1
    assert InputScaler(Framing(32))(frame).min() == 0


def test_rotated_video_is_upright(real_videos: Path) -> None:
    with av.open(str(real_videos / "issue-134-rotate.mp4")) as container:
        frame = next(container.decode(video=0))
    upright = upright_rgb(frame)
    assert upright.shape == (1280, 544, 3)
    assert np.array_equal(np.rot90(upright), frame.to_ndarray(format="rgb24"))
    small = InputScaler(Framing(64))(frame).astype(int)
    rows = np.linspace(0, 1279, 64).astype(int)
    columns = np.linspace(0, 543, 64).astype(int)
    near = upright[np.ix_(rows, columns)].astype(int)
    turned = np.rot90(near, 2)
    assert np.abs(small - near).mean() < np.abs(small - turned).mean()


@pytest.mark.parametrize(
    ("form", "dtype", "peak"), [("gray", np.uint8, 255), ("gray10le", np.uint16, 1023)]
)
@pytest.mark.parametrize(
    ("height", "width", "stride"), [(3, 3, 4), (64, 50, 4), (260, 34, 4), (1080, 640, 16)]
)
def test_measures_are_those_of_the_definition(
    form: str, dtype: type, peak: int, height: int, width: int, stride: int
) -> None:
    luma = np.random.default_rng(height).integers(0, peak + 1, (height, width)).astype(dtype)
    lines = np.arange(1, height - 1, stride)
    wide = luma.astype(np.int64)
    bend = 4 * wide[lines, 1:-1] - wide[lines, :-2] - wide[lines, 2:]
    bend -= wide[lines - 1, 1:-1] + wide[lines + 1, 1:-1]
    luminance, sharpness = luminance_and_sharpness(av.VideoFrame.from_ndarray(luma, form))
    assert luminance == pytest.approx(wide[lines].mean() / peak, rel=1e-12)
    assert sharpness == pytest.approx(bend.std() / peak, rel=1e-9)


@pytest.mark.parametrize("channel", range(3))
def test_flat_is_what_differs_hardly_anywhere_in_any_colour(channel: int) -> None:
    image = np.full((64, 64, 3), (0, 120, 255), np.uint8)
    assert is_flat(image)
    here = int(image[0, 0, channel])
    towards = -1 if here > 200 else 1
    image[40, 3, channel] = here + towards * FLAT_SPREAD
    assert is_flat(image)
    image[40, 3, channel] = here + towards * (FLAT_SPREAD + 1)
    assert not is_flat(image)


def test_a_fade_is_flat_near_its_end_and_print_on_black_is_not() -> None:
    rng = np.random.default_rng(5)
    scene = rng.integers(256, size=(64, 64, 3)).astype(float)
    assert [is_flat((scene * light).astype(np.uint8)) for light in (0.0, 0.05, 0.1, 1.0)] == [
        *(True, True, False, False)
    ]
    scaled = InputScaler(Framing(64))
    black = np.zeros((1080, 1920, 3), np.uint8)
    black[...] += rng.integers(0, 9, black.shape, np.uint8)  # as a dark sensor's noise
    assert is_flat(scaled(av.VideoFrame.from_ndarray(black, "rgb24")))
    black[900:912, 800:1100] = 255  # a line of small print
    assert not is_flat(scaled(av.VideoFrame.from_ndarray(black, "rgb24")))


def test_sharpness_of_sixteen_bits_does_not_overflow() -> None:
    rng = np.random.default_rng(0)
    noise = (rng.integers(0, 2, (64, 64)) * 65535).astype(np.uint16)
    wide = luminance_and_sharpness(av.VideoFrame.from_ndarray(noise, "gray16le"))
    eight = (noise >> 8).astype(np.uint8)
    assert wide == pytest.approx(
        luminance_and_sharpness(av.VideoFrame.from_ndarray(eight, "gray")), abs=1e-6
    )
