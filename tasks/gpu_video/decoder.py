"""Decoding by a GPU's own decoder (NVDEC), whose frames stay on the GPU.

What a GPU gives for a sound stream is what libavcodec gives: the formats that are listed here leave
a decoder no choice. The first frame of every file is decoded by both and compared, see `proven`.
Damage is another matter: libavcodec says where a stream is broken, and conceals it; NVDEC conceals
it in its own way, and is silent.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from av.codec.hwaccel import HWAccel, hwdevices_available
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from coreframe.tasks.gpu_video.reduce import Batch, Kind, Look, Reduced, Surface
from coreframe.tasks.gpu_video.siting import siting_of
from coreframe.tasks.gpu_video.swscale import SITINGS, Picture, Siting, Unscalable
from coreframe.tasks.lazy import torch
from coreframe.tasks.video.colours import is_tone_mapped
from coreframe.tasks.video.decode import decode_frames
from coreframe.tasks.video.deinterlace import with_neighbours
from coreframe.tasks.video.digest import frame_header
from coreframe.tasks.video.index import VideoIndex
from coreframe.tasks.video.orientation import orientation
from coreframe.tasks.video.pixels import Framing, shown_size
from coreframe.tasks.video.viewing import Viewing

DECODED: Final = {
    "h264": {"yuv420p", "yuvj420p"},
    "hevc": {"yuv420p", "yuvj420p", "yuv420p10le"},
    "vp9": {"yuv420p"},
}
"""Codecs and formats whose pixels from an H200 equalled libavcodec's. Those of MPEG-2, MPEG-4 and
MJPEG did not; H.264 of 10 bits or 4:4:4 and HEVC of 4:2:2 or 4:4:4 it does not give."""

SIZES: Final = {"h264": (48, 4096), "hevc": (144, 8192), "vp9": (128, 8192)}
"""Pixels of the shorter side at least, and of the longer at most, that NVDEC takes as a rule. Those
that it does not are a fault, and CPU cores decode them."""

FORMATS: Final = {"nv12": ("yuv420p", 8), "p010le": ("yuv420p10le", 10)}
"""How frames lie on a GPU -> the format of the same samples from libavcodec, and their bits."""

BATCH_PIXELS: Final = 2**24
"""Of frames that are reduced together: eight of 1080p take 0.3 GB meanwhile."""


class NotOnGpuError(Exception):
    """A file, or a part of it, that CPU cores have to decode; the message says why."""


class Facts(Protocol):
    """What is known of a file."""

    @property
    def codec(self) -> str: ...
    @property
    def pixel_format(self) -> str: ...
    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def interlaced(self) -> str: ...


def can_decode(device: torch.device) -> bool:
    """Whether there is a GPU's decoder at all beside an embedder's device."""
    return device.type == "cuda" and "cuda" in hwdevices_available()


def refusal(facts: Facts, index: VideoIndex, viewing: Viewing) -> str:
    """Why CPU cores have to decode a file; empty where a GPU may."""
    if facts.pixel_format not in DECODED.get(facts.codec, ()):
        return f"{facts.codec} of {facts.pixel_format}"
    least, most = SIZES[facts.codec]
    sides = facts.width, facts.height  # as it is shown, which is about as it is stored
    if min(sides) < least or max(sides) > most:
        return f"{facts.codec} of {facts.width}x{facts.height}"
    if facts.interlaced not in ("", "progressive"):
        return "interlaced"
    if index.surveyed:
        return "damaged, or without times: every frame is compared with its census"
    if viewing.crop is not None or any(viewing.margins):
        return "cropped before it is made small"
    if viewing.digest < 2:
        return "the store's digests are of version 1, which only a CPU forms"
    return ""


def reduced_frames(
    path: str | Path,
    index: VideoIndex,
    positions: NDArray[np.int64],
    viewing: Viewing,
    framing: Framing,
    device: torch.device,
    siting: Siting,
) -> Iterator[Reduced]:
    """Decode wanted frames of a file on a GPU, and keep of each what is small.

    Args:
        path: the file.
        index: its index.
        positions: (n,) int64 ascending positions in the index.
        viewing: the store's, for this video.
        framing: how frames become the embedder's input.
        device: the GPU.
        siting: of the file's chroma, see `proven`.

    Raises:
        NotOnGpuError: CPU cores have to decode it.
        and whatever a decoder or a device may: the same frames can be had from a CPU.
    """
    batch: Batch | None = None
    due, decoded = set(positions.tolist()), positions
    if viewing.deinterlace:  # a CPU looks at their neighbours too, and so sees what is wrong there
        decodable = np.flatnonzero(index.frame_index >= 0)
        decoded = with_neighbours(positions[index.frame_index[positions] >= 0], decodable)
    frames = decode_frames(path, index, decoded, viewing, accelerator=accelerator())
    for position, frame in frames:
        if position not in due:
            continue
        kind = _kind(frame, viewing, framing, siting)
        if batch is not None and (batch.is_full or batch.kind != kind):
            yield from batch.reduced()
        if batch is None or batch.kind != kind:
            batch = _batch(kind, framing, device)
        name, _ = FORMATS[_layout(frame)]
        header = frame_header(frame, viewing, name)
        batch.add(surface(frame), Look(position, header, orientation(frame, viewing)))
    if batch is not None:
        yield from batch.reduced()


def proven(
    path: str | Path,
    index: VideoIndex,
    reference: Reduced,
    frame: VideoFrame,
    viewing: Viewing,
    framing: Framing,
    device: torch.device,
) -> Siting:
    """Decode one frame on the GPU, compare it with what a CPU made of it, and say where chroma is.

    Args:
        path: the file.
        index: its index.
        reference: what a CPU made of one of its frames.
        frame: that frame, from libavcodec; it is written over.
        viewing: the store's, for this video.
        framing: how frames become the embedder's input.
        device: the GPU.

    Raises:
        NotOnGpuError: the GPU gives another frame.
        and whatever a decoder or a device may.
    """
    siting = siting_of(frame, viewing, framing)
    position = np.array([reference.position])
    arguments = viewing, framing, device, siting or SITINGS[0]
    found = next(reduced_frames(path, index, position, *arguments), None)
    if found is None or found.digest != reference.digest:
        raise NotOnGpuError("the GPU decodes other pixels")
    same = (found.luminance, found.sharpness) == (reference.luminance, reference.sharpness)
    if siting is None or not same or not np.array_equal(found.image, reference.image):
        raise NotOnGpuError("its colours are converted in a way that is not known here")
    return siting


def accelerator() -> HWAccel:
    """A decoder of the GPU that is visible first, whose frames stay there."""
    return HWAccel("cuda", allow_software_fallback=False, is_hw_owned=True)


def surface(frame: VideoFrame) -> Surface:
    """The planes of a frame, where they lie.

    PyAV 18.1 exports no plane together with the stream that torch names, so the capsule is asked
    for without: decoder and torch use the same one, the device's default.
    """
    planes: list[Any] = list(frame.planes)
    luma, chroma = (torch.utils.dlpack.from_dlpack(plane.__dlpack__()) for plane in planes[:2])
    return Surface(luma, chroma)


def _kind(frame: VideoFrame, viewing: Viewing, framing: Framing, siting: Siting) -> Kind:
    """What a frame has in common with others.

    Raises:
        NotOnGpuError: something of it is known on a CPU alone.
    """
    layout = _layout(frame)
    if layout not in FORMATS:
        raise NotOnGpuError(f"frames of {layout}")
    if frame.interlaced_frame:
        raise NotOnGpuError("interlaced")
    if is_tone_mapped(frame, viewing):
        raise NotOnGpuError("of high dynamic range, which is tone-mapped")
    if frame.width % 2 or frame.height % 2:  # the export of planes leaves out the last line
        raise NotOnGpuError(f"an odd size, {frame.width}x{frame.height}")
    _, bits = FORMATS[layout]
    picture = Picture.of(frame, bits, siting)
    return Kind(picture, *framing.scaled_px(*shown_size(frame, viewing)))


def _batch(kind: Kind, framing: Framing, device: torch.device) -> Batch:
    pixels = kind.picture.width * kind.picture.height
    try:
        return Batch(kind, framing, max(1, BATCH_PIXELS // pixels), device)
    except Unscalable as error:
        raise NotOnGpuError(f"not scaled on a GPU: {error}") from error


def _layout(frame: VideoFrame) -> str:
    """How the frame's samples lie on its device."""
    return frame.format.name if frame.sw_format is None else frame.sw_format.name
