"""Frames that the user already has, looked up in the store."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from coreframe.tasks.errors import UsageError
from coreframe.tasks.store.catalogue import Catalogue

COLUMNS = ["video", "frame_index"]


def read_preselected(path: str) -> pd.DataFrame:
    """Read which frames a file lists: COLUMNS, in its order, each frame once.

    Args:
        path: a Parquet file such as ``selection.parquet``, or CSV with a line of column names.

    Raises:
        UsageError: it cannot be read, or lacks a column.
    """
    try:
        if Path(path).suffix == ".parquet":
            listed = pd.read_parquet(path)
        else:
            # a video may be called 007 or NA: what is in a column does not say what it is
            listed = pd.read_csv(
                path,
                skipinitialspace=True,
                dtype={"video": str},
                keep_default_na=False,
                na_values={name: [""] for name in COLUMNS},
            )
    except (OSError, ValueError, pa.ArrowException) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UsageError(f"cannot read the preselected frames in {path}: {reason}.") from error
    missing = [name for name in COLUMNS if name not in listed.columns]
    if missing:
        raise UsageError(
            f"{path} has no column {' and no column '.join(missing)}: list the preselected frames "
            "as selection.parquet does, or as CSV with a first line `video,frame_index`."
        )
    listed = listed[COLUMNS]
    if not pd.api.types.is_integer_dtype(listed["frame_index"]) or listed.isna().any(axis=None):
        raise UsageError(
            f"{path}: each line needs a video and a frame_index that is a whole number from 0."
        )
    return listed.assign(video=listed["video"].astype(str)).drop_duplicates(ignore_index=True)


def preselected_rows(path: str, frames: pd.DataFrame, catalogue: Catalogue) -> NDArray[np.int64]:
    """(p,) rows of the frames that a file lists, in its order.

    Args:
        path: the file.
        frames: the corpus, with row, video and frame_index.
        catalogue: names its videos.

    Raises:
        UsageError: see :func:`read_preselected`; or a frame is not in the store.
    """
    listed = read_preselected(path)
    number = {video.path: video.video for video in catalogue.videos if video.active}
    listed["number"] = [number.get(name, -1) for name in listed["video"]]
    known = frames[["row", "video", "frame_index"]].rename(columns={"video": "number"})
    found = listed.merge(known, how="left", on=["number", "frame_index"])
    lost = found[found["row"].isna()]
    if len(lost):
        first = lost.iloc[0]
        more = f" ({len(lost) - 1:,} more like it)" if len(lost) > 1 else ""
        why = "no such video" if first["number"] < 0 else "no such decodable frame of that video"
        for video in catalogue.videos:
            if video.path == first["video"] and first["number"] < 0:
                why = f"its video is {video.state} ({video.reason or video.note})"
        raise UsageError(
            f"{path}: frame {first['frame_index']} of {first['video']} is not in the store, "
            f"{why}{more}. Ingest its video, or leave it out."
        )
    return found["row"].to_numpy().astype(np.int64)
