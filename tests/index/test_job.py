"""What a worker says of each file: one that cannot be had keeps no other waiting."""

import os
from pathlib import Path

import numpy as np

from coreframe.tasks.index.job import IndexJob, look_at_files
from coreframe.tasks.store.catalogue import VideoState
from coreframe.tasks.video.discover import SourceFile
from coreframe.tasks.video.sampling import Sampling
from coreframe.tasks.video.viewing import AS_SHOWN
from tests.stores import make_store


def test_what_is_no_film_or_too_long_is_told_and_the_others_go_on(
    made_videos: dict[str, Path], tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "list.m3u8").write_text(f"#EXTM3U\n#EXTINF:9,\n{tmp_path / 'pipe.mp4'}\n")
    long, short = made_videos["closed_gop.mp4"], made_videos["one_frame.mp4"]
    paths = [tmp_path / "pipe.mp4", tmp_path / "list.m3u8", long, short]
    make_store(tmp_path / "store", np.eye(4, dtype=np.int16) * 4000, [4])
    job = IndexJob(
        store=str(tmp_path / "store"),
        first=0,
        files=tuple(SourceFile(path.name, str(path), explicit=False) for path in paths),
        sampling=Sampling(),
        viewing=AS_SHOWN,
        quarantined=frozenset(),
        stall_limit_s=0,
        most_frames=30,
    )
    pipe, playlist, many, one = look_at_files(job)
    assert (pipe.state, playlist.state) == (VideoState.BROKEN, VideoState.SKIPPED)
    assert "a pipe (FIFO), not a file" in pipe.reason
    assert "a playlist" in playlist.reason
    assert (many.state, many.rows) == (VideoState.BROKEN, 0)
    assert "40 frames or more, and 30 are allowed: raise --max-frames-per-file" in many.reason
    assert (one.state, one.rows) == (VideoState.PENDING, 1)
