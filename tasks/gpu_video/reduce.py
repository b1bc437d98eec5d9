"""What is kept of frames whose planes lie on a device: only small things leave it.

The same integer torch runs on a GPU and on a CPU, and gives what `coreframe.tasks.video` makes of
the same frames in memory, to the bit: the embedder's input, digest, luminance and sharpness.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import xxhash
from numpy.typing import NDArray

from coreframe.tasks.gpu_video.swscale import Picture, Scaler
from coreframe.tasks.gpu_video.xxh3 import piece_hashes
from coreframe.tasks.lazy import torch
from coreframe.tasks.video.digest import PIECE_BYTES, joined
from coreframe.tasks.video.pixels import Framing, Sums, framed, measured_step, measures
from coreframe.tasks.video.viewing import Orientation


class Surface(NamedTuple):
    """A decoded 4:2:0 frame as GPUs' decoders lay it out."""

    luma: torch.Tensor
    """(height, width) uint8, or 16 bits a sample with the sample's own at the upper end."""
    chroma: torch.Tensor
    """(height / 2, width / 2, 2) of the same type, Cb and Cr."""


class Look(NamedTuple):
    """What is known of a frame besides its planes."""

    position: int
    """In the video's index."""
    header: bytes
    """For its digest, see `coreframe.tasks.video.digest.frame_header`."""
    orientation: Orientation


class Reduced(NamedTuple):
    """What is kept of a frame."""

    position: int
    image: NDArray[np.uint8]
    """(side, side, 3) RGB, the embedder's input, upright."""
    digest: int
    luminance: float
    sharpness: float


@dataclass(frozen=True)
class Kind:
    """What frames have in common that are reduced together."""

    picture: Picture
    width: int
    """Pixels of the small picture, before its middle is taken."""
    height: int


class Batch:
    """Frames of one kind, copied from their decoder until there are enough to reduce."""

    def __init__(self, kind: Kind, framing: Framing, frames: int, device: torch.device) -> None:
        """Make room.

        Args:
            kind: of the frames.
            framing: how they become the embedder's input.
            frames: at most so many at once.
            device: where their planes lie.

        Raises:
            Unscalable: see `coreframe.tasks.gpu_video.swscale`.
        """
        picture = kind.picture
        self.kind, self._framing, self._frames = kind, framing, frames
        self._scaler = Scaler(picture, kind.width, kind.height, framing.resampling, device)
        self._deep = picture.bits > 8
        dtype = torch.int16 if self._deep else torch.uint8
        height, width = picture.height, picture.width
        self._luma = torch.empty((frames, height, width), dtype=dtype, device=device)
        half = (frames, 2, (height + 1) // 2, (width + 1) // 2)
        self._chroma = torch.empty(half, dtype=dtype, device=device)
        self._looks: list[Look] = []

    @property
    def is_full(self) -> bool:
        return len(self._looks) == self._frames

    def add(self, surface: Surface, look: Look) -> None:
        """Copy a frame; its surface is the decoder's again afterwards."""
        at = len(self._looks)
        luma, chroma = surface.luma, surface.chroma.permute(2, 0, 1)
        if self._deep:
            spare, peak = 16 - self.kind.picture.bits, (1 << self.kind.picture.bits) - 1
            luma, chroma = ((one.view(torch.int16) >> spare) & peak for one in (luma, chroma))
        self._luma[at].copy_(luma)
        self._chroma[at].copy_(chroma)
        if luma.is_cuda:  # which copies later than it says
            torch.cuda.current_stream(luma.device).synchronize()
        self._looks.append(look)

    def reduced(self) -> list[Reduced]:
        """Reduce what is there, and be empty again."""
        looks, self._looks = self._looks, []
        luma, chroma = self._luma[: len(looks)], self._chroma[: len(looks)]
        images = self._scaler(luma, chroma).cpu().numpy()
        sums, peak = _sums(luma), (1 << self.kind.picture.bits) - 1
        hashes = _piece_hashes([luma, chroma[:, 0], chroma[:, 1]])
        return [
            Reduced(
                look.position,
                framed(image, look.orientation, self._framing),
                joined(look.header, own_hashes),
                *measures(own_sums, peak),
            )
            for look, image, own_hashes, own_sums in zip(looks, images, hashes, sums, strict=True)
        ]


def _sums(luma: torch.Tensor) -> list[Sums]:
    """What `coreframe.tasks.video.pixels` sums up of (n, height, width) luma."""
    height, width = luma.shape[1:]
    step = measured_step(height)
    above, here, below = (
        luma[:, first : height - 2 + first : step].to(torch.int32) for first in range(3)
    )
    middle = here[:, :, 1:-1]
    bends = 4 * middle - here[:, :, :-2] - here[:, :, 2:]
    bends -= above[:, :, 1:-1] + below[:, :, 1:-1]
    wide = bends.to(torch.int64)
    every = (here, wide, wide * wide)
    found = torch.stack([one.sum(dim=(1, 2), dtype=torch.int64) for one in every], dim=1)
    lines = here.shape[1]
    return [Sums(light, total, squares, lines, width) for light, total, squares in found.tolist()]


def _piece_hashes(planes: list[torch.Tensor]) -> list[list[bytes]]:
    """Of each frame the hashes of all pieces of its planes, each (n, height, width), in order.

    They are as `xxhash` gives them, those of a plane's whole pieces in one.
    """
    hashes: list[list[bytes]] = [[] for _ in planes[0]]
    for plane in planes:
        data = plane.contiguous().flatten(1).view(torch.uint8)
        whole = data.shape[1] // PIECE_BYTES
        if whole:
            # a copy: where the planes lie, integers of 64 bits may not begin
            pieces = data[:, : whole * PIECE_BYTES].reshape(-1).clone().view(torch.int64)
            found = piece_hashes(pieces.view(-1, PIECE_BYTES // 8)).cpu().numpy()
            for own, row in zip(hashes, found.reshape(len(data), whole).astype(">i8"), strict=True):
                own.append(row.tobytes())
        rests = data[:, whole * PIECE_BYTES :].cpu().numpy()
        if rests.shape[1]:
            for own, rest in zip(hashes, rests, strict=True):
                own.append(xxhash.xxh3_64_digest(rest.tobytes()))
    return hashes
