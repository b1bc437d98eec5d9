import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coreframe.tasks.measure.pairwise import PairStatistics, pairs_within, sample_places, strips


def unit_lattice(rows: int, dim: int, seed: int) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(rows, dim))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.rint(vectors * 4000).astype(np.int16)


def plain(vectors: np.ndarray) -> dict[str, float]:
    wide = vectors.astype(np.float64) / 4000
    distance = np.linalg.norm(wide[:, None] - wide[None], axis=2)
    distance = distance[np.triu_indices(len(wide), 1)]
    p10, p90 = np.percentile(distance, [10, 90])
    names = ("l2_mean", "l2_min", "l2_max", "l2_p10", "l2_p90")
    values = (distance.mean(), distance.min(), distance.max(), p10, p90)
    return dict(zip(names, map(float, values), strict=True))


@given(
    rows=st.integers(2, 60),
    dim=st.integers(2, 12),
    parts=st.integers(1, 7),
    tile=st.integers(1, 70),
    copies=st.integers(0, 3),
    seed=st.integers(0, 99),
)
def test_equals_numpy_for_any_tiles_and_strips(
    rows: int, dim: int, parts: int, tile: int, copies: int, seed: int
) -> None:
    vectors = unit_lattice(rows, dim, seed)
    vectors = np.concatenate([vectors, vectors[:copies]])
    total = PairStatistics.empty()
    for start, stop in strips(len(vectors), parts):
        total = total.merge(pairs_within(vectors, start, stop, tile))
    assert total.pairs == len(vectors) * (len(vectors) - 1) // 2
    assert total.summary() == pytest.approx(plain(vectors), abs=1e-5)


def test_no_pair_has_no_statistics() -> None:
    assert set(pairs_within(unit_lattice(1, 4, 0), 0, 1).summary().values()) == {None}


@pytest.mark.parametrize(("n", "parts"), [(1, 4), (7, 3), (1000, 8), (20_000, 8)])
def test_strips_cover_everything_once_with_like_work(n: int, parts: int) -> None:
    edges = strips(n, parts)
    assert edges[0][0] == 0
    assert edges[-1][1] == n
    assert all(a[1] == b[0] for a, b in itertools.pairwise(edges))
    if n >= 1000:
        pairs = [sum(n - 1 - i for i in range(a, b)) for a, b in edges]
        assert max(pairs) < 1.1 * min(pairs)


def test_sampled_places_are_distinct_and_seeded() -> None:
    places = sample_places(10_000, 500, seed=3)
    assert len(np.unique(places)) == 500
    assert np.array_equal(places, sample_places(10_000, 500, seed=3))
    assert not np.array_equal(places, sample_places(10_000, 500, seed=4))
