"""A store in a bucket, on a real S3 server on this machine, holds what one on disk holds."""

import socket
import threading
import time
import urllib.request
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
import pytest
from moto.server import ThreadedMotoServer

from coreframe.flows.choosing import Selecting
from coreframe.flows.parameters import Compute, Ingestion
from coreframe.flows.preflight import open_store
from coreframe.tasks.check.task import check_store
from coreframe.tasks.errors import CoreframeError, UsageError
from coreframe.tasks.export.task import export_frames
from coreframe.tasks.index.task import index_files
from coreframe.tasks.output.images import PictureSettings
from coreframe.tasks.output.selection_table import write_selection
from coreframe.tasks.query.nearest import nearest_frames
from coreframe.tasks.query.on_dask import scores_on
from coreframe.tasks.query.vectors import resolve
from coreframe.tasks.select.choice import Budget, Choice
from coreframe.tasks.select.task import choose_frames
from coreframe.tasks.storage import buckets, patience
from coreframe.tasks.storage.files import RangeFile, size_bytes
from coreframe.tasks.storage.fingerprint import fingerprint
from coreframe.tasks.storage.folders import open_folder
from coreframe.tasks.storage.patience import Waits
from coreframe.tasks.store.store import Store
from coreframe.tasks.video.decode import decode_frames
from coreframe.tasks.video.digest import frame_digest
from coreframe.tasks.video.discover import discover
from coreframe.tasks.video.indexing import index_video
from coreframe.tasks.video.mp4 import LOOKED_AT_BYTES
from tests.flaky_proxy import Faults, flaky
from tests.runs import by_name, bytes_of, content, run
from tests.videos import RECIPES, clips, make

pytestmark = pytest.mark.integration


def picks(store: Store, cluster: str, n: int) -> list[int]:
    choice = Selecting(name="nightly", n_samples=n).choice()
    return choose_frames(store, choice, "cpu", cluster).frames["row"].tolist()


def test_a_store_in_a_bucket_equals_one_on_disk(
    bucket: str, tmp_path: Path, processes: str
) -> None:
    folder = clips(tmp_path / "videos", [f"clip-{number:02d}" for number in range(24)])
    there, _ = run(folder, f"{bucket}/some/store", processes)
    here, _ = run(folder, tmp_path / "store", processes)
    for n in (10, 20):  # a selection, and its extension from what the store keeps
        assert picks(there, processes, n) == picks(here, processes, n)
    found = [nearest_frames(store, ["frame:clip-03.mp4@0.1"], []) for store in (there, here)]
    pd.testing.assert_frame_equal(*found)
    wish, rows = resolve(here, ["frame:clip-03.mp4@0.1"], []), np.arange(96)
    both = [scores_on(processes)(store, rows, wish) for store in (there, here)]
    assert np.array_equal(*both)
    mine, theirs = content(there), content(here)
    assert mine[0].equals(theirs[0])
    assert (mine[1] == theirs[1]).all()
    assert there.read_catalogue().videos == here.read_catalogue().videos

    clips(folder / "later", ["x", "y"])
    _, counts = run(folder, f"{bucket}/some/store", processes)
    assert counts.frames == 8

    assert check_store(there, processes, repair=False).sound
    there.folder.write("frames/block-00000000.parquet", b"torn")
    assert not check_store(there, processes, repair=True).sound
    again, _ = run(folder, f"{bucket}/some/store", processes)
    assert check_store(again, processes, repair=False).sound
    assert content(again)[0]["digest"].tolist()[:96] == mine[0]["digest"].tolist()


@pytest.mark.parametrize("where", ["disk", "s3"])
def test_a_folder_keeps_its_promises(
    where: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    place = request.getfixturevalue("bucket") if where == "s3" else str(tmp_path)
    folder = open_folder(f"{place}/a b/ü")
    assert folder.names() == []
    assert folder.size_bytes() == 0
    assert not folder.exists("x")
    with pytest.raises(FileNotFoundError):
        folder.read("x")
    folder.write("inner/x", b"1")
    folder.write("inner/x", b"2")
    folder.write("y", b"3")
    assert folder.names() == ["inner", "y"]
    assert folder.size_bytes() == 2
    assert folder.names("inner") == ["x"]
    assert folder.read("inner/x") == b"2"
    assert not folder.swap("y", b"2", b"4")
    assert not folder.swap("y", None, b"4")
    assert folder.swap("y", b"3", b"4")
    assert folder.swap("z", None, b"5")
    assert (folder.read("y"), folder.read("z")) == (b"4", b"5")
    folder.delete("inner")
    folder.delete("no such")
    assert set(folder.names()) - {".guard"} == {"y", "z"}


def noise(number: int, width: int, height: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (height, width, 3), np.uint8)


def upload(folder: Path, bucket: str) -> str:
    """Put all files of a folder under a prefix of the bucket."""
    place = open_folder(f"{bucket}/videos")
    for path in folder.rglob("*"):
        if path.is_file():
            place.write(path.relative_to(folder).as_posix(), path.read_bytes())
    return place.name


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Bytes of each request for a part of an object, in this process."""
    found: list[int] = []
    fetch = RangeFile._fetch

    def counted(self: RangeFile, wanted: int) -> None:
        before = self.bytes_read
        fetch(self, wanted)
        found.append(self.bytes_read - before)

    monkeypatch.setattr(RangeFile, "_fetch", counted)
    return found


def test_videos_in_a_bucket_have_the_index_and_the_frames_of_files(
    made_videos: dict[str, Path], bucket: str, tmp_path: Path
) -> None:
    url = upload(next(iter(made_videos.values())).parent, bucket)
    rng = np.random.default_rng(3)
    for name, path in made_videos.items():
        there = f"{url}/{name}"
        assert fingerprint(there) == fingerprint(str(path))
        assert size_bytes(there) == path.stat().st_size
        facts, index = index_video(path)
        same_facts, same = index_video(there)
        assert same_facts == facts, name
        for field, value in vars(index).items():
            assert np.array_equal(getattr(same, field), value), (name, field)
        wanted = np.sort(rng.choice(len(index), min(9, len(index)), replace=False))
        digests = [frame_digest(frame) for _, frame in decode_frames(path, index, wanted)]
        assert [frame_digest(f) for _, f in decode_frames(there, index, wanted)] == digests


def test_what_packets_hold_is_not_read_for_an_index(real_videos: Path, bucket: str) -> None:
    """Real files, larger than what is looked at of any: their indexes are the same all the same."""
    large = [path for path in real_videos.iterdir() if path.stat().st_size > 2 * LOOKED_AT_BYTES]
    assert large
    for path in large:
        open_folder(bucket).write(path.name, path.read_bytes())
        with mock.patch("coreframe.tasks.video.container.media_data", return_value=[]):
            facts, index = index_video(path)
        for place in (path, f"{bucket}/{path.name}"):
            same_facts, same = index_video(place)
            assert same_facts == facts
            for field, value in vars(index).items():
                assert np.array_equal(getattr(same, field), value), (path.name, field)


def test_keyframes_are_known_where_packets_are_not_read(tmp_path: Path) -> None:
    recipe = replace(RECIPES[0], file="long.mp4", frames=200, width=320, height=240, paint=noise)
    path = make(recipe, tmp_path)
    assert path.stat().st_size > 3 * LOOKED_AT_BYTES
    with mock.patch("coreframe.tasks.video.container.media_data", return_value=[]):
        _, index = index_video(path)
    assert index.key.sum() > 10
    _, same = index_video(path)
    assert np.array_equal(same.key, index.key)


def chosen(store: Store, out: Path, cluster: str) -> dict[str, bytes]:
    """The bytes of ``selection.parquet`` and of all images."""
    selection = choose_frames(store, Choice(budget=Budget(n_samples=9)), "cpu", cluster)
    table, _ = export_frames(store, selection, out, PictureSettings(), cluster)
    write_selection(out, table)
    found = {path.relative_to(out).as_posix(): data for path, data in bytes_of(out).items()}
    assert len(found) == 10
    return found


def test_a_run_on_a_bucket_equals_one_on_files(
    bucket: str, tmp_path: Path, cluster: str, reads: list[int]
) -> None:
    folder = clips(tmp_path / "videos", [f"clip-{number:02d}" for number in range(12)])
    (folder / "inner").mkdir()
    (folder / "clip-03.mp4").rename(folder / "inner" / "clip 3 é.mp4")
    (folder / "broken.mp4").write_bytes(b"no video")
    url = upload(folder, bucket)
    there, _ = run(url, f"{bucket}/store", cluster)
    here, _ = run(folder, tmp_path / "store", cluster)
    assert content(there)[0].equals(content(here)[0])
    assert (content(there)[1] == content(here)[1]).all()
    mine, theirs = there.read_catalogue().videos, here.read_catalogue().videos
    assert [(v.path, v.state, v.fingerprint, v.rows) for v in mine] == [
        (v.path, v.state, v.fingerprint, v.rows) for v in theirs
    ]
    assert all(video.source.startswith(f"{url}/") for video in mine)
    assert picks(there, cluster, 9) == picks(here, cluster, 9)
    assert chosen(there, tmp_path / "s3", cluster) == chosen(here, tmp_path / "disk", cluster)

    reads.clear()
    _, counts = run(url, f"{bucket}/store", cluster)
    assert counts.frames == 0
    assert reads == []  # the list of objects says that none has changed

    kept = open_folder(url).read("clip-07.mp4")
    open_folder(url).delete("clip-07.mp4")
    run(url, f"{bucket}/store", cluster)
    assert by_name(there)["clip-07"].state == "missing"
    open_folder(url).write("clip-07.mp4", kept)  # the same version of it is back
    run(url, f"{bucket}/store", cluster)
    assert by_name(there)["clip-07"].state == "ok"
    assert reads == []

    open_folder(url).delete("clip-05.mp4")
    open_folder(url).write("clip-06.mp4", (folder / "clip-05.mp4").read_bytes())
    again, counts = run(url, f"{bucket}/store", cluster)
    assert counts.frames == 0  # moved over another: its rows are known
    states = {(video.path, video.state) for video in again.read_catalogue().videos}
    assert {("clip-06.mp4", "ok"), ("clip-06.mp4", "retired")} <= states


def test_a_run_on_a_flaky_bucket_gives_the_same(
    object_store: str,
    bucket: str,
    tmp_path: Path,
    cluster: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`tests/trials/test_flaky_bucket.py` has ten of them, of whole nights."""
    monkeypatch.setattr(patience, "WAITS", Waits(first_s=0.001, longest_s=0.1))
    monkeypatch.setitem(buckets.RETRIES, "backoff", {"init_backoff": timedelta(milliseconds=1)})
    url = upload(clips(tmp_path / "videos", [f"clip-{number}" for number in range(6)]), bucket)
    well, _ = run(url, f"{bucket}/well", cluster, block_rows=8)
    faults = Faults(seed=3, lost=0.1, cut=0.1, refused=0.2)
    with flaky(object_store, faults) as address, monkeypatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", address)
        store, _ = run(url, f"{bucket}/flaky", cluster, block_rows=8)
        assert picks(store, cluster, 9) == picks(well, cluster, 9)
        assert check_store(store, cluster, repair=False).sound
    assert faults.happened["lost"] > 3
    store = Store.open(store.path)  # without the proxy
    assert content(store)[0].equals(content(well)[0])
    assert (content(store)[1] == content(well)[1]).all()
    assert store.read_catalogue().videos == well.read_catalogue().videos


class Away(Faults):
    """One object is not given from the n-th request for it on."""

    def __init__(self, name: str, given: int) -> None:
        super().__init__(seed=0)
        self.name, self.given = name, given

    def fate(self, method: str, path: str) -> str:
        self.given -= path.endswith(self.name)
        return "closed" if path.endswith(self.name) and self.given < 0 else ""


@pytest.mark.parametrize("stage", ["index", "embed"])
def test_a_video_that_is_out_of_reach_for_a_night_is_embedded_in_the_next(
    stage: str,
    object_store: str,
    bucket: str,
    tmp_path: Path,
    cluster: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = clips(tmp_path / "videos", ["a", "b", "c"])
    url = upload(folder, bucket)
    monkeypatch.setattr(patience, "WAITS", Waits(total_s=0.05, first_s=0.01))
    monkeypatch.setitem(buckets.RETRIES, "max_retries", 0)
    # each of fingerprint, size, container and margins begins with a HEAD
    away = Away("/b.mp4", given=0 if stage == "index" else 10**6)
    with flaky(object_store, away) as address, monkeypatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", address)
        if stage == "embed":
            store, parameters = open_store(str(tmp_path / "store"), Ingestion(), Compute())
            index_files(store, discover([url]), parameters.sampling(), cluster)
            away.given = 0
        store, counts = run(url, tmp_path / "store", cluster, block_rows=None)
    assert counts.frames == 8
    video = by_name(store)["b"]
    assert video.state == ("broken" if stage == "index" else "pending")
    assert f"{url}/b.mp4 cannot be looked at: its bucket does not answer" in video.reason
    store, counts = run(url, tmp_path / "store", cluster, block_rows=None)
    assert counts.frames == 4
    assert [by_name(store)[name].state for name in "abc"] == ["ok"] * 3


def test_sampled_work_reads_a_fraction_of_a_long_file(
    bucket: str, tmp_path: Path, cluster: str, reads: list[int]
) -> None:
    recipe = replace(RECIPES[0], codec="mjpeg", pixel_format="yuvj420p", options={"qmin": "1"})
    long = replace(recipe, file="long.mp4", frames=900, width=480, height=360, gop=25, paint=noise)
    path = make(long, tmp_path)
    size = path.stat().st_size
    assert size > 20 * 2**20
    open_folder(bucket).write("long.mp4", path.read_bytes())
    store, counts = run(
        f"{bucket}/long.mp4",
        tmp_path / "store",
        cluster,
        sample_fps="0.2",
    )
    assert counts.frames == 7
    assert by_name(store)["long"].state == "ok"
    print(f"{len(reads)} requests, {sum(reads):,} of {size:,} bytes")
    assert sum(reads) < size / 3


def test_a_prefix_without_anything_is_refused(bucket: str) -> None:
    with pytest.raises(UsageError, match="there is nothing at or under s3://"):
        discover([f"{bucket}/no such"])
    with pytest.raises(UsageError, match=r"^s3://no-such.* does not answer .*not exist"):
        discover(["s3://no-such/videos"])
    with pytest.raises(
        CoreframeError,
        match=r"^s3://no-such/x cannot be written: .* not answer as it should \(",
    ) as bad:
        open_folder("s3://no-such").write("x", b"1")
    assert "\n" not in str(bad.value)
    open_folder(bucket).write("videos/a.mp4", b"1")
    assert [file.name for file in discover([f"{bucket}/videos"])] == ["a.mp4"]
    assert [file.name for file in discover([bucket])] == ["videos/a.mp4"]
    assert [file.explicit for file in discover([f"{bucket}/videos/a.mp4"])] == [True]


def test_a_bucket_that_cannot_be_reached_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    folder = open_folder("s3://late/store")

    def come_back() -> None:
        time.sleep(2)
        server.start()
        request = urllib.request.Request(f"http://127.0.0.1:{port}/late", method="PUT")
        urllib.request.urlopen(request).close()

    thread = threading.Thread(target=come_back)
    thread.start()
    try:
        assert not folder.exists("x")  # asked while nobody answers
        thread.join()
        folder.write("x", b"1")
        assert folder.read("x") == b"1"
    finally:
        thread.join()
        server.stop()
