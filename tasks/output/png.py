"""PNG of 16 bits a channel, which Pillow cannot write in colour; libavcodec can."""

from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray
from PIL import Image

PREDICTION = "mixed"
"""For each line the filter that promises the smallest file, as Pillow does."""


def encode_deep(image: NDArray[np.uint16]) -> bytes:
    """Encode (height, width) grey or (height, width, 3) RGB; equal pictures give equal bytes.

    Nothing but the pixels is in it: no colour space, no gamma.
    """
    source, target = ("gray16le", "gray16be") if image.ndim == 2 else ("rgb48le", "rgb48be")
    frame = VideoFrame.from_ndarray(np.ascontiguousarray(image), format=source)
    encoder: Any = av.CodecContext.create("png", "w")
    encoder.width, encoder.height, encoder.pix_fmt = frame.width, frame.height, target
    encoder.time_base, encoder.sample_aspect_ratio = Fraction(1), Fraction(1)
    encoder.thread_count = 1
    encoder.options = {"pred": PREDICTION}
    packets = encoder.encode(frame.reformat(format=target, threads=1)) + encoder.encode(None)
    return b"".join(bytes(packet) for packet in packets)


def resized_deep(
    image: NDArray[np.uint16], size: tuple[int, int], resampling: Image.Resampling
) -> NDArray[np.uint16]:
    """Scale to (width, height) in pixels, in float32, rounded to the nearest integer."""
    channels = image[..., None] if image.ndim == 2 else image
    scaled = [
        np.asarray(Image.fromarray(channel.astype(np.float32)).resize(size, resampling))
        for channel in np.moveaxis(channels, -1, 0)
    ]
    whole = np.rint(np.stack(scaled, axis=-1)).clip(0, 65535).astype(np.uint16)
    return whole[..., 0] if image.ndim == 2 else whole


def in_8_bits(image: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """The high byte of each value, which is also what Pillow reads of a 16-bit PNG in colour."""
    return (image >> 8).astype(np.uint8)
