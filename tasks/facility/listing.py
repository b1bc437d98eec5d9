"""Candidates whose gains are always known, since partitions list the pairs that make them up."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from coreframe.tasks.facility.field import Field
from coreframe.tasks.facility.listed import MOST_LISTED
from coreframe.tasks.facility.standing import Report

PAIRS = 80
"""Pairs of a unit that are listed on average: four bytes each, and as many while lists grow."""

LEAST_PAIRS = 2**21
"""Pairs of all units that may always be listed."""

SAMPLE = 16
"""Candidates by which the number of pairs is guessed."""

DEEP = 4
"""Candidates are listed whose bound is one so-manieth of the best at least: the best to come."""

SHALLOW = 1.05
"""Nothing is listed where the pairs of fewer than these would be too many."""

EVERY = 16
"""It is tried again after one more pick of so many."""


class Listing:
    """Some candidates, and what each would bring.

    Attributes:
        places: (c,) int64 ascending.
        gain: (c,) int64, true as of the reports taken into account.
    """

    def __init__(self, places: NDArray[np.int64]) -> None:
        """Begin with candidates, whose gains the next reports tell."""
        self.places, self.gain = places, np.zeros(len(places), np.int64)

    def begin(self, reports: Sequence[Report]) -> None:
        """Take first reports into account."""
        self._add(reports, 1)

    def lessen(self, reports: Sequence[Report]) -> None:
        """Take into account reports after more centers."""
        self._add(reports, -1)

    def _add(self, reports: Sequence[Report], sign: int) -> None:
        for report in reports:
            if report.listed is not None:
                self.gain[report.listed.candidate] += sign * report.listed.amount


def worth_listing(
    field: Field, can: NDArray[np.bool_], bounds: NDArray[np.int64], known: int
) -> NDArray[np.int64]:
    """(c,) ascending candidates whose pairs are to be listed: the best, as many as may be.

    Args:
        field: the corpus.
        can: (u,) which units may be candidates.
        bounds: (u,) what each brings at most.
        known: what one of them brings.
    """
    bound = np.where(can, bounds, -1)
    places = np.flatnonzero(can & (bound >= known // DEEP))
    sample = places[:: max(1, -(-len(places) // SAMPLE))]
    pairs = field.count_pairs(sample) / len(sample)
    most = int(max(LEAST_PAIRS, PAIRS * len(bound)) / max(1, pairs))
    most = min(most, MOST_LISTED)
    if most < len(places):
        cut = -np.partition(-bound[places], most)[most]
        if cut * SHALLOW > known:
            return places[:0]
        places = places[bound[places] > cut]
    return places
