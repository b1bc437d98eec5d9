"""Exported images: cropping, resizing, encoding, and file names that cannot collide or escape."""

import io
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath

import numpy as np
import xxhash
from numpy.typing import NDArray
from PIL import Image

from coreframe.tasks.errors import UsageError
from coreframe.tasks.output.png import encode_deep, in_8_bits, resized_deep

PNG_LEVEL = 6
"""zlib's own default: smaller files cost much more time for little."""


Pixels = NDArray[np.uint8] | NDArray[np.uint16]
"""(height, width, 3) uint8 RGB; or uint16 of that shape, or (height, width) uint16 grey."""

AREA_LIMIT_PX = 178_956_970
"""Pillow refuses to open larger images, and with it whatever reads images by it."""


STEM_BYTES = 120
"""Of a stem that is not cut: file systems allow 255 bytes a name, and datasets add to it."""


class ImageFormat(StrEnum):
    """How an image is encoded; also the ending of its file."""

    PNG = "png"
    JPG = "jpg"
    WEBP = "webp"


FORMAT_NAMES: dict[str, str] = {
    ImageFormat.PNG: "PNG",
    ImageFormat.JPG: "JPEG",
    ImageFormat.WEBP: "WebP",
}
"""As people call them."""

SIDE_LIMITS_PX = {ImageFormat.PNG: 1_000_000, ImageFormat.JPG: 65_500, ImageFormat.WEBP: 16_383}
"""The longest side: what libpng reads unless it is told to read more, and what libjpeg (its format
has room for 65,535) and libwebp write."""


@dataclass(frozen=True)
class Resize:
    """Target size in pixels; a side of None follows from the other, aspect kept."""

    width: int | None
    height: int | None

    @classmethod
    def parse(cls, text: str) -> "Resize":
        """Read ``WxH``, ``Wx`` or ``xH``."""
        found = re.fullmatch(r"(\d*)[xX](\d*)", text)
        sides = [int(side) if side else None for side in found.groups()] if found else [None, None]
        if sides == [None, None] or 0 in sides:
            raise UsageError(
                f"resize {text!r} is not WxH, Wx or xH in pixels, such as 640x360 or 640x."
            )
        return cls(*sides)

    def size(self, width: int, height: int) -> tuple[int, int]:
        """The size that a picture of this size gets."""
        if self.width is None:
            assert self.height is not None
            return max(1, round(width * self.height / height)), self.height
        return self.width, self.height or max(1, round(height * self.width / width))

    def __str__(self) -> str:
        return f"{self.width or ''}x{self.height or ''}"


@dataclass(frozen=True)
class PictureSettings:
    """How chosen frames are written."""

    resize: Resize | None = None
    format: ImageFormat = ImageFormat.PNG
    quality: int = 95
    """Of jpg and webp, 1 to 100; png is lossless."""

    def __post_init__(self) -> None:
        if self.format not in set(ImageFormat):
            raise UsageError(f"unknown format {self.format!r}: use {', '.join(ImageFormat)}.")
        if not 1 <= self.quality <= 100:
            raise UsageError(f"quality {self.quality} is not from 1 to 100.")

    def refusal(self, width: int, height: int) -> str:
        """Why a picture of this size cannot be written, and what to do; empty where it can.

        Args:
            width: in pixels, before it is resized.
            height: likewise.
        """
        picture = "the picture is"
        if self.resize is not None:
            (width, height), picture = self.resize.size(width, height), "the picture would be"
        limit, longest = SIDE_LIMITS_PX[self.format], max(width, height)
        if width * height > AREA_LIMIT_PX:
            most = f"Pillow and what is built on it read at most {AREA_LIMIT_PX:,} px in all"
            steps = "--resize to at most that"
        elif longest > limit:
            most = f"{FORMAT_NAMES[self.format]} holds at most {limit:,} px a side"
            steps = f"--resize to at most {limit:,} px"
            others = [one for one in ImageFormat if longest <= SIDE_LIMITS_PX[one]]
            if others:
                steps = f"--format {' or '.join(others)}, or with {steps}"
        else:
            return ""
        return f"{most}, and {picture} {width:,} x {height:,} px: select again with {steps}"

    def sized(self, image: Pixels) -> Pixels:
        """Resize a picture, of as many bits."""
        if self.resize is None:
            return image
        size = self.resize.size(image.shape[1], image.shape[0])
        if image.dtype == np.uint16:
            return resized_deep(np.asarray(image, np.uint16), size, Image.Resampling.LANCZOS)
        return np.asarray(to_pillow(image).resize(size, Image.Resampling.LANCZOS), np.uint8)

    def encode(self, image: Pixels) -> bytes:
        """Encode what has its size."""
        return encode(image, self.format, self.quality)


def encode(image: Pixels, format: ImageFormat, quality: int = 95) -> bytes:
    """Encode a picture, only PNG in more than 8 bits; equal pictures give equal bytes."""
    if format == ImageFormat.PNG and image.dtype == np.uint16:
        return encode_deep(np.asarray(image, np.uint16))
    picture = to_pillow(image)
    buffer = io.BytesIO()
    if format == ImageFormat.PNG:
        picture.save(buffer, "PNG", compress_level=PNG_LEVEL)
    elif format == ImageFormat.JPG:
        picture.save(buffer, "JPEG", quality=quality)
    else:
        picture.save(buffer, "WEBP", quality=quality)
    return buffer.getvalue()


def to_pillow(image: Pixels) -> Image.Image:
    """The picture in 8 bits."""
    if image.dtype == np.uint16:
        image = in_8_bits(np.asarray(image, np.uint16))
    return Image.fromarray(np.ascontiguousarray(image))


def file_stems(paths: Mapping[int, str]) -> dict[int, str]:
    """A stem for each video's image files, from its path: readable, safe, no two alike.

    Folders join with ``__``; whatever is not a letter, digit, dot or dash of any language becomes
    ``_``. Where two videos would get the same stem, also on file systems that ignore case, their
    numbers are appended after ``~``. What is too long is cut, and a hash of the whole path appended
    after ``~x``, so that it stays the same whatever other videos there are. Otherwise no stem has a
    ``~``.
    """
    stems = {video: plain_stem(path) for video, path in paths.items()}
    times = Counter(stem.casefold() for stem in stems.values())
    return {
        video: f"{stem}~{video}" if times[stem.casefold()] > 1 else stem
        for video, stem in stems.items()
    }


def plain_stem(path: str) -> str:
    """The stem of a video that no other has; see :func:`file_stems`."""
    without_suffix = PurePosixPath(path).with_suffix("") if PurePosixPath(path).name else path
    joined = unicodedata.normalize("NFC", "__".join(PurePosixPath(without_suffix).parts))
    safe = re.sub(r"[^\w.-]", "_", joined).strip(".").lstrip(".-") or "video"
    if len(safe.encode()) <= STEM_BYTES:
        return safe
    begins = safe.encode()[:STEM_BYTES].decode(errors="ignore")
    return f"{begins}~x{xxhash.xxh3_64(path.encode(errors='surrogateescape')).hexdigest()}"
