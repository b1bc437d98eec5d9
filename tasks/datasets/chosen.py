"""The frames of a selection, as every form of it needs them."""

import json
import math
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from coreframe.tasks.errors import CoreframeError, UsageError

SELECTION, RUN = "selection.parquet", "run.json"
NEEDED = ("rank", "row", "video", "frame_index", "pts", "file")
"""Columns that some form cannot do without; all others are passed on as they are."""


@dataclass(frozen=True)
class Frame:
    """A chosen frame that has an image."""

    image: Path
    facts: dict[str, Any]
    """``file_name``, the image's own, then its row of ``selection.parquet``; None for NaN."""

    @property
    def file_name(self) -> str:
        return self.image.name


@dataclass(frozen=True)
class Chosen:
    """What ``curate`` or ``select`` has left in an output folder."""

    frames: list[Frame]
    """In pick order."""
    without_image: int
    """Chosen frames that are not among them: their video is gone, and no image is left."""


def read_chosen(out: Path) -> Chosen:
    """Read a selection, and look that its images are there.

    Raises:
        UsageError: there is no selection in this folder.
        CoreframeError: it cannot be read, an image is missing, or no frame has one.
    """
    path = out / SELECTION
    try:
        table = pq.read_table(path)
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(
            f"there is no selection in {out}: make one with `coreframe select --store STORE "
            f"--out {out}`."
        ) from None
    except (OSError, ValueError, pa.ArrowException) as error:
        raise CoreframeError(f"{path} cannot be read ({error}): select again.") from error
    lacking = [name for name in NEEDED if name not in table.column_names]
    if lacking:
        raise CoreframeError(f"{path} has no column {lacking[0]}: select again.")
    rows = table.to_pylist()
    frames = [_frame(out, row) for row in rows if row["file"] is not None]
    missing = [frame for frame in frames if not frame.image.is_file()]
    if missing:
        first = missing[0]
        more = f" ({len(missing) - 1:,} more like it)" if len(missing) > 1 else ""
        raise CoreframeError(
            f"{first.image}, the image of frame {first.facts['frame_index']} of "
            f"{first.facts['video']}, is missing{more}: select again, then export again."
        )
    if not frames:
        raise CoreframeError(
            f"none of the {len(rows):,} frames in {path} has an image: bring their videos back, "
            "and select again."
        )
    return Chosen(frames, len(rows) - len(frames))


def store_of(out: Path) -> str:
    """The store that a selection was made from, as the command that made it was told.

    Raises:
        UsageError: ``run.json`` does not say.
    """
    try:
        return str(json.loads((out / RUN).read_text(encoding="utf-8"))["parameters"]["store"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{out / RUN} does not say which store the selection is from ({error}): name it with "
            "--store."
        ) from error


def _frame(out: Path, row: dict[str, Any]) -> Frame:
    image = out / row.pop("file")
    known = {
        name: None if isinstance(value, float) and math.isnan(value) else value
        for name, value in row.items()
    }
    return Frame(image, {"file_name": image.name} | known)


def place_image(frame: Frame, folder: Path) -> None:
    """Hard-link a frame's image into a folder, or copy it where links are not possible."""
    source, target = os.path.realpath(frame.image), folder / frame.file_name
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)


def place_images(frames: list[Frame], folder: Path) -> None:
    """Make a folder with the images of all frames; see :func:`place_image`."""
    folder.mkdir(exist_ok=True)
    for frame in frames:
        place_image(frame, folder)


def write_json(path: Path, value: object) -> None:
    """Write JSON in ASCII: some readers take files to be in the machine's own encoding."""
    path.write_text(json.dumps(value, allow_nan=False, indent=1) + "\n", encoding="ascii")
