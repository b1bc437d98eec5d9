"""Records of frames, and the table that they make."""

import math

import pyarrow as pa

from coreframe.tasks.store.frames import (
    SCHEMA,
    FrameRecord,
    FrameState,
    frame_records,
    frames_table,
)


def record(row: int) -> FrameRecord:
    return FrameRecord(
        row=row,
        video=2,
        frame_index=row + 1,
        pts=512 * row,
        time_s=row / 25,
        digest=2**64 - 1 - row,
        luminance=0.25,
        sharpness=0.5,
        state=FrameState.OK,
    )


def test_the_fields_of_a_record_are_the_columns_on_disk() -> None:
    assert (
        pa.schema(
            {
                "row": pa.int64(),
                "video": pa.int32(),
                "frame_index": pa.int32(),
                "pts": pa.int64(),
                "time_s": pa.float64(),
                "digest": pa.uint64(),
                "luminance": pa.float32(),
                "sharpness": pa.float32(),
                "state": pa.string(),
                "suspect": pa.bool_(),
                "flat": pa.bool_(),
            }
        )
        == SCHEMA
    )


def test_a_table_gives_its_records_back_in_row_order() -> None:
    records = [record(row) for row in (3, 1, 2)]
    table = frames_table(records)
    assert list(frame_records(table)) == sorted(records)
    assert table["state"].to_pylist() == ["ok"] * 3
    assert all(type(one.state) is FrameState for one in frame_records(table))


def test_a_table_without_rows_has_all_columns() -> None:
    assert frames_table([]).schema == SCHEMA
    assert list(frame_records(frames_table([]))) == []


def test_a_frame_that_cannot_be_decoded_keeps_its_state() -> None:
    lost = FrameRecord.without_frame(row=5, video=2, pts=512, time_s=0.5)
    assert (lost.frame_index, lost.digest) == (-1, 0)
    (back,) = frame_records(frames_table([lost]))
    assert back.state is FrameState.UNDECODABLE
    assert math.isnan(back.luminance)
    assert frames_table([lost])["state"].to_pylist() == ["undecodable"]
