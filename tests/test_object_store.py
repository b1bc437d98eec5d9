"""A store in a bucket, on a real S3 server on this machine, holds what one on disk holds."""

from pathlib import Path

import pytest

from flows.cluster import open_cluster
from flows.parameters import Compute, Selecting
from tasks.select import select_frames
from tasks.storage import open_folder
from tasks.store.store import Store
from tests.runs import content
from tests.test_check import check
from tests.test_faults import clips, run


def picks(store: Store, cluster: str, n: int) -> list[int]:
    choice = Selecting(name="nightly", n_samples=n).choice()
    return select_frames.fn(store, choice, "cpu", cluster).frames["row"].tolist()


def test_a_store_in_a_bucket_equals_one_on_disk(bucket: str, tmp_path: Path) -> None:
    folder = clips(tmp_path / "videos", [f"clip-{number:02d}" for number in range(24)])
    with open_cluster(Compute(workers=2, device="cpu")) as cluster:
        there, _ = run(folder, f"{bucket}/some/store", cluster)  # type: ignore[arg-type]
        here, _ = run(folder, tmp_path / "store", cluster)
        for n in (10, 20):  # a selection, and its extension from what the store keeps
            assert picks(there, cluster, n) == picks(here, cluster, n)
        mine, theirs = content(there), content(here)
        assert mine[0].equals(theirs[0])
        assert (mine[1] == theirs[1]).all()
        assert there.read_catalogue().videos == here.read_catalogue().videos

        clips(folder / "later", ["x", "y"])
        _, counts = run(folder, f"{bucket}/some/store", cluster)  # type: ignore[arg-type]
        assert counts.frames == 8

        assert check(there, cluster, repair=False).sound
        there.folder.write("frames/block-00000000.parquet", b"torn")
        assert not check(there, cluster, repair=True).sound
        again, _ = run(folder, f"{bucket}/some/store", cluster)  # type: ignore[arg-type]
        assert check(again, cluster, repair=False).sound
        assert content(again)[0]["digest"].tolist()[:96] == mine[0]["digest"].tolist()


@pytest.mark.parametrize("where", ["disk", "s3"])
def test_a_folder_keeps_its_promises(
    where: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    place = request.getfixturevalue("bucket") if where == "s3" else str(tmp_path)
    folder = open_folder(f"{place}/a b/ü")
    assert folder.names() == []
    assert not folder.exists("x")
    with pytest.raises(FileNotFoundError):
        folder.read("x")
    folder.write("inner/x", b"1")
    folder.write("inner/x", b"2")
    folder.write("y", b"3")
    assert folder.names() == ["inner", "y"]
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
