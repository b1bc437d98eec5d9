"""What `tests/embed/test_any_clip.py` does, with 200 clips, and 500 files that are damaged."""

import random
from pathlib import Path

import numpy as np
import pytest

from coreframe.tasks.store.catalogue import VideoState
from tests.any_clips import (
    WAYS,
    any_clip,
    check_any_clips,
    exported,
    stored_frames,
    turned,
)
from tests.runs import by_name, content, ingest
from tests.videos import Recipe, make

pytestmark = pytest.mark.timeout(1800)


@pytest.mark.parametrize("first", range(0, 200, 25))
def test_200_clips_of_random_kinds(
    first: int, tmp_path: Path, cluster: str, processes: str
) -> None:
    check_any_clips(tmp_path, range(first, first + 25), [cluster, processes])


def mutated(data: bytes, rng: random.Random) -> bytes:
    """Bytes changed, cut, taken out, put in or exchanged."""
    content, where = bytearray(data), rng.randrange(len(data))
    kind = rng.randrange(5)
    if kind == 0:
        for _ in range(rng.randint(1, 20)):
            content[rng.randrange(len(content))] = rng.randrange(256)
    elif kind == 1:
        del content[where:]
    elif kind == 2:
        del content[where : where + rng.randint(1, 2000)]
    elif kind == 3:
        content[where:where] = rng.randbytes(rng.randint(1, 2000))
    else:
        other = rng.randrange(len(content))
        content[where : where + 500], content[other : other + 500] = (
            content[other : other + 500],
            content[where : where + 500],
        )
    return bytes(content)


@pytest.mark.parametrize("first", range(0, 500, 50))
def test_500_mutated_files(first: int, tmp_path: Path, processes: str) -> None:
    """No worker dies of one unnoticed, the innocent are as without them, none goes silently."""
    videos = tmp_path / "videos"
    videos.mkdir()
    innocent = make(Recipe("innocent.mp4"), videos)
    alone, _ = ingest([innocent], tmp_path / "alone", processes)
    for seed in range(first, first + 50):
        path = any_clip(videos, seed)
        path.write_bytes(mutated(path.read_bytes(), random.Random(seed)))
    store, _ = ingest([videos], tmp_path / "store", processes, block_rows=64, pixels="stored")
    states = by_name(store)
    assert states["innocent"].state == VideoState.OK
    own = store.frames()["video"] == states["innocent"].video
    assert store.frames()[own]["digest"].tolist() == content(alone)[0]["digest"].tolist()
    told = {VideoState.BROKEN, VideoState.DAMAGED, VideoState.SKIPPED, VideoState.QUARANTINED}
    for video in states.values():
        assert video.state in told | {VideoState.OK}, video
        assert video.reason or video.state == VideoState.OK, video
        if video.state not in (VideoState.OK, VideoState.DAMAGED):
            continue
        plain, other = (stored_frames(Path(video.source), holding=way) for way in (False, True))
        if len(plain) != video.decoded:
            continue  # a plain decode ends at an error where ours goes on
        images = exported(store, tmp_path / "images", video.video)
        sure = [n for n in images if np.array_equal(plain[n], other[n])]
        assert any(
            all(np.array_equal(images[n], turned(plain[n], *way)) for n in sure) for way in WAYS
        ), video.path
