"""High dynamic range (BT.2100 PQ and HLG) as an ordinary screen shows it: our own curve.

1. Signal to light. PQ by its EOTF (SMPTE ST 2084); HLG by its inverse OETF and the OOTF of a
   screen of 1000 cd/m² (ARIB STD-B67, BT.2100: system gamma 1.2). Then reference white is 203 cd/m²
   in both (BT.2408).
2. The brightest of R, G and B goes through the curve of BT.2390 (EETF, a Hermite spline from its
   knee on) from 1000 to 203 cd/m², and all three are scaled alike, which keeps the hue. What is
   brighter than 1000 cd/m² is white. Up to 98 cd/m² nothing is changed.
3. BT.2020 to BT.709 primaries (BT.2087); what lies outside is clipped.
4. Light to signal by the inverse of BT.1886 (gamma 2.4), as for other video.

All is done in whole numbers by tables, and each entry of a table is its formula's value correctly
rounded: the same bits on every machine. No metadata of the file is used, so that equal signals
look alike in all files.
"""

from collections.abc import Callable, Iterable
from decimal import Decimal, localcontext
from fractions import Fraction
from functools import cache, lru_cache
from math import floor
from typing import Any

import numpy as np
from numpy.typing import NDArray

PQ, HLG = 16, 18
"""TransferCharacteristics of ITU-T H.273."""

PEAK_CD_M2, WHITE_CD_M2 = 1000, 203

SIGNAL = 65535
"""The largest signal."""

LIGHT = 1 << 20
"""Of scenes and of ordinary screens the whole; of high dynamic range PEAK_CD_M2."""

BRIGHTEST = 10 * LIGHT
"""10,000 cd/m², the end of PQ."""

GAIN_BITS, MATRIX_BITS = 14, 24
"""Binary places of factors."""

STEP_BITS, FINE_BITS = 8, 2
"""Factors are tabled at steps of 256 units of light, those of dark scenes at steps of 4, and
interpolated."""

DARK = LIGHT >> 6

TO_BT709 = (
    (27_858_416, -9_858_982, -1_222_218),
    (-2_089_610, 19_006_906, -140_080),
    (-304_519, -1_687_434, 18_769_169),
)
"""From linear BT.2020 in units of 2**-24, out of the chromaticities; each line adds up to 1."""

BAND_LINES = 32
"""Lines done together: what they become stays in a core's cache."""

Number = Any
"""float or Decimal."""


def is_hdr(transfer: int) -> bool:
    """Whether a frame's transfer characteristics are PQ's or HLG's."""
    return transfer in (PQ, HLG)


def tone_map(image: NDArray[np.uint16], transfer: int) -> NDArray[np.uint8]:
    """Make an ordinary picture.

    Args:
        image: (height, width, 3) BT.2020 R'G'B' or (height, width) grey, over all of 16 bits.
        transfer: PQ or HLG.

    Returns:
        (height, width, 3) BT.709 R'G'B'.
    """
    if image.ndim == 2:
        image = np.repeat(image[..., None], 3, axis=2)
    mapped = np.empty(image.shape, np.uint8)
    for start in range(0, len(image), BAND_LINES):
        band = slice(start, start + BAND_LINES)
        light = (_pq_light if transfer == PQ else _hlg_light)(image[band])
        gain = _between(_tone_gain(), light.max(axis=-1), STEP_BITS)
        shown = (light * gain[..., None]) >> GAIN_BITS
        ordinary = (shown @ np.array(TO_BT709, np.int64).T) >> MATRIX_BITS
        mapped[band] = _signal()[ordinary.clip(0, LIGHT)]
    return mapped


def _pq_light(image: NDArray[np.uint16]) -> NDArray[np.int64]:
    """(..., 3) light of a screen in units of PEAK_CD_M2 / LIGHT."""
    return _pq_table()[image]


def _hlg_light(image: NDArray[np.uint16]) -> NDArray[np.int64]:
    """The same: what the scene had, brightened by how bright it was as a whole."""
    scene = _hlg_table()[image]
    whole = scene @ np.array([2627, 6780, 593], np.int64) // 10_000
    fine, coarse = _hlg_gain()
    gain = np.where(
        whole < DARK,
        _between(fine, np.minimum(whole, DARK - 1), FINE_BITS),
        _between(coarse, whole, STEP_BITS),
    )
    return (scene * gain[..., None]) >> GAIN_BITS


def _between(table: NDArray[np.int64], value: NDArray[np.int64], bits: int) -> NDArray[np.int64]:
    """Look values up in a table of every 2**bits-th."""
    place = value >> bits
    low, high = table[place], table[place + 1]
    return low + (((high - low) * (value & ((1 << bits) - 1))) >> bits)


@cache
def _pq_table() -> NDArray[np.int64]:
    def light(code: Number) -> Number:
        return pq_to_cd_m2(code / SIGNAL) / PEAK_CD_M2 * LIGHT

    return _table(light, range(SIGNAL + 1))


@cache
def _hlg_table() -> NDArray[np.int64]:
    def scene(code: Number) -> Number:
        return hlg_to_scene(code / SIGNAL) * LIGHT

    return _table(scene, range(SIGNAL + 1))


@cache
def _hlg_gain() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Factors by the scene's luminance: of dark ones at fine steps, and of all."""

    def gain(whole: Number) -> Number:
        return (whole / LIGHT) ** _as(whole, "0.2") * 2**GAIN_BITS

    fine, coarse = 1 << FINE_BITS, 1 << STEP_BITS
    return (
        _table(gain, range(0, DARK + fine, fine)),
        _table(gain, range(0, LIGHT + 2 * coarse, coarse)),
    )


@cache
def _tone_gain() -> NDArray[np.int64]:
    """Factors from a screen's light to an ordinary screen's, by the brightest colour's."""

    def gain(brightest: Number) -> Number:
        light = brightest / LIGHT * PEAK_CD_M2
        kept = compressed(light) / light if light else 1
        return kept * PEAK_CD_M2 / WHITE_CD_M2 * 2**GAIN_BITS

    step = 1 << STEP_BITS
    return _table(gain, range(0, BRIGHTEST + 2 * step, step))


@cache
def _signal() -> NDArray[np.uint8]:
    """(LIGHT + 1,) 8-bit signal of an ordinary screen's light."""

    def least(half: Number) -> Number:
        return (half / 510) ** _as(half, "2.4") * LIGHT

    first = np.maximum(_table(least, range(1, 510, 2)), 1)  # no light is black
    return np.searchsorted(first, np.arange(LIGHT + 1), side="right").astype(np.uint8)


def pq_to_cd_m2(signal: Number) -> Number:
    """ST 2084's EOTF: 0 to 1 becomes 0 to 10,000 cd/m²."""
    m1, m2, c1, c2, c3 = _pq_constants(signal.__class__)
    root = signal ** (1 / m2)
    above = max(root - c1, root * 0)
    return 10_000 * (above / (c2 - c3 * root)) ** (1 / m1)


def cd_m2_to_pq(light: Number) -> Number:
    """Its inverse."""
    m1, m2, c1, c2, c3 = _pq_constants(light.__class__)
    root = (light / 10_000) ** m1
    return ((c1 + c2 * root) / (1 + c3 * root)) ** m2


@lru_cache(maxsize=2)
def _pq_constants(kind: Callable[..., Number]) -> tuple[Number, ...]:
    """m1, m2, c1, c2, c3."""
    m1, m2 = kind(2610) / 16384, kind(2523) / 32
    return m1, m2, kind(3424) / 4096, kind(2413) / 128, kind(2392) / 128


def hlg_to_scene(signal: Number) -> Number:
    """ARIB STD-B67's inverse OETF: 0 to 1 becomes a scene's light, 0 to 1."""
    if 2 * signal <= 1:
        return signal * signal / 3
    a, b, c = (_as(signal, text) for text in ("0.17883277", "0.28466892", "0.55991073"))
    e = _as(signal, "2.718281828459045235360287471352662498")
    return (e ** ((signal - c) / a) + b) / 12


def compressed(light: Number) -> Number:
    """BT.2390's EETF from 1000 cd/m² to 203 cd/m², without its lift of black: cd/m² to cd/m²."""
    one = light / light
    whole = cd_m2_to_pq(one * PEAK_CD_M2)
    most = cd_m2_to_pq(one * WHITE_CD_M2) / whole
    signal = min(cd_m2_to_pq(light) / whole, one)
    knee = (3 * most - 1) / 2
    if signal < knee:
        return light
    t = (signal - knee) / (1 - knee)
    curve = (
        (2 * t**3 - 3 * t**2 + 1) * knee
        + (t**3 - 2 * t**2 + t) * (1 - knee)
        + (3 * t**2 - 2 * t**3) * most
    )
    return pq_to_cd_m2(curve * whole)


def _as(like: Number, text: str) -> Number:
    """A constant as another number's type."""
    return type(like)(text)


def _table(formula: Callable[[Number], Number], values: Iterable[int]) -> NDArray[np.int64]:
    """A formula's values, correctly rounded: in decimals where floats might round another way."""
    return np.array([_rounded(formula, value) for value in values], np.int64)


def _rounded(formula: Callable[[Number], Number], value: int) -> int:
    near = formula(float(value))
    # A machine's own `pow` is off by less than 1e-13 of a value, and no value is above 2**24.
    if abs(near - floor(near) - 0.5) > 1e-4:
        return round(near)
    with localcontext() as context:
        context.prec = 40
        return floor(Fraction(formula(Decimal(value))) + Fraction(1, 2))
