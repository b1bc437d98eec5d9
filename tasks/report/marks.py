"""Chosen frames that somebody should look at before they are labelled."""

import io
from collections.abc import Sequence

import numpy as np
import pandas as pd
from PIL import Image

SOFT = 1 / 3
"""A frame is soft when it is less sharp than this share of the sharpest tenth of its video."""

SHARPEST = 0.9
"""Of a video's frames so many are less sharp than its sharpest tenth."""

PLAIN, NEAR = 0.75, 12
"""A picture is plain when this share of its pixels differ from its most common shade by no more
than so much in any colour."""

LOOKED_AT_PX = 64
"""Pixels a side, evenly over a small picture, that tell whether it is plain."""


def soft_frames(frames: pd.DataFrame, spans: pd.DataFrame) -> np.ndarray:
    """Tell blurred frames, those out of focus, and those with little in them to be sharp.

    Sharpness depends on what is seen and on how large it is: only frames of one video are compared.

    Args:
        frames: ``video`` and ``sharpness``.
        spans: of each video by number, ``sharpest``: the least sharpness of its sharpest tenth.

    Returns:
        (n,) bool.
    """
    best = frames["video"].map(spans["sharpest"]).to_numpy(float)  # NaN where a video is gone
    return np.asarray(frames["sharpness"].to_numpy(float) < SOFT * best)


def plain_pictures(pictures: Sequence[bytes | None]) -> np.ndarray:
    """Tell print on one colour, such as titles and cards, and pictures with little in the dark.

    Args:
        pictures: small ones, as :func:`coreframe.tasks.output.thumbnails.small_picture` makes them.

    Returns:
        (n,) bool; False where there is no picture.
    """
    return np.array([one is not None and _plain(one) for one in pictures], bool)


def _plain(picture: bytes) -> bool:
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    image = image.resize((LOOKED_AT_PX, LOOKED_AT_PX), Image.Resampling.NEAREST)
    pixels = np.asarray(image).reshape(-1, 3).astype(int)
    shades = pixels // 16 @ (256, 16, 1)
    common = pixels[shades == np.bincount(shades).argmax()]
    apart = np.abs(pixels - np.median(common, axis=0)).max(axis=1)
    return bool((apart <= NEAR).mean() >= PLAIN)
