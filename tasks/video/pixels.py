"""What is taken from a decoded frame: upright pixels, the embedder's input, measures."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from coreframe.tasks.errors import UsageError
from coreframe.tasks.video.colours import (
    convertible,
    is_deep,
    is_tone_mapped,
    to_deep,
    to_rgb,
)
from coreframe.tasks.video.orientation import orientation, square_size
from coreframe.tasks.video.planes import plane_lines
from coreframe.tasks.video.tone_map import tone_map
from coreframe.tasks.video.viewing import AS_SHOWN, UPRIGHT, Crop, Margins, Orientation, Viewing

SCALING = Interpolation.ACCURATE_RND | Interpolation.BITEXACT | Interpolation.FULL_CHR_H_INT
"""The same integers on every processor, and colour as fine as light, at no measurable cost."""

Resampling = Literal["area", "nearest", "bilinear", "bicubic", "lanczos"]

KERNELS: dict[Resampling, Interpolation] = {
    "area": Interpolation.AREA,
    "nearest": Interpolation.POINT,
    "bilinear": Interpolation.BILINEAR,
    "bicubic": Interpolation.BICUBIC,
    "lanczos": Interpolation.LANCZOS,
}

FLAT_SPREAD = 16
"""Of 255: what an eye hardly sees in a picture, were it not the only thing in it."""

MEASURED_LINES = 64
"""Lines of a tall picture that are looked at for its luminance and sharpness."""

MEASURED_PIXELS = 2**16
"""Pixels of them that are looked at together: what they become stays in a core's cache."""


def upright_size(frame: VideoFrame, viewing: Viewing = AS_SHOWN) -> tuple[int, int]:
    """(width, height) in pixels of the whole upright picture, before it is cropped."""
    width, height = shown_size(frame, viewing)
    return (height, width) if orientation(frame, viewing).turns % 2 else (width, height)


def shown_size(frame: VideoFrame, viewing: Viewing) -> tuple[int, int]:
    """(width, height) in pixels of the picture as it is stored, in the shape it is shown in."""
    left, top, right, bottom = _margins(frame, viewing)
    width, height = frame.width - left - right, frame.height - top - bottom
    if not viewing.square_pixels:
        return width, height
    return square_size(width, height, viewing.sample_aspect)


def _margins(frame: VideoFrame, viewing: Viewing) -> Margins:
    """What of a frame is not shown: nothing of one that is smaller than that."""
    margins = viewing.margins
    return margins if margins.shown(frame.width, frame.height) else Margins()


def upright_rgb(frame: VideoFrame, viewing: Viewing = AS_SHOWN) -> NDArray[np.uint8]:
    """Full-resolution pixels as a player shows them: (height, width, 3) uint8 RGB."""
    return _upright(to_rgb(frame, viewing), frame, viewing)


def upright_deep(
    frame: VideoFrame, viewing: Viewing = AS_SHOWN
) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """The same with all bits that the frame has.

    Returns:
        Of more than 8 bits (height, width, 3) uint16 RGB, or (height, width) uint16 of a grey
        frame, over all of 16 bits. Of others, and of tone-mapped ones, what `upright_rgb` gives.
    """
    if not is_deep(frame) or is_tone_mapped(frame, viewing):
        return upright_rgb(frame, viewing)
    return _upright(to_deep(frame), frame, viewing)


def _upright(image: NDArray[Any], frame: VideoFrame, viewing: Viewing) -> NDArray[Any]:
    """Trim, scale to square pixels, turn and crop what a frame holds.

    Args:
        image: (height, width, ...) uint8 or uint16, as it is stored.
        frame: that holds it.
        viewing: the store's, for its video.
    """
    left, top, right, bottom = _margins(frame, viewing)
    image = image[top : image.shape[0] - bottom, left : image.shape[1] - right]
    image = _scaled(image, *shown_size(frame, viewing))
    image = orientation(frame, viewing).apply(image)
    crop = viewing.crop
    if crop is None:
        return image
    if not crop.fits(image.shape[1], image.shape[0]):
        raise UsageError(
            f"crop {crop} does not fit a picture of {image.shape[1]}x{image.shape[0]} pixels."
        )
    return image[crop.y : crop.y + crop.height, crop.x : crop.x + crop.width]


def _scaled(image: NDArray[Any], width: int, height: int) -> NDArray[Any]:
    """Scale RGB or grey to a size, as ``ffmpeg -vf scale`` does by default: bicubic."""
    if image.shape[:2] == (height, width):
        return image
    scaled = _as_frame(image).reformat(
        width=width, height=height, interpolation=Interpolation.BICUBIC | SCALING, threads=1
    )
    return scaled.to_ndarray()


def _as_frame(image: NDArray[Any]) -> VideoFrame:
    """A frame that holds (height, width, 3) uint8 or uint16 RGB, or (height, width) uint16 grey."""
    form = "rgb24" if image.dtype == np.uint8 else "rgb48le" if image.ndim == 3 else "gray16le"
    return VideoFrame.from_ndarray(np.ascontiguousarray(image), format=form)


@dataclass(frozen=True)
class Framing:
    """How an upright picture becomes a square of `side_px`, the embedder's input.

    It is squashed to that square; or, with `shorter_px` or `squashed_px`, scaled so that its
    shorter side is so long, or squashed to a larger square, of which the middle is taken.
    """

    side_px: int
    shorter_px: int | None = None
    """At least `side_px`."""
    squashed_px: int | None = None
    """At least `side_px`; not together with `shorter_px`."""
    resampling: Resampling = "area"

    def scaled_px(self, width: int, height: int) -> tuple[int, int]:
        """(width, height) to which a picture of so many pixels is scaled."""
        if self.shorter_px is None:
            side = self.squashed_px or self.side_px
            return side, side
        shorter = min(width, height)
        return self.shorter_px * width // shorter, self.shorter_px * height // shorter


class InputScaler:
    """Scales frames to the embedder's input: (side, side, 3) uint8 RGB, upright.

    One per decoding thread: it keeps its scaler between frames (making one anew costs half as
    much again as scaling).
    """

    def __init__(self, framing: Framing, viewing: Viewing = AS_SHOWN) -> None:
        self._framing = framing
        self._flags = KERNELS[framing.resampling] | SCALING
        self._viewing = viewing
        self._scaler = VideoReformatter()

    def __call__(self, frame: VideoFrame) -> NDArray[np.uint8]:
        viewing = self._viewing
        if viewing.crop is not None or any(_margins(frame, viewing)):
            whole = self._whole(frame)
            return self._small(_as_frame(whole), frame)
        return self._small(frame, frame, orientation(frame, viewing), shown_size(frame, viewing))

    def crops(self, frame: VideoFrame, crops: Sequence[Crop | None]) -> Iterator[NDArray[np.uint8]]:
        """The same of parts of the picture, as of frames that are cropped to them.

        Args:
            frame: that holds them.
            crops: in pixels of what is seen of it; None for all of that.
        """
        whole = None
        for crop in crops:
            if crop is None:
                yield self(frame)
                continue
            if whole is None:
                whole = self._whole(frame)
            inside = whole[crop.y : crop.y + crop.height, crop.x : crop.x + crop.width]
            yield self._small(_as_frame(inside), frame)

    def _whole(self, frame: VideoFrame) -> NDArray[Any]:
        """All that is seen of a frame, upright, in as many bits as its colours need."""
        mapped = is_tone_mapped(frame, self._viewing)
        stored = to_deep(frame) if mapped else to_rgb(frame, self._viewing)
        return _upright(stored, frame, self._viewing)

    def _small(
        self,
        frame: VideoFrame,
        original: VideoFrame,
        asked: Orientation = UPRIGHT,
        shown: tuple[int, int] | None = None,
    ) -> NDArray[np.uint8]:
        """Scale a frame, or what was cut from one.

        Args:
            frame: to scale.
            original: the decoded frame, which knows its colours.
            asked: how the frame is turned.
            shown: (width, height) of the shape it is seen in; that of its pixels by default.
        """
        mapped = is_tone_mapped(original, self._viewing)  # once it is small
        shown = shown or (frame.width, frame.height)
        width, height = self._framing.scaled_px(*shown)
        small = self._scaler.reformat(
            convertible(frame),
            width=width,
            height=height,
            format="rgb48le" if mapped else "rgb24",
            interpolation=self._flags,
            threads=1,
        ).to_ndarray()
        pixels = (
            tone_map(np.asarray(small, np.uint16), int(original.color_trc)) if mapped else small
        )
        return framed(np.asarray(pixels, np.uint8), asked, self._framing)


def framed(image: NDArray[np.uint8], asked: Orientation, framing: Framing) -> NDArray[np.uint8]:
    """The embedder's input: the middle of a small picture, upright.

    Args:
        image: (height, width, 3) uint8 RGB, scaled as the framing says, as it is stored.
        asked: how it is turned.
        framing: the embedder's.
    """
    image = asked.apply(image)
    side = framing.side_px
    top, left = ((length - side) // 2 for length in image.shape[:2])
    # a copy of the middle: a view would keep the whole picture in memory
    return np.ascontiguousarray(image[top : top + side, left : left + side])


def is_flat(image: NDArray[np.uint8]) -> bool:
    """Whether a picture shows nothing: black, white, one colour, almost the end of a fade.

    That is so where neither R, G nor B differs by more than FLAT_SPREAD between any two of its
    pixels. Whatever is large or strong enough to be seen, be it a line of small print, is more.

    Args:
        image: (side, side, 3) uint8 RGB, an embedder's input: averaged, so that noise is less.
    """
    lines = image.reshape(len(image), -1)  # a line of RGB at a time, which is as wide as it gets
    most, least = lines.max(axis=0).reshape(-1, 3), lines.min(axis=0).reshape(-1, 3)
    return int((most.max(axis=0) - least.min(axis=0)).max()) <= FLAT_SPREAD


def luminance_and_sharpness(frame: VideoFrame) -> tuple[float, float]:
    """Mean luma (0 to 1) and sharpness of a frame, cheap enough for every frame.

    Sharpness is the standard deviation of the luma's 4-neighbour Laplacian, in units of the full
    range (Pech-Pacheco et al. 2000 use its variance). Both are over every fourth line, of frames
    with more than MEASURED_LINES times 4 over that many. It compares frames of one resolution.
    """
    luma, peak = _luma(frame)
    if min(luma.shape) < 3:
        return float(luma.mean() / peak), 0.0
    sums = _sums(luma, peak)
    return measures(sums, peak)


class Sums(NamedTuple):
    """Exact sums over what is looked at of a frame's luma."""

    light: int
    """Of the values."""
    bends: int
    """Of the 4-neighbour Laplacian, without the first and the last column."""
    squares: int
    """Of its squares."""
    lines: int
    width: int


def measures(sums: Sums, peak: int) -> tuple[float, float]:
    """Luminance and sharpness, see `luminance_and_sharpness`, of luma of at most `peak`."""
    size = sums.lines * (sums.width - 2)
    variance = sums.squares / size - (sums.bends / size) ** 2
    light = sums.light / (sums.lines * sums.width) / peak
    return light, max(variance, 0.0) ** 0.5 / peak


def measured_step(height: int) -> int:
    """Every how many lines a frame of some height is looked at, from its second line on."""
    return max(4, height // MEASURED_LINES)


def _sums(luma: NDArray[np.uint8] | NDArray[np.uint16], peak: int) -> Sums:
    height, width = luma.shape
    stride = measured_step(height)
    here = luma[1 : height - 1 : stride]
    above, below = luma[0 : height - 2 : stride], luma[2:height:stride]
    # Whole numbers, so that sums are exact however they are ordered. Columns are summed first: that
    # needs no conversion on the way, and of so few lines no wider numbers.
    wide: Any = np.int16 if 4 * peak < 2**15 else np.int32
    exact: Any = np.int32 if MEASURED_LINES * (4 * peak) ** 2 < 2**31 else np.int64
    light = total = squares = 0
    together = max(1, min(MEASURED_LINES, MEASURED_PIXELS // width))
    for start in range(0, len(here), together):
        some = slice(start, start + together)
        middle = here[some].astype(wide)
        bend = 4 * middle
        # Over the ends of lines too, as one long line: the columns there are left out below.
        bend.ravel()[1:] -= middle.ravel()[:-1]
        bend.ravel()[:-1] -= middle.ravel()[1:]
        bend -= np.add(above[some], below[some], dtype=wide)
        bends = bend.astype(exact)
        total += int(bends.sum(axis=0, dtype=exact)[1:-1].sum(dtype=np.int64))
        bends *= bends
        squares += int(bends.sum(axis=0, dtype=exact)[1:-1].sum(dtype=np.int64))
        light += int(middle.sum(axis=0, dtype=np.int32).sum(dtype=np.int64))
    return Sums(light, total, squares, len(here), width)


def _luma(frame: VideoFrame) -> tuple[NDArray[np.uint8] | NDArray[np.uint16], int]:
    """(height, width) luma as uint8 or uint16, and the largest value it can take."""
    form = frame.format
    if form.name.startswith(("yuv", "gray", "nv12")) and not form.is_big_endian:
        bits = form.components[0].bits
        if bits <= 16:
            lines = plane_lines(frame, 0)
            return lines if bits <= 8 else lines.view(np.uint16), (1 << bits) - 1
    grey = convertible(frame).reformat(format="gray", threads=1).to_ndarray()
    return np.asarray(grey, np.uint8), 255
