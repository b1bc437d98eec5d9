import math

import av
import numpy as np
import pytest

from coreframe.tasks.video.colours import to_deep
from coreframe.tasks.video.pixels import Framing, InputScaler, upright_deep, upright_rgb
from coreframe.tasks.video.tone_map import HLG, PQ, tone_map
from coreframe.tasks.video.viewing import Crop, Viewing
from tests.video.test_colours import colourful, deep

BT709, BT2020 = 1, 9
MAPPED, PLAIN = Viewing(tone_map=True), Viewing(tone_map=False)
XYZ = {  # of red, green, blue and white: CIE 1931 chromaticities in BT.2020 and BT.709
    BT2020: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), (0.3127, 0.3290)),
    BT709: ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060), (0.3127, 0.3290)),
}


def to_xyz(primaries: int) -> np.ndarray:
    """(3, 3) from linear RGB, from the chromaticities."""
    columns = np.array([(x / y, 1, (1 - x - y) / y) for x, y in XYZ[primaries]]).T
    return columns[:, :3] * np.linalg.solve(columns[:, :3], columns[:, 3])


def pq_light(signal: np.ndarray) -> np.ndarray:
    """cd/m² after BT.2100, table 4."""
    root = signal ** (32 / 2523)
    above = np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)
    return 10_000 * above ** (16384 / 2610)


def pq_signal(light: np.ndarray) -> np.ndarray:
    root = (light / 10_000) ** (2610 / 16384)
    return ((0.8359375 + 18.8515625 * root) / (1 + 18.6875 * root)) ** (2523 / 32)


def hlg_light(signal: np.ndarray) -> np.ndarray:
    """cd/m² of a screen of 1000 cd/m² after BT.2100, table 5."""
    a, b, c = 0.17883277, 1 - 4 * 0.17883277, 0.5 - 0.17883277 * math.log(4 * 0.17883277)
    scene = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
    whole = scene @ (0.2627, 0.6780, 0.0593)
    return 1000 * whole[..., None] ** 0.2 * scene


def eetf(light: np.ndarray) -> np.ndarray:
    """BT.2390, 5.4.1: from 1000 to 203 cd/m², no lift of black."""
    most = pq_signal(np.array(203)) / pq_signal(np.array(1000))
    signal = np.minimum(pq_signal(light) / pq_signal(np.array(1000)), 1)
    knee = 1.5 * most - 0.5
    t = (signal - knee) / (1 - knee)
    spline = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee)
    spline += (3 * t**2 - 2 * t**3) * most
    return pq_light(np.where(signal < knee, signal, spline) * pq_signal(np.array(1000)))


def expected(image: np.ndarray, transfer: int) -> np.ndarray:
    """(height, width, 3) float, 0 to 255, by the Recommendations' formulas in floating point."""
    light = (pq_light if transfer == PQ else hlg_light)(image / 65535)
    brightest = np.maximum(light.max(axis=-1, keepdims=True), 1e-9)
    shown = light * eetf(brightest) / brightest / 203
    shown = shown @ (np.linalg.inv(to_xyz(BT709)) @ to_xyz(BT2020)).T
    return 255 * shown.clip(0, 1) ** (1 / 2.4)


def of(image: np.ndarray, transfer: int) -> av.VideoFrame:
    frame = av.VideoFrame.from_ndarray(image, format="rgb48le")
    frame.color_trc = transfer
    return frame


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_the_curve_is_that_of_the_recommendations(transfer: int) -> None:
    image = np.random.default_rng(0).integers(0, 65536, (64, 64, 3)).astype(np.uint16)
    image[:32] //= 3  # and dark ones
    mine = tone_map(image, transfer).astype(float)
    assert np.abs(mine - expected(image, transfer)).max() < 1.6  # rounding
    assert np.abs(mine - expected(image, transfer)).mean() < 0.3
    assert np.array_equal(upright_rgb(of(image, transfer), MAPPED), mine)


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_grey_stays_grey_and_grows(transfer: int) -> None:
    ramp = np.arange(0, 65536, 16, dtype=np.uint16)[None]
    mapped = tone_map(ramp, transfer)
    assert (mapped == mapped[..., :1]).all()
    assert (np.diff(mapped[0, :, 0].astype(int)) >= 0).all()
    assert (mapped[0, 0, 0], mapped[0, -1, 0]) == (0, 255)


def test_reference_white_is_light_and_what_is_brighter_still_differs() -> None:
    light = np.array([[0.0, 98, 203, 400, 700, 1000, 10_000]])
    signal = np.rint(pq_signal(light) * 65535).astype(np.uint16)
    assert tone_map(signal, PQ)[0, :, 0].tolist() == [0, 188, 230, 250, 255, 255, 255]
    three_quarters = np.full((1, 1), 0.75 * 65535, np.uint16)
    assert abs(int(tone_map(three_quarters, HLG)[0, 0, 0]) - 230) <= 1


def test_the_same_bits_everywhere() -> None:
    """These were computed once; another machine or version must not give others."""
    image = colourful(40, 30)
    assert [int(tone_map(image, transfer).astype(np.int64).sum()) for transfer in (PQ, HLG)] == SUMS
    whole = tone_map(image, PQ)
    parts = [tone_map(image[start : start + 7], PQ) for start in range(0, 30, 7)]
    assert np.array_equal(np.concatenate(parts), whole)


SUMS = [429868, 462926]


@pytest.mark.parametrize("transfer", [0, 1, 2, 6, 9, 13, 14, 15, 19])
def test_other_transfers_are_left_alone(transfer: int) -> None:
    frame = deep("yuv420p10le")
    frame.color_trc = transfer
    assert np.array_equal(upright_rgb(frame, MAPPED), upright_rgb(frame, PLAIN))
    assert np.array_equal(upright_deep(frame, MAPPED), to_deep(deep("yuv420p10le")))
    scaled = [InputScaler(Framing(32), viewing)(frame) for viewing in (MAPPED, PLAIN)]
    assert np.array_equal(*scaled)


@pytest.mark.parametrize("form", ["yuv420p10le", "yuv422p12le", "gbrp10le", "gray10le", "yuv420p"])
def test_what_is_exported_and_embedded_is_mapped(form: str) -> None:
    frame = deep(form)
    frame.color_trc = HLG
    assert upright_deep(frame, PLAIN).dtype == (np.uint8 if form == "yuv420p" else np.uint16)
    mapped = upright_deep(frame, MAPPED)
    assert (mapped.dtype, mapped.shape) == (np.uint8, (50, 66, 3))
    assert np.array_equal(mapped, tone_map(to_deep(frame), HLG))
    shown = av.VideoFrame.from_ndarray(mapped, format="rgb24")
    for crop in (None, Crop(40, 30, 6, 8)):
        small = InputScaler(Framing(32), Viewing(crop, tone_map=True))(frame).astype(int)
        near = InputScaler(Framing(32), Viewing(crop))(shown)
        assert np.abs(small - near).mean() < 6  # scaled first, then mapped
        plain = InputScaler(Framing(32), Viewing(crop, tone_map=False))(frame)
        assert np.abs(small - plain).mean() > 6
