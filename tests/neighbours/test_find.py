"""Neighbours of a store's frames: any partitions, any order of nights, kept or found anew."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dask.distributed import Client, LocalCluster
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coreframe.tasks.kcenter.on_dask import DaskPartitions
from coreframe.tasks.neighbours.find import Work
from coreframe.tasks.neighbours.found import Neighbours
from coreframe.tasks.neighbours.sizes import Sizes
from coreframe.tasks.store.store import Store
from tests.neighbours.plain import SIZES, agrees, lattices, scenes, split
from tests.stores import make_store, walks

ROWS = 60


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("neighbours")


def store_of(folder: Path, vectors: np.ndarray, block_rows: int) -> Store:
    """A store of some vectors, written when they are met first."""
    name = f"{hash((vectors.tobytes(), block_rows))}"
    return make_store(folder / name, vectors, [len(vectors)], block_rows=block_rows)


@given(
    vectors=lattices(ROWS),
    k=st.integers(1, 7),
    sizes=SIZES,
    block_rows=st.integers(1, 70),
    parts=st.integers(1, 4),
)
@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow])
def test_any_partitions_and_blocks_find_the_same(
    folder: Path, vectors: np.ndarray, k: int, sizes: Sizes, block_rows: int, parts: int
) -> None:
    store, rows = store_of(folder, vectors, block_rows), np.arange(len(vectors))
    told: list[int] = []
    todo = Work(rows, rows.astype(np.uint64), Neighbours.nothing(k))
    found = todo.done(store, split(parts), told.append, sizes)
    agrees(found, vectors, rows, k)
    assert sum(told) == todo.rows == len(rows)


@given(vectors=lattices(ROWS), k=st.integers(1, 5), sizes=SIZES, data=st.data())
@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_comes_and_goes_it_is_what_all_anew_would_give(
    folder: Path, vectors: np.ndarray, k: int, sizes: Sizes, data: st.DataObject
) -> None:
    store = store_of(folder, vectors, 16)
    every = np.arange(len(vectors))
    digests = every.astype(np.uint64)
    known = Neighbours.nothing(k)
    some = st.lists(st.sampled_from(every.tolist()), min_size=1, unique=True)
    for _ in range(3):
        rows = np.sort(np.array(data.draw(some)))
        changed = data.draw(some)
        digests = digests.copy()
        digests[changed] += np.uint64(1000)  # other frames, which happen to look the same
        known = Work(rows, digests[rows], known).done(store, split(2), sizes=sizes)
        agrees(known, vectors, rows, k)
        assert np.array_equal(known.digests, digests[rows])
        if data.draw(st.booleans()):  # forgotten meanwhile
            known = known.without(np.array(data.draw(some)))


def test_little_is_looked_at_again(folder: Path) -> None:
    vectors = scenes(4, 100, 32, 0)
    store, digests = store_of(folder, vectors, 32), np.arange(400, dtype=np.uint64)
    rows = np.arange(300)
    before = Work(rows, digests[:300], Neighbours.nothing(4)).done(store, split(2))
    same = Work(rows, digests[:300], before)
    assert (same.rows, len(same.anew), len(same.new)) == (0, 0, 0)
    grown = Work(np.arange(400), digests, before)
    assert (grown.rows, len(grown.anew), len(grown.new)) == (400, 100, 100)
    gone = Work(np.arange(100, 300), digests[100:300], before)
    assert (gone.rows, len(gone.anew), len(gone.new)) == (0, 0, 0)  # no scene resembles another
    other = Work(rows, np.where(rows == 7, 999, digests[:300]).astype(np.uint64), before)
    assert other.new.tolist() == [7]  # another frame is in its place now
    assert 1 < len(other.anew) < 99
    fewer = Work(np.arange(50, 300), digests[50:300], before)
    assert 0 < len(fewer.anew) < 50
    assert len(fewer.new) == 0
    agrees(fewer.done(store, split(2)), vectors, np.arange(50, 300), 4)


@pytest.mark.integration
@pytest.mark.parametrize("workers", [1, 3])
def test_dask_workers_find_the_same(folder: Path, workers: int) -> None:
    vectors = walks(500, 16, 7)
    store, rows = store_of(folder, vectors, 64), np.arange(500)
    with (
        LocalCluster(
            n_workers=workers, threads_per_worker=1, processes=False, dashboard_address=None
        ) as local,
        Client(local) as client,
    ):

        def on_dask(store: Store, rows: np.ndarray, **units: Any) -> Any:
            return nullcontext(DaskPartitions(client, store, rows, device="cpu", **units))

        before = Work(rows[:400], rows[:400].astype(np.uint64), Neighbours.nothing(5))
        known = before.done(store, on_dask, sizes=Sizes(piece_rows=90))
        found = Work(rows[30:], rows[30:].astype(np.uint64), known).done(store, on_dask)
    agrees(known, vectors, rows[:400], 5)
    agrees(found, vectors, rows[30:], 5)
