"""A video's index: which frames it has, in presentation order, and where decoding can start."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np
from numpy.typing import NDArray


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
    mirrored: bool = False
    """The coded picture is mirrored, left to right, before it is turned."""
    matrix_degrees: int = 0
    """The angle of the first frame's display matrix, which says nothing of mirrors."""
    sample_aspect_num: int = 1
    """Width of a stored pixel, in units of which its height is the next."""
    sample_aspect_den: int = 1
    margins: str = ""
    """``left:top:right:bottom``, stored pixels that are not shown; empty where all are."""
    color_transfer: str = ""
    """By name, such as ``bt709``, ``smpte2084`` (PQ) or ``arib-std-b67`` (HLG); empty when the file
    does not say."""
    color_primaries: str = ""
    """By name, such as ``bt709`` or ``bt2020``; empty when the file does not say."""
    interlaced: str = ""
    """Of its first frames: ``progressive``; ``tff``, top field first; ``bff``, bottom field first;
    ``mixed``, not all alike. Empty where nobody looked."""
    stream_index: int = -1
    """Of the file's streams, that which holds these frames; -1 where nobody recorded it."""
    missing: int = 0
    """Frames that the container promises and the file does not hold."""
    note: str = ""
    """What was odd about the file, for the report; empty when nothing was."""
    created: str = ""
    """When its recording began, as the file says; see `coreframe.tasks.video.created`."""


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
        played_pts: (frames,) int64, when players show each frame, in ``time_base`` units, where
            that is not ``pts``; see `coreframe.tasks.video.clock`. It need not rise.
        finer: how many units of ``time_base`` one of the file's is.
        suspect: (frames,) bool, whose picture is damaged or built on such; None when none is. See
            `coreframe.tasks.video.suspects`.
        zero_pts: from where ``time_s`` counts, in ``time_base`` units.
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
    played_pts: NDArray[np.int64] | None = None
    finer: int = 1
    zero_pts: int = 0
    suspect: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.pts)

    @property
    def surveyed(self) -> bool:
        """Whether a census has been taken."""
        return self.digest is not None

    @property
    def file_pts(self) -> NDArray[np.int64]:
        """(frames,) int64 times as players take them, in ``time_base`` units."""
        return self.pts if self.played_pts is None else self.played_pts

    @cached_property
    def repeated(self) -> NDArray[np.bool_]:
        """(frames,) bool, whether another frame has the same time in the file."""
        same = np.diff(self.file_pts) == 0
        return np.append(same, False) | np.append(False, same)

    @property
    def mended(self) -> int:
        """Frames whose time is another than players take it for."""
        return 0 if self.played_pts is None else int((self.pts != self.played_pts).sum())

    def oddities(self) -> list[str]:
        """What a person should know of its frames, in a sentence each."""
        told = []
        if self.mended:
            told.append(f"the times of {self.mended:,} of its {len(self):,} frames were mended")
        if self.suspect is not None:
            count = int(self.suspect.sum())
            told.append(
                f"{count:,} of its {len(self):,} frames are suspect: damaged, or built on damaged "
                "ones, and not chosen without --keep-suspect"
            )
        return told

    def positions_of(self, frame_index: Sequence[int]) -> NDArray[np.int64]:
        """(n,) int64 positions of the frames with these indices, in the order asked."""
        place_of = {int(i): place for place, i in enumerate(self.frame_index.tolist()) if i >= 0}
        return np.array([place_of[i] for i in frame_index], np.int64)

    def time_s(self) -> NDArray[np.float64]:
        """(frames,) float64 seconds since the beginning that players show as 0:00."""
        return (self.pts - self.zero_pts) * np.float64(self.time_base)
