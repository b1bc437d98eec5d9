"""How much frames are like a wish, against plain NumPy, however it is computed."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coreframe.flows.cluster import open_cluster
from coreframe.flows.parameters import Compute
from coreframe.tasks.query.nearest import best_apart
from coreframe.tasks.query.on_dask import scores_on
from coreframe.tasks.query.scores import scores_here, similarity
from coreframe.tasks.query.vectors import Wish
from tests.stores import make_store, walks

LENGTHS = [200, 37, 160, 3, 100]


def plain(vectors: np.ndarray, wish: Wish) -> np.ndarray:
    """The definition, in Python's integers."""
    found = []
    for vector in vectors.astype(object):
        like = [int(vector @ one) for one in wish.like.astype(object)]
        unlike = [int(vector @ one) for one in wish.unlike.astype(object)]
        found.append(max(like, default=0) - max(unlike, default=0))
    return np.array(found, np.int64)


@st.composite
def wishes(draw: st.DrawFn, dim: int) -> Wish:
    counts = draw(st.integers(0, 3)), draw(st.integers(0, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    signed = draw(st.booleans())
    sides = []
    for count in counts:
        vectors = rng.normal(size=(count, dim)) if signed else rng.random((count, dim)) ** 8
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        sides.append(np.rint(vectors * 4000).astype(np.int16))
    return Wish(*sides)


@given(st.data(), st.integers(1, 24), st.sampled_from([1, 8, 64, 1201]))
def test_scores_are_exact(data: st.DataObject, count: int, dim: int) -> None:
    wish = data.draw(wishes(dim))
    vectors = data.draw(wishes(dim)).like
    vectors = np.concatenate([vectors, wish.like, wish.unlike, walks(count, dim, 1)])
    found = similarity(vectors, wish)
    assert found.dtype == np.int64
    assert np.array_equal(found, plain(vectors, wish))
    turned = similarity(vectors, Wish(wish.like[::-1], wish.unlike[::-1]))
    assert np.array_equal(found, turned), "the order of queries"


@pytest.mark.parametrize("block_rows", [1, 7, 64, 1000])
def test_scores_of_a_store_in_any_blocks(block_rows: int, tmp_path: Path) -> None:
    lattice = walks(sum(LENGTHS), 32, seed=3)
    store = make_store(tmp_path / "s", lattice, LENGTHS, block_rows=block_rows)
    wish = Wish(lattice[[3, 250]], lattice[[77]])
    rows = np.flatnonzero(np.arange(len(lattice)) % 5 != 2)
    expected = plain(lattice[rows], wish)
    for values_at_once in (1, 32 * 50, 2**22):
        assert np.array_equal(scores_here(store, rows, wish, values_at_once), expected)
    assert len(scores_here(store, rows[:0], wish)) == 0


@pytest.mark.integration
@pytest.mark.usefixtures("forked")
def test_one_worker_and_three_find_the_same(tmp_path: Path) -> None:
    lattice = walks(sum(LENGTHS), 32, seed=3)
    rows = np.flatnonzero(np.arange(len(lattice)) % 5 != 2)
    wish = Wish(lattice[[3, 250]], lattice[[77]])
    for workers, block_rows in ((1, 64), (3, 10)):
        store = make_store(tmp_path / str(workers), lattice, LENGTHS, block_rows=block_rows)
        with open_cluster(Compute(workers=workers, device="cpu")) as cluster:
            for some in (rows, rows[:1]):
                found = scores_on(cluster)(store, some, wish)
                assert np.array_equal(found, plain(lattice[some], wish))


@given(
    st.lists(
        st.tuples(st.integers(-3, 3), st.integers(0, 2), st.integers(0, 30)),
        min_size=1,
        max_size=40,
    ),
    st.integers(1, 10),
    st.integers(0, 12),
)
def test_the_best_are_apart(frames: list[tuple[int, int, int]], n: int, apart: int) -> None:
    score, video, time = np.array(frames).T
    found = best_apart(score, video.astype(np.int32), time / 4, n, apart / 4)
    expected: list[int] = []
    for place in sorted(range(len(frames)), key=lambda place: (-score[place], place)):
        near = [
            other
            for other in expected
            if video[other] == video[place] and abs(time[other] - time[place]) < apart
        ]
        if not near and len(expected) < n:
            expected.append(place)
    assert found.tolist() == expected
