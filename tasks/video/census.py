"""The census: a video decoded once from beginning to end, to learn what its frames are."""

from collections.abc import Iterator
from dataclasses import replace
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
from coreframe.tasks.video.clock import (
    Durations,
    FrameTimes,
    PacketClock,
    clock,
    durations,
    mended,
    played_times,
)
from coreframe.tasks.video.container import open_video, packets
from coreframe.tasks.video.digest import frame_digest
from coreframe.tasks.video.index import VideoIndex
from coreframe.tasks.video.suspects import Suspects
from coreframe.tasks.video.viewing import AS_SHOWN, Viewing
from coreframe.tasks.watchdog import beat


class _Decoded(NamedTuple):
    """What is recorded of a decoded frame."""

    times: FrameTimes
    key: bool
    digest: int


def take_census(
    path: str | Path, demuxed: VideoIndex | None, viewing: Viewing = AS_SHOWN
) -> tuple[VideoIndex, str]:
    """Decode a whole file in order and record what came out.

    Args:
        path: the file.
        demuxed: its demuxed index, whose list of frames is kept (rows may already be planned
            from it); None to list the frames that decoding gives.
        viewing: the store's.

    Returns:
        The index with digests, and the first error met while decoding ("" when none was).

    Raises:
        BrokenVideoError: nothing could be decoded.
    """
    with open_video(path, viewing) as (container, stream):
        errors: list[str] = []
        following, suspects = PacketClock(container, stream), Suspects()
        decoded = [
            _Decoded(
                FrameTimes(frame.pts, frame.dts, frame.duration),
                frame.key_frame,
                frame_digest(frame, viewing),
            )
            for frame in decode_tolerantly(container, stream, errors, following, suspects)
        ]
        lasting = durations(container, stream)
        _, origin_pts = clock(container, stream)
    first_error = errors[0] if errors else ""
    if not decoded:
        raise BrokenVideoError(f"not one frame could be decoded: {first_error or 'no frame in it'}")
    if demuxed is not None:
        return _numbered(demuxed, decoded, suspects.found()), first_error
    zero_pts = origin_pts if viewing.as_players else 0
    index = _listed(decoded, lasting, following.jumps == 0, origin_pts, zero_pts)
    return replace(index, suspect=suspects.found()), first_error


def _numbered(
    demuxed: VideoIndex, decoded: list[_Decoded], suspect: NDArray[np.bool_] | None
) -> VideoIndex:
    """A demuxed index with the digests of its frames, by their times."""
    digests = np.array([frame.digest for frame in decoded], np.uint64)
    pts = [frame.times.pts for frame in decoded]
    order: dict[int | None, int] = {}
    for place, own in enumerate(pts):
        order.setdefault(own, place)
    frame_index = np.array([order.get(due, -1) for due in demuxed.pts.tolist()], np.int32)
    return replace(
        demuxed,
        frame_index=frame_index,
        digest=np.where(frame_index >= 0, digests[frame_index], np.uint64(0)),
        suspect=None if suspect is None else (frame_index >= 0) & suspect[frame_index],
        seekable=demuxed.seekable and None not in pts and pts == sorted(pts),  # type: ignore[type-var]
    )


def _listed(
    decoded: list[_Decoded], lasting: Durations, steady: bool, origin_pts: int, zero_pts: int
) -> VideoIndex:
    """An index of what was decoded.

    Args:
        decoded: in order.
        lasting: says how long frames are shown.
        steady: the file's clock does not start anew.
        origin_pts: see `VideoIndex`, but in units of the file.
        zero_pts: likewise.
    """
    times = [frame.times for frame in decoded]
    played, end_pts = played_times(times, lasting)
    pts, finer, _ = mended(played)
    own_dts = [
        one if frame.dts is None else frame.dts for frame, one in zip(times, played, strict=True)
    ]
    shown = np.array(played, np.int64) * finer
    # seeks go by the file's own times, which must be there, and rise but for repetitions
    as_told = [frame.pts for frame in times] == played and bool(np.all(np.diff(shown) >= 0))
    return VideoIndex(
        pts=pts,
        dts=np.array(own_dts, np.int64) * finer,
        key=np.array([frame.key for frame in decoded], bool),
        frame_index=np.arange(len(decoded), dtype=np.int32),
        digest=np.array([frame.digest for frame in decoded], np.uint64),
        time_base=lasting.time_base / finer,
        end_pts=max(end_pts * finer, int(pts[-1]) + 1),
        origin_pts=origin_pts * finer,
        seekable=steady and as_told,
        played_pts=None if np.array_equal(shown, pts) else shown,
        finer=finer,
        zero_pts=zero_pts * finer,
    )


def decode_tolerantly(
    container: InputContainer,
    stream: VideoStream,
    errors: list[str],
    following: PacketClock | None = None,
    suspects: Suspects | None = None,
) -> Iterator[VideoFrame]:
    """Decode on past every error; each is appended to ``errors``.

    Args:
        container: positioned where decoding is to start.
        stream: of it.
        errors: what was met, for people.
        following: gives the packets their played times before they are decoded.
        suspects: is told what goes in and comes out; of a whole decode both are given.
    """
    found = packets(container, stream)
    packet: Packet[VideoStream] | None
    while True:
        try:
            packet = next(found)
        except av.FFmpegError as error:  # the container ends in the middle: take what is buffered
            errors.append(f"reading stopped: {error.strerror or error}")
            packet = None
        beat()
        if packet is not None and following is not None and suspects is not None:
            jumps = following.jumps
            following.move(packet)
            suspects.packet(packet)
            if following.jumps > jumps:
                suspects.jumped()
        try:
            for frame in stream.codec_context.decode(packet):
                if suspects is not None:
                    suspects.frame(frame)
                yield frame
        except av.FFmpegError as error:
            errors.append(str(error.strerror or error))
            if suspects is not None:
                suspects.error()
        if packet is None:
            return
