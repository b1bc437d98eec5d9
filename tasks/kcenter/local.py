"""The corpus in this process: for notebooks and small corpora."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coreframe.tasks.device import resolve_device
from coreframe.tasks.kcenter import job
from coreframe.tasks.kcenter.between import DeviceDistances
from coreframe.tasks.kcenter.job import Before
from coreframe.tasks.kcenter.layout import Layout, layout_of_parts, partition_jobs, split_units
from coreframe.tasks.kcenter.memory import own_vectors_bytes
from coreframe.tasks.kcenter.partition import Partition
from coreframe.tasks.kcenter.partitions import BasePartitions
from coreframe.tasks.kcenter.tuning import DEFAULT_TUNING, Tuning
from coreframe.tasks.lazy import torch
from coreframe.tasks.store.settings import FRAMES, Place
from coreframe.tasks.store.store import Store


class LocalPartitions(BasePartitions):
    """Partitions in this process: for small corpora, notebooks and tests."""

    def __init__(
        self,
        parts: Sequence[Partition],
        layout: Layout | None = None,
        run: Callable[..., Iterable[Any]] = map,
    ) -> None:
        """Take at least one partition.

        Args:
            parts: the partitions, of any units.
            layout: which of them has which unit; looked up by default.
            run: what runs a function on each of them, as `map` does, one after the other.
        """
        self._parts, self._run = list(parts), run
        device, tuning = self._parts[0].rows.device, self._parts[0].tuning
        here = device.type in tuning.between_devices
        self._between = DeviceDistances(device) if here else None
        if layout is None:
            layout = layout_of_parts(
                [part.rows.cpu().numpy() for part in parts],
                [None if part.weight is None else part.weight.cpu().numpy() for part in parts],
            )
        super().__init__(layout, self._parts[0].vectors.dim)

    @property
    def between(self) -> Callable[[NDArray[np.int16]], NDArray[np.int32]] | None:
        return self._between

    def _ask(
        self,
        function: Callable[..., Any],
        *shared: Any,
        each: Sequence[Any] | None = None,
        some: Sequence[int] | None = None,
        what: str = "Selecting",
    ) -> list[Any]:
        parts = self._parts if some is None else [self._parts[number] for number in some]
        own = [()] * len(parts) if each is None else [(argument,) for argument in each]
        return list(self._run(lambda part, more: function(part, *shared, *more), parts, own))

    def _replace(self, function: Callable[..., Any], *shared: Any) -> None:
        self._parts = self._ask(function, *shared)

    def _hold(self, value: Any) -> Any:
        return value


@contextmanager
def local_partitions(
    store: Store,
    rows: NDArray[np.int64],
    *,
    length: int = 1,
    weight: NDArray[np.int64] | None = None,
    group: NDArray[np.int32] | None = None,
    device: str = "auto",
    before: Before | None = None,
    memory_limit_bytes: int | None = None,
    tuning: Tuning = DEFAULT_TUNING,
    place: Place = FRAMES,
) -> Iterator[LocalPartitions]:
    """Hold units of a store in this process, while the context lasts.

    On a CPU there is a partition for each of torch's threads, on a GPU there is one.

    Args:
        store: what the units are of.
        rows: (u,) ascending, the first row of each.
        length: rows a unit.
        weight: (u,) or None, see :class:`coreframe.tasks.kcenter.partition.Partition`.
        group: (u,) or None, likewise.
        device: where tensors are kept.
        before: centers that exist.
        memory_limit_bytes: of this process: vectors that would take it above half of that are
            read anew each time. By default the machine's memory, or the container's.
        tuning: how units are worked on.
        place: which of the store's arrays has their vectors.
    """
    threads = torch.get_num_threads() if resolve_device(device).type == "cpu" else 1
    layout = split_units(store, rows, weight, before, most_parts=threads)
    jobs = partition_jobs(
        store,
        layout,
        length=length,
        group=group,
        device=device,
        vectors_bytes=own_vectors_bytes(memory_limit_bytes) // layout.parts,
        tuning=tuning,
        place=place,
    )
    with _threads(layout.parts) as pool:
        parts = list(pool.map(partial(job.load_partition, before=before), jobs))
        yield LocalPartitions(parts, layout, pool.map)


@contextmanager
def _threads(count: int) -> Iterator[ThreadPoolExecutor]:
    """Threads each of which computes alone, as Dask's workers do, and so does this one meanwhile.

    Torch's own wait for one another after every tile, and spin while they do: where other
    processes want the cores as well, selecting with two of them took ten times as long.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # for this thread, and for those that begin to use torch later
    try:
        with ThreadPoolExecutor(count) as pool:
            yield pool
    finally:
        torch.set_num_threads(before)
