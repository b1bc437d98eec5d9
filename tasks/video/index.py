"""Index a video: which frames it has, in presentation order, and where decoding can start.

Two ways to know a video's frames:

* the **demuxed index** reads packets only. It is cheap and right for every sound file whose
  container stores presentation times.
* the **census** decodes the whole file once and records each frame's digest. It is taken where
  the demuxed index cannot be trusted: missing or repeated times, a container that stores none,
  or a decoder that did not give what the index promised. After a census every decoded frame is
  checked against its digest, so a damaged file may be cut into segments as freely as a sound one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from coreframe.tasks.errors import BrokenVideoError
from coreframe.tasks.video.container import open_video
from coreframe.tasks.video.mp4 import MP4_FORMATS
from coreframe.tasks.video.pixels import frame_digest, upright_size
from coreframe.tasks.video.watchdog import beat

TIMED_CONTAINERS = {"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "mpegts", "flv", "ogg", "ivf"}
"""Containers that store presentation times. In others FFmpeg guesses them, and guesses wrong:
H.264 with B-frames in AVI comes out of the decoder with its times shuffled."""


@dataclass(frozen=True)
class VideoFacts:
    """What a person wants to know of a video file."""

    container: str
    codec: str
    width: int
    """Pixels, upright (after rotation)."""
    height: int
    pixel_format: str
    rotation: int
    """Degrees counter-clockwise to turn the coded picture upright: a multiple of 90."""
    duration_s: float
    """From the first frame's presentation to the last one's, plus one frame."""
    note: str = ""
    """What was odd about the file, for the report; empty when nothing was."""


@dataclass(frozen=True)
class VideoIndex:
    """The frames of one video in presentation order, one array element each.

    Attributes:
        pts: (frames,) int64, presentation time in ``time_base`` units, strictly increasing.
        dts: (frames,) int64, decoding time; a seek may need it.
        key: (frames,) bool, a keyframe: decoding may start here.
        frame_index: (frames,) int32, place among the decodable frames from 0; -1 where the
            frame cannot be decoded.
        digest: (frames,) uint64 of the decoded pixels, after a census; None before.
        time_base: seconds per unit of pts.
        end_pts: where the last frame's showing ends.
        origin_pts: the container's start in units of ``time_base``; ``fps`` sampling counts
            from here, as ``ffmpeg`` does.
        seekable: decoding may start at keyframes. False where times are made up: then the
            file is always decoded from its beginning and frames are known by their order.
    """

    pts: NDArray[np.int64]
    dts: NDArray[np.int64]
    key: NDArray[np.bool_]
    frame_index: NDArray[np.int32]
    digest: NDArray[np.uint64] | None
    time_base: Fraction
    end_pts: int
    origin_pts: int
    seekable: bool

    def __len__(self) -> int:
        return len(self.pts)

    @property
    def surveyed(self) -> bool:
        """Whether a census has been taken."""
        return self.digest is not None

    def positions_of(self, frame_index: Sequence[int]) -> NDArray[np.int64]:
        """(n,) int64 positions of the frames with these indices, in the order asked."""
        place_of = {int(i): place for place, i in enumerate(self.frame_index.tolist()) if i >= 0}
        return np.array([place_of[i] for i in frame_index], np.int64)

    def time_s(self) -> NDArray[np.float64]:
        """(frames,) float64 seconds on the file's own clock."""
        return self.pts * np.float64(self.time_base)


class _Packet(NamedTuple):
    """What a packet says of its frame; sorted, they are in presentation order."""

    pts: int
    dts: int
    key: bool
    duration: int


class _Decoded(NamedTuple):
    """What is recorded of a decoded frame."""

    pts: int | None
    dts: int | None
    key: bool
    duration: int | None
    digest: int


def index_video(path: str | Path) -> tuple[VideoFacts, VideoIndex]:
    """Index a file without decoding it, or by a census where that would be a guess.

    Raises:
        NotAVideoError: see :func:`coreframe.tasks.video.container.open_video`.
        BrokenVideoError: it cannot be opened, or not one frame can be decoded.
    """
    with open_video(path, packets_only=True) as (container, stream):
        demuxed, trouble = _demux(container, stream)
    facts, first_pts = _probe(path)
    if demuxed is not None and not trouble and first_pts != demuxed.pts[0]:
        trouble = "its first frames cannot be decoded"
    if demuxed is not None and not trouble:
        return replace(facts, duration_s=_duration_s(demuxed)), demuxed
    surveyed, _ = take_census(path, demuxed)
    return replace(facts, duration_s=_duration_s(surveyed), note=trouble), surveyed


def take_census(path: str | Path, demuxed: VideoIndex | None) -> tuple[VideoIndex, str]:
    """Decode a whole file in order and record what came out.

    Args:
        path: the file.
        demuxed: its demuxed index, whose list of frames is kept (rows may already be planned
            from it); None to list the frames that decoding gives.

    Returns:
        The index with digests, and the first error met while decoding ("" when none was).

    Raises:
        BrokenVideoError: nothing could be decoded.
    """
    with open_video(path) as (container, stream):
        errors: list[str] = []
        decoded = [
            _Decoded(frame.pts, frame.dts, frame.key_frame, frame.duration, frame_digest(frame))
            for frame in decode_tolerantly(container, stream, errors)
        ]
        rate = stream.average_rate or stream.guessed_rate or Fraction(25)
        time_base, origin_pts = _clock(container, stream)
    first_error = errors[0] if errors else ""
    if not decoded:
        raise BrokenVideoError(f"not one frame could be decoded: {first_error or 'no frame in it'}")

    digests = np.array([frame.digest for frame in decoded], np.uint64)
    in_order = all(
        before is not None and after is not None and before < after
        for before, after in pairwise([-(2**63), *(frame.pts for frame in decoded)])
    )
    if demuxed is not None:
        order: dict[int | None, int] = {}
        for place, frame in enumerate(decoded):
            order.setdefault(frame.pts, place)
        frame_index = np.array([order.get(due, -1) for due in demuxed.pts.tolist()], np.int32)
        return replace(
            demuxed,
            frame_index=frame_index,
            digest=np.where(frame_index >= 0, digests[frame_index], np.uint64(0)),
            seekable=demuxed.seekable and in_order,
        ), first_error
    if in_order:
        pts = np.array([frame.pts for frame in decoded], np.int64)
    else:  # times missing or shuffled: the order is right, so count at the stream's frame rate
        pts, time_base, origin_pts = np.arange(len(decoded), dtype=np.int64), 1 / rate, 0
    dts = [
        own if frame.dts is None else frame.dts
        for frame, own in zip(decoded, pts.tolist(), strict=True)
    ]
    end_pts = int(pts[-1]) + ((decoded[-1].duration or 1) if in_order else 1)
    return VideoIndex(
        pts=pts,
        dts=np.array(dts, np.int64),
        key=np.array([frame.key for frame in decoded], bool),
        frame_index=np.arange(len(decoded), dtype=np.int32),
        digest=digests,
        time_base=time_base,
        end_pts=end_pts,
        origin_pts=origin_pts,
        seekable=in_order,
    ), first_error


def decode_tolerantly(
    container: InputContainer, stream: VideoStream, errors: list[str]
) -> Iterator[VideoFrame]:
    """Decode on past every error; each is appended to ``errors``."""
    packets = container.demux(stream)
    while True:
        packet: Packet[VideoStream] | None
        try:
            packet = next(packets)
        except StopIteration:
            return
        except av.FFmpegError as error:  # the container ends in the middle: take what is buffered
            errors.append(f"reading stopped: {error.strerror or error}")
            packet = None
        beat()
        try:
            yield from stream.codec_context.decode(packet)
        except av.FFmpegError as error:
            errors.append(str(error.strerror or error))
        if packet is None:
            return


def _demux(container: InputContainer, stream: VideoStream) -> tuple[VideoIndex | None, str]:
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
    time_base, origin_pts = _clock(container, stream)
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


def _probe(path: str | Path) -> tuple[VideoFacts, int | None]:
    """Facts that only a decoded frame tells, and that frame's pts."""
    with open_video(path) as (container, stream):
        errors: list[str] = []
        frame = next(decode_tolerantly(container, stream, errors), None)
        if frame is None:
            raise BrokenVideoError(
                f"not one frame could be decoded: {errors[0] if errors else 'no frame in it'}"
            )
        width, height = upright_size(frame)
        return VideoFacts(
            container=container.format.name,
            codec=stream.codec_context.codec.canonical_name,
            width=width,
            height=height,
            pixel_format=frame.format.name,
            rotation=frame.rotation,
            duration_s=0.0,
        ), frame.pts


def _clock(container: InputContainer, stream: VideoStream) -> tuple[Fraction, int]:
    time_base = stream.time_base or Fraction(1, 90_000)
    start_us = container.start_time or 0
    return time_base, round(Fraction(start_us, av.time_base) / time_base)


def _duration_s(index: VideoIndex) -> float:
    """Length in seconds; a lone frame, whose duration nothing tells, counts as none."""
    if len(index) < 2:
        return 0.0
    span = int(index.pts[-1] - index.pts[0])
    return float(span * index.time_base * Fraction(len(index), len(index) - 1))
