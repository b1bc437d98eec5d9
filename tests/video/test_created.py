"""The moment at which a recording began."""

from pathlib import Path

import av
import numpy as np
import pytest

from coreframe.tasks.store.indexes import index_from_table, index_to_table
from coreframe.tasks.video.created import created
from coreframe.tasks.video.indexing import index_video


@pytest.mark.parametrize(
    ("metadata", "moment"),
    [
        ({"creation_time": "2024-05-01T22:59:30.500000Z"}, "2024-05-01T22:59:30.500000"),
        ({"creation_time": "2024-05-01 22:59:30"}, "2024-05-01T22:59:30"),
        (
            {
                "creation_time": "2024-05-01T20:00:00.000000Z",
                "com.apple.quicktime.creationdate": "2024-05-01T22:00:00+0200",
            },
            "2024-05-01T22:00:00",
        ),
        ({"creation_time": "1904-01-01T00:00:00.000000Z"}, ""),
        ({"creation_time": "1970-01-01T00:00:00.000000Z"}, ""),
        ({"date": "2024-05-01"}, ""),  # which says no hour
        ({"date": "2024"}, ""),
        ({"creation_time": "yesterday"}, ""),
        ({}, ""),
    ],
)
def test_it_is_what_the_file_says(metadata: dict[str, str], moment: str) -> None:
    assert created(metadata) == moment
    assert created({}, metadata) == moment


def test_an_index_keeps_it(tmp_path: Path) -> None:
    file = tmp_path / "video.mp4"
    with av.open(str(file), "w") as container:
        container.metadata["creation_time"] = "2024-05-01T22:59:30Z"
        stream = container.add_stream("mpeg4", rate=10, width=32, height=32)
        for _ in range(3):
            frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), "rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    facts, index = index_video(file)
    assert facts.created == "2024-05-01T22:59:30"
    for version in (2, 3):
        assert index_from_table(index_to_table(facts, index, version))[0] == facts
    table = index_to_table(facts, index)
    assert b'"facts": {"container"' in table.schema.metadata[b"coreframe"]
    named = table.schema.metadata[b"coreframe"].split(b"}")[0]
    assert b"created" not in named  # earlier versions refuse facts that they do not know
