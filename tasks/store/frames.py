"""The frames table: what is known of each row, one Parquet file a block."""

import math
from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Annotated, NamedTuple, get_type_hints

import pyarrow as pa


class FrameState(StrEnum):
    """What became of a row's frame."""

    OK = "ok"
    """It is embedded."""
    UNDECODABLE = "undecodable"
    """It has no embedding: it cannot be decoded, or the crop does not fit it."""


class FrameRecord(NamedTuple):
    """One row of the frames table. Its fields, in this order, are the table's columns."""

    row: Annotated[int, pa.int64()]
    """Its place in the store."""
    video: Annotated[int, pa.int32()]
    """Number of its video in the catalogue."""
    frame_index: Annotated[int, pa.int32()]
    """Place among the video's decodable frames; -1 where undecodable."""
    pts: Annotated[int, pa.int64()]
    """Presentation time in units of the video's time base."""
    time_s: Annotated[float, pa.float64()]
    digest: Annotated[int, pa.uint64()]
    """Of its decoded pixels; 0 where undecodable."""
    luminance: Annotated[float, pa.float32()]
    """0 to 1; NaN where undecodable, as is the next."""
    sharpness: Annotated[float, pa.float32()]
    state: Annotated[FrameState, pa.string()]
    suspect: Annotated[bool, pa.bool_()] = False
    """Its picture is said to be damaged, or built on one that is."""
    flat: Annotated[bool, pa.bool_()] = False
    """Its picture shows nothing; see `coreframe.tasks.video.pixels.is_flat`."""

    @classmethod
    def without_frame(cls, row: int, video: int, pts: int, time_s: float) -> "FrameRecord":
        """Of a row whose frame cannot be had."""
        nan, state = math.nan, FrameState.UNDECODABLE
        return cls(row, video, -1, pts, time_s, 0, nan, nan, state)


SCHEMA = pa.schema(
    {
        name: hint.__metadata__[0]
        for name, hint in get_type_hints(FrameRecord, include_extras=True).items()
    }
)


UNSAID = {"suspect": False, "flat": False}
"""What a table means that lacks a column: earlier versions wrote such."""


def frames_table(records: Iterable[FrameRecord]) -> pa.Table:
    """Build a block's table from records in any order."""
    columns = list(zip(*sorted(records), strict=True)) or [()] * len(SCHEMA)
    arrays = [pa.array(column, item.type) for column, item in zip(columns, SCHEMA, strict=True)]
    return pa.Table.from_arrays(arrays, schema=SCHEMA)


def frame_records(table: pa.Table) -> Iterator[FrameRecord]:
    """The records of a block's table, in row order."""
    columns = {name: table[name].to_pylist() for name in SCHEMA.names}
    columns["state"] = [FrameState(state) for state in columns["state"]]
    return map(FrameRecord._make, zip(*columns.values(), strict=True))
