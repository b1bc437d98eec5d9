"""Where a file has its chroma samples, which its small pictures depend on.

Libraries do not show it, but a frame carries it. So a pattern is put into a frame, and libswscale's
picture of that compared with those that each place would give. A frame's own content cannot tell:
films begin in black, and a black frame looks the same wherever its chroma lies.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from coreframe.tasks.gpu_video.swscale import SITINGS, Picture, Scaler, Siting, Unscalable
from coreframe.tasks.lazy import torch
from coreframe.tasks.video.orientation import orientation
from coreframe.tasks.video.pixels import Framing, InputScaler, framed, shown_size
from coreframe.tasks.video.planes import all_lines
from coreframe.tasks.video.viewing import Viewing

BITS: Final = {"yuv420p": 8, "yuvj420p": 8, "yuv420p10le": 10}
"""Formats of 4:2:0 frames in memory -> bits of their samples."""

CELLS = 128
"""Of the pattern, along the longer side: about as many as a small picture has pixels."""


def siting_of(frame: VideoFrame, viewing: Viewing, framing: Framing) -> Siting | None:
    """Find where a frame has its chroma; None where no place gives what libswscale does.

    Args:
        frame: from libavcodec; a pattern takes the place of its picture.
        viewing: the store's, for its video.
        framing: how frames become the embedder's input.
    """
    bits = BITS.get(frame.format.name)
    if bits is None:
        return None
    luma, chroma = _patterned(frame, bits)
    expected = InputScaler(framing, viewing)(frame)
    size = framing.scaled_px(*shown_size(frame, viewing))
    for siting in SITINGS:
        picture = Picture.of(frame, bits, siting)
        try:
            scaler = Scaler(picture, *size, framing.resampling, torch.device("cpu"))
        except Unscalable:
            return None
        (small,) = scaler(luma, chroma).numpy()
        if np.array_equal(framed(small, orientation(frame, viewing), framing), expected):
            return siting
    return None


def _patterned(frame: VideoFrame, bits: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Put a pattern into a frame; give its planes, (1, height, width) and (1, 2, ...)."""
    dtype: Any = np.uint8 if bits == 8 else np.uint16
    step = max(1, max(frame.width, frame.height) // 2 // CELLS)
    frame.make_writable()
    rng = np.random.default_rng(0)
    for plane in frame.planes:
        lines, samples = plane.height, plane.line_size // dtype(0).itemsize
        cells = rng.integers(0, 1 << bits, (lines // step + 1, samples // step + 1), dtype)
        pattern = cells.repeat(step, axis=0)[:lines].repeat(step, axis=1)[:, :samples]
        plane.update(np.ascontiguousarray(pattern).tobytes())
    luma, *chroma = (_samples(lines, dtype) for lines in all_lines(frame))
    return torch.from_numpy(luma[None]), torch.from_numpy(np.stack(chroma)[None])


def _samples(lines: NDArray[np.uint8], dtype: Any) -> NDArray[Any]:
    """A plane's samples, in a type that torch has."""
    held = np.ascontiguousarray(lines).view(dtype)
    return held if held.dtype == np.uint8 else held.astype(np.int16)
