"""What a worker says of each file: one that cannot be had keeps no other waiting."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coreframe.tasks.index.job import IndexJob, look_at_files
from coreframe.tasks.index.task import _describe
from coreframe.tasks.store.catalogue import VideoState
from coreframe.tasks.video.discover import SourceFile
from coreframe.tasks.video.sampling import Sampling
from coreframe.tasks.video.viewing import AS_SHOWN
from tests.stores import make_store


def job_of(paths: list[Path], folder: Path, **changed: Any) -> IndexJob:
    make_store(folder / "store", np.eye(4, dtype=np.int16) * 4000, [4])
    job = IndexJob(
        store=str(folder / "store"),
        first=0,
        files=tuple(SourceFile(path.name, str(path), explicit=False) for path in paths),
        sampling=Sampling(),
        viewing=AS_SHOWN,
        quarantined=frozenset(),
        forgotten=frozenset(),
        stall_limit_s=0,
        most_frames=100,
    )
    return replace(job, **changed)


def test_a_job_is_named_by_its_files(tmp_path: Path) -> None:
    job = job_of([tmp_path / f"{number}.mp4" for number in range(3)], tmp_path)
    first = f"Indexing {tmp_path / '0.mp4'}"
    assert _describe(job) == f"{first} and the 2 files after it"
    assert _describe(replace(job, files=job.files[:2])) == f"{first} and the file after it"
    assert _describe(replace(job, files=job.files[:1])) == first


def test_what_is_no_film_or_too_long_is_told_and_the_others_go_on(
    made_videos: dict[str, Path], tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "list.m3u8").write_text(f"#EXTM3U\n#EXTINF:9,\n{tmp_path / 'pipe.mp4'}\n")
    long, short = made_videos["closed_gop.mp4"], made_videos["one_frame.mp4"]
    paths = [tmp_path / "pipe.mp4", tmp_path / "list.m3u8", long, short]
    pipe, playlist, many, one = look_at_files(job_of(paths, tmp_path, most_frames=30))
    assert (pipe.state, playlist.state) == (VideoState.BROKEN, VideoState.SKIPPED)
    assert "a pipe (FIFO), not a file" in pipe.reason
    assert "a playlist" in playlist.reason
    assert (many.state, many.rows) == (VideoState.BROKEN, 0)
    assert "40 frames or more, and 30 are allowed: raise --max-frames-per-file" in many.reason
    assert (one.state, one.rows) == (VideoState.PENDING, 1)


def test_reading_a_file_is_watched_too(
    made_videos: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a folder mounted over a network that has gone: the worker ends itself, twice."""
    watched = []

    @contextmanager
    def watching(limit_s: float, stalled: Callable[[], None]) -> Iterator[None]:
        watched.append(stalled)
        yield

    monkeypatch.setattr("coreframe.tasks.index.job.watching", watching)
    paths = [made_videos["one_frame.mp4"], made_videos["closed_gop.mp4"]]
    job = job_of(paths, tmp_path, stall_limit_s=7)
    assert [video.rows for video in look_at_files(job)] == [1, 40]
    reading, _, reading_other, _ = watched
    reading()
    assert [video.rows for video in look_at_files(job)] == [1, 40]
    reading()
    silent, sound = look_at_files(job)
    assert (silent.state, silent.fingerprint, sound.rows) == (VideoState.BROKEN, "", 40)
    assert silent.reason == "cannot be read: nothing of it came for 7 s"
    assert reading_other is not reading
