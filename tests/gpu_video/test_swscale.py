"""libswscale's scaler in integer torch: the same integers, for every format."""

from typing import Any

import numpy as np
import pytest
import torch
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from hypothesis import given, settings
from hypothesis import strategies as st

from coreframe.tasks.gpu_video.swscale import (
    MATRICES,
    SUPPORT,
    Picture,
    Scaler,
    Siting,
    Unscalable,
    line_filter,
)
from coreframe.tasks.video.pixels import KERNELS, SCALING
from coreframe.tasks.video.planes import all_lines

CPU = torch.device("cpu")
CENTER = Siting(128, 128)
"""Of frames whose file does not say: libswscale takes it for granted."""

KINDS = ["noise", "stripes", "white", "black", "colours"]


def painted(width: int, height: int, bits: int, kind: str, seed: int = 0) -> VideoFrame:
    """A frame of 4:2:0 whose samples go from one end to the other."""
    rng = np.random.default_rng(seed)
    frame = VideoFrame(width, height, "yuv420p" if bits == 8 else f"yuv420p{bits}le")
    peak, dtype = (1 << bits) - 1, np.uint8 if bits == 8 else np.uint16
    for number, plane in enumerate(frame.planes):
        count = plane.buffer_size // np.dtype(dtype).itemsize
        samples = rng.integers(0, peak + 1, count)
        if kind in ("white", "black"):
            samples = np.full(count, peak * (kind == "white"))
        elif kind == "stripes":
            samples = rng.integers(0, 2, count) * peak
        elif kind == "colours":
            samples = np.full(count, peak if number == 0 else rng.integers(0, 2) * peak)
        plane.update(samples.astype(dtype).tobytes())
    return frame


def planes(frame: VideoFrame, bits: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(1, height, width) luma and (1, 2, height / 2, width / 2) chroma, int32."""
    lines = (np.ascontiguousarray(one) for one in all_lines(frame))
    wide = [one.view(np.uint16) if bits > 8 else one for one in lines]
    luma, cb, cr = (torch.from_numpy(one.astype(np.int32)) for one in wide)
    return luma[None], torch.stack([cb, cr])[None]


def by_library(frame: VideoFrame, width: int, height: int, kernel: Any) -> np.ndarray:
    flags = KERNELS[kernel] | SCALING
    return (
        VideoReformatter()
        .reformat(frame, width=width, height=height, format="rgb24", interpolation=flags, threads=1)
        .to_ndarray()
    )


def check(frame: VideoFrame, bits: int, side: int, kernel: Any, matrix: int, full: bool) -> None:
    frame.colorspace, frame.color_range = matrix, 2 if full else 1
    picture = Picture(frame.width, frame.height, bits, matrix, full, CENTER)
    found = Scaler(picture, side, side, kernel, CPU)(*planes(frame, bits))
    assert np.array_equal(found[0].numpy(), by_library(frame, side, side, kernel))


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.parametrize("bits", [8, 10, 12])
def test_every_matrix_range_and_depth_is_the_librarys(bits: int, matrix: int, full: bool) -> None:
    for kind in KINDS:
        check(painted(256, 201, bits, kind), bits, 64, "area", matrix, full)


@pytest.mark.parametrize("kernel", SUPPORT)
@pytest.mark.parametrize(
    ("width", "height"),
    [(1920, 1080), (641, 361), (130, 195), (720, 576), (1279, 719), (480, 640)],
)
def test_every_size_and_kernel_is_the_librarys(kernel: Any, width: int, height: int) -> None:
    for bits in (8, 10):
        check(painted(width, height, bits, "stripes"), bits, 64, kernel, 1, False)


@settings(max_examples=60)
@given(
    st.integers(2, 20),
    st.integers(50, 320),
    st.integers(50, 320),
    st.sampled_from(sorted(SUPPORT)),
    st.sampled_from([8, 10]),
    st.sampled_from(sorted(MATRICES)),
    st.booleans(),
    st.integers(0, 2**16),
)
def test_so_is_any_other(
    side: int,
    width: int,
    height: int,
    kernel: Any,
    bits: int,
    matrix: int,
    full: bool,
    seed: int,
) -> None:
    frame = painted(width, height, bits, "noise", seed)
    try:
        check(frame, bits, side, kernel, matrix, full)
    except Unscalable:
        assert height < 3 * side or max(width, height) > 30 * side


@pytest.mark.parametrize("siting", [Siting(0, 128), Siting(128, 128), Siting(0, 0), Siting(0, 256)])
@pytest.mark.parametrize(("source", "target"), [(960, 64), (97, 64), (40, 64), (64, 64)])
def test_weights_add_up_wherever_chroma_lies(source: int, target: int, siting: Siting) -> None:
    for place in siting:
        weights, taps = line_filter(source, target, 1 << 14, (place + 128) >> 1, "area")
        assert (weights.sum(axis=1) == 1 << 14).all()
        assert (weights != 0).sum(axis=1).max() <= taps


def test_by_definition_an_area_is_a_mean_where_sizes_divide() -> None:
    weights, taps = line_filter(256, 64, 1 << 14, 128, "area")
    assert taps == 4
    assert np.array_equal(weights, np.kron(np.eye(64, dtype=np.int64), np.full((1, 4), 1 << 12)))


def test_what_the_library_does_in_another_way_is_left_to_it() -> None:
    def make(width: int, height: int, kernel: Any = "area", matrix: int = 1) -> Scaler:
        return Scaler(Picture(width, height, 8, matrix, False, CENTER), 64, 64, kernel, CPU)

    make(640, 480)
    for arguments in [(100, 64), (640, 65), (640, 480, "lanczos"), (640, 480, "area", 10)]:
        with pytest.raises(Unscalable):
            make(*arguments)
    with pytest.raises(Unscalable, match="9000x480 pixels to 64x64 by area"):
        make(9000, 480)
