"""What a store takes for the picture of a decoded frame: settings that all its frames share."""

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from coreframe.tasks.errors import UsageError


@dataclass(frozen=True)
class Crop:
    """A rectangle of the upright picture, in pixels from its upper left corner."""

    width: int
    height: int
    x: int
    y: int

    @classmethod
    def parse(cls, text: str) -> "Crop":
        """Read ``W:H:X:Y``, the order of ``ffmpeg -vf crop``."""
        parts = text.split(":")
        if len(parts) != 4 or not all(part.isdecimal() for part in parts):
            raise UsageError(f"crop {text!r} is not W:H:X:Y in whole pixels, such as 640:360:0:60.")
        crop = cls(*map(int, parts))
        if crop.width < 1 or crop.height < 1:
            raise UsageError(f"crop {text!r} keeps nothing: width and height must be at least 1.")
        return crop

    def fits(self, width: int, height: int) -> bool:
        """Whether a picture of this size holds the rectangle."""
        return self.x + self.width <= width and self.y + self.height <= height

    def __str__(self) -> str:
        return f"{self.width}:{self.height}:{self.x}:{self.y}"


class Margins(NamedTuple):
    """Stored pixels at the edges that are not shown."""

    left: int = 0
    top: int = 0
    right: int = 0
    bottom: int = 0

    @classmethod
    def parse(cls, text: str) -> "Margins":
        """Read what ``str`` gives."""
        return cls(*map(int, text.split(":"))) if text else cls()

    def __str__(self) -> str:
        """``left:top:right:bottom``; empty where all is shown."""
        return ":".join(map(str, self)) if any(self) else ""

    def shown(self, width: int, height: int) -> bool:
        """Whether anything of a picture is left."""
        return self.left + self.right < width and self.top + self.bottom < height


class Orientation(NamedTuple):
    """What makes an upright picture of a stored one: first it is mirrored, then turned."""

    turns: int
    """Counter-clockwise quarter turns, 0 to 3."""
    mirrored: bool = False
    """Left and right are exchanged, before it is turned."""
    askew: bool = False
    """It should be turned by no multiple of 90 degrees, and is not turned at all."""

    def apply(self, image: NDArray[Any]) -> NDArray[Any]:
        """Turn (height, width, ...) of any type; a view."""
        if not self.turns and not self.mirrored:
            return image
        return np.rot90(image[:, ::-1] if self.mirrored else image, self.turns)

    def __str__(self) -> str:
        return f"{self.turns} mirrored" if self.mirrored else str(self.turns)


UPRIGHT = Orientation(0)


NO_MARGINS = Margins()


class Shape(Protocol):
    """What is known of one video's pictures."""

    @property
    def sample_aspect_num(self) -> int: ...
    @property
    def sample_aspect_den(self) -> int: ...
    @property
    def margins(self) -> str: ...
    @property
    def rotation(self) -> int: ...
    @property
    def mirrored(self) -> bool: ...
    @property
    def matrix_degrees(self) -> int: ...


def parse_stream_choice(text: str) -> str | int:
    """Which film of a file that holds several.

    Returns:
        ``best``: the one that libavformat's ``av_find_best_stream`` names, which prefers default
        streams and, of these, those of more frames and bits. ``largest``: the one that the
        ``ffmpeg`` command takes, of the most pixels, where being a default stream counts as
        5,000,000, the first of equals. A number: that film, counted from 0, covers left out.

    Raises:
        UsageError: it is none of these.
    """
    if text in ("best", "largest"):
        return text
    if text.isascii() and text.isdecimal():
        return int(text)
    raise UsageError(
        f"stream {text!r} is not best, largest or the number of a film in the file, from 0."
    )


@dataclass(frozen=True)
class Viewing:
    """From which stream a video's frames are, and how they become the pictures that people see."""

    crop: Crop | None = None
    """Of the picture as it is shown otherwise."""
    square_pixels: bool = True
    """Scale pictures of pixels that are not square to the shape in which players show them."""
    tone_map: bool = True
    """Map high dynamic range to what an ordinary screen shows; see `tasks.video.tone_map`."""
    deinterlace: bool = False
    """Make whole pictures of those that hold two moments in alternate lines."""
    stream: str = "best"
    """``best``, ``largest``, or the number of a film in the file, from 0."""
    as_players: bool = True
    """Mirror and crop as the file asks players to. Stores of format 1 did not."""
    digest: int = 2
    """Version of the digest by which frames are known again; see `coreframe.tasks.video.digest`."""

    sample_aspect: Fraction = Fraction(1)
    """Width to height of a stored pixel of the video at hand."""
    margins: Margins = NO_MARGINS
    """Stored pixels at the edges that are not shown, of the video at hand."""

    orientation: Orientation | None = None
    """Of the frames of the video at hand whose display matrix has the angle that follows."""
    matrix_degrees: int = 0

    def of(self, video: Shape) -> "Viewing":
        """The same for one video."""
        if not self.as_players:
            return self
        aspect = Fraction(video.sample_aspect_num, video.sample_aspect_den)
        return replace(
            self,
            sample_aspect=aspect,
            margins=Margins.parse(video.margins),
            orientation=Orientation(video.rotation // 90 % 4, video.mirrored),
            matrix_degrees=video.matrix_degrees,
        )

    def holds_crop(self, width: int, height: int) -> bool:
        """Whether a picture of this size holds the crop, if there is one."""
        return self.crop is None or self.crop.fits(width, height)


AS_SHOWN = Viewing()
"""That of a new store where nothing is given."""
