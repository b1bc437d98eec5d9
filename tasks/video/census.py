"""The census: a video decoded once from beginning to end, to learn what its frames are."""

from collections.abc import Iterator
from dataclasses import replace
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

from coreframe.tasks.errors import BrokenVideoError
from coreframe.tasks.video.container import open_video
from coreframe.tasks.video.demux import clock
from coreframe.tasks.video.index import VideoIndex
from coreframe.tasks.video.pixels import frame_digest
from coreframe.tasks.video.viewing import AS_SHOWN, Viewing
from coreframe.tasks.video.watchdog import beat


class _Decoded(NamedTuple):
    """What is recorded of a decoded frame."""

    pts: int | None
    dts: int | None
    key: bool
    duration: int | None
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
        decoded = [
            _Decoded(
                frame.pts, frame.dts, frame.key_frame, frame.duration, frame_digest(frame, viewing)
            )
            for frame in decode_tolerantly(container, stream, errors)
        ]
        rate = stream.average_rate or stream.guessed_rate or Fraction(25)
        time_base, origin_pts = clock(container, stream)
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
