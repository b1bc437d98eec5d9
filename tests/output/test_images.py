import io
from pathlib import PurePosixPath

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from coreframe.tasks.errors import UsageError
from coreframe.tasks.output.images import (
    AREA_LIMIT_PX,
    SIDE_LIMITS_PX,
    ImageFormat,
    PictureSettings,
    Resize,
    encode,
    file_stems,
)
from tests.videos import scenes


@given(st.lists(st.text(min_size=1, max_size=40), min_size=1, max_size=8, unique=True))
def test_stems_are_safe_and_never_collide(paths: list[str]) -> None:
    stems = file_stems(dict(enumerate(paths)))
    assert len({stem.casefold() for stem in stems.values()}) == len(paths)
    for stem in stems.values():
        name = f"{stem}_000001.png"
        assert PurePosixPath(name).name == name
        assert not name.startswith((".", "-"))
        assert len(name.encode()) <= 255
        assert name.isprintable()


def test_stems_are_readable() -> None:
    paths = {0: "day 1/cam-a.mp4", 1: "cam-a.mp4", 2: "cam-a.mkv", 3: "Küche.mov", 4: "../../etc"}
    assert file_stems(paths) == {
        0: "day_1__cam-a",
        1: "cam-a~1",
        2: "cam-a~2",
        3: "Küche",
        4: "__..__etc",
    }


def test_stems_of_long_paths_differ_and_do_not_depend_on_other_videos() -> None:
    long = "camera " * 30
    paths = {0: f"{long}1.mp4", 1: f"{long}2.mp4", 2: "é" * 125, 3: f"{long}/{long}/x.mp4"}
    stems = file_stems(paths)
    assert len(set(stems.values())) == 4
    assert all(len(stem.encode()) <= 140 and "~x" in stem for stem in stems.values())
    assert {number: file_stems({number: path})[number] for number, path in paths.items()} == stems


@pytest.mark.parametrize(
    ("text", "size"),
    [("40x20", (40, 20)), ("40x", (40, 27)), ("x20", (30, 20)), ("40X20", (40, 20))],
)
def test_resize(text: str, size: tuple[int, int]) -> None:
    settings = PictureSettings(resize=Resize.parse(text))
    data = settings.encode(settings.sized(scenes(0, 60, 40)))
    assert Image.open(io.BytesIO(data)).size == size


@pytest.mark.parametrize("wrong", ["", "x", "40", "0x20", "ax20", "40x20x3"])
def test_wrong_resize_is_named(wrong: str) -> None:
    with pytest.raises(UsageError, match="resize"):
        Resize.parse(wrong)


def test_formats() -> None:
    image = scenes(3, 96, 64)
    picture = PictureSettings().sized(image)
    png = PictureSettings().encode(picture)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(png))), image)
    assert PictureSettings().encode(picture) == png
    for form in ("jpg", "webp"):
        low, high = (PictureSettings(format=form, quality=q).encode(picture) for q in (10, 95))
        assert len(low) < len(high)
        decoded = np.asarray(Image.open(io.BytesIO(high)).convert("RGB")).astype(int)
        assert np.abs(decoded - image).mean() < 8
    with pytest.raises(UsageError, match="gif"):
        PictureSettings(format="gif")
    with pytest.raises(UsageError, match="quality 0"):
        PictureSettings(quality=0)


@pytest.mark.parametrize("format", [ImageFormat.JPG, ImageFormat.WEBP])
def test_formats_hold_what_is_said(format: ImageFormat) -> None:
    limit, settings = SIDE_LIMITS_PX[format], PictureSettings(format=format)
    for size in ((limit, 1), (1, limit)):
        assert settings.refusal(*size) == ""
        assert (
            Image.open(io.BytesIO(encode(np.zeros((*size[::-1], 3), np.uint8), format))).size
            == size
        )
    for size in ((limit + 1, 1), (1, limit + 1)):
        assert settings.refusal(*size)
        with pytest.raises((OSError, ValueError)):
            encode(np.zeros((*size[::-1], 3), np.uint8), format)


def test_png_is_as_large_as_what_reads_it_allows() -> None:
    assert Image.MAX_IMAGE_PIXELS is not None
    assert 2 * Image.MAX_IMAGE_PIXELS == AREA_LIMIT_PX
    longest = (SIDE_LIMITS_PX[ImageFormat.PNG], 1)
    assert PictureSettings().refusal(*longest) == ""
    data = encode(np.zeros((*longest[::-1], 3), np.uint8), ImageFormat.PNG)
    assert Image.open(io.BytesIO(data)).size == longest


@pytest.mark.parametrize(
    ("picture", "size", "sentence"),
    [
        (
            PictureSettings(format=ImageFormat.JPG),
            (8, 70_000),
            "JPEG holds at most 65,500 px a side, and the picture is 8 x 70,000 px: select again "
            "with --format png, or with --resize to at most 65,500 px",
        ),
        (
            PictureSettings(Resize.parse("x360"), ImageFormat.WEBP),
            (17_000, 32),
            "WebP holds at most 16,383 px a side, and the picture would be 191,250 x 360 px: "
            "select again with --format png, or with --resize to at most 16,383 px",
        ),
        (
            PictureSettings(),
            (1_000_001, 2),
            "PNG holds at most 1,000,000 px a side, and the picture is 1,000,001 x 2 px: select "
            "again with --resize to at most 1,000,000 px",
        ),
        (
            PictureSettings(Resize.parse("20000x10000")),
            (640, 320),
            "Pillow and what is built on it read at most 178,956,970 px in all, and the picture "
            "would be 20,000 x 10,000 px: select again with --resize to at most that",
        ),
        (
            PictureSettings(Resize.parse("20000x"), ImageFormat.WEBP),
            (640, 480),
            "Pillow and what is built on it read at most 178,956,970 px in all, and the picture "
            "would be 20,000 x 15,000 px: select again with --resize to at most that",
        ),
    ],
)
def test_a_picture_that_is_too_large_is_refused_with_what_to_do(
    picture: PictureSettings, size: tuple[int, int], sentence: str
) -> None:
    assert picture.refusal(*size) == sentence
