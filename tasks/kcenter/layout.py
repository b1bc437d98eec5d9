"""How the units of a corpus are split into partitions."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coreframe.tasks.kcenter.job import Before, PartitionJob
from coreframe.tasks.kcenter.tuning import DEFAULT_TUNING, Tuning
from coreframe.tasks.store.named_selections import settled_rows
from coreframe.tasks.store.settings import FRAMES, Place
from coreframe.tasks.store.store import Store


@dataclass(frozen=True)
class Layout:
    """Which units there are, and which partition has each.

    Attributes:
        rows: (u,) int64 ascending, the first row of each unit.
        part_of: (u,) int32, the number of its partition.
        weight: (u,) int64, see :class:`coreframe.tasks.kcenter.partition.Partition`, or None.
        parts: how many partitions there are.
    """

    rows: NDArray[np.int64]
    part_of: NDArray[np.int32]
    weight: NDArray[np.int64] | None
    parts: int

    def owned(self, rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """For each partition, the places among ascending units of those that it has."""
        return self._places(self.part_of[np.searchsorted(self.rows, rows)])

    def members(self) -> list[NDArray[np.int64]]:
        """For each partition, the places of its units among all."""
        return self._places(self.part_of)

    def weight_of(self, rows: NDArray[np.int64]) -> NDArray[np.int64] | None:
        """(k,) weights of units, None when all are alike."""
        return None if self.weight is None else self.weight[np.searchsorted(self.rows, rows)]

    def _places(self, part_of: NDArray[np.int32]) -> list[NDArray[np.int64]]:
        return [np.flatnonzero(part_of == part) for part in range(self.parts)]


def split_units(
    store: Store,
    rows: NDArray[np.int64],
    weight: NDArray[np.int64] | None,
    before: Before | None,
    most_parts: int,
) -> Layout:
    """Split units into at most so many partitions with about equal work.

    Args:
        store: what the units are of.
        rows: (u,) ascending, the first row of each.
        weight: (u,) or None.
        before: centers that exist.
        most_parts: how many processes there are to hold them.
    """
    known = np.zeros(len(rows), bool)
    if before is not None and before.saved is not None:
        known = np.isin(rows, settled_rows(before.saved, before.gone))
    # What an earlier run did not know is most of the work: every process gets its part of that.
    part_of = np.empty(len(rows), np.int32)
    for some in np.flatnonzero(known), np.flatnonzero(~known):
        cuts = block_cuts(rows[some], store.block_rows, most_parts)
        for part, own in enumerate(np.split(some, cuts)):
            part_of[own] = part
    return Layout(rows, part_of, weight, int(part_of.max(initial=0)) + 1)


def partition_jobs(
    store: Store,
    layout: Layout,
    *,
    length: int,
    group: NDArray[np.int32] | None,
    device: str,
    vectors_bytes: int | None,
    tuning: Tuning = DEFAULT_TUNING,
    place: Place = FRAMES,
) -> list[PartitionJob]:
    """What the process that holds a partition must know, for each.

    Args:
        store: what the units are of.
        layout: which partition has which.
        length: rows a unit.
        group: (u,) or None, see :class:`coreframe.tasks.kcenter.partition.Partition`.
        device: where tensors are kept.
        vectors_bytes: that vectors may fill in a process, None for as much as they take.
        tuning: how units are worked on.
        place: which of the store's arrays has their vectors.
    """
    return [
        PartitionJob(
            store.path,
            layout.rows[own],
            length,
            None if layout.weight is None else layout.weight[own],
            None if group is None else group[own],
            device,
            vectors_bytes,
            tuning,
            place,
        )
        for own in layout.members()
    ]


def layout_of_parts(
    rows: Sequence[NDArray[np.int64]], weights: Sequence[NDArray[np.int64] | None]
) -> Layout:
    """Look up which partition has which units, where they are split already.

    Args:
        rows: (u,) of each partition.
        weights: (u,) of each partition, or None of all.
    """
    every = np.concatenate(list(rows))
    order = np.argsort(every)
    part_of = np.repeat(np.arange(len(rows), dtype=np.int32), [len(own) for own in rows])
    given = [weight for weight in weights if weight is not None]
    weight = np.concatenate(given)[order] if given else None
    return Layout(every[order], part_of[order], weight, len(rows))


def block_cuts(rows: NDArray[np.int64], block_rows: int, count: int) -> list[int]:
    """Places at which to cut ascending rows into at most ``count`` runs of about equal size.

    Blocks stay whole, so that each is read by one process.
    """
    edges = np.flatnonzero(np.diff(rows // block_rows)) + 1
    ideal = np.arange(1, count) * len(rows) // count
    at = np.searchsorted(edges, ideal)
    return np.unique(edges[at[at < len(edges)]]).tolist()
