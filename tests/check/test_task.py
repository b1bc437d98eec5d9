"""Stores that something has damaged are told from sound ones, and made whole again."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from coreframe.tasks.check.files import open_to_check
from coreframe.tasks.check.task import Checked, check_store
from coreframe.tasks.errors import CoreframeError
from coreframe.tasks.store.array import ARRAY_DOCUMENT
from coreframe.tasks.store.settings import MADE
from coreframe.tasks.store.store import Store
from tests.runs import bytes_of, content, run
from tests.videos import clips


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return clips(tmp_path / "videos", [f"clip-{number:02d}" for number in range(30)])


def check(store: Store, cluster: str, *, repair: bool) -> Checked:
    return check_store(store, cluster, repair=repair)


def flip(path: Path, place: int = -100) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 0x55
    path.write_bytes(data)


def tear(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def other_embeddings(store: Path) -> None:
    """A chunk that can be read, but is another block's."""
    chunks = store / "embeddings.zarr" / "embedding" / "c"
    (chunks / "0" / "0").write_bytes((chunks / "1" / "0").read_bytes())


DAMAGES: dict[str, Callable[[Path], None]] = {
    "torn commit": lambda store: tear(store / "frames" / "block-00000001.parquet"),
    "empty commit": lambda store: (store / "frames" / "block-00000000.parquet").write_bytes(b""),
    "torn chunk": lambda store: tear(store / "embeddings.zarr" / "embedding" / "c" / "1" / "0"),
    "lost chunk": lambda store: (store / "embeddings.zarr/embedding/c/0/0").unlink(),
    "another's chunk": other_embeddings,
    "lost commit": lambda store: (store / "frames" / "block-00000001.parquet").unlink(),
    "torn index": lambda store: tear(sorted((store / "index").iterdir())[3]),
}


@pytest.mark.parametrize("kind", DAMAGES)
def test_damage_is_found_and_the_next_run_makes_the_store_whole(
    kind: str, folder: Path, tmp_path: Path, cluster: str
) -> None:
    store, _ = run(folder, tmp_path / "store", cluster)
    frames, vectors = content(store)
    assert check(store, cluster, repair=False).sound
    DAMAGES[kind](tmp_path / "store")
    before = bytes_of(tmp_path / "store")
    found = check(store, cluster, repair=False)
    assert not found.sound
    assert found.described()
    assert bytes_of(tmp_path / "store") == before
    assert check(store, cluster, repair=True).described() == found.described()
    again, _ = run(folder, tmp_path / "store", cluster)
    assert check(again, cluster, repair=False).sound
    mended = content(again)
    assert mended[0].equals(frames)
    assert (mended[1] == vectors).all()
    assert {video.state for video in again.read_catalogue().videos} == {"ok"}


def test_a_torn_catalogue_is_replaced_by_its_copy(
    folder: Path, tmp_path: Path, cluster: str
) -> None:
    store, _ = run(folder, tmp_path / "store", cluster)
    clips(folder / "later", ["new"])
    (folder / "later" / "new.mp4").write_bytes((folder / "later" / "new.mp4").read_bytes() + b"x")
    store, _ = run(folder, tmp_path / "store", cluster)
    frames, vectors = content(store)
    tear(tmp_path / "store" / "catalogue.parquet")
    with pytest.raises(CoreframeError, match=r"catalogue\.parquet cannot be read"):
        store.read_catalogue()
    assert check(store, cluster, repair=True).catalogue
    again, _ = run(folder, tmp_path / "store", cluster)
    assert check(again, cluster, repair=False).sound
    mended = content(again)
    assert mended[0].equals(frames)
    assert (mended[1] == vectors).all()


def test_without_a_copy_of_the_catalogue_it_says_so(
    folder: Path, tmp_path: Path, cluster: str
) -> None:
    store, _ = run(folder, tmp_path / "store", cluster)
    (tmp_path / "store" / "catalogue-copy.parquet").unlink()
    tear(tmp_path / "store" / "catalogue.parquet")
    with pytest.raises(CoreframeError, match=r"catalogue\.parquet cannot be read"):
        check(store, cluster, repair=True)


@pytest.mark.filterwarnings("error")
def test_documents_of_an_old_store_are_rebuilt_to_the_byte(tmp_path: Path, cluster: str) -> None:
    old = Path(__file__).parents[1] / "data" / "made_by_1e0a6dd" / "store"
    shutil.copytree(old, tmp_path / "store")
    documents = [tmp_path / "store" / name for name in (MADE, ARRAY_DOCUMENT)]
    store = Store.open(tmp_path / "store")
    assert check(store, cluster, repair=True).sound  # from now on there is a copy of the settings
    for path in documents:
        before = path.read_bytes()
        tear(path)
        assert len(check_store(open_to_check(store.path), cluster, repair=True).files) == 1
        assert path.read_bytes() == before
    assert check(store, cluster, repair=False).sound
