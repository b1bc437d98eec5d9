"""The frames of a selection, as every form of it needs them."""

import json
import math
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coreframe.tasks.errors import CoreframeError, UsageError
from coreframe.tasks.output.files import SELECTION
from coreframe.tasks.output.folder import OutputFiles


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
    store: str | None
    """What they were chosen from, as the run was told; None where ``run.json`` does not say."""


def read_chosen(out: Path) -> Chosen:
    """Read a selection, and look that its images are there.

    Raises:
        UsageError: there is no selection in this folder, or it cannot be read.
        CoreframeError: an image is missing, or no frame has one.
    """
    files, path = OutputFiles.read(out), out / SELECTION
    rows = files.table.to_pylist()
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
    return Chosen(frames, len(rows) - len(frames), _store(files))


def _store(files: OutputFiles) -> str | None:
    try:
        return files.parsed_run().parameters.store
    except UsageError:
        return None


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
