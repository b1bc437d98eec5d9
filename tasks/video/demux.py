"""The demuxed index: what a file's packets say of its frames, without decoding them."""

from array import array

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

from coreframe.tasks.video.claims import Allowance
from coreframe.tasks.video.clock import PacketClock, clock, durations, jumps_allowed
from coreframe.tasks.video.container import lists_keyframes, packets
from coreframe.tasks.video.index import VideoIndex
from coreframe.tasks.video.viewing import Viewing
from coreframe.tasks.watchdog import beat

TIMED_CONTAINERS = {"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "mpegts", "flv", "ogg", "ivf"}
"""Containers that store presentation times. In others the order of decoding tells."""


TELLING_CODECS = frozenset(
    ["av1", "ffv1", "h264", "hevc", "mpeg1video", "mpeg2video", "vp8", "vp9"]
)
"""Those whose decoders, begun at a frame that is no keyframe, raise an error, give nothing or mark
what they give as corrupt. MPEG-4 part 2, H.263 and their kin, QTRLE, RPZA and others give grey
pictures as if they were right, and the flags of their containers are often wrong."""


NO_KEY_FIRST = "it does not begin with a keyframe"


class _Packets:
    """What packets say of their frames, in 25 bytes each."""

    def __init__(self) -> None:
        self._pts, self._dts, self._duration = array("q"), array("q"), array("q")
        self._key = bytearray()

    def append(self, pts: int, dts: int, key: bool, duration: int) -> None:
        self._pts.append(pts)
        self._dts.append(dts)
        self._duration.append(duration)
        self._key.append(key)

    def __len__(self) -> int:
        return len(self._key)

    def in_order(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_], int]:
        """Of the frames in presentation order pts, dts and keyframes; the last one's duration."""
        pts, dts, duration = (
            np.frombuffer(one, np.int64) for one in (self._pts, self._dts, self._duration)
        )
        key = np.frombuffer(self._key, bool)
        order = np.lexsort((duration, key, dts, pts))
        return pts[order], dts[order], key[order], int(duration[order[-1]])


def demux(
    container: InputContainer, stream: VideoStream, viewing: Viewing, allowance: Allowance
) -> tuple[VideoIndex | None, str, int]:
    """List a stream's packets.

    Returns:
        The index that they make, why it cannot be trusted ("" when it can), and how many packets
        there are.

    Raises:
        BrokenVideoError: they are more than the file may give.
    """
    found = _Packets()
    following = PacketClock(container, stream)
    count, trouble, most = 0, "", allowance.frames
    corrupt = last_corrupt = False
    if container.format.name not in TIMED_CONTAINERS:
        trouble = f"a file of format {container.format.name} stores no presentation times"
    try:
        for packet in packets(container, stream):
            beat()
            if packet is None:
                continue
            count += 1
            if count > most:
                allowance.check(count)
            if packet.is_discard:  # outside the edit list
                continue
            corrupt |= last_corrupt
            last_corrupt = packet.is_corrupt
            if packet.pts is None:
                trouble = trouble or "some packets have no presentation time"
                continue
            own_dts = packet.pts if packet.dts is None else packet.dts
            found.append(packet.pts, own_dts, packet.is_keyframe, packet.duration or 0)
            following.move(packet)
    except av.FFmpegError as error:
        trouble = trouble or f"reading stopped: {error.strerror or error}"
    if following.jumps:
        trouble = trouble or "its clock starts anew in the middle"
    # that a recording of a broadcast ends in the middle of a frame is common, and no damage
    if corrupt or (last_corrupt and not jumps_allowed(container)):
        trouble = trouble or "parts of it are missing or damaged"
    if trouble or not len(found):
        return None, trouble or "no packet in it", count
    return *_index_of(found, container, stream, viewing), count


def _index_of(
    found: _Packets, container: InputContainer, stream: VideoStream, viewing: Viewing
) -> tuple[VideoIndex | None, str]:
    """The index that packets make, and why it cannot be trusted ("" when it can)."""
    pts, dts, key, last = found.in_order()
    if lists_keyframes(container):
        # FFmpeg marks keyframes by what packets hold, which may not have been read
        listed = [entry.timestamp for entry in stream.index_entries if entry.is_keyframe]
        key = np.isin(dts, listed)
    if np.any(np.diff(pts) == 0):
        return None, "some presentation times are repeated"
    if not key.any():
        return None, "no keyframe is marked"
    time_base, origin_pts = clock(container, stream)
    step = int(pts[-1] - pts[-2]) if len(pts) > 1 else -1
    index = VideoIndex(
        pts=pts,
        dts=dts,
        key=key,
        frame_index=np.arange(len(pts), dtype=np.int32),
        digest=None,
        time_base=time_base,
        end_pts=int(pts[-1]) + durations(container, stream).of(last, step),
        origin_pts=origin_pts,
        seekable=True,
        zero_pts=origin_pts if viewing.as_players else 0,
    )
    return index, "" if index.key[0] else NO_KEY_FIRST


def keyframes_told(stream: VideoStream, index: VideoIndex) -> bool:
    """Whether its decoder complains where what is marked as a keyframe is none."""
    codec = stream.codec_context.codec
    return codec.canonical_name in TELLING_CODECS or (codec.intra_only and bool(index.key.all()))
