"""The corpus as facility location asks it, wherever its partitions are."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from coreframe.tasks.facility import all_pairs, standing
from coreframe.tasks.facility.all_pairs import Tiles
from coreframe.tasks.facility.gaps import SUMMED
from coreframe.tasks.facility.standing import Answer, Asked, Report, Standing, State
from coreframe.tasks.kcenter.partitions import BasePartitions
from coreframe.tasks.kcenter.vectors import Source

GUESSES = 1024
"""Units, near the others on average, of which the most central is guessed."""

STRETCHES = 16
"""Into which all units are cut, about. Of each unit it is kept what it would bring in each."""


class Gains(NamedTuple):
    """What all units would bring."""

    distances: NDArray[np.int64]
    """(u,) sums of the distances to all units, in whole lattice units."""
    gain: NDArray[np.int32]
    """(u, s) by how much the sum of the gaps in each stretch would fall."""
    formed: int
    """Distances formed."""


class Field:
    """All units of a corpus by their places, 0 to their number, whatever partitions have them."""

    def __init__(self, corpus: BasePartitions, source: Source) -> None:
        """Take over partitions, with any centers that they have.

        Args:
            corpus: the partitions; they are of no use to other engines afterwards.
            source: reads the vectors of any units, by their places.
        """
        self._corpus, self._source = corpus, source
        self._members = corpus.layout.members()
        self.rows = corpus.layout.rows
        self._length = max(1, -(-len(self.rows) // STRETCHES))
        sizes = [-(-len(own) // self._length) for own in self._members]
        self._first = np.cumsum([0, *sizes])  # the stretch with which each partition begins
        corpus.replace(Standing.of)

    def __len__(self) -> int:
        return len(self.rows)

    def state(self) -> State:
        """How all units stand."""
        answers: list[State] = self._corpus.ask(standing.state)
        order = np.argsort(np.concatenate(self._members))
        return State(
            np.concatenate([answer.open for answer in answers])[order],
            np.concatenate([answer.squared for answer in answers])[order],
            np.concatenate([answer.gap for answer in answers])[order],
        )

    def report(self) -> list[Report]:
        """How the partitions stand."""
        return self._corpus.ask(standing.report, self._length)

    def take(self, places: Sequence[int], vectors: Sequence[NDArray[np.int16]]) -> None:
        """Let the partitions take new centers into account, in this order."""
        centers = self.rows[np.array(places)], np.stack(vectors)
        self._corpus.replace(standing.take, self._corpus.hold(centers))

    def look(self, places: NDArray[np.int64]) -> tuple[NDArray[np.int16], NDArray[np.int64]]:
        """(k, dim) lattice of k units in any order, and their squared distances to a center."""
        order = np.argsort(places)
        owned = self._corpus.layout.owned(self.rows[places[order]])
        some = [number for number, own in enumerate(owned) if len(own)]
        each = [self.rows[places[order[owned[number]]]] for number in some]
        vectors = np.empty((len(places), self._corpus.dim), np.int16)
        squared = np.empty(len(places), np.int64)
        answers = self._corpus.ask(standing.look, each=each, some=some)
        for number, (own_vectors, own_squared) in zip(some, answers, strict=True):
            at = order[owned[number]]
            vectors[at], squared[at] = own_vectors, own_squared
        return vectors, squared

    @property
    def stretches(self) -> int:
        """Into how many all units are cut."""
        return int(self._first[-1])

    def evaluate(
        self, asked: Asked, gain: NDArray[np.int32]
    ) -> tuple[NDArray[np.int32], list[Answer]]:
        """(b, s) what candidates would bring in each stretch, given what they would have once."""
        spans = [slice(*ends) for ends in pairwise(self._first.tolist())]
        each = [(span, gain[:, span]) for span in spans]
        held = self._corpus.hold(asked)
        answers = self._corpus.ask(standing.evaluate, held, self._length, each=each)
        return np.concatenate([answer.gain for answer in answers], axis=1), answers

    def count_pairs(self, places: NDArray[np.int64]) -> int:
        """How many units are nearer to some units than to their center: the sum over these."""
        vectors, _ = self.look(places)
        return sum(self._corpus.ask(standing.count_pairs, vectors))

    def list_pairs(self, places: NDArray[np.int64]) -> None:
        """Let partitions list the pairs with ascending candidates, in place of others."""
        self._corpus.replace(standing.listing, self._source, self._corpus.hold(places))

    def central(self) -> int:
        """The place of a unit that is probably nearest to all on average, and exactly so of few.

        Nearest to a sample are those most of which is to be hoped; of these all is found out.
        """
        step = -(-len(self) // SUMMED)
        sample, _ = self.look(np.arange(0, len(self), step))
        answers = self._corpus.ask(standing.lowest_sums, sample, GUESSES)
        rows = np.concatenate([rows for rows, _ in answers])
        sums = np.concatenate([sums for _, sums in answers])
        best = np.sort(rows[np.lexsort((rows, sums))[:GUESSES]])
        places = np.searchsorted(self.rows, best)
        vectors, _ = self.look(places)
        totals = np.sum(self._corpus.ask(standing.gap_sums, vectors), axis=0)
        return int(places[np.argmin(totals)])

    def gaps_to(self, place: int) -> NDArray[np.int16]:
        """(u,) gaps of all units to one of them."""
        vectors, _ = self.look(np.array([place]))
        found = np.empty(len(self), np.int16)
        answers = self._corpus.ask(standing.gaps_to, vectors[0])
        for own, gap in zip(self._members, answers, strict=True):
            found[own] = gap
        return found

    def gains(self, gap: NDArray[np.int16]) -> Gains:
        """Over all pairs of units, see `all_pairs`; gap is (u,) of all of them."""
        numbers = range(self._corpus.layout.parts)
        shared = self._corpus.hold(self._tiles()), self._corpus.hold(gap)
        answers = self._corpus.ask(all_pairs.pair_sums, *shared, each=numbers)
        distances = np.sum([answer.distances for answer in answers], axis=0)
        gain = np.zeros((self.stretches, len(self)), np.int32)
        for own, first, answer in zip(self._members, self._first[:-1], answers, strict=True):
            gain[first : first + len(answer.at_own)] += answer.at_own
            gain[:, own] += answer.of_own
        formed = sum(answer.formed for answer in answers)
        return Gains(distances, np.ascontiguousarray(gain.T), formed)

    def _tiles(self) -> Tiles:
        """All units in tiles."""
        part_of = self._corpus.layout.part_of
        local = np.empty(len(self), np.int64)
        for own in self._members:
            local[own] = np.arange(len(own))
        stretch = self._first[part_of] + local // self._length
        moves = np.flatnonzero((np.diff(stretch) != 0) | (np.diff(local) != 1)) + 1
        edges = np.unique(np.concatenate([np.arange(0, len(self), SUMMED), moves, [len(self)]]))
        at = edges[:-1]
        return Tiles(self._source, edges, part_of[at], local[at], stretch[at])
