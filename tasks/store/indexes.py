"""A video's index as a Parquet table."""

import json
import re
from dataclasses import asdict
from fractions import Fraction

import pyarrow as pa

from coreframe.tasks.errors import CoreframeError
from coreframe.tasks.store.settings import FORMAT_VERSION
from coreframe.tasks.video.index import VideoFacts, VideoIndex


def index_name(fingerprint: str) -> str:
    """The table in the store that holds the index of a content.

    Raises:
        CoreframeError: the fingerprint is none, but a way to another file.
    """
    return f"index/{checked_fingerprint(fingerprint)}.parquet"


def checked_fingerprint(fingerprint: str) -> str:
    """A fingerprint that may be part of a file's name, whoever wrote the catalogue.

    Raises:
        CoreframeError: it may not.
    """
    if not re.fullmatch(r"[0-9A-Za-z]{1,64}", fingerprint):
        raise CoreframeError(
            f"the catalogue has {fingerprint!r} for a fingerprint, which is none: it is not "
            "Coreframe's. Do not use this store."
        )
    return fingerprint


FACTS_OF_FORMAT_1 = frozenset(
    "container codec width height pixel_format rotation duration_s note".split()  # noqa: SIM905
)
"""What 1e0a6dd, which reads such stores, knows: it refuses an index that holds more."""


def index_to_table(
    facts: VideoFacts, index: VideoIndex, format_version: int = FORMAT_VERSION
) -> pa.Table:
    """One row a frame in presentation order; what is of the whole video is in the metadata.

    Args:
        facts: of the video.
        index: of the video.
        format_version: of the store that is to hold it.
    """
    written = asdict(facts)
    created = written.pop("created")  # versions that do not know it refuse further facts
    if format_version == 1:
        written = {name: fact for name, fact in written.items() if name in FACTS_OF_FORMAT_1}
    columns = {
        "pts": pa.array(index.pts),
        "dts": pa.array(index.dts),
        "key": pa.array(index.key),
        "frame_index": pa.array(index.frame_index),
    }
    if index.digest is not None:
        columns["digest"] = pa.array(index.digest)
    if index.played_pts is not None:
        columns["played_pts"] = pa.array(index.played_pts)
    if index.suspect is not None:
        columns["suspect"] = pa.array(index.suspect)
    meta = {
        "facts": written,
        "time_base": str(index.time_base),
        "end_pts": index.end_pts,
        "origin_pts": index.origin_pts,
        # 1e0a6dd would seek by times that are not the file's
        "seekable": index.seekable and (format_version > 1 or index.played_pts is None),
        "finer": index.finer,
        "zero_pts": index.zero_pts,
        "created": created,
    }
    return pa.table(columns).replace_schema_metadata({"coreframe": json.dumps(meta)})


def index_from_table(table: pa.Table) -> tuple[VideoFacts, VideoIndex]:
    """Undo :func:`index_to_table`."""
    meta = json.loads(table.schema.metadata[b"coreframe"])
    facts = VideoFacts(**meta["facts"], created=meta.get("created", ""))
    return facts, VideoIndex(
        **{name: table[name].to_numpy() for name in ("pts", "dts", "key", "frame_index")},
        digest=table["digest"].to_numpy() if "digest" in table.column_names else None,
        time_base=Fraction(meta["time_base"]),
        end_pts=meta["end_pts"],
        origin_pts=meta["origin_pts"],
        seekable=meta["seekable"],
        played_pts=table["played_pts"].to_numpy() if "played_pts" in table.column_names else None,
        finer=meta.get("finer", 1),
        suspect=(
            table["suspect"].to_numpy(zero_copy_only=False)
            if "suspect" in table.column_names
            else None
        ),
        zero_pts=meta.get("zero_pts", 0),
    )
