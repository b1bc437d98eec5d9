"""What a run survives: workers that die and hang, other runs, full disks."""

from collections.abc import Iterator
from pathlib import Path

import dask
import pytest

from coreframe.flows.cluster import open_cluster
from coreframe.flows.parameters import Compute, Corpus
from coreframe.tasks.errors import CoreframeError
from coreframe.tasks.storage.folders import open_folder
from coreframe.tasks.store.store import Store
from tests.runs import by_name, bytes_of, content, run
from tests.videos import clips

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def deadly() -> Iterator[str]:
    """Worker processes with decoders that crash and hang, see `tests.deadly`."""
    with (
        dask.config.set({"distributed.worker.preload": ["tests.deadly"]}),
        open_cluster(Compute(workers=2, device="cpu")) as cluster,
    ):
        yield cluster


@pytest.mark.parametrize("where", ["crash-open", "crash-decode"])
def test_of_200_videos_one_that_crashes_its_decoder_is_quarantined(
    where: str, tmp_path: Path, deadly: str, cluster: str
) -> None:
    names = [f"clip-{number:03d}" for number in range(200)]
    names[77] = where
    folder = clips(tmp_path / "videos", names)
    store, counts = run(folder, tmp_path / "store", deadly)
    videos = by_name(store)
    bad = videos.pop(where)
    assert (bad.state, bad.attempts, bad.decoded) == ("quarantined", 3, 0)
    assert bad.reason.startswith("it killed 3 workers that ")
    assert {video.state for video in videos.values()} == {"ok"}
    assert len(videos) == 199
    assert counts.quarantined == (where == "crash-decode")

    before = bytes_of(tmp_path / "store")
    _, counts = run(folder, tmp_path / "store", deadly)  # it is not tried again
    assert (counts.blocks, counts.frames) == (0, 0)
    assert bytes_of(tmp_path / "store") == before

    tried, _ = run(folder, tmp_path / "store", deadly, retry=True)
    assert (by_name(tried)[where].state, by_name(tried)[where].attempts) == ("quarantined", 6)
    mended, counts = run(folder, tmp_path / "store", cluster, retry=True)
    assert by_name(mended)[where].state == "ok"
    assert counts.frames == 4

    alone, _ = run(folder, tmp_path / "alone", cluster)
    mine, theirs = content(mended), content(alone)
    if where == "crash-decode":  # its rows were planned, so even their numbers are the same
        assert mine[0].equals(theirs[0])
        assert (mine[1] == theirs[1]).all()
    assert sorted(mine[0]["digest"]) == sorted(theirs[0]["digest"])


@pytest.mark.parametrize("where", ["hang-open", "hang-decode"])
def test_a_video_that_hangs_is_quarantined(where: str, tmp_path: Path, deadly: str) -> None:
    names = [f"clip-{number:03d}" for number in range(200)]
    names[7] = where
    folder = clips(tmp_path / "videos", names)
    store, _ = run(folder, tmp_path / "store", deadly, limit_s=2)
    videos = by_name(store)
    bad = videos.pop(where)
    assert (bad.state, bad.attempts) == ("quarantined", 2)
    assert "for 2 s" in bad.reason
    assert {video.state for video in videos.values()} == {"ok"}
    assert not store.folder.names("stalled")


def test_a_video_that_hangs_once_is_not_quarantined(tmp_path: Path, deadly: str) -> None:
    folder = clips(tmp_path / "videos", ["a", "hang-once", "b"])
    store, _ = run(folder, tmp_path / "store", deadly, limit_s=2)
    assert {video.state for video in by_name(store).values()} == {"ok"}


def test_several_deadly_videos_in_one_part(tmp_path: Path, deadly: str) -> None:
    names = ["a", "crash-decode-1", "b", "hang-decode-1", "c", "crash-decode-2", "crash-open", "d"]
    folder = clips(tmp_path / "videos", names)
    store, _ = run(folder, tmp_path / "store", deadly, limit_s=2)
    states = {name: video.state for name, video in by_name(store).items()}
    assert states == {name: "ok" if len(name) == 1 else "quarantined" for name in names}


def test_a_quarantined_content_is_known_under_other_names(
    tmp_path: Path, deadly: str, cluster: str
) -> None:
    folder = clips(tmp_path / "videos", ["a", "crash-open", "crash-decode"])
    run(folder, tmp_path / "store", deadly)
    (folder / "copy.mp4").write_bytes((folder / "crash-open.mp4").read_bytes())
    (folder / "crash-decode.mp4").rename(folder / "moved.mp4")
    store, _ = run(folder, tmp_path / "store", deadly)
    states = {name: video.state for name, video in by_name(store).items()}
    assert states == {
        "a": "ok",
        "crash-open": "quarantined",
        "copy": "quarantined",
        "moved": "quarantined",
    }
    store, _ = run(folder, tmp_path / "store", cluster, retry=True)
    assert {video.state for video in by_name(store).values()} == {"ok"}
    assert len(store.read_catalogue()) == 4


def test_a_quarantined_object_is_tried_again_when_asked(
    bucket: str, tmp_path: Path, deadly: str, cluster: str
) -> None:
    url = f"{bucket}/videos"
    for path in clips(tmp_path / "videos", ["a", "crash-open"]).iterdir():
        open_folder(url).write(path.name, path.read_bytes())
    store, _ = run(url, tmp_path / "store", deadly)
    assert by_name(store)["crash-open"].state == "quarantined"
    run(url, tmp_path / "store", cluster)
    assert by_name(store)["crash-open"].state == "quarantined"
    run(url, tmp_path / "store", cluster, retry=True)  # its version has not changed
    assert by_name(store)["crash-open"].state == "ok"


def test_a_full_disk_is_told_and_the_next_run_completes(
    tmp_path: Path, cluster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = clips(tmp_path / "videos", [f"clip-{number:03d}" for number in range(80)])
    expected = content(run(folder, tmp_path / "expected", cluster)[0])
    whole_bytes = sum(map(len, bytes_of(tmp_path / "expected").values()))
    index_bytes = sum(map(len, bytes_of(tmp_path / "expected" / "index").values()))
    monkeypatch.setenv("LIMIT_BYTES", str((whole_bytes + index_bytes) // 2))
    with (
        dask.config.set({"distributed.worker.preload": ["tests.full_disk"]}),
        open_cluster(Compute(workers=2, device="cpu")) as full,
        pytest.raises(CoreframeError, match=r"no space is left for .*make room, then run"),
    ):
        run(folder, tmp_path / "store", full)
    store = Store.open(tmp_path / "store")
    frames, vectors = content(store)
    assert 0 < len(frames) < 320
    known = expected[0].set_index("row").loc[frames["row"]].reset_index()
    assert frames.equals(known[frames.columns])
    assert (vectors == expected[1][frames["row"]]).all()
    again, counts = run(folder, tmp_path / "store", cluster)
    assert counts.frames == 320 - len(frames)
    whole = content(again)
    assert whole[0].equals(expected[0])
    assert (whole[1] == expected[1]).all()


def test_the_limit_is_a_parameter_of_the_corpus() -> None:
    assert Corpus().video_timeout == 300
