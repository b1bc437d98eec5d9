"""The corpus in this process: for notebooks and small corpora."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coreframe.tasks.kcenter import job
from coreframe.tasks.kcenter.job import Before
from coreframe.tasks.kcenter.layout import Layout, layout_of_parts, partition_jobs, split_units
from coreframe.tasks.kcenter.memory import own_vectors_bytes
from coreframe.tasks.kcenter.partition import Partition
from coreframe.tasks.kcenter.partitions import BasePartitions
from coreframe.tasks.kcenter.tuning import DEFAULT_TUNING, Tuning
from coreframe.tasks.store.store import Store


class LocalPartitions(BasePartitions):
    """Partitions in this process: for small corpora, notebooks and tests."""

    def __init__(self, parts: Sequence[Partition], layout: Layout | None = None) -> None:
        """Take at least one partition.

        Args:
            parts: the partitions, of any units.
            layout: which of them has which unit; looked up by default.
        """
        self._parts = list(parts)
        if layout is None:
            layout = layout_of_parts(
                [part.rows.cpu().numpy() for part in parts],
                [None if part.weight is None else part.weight.cpu().numpy() for part in parts],
            )
        super().__init__(layout, self._parts[0].vectors.dim)

    @classmethod
    def from_store(
        cls,
        store: Store,
        rows: NDArray[np.int64],
        *,
        length: int = 1,
        weight: NDArray[np.int64] | None = None,
        video: NDArray[np.int32] | None = None,
        device: str = "auto",
        before: Before | None = None,
        memory_limit_bytes: int | None = None,
        tuning: Tuning = DEFAULT_TUNING,
    ) -> "LocalPartitions":
        """Hold units of a store as one partition, whose vectors are read when first needed.

        Args:
            store: what the units are of.
            rows: (u,) ascending, the first row of each.
            length: rows a unit.
            weight: (u,) or None, see :class:`coreframe.tasks.kcenter.partition.Partition`.
            video: (u,) or None, likewise.
            device: where tensors are kept.
            before: centers that exist.
            memory_limit_bytes: of this process: vectors that would take it above half of that are
                read anew each time. By default the machine's memory, or the container's.
            tuning: how units are worked on.
        """
        layout = split_units(store, rows, weight, before, most_parts=1)
        jobs = partition_jobs(
            store,
            layout,
            length=length,
            video=video,
            device=device,
            vectors_bytes=own_vectors_bytes(memory_limit_bytes),
            tuning=tuning,
        )
        return cls([job.load_partition(one, before) for one in jobs], layout)

    def _ask(
        self,
        function: Callable[..., Any],
        *shared: Any,
        each: Sequence[Any] | None = None,
        some: Sequence[int] | None = None,
        what: str = "Selecting",
    ) -> list[Any]:
        parts = self._parts if some is None else [self._parts[number] for number in some]
        if each is None:
            return [function(part, *shared) for part in parts]
        return [function(part, *shared, own) for part, own in zip(parts, each, strict=True)]

    def _replace(self, function: Callable[..., Any], *shared: Any) -> None:
        for number, part in enumerate(self._parts):
            self._parts[number] = function(part, *shared)

    def _hold(self, value: Any) -> Any:
        return value
