"""Which frame of a store each box is of, and which boxes are embedded."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import PurePosixPath

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from coreframe.tasks.errors import UsageError
from coreframe.tasks.output.images import plain_stem
from coreframe.tasks.store.catalogue import Video
from coreframe.tasks.store.objects import BOX, BOXES_SCHEMA, Boxes
from coreframe.tasks.store.settings import StoreSettings
from coreframe.tasks.video.sampling import Sampling

LEAST_PX = 16
"""A side of a box at least: of less there is nothing to see."""

ROUNDING_S = 1e-6
"""What times lose that are written as text."""


class Skip(StrEnum):
    """Why a box is not embedded."""

    NO_NUMBER = "without four finite numbers"
    NO_FRAME = "of frames that the store does not hold"
    OUTSIDE = "outside the picture"
    SMALL = f"under {LEAST_PX} px a side"
    KNOWN = "in the store already"


@dataclass
class Skipped:
    """Boxes that are not embedded, and the first of each kind."""

    count: dict[Skip, int] = field(default_factory=dict)
    first: dict[Skip, str] = field(default_factory=dict)

    def add(self, kind: Skip, which: NDArray[np.bool_], places: Sequence[str]) -> None:
        """Count some of the boxes at places."""
        if which.any():
            self.count[kind] = self.count.get(kind, 0) + int(which.sum())
            self.first.setdefault(kind, places[int(np.argmax(which))])

    def sentences(self, but: Skip | None = None) -> list[str]:
        """One for each kind but one."""
        return [
            f"{count:,} box{'es' * (count != 1)} {kind} left out, the first in {self.first[kind]}"
            for kind, count in self.count.items()
            if kind != but
        ]


@dataclass(frozen=True)
class Corpus:
    """What boxes can be of."""

    frames: pd.DataFrame
    """The decodable frames in row order: row, video, frame_index, time_s."""
    videos: Mapping[int, Video]
    """The active ones, by number."""
    settings: StoreSettings

    def picture_px(self, number: int) -> tuple[int, int]:
        """(width, height) of what is seen of a video's frames."""
        crop, video = self.settings.viewing.crop, self.videos[number]
        return (video.width, video.height) if crop is None else (crop.width, crop.height)


def matched(path: str, given: pd.DataFrame, corpus: Corpus, skipped: Skipped) -> pd.DataFrame:
    """Find the frames of boxes, and clip these to what is seen.

    Args:
        path: the file that they are from, for people.
        given: see :func:`coreframe.tasks.objects.given.read_boxes`.
        corpus: what they may be of.
        skipped: what is left out is added.

    Returns:
        Those to be embedded by row, of one row in the file's order: row, BOX, label, score.

    Raises:
        UsageError: there is none.
    """
    found, before = given.copy(), dict(skipped.count)
    found["where"] = [f"{path}, {place}" for place in found["place"]]
    found["number"] = _videos_of(found, corpus.videos)
    found["row"] = _rows_of(found, corpus)
    sizes = [corpus.picture_px(n) if n >= 0 else (0, 0) for n in found["number"].tolist()]
    picture = np.array(sizes, np.float64).reshape(-1, 2)
    box = found[list(BOX)].to_numpy(np.float64)
    if "image_width" in found:  # an export that was resized
        image = found[["image_width", "image_height"]].to_numpy(np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            scale = np.where(image > 0, picture / image, 1.0)
        box = box * np.tile(scale, 2)
    corner = np.maximum(box[:, :2], 0)
    end = np.minimum(box[:, :2] + box[:, 2:], picture)
    clipped = np.concatenate([corner, end - corner], axis=1).astype(np.float32)
    left = np.ones(len(found), bool)
    for kind, which in (
        (Skip.NO_NUMBER, ~np.isfinite(box).all(axis=1)),
        (Skip.NO_FRAME, (found["row"] < 0).to_numpy()),
        (
            Skip.OUTSIDE,
            (corner >= picture).any(axis=1) | (box[:, :2] + box[:, 2:] <= 0).any(axis=1),
        ),
        (Skip.SMALL, ~(clipped[:, 2:] >= LEAST_PX).all(axis=1)),
    ):
        skipped.add(kind, left & which, found["where"].tolist())
        left &= ~which
    if not left.any():
        raise _none_matched(path, len(found), skipped, before)
    found[list(BOX)] = clipped
    found["score"] = found["score"].astype(np.float32)
    return found[left].sort_values("row", kind="stable", ignore_index=True)


def added(boxes: Boxes, found: pd.DataFrame, skipped: Skipped) -> Boxes:
    """Number the boxes that are not among those known; what equals one of them is left out."""
    key = ["row", *BOX, "label"]
    known = boxes.table.select(key).to_pandas()
    repeated = pd.concat([known, found[key]]).astype({"label": str}).duplicated()
    again = repeated.to_numpy()[len(known) :]
    skipped.add(Skip.KNOWN, again, found["where"].tolist())
    new = found[~again]
    numbers = boxes.planned + np.arange(len(new))
    columns = {name: new[name].to_numpy() for name in BOXES_SCHEMA.names[1:]}
    table = pa.table({"object": numbers} | columns).cast(BOXES_SCHEMA)
    return Boxes(pa.concat_tables([boxes.table, table]), boxes.planned + len(new), boxes.embedded)


def _none_matched(
    path: str, given: int, skipped: Skipped, before: Mapping[Skip, int]
) -> UsageError:
    if not given:
        return UsageError(f"{path} lists no box: give one that does.")
    own = {kind: n - before.get(kind, 0) for kind, n in skipped.count.items()}
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in own.items() if count)
    first = next(skipped.first[kind] for kind, count in own.items() if count)
    return UsageError(
        f"none of the {given:,} boxes in {path} can be used ({kinds}; the first: {first}): name "
        "videos as `coreframe info` does and frames as selection.parquet does, with boxes in "
        f"pixels of the exported picture, at least {LEAST_PX} a side."
    )


def _videos_of(found: pd.DataFrame, videos: Mapping[int, Video]) -> NDArray[np.int64]:
    """(n,) the number of each box's video, -1 where there is none.

    Where only a file's name says which frame a box is of, that is entered.
    """
    by_name = {video.path: number for number, video in videos.items()}
    numbers = np.array([by_name.get(str(name), -1) for name in found["video"]], np.int64)
    if "file_name" not in found:
        return numbers
    numbers[found["frame_index"].isna().to_numpy()] = -1
    by_stem: dict[str, list[int]] = {}
    for number, video in videos.items():
        stem = plain_stem(video.path)
        for one in (stem, f"{stem}~{number}"):
            by_stem.setdefault(one, []).append(number)
    known: dict[str, tuple[int, int]] = {}
    frame_index = found["frame_index"].to_numpy(np.float64, copy=True)
    for place in np.flatnonzero(numbers < 0).tolist():
        name = found["file_name"].iloc[place]
        if name not in known:
            known[name] = _of_file_name(name, by_stem)
        numbers[place], frame_index[place] = known[name]
    found["frame_index"] = frame_index
    return numbers


def _of_file_name(name: str, by_stem: Mapping[str, list[int]]) -> tuple[int, int]:
    """The number of the video and the frame that an exported image's name tells; -1 if none.

    See :func:`coreframe.tasks.output.images.file_stems`. Where two videos have a name's stem, it
    was written before the store had the second one, and does not tell which it is.
    """
    said = re.fullmatch(
        r"(.+)_(\d{6,})\.\w+", unicodedata.normalize("NFC", PurePosixPath(name).name)
    )
    of = by_stem.get(said[1], []) if said else []
    return (of[0], int(said[2])) if said and len(of) == 1 else (-1, -1)


def _rows_of(found: pd.DataFrame, corpus: Corpus) -> NDArray[np.int64]:
    """(n,) the row of each box's frame, -1 where there is none."""
    rows = np.full(len(found), -1, np.int64)
    sampling = Sampling.parse(corpus.settings.sampling)
    by_video = dict(list(corpus.frames.groupby("video")))
    for number, some in found.groupby("number"):
        if number not in by_video:
            continue
        own, video = by_video[number], corpus.videos[int(str(number))]
        at = some.index.to_numpy()
        index, time_s = (some[name].to_numpy(np.float64) for name in ("frame_index", "time_s"))
        by_index = np.isfinite(index)
        rows[at[by_index]] = _looked_up(own, "frame_index", index[by_index], 0.0)
        reach_s = _step_s(own["time_s"].to_numpy(np.float64), sampling, video) / 2 + ROUNDING_S
        timed = ~by_index & np.isfinite(time_s)
        rows[at[timed]] = _looked_up(own, "time_s", time_s[timed], reach_s)
    return rows


def _looked_up(
    frames: pd.DataFrame, column: str, wanted: NDArray[np.float64], reach: float
) -> NDArray[np.int64]:
    """(n,) rows of the frames nearest to values, of two the earlier; -1 beyond reach."""
    order = np.argsort(frames[column].to_numpy(), kind="stable")
    values = frames[column].to_numpy(np.float64)[order]
    after = np.searchsorted(values, wanted).clip(0, len(values) - 1)
    before = np.maximum(after - 1, 0)
    earlier = np.abs(values[before] - wanted) <= np.abs(values[after] - wanted)
    place = np.where(earlier, before, after)
    near = np.abs(values[place] - wanted) <= reach
    return np.where(near, frames["row"].to_numpy()[order][place], -1)


def _step_s(time_s: NDArray[np.float64], sampling: Sampling, video: Video) -> float:
    """Seconds between two sampled frames of a video."""
    if sampling.fps is not None:
        return float(1 / sampling.fps)
    if len(time_s) > 1:
        return float(np.median(np.diff(np.sort(time_s))))
    return video.duration_s
