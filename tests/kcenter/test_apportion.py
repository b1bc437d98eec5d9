"""Picks are shared out exactly."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from coreframe.tasks.kcenter.apportion import apportion

counts = st.integers(0, 12)


@given(
    st.integers(0, 60),
    st.lists(st.tuples(st.integers(0, 5), counts, counts), max_size=6),
)
def test_they_add_up_within_their_bounds(seats: int, classes: list[tuple[int, int, int]]) -> None:
    shares = [Fraction(share, 7) for share, _, _ in classes]
    least = [low for _, low, _ in classes]
    most = [low + more for _, low, more in classes]
    given_ = apportion(seats, shares, least, most)
    for one, low, high in zip(given_, least, most, strict=True):
        assert low <= one <= high
    if sum(given_) > seats:
        assert given_ == least
    if sum(given_) < seats:  # whoever has a share has all there is of it
        assert all(
            one == high for one, share, high in zip(given_, shares, most, strict=True) if share
        )


@given(st.integers(0, 60), st.lists(st.integers(1, 9), min_size=1, max_size=6))
def test_without_bounds_nobody_is_a_whole_one_off(seats: int, shares: list[int]) -> None:
    given_ = apportion(
        seats, [Fraction(one) for one in shares], [0] * len(shares), [99] * len(shares)
    )
    assert sum(given_) == seats
    for one, share in zip(given_, shares, strict=True):
        assert abs(one - Fraction(seats * share, sum(shares))) < 1


def test_of_equal_remainders_the_earlier_class_gets_one_more() -> None:
    third = [Fraction(1, 3)] * 3
    assert apportion(10, third, [0] * 3, [10] * 3) == [4, 3, 3]
    assert apportion(11, third, [0] * 3, [10] * 3) == [4, 4, 3]


def test_what_a_class_lacks_goes_to_the_others_in_the_same_way() -> None:
    assert apportion(12, [Fraction(1)] * 4, [0] * 4, [9, 1, 9, 9]) == [4, 1, 4, 3]
    assert apportion(12, [Fraction(6), Fraction(1), Fraction(1)], [0] * 3, [2, 9, 9]) == [2, 5, 5]


def test_who_has_more_than_its_share_keeps_it() -> None:
    assert apportion(12, [Fraction(1)] * 3, [8, 0, 0], [9] * 3) == [8, 2, 2]
