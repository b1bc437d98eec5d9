"""Objects that are damaged are told and mended; forgotten ones leave nothing; others see none."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

from coreframe.flows.forget import forget
from coreframe.tasks.check.task import check_store
from coreframe.tasks.errors import CoreframeError
from coreframe.tasks.forget.task import complete
from coreframe.tasks.objects.summary import object_summary
from coreframe.tasks.storage.folders import LocalFolder, open_folder
from coreframe.tasks.store.objects import StoredObjects
from coreframe.tasks.store.store import Store
from tests.check.test_task import flip, tear
from tests.forget.trial import Ended, Moments, traces
from tests.objects.corpus import drawn_boxes, embed, held, videos, without_nan, write_csv
from tests.runs import by_name, ingest

NAMES = ["a.mp4", "b.mp4", "c.mp4"]
LABEL = "kind-of-b"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, cluster: str) -> Path:
    folder = tmp_path_factory.mktemp("kept")
    videos(folder / "videos", NAMES)
    store, _ = ingest([folder / "videos"], folder / "store", cluster, block_rows=8)
    rows = drawn_boxes(NAMES, [0, 7, 20], 3, seed=5)
    rows = [[*row[:6], LABEL if row[0] == "b.mp4" else row[6], ""] for row in rows]
    embed(store, [write_csv(folder / "boxes.csv", rows)], cluster)
    return folder


@pytest.fixture
def store(made: Path, tmp_path: Path) -> Store:
    shutil.copytree(made / "store", tmp_path / "store")
    return Store.open(tmp_path / "store")


def other_chunk(store: Path) -> None:
    chunks = store / "embeddings.zarr" / "objects" / "c"
    (chunks / "0" / "0").write_bytes((chunks / "1" / "0").read_bytes())


def older_boxes(store: Path) -> None:
    """A list of another night, whose seal is sound."""
    objects = StoredObjects(Store.open(store))
    boxes = objects.boxes()
    objects.write_boxes(replace(boxes, table=boxes.table.slice(0, 20), planned=20, embedded=20))


def without_vectors(store: Path) -> None:
    """A commit that is sound, of vectors that are none."""
    objects = StoredObjects(Store.open(store))
    vectors, table = objects.reader().block(0), objects.committed(0)
    assert table is not None
    objects.commit(0, np.zeros_like(vectors), table)


DAMAGES: dict[str, Callable[[Path], None]] = {
    "torn commit": lambda store: tear(store / "objects" / "block-00000001.parquet"),
    "lost commit": lambda store: (store / "objects" / "block-00000001.parquet").unlink(),
    "torn chunk": lambda store: tear(store / "embeddings.zarr" / "objects" / "c" / "1" / "0"),
    "lost chunk": lambda store: (store / "embeddings.zarr/objects/c/0/0").unlink(),
    "another's chunk": other_chunk,
    "no vectors": without_vectors,
    "torn list": lambda store: tear(store / "boxes.parquet"),
    "bit of the list": lambda store: flip(store / "boxes.parquet"),
    "lost list": lambda store: (store / "boxes.parquet").unlink(),
    "older list": older_boxes,
    "torn array": lambda store: tear(store / "embeddings.zarr" / "objects" / "zarr.json"),
    "lost array": lambda store: (store / "embeddings.zarr/objects/zarr.json").unlink(),
}


@pytest.mark.parametrize("kind", DAMAGES)
def test_damage_is_found_and_mended(kind: str, store: Store, made: Path, cluster: str) -> None:
    rows, vectors = held(store)
    assert check_store(store, cluster, repair=False).sound
    DAMAGES[kind](Path(store.path))
    found = check_store(store, cluster, repair=False)
    assert not found.sound
    assert found.described()
    mended = check_store(store, cluster, repair=True)
    assert (mended.objects, mended.files) == (found.objects, found.files)
    again = check_store(store, cluster, repair=False)
    assert again.sound, again.described()
    embed(store, [made / "boxes.csv"], cluster)
    if kind == "older list":  # what it lacks is numbered anew
        key = ["row", "x", "y", "width", "height", "label"]
        ours, theirs = (
            sorted([one[k] for k in key] for one in some) for some in (held(store)[0], rows)
        )
        assert ours == theirs
    else:
        assert without_nan(held(store)[0]) == without_nan(rows)
        assert (held(store)[1] == vectors).all()
    assert check_store(store, cluster, repair=False).sound


@pytest.mark.parametrize("kind", ["lost commit", "lost list", "lost array", "torn chunk"])
def test_what_is_lost_is_not_passed_over(kind: str, store: Store) -> None:
    DAMAGES[kind](Path(store.path))
    with pytest.raises(CoreframeError, match="check --store"):
        held(store)


def test_forgotten_videos_leave_no_objects(store: Store, cluster: str) -> None:
    rows, vectors = held(store)
    gone = by_name(store)["b"]
    own = np.array([gone.first_row <= row["row"] < gone.first_row + gone.rows for row in rows])
    assert traces(store, [LABEL], vectors[own])
    forget(store.path, ["b.mp4"])
    assert not traces(store, [LABEL], vectors[own])
    left, their_vectors = held(store)
    assert without_nan(left) == without_nan([r for r, o in zip(rows, own, strict=True) if not o])
    assert (their_vectors == vectors[~own]).all()
    assert check_store(store, cluster, repair=False).sound
    assert LABEL not in object_summary(store).labels
    more = write_csv(Path(store.path).parent / "more.csv", [["a.mp4", 3, 0, 0, 30, 30, "new", ""]])
    embed(store, [more], cluster)
    assert held(store)[0][-1]["object"] == len(rows)  # numbers are not given twice


def test_forgetting_that_is_ended_at_any_moment_is_completed(
    store: Store, made: Path, tmp_path: Path, cluster: str
) -> None:
    rows, vectors = held(store)
    gone = by_name(store)["b"]
    own = np.array([gone.first_row <= row["row"] < gone.first_row + gone.rows for row in rows])
    forget(store.path, ["b.mp4"])
    expected, moment = held(store), 0
    while True:
        place = tmp_path / f"store-{moment}"
        shutil.copytree(made / "store", place)
        moments, again = Moments(moment), Store.open(place)
        with (
            mock.patch.object(LocalFolder, "write", moments.before(LocalFolder.write)),
            mock.patch.object(LocalFolder, "delete", moments.before(LocalFolder.delete)),
        ):
            try:
                forget(again.path, ["b.mp4"])
            except Ended:
                pass
            else:
                break
        held(again)
        found = check_store(again, cluster, repair=False)
        assert not found.objects
        assert not [one for one in found.files if "objects" in one or "boxes" in one]
        complete(again)
        if moment == 0:  # nothing had been done
            forget(again.path, ["b.mp4"])
        assert without_nan(held(again)[0]) == without_nan(expected[0])
        assert not traces(again, [LABEL], vectors[own])
        moment += 3
    assert moment > 20


def test_what_a_version_without_objects_forgot_is_found(store: Store, cluster: str) -> None:
    rows, vectors = held(store)
    gone = by_name(store)["b"]
    own = np.array([gone.first_row <= row["row"] < gone.first_row + gone.rows for row in rows])
    with mock.patch.object(StoredObjects, "erase", return_value=None):
        forget(store.path, ["b.mp4"])
    assert traces(store, [LABEL], vectors[own])
    assert check_store(store, cluster, repair=False).files == [
        f"{own.sum()} objects are of videos that were forgotten"
    ]
    assert not check_store(store, cluster, repair=True).sound
    assert check_store(store, cluster, repair=False).sound
    assert not traces(store, [LABEL], vectors[own])


def test_a_store_in_a_bucket(made: Path, bucket: str, cluster: str) -> None:
    for path in (made / "store").rglob("*"):
        if path.is_file() and not path.name.startswith("."):
            name = path.relative_to(made / "store").as_posix()
            open_folder(f"{bucket}/store").write(name, path.read_bytes())
    store = Store.open(f"{bucket}/store")
    rows, vectors = held(store)
    assert embed(store, [made / "boxes.csv"], cluster, afresh=True).embedded == 0
    StoredObjects(store).clear()
    assert embed(store, [made / "boxes.csv"], cluster).embedded == len(rows)
    assert (held(store)[1] == vectors).all()
    forget(store.path, ["b.mp4"])
    assert check_store(store, cluster, repair=False).sound


def test_a_store_of_format_1_gets_objects(made: Path, tmp_path: Path, cluster: str) -> None:
    from coreframe.tasks.store.settings import OBJECTS

    old = Path(__file__).parents[1] / "data" / "made_by_1e0a6dd" / "store"
    shutil.copytree(old, tmp_path / "store")
    store = Store.open(tmp_path / "store")
    assert store.settings.format_version == 1
    assert not object_summary(store).objects
    objects = StoredObjects(store)
    objects.make_room(5)
    assert b'"int16"' in store.folder.read(OBJECTS.document)
    assert check_store(store, cluster, repair=False).files == []
