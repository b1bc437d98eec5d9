"""Interlaced frames, which hold two moments in alternate lines: which they are, and whole ones.

The filter is FFmpeg's ``yadif=deint=interlaced``: of an interlaced frame it keeps the first
field's lines and makes the others from them and from the frames before and after; a frame that is
not interlaced stays as it is. What comes of a frame depends on these three only, so that parts of a
video equal a sequential run. (``bwdif`` is finer, but treats the first interlaced frame after its
start in another way, and gives other bits in other versions of FFmpeg.)
"""

from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from coreframe.tasks.video.decode import decode_frames
from coreframe.tasks.video.graph import chain, filtered, pulled
from coreframe.tasks.video.index import VideoIndex
from coreframe.tasks.video.viewing import AS_SHOWN, Viewing

FILTER, OPTIONS = "yadif", "mode=send_frame:parity=auto:deint=interlaced"

LEAST_PX = 3
"""The filter takes nothing smaller."""

ORDERS = {"tff": "top field first", "bff": "bottom field first", "mixed": "not all frames alike"}
"""What `field_order` can say of interlaced material."""


def field_order(frames: Iterable[VideoFrame]) -> str:
    """``progressive``, ``tff``, ``bff`` (top or bottom field first), or ``mixed``."""
    orders = {_order(frame) for frame in frames}
    return orders.pop() if len(orders) == 1 else "mixed"


def _order(frame: VideoFrame) -> str:
    if not frame.interlaced_frame:
        return "progressive"
    # PyAV does not show which field is first; a filter can be asked.
    return "tff" if filtered(frame, ("select", "eq(interlace_type,TOPFIRST)")) else "bff"


def field_note(interlaced: str, viewing: Viewing) -> str:
    """What to tell of a video whose `field_order` is this; empty when all is well."""
    if viewing.deinterlace or interlaced not in ORDERS:
        return ""
    return (
        f"interlaced ({ORDERS[interlaced]}): a store made with --deinterlace on has whole pictures"
    )


class Decoded(NamedTuple):
    """A decoded frame, and what is to be seen of it."""

    position: int
    """In the video's index."""
    frame: VideoFrame
    """As it left the decoder: what the digest is of."""
    shown: VideoFrame
    """What its picture is made of."""


def decode_shown(
    path: str | Path,
    index: VideoIndex,
    positions: NDArray[np.int64],
    viewing: Viewing = AS_SHOWN,
) -> Iterator[Decoded]:
    """Decode frames and, if the viewing says so, make whole pictures of interlaced ones.

    Arguments and errors are those of `coreframe.tasks.video.decode.decode_frames`.
    """
    if not viewing.deinterlace:
        for position, frame in decode_frames(path, index, positions, viewing):
            yield Decoded(position, frame, frame)
        return
    decodable = np.flatnonzero(index.frame_index >= 0)
    wanted = positions[index.frame_index[positions] >= 0]
    frames = decode_frames(path, index, with_neighbours(wanted, decodable), viewing)
    yield from deinterlaced(frames, wanted)


def with_neighbours(
    positions: NDArray[np.int64], decodable: NDArray[np.int64]
) -> NDArray[np.int64]:
    """(m,) int64 ascending: positions of frames, and of those before and after each.

    Args:
        positions: (n,) int64 ascending, of decodable frames.
        decodable: (d,) int64 ascending, of all of them.
    """
    places = np.searchsorted(decodable, positions)
    near = np.unique(np.concatenate([places - 1, places, places + 1]))
    return decodable[near[(near >= 0) & (near < len(decodable))]]


def deinterlaced(
    decoded: Iterable[tuple[int, VideoFrame]], wanted: NDArray[np.int64]
) -> Iterator[Decoded]:
    """Make whole pictures of the wanted frames.

    Args:
        decoded: positions and frames of all that `with_neighbours` names, ascending. So the frames
            to both sides of a wanted one are its own; what the filter makes of others is dropped.
        wanted: (n,) int64 positions.
    """
    due = set(wanted.tolist())
    run: _Run | None = None
    for position, frame in decoded:
        if run is None or _shape(frame) != run.shape:
            if run is not None:
                yield from run.close(due)
            run = _Run(frame)
        yield from run.add(position, frame, due)
    if run is not None:
        yield from run.close(due)


class _Run:
    """Frames of one shape on their way through the filter."""

    def __init__(self, first: VideoFrame) -> None:
        self.shape = _shape(first)
        tiny = min(first.width, first.height) < LEAST_PX
        self._graph = None if tiny else chain(first, (FILTER, OPTIONS))
        self._waiting: deque[tuple[int, VideoFrame]] = deque()

    def add(self, position: int, frame: VideoFrame, due: set[int]) -> Iterator[Decoded]:
        """Put a frame in, and take out what is done: the filter needs the next frame, too."""
        self._waiting.append((position, frame))
        if self._graph is not None:
            self._graph.vpush(frame)
        yield from self._done(due)

    def close(self, due: set[int]) -> Iterator[Decoded]:
        """Take out the rest."""
        if self._graph is not None:
            self._graph.vpush(None)
        yield from self._done(due)

    def _done(self, due: set[int]) -> Iterator[Decoded]:
        if self._graph is None:
            shown = [frame for _, frame in self._waiting]
        else:
            shown = pulled(self._graph)
        for whole in shown:
            position, frame = self._waiting.popleft()
            if position in due:
                yield Decoded(position, frame, whole if frame.interlaced_frame else frame)


def _shape(frame: VideoFrame) -> tuple[str, int, int]:
    return frame.format.name, frame.width, frame.height
