"""The brush that the demo's pictures are drawn with: smooth shapes, light, hills and trees."""

from collections.abc import Sequence
from functools import cache
from math import sin

import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFont

WIDTH, HEIGHT = 640, 360
Points = Sequence[tuple[float, float]]


class Picture:
    """A canvas drawn at twice its size, so that edges come out smooth; units are final pixels."""

    def __init__(self, *sky: str, size: tuple[int, int] = (WIDTH, HEIGHT)) -> None:
        stops = np.array([ImageColor.getrgb(colour) for colour in sky])
        rows = np.linspace(0, len(stops) - 1, 2 * size[1])
        ramp = [np.interp(rows, np.arange(len(stops)), stops[:, i]) for i in range(3)]
        column = Image.fromarray(np.rint(np.stack(ramp, axis=-1)).astype(np.uint8)[:, None])
        self._use(column.resize((2 * size[0], 2 * size[1]), Image.Resampling.NEAREST))

    def _use(self, image: Image.Image) -> "Picture":
        self.image, self._pen = image, ImageDraw.Draw(image, "RGBA")
        return self

    def copy(self) -> "Picture":
        return Picture.__new__(Picture)._use(self.image.copy())

    def blend(self, other: "Picture", weight: float) -> "Picture":
        return Picture.__new__(Picture)._use(Image.blend(self.image, other.image, weight))

    def pixels(self) -> np.ndarray:
        """(height, width, 3) uint8 RGB."""
        return np.asarray(self.image.reduce(2))

    def shape(self, colour: str, points: Points) -> None:
        self._pen.polygon([(2 * x, 2 * y) for x, y in points], fill=colour)

    def box(self, colour: str, x0: float, y0: float, x1: float, y1: float) -> None:
        self._pen.rectangle((2 * x0, 2 * y0, 2 * x1, 2 * y1), fill=colour)

    def disc(self, colour: str, x: float, y: float, rx: float, ry: float | None = None) -> None:
        ry = rx if ry is None else ry
        self._pen.ellipse((2 * (x - rx), 2 * (y - ry), 2 * (x + rx), 2 * (y + ry)), fill=colour)

    def line(self, colour: str, points: Points, width: float = 1) -> None:
        self._pen.line([(2 * x, 2 * y) for x, y in points], colour, round(2 * width), "curve")

    def text(self, colour: str, x: float, y: float, size: float, words: str) -> None:
        font = ImageFont.load_default(2 * size)
        self._pen.text((2 * x, 2 * y), words, colour, font, anchor="mm")

    def glow(self, colour: str, x: float, y: float, radius: int) -> None:
        mask = _halo(2 * radius)
        self.image.paste(colour, (round(2 * x) - 2 * radius, round(2 * y) - 2 * radius), mask)

    def hills(self, colour: str, level: float, rise: float, seed: int, shift: float = 0) -> None:
        """A skyline of hills from the picture's left to right edge, filled down to its foot."""
        phase = np.random.default_rng(seed).uniform(0, 6, 4)
        x = np.arange(-8, WIDTH + 9, 6.0)
        waves = [np.sin((x + shift) / (96 / k) + phase[k - 1]) / k for k in range(1, 5)]
        tops = level - rise * np.sum(waves, axis=0)
        self.shape(colour, [(-8, HEIGHT), *zip(x, tops, strict=True), (WIDTH + 8, HEIGHT)])

    def fir(self, colour: str, x: float, y: float, height: float) -> None:
        for part in (0.0, 0.25, 0.5):
            half, top = height * (0.13 + 0.18 * part), y - height * (1 - part * 0.9)
            foot = y - height * (0.5 - part)
            self.shape(colour, [(x - half * 1.2, foot), (x, top), (x + half * 1.2, foot)])

    def tree(self, colour: str, x: float, y: float, height: float) -> None:
        self.box("#4a3423", x - height / 20, y - height / 2, x + height / 20, y)
        for dx, dy, r in ((-0.18, 0.55, 0.22), (0.18, 0.55, 0.22), (0, 0.75, 0.26)):
            self.disc(colour, x + dx * height, y - dy * height, r * height)


@cache
def _halo(radius: int) -> Image.Image:
    axis = np.linspace(-1, 1, 2 * radius) ** 2
    light = np.clip(1 - np.sqrt(axis[:, None] + axis), 0, 1) ** 2
    return Image.fromarray((230 * light).astype(np.uint8))


def scatter(seed: int, count: int, x: float, y: float) -> list[tuple[float, float, float]]:
    """Fixed random places in a rectangle from the corner, each with a number from 0 to 1."""
    draws = np.random.default_rng(seed).uniform(0, 1, (count, 3)) * (x, y, 1)
    return [(float(a), float(b), float(c)) for a, b, c in draws]


def glitter(
    picture: Picture, colour: str, horizon: float, x: float, spread: float, t: float
) -> None:
    """Light on water below a horizon: dashes around x, wider towards the viewer."""
    for a, b, c in scatter(11, 90, 1, 1):
        reach = spread * (0.25 + b) * (a - 0.5) * 2
        centre, y = x + reach + 5 * sin(9 * c + 4 * t), horizon + 3 + b * (HEIGHT - horizon)
        half = 4 + 22 * b * c
        picture.line(colour, [(centre - half, y), (centre + half, y)], 1 + 1.5 * b)
