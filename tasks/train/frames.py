"""The pictures that training draws from: in files, too many to hold."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray


@dataclass(frozen=True)
class PictureFile:
    """A file with pictures of one video, in the order of time."""

    path: Path
    """An .npy file: (n, side, side, 3) uint8 RGB."""
    video: int
    """The video's number in the catalogue."""
    time_s: NDArray[np.float64]
    """(n,) presentation times in seconds."""


@dataclass(frozen=True)
class TrainingFrames:
    """Frames of a corpus, in the order of videos and of time.

    Attributes:
        files: .npy files that hold all pictures, one after the other: (some, side, side, 3) uint8.
        video: (n,) int32, the number of each frame's video.
        time_s: (n,) float64, its presentation time in seconds.
    """

    files: tuple[Path, ...]
    video: NDArray[np.int32]
    time_s: NDArray[np.float64]

    @classmethod
    def from_files(cls, files: Iterable[PictureFile]) -> "TrainingFrames":
        """All pictures of some files, in the order of the files' names; empty ones do not count."""
        held = sorted((file for file in files if len(file.time_s)), key=lambda file: file.path)
        return cls(
            files=tuple(file.path for file in held),
            video=np.repeat(
                np.array([file.video for file in held], np.int32),
                np.array([len(file.time_s) for file in held], np.int64),
            ),
            time_s=np.concatenate([np.zeros(0), *(file.time_s for file in held)]),
        )

    def __len__(self) -> int:
        return len(self.video)

    def open(self) -> "Pictures":
        return Pictures(self.files)

    def neighbours(self, within_s: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """For each frame, where those of its video that are no farther in time begin and stop.

        Returns:
            (n,) int64 each: places of the first, and behind the last. It is among them itself.
        """
        first, stop = np.empty(len(self), np.int64), np.empty(len(self), np.int64)
        edges = np.flatnonzero(np.diff(self.video)) + 1
        for own in map(slice, [0, *edges], [*edges, len(self)]):
            time_s = self.time_s[own]
            first[own] = own.start + np.searchsorted(time_s, time_s - within_s, side="left")
            stop[own] = own.start + np.searchsorted(time_s, time_s + within_s, side="right")
        return first, stop


class Pictures:
    """Pictures by their place, mapped into memory: what is not looked at is not read."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._parts = [np.load(file, mmap_mode="r") for file in files]
        self._ends = np.cumsum([len(part) for part in self._parts])

    def __getitem__(self, places: NDArray[np.int64]) -> torch.Tensor:
        """(len(places), side, side, 3) uint8 of any places."""
        images = np.empty((len(places), *self._parts[0].shape[1:]), np.uint8)
        part = np.searchsorted(self._ends, places, side="right")
        for number in np.unique(part).tolist():
            here = part == number
            start = self._ends[number] - len(self._parts[number])
            images[here] = self._parts[number][places[here] - start]
        return torch.from_numpy(images)
