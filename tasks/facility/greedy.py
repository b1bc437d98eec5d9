"""Greedy facility location, exact, with few gains found anew."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from coreframe.tasks.facility.bounds import FIRST, Bounds
from coreframe.tasks.facility.field import Field, Gains
from coreframe.tasks.facility.gaps import NO_CENTER
from coreframe.tasks.facility.listing import EVERY, Listing, worth_listing
from coreframe.tasks.facility.openings import Openings
from coreframe.tasks.facility.standing import Asked, Report
from coreframe.tasks.kcenter.goal import Goal, PickedRows
from coreframe.tasks.kcenter.partitions import BasePartitions
from coreframe.tasks.kcenter.vectors import Source
from coreframe.tasks.scale import to_l2


def facility_location(
    corpus: BasePartitions,
    source: Source,
    goal: Goal,
    advance: Callable[[int], None] = lambda _: None,
) -> PickedRows:
    """Pick rows one by one, each that by which the mean gap falls most.

    The gap of a row is its distance to the nearest center, in whole lattice units (see `gaps`), so
    every gain is an exact integer however the rows are split. Ties go to the lower row. The first
    pick is the medoid: the row nearest to all others on average. By how much the sum of gaps falls
    is a submodular function of the picks, so that of k picks is at least 1 - 1/e of the best
    possible one (Nemhauser, Wolsey and Fisher 1978, "An analysis of approximations for maximizing
    submodular set functions"), counted from the first pick on.

    A gain only ever becomes less. So one found earlier is an upper bound, and only rows with the
    highest bounds are looked at again (Minoux 1978, "Accelerated greedy algorithms for maximizing
    submodular set functions"): see `bounds`. All are found once, in `all_pairs`: since for that
    the first pick must be known, it is guessed, and the same pass tells whether the guess is right.

    Rows that gain nothing are exact duplicates of centers. They come last, the lower first.

    Args:
        corpus: the rows, with any centers that exist before already assigned; without weights.
        source: reads the vectors of any of them, by their places among all.
        goal: when to stop; without a radius and substitutes.
        advance: called with every number of picks just taken into account.
    """
    search = _Search(Field(corpus, source), goal, advance)
    while len(search.picked) < goal.n:
        if not search.pick() and not search.openings.stop_filling():
            break
    return search.picks()


class _Search:
    """What has been picked, and what is known of the rest."""

    def __init__(self, field: Field, goal: Goal, advance: Callable[[int], None]) -> None:
        """Find every gain once, and with no center yet the first pick."""
        self._field, self._goal, self._advance = field, goal, advance
        self._reports = field.report()
        self._before = _highest_curve(self._reports)
        self.picked: list[int] = []
        self._squared: list[int] = []
        self._radius: list[int] = []
        self._pending: dict[int, NDArray[np.int16]] = {}  # picks that partitions do not know of
        self._at_hand: dict[int, tuple[NDArray[np.int16], int]] = {}
        """Candidates whose gains are known: vectors, and squared distances to a center."""
        self._passes = self._formed = 0
        self._listing: Listing | None = None
        self._list_after = 0  # picks
        self._first_alone = False
        self._bounds = Bounds(np.zeros((len(field), 0), np.int32), np.zeros(0, np.int64))
        state = field.state()
        self.openings = Openings(goal, field.rows, state.open)
        self.openings.close(np.flatnonzero(state.squared < goal.squared_min_distance))
        if not self.openings.now().any():  # centers may be all that each video should have
            self.openings.stop_filling()
        if goal.n > 0 and self.openings.now().any():
            self._begin(state.gap)

    def _begin(self, gap: NDArray[np.int16]) -> None:
        """Find every gain, given the (u,) gaps."""
        self._first_alone = bool((gap == NO_CENTER).any())
        if not self._first_alone:
            self._bounds = Bounds(self._gains(gap).gain, _gap_sums(self._reports))
            return
        first = self._field.central()
        self._passes += 3  # of which two are for the guess: near a sample, and near all
        gap = self._field.gaps_to(first)
        found = self._gains(gap)
        far = np.iinfo(found.distances.dtype).max
        medoid = int(np.argmin(np.where(self.openings.now(), found.distances, far)))
        if medoid != first:
            self._passes += 1
            gap = self._field.gaps_to(medoid)
            found = self._gains(gap)
        vectors, squared = self._field.look(np.array([medoid]))
        self._note_pick(medoid, vectors[0], int(squared[0]))
        self._tell()
        self._bounds = Bounds(found.gain, _gap_sums(self._reports), portions=1)

    def _gains(self, gap: NDArray[np.int16]) -> Gains:
        found = self._field.gains(gap)
        self._passes += 1
        self._formed += found.formed
        return found

    def pick(self) -> bool:
        """Make the next pick; False when no row may be picked."""
        while True:
            if self._listing is not None:
                self._tell()
            can = self.openings.now()
            best = self._bounds.best(can)
            if best is None:
                return False
            if best in self._at_hand:
                self._take(best)
                return True
            self._tell()
            if self._bounds.sure[best]:
                self._keep(*self._look(self._bounds.equals(best, can)))
            elif not self._list(can):
                self._refresh(self._bounds.batch(can))

    def _list(self, can: NDArray[np.bool_]) -> bool:
        """List the pairs of the candidates that may be the next picks, if they are few enough."""
        known = self._bounds.best(can & self._bounds.sure)
        if known is None or len(self.picked) < self._list_after:
            return False
        self._list_after = len(self.picked) + len(self.picked) // EVERY + 1
        gain = int(self._bounds.total[known])
        places = worth_listing(self._field, can, self._bounds.total, gain)
        if len(places) == 0:
            return False
        self._field.list_pairs(places)
        self._passes += 2
        self._reports = self._field.report()
        self._listing = Listing(places)
        self._listing.begin(self._reports)
        self._bounds.list(self._listing.places, self._listing.gain)
        self._formed += sum(report.listed_formed for report in self._reports)
        return True

    def _refresh(self, asked: NDArray[np.int64]) -> None:
        """Find gains anew."""
        places, vectors, squared = self._look(asked)
        if len(places) == 0:
            return
        bounds = self._bounds
        since = bounds.since(places)
        gain, answers = self._field.evaluate(Asked(vectors, since), bounds.gain[places])
        self._passes += 1
        self._formed += sum(answer.distances_formed for answer in answers)
        bounds.note(places, since, gain)
        known = bounds.fresh[places]
        places, vectors, squared = places[known], vectors[known], squared[known]
        best = np.lexsort((places, -bounds.total[places]))[:FIRST]
        self._keep(places[best], vectors[best], squared[best])

    def _look(
        self, places: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int16], NDArray[np.int64]]:
        """Those of some units that are not too near to a center, their vectors and distances."""
        vectors, squared = self._field.look(places)
        far = squared >= self._goal.squared_min_distance
        self.openings.close(places[~far])
        return places[far], vectors[far], squared[far]

    def _keep(
        self, places: NDArray[np.int64], vectors: NDArray[np.int16], squared: NDArray[np.int64]
    ) -> None:
        """Keep at hand units whose gains are known."""
        self._at_hand |= {
            place: (vector, apart)
            for place, vector, apart in zip(places.tolist(), vectors, squared.tolist(), strict=True)
        }

    def _take(self, place: int) -> None:
        """Pick a unit that is at hand, and keep there those still known to gain what they did."""
        self._bounds.take(place)
        vector, squared = self._at_hand.pop(place)
        self._note_pick(place, vector, squared)
        left = {other: self._at_hand[other] for other in self._at_hand if self._bounds.fresh[other]}
        self._at_hand = {}
        if left:
            places, vectors = np.array(list(left)), np.stack([one for one, _ in left.values()])
            apart = np.square(vectors.astype(np.int64) - vector).sum(axis=1)
            apart = np.minimum(apart, [before for _, before in left.values()])
            far = apart >= self._goal.squared_min_distance
            self.openings.close(places[~far])
            self._keep(places[far], vectors[far], apart[far])

    def _note_pick(self, place: int, vector: NDArray[np.int16], squared: int) -> None:
        self.picked.append(place)
        self._squared.append(squared)
        self._pending[place] = vector
        self.openings.take(place)

    def _tell(self) -> None:
        """Let partitions know of the picks that they do not know of."""
        if not self._pending:
            return
        self._field.take(list(self._pending), list(self._pending.values()))
        self._reports = self._field.report()
        self._radius += _highest_curve(self._reports).tolist()
        self._bounds.note_portion(_gap_sums(self._reports))
        if self._listing is not None:
            self._listing.lessen(self._reports)
            self._bounds.list(self._listing.places, self._listing.gain)
        self._advance(len(self._pending))
        self._pending = {}
        self._passes += 1

    def picks(self) -> PickedRows:
        """The selection."""
        self._tell()
        distance = to_l2(np.array(self._squared, np.int64))
        if self._first_alone:
            distance[0] = np.nan
        rows = self._field.rows[np.array(self.picked, np.int64)]
        formed = sum(report.distances_formed for report in self._reports)
        rough = sum(report.rough_distances_formed for report in self._reports)
        return PickedRows(
            rows=rows,
            center_rows=rows,
            distance=distance,
            radius=to_l2(np.array(self._radius, np.int64)),
            lower_bound=np.full(len(rows), np.nan),
            radius_before=to_l2(self._before),
            stopped_by=self.openings.stopped_by(len(rows)),
            passes=self._passes,
            distances_formed=self._formed + formed,
            rough_distances_formed=rough,
        )


def _highest_curve(reports: Sequence[Report]) -> NDArray[np.int32]:
    """(m,) squared covering radius after each of the centers that partitions last took up."""
    curves = [report.curve for report in reports if report.curve is not None]
    return np.max(curves, axis=0) if curves else np.empty(0, np.int32)


def _gap_sums(reports: Sequence[Report]) -> NDArray[np.int64]:
    """(s,) sums of the gaps in each stretch."""
    return np.concatenate([report.gap for report in reports])
