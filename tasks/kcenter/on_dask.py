"""The corpus spread over Dask workers, for selecting and measuring: one partition each, or a GPU.

Where several workers share a GPU, one of them has the GPU to itself here: a second partition would
take memory from the first, and its products would wait for those of the first.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from dask.distributed import Client, Future
from numpy.typing import NDArray

from coreframe.tasks.engine.dispatch import gather
from coreframe.tasks.engine.gpus import sharing
from coreframe.tasks.engine.shared import as_is
from coreframe.tasks.kcenter import job
from coreframe.tasks.kcenter.job import Before
from coreframe.tasks.kcenter.layout import partition_jobs, split_units
from coreframe.tasks.kcenter.memory import vectors_bytes
from coreframe.tasks.kcenter.partitions import BasePartitions
from coreframe.tasks.kcenter.tuning import DEFAULT_TUNING, Tuning
from coreframe.tasks.store.settings import FRAMES, Place
from coreframe.tasks.store.store import Store


class DaskPartitions(BasePartitions):
    """:class:`coreframe.tasks.kcenter.greedy.Partitions` over Dask futures.

    A partition's next state is a new future made from the last one and the new centers, all of
    them immutable, so Dask makes a lost worker's partition again from the store. What workers hold
    of the vectors is theirs alone: a partition that travels takes its state and a recipe.
    """

    def __init__(
        self,
        client: Client,
        store: Store,
        rows: NDArray[np.int64],
        *,
        length: int = 1,
        weight: NDArray[np.int64] | None = None,
        group: NDArray[np.int32] | None = None,
        device: str = "auto",
        before: Before | None = None,
        tuning: Tuning = DEFAULT_TUNING,
        place: Place = FRAMES,
    ) -> None:
        """Spread units over the workers.

        Args:
            client: of the cluster.
            store: what the units are of.
            rows: (u,) ascending, the first row of each.
            length: rows a unit.
            weight: (u,) or None, see :class:`coreframe.tasks.kcenter.partition.Partition`.
            group: (u,) or None, likewise.
            device: where workers keep tensors.
            before: centers that exist.
            tuning: how workers go about it.
            place: which of the store's arrays has their vectors.
        """
        places = sharing(client, device)
        layout = split_units(store, rows, weight, before, most_parts=max(1, len(places)))
        super().__init__(layout, store.settings.dim)
        self._client = client
        jobs = partition_jobs(
            store,
            layout,
            length=length,
            group=group,
            device=device,
            vectors_bytes=_vectors_bytes(client),
            tuning=tuning,
            place=place,
        )
        self._wanted: list[dict[str, Any]] = [{}] * len(jobs)
        if any(len(place) > 1 for place in places):
            # Others may, so that a selection outlives the worker that was to have a partition.
            self._wanted = [
                {"workers": place[:1], "allow_other_workers": True} for place in places[: len(jobs)]
            ]
        # Nothing here depends on what one worker holds: Dask would run all of it there.
        self._parts: list[Future] = [
            client.submit(job.load_partition, one, before, pure=False, **wanted)
            for one, wanted in zip(jobs, self._wanted, strict=True)
        ]

    def _ask(
        self,
        function: Callable[..., Any],
        *shared: Any,
        each: Sequence[Any] | None = None,
        some: Sequence[int] | None = None,
        what: str = "Selecting",
    ) -> list[Any]:
        return gather(self._client, self._submit(function, *shared, each=each, some=some), what)

    def _replace(self, function: Callable[..., Any], *shared: Any) -> None:
        self._parts = self._submit(function, *shared)

    def _hold(self, value: Any) -> Future:
        """Give all partitions a value by way of the workers, not once each by the scheduler."""
        return self._client.submit(as_is, value, pure=False)

    def _submit(
        self,
        function: Callable[..., Any],
        *shared: Any,
        each: Sequence[Any] | None = None,
        some: Sequence[int] | None = None,
    ) -> list[Future]:
        numbers = range(len(self._parts)) if some is None else some
        own = [()] * len(numbers) if each is None else [(argument,) for argument in each]
        return [
            self._client.submit(
                function, self._parts[number], *shared, *more, pure=False, **self._wanted[number]
            )
            for number, more in zip(numbers, own, strict=True)
        ]


def _vectors_bytes(client: Client) -> int | None:
    """What a worker's vectors may fill, so that none reaches its memory limit."""
    free = [
        vectors_bytes(worker["memory_limit"], worker["metrics"]["memory"])
        for worker in client.scheduler_info(n_workers=-1)["workers"].values()
        if worker["memory_limit"]
    ]
    return min(free) if free else None
