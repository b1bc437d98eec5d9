"""The frames table: what is known of each row, one Parquet file a block."""

from collections.abc import Sequence

import pyarrow as pa

SCHEMA = pa.schema(
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
    }
)
"""``frame_index`` is -1, ``digest`` 0 and the measures NaN where ``state`` is ``undecodable``."""

OK, UNDECODABLE = "ok", "undecodable"


def frames_table(records: Sequence[tuple]) -> pa.Table:
    """Build a block's table from records in the order of the schema's columns."""
    columns = list(zip(*sorted(records), strict=True)) or [()] * len(SCHEMA)
    arrays = [pa.array(column, item.type) for column, item in zip(columns, SCHEMA, strict=True)]
    return pa.Table.from_arrays(arrays, schema=SCHEMA)
