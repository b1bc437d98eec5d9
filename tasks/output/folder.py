"""An output folder, read again: the only place where its files are opened to be understood."""

import os
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from coreframe.tasks.errors import UsageError
from coreframe.tasks.output.documents import (
    NewerFormatError,
    missing,
    parse,
    read_json,
    unreadable,
)
from coreframe.tasks.output.files import METRICS, RUN, SELECTION
from coreframe.tasks.output.metrics import Metrics
from coreframe.tasks.output.run import Run
from coreframe.tasks.output.selection_table import SELECTION_SCHEMA

PICTURE = re.compile(rb"\x89PNG\r\n|\xff\xd8\xff|RIFF....WEBP", re.DOTALL)
"""What the files begin with that exports write."""


@dataclass(frozen=True)
class OutputFiles:
    """The files of an output folder as they are, its images aside.

    Whatever reads the folder begins here, so that the same damage is refused in the same words.

    Attributes:
        path: the folder.
        table: ``selection.parquet``, in pick order: the columns of SELECTION_SCHEMA, and perhaps
            others.
        metrics: ``metrics.json``, not looked at but for its version.
        run: ``run.json``, likewise.
    """

    path: Path
    table: pa.Table
    metrics: dict[str, Any]
    run: dict[str, Any]

    @classmethod
    def read(cls, path: Path) -> "OutputFiles":
        """Read all of them.

        Raises:
            UsageError: one is missing, torn or of a newer version, or a column is missing.
        """
        return cls(
            path, _read_table(path / SELECTION), read_json(path / METRICS), read_json(path / RUN)
        )

    def parsed_run(self) -> Run:
        """``run.json`` with its type.

        Raises:
            UsageError: it is not what the type says.
        """
        return parse(Run, self.run, self.path / RUN)


@dataclass(frozen=True)
class OutputFolder:
    """The content of one output folder, its images aside.

    Attributes:
        path: the folder.
        table: ``selection.parquet``, in pick order.
        metrics: ``metrics.json``.
        run: ``run.json``.
    """

    path: Path
    table: pa.Table
    metrics: Metrics
    run: Run

    @classmethod
    def read(cls, path: Path) -> "OutputFolder":
        """Read an output folder.

        Raises:
            UsageError: it is not one, is damaged, or of another version.
        """
        files = OutputFiles.read(path)
        metrics = parse(Metrics, files.metrics, path / METRICS)
        return cls(path, files.table, metrics, files.parsed_run())

    @cached_property
    def selection(self) -> pd.DataFrame:
        """``selection.parquet`` as pandas has it."""
        return self.table.to_pandas()

    @property
    def length(self) -> int:
        """Frames a unit: 1, or those of a sequence."""
        return self.metrics.sequence_length

    @property
    def units(self) -> pd.DataFrame:
        """The first frame of each chosen unit, in pick order."""
        return self.selection.iloc[:: self.length].reset_index(drop=True)


def _read_table(path: Path) -> pa.Table:
    try:
        table = pq.read_table(path)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise missing(path) from error
    except (OSError, ValueError, pa.ArrowException) as error:
        raise unreadable(path, error) from error
    for file in pc.unique(table["file"]).to_pylist() if "file" in table.column_names else []:
        if file is not None and not _inside(path.parent, file):
            raise UsageError(
                f"{path} names {file!r}, which is not in {path.parent}: it is not Coreframe's, or "
                "was changed. Do not use this folder; select into another."
            )
    if "row" in table.column_names and "center_row" not in table.column_names:
        table = table.append_column("center_row", table["row"])  # before picks were exchanged
    lacking = [name for name in SELECTION_SCHEMA.names if name not in table.column_names]
    if lacking:
        raise UsageError(f"{path} has no column {lacking[0]}: select again.")
    return table


def _inside(folder: Path, name: str) -> bool:
    """Whether a name is that of a picture in a folder, whoever wrote it.

    A link that leads out of it must lead to a picture: people move those, and nobody else's files
    are to go into datasets.
    """
    place = PurePosixPath(name)
    if place.is_absolute() or ".." in place.parts or not place.parts or "\0" in name:
        return False
    path = folder / name
    if not path.is_file() or Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder)):
        return True
    with path.open("rb") as file:
        return bool(PICTURE.match(file.read(12)))


def refuse_newer(path: Path) -> None:
    """Keep a run from writing over what a newer version wrote.

    Anything else that may be wrong with the folder is no obstacle: it is written anew.

    Raises:
        UsageError: the folder is of a newer version.
    """
    for name in (METRICS, RUN):
        try:
            read_json(path / name)
        except NewerFormatError:
            raise
        except UsageError:
            continue
