"""A store of which something is to be forgotten, what is left of it, and ends at any moment."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pyarrow.parquet as pq
from numcodecs.zstd import decompress

from coreframe.flows.choosing import Selecting
from coreframe.flows.forget import forget
from coreframe.flows.record import recorded
from coreframe.tasks.select.task import choose_frames
from coreframe.tasks.storage.folders import LocalFolder
from coreframe.tasks.store.corpus import read_corpus
from coreframe.tasks.store.store import Store
from tests.runs import content, run
from tests.videos import clips

NAMES = [f"clip-{number}" for number in range(6)]
GONE = "clip-2.mp4"


def night(videos: Path | str, store: Path | str, cluster: str, n: int = 6) -> list[int]:
    """Bring a store up to date, extend its selection, and leave a record; the chosen rows."""
    opened, _ = run(videos, store, cluster, block_rows=10)
    choice = Selecting(name="nightly", n_samples=n).choice()
    rows = choose_frames(opened, choice, "cpu", cluster).frames["row"].tolist()
    found = [video.path for video in opened.read_catalogue().videos]
    with recorded(
        opened, "curate", {"videos": [f"{videos}/{name}" for name in found]}, 0
    ) as record:
        record["changes"] = {"new": {"count": len(found), "first": found}}
    return rows


def make_store(folder: Path, cluster: str) -> Path:
    """Fill a folder with videos, one of them twice, and a store of them with a selection."""
    folder.mkdir(exist_ok=True)
    videos = clips(folder / "videos", NAMES)
    (videos / "sub").mkdir()
    shutil.copy(videos / GONE, videos / "sub" / "copy.mp4")
    rows = night(videos, folder / "store", cluster, 14)
    assert set(rows) & set(range(8, 12))  # frames of the one that will be gone are chosen
    return folder


def everything(store: Store) -> Iterator[tuple[str, Any]]:
    """All files of a store with what is in them, however it is packed."""
    assert isinstance(store.folder, LocalFolder)
    for path in store.folder.path.rglob("*"):
        if path.is_dir():
            continue
        data = path.read_bytes()
        if path.suffix == ".parquet":
            yield str(path), repr((pq.read_schema(path).metadata, pq.read_table(path).to_pylist()))
        elif path.suffix == ".npy":
            yield str(path), np.load(path)
        elif path.parent.parent.name == "c":
            yield str(path), np.frombuffer(decompress(data), np.int16)
        else:
            yield str(path), data.decode()


def traces(store: Store, names: list[str], vectors: np.ndarray) -> list[str]:
    """Files that hold a name or one of some vectors."""
    found = []
    for path, held in everything(store):
        if isinstance(held, str):
            found += [path for name in names if name in held or name in path]
        elif held.dtype == np.int16:
            rows = held.reshape(-1, vectors.shape[1])
            found += [path for vector in vectors if (rows == vector).all(axis=1).any()]
    return found


class Ended(BaseException):
    """Stands for the end of the process."""


class Moments:
    """Counts what is written and deleted, and ends it all at one of them."""

    def __init__(self, left: int) -> None:
        self.left = left

    def before(self, own: Callable[..., None]) -> Callable[..., None]:
        def counted(folder: LocalFolder, name: str, *data: bytes) -> None:
            if name != "lock.json":
                if self.left == 0:
                    raise Ended
                self.left -= 1
            own(folder, name, *data)

        return counted


def ended_at_moments(made: Path, folder: Path, cluster: str, *, every: int) -> int:
    """End a run that forgets before what it writes or deletes; the next run completes it.

    Whatever reads in between finds a sound store.

    Args:
        made: by :func:`make_store`.
        folder: for copies of it.
        cluster: for the runs.
        every: so many moments.

    Returns:
        How many moments there are.
    """
    expected, moment = folder / "expected", 0
    shutil.copytree(made / "store", expected)
    vectors = content(Store.open(expected))[1][8:12]
    forget(str(expected), [GONE])
    alone = content(Store.open(expected))
    choice = Selecting(name="nightly", n_samples=1).choice()
    while True:
        place = folder / f"store-{moment}"
        shutil.copytree(made / "store", place)
        (place / "runs" / ".half.json.tmp").write_text(GONE)
        moments = Moments(moment)
        with (
            mock.patch.object(LocalFolder, "write", moments.before(LocalFolder.write)),
            mock.patch.object(LocalFolder, "delete", moments.before(LocalFolder.delete)),
        ):
            try:
                forget(str(place), [GONE])
            except Ended:
                pass
            else:
                return moment - moments.left
        store = Store.open(place)
        assert len(read_corpus(store, ["row"])) in (20, 28)
        content(store)  # every vector, which is compared with its commit
        choose_frames(store, choice, "cpu", cluster)
        if moment == 0:
            forget(str(place), [GONE])  # nothing had been written
        run(made / "videos", place, cluster, block_rows=10)
        assert not traces(store, [GONE, "copy.mp4"], vectors), moment
        assert content(store)[0].equals(alone[0]), moment
        assert (content(store)[1] == alone[1]).all(), moment
        moment += every
