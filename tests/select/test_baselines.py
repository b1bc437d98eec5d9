import numpy as np
import pytest

from coreframe.tasks.scale import SCALE, squared_threshold
from coreframe.tasks.select.baselines import (
    distances_in_order,
    fixed_rate_rows,
    keep_apart,
    random_rows,
)


@pytest.mark.parametrize(("rows", "n"), [(100, 1), (100, 7), (100, 100), (5, 4), (1, 1)])
def test_fixed_rate_is_distinct_and_even(rows: int, n: int) -> None:
    eligible = np.arange(rows) * 3
    chosen = fixed_rate_rows(eligible, n)
    assert len(np.unique(chosen)) == n
    assert np.isin(chosen, eligible).all()
    steps = np.diff(chosen) // 3
    assert n < 2 or steps.max() - steps.min() <= 1


def test_random_is_reproducible_and_its_prefixes_agree() -> None:
    eligible = np.arange(1000) * 2
    ten = random_rows(eligible, 10, seed=5)
    assert len(np.unique(ten)) == 10
    assert np.array_equal(random_rows(eligible, 500, seed=5)[:10], ten)
    assert not np.array_equal(random_rows(eligible, 10, seed=6), ten)


def test_distances_in_order_equal_numpy_in_tiles_too() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.integers(-1000, 1000, (3000, 6)).astype(np.int16)
    got = distances_in_order(vectors)
    wide = vectors / SCALE
    assert np.isnan(got[0])
    for place in (1, 2, 1500, 2999):
        nearest = np.linalg.norm(wide[:place] - wide[place], axis=1).min()
        assert got[place] == pytest.approx(nearest, abs=1e-12)


@pytest.mark.parametrize("tile", [1, 7, 1024])
def test_kept_apart_holds_for_every_pair_and_nothing_more_fits(tile: int) -> None:
    rng = np.random.default_rng(1)
    vectors = rng.integers(-2000, 2000, (200, 3)).astype(np.int16)
    threshold = squared_threshold(0.25)
    rows = rng.permutation(200)
    kept = keep_apart(rows, lambda some: vectors[some], threshold, 200, tile)
    wide = vectors.astype(np.int64)
    squared = ((wide[:, None] - wide[None, kept]) ** 2).sum(axis=2)
    assert squared[kept][~np.eye(len(kept), dtype=bool)].min() >= threshold
    assert (squared.min(axis=1) < threshold).all()
    assert 2 < len(kept) < 200
    assert (
        keep_apart(rows, lambda some: vectors[some], threshold, 5, tile).tolist()
        == kept[:5].tolist()
    )
