"""Frames chosen by their objects, from stores of given vectors, on workers and here."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch  # noqa: F401 - it starts processes when it is imported
from dask.distributed import LocalCluster

from coreframe.tasks.errors import UsageError
from coreframe.tasks.select.choice import Budget, Choice
from coreframe.tasks.select.local import choose_here
from coreframe.tasks.select.preferences import weights
from coreframe.tasks.select.result import Selection
from coreframe.tasks.select.task import choose_frames
from coreframe.tasks.store.objects import BOXES_SCHEMA, SCHEMA, Boxes, ObjectState, StoredObjects
from coreframe.tasks.store.store import Store
from tests.objects.textbook import Asked, frames_by_objects
from tests.stores import make_store, measures, walks

LENGTHS = [40, 7, 60]
UNDECODABLE, COPY, FLAT, BARE = (5,), {50: 12}, (20, 21), (0, 9, 44, 90)
"""Rows without a frame, with another's pixels, that show nothing, and without an object."""


def give_objects(
    store: Store, rows: np.ndarray, vectors: np.ndarray, small: tuple[int, ...] = ()
) -> None:
    """Commit objects in rows, in that order; some are too small to be embedded."""
    objects, count = StoredObjects(store), len(rows)
    ok = ~np.isin(np.arange(count), small)
    table = pa.table(
        {
            "object": np.arange(count),
            "row": rows,
            **{name: np.full(count, 20.0) for name in ("x", "y", "width", "height")},
            "label": ["car"] * count,
            "score": np.full(count, np.nan),
            "state": np.where(ok, ObjectState.OK, ObjectState.SMALL),
        }
    ).cast(SCHEMA)
    objects.write_boxes(Boxes(table.select(BOXES_SCHEMA.names), count, count))
    vectors = np.where(ok[:, None], vectors, 0).astype(np.int16)
    for start in range(0, count, store.block_rows):
        some = slice(start, start + store.block_rows)
        own = table.slice(start, store.block_rows)
        objects.commit(start // store.block_rows, vectors[some], own)


class Corpus:
    """A store with objects, and what is true of it."""

    def __init__(self, folder: Path, block_rows: int = 16) -> None:
        count, rng = sum(LENGTHS), np.random.default_rng(8)
        self.store = make_store(
            folder,
            walks(count, 24, seed=3),
            LENGTHS,
            block_rows=block_rows,
            undecodable=UNDECODABLE,
            copies=COPY,
            flat=FLAT,
        )
        with_any = np.setdiff1d(np.arange(count), [*BARE, *UNDECODABLE])
        first, second = (np.sort(rng.choice(with_any, 150)) for _ in range(2))  # as of two files
        self.row = np.concatenate([first, second])
        self.vectors = walks(len(self.row), 24, seed=5)
        self.small = (3, 170)
        give_objects(self.store, self.row, self.vectors, self.small)
        self.video = np.repeat(np.arange(3), LENGTHS)

    def asked(self, n: int, closed: np.ndarray | None = None, **options: Any) -> tuple[Any, Asked]:
        """Numbers of the objects that may be picked, and the question to the textbook."""
        can = ~np.isin(self.row, [*FLAT, *COPY])
        can[list(self.small)] = False
        if closed is not None:
            can &= ~np.isin(self.row, closed)
        numbers = np.flatnonzero(can)
        return numbers, Asked(n, self.row[numbers], **options)

    def expect(self, selection: Selection, numbers: np.ndarray, asked: Asked) -> None:
        expected = frames_by_objects(self.vectors[numbers], asked)
        picked = numbers[expected["objects"]]
        assert selection.frames["object"].tolist() == picked.tolist()
        assert selection.frames["row"].tolist() == self.row[picked].tolist()
        assert selection.frames["center_row"].tolist() == self.row[picked].tolist()
        for name in ("distance", "radius"):
            l2 = np.sqrt(np.array(expected[name], np.float64)) / 4000
            l2[:1] = np.nan if name == "distance" else l2[:1]
            assert np.array_equal(selection.frames[name], l2, equal_nan=True), name
        assert selection.frames["lower_bound"].isna().all()


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return Corpus(tmp_path_factory.mktemp("choosing") / "store")


@pytest.fixture(scope="module", params=[1, 3])
def any_cluster(request: pytest.FixtureRequest) -> Iterator[str]:
    with LocalCluster(
        n_workers=request.param, threads_per_worker=1, processes=False, dashboard_address=None
    ) as local:
        yield local.scheduler_address


def by_objects(n: int | None = None, **options: Any) -> Choice:
    budget = Budget(n, **{k: options.pop(k) for k in ("min_distance", "radius") if k in options})
    return Choice(budget=budget, objects=True, **options)


def test_the_picks_are_the_textbooks(corpus: Corpus, any_cluster: str) -> None:
    selection = choose_frames(corpus.store, by_objects(25), "cpu", any_cluster)
    corpus.expect(selection, *corpus.asked(25))
    assert selection.units.empty == len(
        set(range(sum(LENGTHS))) - {*UNDECODABLE, *COPY, *FLAT} - set(corpus.row.tolist())
    )


@pytest.mark.parametrize("block_rows", [1, 5, 1024])
def test_blocks_of_any_size_and_a_notebook(block_rows: int, tmp_path: Path) -> None:
    corpus = Corpus(tmp_path / "store", block_rows)
    corpus.expect(choose_here(corpus.store, by_objects(25)), *corpus.asked(25))


def test_all_there_are(corpus: Corpus, cluster: str) -> None:
    selection = choose_frames(corpus.store, by_objects(999), "cpu", cluster)
    numbers, asked = corpus.asked(999)
    corpus.expect(selection, numbers, asked)
    assert len(selection.frames) == len(set(asked.frame.tolist()))
    assert selection.stopped_by == "exhausted"
    assert selection.frames["radius"].iloc[-1] == 0


def test_radius_and_distance(corpus: Corpus, cluster: str) -> None:
    selection = choose_frames(corpus.store, by_objects(radius=0.2), "cpu", cluster)
    assert selection.stopped_by == "radius"
    corpus.expect(selection, *corpus.asked(999, radius=int(0.2**2 * 4000**2)))
    apart = choose_frames(corpus.store, by_objects(min_distance=0.2), "cpu", cluster)
    assert apart.stopped_by == "min_distance"
    assert (apart.frames["distance"].iloc[1:] >= 0.2).all()


def test_limits_and_preferences_are_those_of_frames(corpus: Corpus, cluster: str) -> None:
    luminance, sharpness = measures(sum(LENGTHS))
    closed = np.flatnonzero(luminance < np.float32(0.3))
    numbers, asked = corpus.asked(20, closed)
    choice = by_objects(20, minimum={"luminance": 0.3}, prefer_sharp=0.5)
    rows = np.unique(corpus.row[numbers])
    quality = sharpness.astype(np.float64)
    eligible = np.isin(np.arange(sum(LENGTHS)), rows)
    asked.weight = weights([(quality, 0.5)], eligible)[asked.frame]
    corpus.expect(choose_frames(corpus.store, choice, "cpu", cluster), numbers, asked)


@pytest.mark.parametrize(("least", "most"), [(0, 4), (3, None), (2, 6)])
def test_shares_of_videos_count_frames(
    least: int, most: int | None, corpus: Corpus, cluster: str
) -> None:
    numbers, asked = corpus.asked(15, least=least, most=most)
    asked.video = corpus.video[asked.frame]
    choice = by_objects(15, min_per_video=least, max_per_video=most)
    corpus.expect(choose_frames(corpus.store, choice, "cpu", cluster), numbers, asked)


@pytest.mark.parametrize(
    "options",
    [
        {"sequence_length": 2},
        {"sharpest_within": 0.1},
        {"preselected": "x.csv"},
        {"name": "nightly"},
        {"method": "random"},
        {"method": "fixed-rate"},
    ],
    ids=str,
)
def test_what_does_not_go_with_objects_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="objects"):
        Choice(budget=Budget(5), objects=True, **options)


def test_a_store_without_objects_says_how_to_get_some(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store", walks(10, 8, seed=1), [10])
    with pytest.raises(UsageError, match="has no objects to choose by: give it some"):
        choose_here(store, by_objects(5))
    give_objects(store, np.array([1]), walks(20, 8, seed=2)[:1])
    with pytest.raises(UsageError, match="none of the 10 frames is within"):
        choose_here(store, by_objects(5, minimum={"luminance": 2.0}))
