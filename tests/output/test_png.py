import io

import av
import numpy as np
import pytest
from PIL import Image

from coreframe.tasks.output.images import ImageFormat, PictureSettings, Pixels, Resize
from coreframe.tasks.output.thumbnails import small_picture
from tests.video.test_colours import colourful

GREY, COLOUR = colourful()[..., 0], colourful()


def decoded(png: bytes) -> np.ndarray:
    with av.open(io.BytesIO(png)) as container:
        frame = next(container.decode(video=0))
        form = "gray16le" if frame.format.name == "gray16be" else "rgb48le"
        return frame.reformat(format=form).to_ndarray()


@pytest.mark.parametrize("image", [GREY, COLOUR])
def test_sixteen_bits_come_back(image: np.ndarray) -> None:
    png = PictureSettings().encode(image)
    assert np.array_equal(decoded(png), image)
    assert PictureSettings().encode(image) == png
    opened = Image.open(io.BytesIO(png))
    assert (opened.mode, opened.info) == ("I;16" if image.ndim == 2 else "RGB", {"aspect": (1, 1)})
    assert np.array_equal(np.asarray(opened), image if image.ndim == 2 else image >> 8)


@pytest.mark.parametrize("image", [GREY, COLOUR])
def test_resizing_keeps_sixteen_bits(image: np.ndarray) -> None:
    settings = PictureSettings(Resize(33, 25))
    small = settings.sized(image)
    assert (small.dtype, small.shape) == (np.uint16, (25, 33, *image.shape[2:]))
    eight = settings.sized(as_rgb(image >> 8))
    assert np.abs(as_rgb(small).astype(int) - eight.astype(int) * 256).max() < 600
    assert len(np.unique(small & 255)) > 100
    flat = settings.sized(np.full_like(image, 65535))
    assert (flat == 65535).all()


def as_rgb(image: np.ndarray) -> np.ndarray:
    image = image if image.ndim == 3 else np.stack([image] * 3, -1)
    return image.astype(np.uint8) if image.max() < 256 else image


@pytest.mark.parametrize("image", [GREY, COLOUR])
def test_small_pictures_of_sixteen_bits_show_their_high_byte(image: Pixels) -> None:
    """Of the file, which Pillow opens as I;16 and would clip, and of the pixels: the same bytes."""
    png = PictureSettings().encode(image)
    small = small_picture(Image.open(io.BytesIO(png)), 40)
    shown = np.asarray(Image.open(io.BytesIO(small)).convert("RGB")).astype(int)
    plain = Image.fromarray(as_rgb(np.asarray(image) >> 8)).resize((shown.shape[1], shown.shape[0]))
    assert np.abs(shown - np.asarray(plain)).mean() < 8


def test_formats_of_eight_bits_get_the_high_byte() -> None:
    for form in (ImageFormat.JPG, ImageFormat.WEBP):
        data = PictureSettings(format=form).encode(COLOUR)
        shown = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)
        assert np.abs(shown - (COLOUR >> 8)).mean() < 8
