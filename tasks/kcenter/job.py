"""Hold a part of the corpus for selecting and measuring: what the process does that has it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coreframe.tasks.device import limit_gpu_memory, resolve_device
from coreframe.tasks.kcenter import coverage
from coreframe.tasks.kcenter.assign import assign, center_sketch, restored
from coreframe.tasks.kcenter.coverage import Represented
from coreframe.tasks.kcenter.partition import Partition
from coreframe.tasks.kcenter.tuning import DEFAULT_TUNING, Tuning
from coreframe.tasks.kcenter.vectors import Vectors, mean_vectors
from coreframe.tasks.lazy import torch
from coreframe.tasks.store.named_selections import read_centers, read_distances, write_distances
from coreframe.tasks.store.settings import FRAMES, Place
from coreframe.tasks.store.store import Store

STATE_BYTES = 256
"""Taken by a row beside its vector: its state twice over while it is brought up to date, its
sketch, and what selecting among the rows needs in passing."""

GPU_SHARE = 0.6
"""Of the free memory of a GPU that vectors may fill. Of processes that share one, only one has
vectors there: see `coreframe.tasks.kcenter.on_dask`."""


@dataclass(frozen=True)
class PartitionJob:
    """Which units a process is to hold; see :class:`coreframe.tasks.select.units.Units`."""

    store: str
    rows: NDArray[np.int64]
    length: int
    weight: NDArray[np.int64] | None
    group: NDArray[np.int32] | None
    device: str
    vectors_bytes: int | None
    """Memory that vectors may fill, None for as much as they take."""
    tuning: Tuning = DEFAULT_TUNING
    """How the units are worked on."""
    place: Place = FRAMES
    """Which of the store's arrays has their vectors."""


class StoredUnits:
    """Units of a store, read when asked for: :class:`coreframe.tasks.kcenter.vectors.Source`."""

    def __init__(
        self, store: str, rows: NDArray[np.int64], length: int, place: Place = FRAMES
    ) -> None:
        self._store, self._rows, self._length, self._place = store, rows, length, place
        self._read: Any = None

    def __reduce__(self) -> tuple[type[StoredUnits], tuple[Any, ...]]:
        return StoredUnits, (self._store, self._rows, self._length, self._place)

    def read(
        self, start: int, stop: int, into: NDArray[np.int16] | None = None
    ) -> NDArray[np.int16]:
        if self._read is None:
            self._read = mean_vectors(Store.open(self._store).row_reader(self._place), self._length)
        return self._read(self._rows[start:stop], into)


CenterArrays = tuple[NDArray[np.int64], NDArray[np.int16]]
"""(c,) rows and (c, dim) lattice."""


@dataclass(frozen=True)
class Before:
    """The centers that exist before a selection starts; whoever holds units reads their vectors.

    Attributes:
        saved: what an earlier run left, None when there was none.
        gone: (g,) of its centers, those that left the corpus.
        added: (a,) others.
    """

    saved: str | None
    gone: NDArray[np.int64]
    added: NDArray[np.int64]


def load_partition(job: PartitionJob, before: Before | None = None) -> Partition:
    """Make a partition without centers, or with those that exist before the selection starts.

    The partition's curve is over the latter: with saved ones, of the units alone that the earlier
    run did not know.

    Args:
        job: what it is to hold.
        before: the centers that exist.
    """
    part = Partition.without_centers(
        job.rows, _vectors(job, job.rows), weight=job.weight, group=job.group
    )
    if before is None:
        return part
    curves = []
    if before.saved is not None:
        part = _resumed(part, job, before.saved, before.gone)
        curves.append(part.curve)
    if len(before.added):
        vectors = StoredUnits(job.store, before.added, job.length, job.place).read(
            0, len(before.added)
        )
        part = assign(part, before.added, vectors, curve=True)
        curves.append(part.curve)
    return replace(part, curve=np.concatenate([curve for curve in curves if curve is not None]))


def _resumed(part: Partition, job: PartitionJob, saved: str, gone: NDArray[np.int64]) -> Partition:
    """Take over what an earlier run found, and find what it would have found of other units."""
    center_rows, vectors = read_centers(saved, gone)
    distance = np.zeros(len(part), np.int32)
    number = np.full(len(part), -1, np.int64)
    order = np.argsort(center_rows)
    for at, known in read_distances(saved, job.rows):
        place = np.searchsorted(center_rows, known["center"], sorter=order)
        owner = order[np.minimum(place, len(order) - 1)]
        valid = center_rows[owner] == known["center"]
        distance[at[valid]] = known["distance"][valid]
        number[at[valid]] = owner[valid]
    sketch, new = center_sketch(part, vectors), np.flatnonzero(number < 0)
    fresh = Partition.without_centers(job.rows[new], _vectors(job, job.rows[new]))
    fresh = assign(replace(fresh, sketch=sketch), center_rows, vectors, curve=True)
    distance[new], number[new] = fresh.distance.cpu().numpy(), fresh.center
    part = restored(part, sketch, distance, number, center_rows, vectors)
    return replace(
        part,
        curve=fresh.curve,
        distances_formed=fresh.distances_formed,
        rough_distances_formed=fresh.rough_distances_formed,
    )


def _vectors(job: PartitionJob, rows: NDArray[np.int64]) -> Vectors:
    store = Store.open(job.store)
    device = resolve_device(job.device)
    dim = store.settings.dim
    limit_gpu_memory(device, 1.0)  # what embedding left to the others, which wait now
    free_bytes = job.vectors_bytes
    if device.type == "cuda":
        free_bytes = int(GPU_SHARE * torch.cuda.mem_get_info(device)[0])
    kept_rows = None
    if free_bytes is not None:
        kept_rows = max(0, (free_bytes - STATE_BYTES * len(rows)) // (2 * dim))
    cuts = np.flatnonzero(np.diff(rows // store.block_rows)) + 1
    edges = np.unique([0, *cuts.tolist(), len(rows)])
    source = StoredUnits(job.store, rows, job.length, job.place)
    return Vectors(source, edges, dim, device, kept_rows, job.tuning)


def assign_centers(part: Partition, centers: CenterArrays, curve: bool) -> Partition:
    """See :func:`coreframe.tasks.kcenter.assign.assign`."""
    return assign(part, *centers, curve=curve)


def represented_units(
    part: Partition, centers: CenterArrays, asked: NDArray[np.int64]
) -> tuple[Represented, NDArray[np.int64], NDArray[np.int32]]:
    """See :func:`coreframe.tasks.kcenter.coverage.represented`."""
    return coverage.represented(part, *centers, asked)


def save_partition(
    part: Partition, folder: str, center_rows: NDArray[np.int64], number: int
) -> int:
    """Write where a partition's units stand; see `coreframe.tasks.store.named_selections`.

    Args:
        part: the partition.
        folder: of the generation.
        center_rows: (c,) of all centers that it was given, in their order.
        number: of the partition.

    Returns:
        How many units it has.
    """
    if len(part):
        rows, distance = part.rows.cpu().numpy(), part.distance.cpu().numpy()
        write_distances(folder, number, rows, distance, center_rows[part.center])
    return len(part)
