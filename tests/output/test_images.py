import io
from pathlib import PurePosixPath

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from coreframe.tasks.errors import UsageError
from coreframe.tasks.output.images import PictureSettings, Resize, file_stems
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
