"""Which frames of a video become rows: all, every n-th, or a number per second."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from coreframe.tasks.errors import UsageError
from coreframe.tasks.video.index import VideoIndex


@dataclass(frozen=True)
class Sampling:
    """At most one of the two is set; neither means every frame."""

    fps: Fraction | None = None
    every: int = 1

    def __post_init__(self) -> None:
        if self.fps is not None and self.fps <= 0:
            raise UsageError(f"sample-fps {self.fps} is not above 0.")
        if self.every < 1:
            raise UsageError(f"every {self.every} is not a whole number of at least 1.")
        if self.fps is not None and self.every != 1:
            raise UsageError("sample-fps and every are two ways to sample: give one of them.")

    @classmethod
    def parse(cls, text: str) -> "Sampling":
        """Read what ``str`` gives."""
        if text.endswith(" fps"):
            return cls(fps=Fraction(text.removesuffix(" fps")))
        return cls() if text == "all" else cls(every=int(text.removeprefix("every ")))

    def __str__(self) -> str:
        """``all``, ``every 5`` or ``2 fps``: kept in the store to recognise the sampling."""
        if self.fps is not None:
            return f"{self.fps} fps"
        return "all" if self.every == 1 else f"every {self.every}"

    def positions(self, index: VideoIndex) -> NDArray[np.int64]:
        """(rows,) int64 positions in the index of the frames to keep, ascending, at least one."""
        if self.fps is not None:
            return _at_rate(index, self.fps)
        return np.arange(0, len(index), self.every, dtype=np.int64)


def gop_starts(index: VideoIndex, positions: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where a video can be cut without decoding any frame on both sides.

    Args:
        index: of the video.
        positions: (rows,) int64, those of its sampled frames.

    Returns:
        (c,) int64 ascending places among these, but the first, whose frames lie behind another
        keyframe than the one before.
    """
    behind = np.searchsorted(np.flatnonzero(index.key), positions, side="right")
    return np.flatnonzero(np.diff(behind)) + 1


def _at_rate(index: VideoIndex, fps: Fraction) -> NDArray[np.int64]:
    """What ``ffmpeg -vf fps=F`` keeps.

    Each frame falls into the output tick nearest to its time, halves away from zero; of several
    in one tick the last is kept, and the stream ends at the tick nearest to its last frame's
    end. FFmpeg repeats frames where ticks stay empty, which keeps no other frame. A video
    shorter than half a tick, of which FFmpeg keeps nothing, keeps its first frame here: no video
    vanishes from a corpus.
    """
    scale = index.time_base * fps
    times = [*index.file_pts.tolist(), index.end_pts]
    ticks = np.array([_round_half_away((pts - index.origin_pts) * scale) for pts in times])
    # what comes late is shown only where it is the first of its tick or a later one
    kept = np.flatnonzero(np.diff(np.maximum.accumulate(ticks)) > 0)
    return kept if len(kept) else np.zeros(1, np.int64)


def _round_half_away(value: Fraction) -> int:
    twice = 2 * abs(value.numerator) + value.denominator
    rounded = twice // (2 * value.denominator)
    return rounded if value >= 0 else -rounded
