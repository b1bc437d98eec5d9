"""Which frames are damaged though they can be decoded: smears, and what is built on them.

Demuxers mark packets in which something is missing, decoders raise errors and mark pictures that
they have patched up. What refers to such a picture inherits the damage, up to the next sound
keyframe; a keyframe's leading pictures, shown before it, still refer to what came before.
"""

from typing import NamedTuple

import numpy as np
from av.packet import Packet
from av.video.frame import VideoFrame
from numpy.typing import NDArray


class _Seen(NamedTuple):
    """A packet, as it went into the decoder."""

    pts: int | None
    key: bool
    corrupt: bool


class Suspects:
    """Follows a whole decode: packets, errors, and the frames that come of them."""

    def __init__(self) -> None:
        self._packets: list[_Seen] = []
        self._failed: set[int] = set()
        self._frames: list[tuple[int | None, bool, bool]] = []

    def packet(self, packet: Packet) -> None:
        """Note a packet that goes into the decoder."""
        self._packets.append(_Seen(packet.pts, packet.is_keyframe, packet.is_corrupt))

    def jumped(self) -> None:
        """Note that the clock has started anew with the packet before.

        Where recordings are joined a demuxer takes the seam for lost packets. Whether any picture
        has suffered the decoder says.
        """
        self._packets[-3:] = [one._replace(corrupt=False) for one in self._packets[-3:]]

    def error(self) -> None:
        """Note that the decoder has complained of the packet before."""
        self._failed.add(len(self._packets) - 1)

    def frame(self, frame: VideoFrame) -> None:
        """Note a frame that has come out."""
        self._frames.append((frame.pts, frame.key_frame, frame.is_corrupt))

    def found(self) -> NDArray[np.bool_] | None:
        """(frames,) bool in the order in which they came; None when none is suspect."""
        corrupt = {pts for pts, _, marked in self._frames if marked}
        no_keys = {pts for pts, key, _ in self._frames if not key}
        suspect: dict[int | None, bool] = {}
        damaged = damaged_before = hurt = False
        key_pts: int | None = None
        for number, (pts, key, marked) in enumerate(self._packets):
            if key and pts not in no_keys:
                damaged_before, damaged, key_pts = damaged, hurt, pts
            hurt = marked  # FFmpeg's parser marks the packet before the one that has lost a part
            damaged |= marked or number in self._failed or (pts is not None and pts in corrupt)
            leading = pts is not None and key_pts is not None and pts < key_pts
            suspect[pts] = damaged or (leading and damaged_before)
        last = False
        found = []
        for pts, key, marked in self._frames:
            # what follows damage is damaged, up to a keyframe
            known = suspect[pts] if pts is not None and pts in suspect else last and not key
            last = known or marked
            found.append(last)
        return np.array(found, bool) if any(found) else None
