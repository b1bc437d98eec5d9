import json
from fractions import Fraction

import numpy as np

from coreframe.tasks.store.indexes import index_from_table, index_to_table
from coreframe.tasks.video.index import VideoFacts, VideoIndex

FACTS = VideoFacts(
    container="mpegts",
    codec="mpeg2video",
    width=1920,
    height=1080,
    pixel_format="yuv420p",
    rotation=0,
    duration_s=1.0,
    color_transfer="bt709",
    color_primaries="bt709",
    interlaced="tff",
    note="interlaced",
)
INDEX = VideoIndex(
    pts=np.arange(3, dtype=np.int64),
    dts=np.arange(3, dtype=np.int64),
    key=np.array([True, False, False]),
    frame_index=np.arange(3, dtype=np.int32),
    digest=None,
    time_base=Fraction(1, 25),
    end_pts=3,
    origin_pts=0,
    seekable=True,
)


def test_facts_come_back() -> None:
    assert index_from_table(index_to_table(FACTS, INDEX))[0] == FACTS


def test_a_store_of_format_1_gets_only_facts_that_1e0a6dd_reads() -> None:
    """That version makes a dataclass of exactly these, and fails with any other."""
    table = index_to_table(FACTS, INDEX, format_version=1)
    held = json.loads(table.schema.metadata[b"coreframe"])["facts"]
    known = "container codec width height pixel_format rotation duration_s note"
    assert list(held) == known.split()
    facts, _ = index_from_table(table)
    assert (facts.note, facts.interlaced) == ("interlaced", "")
