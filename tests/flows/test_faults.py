"""What a run survives: workers that die and hang, other runs, full disks."""

from pathlib import Path

import dask
import pytest

from coreframe.flows.cluster import open_cluster
from coreframe.flows.parameters import Compute, Sources
from coreframe.tasks.errors import CoreframeError
from coreframe.tasks.storage.folders import open_folder
from coreframe.tasks.store.store import Store
from tests.flows import faults
from tests.runs import by_name, bytes_of, content, run
from tests.videos import clips

pytestmark = pytest.mark.timeout(120)


VIDEOS = 40
"""In `tests/trials/test_faults.py` they are 200."""


@pytest.mark.parametrize("where", ["crash-open", "crash-decode"])
def test_of_many_videos_one_that_crashes_its_decoder_is_quarantined(
    where: str, tmp_path: Path, processes: str, cluster: str
) -> None:
    faults.one_crashes(where, tmp_path, processes, cluster, videos=VIDEOS)


@pytest.mark.parametrize("where", ["hang-open", "hang-decode"])
def test_a_video_that_hangs_is_quarantined(where: str, tmp_path: Path, processes: str) -> None:
    faults.one_hangs(where, tmp_path, processes, videos=VIDEOS)


def test_a_video_that_hangs_once_is_not_quarantined(tmp_path: Path, processes: str) -> None:
    folder = clips(tmp_path / "videos", ["a", "hang-once", "b"])
    store, _ = run(folder, tmp_path / "store", processes, limit_s=2)
    assert {video.state for video in by_name(store).values()} == {"ok"}


def test_several_deadly_videos_in_one_part(tmp_path: Path, processes: str) -> None:
    names = ["a", "crash-decode-1", "b", "hang-decode-1", "c", "crash-decode-2", "crash-open", "d"]
    folder = clips(tmp_path / "videos", names)
    store, _ = run(folder, tmp_path / "store", processes, limit_s=2)
    states = {name: video.state for name, video in by_name(store).items()}
    assert states == {name: "ok" if len(name) == 1 else "quarantined" for name in names}


def test_a_quarantined_content_is_known_under_other_names(
    tmp_path: Path, processes: str, cluster: str
) -> None:
    folder = clips(tmp_path / "videos", ["a", "crash-open", "crash-decode"])
    run(folder, tmp_path / "store", processes)
    (folder / "copy.mp4").write_bytes((folder / "crash-open.mp4").read_bytes())
    (folder / "crash-decode.mp4").rename(folder / "moved.mp4")
    store, _ = run(folder, tmp_path / "store", processes)
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
    bucket: str, tmp_path: Path, processes: str, cluster: str
) -> None:
    url = f"{bucket}/videos"
    for path in clips(tmp_path / "videos", ["a", "crash-open"]).iterdir():
        open_folder(url).write(path.name, path.read_bytes())
    store, _ = run(url, tmp_path / "store", processes)
    assert by_name(store)["crash-open"].state == "quarantined"
    run(url, tmp_path / "store", cluster)
    assert by_name(store)["crash-open"].state == "quarantined"
    run(url, tmp_path / "store", cluster, retry=True)  # its version has not changed
    assert by_name(store)["crash-open"].state == "ok"


def test_a_full_disk_is_told_and_the_next_run_completes(
    tmp_path: Path, cluster: str, forked: None
) -> None:
    folder = clips(tmp_path / "videos", [f"clip-{number:03d}" for number in range(80)])
    expected = content(run(folder, tmp_path / "expected", cluster)[0])
    whole_bytes = sum(map(len, bytes_of(tmp_path / "expected").values()))
    index_bytes = sum(map(len, bytes_of(tmp_path / "expected" / "index").values()))
    limit = {"LIMIT_BYTES": str((whole_bytes + index_bytes) // 2)}
    with (
        dask.config.set({"distributed.worker.preload": ["tests.full_disk"]}),
        dask.config.set({"distributed.nanny.environ": limit}),
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
    assert Sources().video_timeout == 300
