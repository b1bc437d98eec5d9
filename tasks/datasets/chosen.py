"""The frames of a selection, as every form of it needs them."""

import json
import math
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from coreframe.tasks.errors import CoreframeError, UsageError
from coreframe.tasks.output.files import SELECTION
from coreframe.tasks.output.folder import OutputFiles

NOT_KNOWN = -1.0
"""Stands for a number that is not there, such as the first frame's distance: JSON has no NaN, and
readers that take a column's type from its first rows take null for a type of its own, so that the
numbers in later rows are refused (datasets 5.2), or left out. What may be missing, distances and
radii, is never negative."""


@dataclass(frozen=True)
class Frame:
    """A chosen frame that has an image."""

    image: Path
    facts: dict[str, Any]
    """``file_name``, the image's own, then its row of ``selection.parquet``, for forms that know a
    value's type by how it is written: each column is of one type, see :data:`NOT_KNOWN`."""

    @property
    def file_name(self) -> str:
        return self.image.name


@dataclass(frozen=True)
class Chosen:
    """What ``curate`` or ``select`` has left in an output folder."""

    frames: list[Frame]
    """In pick order."""
    table: pa.Table
    """The same, ``file_name`` and the columns of ``selection.parquet``, for forms with types."""
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
    with_image = files.table.filter(pc.is_valid(files.table["file"]))
    frames = _frames(out, with_image)
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
            f"none of the {len(files.table):,} frames in {path} has an image: bring their videos "
            "back, and select again."
        )
    names = pa.array([frame.file_name for frame in frames], pa.string())
    table = with_image.drop_columns("file").add_column(0, "file_name", names)
    return Chosen(
        frames, table.replace_schema_metadata(), len(files.table) - len(frames), _store(files)
    )


def _store(files: OutputFiles) -> str | None:
    try:
        return files.parsed_run().parameters.store
    except UsageError:
        return None


def _frames(out: Path, table: pa.Table) -> list[Frame]:
    types = {field.name: field.type for field in table.schema}
    frames = []
    for row in table.to_pylist():
        image = out / row.pop("file")
        stated = {name: _stated(value, types[name]) for name, value in row.items()}
        frames.append(Frame(image, {"file_name": image.name} | stated))
    return frames


def _stated(value: Any, type: pa.DataType) -> Any:
    """A value, or what stands for a missing one of this type."""
    if value is not None and not (isinstance(value, float) and math.isnan(value)):
        return value
    if pa.types.is_floating(type):
        return NOT_KNOWN
    if pa.types.is_integer(type):
        return int(NOT_KNOWN)
    return False if pa.types.is_boolean(type) else ""


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
