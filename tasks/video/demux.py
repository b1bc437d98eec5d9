"""The demuxed index: what a file's packets say of its frames, without decoding them."""

from fractions import Fraction
from typing import NamedTuple

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from coreframe.tasks.video.index import VideoIndex
from coreframe.tasks.video.mp4 import MP4_FORMATS
from coreframe.tasks.video.watchdog import beat

TIMED_CONTAINERS = {"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "mpegts", "flv", "ogg", "ivf"}
"""Containers that store presentation times. In others FFmpeg guesses them, and guesses wrong:
H.264 with B-frames in AVI comes out of the decoder with its times shuffled."""


class _Packet(NamedTuple):
    """What a packet says of its frame; sorted, they are in presentation order."""

    pts: int
    dts: int
    key: bool
    duration: int


def demux(container: InputContainer, stream: VideoStream) -> tuple[VideoIndex | None, str]:
    """The index from packets alone, and why it cannot be trusted ("" when it can)."""
    trouble = (
        ""
        if container.format.name in TIMED_CONTAINERS
        else f"a file of format {container.format.name} stores no presentation times"
    )
    packets: list[_Packet] = []
    try:
        for packet in container.demux(stream):
            beat()
            if packet.is_discard or packet.size == 0:  # outside the edit list; end of stream
                continue
            if packet.pts is None:
                return None, "some packets have no presentation time"
            own_dts = packet.pts if packet.dts is None else packet.dts
            packets.append(_Packet(packet.pts, own_dts, packet.is_keyframe, packet.duration or 0))
    except av.FFmpegError as error:
        trouble = f"reading stopped: {error.strerror or error}"
    if trouble or not packets:
        return None, trouble or "no packet in it"
    packets.sort()
    pts = np.array([one.pts for one in packets], np.int64)
    dts = np.array([one.dts for one in packets], np.int64)
    key = np.array([one.key for one in packets], bool)
    if container.file is not None and container.format.name in MP4_FORMATS:
        # FFmpeg marks keyframes by what packets hold, which may not have been read
        listed = [entry.timestamp for entry in stream.index_entries if entry.is_keyframe]
        key = np.isin(dts, listed)
    if np.any(np.diff(pts) == 0):
        return None, "some presentation times are repeated"
    if not key.any():
        return None, "no keyframe is marked"
    time_base, origin_pts = clock(container, stream)
    index = VideoIndex(
        pts=pts,
        dts=dts,
        key=key,
        frame_index=np.arange(len(pts), dtype=np.int32),
        digest=None,
        time_base=time_base,
        end_pts=packets[-1].pts + packets[-1].duration,
        origin_pts=origin_pts,
        seekable=True,
    )
    return index, "" if index.key[0] else "it does not begin with a keyframe"


def clock(container: InputContainer, stream: VideoStream) -> tuple[Fraction, int]:
    """Seconds per unit of the stream's times, and the container's start in these units."""
    time_base = stream.time_base or Fraction(1, 90_000)
    start_us = container.start_time or 0
    return time_base, round(Fraction(start_us, av.time_base) / time_base)
