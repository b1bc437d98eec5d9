"""Decode chosen frames of a video, starting at keyframes, never guessing.

A frame is known by its presentation time (after a census: also by its digest). Whatever way a
video is cut into calls, the frames equal those of one sequential decode.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import av
import numpy as np
from av.codec.hwaccel import HWAccel
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from coreframe.tasks.errors import (
    BrokenVideoError,
    DamagedVideoError,
    NotAVideoError,
    SourceChangedError,
)
from coreframe.tasks.storage.files import exists
from coreframe.tasks.video.census import decode_tolerantly
from coreframe.tasks.video.container import open_video, packets
from coreframe.tasks.video.digest import frame_digest
from coreframe.tasks.video.index import VideoIndex
from coreframe.tasks.video.kept_open import open_once
from coreframe.tasks.video.viewing import AS_SHOWN, Viewing
from coreframe.tasks.watchdog import beat

SEEK_GAP_FRAMES = 12
"""Seek ahead to a wanted frame's keyframe only over at least this many unwanted frames: a seek
empties the decoder's pipeline, which costs about as much as decoding a few frames."""

DRAINED_DECODERS = {"h264", "hevc"}
"""Those that hold pictures back until later ones are there, and give them all when they are told
that nothing follows."""

DRAIN_GAP_FRAMES = 2
"""They are told so where more than these lie between a wanted frame and the next keyframe."""

UNKNOWN = np.uint64(0)
"""The digest of a frame of which none was recorded: its time says which it is."""

SKIPPING_DECODERS = {"h264", "hevc", "mpeg1video", "mpeg2video", "mpeg4", "vc1"}
"""Those of libavcodec that can be told, packet by packet, to pass over a frame that no other
refers to. (libdav1d is told once and for all.)"""


def decode_frames(
    path: str | Path,
    index: VideoIndex,
    positions: NDArray[np.int64],
    viewing: Viewing = AS_SHOWN,
    *,
    seek_gap_frames: int = SEEK_GAP_FRAMES,
    accelerator: HWAccel | None = None,
) -> Iterator[tuple[int, VideoFrame]]:
    """Yield (position in the index, frame) for the wanted positions, in presentation order.

    GOPs without a wanted frame are not decoded. Frames that a census found undecodable are left
    out silently: the index says which.

    Args:
        path: the file.
        index: its index.
        positions: (n,) int64 ascending positions in the index.
        viewing: the store's.
        seek_gap_frames: over at least this many unwanted frames it seeks instead of decoding on.
        accelerator: a device's decoder, for files without a census; a CPU's by default.

    Raises:
        DamagedVideoError: the file does not decode as its demuxed index promised; take a census.
        SourceChangedError: the file is gone, or its frames are not those of the census.
        av.FFmpegError: of an accelerator, whatever it says: it may be the device that fails.
    """
    wanted = positions[index.frame_index[positions] >= 0]
    try:
        if not index.surveyed:
            yield from _decode_promised(path, index, wanted, viewing, seek_gap_frames, accelerator)
        elif index.seekable:
            yield from _decode_verified(path, index, wanted, viewing, seek_gap_frames)
        else:
            yield from _decode_counted(path, index, wanted, viewing)
    except (av.FFmpegError, OSError, NotAVideoError, BrokenVideoError) as error:
        if accelerator is not None and isinstance(error, av.FFmpegError):
            raise
        if isinstance(error, av.FFmpegError) and exists(str(path)):
            raise DamagedVideoError(f"decoding stopped: {error.strerror or error}") from error
        raise SourceChangedError(f"{path} can no longer be read: {error}") from error


def _decode_promised(
    path: str | Path,
    index: VideoIndex,
    wanted: NDArray[np.int64],
    viewing: Viewing,
    seek_gap_frames: int,
    accelerator: HWAccel | None,
) -> Iterator[tuple[int, VideoFrame]]:
    """Trust the demuxed index, and raise at the first thing that is not as it says."""
    done = 0
    for thrifty in (True, False):  # whatever goes wrong might be for what was left out
        try:
            for item in _decode_runs(
                path, index, wanted[done:], viewing, seek_gap_frames, thrifty, accelerator
            ):
                yield item
                done += 1
            return
        except (DamagedVideoError, av.FFmpegError):
            if not thrifty:
                raise


def _decode_runs(
    path: str | Path,
    index: VideoIndex,
    wanted: NDArray[np.int64],
    viewing: Viewing,
    seek_gap_frames: int,
    thrifty: bool,
    accelerator: HWAccel | None,
) -> Iterator[tuple[int, VideoFrame]]:
    """Decode the GOPs with wanted frames.

    Of frames that no wanted one needs all are decoded, or, if it is to be thrifty, few.
    """
    if len(wanted) == 0:
        return
    keys = np.flatnonzero(index.key)
    positions, pts = wanted.tolist(), index.pts[wanted].tolist()
    of_run = keys[np.searchsorted(keys, wanted, side="right") - 1].tolist()
    done = 0
    # where decoding starts at the file's beginning, or has failed, nothing is taken over
    reuse = thrifty and of_run[0] > 0
    opened = open_once(path, viewing, reuse=reuse, accelerator=accelerator)
    with opened as (container, stream, read_before):
        reading = _Reading(container, stream, index, seek_gap_frames, thrifty, read_before)
        while done < len(wanted):
            key = of_run[done]
            reading.go_to(key)
            last = _contiguous(wanted, done, keys, reading.gap_frames)
            for frame in reading.frames(pts[done:last]):
                if frame.pts is None:
                    raise DamagedVideoError("a decoded frame has no presentation time")
                damaged = frame.is_corrupt and frame.pts >= index.pts[key]
                if frame.pts < pts[done] and not damaged:
                    continue
                if frame.pts > pts[done] or damaged:
                    raise DamagedVideoError(f"frame {positions[done]} cannot be decoded")
                yield positions[done], frame
                done += 1
                if done == last:
                    break
            if done < last:
                raise DamagedVideoError(f"frame {positions[done]} cannot be decoded")


class _Reading:
    """A film that is decoded in runs, each from a keyframe on.

    If it is to be thrifty, frames that no other refers to are decoded only when they are due, and
    of a GOP nothing after the packets of what is due: the decoder is drained.
    """

    def __init__(
        self,
        container: InputContainer,
        stream: VideoStream,
        index: VideoIndex,
        seek_gap_frames: int,
        thrifty: bool,
        read_before: bool,
    ) -> None:
        self._container, self._stream, self._index = container, stream, index
        self._read_before = read_before
        self._context = stream.codec_context
        codec = self._context.codec.name
        self._skipping = thrifty and codec in SKIPPING_DECODERS
        self._draining = thrifty and codec in DRAINED_DECODERS
        self._seek_gap_frames = seek_gap_frames
        self.gap_frames = DRAIN_GAP_FRAMES if self._draining else seek_gap_frames
        """A run ends where more frames than these lie between a wanted one and a keyframe."""
        self._packets: Iterator[Packet[VideoStream] | None] = packets(container, stream)
        self._next: Packet[VideoStream] | None = None
        """Read already, and not decoded."""
        self._begun = False
        self._passed: set[int] = set()
        """Times of the packets that were read since."""

    def go_to(self, key: int) -> None:
        """Be where the keyframe at a position can be decoded: by reading on, if it is near."""
        begun, self._begun = self._begun, True
        passed, self._passed = self._passed, set()
        if begun and self._draining and self._reads_on(key, passed):
            self._context.flush_buffers()
            return
        if not begun and key == 0:
            return
        if not begun and not self._read_before:
            _prime(self._container, self._stream)
        _seek(self._container, self._stream, self._index, key)
        self._packets, self._next = packets(self._container, self._stream), None

    def _reads_on(self, key: int, passed: set[int]) -> bool:
        """Pass over packets as far as a keyframe, if it is near and still to come."""
        due_pts = int(self._index.pts[key])
        near_pts = int(self._index.pts[max(0, key - self._seek_gap_frames)])
        if due_pts in passed or max(passed, default=due_pts) < near_pts:
            return False
        packet = self._next or next(self._packets, None)
        while packet is not None and (packet.pts is None or packet.pts < due_pts):
            beat()
            packet = next(self._packets, None)
        self._next = packet
        return packet is not None and packet.pts == due_pts

    def frames(self, due_pts: Sequence[int]) -> Iterator[VideoFrame]:
        """Decode on from here, at least as far as these frames."""
        due = set(due_pts)
        left = set(due_pts)
        while True:
            packet = self._next or next(self._packets, None)
            self._next = None
            beat()
            pts = None if packet is None else packet.pts
            if self._draining and not left and pts is not None:
                self._next = packet
                yield from self._context.decode(None)
                return
            if pts is not None:
                left.discard(pts)
                self._passed.add(pts)
            if self._skipping:
                self._context.skip_frame = "DEFAULT" if pts is None or pts in due else "NONREF"
            yield from self._context.decode(packet)
            if packet is None:
                return


def _decode_verified(
    path: str | Path,
    index: VideoIndex,
    wanted: NDArray[np.int64],
    viewing: Viewing,
    seek_gap_frames: int,
) -> Iterator[tuple[int, VideoFrame]]:
    """Start at a keyframe, keep only frames whose digest the census recorded, else start earlier.

    The step back doubles, so the work stays within a small multiple of what is needed; the
    beginning of the file, from where the census decoded, is the last resort.
    """
    assert index.digest is not None
    # The beginning of the file counts as a keyframe, whatever is marked there.
    keys = np.union1d([0], np.flatnonzero(index.key & (index.frame_index >= 0)))
    times = index.file_pts
    done, step_back = 0, 0
    while done < len(wanted):
        place = int(np.searchsorted(keys, wanted[done], side="right")) - 1 - step_back
        from_start = place <= 0
        before = done
        with open_video(path, viewing) as (container, stream):
            if not from_start:
                _prime(container, stream)
                try:
                    _seek(container, stream, index, int(keys[place]))
                except DamagedVideoError:  # no seek lands there: an earlier keyframe might do
                    step_back = max(1, 2 * step_back)
                    continue
            last = _contiguous(wanted, done, keys, seek_gap_frames)
            for frame in decode_tolerantly(container, stream, []):
                due = int(times[wanted[done]])
                if frame.pts is None or frame.pts * index.finer < due:
                    continue
                if frame.pts * index.finer > due:
                    break
                if not _is(frame, index.digest[wanted[done]], viewing):
                    if index.repeated[wanted[done]]:
                        continue  # another frame with that time
                    break
                yield int(wanted[done]), frame
                done += 1
                if done == last:
                    break
        if done == last:
            step_back = 0
        elif from_start:
            raise SourceChangedError(
                f"{path} has changed since it was indexed (frame {wanted[done]})"
            )
        else:
            step_back = 1 if done > before else max(1, 2 * step_back)
            seek_gap_frames = len(index)  # keyframes are not to be relied on: decode on from here


def _decode_counted(
    path: str | Path, index: VideoIndex, wanted: NDArray[np.int64], viewing: Viewing
) -> Iterator[tuple[int, VideoFrame]]:
    """Decode from the beginning and know frames by their order, for files without usable times."""
    assert index.digest is not None
    position_of = {int(index.frame_index[position]): int(position) for position in wanted}
    with open_video(path, viewing) as (container, stream):
        for count, frame in enumerate(decode_tolerantly(container, stream, [])):
            if count in position_of:
                position = position_of[count]
                if not _is(frame, index.digest[position], viewing):
                    break
                yield position, frame
                del position_of[count]
            if not position_of:
                return
    if position_of:
        missing = min(position_of)
        raise SourceChangedError(f"{path} has changed since it was indexed (frame {missing})")


def _is(frame: VideoFrame, digest: np.uint64, viewing: Viewing) -> bool:
    """Whether it is the frame with this digest; any is the one with UNKNOWN."""
    return digest == UNKNOWN or frame_digest(frame, viewing) == digest


def _contiguous(
    wanted: NDArray[np.int64], start: int, keys: NDArray[np.int64], seek_gap_frames: int
) -> int:
    """End of the run of wanted frames from ``start`` on that is worth decoding without a seek."""
    run = wanted[start:]
    next_key = keys[np.searchsorted(keys, run[1:], side="right") - 1]
    far = np.flatnonzero(next_key - run[:-1] > seek_gap_frames)
    return start + (int(far[0]) + 1 if len(far) else len(run))


def _prime(container: InputContainer, stream: VideoStream) -> None:
    """Show the decoder the file's first packet before the first seek.

    Some encoders say there, and only there, what a decoder must know: without it libavcodec
    decodes the 4:4:4 streams of older x264 builds wrongly from any later keyframe on. The picture
    in it need not be decoded for that, which costs as much as ten others.
    """
    context = stream.codec_context
    packet = next(packets(container, stream))
    if packet is not None:
        if context.codec.name in SKIPPING_DECODERS:
            context.skip_frame = "ALL"
        with suppress(av.FFmpegError):
            context.decode(packet)
        if context.codec.name in SKIPPING_DECODERS:
            context.skip_frame = "DEFAULT"


def _seek(container: InputContainer, stream: VideoStream, index: VideoIndex, key: int) -> None:
    """Position the demuxer so that decoding reaches the keyframe at position ``key``.

    Some demuxers seek by decoding time, some by presentation time, some land later than asked:
    the landing is checked by demuxing one packet, then sought again.
    """
    due = int(index.file_pts[key])
    for target in (due, int(index.dts[key]), int(index.dts[0])):
        with suppress(av.FFmpegError):  # some formats cannot seek at all
            container.seek(target // index.finer, stream=stream)
            shown = (one for one in packets(container, stream) if one and not one.is_discard)
            landed = next(shown, None)
            if landed is not None and landed.pts is not None and landed.pts * index.finer <= due:
                container.seek(target // index.finer, stream=stream)
                return
    raise DamagedVideoError(f"no seek reaches the keyframe at frame {key}")
