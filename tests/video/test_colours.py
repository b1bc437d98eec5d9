from pathlib import Path

import av
import numpy as np
import pytest

from coreframe.tasks.errors import BrokenVideoError, ColoursError
from coreframe.tasks.video.colours import to_deep, to_rgb
from coreframe.tasks.video.indexing import index_video
from coreframe.tasks.video.pixels import Framing, InputScaler, upright_deep, upright_rgb
from coreframe.tasks.video.viewing import Crop, Viewing
from tests.ffmpeg_command import ffmpeg, png_of, raw, raw_input
from tests.videos import Recipe, make, sequential_rgb

GREY = "gray9le gray10le gray12le gray14le gray16le gray16be ya16le grayf32le".split()  # noqa: SIM905
COLOUR = """
    yuv420p9le yuv420p10le yuv422p10le yuv422p12le yuv440p10le yuv444p16le p010le p210le gbrp10le
    yuva420p10le gbrp12le gbrp16le gbrpf32le gbrap10le rgb48le rgb48be rgba64le x2rgb10le y210le
    xyz12le
    """.split()  # noqa: SIM905 - a list would fill the screen
YCGCO, TV, PC = 8, 1, 2


def colourful(width: int = 66, height: int = 50, seed: int = 0) -> np.ndarray:
    """(height, width, 3) uint16 with every kind of value, noise in the low bits."""
    across = np.linspace(0, 65535, width)[None, :, None] * (1, 0.3, 0.6)
    down = np.linspace(0, 65535, height)[:, None, None] * (0, 0.7, 0.4)
    noise = np.random.default_rng(seed).integers(-3000, 3000, (height, width, 3))
    return (across + down + noise).clip(0, 65535).astype(np.uint16)


def deep(form: str) -> av.VideoFrame:
    return av.VideoFrame.from_ndarray(colourful(), format="rgb48le").reformat(
        format=form, threads=1
    )


@pytest.mark.integration
@pytest.mark.parametrize("form", GREY + COLOUR)
def test_deep_pictures_are_those_of_the_ffmpeg_command(form: str) -> None:
    frame = deep(form)
    seen, bits = png_of(frame)
    mine = upright_deep(frame)
    assert (bits, mine.dtype, mine.ndim) == (16, np.uint16, 2 if form in GREY else 3)
    assert np.array_equal(mine, seen)


def test_sixteen_bits_of_grey_lose_no_level() -> None:
    levels = np.arange(30_000, 30_000 + 64 * 64, dtype=np.uint16).reshape(64, 64)
    frame = av.VideoFrame.from_ndarray(levels, format="gray16le")
    assert np.array_equal(upright_deep(frame), levels)
    assert len(np.unique(upright_rgb(frame))) < 20


@pytest.mark.parametrize("form", ["yuv420p", "gray", "rgb24", "nv12", "monow"])
def test_eight_bits_stay_what_they_were(form: str) -> None:
    frame = av.VideoFrame.from_ndarray((colourful() >> 8).astype(np.uint8)).reformat(format=form)
    plain = frame.reformat(format="rgb24", threads=1).to_ndarray()
    assert upright_deep(frame).dtype == np.uint8
    assert np.array_equal(upright_deep(frame), plain)
    assert np.array_equal(upright_rgb(frame), plain)


def test_deep_pictures_are_cropped() -> None:
    for form in ("gray16le", "yuv420p10le"):
        whole = upright_deep(deep(form))
        part = upright_deep(deep(form), Viewing(Crop(30, 20, 5, 8)))
        assert np.array_equal(part, whole[8:28, 5:35])


@pytest.mark.integration
@pytest.mark.parametrize("color_range", [TV, PC])
@pytest.mark.parametrize("form", ["yuv444p", "yuv444p10le", "yuv444p12le"])
def test_ycgco_is_that_of_another_library(form: str, color_range: int) -> None:
    """zimg, in the ffmpeg command; libswscale refuses it there, too."""
    frame = deep(form)
    given = f"setparams=colorspace=ycgco:range={'tv' if color_range == TV else 'pc'}"
    wide = form != "yuv444p"
    target = "gbrp16le" if wide else "gbrp"
    chain = f"{given},zscale=matrix=gbr:range=full,format={target}"
    seen = ffmpeg(*raw_input(frame), "-vf", chain, "-f", "rawvideo", "-", given=raw(frame))
    planes = np.frombuffer(seen, "<u2" if wide else "u1").reshape(3, frame.height, frame.width)
    expected = np.stack([planes[2], planes[0], planes[1]], -1).astype(int)
    frame.colorspace, frame.color_range = YCGCO, color_range
    mine = (upright_deep if wide else upright_rgb)(frame)
    assert np.abs(mine.astype(int) - expected).max() <= wide  # zimg rounds 1 of 65535 another way
    assert int(frame.colorspace) == YCGCO


@pytest.mark.parametrize("form", ["yuv420p", "yuv422p", "nv12", "yuv420p10le"])
def test_ycgco_of_coarser_chroma_is_near_that_of_fine(form: str) -> None:
    """Of flat patches: only their edges may differ."""
    patches = np.random.default_rng(1).integers(3000, 12000, (4, 4, 3)).astype(np.uint16) * 5
    image = np.repeat(np.repeat(patches, 16, 0), 16, 1)
    fine, coarse = (
        av.VideoFrame.from_ndarray(image, format="rgb48le").reformat(format=one, threads=1)
        for one in ("yuv444p10le" if "10" in form else "yuv444p", form)
    )
    for frame in (fine, coarse):
        frame.colorspace = YCGCO
    inside = np.arange(64).reshape(4, 16)[:, 4:12].ravel()
    near = [to_rgb(frame).astype(int)[np.ix_(inside, inside)] for frame in (fine, coarse)]
    assert np.abs(near[0] - near[1]).max() <= 4


def test_a_derived_matrix_is_that_of_the_primaries() -> None:
    frame = deep("yuv420p")
    frame.colorspace, frame.color_primaries = 9, 9
    named = to_rgb(deep_as(frame, 9))
    assert (
        np.abs(to_rgb(deep_as(frame, 12)).astype(int) - named).max() <= 3
    )  # another interpolation
    frame.color_primaries = 22
    with pytest.raises(ColoursError, match="chromaticity-derived, matrix coefficients 12"):
        to_rgb(deep_as(frame, 12))


def deep_as(frame: av.VideoFrame, matrix: int) -> av.VideoFrame:
    frame.colorspace = matrix
    return frame


@pytest.mark.parametrize("form", ["gray16le", "gray", "gbrp", "gbrp10le", "rgb24"])
def test_what_has_no_matrix_needs_none(form: str) -> None:
    plain, odd = deep(form), deep(form)
    odd.colorspace = 10
    assert np.array_equal(to_rgb(odd), to_rgb(plain))
    assert np.array_equal(to_deep(odd), to_deep(plain))


def test_input_of_ycgco_is_its_picture() -> None:
    frame = deep("yuv444p")
    frame.colorspace = YCGCO
    shown = av.VideoFrame.from_ndarray(upright_rgb(frame), format="rgb24")
    assert np.array_equal(InputScaler(Framing(32))(frame), InputScaler(Framing(32))(shown))


def tagged(folder: Path, matrix: str) -> Path:
    """A small H.264 file whose colours are said to be of a matrix."""
    options = {"x264-params": f"colormatrix={matrix}"}
    return make(Recipe(f"{matrix}.mp4", pixel_format="yuv444p", options=options, frames=3), folder)


def test_a_matrix_that_nothing_here_knows_makes_a_broken_video(tmp_path: Path) -> None:
    with pytest.raises(BrokenVideoError, match=r"BT.2020 constant luminance.*coefficients 10"):
        index_video(tagged(tmp_path, "bt2020c"))
    facts, _ = index_video(tagged(tmp_path, "YCgCo"))
    assert facts.width == 96
    plain = sequential_rgb(tagged(tmp_path, "bt709"))
    assert len(plain) == 3
