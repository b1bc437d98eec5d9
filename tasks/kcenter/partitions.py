"""What is asked of all partitions, and how their answers become one, wherever they are held."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coreframe.tasks.kcenter import coverage, job, partition
from coreframe.tasks.kcenter.coverage import Represented
from coreframe.tasks.kcenter.exchange import Near, Pairs
from coreframe.tasks.kcenter.greedy import central_row, share_of
from coreframe.tasks.kcenter.layout import Layout
from coreframe.tasks.kcenter.partition import Farthest
from coreframe.tasks.scale import SCALE


class BasePartitions(ABC):
    """:class:`coreframe.tasks.kcenter.greedy.Partitions`, and what else is asked of a corpus.

    Whoever holds the partitions says how a function is run on them.
    """

    def __init__(self, layout: Layout, dim: int) -> None:
        """Say which units there are, and how many numbers their vectors have."""
        self._layout, self._dim = layout, dim

    @abstractmethod
    def _ask(
        self,
        function: Callable[..., Any],
        *shared: Any,
        each: Sequence[Any] | None = None,
        some: Sequence[int] | None = None,
        what: str = "Selecting",
    ) -> list[Any]:
        """Run a function on partitions, and give its answers in their order.

        Args:
            function: takes a partition, then the shared arguments, then its own.
            shared: arguments that are the same for all.
            each: an argument of its own for each partition asked; none by default.
            some: numbers of the partitions asked; all by default.
            what: names the work to people.
        """

    @abstractmethod
    def _replace(self, function: Callable[..., Any], *shared: Any) -> None:
        """Let what a function makes of each partition take its place; arguments as of `_ask`."""

    @abstractmethod
    def _hold(self, value: Any) -> Any:
        """Bring a large value to where the partitions are, to be passed to them as an argument."""

    def ask(
        self,
        function: Callable[..., Any],
        *shared: Any,
        each: Sequence[Any] | None = None,
        some: Sequence[int] | None = None,
        what: str = "Selecting",
    ) -> list[Any]:
        """Let others than these partitions themselves ask them; arguments as of `_ask`."""
        return self._ask(function, *shared, each=each, some=some, what=what)

    def replace(self, function: Callable[..., Any], *shared: Any) -> None:
        """As `_replace`, for others."""
        self._replace(function, *shared)

    def hold(self, value: Any) -> Any:
        """As `_hold`, for others."""
        return self._hold(value)

    @property
    def layout(self) -> Layout:
        """Which partition has which units."""
        return self._layout

    @property
    def dim(self) -> int:
        return self._dim

    @property
    def between(self) -> Callable[[NDArray[np.int16]], NDArray[np.int32]] | None:
        return None  # whoever picks has no device

    def central(self, closed: NDArray[np.int32] | None = None) -> int | None:
        return central_row(
            self._ask(partition.vector_sum),
            lambda count, total: self._ask(partition.most_central, count, total, closed),
        )

    def assign(
        self, rows: NDArray[np.int64], vectors: NDArray[np.int16], curve: bool = False
    ) -> None:
        self._replace(job.assign_centers, self._hold((rows, vectors)), curve)

    def farthest(
        self, count: int, squared_threshold: int, closed: NDArray[np.int32] | None
    ) -> list[Farthest]:
        share = share_of(count, self._layout.parts)
        return self._ask(partition.farthest, share, squared_threshold, closed)

    def collect(self, rows: NDArray[np.int64]) -> NDArray[np.int16]:
        """(k, dim) lattice of any k ascending units."""
        owned = self._owned(rows)
        each = [rows[own] for own in owned.values()]
        answers: list[NDArray[np.int16]] = self._ask(partition.collect, each=each, some=list(owned))
        if len(answers) == 1:
            return answers[0]
        found = np.empty((len(rows), self._dim), np.int16)
        for own, vectors in zip(owned.values(), answers, strict=True):
            found[own] = vectors
        return found

    def near(self, pairs: Pairs) -> Near:
        owned = self._owned(pairs.rows)
        each = []
        for own in owned.values():  # with the vectors of its own picks only
            some, of = np.unique(pairs.of[own], return_inverse=True)
            each.append(pairs._replace(rows=pairs.rows[own], of=of, picks=pairs.picks[some]))
        answers = self._ask(partition.near, each=each, some=list(owned))
        empty = np.empty(0, np.int64)
        parts = [Near(empty, np.empty((0, self._dim), np.int16), empty, empty)]
        for own, answer in zip(owned.values(), answers, strict=True):
            parts.append(answer._replace(place=own[answer.place]))
        return Near(*(np.concatenate(values) for values in zip(*parts, strict=True)))

    def _owned(self, rows: NDArray[np.int64]) -> dict[int, NDArray[np.int64]]:
        """For each partition that has any of some ascending units, the places of these."""
        owned = enumerate(self._layout.owned(rows))
        return {number: own for number, own in owned if len(own)}

    def weight(self, rows: NDArray[np.int64]) -> NDArray[np.int64] | None:
        return self._layout.weight_of(rows)

    def coverage(self, subset: NDArray[np.int16]) -> tuple[float, float]:
        """Largest and mean L2 distance of the units to their nearest vector of a subset.

        Args:
            subset: (m, dim) lattice.
        """
        answers = self._ask(coverage.coverage, self._hold(subset))
        units = sum(count for _, _, count in answers)
        largest = max(squared for squared, _, _ in answers)
        return largest**0.5 / SCALE, sum(total for _, total, _ in answers) / units / SCALE

    def represented(
        self, rows: NDArray[np.int64], vectors: NDArray[np.int16], asked: NDArray[np.int64]
    ) -> tuple[Represented, NDArray[np.int64], NDArray[np.int32]]:
        """See :func:`coreframe.tasks.kcenter.coverage.represented`; asked are ascending units."""
        owned = self._layout.owned(asked)
        answers = self._ask(
            job.represented_units,
            self._hold((rows, vectors)),
            each=[asked[own] for own in owned],
            what="Reporting",
        )
        found = Represented.nothing(len(rows))
        place, squared = np.empty(len(asked), np.int64), np.empty(len(asked), np.int32)
        for own, (some, places, distance) in zip(owned, answers, strict=True):
            found = found.merge(some)
            place[own], squared[own] = places, distance
        return found, place, squared

    def save(self, folder: str, center_rows: NDArray[np.int64]) -> None:
        """Let every partition write where its units stand; see `store.named_selections`."""
        numbers = range(self._layout.parts)
        self._ask(job.save_partition, folder, self._hold(center_rows), each=numbers)
