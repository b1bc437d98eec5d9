from fractions import Fraction

import pytest

from tasks.errors import UsageError
from tasks.lattice import SCALE, squared_threshold
from tasks.selection.choice import Budget, Choice


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
