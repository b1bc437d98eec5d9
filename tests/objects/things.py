"""Videos with small things that move over backgrounds which differ more than the things do."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tests.videos import RECIPES, make

WIDTH, HEIGHT, SIDE = 320, 240, 24
"""A thing takes 0.75 % of the picture."""

KINDS, VIDEOS, FRAMES, SCENE = 10, 5, 100, 5
"""A new background every SCENE frames."""

RARE_FRAMES = 4
"""In which each kind but the first is seen; that one is in nearly all."""


@dataclass(frozen=True)
class Thing:
    """Where a thing of some kind is seen."""

    video: str
    frame_index: int
    kind: int
    x: int
    y: int


def picture(kind: int) -> np.ndarray:
    """(SIDE, SIDE, 3) uint8: a colour of its own, with stripes of its own."""
    rng = np.random.default_rng(100 + kind)
    hue = np.array([np.cos(2 * np.pi * (kind / KINDS + third / 3)) for third in range(3)])
    y, x = np.mgrid[:SIDE, :SIDE]
    stripes = np.sin((x * np.cos(kind) + y * np.sin(kind)) * (0.4 + 0.1 * (kind % 4)))
    image = 128 + 90 * hue[None, None] + 35 * stripes[..., None]
    return (image + rng.normal(0, 2, image.shape)).clip(0, 255).astype(np.uint8)


def things(seed: int) -> list[Thing]:
    """What is seen where: at most one rare thing a frame, often beside a common one."""
    rng = np.random.default_rng(seed)
    found = []
    places = rng.permutation(VIDEOS * FRAMES)
    some = places[: (KINDS - 1) * RARE_FRAMES].tolist()
    rare = {place: 1 + number % (KINDS - 1) for number, place in enumerate(some)}
    for place in range(VIDEOS * FRAMES):
        kinds = [0] * int(rng.random() < 0.9)
        kinds += [rare[place]] if place in rare else []
        frame, left = place % FRAMES, rng.permutation(2)
        for side, kind in zip(left, kinds, strict=False):  # they do not cover one another
            x = int(side * WIDTH / 2 + rng.integers(0, WIDTH // 2 - SIDE))
            y = int(rng.integers(0, HEIGHT - SIDE))
            found.append(Thing(f"v{place // FRAMES}.mp4", frame, kind, x, y))
    return found


def make_videos(folder: Path, every: list[Thing]) -> Path:
    """Draw them."""
    folder.mkdir()
    for number in range(VIDEOS):
        name = f"v{number}.mp4"
        own = [thing for thing in every if thing.video == name]

        def paint(
            frame: int,
            width: int,
            height: int,
            number: int = number,
            own: list[Thing] = own,
        ) -> np.ndarray:
            rng = np.random.default_rng(1000 * number + frame // SCENE)
            corners = rng.integers(0, 256, (2, 2, 3)).astype(float)
            y, x = np.linspace(0, 1, height)[:, None, None], np.linspace(0, 1, width)[None, :, None]
            top, bottom = (corners[i, 0] * (1 - x) + corners[i, 1] * x for i in (0, 1))
            image = (top * (1 - y) + bottom * y).astype(np.uint8)
            for thing in own:
                if thing.frame_index == frame:
                    place = np.s_[thing.y : thing.y + SIDE, thing.x : thing.x + SIDE]
                    image[place] = picture(thing.kind)
            return image

        options = {"crf": "12", "preset": "ultrafast"}
        size = {"width": WIDTH, "height": HEIGHT}
        recipe = replace(RECIPES[0], file=name, frames=FRAMES, options=options, paint=paint, **size)
        make(recipe, folder)
    return folder
