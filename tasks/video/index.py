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

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

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

    pts: np.ndarray
    dts: np.ndarray
    key: np.ndarray
    frame_index: np.ndarray
    digest: np.ndarray | None
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

    def positions_of(self, frame_index: Sequence[int]) -> np.ndarray:
        """(n,) int64 positions of the frames with these indices, in the order asked."""
        place_of = {int(i): place for place, i in enumerate(self.frame_index.tolist()) if i >= 0}
        return np.array([place_of[i] for i in frame_index], np.int64)

    def time_s(self) -> np.ndarray:
        """(frames,) float64 seconds on the file's own clock."""
        return self.pts * float(self.time_base)


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
        seen = [
            (frame.pts, frame.dts, frame.key_frame, frame.duration, frame_digest(frame))
            for frame in decode_tolerantly(container, stream, errors)
        ]
        rate = stream.average_rate or stream.guessed_rate or Fraction(25)
        time_base, origin_pts = _clock(container, stream)
    first_error = errors[0] if errors else ""
    if not seen:
        raise BrokenVideoError(f"not one frame could be decoded: {first_error or 'no frame in it'}")

    pts_seen = [pts for pts, *_ in seen]
    digest_seen = np.array([digest for *_, digest in seen], np.uint64)
    in_order = all(
        before is not None and after is not None and before < after
        for before, after in pairwise([-(2**63), *pts_seen])
    )
    if demuxed is not None:
        order: dict[int | None, int] = {}
        for place, seen_pts in enumerate(pts_seen):
            order.setdefault(seen_pts, place)
        frame_index = np.array([order.get(due, -1) for due in demuxed.pts.tolist()], np.int32)
        return replace(
            demuxed,
            frame_index=frame_index,
            digest=np.where(frame_index >= 0, digest_seen[frame_index], np.uint64(0)),
            seekable=demuxed.seekable and in_order,
        ), first_error
    if in_order:
        pts = np.array(pts_seen, np.int64)
    else:  # times missing or shuffled: the order is right, so count at the stream's frame rate
        pts, time_base, origin_pts = np.arange(len(seen), dtype=np.int64), 1 / rate, 0
    dts = [p if d is None else d for (_, d, *_), p in zip(seen, pts.tolist(), strict=True)]
    end_pts = int(pts[-1]) + ((seen[-1][3] or 1) if in_order else 1)
    return VideoIndex(
        pts=pts,
        dts=np.array(dts, np.int64),
        key=np.array([key for _, _, key, *_ in seen], bool),
        frame_index=np.arange(len(seen), dtype=np.int32),
        digest=digest_seen,
        time_base=time_base,
        end_pts=end_pts,
        origin_pts=origin_pts,
        seekable=in_order,
    ), first_error


def decode_tolerantly(
    container: InputContainer, stream: VideoStream, errors: list[str]
) -> Iterator[VideoFrame]:
    """Decode on past every error; what was met is appended to ``errors``."""
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
    packets: list[tuple[int, int, bool, int]] = []
    try:
        for packet in container.demux(stream):
            beat()
            if packet.is_discard or packet.size == 0:  # outside the edit list; end of stream
                continue
            if packet.pts is None:
                return None, "some packets have no presentation time"
            dts = packet.pts if packet.dts is None else packet.dts
            packets.append((packet.pts, dts, packet.is_keyframe, packet.duration or 0))
    except av.FFmpegError as error:
        trouble = f"reading stopped: {error.strerror or error}"
    if trouble or not packets:
        return None, trouble or "no packet in it"
    columns = [np.array(column) for column in zip(*sorted(packets), strict=True)]
    all_pts, all_dts, key, span = columns
    if container.file is not None and container.format.name in MP4_FORMATS:
        # FFmpeg marks keyframes by what packets hold, which may not have been read
        listed = [entry.timestamp for entry in stream.index_entries if entry.is_keyframe]
        key = np.isin(all_dts, listed)
    if np.any(np.diff(all_pts) == 0):
        return None, "some presentation times are repeated"
    if not key.any():
        return None, "no keyframe is marked"
    time_base, origin_pts = _clock(container, stream)
    end_pts = int(all_pts[-1] + span[-1])
    index = VideoIndex(
        pts=all_pts.astype(np.int64),
        dts=all_dts.astype(np.int64),
        key=key.astype(bool),
        frame_index=np.arange(len(all_pts), dtype=np.int32),
        digest=None,
        time_base=time_base,
        end_pts=end_pts,
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
