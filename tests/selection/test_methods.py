from fractions import Fraction

import numpy as np
import pytest

from tasks.errors import UsageError
from tasks.lattice import SCALE, squared_threshold
from tasks.selection import methods
from tasks.selection.methods import (
    Budget,
    Choice,
    distances_in_order,
    fixed_rate_rows,
    keep_apart,
    random_rows,
)


@pytest.mark.parametrize(
    ("budget", "frames"),
    [
        (Budget(n_samples=7), 7),
        (Budget(n_samples=700), 700),
        (Budget(proportion=0.1), 20),
        (Budget(proportion=0.001), 1),
        (Budget(proportion=0.29), 58),
        (Budget(n_samples=30, proportion=0.1), 20),
        (Budget(n_samples=5, proportion=0.1), 5),
        (Budget(min_distance=0.5), None),
    ],
)
def test_budgets_combine_to_the_smallest(budget: Budget, frames: int | None) -> None:
    assert budget.asked(200) == frames


def test_a_proportion_is_the_number_that_was_written() -> None:
    for percent in range(1, 101):
        assert Budget(proportion=percent / 100).asked(100) == percent


@pytest.mark.parametrize(
    "wrong",
    [
        {"n_samples": 0},
        {"n_samples": -3},
        {"proportion": 0.0},
        {"proportion": 1.5},
        {"min_distance": -0.1},
        {"min_distance": 2.5},
    ],
)
def test_impossible_budgets_are_refused_with_their_value(wrong: dict[str, float]) -> None:
    (value,) = wrong.values()
    with pytest.raises(UsageError, match=str(value)):
        Budget(**wrong)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="unknown method"):
        Choice("clever")


@pytest.mark.parametrize("distance", [0.0, 1e-6, 1 / 3, 0.1, 2.0])
def test_threshold_is_the_least_integer_that_keeps_the_distance(distance: float) -> None:
    threshold = squared_threshold(distance)
    exact = Fraction(distance) ** 2 * SCALE**2
    assert threshold >= exact
    assert threshold == 0 or threshold - 1 < exact


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
def test_kept_apart_holds_for_every_pair_and_nothing_more_fits(
    tile: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(methods, "KEEP_TILE", tile)
    rng = np.random.default_rng(1)
    vectors = rng.integers(-2000, 2000, (200, 3)).astype(np.int16)
    threshold = squared_threshold(0.25)
    rows = rng.permutation(200)
    kept = keep_apart(rows, lambda some: vectors[some], threshold, 200)
    wide = vectors.astype(np.int64)
    squared = ((wide[:, None] - wide[None, kept]) ** 2).sum(axis=2)
    assert squared[kept][~np.eye(len(kept), dtype=bool)].min() >= threshold
    assert (squared.min(axis=1) < threshold).all()
    assert 2 < len(kept) < 200
    assert keep_apart(rows, lambda some: vectors[some], threshold, 5).tolist() == kept[:5].tolist()
