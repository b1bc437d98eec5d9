"""A film stays open for a moment after it was decoded, and is what it was."""

import itertools
import os
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coreframe.tasks.errors import DamagedVideoError
from coreframe.tasks.video import kept_open
from coreframe.tasks.video.decode import decode_frames
from coreframe.tasks.video.digest import frame_digest
from coreframe.tasks.video.index import VideoIndex
from coreframe.tasks.video.indexing import index_video
from tests.videos import Recipe, make


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of all files that are opened for decoding."""
    names = []

    def noted(path: Any, *arguments: Any, **options: Any) -> Any:
        names.append(Path(path).name)
        return open_video(path, *arguments, **options)

    open_video = kept_open.open_video
    kept_open._taken(None, False)  # type: ignore[arg-type]  # what other tests have left
    monkeypatch.setattr(kept_open, "open_video", noted)
    return names


def digests(path: Path, index: VideoIndex, start: int, stop: int) -> list[int]:
    return [frame_digest(frame) for _, frame in decode_frames(path, index, np.arange(start, stop))]


def is_open(path: Path) -> bool:
    return str(path) in [
        os.path.realpath(link) for link in Path("/proc/self/fd").iterdir() if link.exists()
    ]


def test_parts_that_follow_each_other_open_a_film_once(
    made_videos: dict[str, Path], opened: list[str]
) -> None:
    path = made_videos["open_gop.mp4"]
    _, index = index_video(path)
    whole = digests(path, index, 0, len(index))
    cuts = [0, 12, 24, 30, len(index)]
    for start, stop in [*itertools.pairwise(cuts), (13, 17), (30, 31)]:
        assert digests(path, index, start, stop) == whole[start:stop]
    assert opened == [path.name] * 2, "from its beginning on it is opened as ever"


def test_another_film_of_that_name_is_opened(tmp_path: Path, opened: list[str]) -> None:
    first = make(Recipe("one.mp4", options={"bf": "2"}), tmp_path)
    dark = make(Recipe("dark.mp4", paint=lambda n, w, h: np.full((h, w, 3), n, np.uint8)), tmp_path)
    _, index = index_video(first)
    before = digests(first, index, 13, 20)
    shutil.copy(dark, first)
    _, index = index_video(first)
    after = digests(first, index, 13, 20)
    assert not set(before) & set(after)
    assert opened == ["one.mp4"] * 2


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="nothing tells what is open")
def test_film_is_closed_when_nobody_reads_it_and_after_an_error(
    tmp_path: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_open, "KEPT_S", 0.2)
    path = make(Recipe("one.mp4", options={"bf": "2"}), tmp_path)
    _, index = index_video(path)
    digests(path, index, 13, 20)
    assert is_open(path)
    deadline = time.monotonic() + 20
    while is_open(path):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    monkeypatch.setattr(kept_open, "KEPT_S", 600.0)
    digests(path, index, 13, 20)
    index.pts[20:] += 1  # as if other frames had been promised
    with pytest.raises(DamagedVideoError):
        digests(path, index, 13, 25)
    assert not is_open(path)
    digests(path, index, 13, 20)
    assert opened == ["one.mp4"] * 4
    kept_open._taken(None, False)  # type: ignore[arg-type]
