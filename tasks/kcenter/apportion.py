"""Sharing out a whole number of picks among classes."""

from collections.abc import Sequence
from fractions import Fraction


def apportion(
    seats: int, shares: Sequence[Fraction], least: Sequence[int], most: Sequence[int]
) -> list[int]:
    """Share out ``seats`` by largest remainder: exactly, and within bounds.

    Each class gets the whole part of its share, and those with the largest remainders one more
    (Hamilton's method); of equal remainders the earlier class does. Where that gives some less than
    their least or more than their most, these get that, and the rest is shared out anew among the
    others; where it gives both, first whichever of the two binds by more in all.

    Args:
        seats: how many.
        shares: of each class, not below 0; they need not add up to one.
        least: for each class.
        most: for each class, no less than its least.

    Returns:
        How many for each class. They add up to ``seats``, but where all that have a share have
        their most, or the least of all add up to more.
    """
    given = list(least)
    free, left = list(range(len(shares))), seats
    while free:
        found = _by_largest_remainder(max(0, left), [shares[one] for one in free])
        got = dict(zip(free, found, strict=True))
        bounded = {one: min(max(got[one], least[one]), most[one]) for one in free}
        above = sum(bounded.values()) - left
        if above > 0:
            bounded = {one: least[one] for one in free if got[one] <= least[one]}
        elif above < 0:
            bounded = {one: most[one] for one in free if got[one] >= most[one]}
        for one, rows in bounded.items():
            given[one] = rows
        if above == 0 or not bounded:
            break
        left -= sum(bounded.values())
        free = [one for one in free if one not in bounded]
    return given


def _by_largest_remainder(seats: int, shares: Sequence[Fraction]) -> list[int]:
    whole = sum(shares)
    if whole == 0:
        return [0] * len(shares)
    exact = [seats * share / whole for share in shares]
    given = [int(one) for one in exact]
    by_remainder = sorted(range(len(shares)), key=lambda one: given[one] - exact[one])
    for one in by_remainder[: seats - sum(given)]:
        given[one] += 1
    return given
