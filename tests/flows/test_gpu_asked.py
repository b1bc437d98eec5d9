"""A GPU that was to decode, and did not: a run says so."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from coreframe.flows.ingest import Ingested
from coreframe.tasks.embed.task import EmbedCounts
from tests.stores import make_store


def test_frames_that_no_gpu_decoded_though_one_was_asked_for(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store", np.zeros((4, 8), np.int16), [2, 2])
    videos = list(store.read_catalogue().videos)
    ingested = Ingested(videos, videos, embedded=EmbedCounts(frames=4), gpu_asked=True)
    said = "--decoder gpu: CPU cores decoded all frames: "
    assert ingested.look_again(store) == [said + "no worker has a GPU with a video decoder"]
    catalogue = store.read_catalogue()
    catalogue.update(0, fallback="of an earlier run")
    store.write_catalogue(catalogue)
    ingested.embedded.fallbacks["h264 of yuv444p"] = ["v1.mp4"]
    assert ingested.look_again(store) == [said + "h264 of yuv444p (1 of 2 videos)"]
    for quiet in (
        replace(ingested, embedded=EmbedCounts(frames=4, by_gpu=1)),
        replace(ingested, embedded=EmbedCounts()),
        replace(ingested, gpu_asked=False),
    ):
        assert quiet.look_again(store) == []
