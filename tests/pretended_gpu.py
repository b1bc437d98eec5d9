"""A GPU's decoder where there is none: libavcodec's frames, laid out as a GPU's are, as tensors."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from av.video.frame import VideoFrame

from coreframe.tasks.embed import decoders, job
from coreframe.tasks.gpu_video import decoder
from coreframe.tasks.video.decode import decode_frames
from coreframe.tasks.video.planes import all_lines

LAYOUTS = {"yuv420p": "nv12", "yuvj420p": "nv12", "yuv420p10le": "p010le"}


def tensors(frame: VideoFrame) -> tuple[torch.Tensor, torch.Tensor]:
    """Luma, and Cb and Cr side by side; samples of 10 bits at the upper end of 16."""
    luma, cb, cr = all_lines(frame)
    both = [luma, np.stack([cb, cr], axis=-1)]
    if "10" in frame.format.name:
        wide = [np.ascontiguousarray(one).view(np.uint16) for one in (luma, cb, cr)]
        both = [wide[0] << 6, np.stack(wide[1:], axis=-1) << 6]
    first, second = (torch.from_numpy(np.array(one)) for one in both)
    return first, second


class Named:
    def __init__(self, name: str) -> None:
        self.name = name


class PretendedFrame:
    """A frame whose planes are only to be had as tensors."""

    def __init__(self, frame: VideoFrame) -> None:
        self._frame = frame
        self.format = Named("cuda")
        self.sw_format = Named(LAYOUTS.get(frame.format.name, frame.format.name))
        self.planes = tensors(frame) if frame.format.name in LAYOUTS else ()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._frame, name)


Spoil = Callable[[int, VideoFrame], None]
"""Given a position and a frame, before it is handed over: may raise."""


def pretend(monkeypatch: pytest.MonkeyPatch, spoil: Spoil = lambda *_: None) -> list[int]:
    """Let this process have a GPU's decoder beside the CPU, which is preferred, for small batches.

    Returns:
        The positions of the frames that it gave, in order.
    """
    given: list[int] = []

    def decode(*arguments: Any, accelerator: object, **options: Any) -> Iterator[tuple[int, Any]]:
        assert accelerator == "pretended"
        for position, frame in decode_frames(*arguments, **options):
            spoil(position, frame)
            given.append(position)
            yield position, PretendedFrame(frame)

    fresh = decoders.Decoders()
    monkeypatch.setattr(fresh, "_prefers_gpu", lambda: True)
    monkeypatch.setattr(job, "DECODERS", fresh)
    monkeypatch.setattr(decoder, "BATCH_PIXELS", 2**18)
    monkeypatch.setattr(decoder, "can_decode", lambda device: True)
    monkeypatch.setattr(decoder, "accelerator", lambda: "pretended")
    monkeypatch.setattr(decoder, "decode_frames", decode)
    return given
