"""``selection.parquet``: the chosen frames in pick order, and the images that belong to them."""

import re
from collections.abc import Iterable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from coreframe.tasks.output.files import SELECTION, replace_file


def images_before(out: Path) -> dict[tuple[int, str, int], str]:
    """Images of the folder's last selection, by row, name of the video, and frame index.

    Whatever else the table may name, these lie in ``out/frames``.
    """
    columns = ["row", "video", "frame_index", "file"]
    try:
        table = pq.read_table(out / SELECTION, columns=columns).to_pylist()
    except (OSError, ValueError, KeyError, pa.ArrowException):
        return {}
    return {
        (one["row"], one["video"], one["frame_index"]): one["file"]
        for one in table
        if one["file"] is None or re.fullmatch(r"frames/[^/\0]+", one["file"])
    }


def remove_stale(out: Path, before: Iterable[str], now: Iterable[str]) -> None:
    """Delete images that an earlier selection wrote to this folder and this one did not.

    Only files that the earlier ``selection.parquet`` lists, and only under ``out/frames``.
    """
    frames = (out / "frames").resolve()
    for file in set(before) - set(now):
        path = (out / file).resolve()
        if path.parent == frames:
            path.unlink(missing_ok=True)


SELECTION_SCHEMA = pa.schema(
    {
        "rank": pa.int64(),
        "row": pa.int64(),
        "center_row": pa.int64(),
        "video": pa.string(),
        "frame_index": pa.int32(),
        "pts": pa.int64(),
        "time_s": pa.float64(),
        "distance": pa.float64(),
        "radius": pa.float64(),
        "lower_bound": pa.float64(),
        "preselected": pa.bool_(),
        "sequence": pa.int64(),
        "file": pa.string(),
    }
)


OBJECT = "object"
"""Of frames that were chosen by the objects in them, the one that each was taken for."""


def write_selection(out: Path, selection: pd.DataFrame) -> None:
    """Write ``selection.parquet``: the columns of SELECTION_SCHEMA, and OBJECT if it is there."""
    schema = SELECTION_SCHEMA
    if OBJECT in selection:
        schema = schema.append(pa.field(OBJECT, pa.int64()))
    columns = selection[schema.names]
    table = pa.Table.from_pandas(columns, schema=schema, preserve_index=False)
    for name in ("distance", "radius", "lower_bound"):
        with_nan = table[name].combine_chunks().fill_null(float("nan"))
        table = table.set_column(table.schema.get_field_index(name), name, with_nan)
    replace_file(out / SELECTION, lambda temporary: pq.write_table(table, temporary))
