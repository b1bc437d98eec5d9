"""The neighbours that a store keeps: taken from there, found anew where they are damaged."""

import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest

from coreframe.tasks.check.task import check_store
from coreframe.tasks.errors import CoreframeError, ReadOnlyError
from coreframe.tasks.forget.find import find
from coreframe.tasks.forget.task import forget
from coreframe.tasks.neighbours import typical
from coreframe.tasks.neighbours.found import Neighbours
from coreframe.tasks.neighbours.kept import FOLDER, POINTER, KeptNeighbours
from coreframe.tasks.neighbours.typical import Density, density, find_neighbours
from coreframe.tasks.select.choice import Budget, Choice
from coreframe.tasks.select.local import choose_here
from coreframe.tasks.storage.folders import LocalFolder
from coreframe.tasks.store.catalogue import VideoState
from coreframe.tasks.store.corpus import read_corpus
from coreframe.tasks.store.lock import writing
from coreframe.tasks.store.store import Store
from tests.neighbours.plain import agrees, nearest, split
from tests.stores import make_store, walks

LENGTHS = [40, 25, 35]
VECTORS = walks(100, 16, 5)
K = 4


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return make_store(tmp_path / "store", VECTORS, LENGTHS, block_rows=32, undecodable=(7,))


def find_all(store: Store, k: int = K) -> Neighbours:
    corpus = read_corpus(store, ["row", "digest"])
    rows, digests = corpus["row"].to_numpy(), corpus["digest"].to_numpy()
    return find_neighbours(store, rows, digests, k, split(2))


def files(store: Store) -> dict[str, bytes]:
    assert isinstance(store.folder, LocalFolder)
    place = store.folder.path / FOLDER
    return {str(p.relative_to(place)): p.read_bytes() for p in place.rglob("*") if p.is_file()}


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows were looked at each time that something was found."""
    counts: list[int] = []
    done = typical.Work.done

    def counted(self: typical.Work, *arguments: object) -> Neighbours:
        counts.append(self.rows)
        return done(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(typical.Work, "done", counted)
    return counts


def test_what_is_kept_is_not_found_again(store: Store, looked: list[int]) -> None:
    rows = np.setdiff1d(np.arange(100), [7])
    agrees(find_all(store), VECTORS, rows, K)
    before = files(store)
    assert sorted(before) == ["000001/rows-00000.parquet", "neighbours.json"]
    agrees(find_all(store), VECTORS, rows, K)
    agrees(find_all(store, 2), VECTORS, rows, 2)
    assert looked == [99]
    assert files(store) == before
    agrees(find_all(store, 6), VECTORS, rows, 6)  # more than are kept
    assert looked == [99, 99]
    agrees(find_all(store, 6), VECTORS, rows, 6)
    assert sorted(files(store)) == ["000002/rows-00000.parquet", "neighbours.json"]


def test_rows_of_videos_that_go_and_come_back(store: Store, looked: list[int]) -> None:
    find_all(store)
    catalogue = store.read_catalogue()
    catalogue.update(1, state=VideoState.MISSING)
    store.write_catalogue(catalogue)
    rows = np.setdiff1d(np.arange(100), [7, *range(40, 65)])
    agrees(find_all(store), VECTORS, rows, K)
    assert len(looked) == 2
    assert looked[1] < 74
    catalogue.update(1, state=VideoState.OK)
    store.write_catalogue(catalogue)
    agrees(find_all(store), VECTORS, np.setdiff1d(np.arange(100), [7]), K)
    assert looked[2] == 99  # 25 with all, and all others with these


def test_many_files(store: Store) -> None:
    found = find_all(store)
    KeptNeighbours(store).write(found, file_rows=40)
    assert len(files(store)) == 4
    again = KeptNeighbours(store).read()
    assert again is not None
    for name in ("rows", "digests", "keys"):
        assert np.array_equal(getattr(again, name), getattr(found, name))


@pytest.mark.parametrize("how", ["flip", "cut", "pointer", "gone", "other night's"])
def test_damage_is_told_and_found_anew(
    how: str, store: Store, cluster: str, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    earlier = tmp_path / "earlier"
    catalogue = store.read_catalogue()
    catalogue.update(1, state=VideoState.MISSING)
    store.write_catalogue(catalogue)
    find_all(store)
    shutil.copytree(f"{store.path}/{FOLDER}", earlier)
    KeptNeighbours(store).drop()
    catalogue.update(1, state=VideoState.OK)
    store.write_catalogue(catalogue)
    found = find_all(store)
    name = POINTER if how == "pointer" else f"{FOLDER}/000001/rows-00000.parquet"
    path = Path(store.path) / name
    data = path.read_bytes()
    if how == "gone":
        path.unlink()
    elif how == "other night's":  # of the same name, and sealed
        shutil.copy(earlier / "000001" / "rows-00000.parquet", path)
    else:
        path.write_bytes(data[: len(data) // 2] if how == "cut" else data[:90] + b"?" + data[91:])
    kept = KeptNeighbours(store)
    with pytest.raises(CoreframeError, match=f"{name} (cannot be read|is missing)"):
        kept.read()
    checked = check_store(store, cluster, repair=False)
    assert [name in one for one in checked.files] == [True]
    with caplog.at_level(logging.WARNING, "coreframe"):
        agrees(find_all(store), VECTORS, found.rows, K)
    assert "found anew" in caplog.text
    assert "--repair" not in caplog.text  # nobody has to do anything
    assert kept.fault() == ""
    assert not check_store(store, cluster, repair=False).files


def test_repair_removes_what_is_damaged(store: Store, cluster: str) -> None:
    find_all(store)
    (Path(store.path) / POINTER).write_text("{")
    assert check_store(store, cluster, repair=True).files
    assert not (Path(store.path) / FOLDER).exists()
    assert not check_store(store, cluster, repair=True).files


def test_a_block_taken_back_may_come_back_a_little_apart(store: Store, cluster: str) -> None:
    find_all(store)
    (Path(store.path) / "frames" / "block-00000001.parquet").write_bytes(b"")
    assert check_store(store, cluster, repair=True).faults
    assert not (Path(store.path) / FOLDER).exists()


def test_nothing_of_a_forgotten_video_is_left(store: Store, looked: list[int]) -> None:
    before = find_all(store)
    shutil.copytree(f"{store.path}/{FOLDER}/000001", f"{store.path}/{FOLDER}/000000")
    gone = np.arange(40, 65)
    assert np.isin(before.near[~np.isin(before.rows, gone)], gone).any()
    with writing(store, "forget"):
        forget(store, find(store.read_catalogue(), ["v1.mp4"], store.path))
    assert sorted(files(store)) == ["000002/rows-00000.parquet", "neighbours.json"]
    left = KeptNeighbours(store).read()
    assert left is not None
    assert not np.isin(left.rows, gone).any()
    assert not np.isin(left.near, gone).any()
    known = left.settled
    near, squared = nearest(VECTORS, left.rows, K)
    assert np.array_equal(left.near[known], near[known])
    assert np.array_equal(left.squared[known], squared[known])
    assert 0 < known.sum() < len(known)
    agrees(find_all(store), VECTORS, left.rows, K)
    assert looked[1:] == [int((~known).sum())]


def test_forgetting_what_was_never_compared_leaves_it_alone(store: Store) -> None:
    with writing(store, "forget"):
        forget(store, find(store.read_catalogue(), ["v2.mp4"], store.path))
    find_all(store)
    before = files(store)
    ended = Path(store.path) / FOLDER / "000007"  # left by a run that was
    shutil.copytree(ended.with_name("000001"), ended)
    KeptNeighbours(store).erase(np.arange(65, 100))
    assert files(store) == before


@pytest.mark.parametrize("why", ["read only", "another writes", "full"])
def test_where_nothing_can_be_kept_it_is_found_all_the_same(
    why: str, store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    errors = {
        "read only": ReadOnlyError("it may only be read"),
        "another writes": CoreframeError("another run writes"),
        "full": OSError(28, "no space"),
    }

    def refuse(*_: object) -> None:
        raise errors[why]

    monkeypatch.setattr(typical, "sole_writer", refuse)
    with caplog.at_level(logging.INFO, "coreframe"):
        agrees(find_all(store), VECTORS, np.setdiff1d(np.arange(100), [7]), K)
    assert "not kept" in caplog.text
    assert not files(store)


def test_one_of_another_version_is_left_alone_until_it_is_replaced(store: Store) -> None:
    find_all(store)
    path = Path(store.path) / POINTER
    known = json.loads(path.read_text())
    path.write_text(json.dumps({**known, "format_version": 99, "coreframe_seal": "none"}))
    assert KeptNeighbours(store).read() is None
    find_all(store)
    assert KeptNeighbours(store).read() is not None


def test_frames_that_are_few_or_one(tmp_path: Path) -> None:
    vectors = np.array([[4000, 0], [0, 4000], [4000, 0]], np.int16)
    few = make_store(tmp_path / "few", vectors, [3])
    rows, digests = np.arange(3), np.arange(1, 4, dtype=np.uint64)
    found = density(few, rows, digests, 5, split(1))
    assert found.mean_distance.tolist() == [2**0.5 / 2, 2**0.5, 2**0.5 / 2]
    assert found.typical.tolist() == (1 - found.mean_distance / 2).tolist()
    one = make_store(tmp_path / "one", vectors[:1], [1])
    assert density(one, rows[:1], digests[:1], 5, split(1)).typical.tolist() == [1]
    assert Density(rows[:2], np.array([0, 4.1])).typical.tolist() == [1, 0]


def test_square_roots_are_added_up_in_ascending_order(store: Store) -> None:
    found = find_all(store, 7)
    sums = np.zeros(99)
    for row, own in enumerate(found.squared):
        for squared in sorted(own.tolist()):
            sums[row] += np.sqrt(float(squared))
    assert (np.sqrt(found.squared[:, ::-1].astype(float)).cumsum(axis=1)[:, -1] != sums).any()
    assert np.array_equal(found.mean_distance(7), sums / (7 * 4000))


def test_earlier_versions_pay_no_attention(store: Store) -> None:
    """What they read of a store is the same with the folder as without it."""
    plain = choose_here(store, Choice(budget=Budget(9)), "cpu").chosen.tolist()
    skipping = Choice(budget=Budget(9), skip_outliers=0.1)
    skipped = choose_here(store, skipping, "cpu")
    assert FOLDER in store.folder.names()
    assert choose_here(store, Choice(budget=Budget(9)), "cpu").chosen.tolist() == plain
    again = choose_here(store, skipping, "cpu")
    assert again.chosen.tolist() == skipped.chosen.tolist() != plain
