"""Decode chosen frames of a video, starting at keyframes, never guessing.

A frame is known by its presentation time (after a census: also by its digest). Whatever way a
video is cut into calls, the frames equal those of one sequential decode.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from queue import Full, Queue
from typing import TypeVar

import av
import numpy as np
from av.container import InputContainer
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
from coreframe.tasks.video.index import VideoIndex
from coreframe.tasks.video.pixels import frame_digest
from coreframe.tasks.video.viewing import AS_SHOWN, Viewing
from coreframe.tasks.watchdog import beat

T = TypeVar("T")

SEEK_GAP_FRAMES = 12
"""Seek ahead to a wanted frame's keyframe only over at least this many unwanted frames: a seek
empties the decoder's pipeline, which costs about as much as decoding a few frames."""

UNKNOWN = np.uint64(0)
"""The digest of a frame of which none was recorded: its time says which it is."""

HANDED_OVER = 16
"""Items that a thread hands to another together: to wake it for each costs both."""

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

    Raises:
        DamagedVideoError: the file does not decode as its demuxed index promised; take a census.
        SourceChangedError: the file is gone, or its frames are not those of the census.
    """
    wanted = positions[index.frame_index[positions] >= 0]
    try:
        if not index.surveyed:
            yield from _decode_promised(path, index, wanted, viewing, seek_gap_frames)
        elif index.seekable:
            yield from _decode_verified(path, index, wanted, viewing, seek_gap_frames)
        else:
            yield from _decode_counted(path, index, wanted, viewing)
    except (av.FFmpegError, OSError, NotAVideoError, BrokenVideoError) as error:
        if isinstance(error, av.FFmpegError) and exists(str(path)):
            raise DamagedVideoError(f"decoding stopped: {error.strerror or error}") from error
        raise SourceChangedError(f"{path} can no longer be read: {error}") from error


def _decode_promised(
    path: str | Path,
    index: VideoIndex,
    wanted: NDArray[np.int64],
    viewing: Viewing,
    seek_gap_frames: int,
) -> Iterator[tuple[int, VideoFrame]]:
    """Trust the demuxed index, and raise at the first thing that is not as it says."""
    if len(wanted) == 0:
        return
    keys, done = np.flatnonzero(index.key), 0
    first = keys[np.searchsorted(keys, wanted[0], side="right") - 1]
    everything = len(wanted) == wanted[-1] - first + 1
    # whatever goes wrong might be for what was skipped
    for skipping in (False,) if everything else (True, False):
        try:
            for item in _decode_runs(
                path, index, wanted[done:], viewing, seek_gap_frames, skipping
            ):
                yield item
                done += 1
            return
        except (DamagedVideoError, av.FFmpegError):
            if not skipping:
                raise


def _decode_runs(
    path: str | Path,
    index: VideoIndex,
    wanted: NDArray[np.int64],
    viewing: Viewing,
    seek_gap_frames: int,
    skipping: bool,
) -> Iterator[tuple[int, VideoFrame]]:
    """Decode the GOPs with wanted frames; of frames that no other refers to, all or the wanted."""
    keys = np.flatnonzero(index.key)
    done = 0
    with open_video(path, viewing) as (container, stream):
        at_start = True
        while done < len(wanted):
            key = keys[np.searchsorted(keys, wanted[done], side="right") - 1]
            if key > 0 and at_start:
                _prime(container, stream)
            if key > 0 or not at_start:
                _seek(container, stream, index, int(key))
            at_start = False
            last = _contiguous(wanted, done, keys, seek_gap_frames)
            due_pts = index.pts[wanted[done:last]].tolist() if skipping else None
            for frame in _frames(container, stream, due_pts):
                if frame.pts is None:
                    raise DamagedVideoError("a decoded frame has no presentation time")
                due = int(index.pts[wanted[done]])
                damaged = frame.is_corrupt and frame.pts >= index.pts[key]
                if frame.pts < due and not damaged:
                    continue
                if frame.pts > due or damaged:
                    raise DamagedVideoError(f"frame {wanted[done]} cannot be decoded")
                yield int(wanted[done]), frame
                done += 1
                if done == last:
                    break
            if done < last:
                raise DamagedVideoError(f"frame {wanted[done]} cannot be decoded")


def _frames(
    container: InputContainer, stream: VideoStream, due_pts: Sequence[int] | None
) -> Iterator[VideoFrame]:
    """Decode on from here; of frames that no other refers to, only those due, if that is given."""
    context = stream.codec_context
    if due_pts is None or context.codec.name not in SKIPPING_DECODERS:
        for packet in packets(container, stream):
            beat()
            yield from context.decode(packet)
        return
    due = set(due_pts)
    for packet in packets(container, stream):
        beat()
        wanted = packet is None or packet.pts is None or packet.pts in due
        context.skip_frame = "DEFAULT" if wanted else "NONREF"
        yield from context.decode(packet)


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


def ahead(items: Iterator[T], depth: int) -> Iterator[T]:
    """Run an iterator in a thread of its own, at most ``depth`` items ahead of its consumer.

    Decoding releases the interpreter lock, so it overlaps with embedding. An exception in the
    iterator is raised here, after the items before it; leaving early stops the thread and closes
    the iterator.
    """
    together = max(1, min(HANDED_OVER, depth // 3))
    waiting = max(1, depth // together - 2)  # without those being gathered and those handed over
    queue: Queue[tuple[list[T], BaseException | None, bool]] = Queue(waiting)
    stopped = threading.Event()

    def put(some: list[T], error: BaseException | None = None, *, last: bool = False) -> bool:
        while not stopped.is_set():
            try:
                queue.put((some, error, last), timeout=0.1)
                return True
            except Full:
                continue
        return False

    def fill() -> None:
        some: list[T] = []
        try:
            for item in items:
                some.append(item)
                if len(some) == together:
                    if not put(some):
                        break
                    some = []
            put(some, last=True)
        except BaseException as error:  # handed to the consumer, whatever it is
            put(some, error, last=True)
        finally:
            close = getattr(items, "close", None)
            if close is not None:
                close()

    thread = threading.Thread(target=fill, name="coreframe-decode", daemon=True)
    thread.start()
    try:
        last = False
        while not last:
            some, error, last = queue.get()
            yield from some
            if error is not None:
                raise error
    finally:
        stopped.set()
        thread.join()
