from fractions import Fraction
from typing import Any

import pytest

from coreframe.tasks.errors import UsageError
from coreframe.tasks.scale import SCALE, squared_threshold
from coreframe.tasks.select.balance import Balance
from coreframe.tasks.select.choice import SHARPEST_WITHIN, Budget, Choice


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
        {"radius": -0.1},
        {"radius": 2.1},
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


SENSELESS: dict[str, tuple[dict[str, Any], str]] = {
    "radius at random": (
        {"method": "random", "budget": Budget(radius=0.3)},
        "radius works with the coreset method only",
    ),
    "weights at a fixed rate": (
        {"method": "fixed-rate", "prefer_sharp": 0.3},
        "prefer-sharp works with the coreset method only",
    ),
    "exchanges at random": (
        {"method": "random", "sharpest_within": 0.1},
        "sharpest-within works with the coreset method only",
    ),
    "exchanges farther than there is": (
        {"sharpest_within": 2.5},
        "sharpest-within 2.5 is not from 0 to 2",
    ),
    "floor at random": (
        {"method": "random", "min_per_video": 1},
        "min-per-video works with the coreset and facility-location methods only",
    ),
    "cap at random": (
        {"method": "random", "max_per_video": 1},
        "max-per-video works with the coreset and facility-location methods only",
    ),
    "preselected at random": (
        {"method": "random", "preselected": "a.csv"},
        "preselected works with the coreset and facility-location methods only",
    ),
    "name at random": (
        {"method": "random", "name": "a"},
        "name works with the coreset method only",
    ),
    "radius of the mean gap": (
        {"method": "facility-location", "budget": Budget(radius=0.3)},
        "radius works with the coreset method only: .* for facility-location",
    ),
    "weights of the mean gap": (
        {"method": "facility-location", "prefer_sharp": 0.3},
        "prefer-sharp works with the coreset method only",
    ),
    "exchanges of the mean gap": (
        {"method": "facility-location", "sharpest_within": 0.1},
        "sharpest-within works with the coreset method only",
    ),
    "name of the mean gap": (
        {"method": "facility-location", "name": "a"},
        "name works with the coreset method only",
    ),
    "counting nothing": (
        {"count_preselected": True},
        "count-preselected .* preselected: give both",
    ),
    "dropping from nothing": (
        {"drop_gone": True},
        "drop-gone drops frames from a kept selection: give its name",
    ),
    "preselected sequences": (
        {"preselected": "a.csv", "sequence_length": 4},
        "preselected names frames, .* leave one of them out",
    ),
    "less than a sequence": (
        {"sequence_length": 16, "budget": Budget(n_samples=9)},
        "n-samples 9 is less than one sequence of 16",
    ),
    "cap below a sequence": (
        {"sequence_length": 16, "max_per_video": 9},
        "max-per-video 9 is less than one sequence of 16",
    ),
    "floor above cap": (
        {"min_per_video": 5, "max_per_video": 4},
        "max-per-video 4 is less than min-per-video 5",
    ),
    "limits that exclude each other": (
        {"minimum": {"luminance": 0.5}, "maximum": {"luminance": 0.25}},
        "min luminance=0.5 is above max luminance=0.25",
    ),
    "strength of none": ({"prefer": {"conf": 0.0}}, "prefer conf:0 is not from -1 to 1, or 0"),
    "strength beyond -1": ({"prefer": {"conf": -1.5}}, "prefer conf:-1.5 is not from -1 to 1"),
    "twice sharp": ({"prefer": {"sharpness": 0.1}, "prefer_sharp": 0.1}, "are the same"),
    "twice balanced": ({"balance": (Balance("a"), Balance("a"))}, "balance a is given twice"),
    "no number to share": (
        {"balance": (Balance("a"),), "budget": Budget(radius=0.3)},
        "balance shares out a number of frames",
    ),
    "preferred at random": ({"prefer": {"a": 0.1}, "method": "random"}, "prefer works with"),
    "balanced at random": (
        {"balance": (Balance("a"),), "method": "random", "budget": Budget(5)},
        "balance works with the coreset and facility-location methods only",
    ),
    "all are outliers": ({"skip_outliers": 1.0}, "skip-outliers 1.0 is not from 0 to below 1"),
    "fewer than none": ({"skip_outliers": -0.1}, "skip-outliers -0.1 is not from 0"),
    "no neighbour": ({"skip_outliers": 0.1, "neighbours": 0}, "neighbours 0 is not at least 1"),
    "neighbours of nothing": ({"neighbours": 5}, "neighbours says .* ask for skip-outliers"),
    "strength beyond 1": ({"prefer_sharp": 1.5}, "prefer-sharp 1.5 is not from 0 to 1"),
    "no sequence": ({"sequence_length": 0}, "sequence-length 0 is not at least 1"),
    "negative floor": ({"min_per_video": -1}, "min-per-video -1 is below 0"),
    "no frame of any video": ({"max_per_video": 0}, "max-per-video 0 is less than one frame"),
}


@pytest.mark.parametrize("case", SENSELESS)
def test_senseless_wishes_are_refused_in_a_sentence(case: str) -> None:
    options, message = SENSELESS[case]
    with pytest.raises(UsageError, match=message):
        Choice(**options)


@pytest.mark.parametrize(
    ("options", "within"),
    [
        ({}, SHARPEST_WITHIN),
        ({"name": "a", "min_per_video": 2}, SHARPEST_WITHIN),
        ({"method": "random"}, 0.0),
        ({"budget": Budget(radius=0.3)}, 0.0),
        ({"sequence_length": 4}, 0.0),
        ({"prefer_sharp": 0.5}, 0.0),
    ],
)
def test_picks_are_exchanged_where_it_is_usual(options: dict[str, Any], within: float) -> None:
    assert Choice(sharpest_within=None, **options).sharpest_within == within
    assert Choice(**options).sharpest_within == 0.0
    if "method" not in options:
        assert Choice(sharpest_within=0.2, **options).sharpest_within == 0.2


def test_a_radius_below_the_min_distance_is_refused() -> None:
    with pytest.raises(UsageError, match=r"min-distance 0\.5 is larger than radius 0\.3"):
        Budget(min_distance=0.5, radius=0.3)


def test_squared_radius_is_the_largest_integer_within() -> None:
    for radius in (0.0, 1e-6, 1 / 3, 0.1, 2.0):
        squared = Budget(radius=radius).squared_radius
        assert squared is not None
        assert squared <= Fraction(radius) ** 2 * SCALE**2 < squared + 1
