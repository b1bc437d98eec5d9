"""The corpus spread over Dask workers, one partition each, for selecting and measuring."""

from collections.abc import Callable
from typing import Any

import numpy as np
from dask.distributed import Client, Future

from coreframe.tasks.engine.dispatch import gather, processes
from coreframe.tasks.engine.shared import as_is
from coreframe.tasks.kcenter import coverage, job, partition
from coreframe.tasks.kcenter.coverage import Represented
from coreframe.tasks.kcenter.greedy import central_row, share_of
from coreframe.tasks.kcenter.job import Before, PartitionJob
from coreframe.tasks.kcenter.partition import Farthest
from coreframe.tasks.scale import SCALE
from coreframe.tasks.store.named_selections import settled_rows
from coreframe.tasks.store.store import Store

MEMORY_SHARE = 0.5
"""Of a worker's memory limit that its process may reach with the vectors it keeps. At 0.6 Dask
begins to move what a worker holds to disk, at 0.95 it ends the worker."""


class DaskPartitions:
    """:class:`coreframe.tasks.kcenter.greedy.Partitions` over Dask futures.

    A partition's next state is a new future made from the last one and the new centers, all of
    them immutable, so Dask makes a lost worker's partition again from the store. What workers hold
    of the vectors is theirs alone: a partition that travels takes its state and a recipe.
    """

    def __init__(
        self,
        client: Client,
        store: Store,
        rows: np.ndarray,
        *,
        length: int = 1,
        weight: np.ndarray | None = None,
        video: np.ndarray | None = None,
        device: str = "auto",
        before: Before | None = None,
    ) -> None:
        """Spread units over the workers.

        Args:
            client: of the cluster.
            store: what the units are of.
            rows: (u,) int64 ascending, the first row of each.
            length: rows a unit.
            weight: (u,) int64 or None, see :class:`coreframe.tasks.kcenter.partition.Partition`.
            video: (u,) int32 or None, likewise.
            device: where workers keep tensors.
            before: centers that exist.
        """
        self._client = client
        self._rows, self._weight, self._dim = rows, weight, store.settings.dim
        room = _room_bytes(client)

        known = np.zeros(len(rows), bool)
        if before is not None and before.saved is not None:
            known = np.isin(rows, settled_rows(before.saved, before.gone))
        # What an earlier run did not know is most of the work: every worker gets its part of that.
        self._part_of = np.empty(len(rows), np.int32)
        """Number of the partition of each unit."""
        for some in np.flatnonzero(known), np.flatnonzero(~known):
            cuts = block_cuts(rows[some], store.block_rows, processes(client))
            for part, own in enumerate(np.split(some, cuts)):
                self._part_of[own] = part
        jobs = [
            PartitionJob(
                store.path,
                rows[own],
                length,
                None if weight is None else weight[own],
                None if video is None else video[own],
                device,
                room,
            )
            for own in _places(self._part_of, int(self._part_of.max(initial=0)) + 1)
        ]
        # Nothing here depends on what one worker holds: Dask would run all of it there.
        self._parts: list[Future] = [
            client.submit(job.load_partition, one, before, pure=False) for one in jobs
        ]

    @property
    def dim(self) -> int:
        return self._dim

    def central(self) -> int | None:
        return central_row(
            self._ask(partition.vector_sum),
            lambda count, total: self._ask(partition.most_central, count, total),
        )

    def assign(self, rows: np.ndarray, vectors: np.ndarray, curve: bool = False) -> None:
        centers = self._hold((rows, vectors))
        self._parts = self._submit(job.assign_centers, centers, curve)

    def farthest(
        self, count: int, squared_threshold: int, closed: np.ndarray | None
    ) -> list[Farthest]:
        share = share_of(count, len(self._parts))
        return self._ask(partition.farthest, share, squared_threshold, closed)

    def collect(self, rows: np.ndarray) -> np.ndarray:
        """(k, dim) int16 lattice of any k ascending units."""
        owned = [pair for pair in zip(self._parts, self._owned(rows), strict=True) if len(pair[1])]
        asked = [
            self._client.submit(partition.collect, part, rows[own], pure=False)
            for part, own in owned
        ]
        found = np.empty((len(rows), self._dim), np.int16)
        answers = gather(self._client, asked, "Selecting")
        for (_, own), some in zip(owned, answers, strict=True):
            found[own] = some
        return found

    def weight(self, rows: np.ndarray) -> np.ndarray | None:
        return None if self._weight is None else self._weight[np.searchsorted(self._rows, rows)]

    def coverage(self, subset: np.ndarray) -> tuple[float, float]:
        """Largest and mean L2 distance of the units to their nearest vector of a subset.

        Args:
            subset: (m, dim) int16 lattice.
        """
        answers = self._ask(coverage.coverage, self._hold(subset))
        units = sum(count for _, _, count in answers)
        largest = max(squared for squared, _, _ in answers)
        return largest**0.5 / SCALE, sum(total for _, total, _ in answers) / units / SCALE

    def represented(
        self, rows: np.ndarray, vectors: np.ndarray, asked: np.ndarray
    ) -> tuple[Represented, np.ndarray, np.ndarray]:
        """See :func:`tasks.kcenter.coverage.represented`; asked are any units, ascending."""
        centers, owned = self._hold((rows, vectors)), self._owned(asked)
        futures = [
            self._client.submit(job.represented_units, part, centers, asked[own], pure=False)
            for part, own in zip(self._parts, owned, strict=True)
        ]
        found = Represented.nothing(len(rows))
        place, squared = np.empty(len(asked), np.int64), np.empty(len(asked), np.int32)
        answers = gather(self._client, futures, "Reporting")
        for own, (some, places, distance) in zip(owned, answers, strict=True):
            found = found.merge(some)
            place[own], squared[own] = places, distance
        return found, place, squared

    def save(self, folder: str, center_rows: np.ndarray) -> None:
        """Let every partition write where its units stand; see `store.named_selections`."""
        rows = self._hold(center_rows)
        written = [
            self._client.submit(job.save_partition, part, folder, number, rows, pure=False)
            for number, part in enumerate(self._parts)
        ]
        gather(self._client, written, "Selecting")

    def _owned(self, rows: np.ndarray) -> list[np.ndarray]:
        """For each partition, the places among ascending units of those that it has."""
        return _places(self._part_of[np.searchsorted(self._rows, rows)], len(self._parts))

    def _hold(self, value: Any) -> Future:
        """Give all partitions a value by way of the workers, not once each by the scheduler."""
        return self._client.submit(as_is, value, pure=False)

    def _submit(self, function: Callable[..., Any], *arguments: Any) -> list[Future]:
        return [self._client.submit(function, part, *arguments, pure=False) for part in self._parts]

    def _ask(self, function: Callable[..., Any], *arguments: Any) -> list[Any]:
        return gather(self._client, self._submit(function, *arguments), "Selecting")


def _places(part_of: np.ndarray, parts: int) -> list[np.ndarray]:
    """For each of so many partitions, the places at which its number stands."""
    return [np.flatnonzero(part_of == part) for part in range(parts)]


def block_cuts(rows: np.ndarray, block_rows: int, count: int) -> list[int]:
    """Places at which to cut ascending rows into at most ``count`` runs of about equal size.

    Blocks stay whole, so that each is read by one worker.
    """
    edges = np.flatnonzero(np.diff(rows // block_rows)) + 1
    ideal = np.arange(1, count) * len(rows) // count
    at = np.searchsorted(edges, ideal)
    return np.unique(edges[at[at < len(edges)]]).tolist()


def _room_bytes(client: Client) -> int | None:
    """What a worker's vectors may fill, so that none reaches its memory limit."""
    rooms = [
        max(0.0, MEMORY_SHARE * worker["memory_limit"] - worker["metrics"]["memory"])
        for worker in client.scheduler_info(n_workers=-1)["workers"].values()
        if worker["memory_limit"]
    ]
    return int(min(rooms)) if rooms else None
