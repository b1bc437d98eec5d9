"""Hold a part of the corpus for selecting and measuring."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch

from tasks.embedding.embedder import resolve_device
from tasks.selection import partition
from tasks.selection.partition import Partition, Represented, restored
from tasks.selection.vectors import Vectors, mean_vectors
from tasks.store.selections import read_centers, read_distances, write_distances
from tasks.store.store import RowReader, Store

STATE_BYTES = 256
"""Taken by a row beside its vector: its state twice over while it is brought up to date, its
sketch, and what selecting among the rows needs in passing."""

GPU_SHARE = 0.6
"""Of the free memory of a GPU that vectors may fill."""


@dataclass(frozen=True)
class PartitionJob:
    """Which units a worker is to hold; see :class:`tasks.selection.units.Units`."""

    store: str
    rows: np.ndarray
    length: int
    weight: np.ndarray | None
    video: np.ndarray | None
    device: str
    room_bytes: int | None
    """Memory that it may fill, None for as much as it takes."""


class StoredUnits:
    """Units of a store, read when asked for: :class:`tasks.selection.vectors.Source`."""

    def __init__(self, store: str, rows: np.ndarray, length: int) -> None:
        self._store, self._rows, self._length = store, rows, length
        self._read: Any = None

    def __reduce__(self) -> tuple:
        return StoredUnits, (self._store, self._rows, self._length)

    def read(self, start: int, stop: int, into: np.ndarray | None = None) -> np.ndarray:
        if self._read is None:
            self._read = mean_vectors(RowReader(Store.open(self._store)), self._length)
        return self._read(self._rows[start:stop], into)


Centers = tuple[np.ndarray, np.ndarray]
"""(c,) int64 rows and (c, dim) int16 lattice."""


@dataclass(frozen=True)
class Before:
    """The centers that exist before a selection starts; workers read their vectors themselves.

    Attributes:
        saved: what an earlier run left, None when there was none.
        gone: (g,) int64 of its centers, those that left the corpus.
        added: (a,) int64 others.
    """

    saved: str | None
    gone: np.ndarray
    added: np.ndarray


class Settled(NamedTuple):
    """Units that an earlier run did not know, brought up to its centers."""

    rows: np.ndarray
    """(n,) int64, ascending."""
    distance: np.ndarray
    """(n,) int32 squared distance to the nearest of these centers."""
    number: np.ndarray
    """(n,) int64, which of them that is."""
    curve: np.ndarray
    """(c,) int32, the largest distance after each center."""


def settle(job: PartitionJob, before: Before) -> Settled:
    """Find what an earlier run would have found of a job's units."""
    assert before.saved is not None
    part = Partition.of(job.rows, _vectors(job, job.rows))
    part = partition.assign(part, *read_centers(before.saved, before.gone), curve=True)
    assert part.curve is not None
    return Settled(job.rows, part.distance.cpu().numpy(), part.center, part.curve)


def load_partition(
    job: PartitionJob, before: Before | None = None, settled: Sequence[Settled] = ()
) -> Partition:
    """Make a partition without centers, or with those that exist before the selection starts.

    The partition's curve is over the latter: with saved ones, of the units alone that the earlier
    run did not know.

    Args:
        job: what it is to hold.
        before: the centers that exist.
        settled: with saved centers, all units of the corpus that the earlier run did not know.
    """
    part = Partition.of(job.rows, _vectors(job, job.rows), weight=job.weight, video=job.video)
    if before is None:
        return part
    curves = []
    if before.saved is not None:
        part = _resumed(part, job, before.saved, before.gone, settled)
        curves.append(part.curve)
    if len(before.added):
        vectors = StoredUnits(job.store, before.added, job.length).read(0, len(before.added))
        part = partition.assign(part, before.added, vectors, curve=True)
        curves.append(part.curve)
    return replace(part, curve=np.concatenate([curve for curve in curves if curve is not None]))


def _resumed(
    part: Partition, job: PartitionJob, saved: str, gone: np.ndarray, settled: Sequence[Settled]
) -> Partition:
    """Take over what an earlier run found, and what was found since of other units."""
    center_rows, center_vectors = read_centers(saved, gone)
    distance = np.zeros(len(part), np.int32)
    number = np.full(len(part), -1, np.int64)
    curve = np.zeros(len(center_rows), np.int32)
    if len(part):
        first, last = int(job.rows[0]), int(job.rows[-1])
        known = read_distances(saved, first, last)
        order = np.argsort(center_rows)
        place = np.searchsorted(center_rows, known["center"], sorter=order)
        owner = order[np.minimum(place, len(order) - 1)]
        at = np.minimum(np.searchsorted(job.rows, known["row"]), len(job.rows) - 1)
        valid = (center_rows[owner] == known["center"]) & (job.rows[at] == known["row"])
        distance[at[valid]] = known["distance"][valid]
        number[at[valid]] = owner[valid]
        for some in settled:
            own = slice(*np.searchsorted(some.rows, [first, last + 1]))
            at = np.searchsorted(job.rows, some.rows[own])
            distance[at], number[at] = some.distance[own], some.number[own]
            curve = np.maximum(curve, some.curve)
    return replace(restored(part, distance, number, center_rows, center_vectors), curve=curve)


def _vectors(job: PartitionJob, rows: np.ndarray) -> Vectors:
    store = Store.open(job.store)
    device = resolve_device(job.device)
    dim = store.settings.dim
    room = job.room_bytes
    if device.type == "cuda":
        room = int(GPU_SHARE * torch.cuda.mem_get_info(device)[0])
    kept_rows = None
    if room is not None:
        kept_rows = max(0, (room - STATE_BYTES * len(rows)) // (2 * dim))
    cuts = np.flatnonzero(np.diff(rows // store.block_rows)) + 1
    edges = np.unique([0, *cuts.tolist(), len(rows)])
    return Vectors(StoredUnits(job.store, rows, job.length), edges, dim, device, kept_rows)


def assign(part: Partition, centers: Centers, curve: bool) -> Partition:
    """See :func:`tasks.selection.partition.assign`."""
    return partition.assign(part, *centers, curve=curve)


def represented(
    part: Partition, centers: Centers, asked: np.ndarray
) -> tuple[Represented, np.ndarray, np.ndarray]:
    """See :func:`tasks.selection.partition.represented`."""
    return partition.represented(part, *centers, asked)


def save_partition(part: Partition, folder: str, number: int, center_rows: np.ndarray) -> int:
    """Write where a partition's units stand; see `tasks.store.selections`.

    Args:
        part: the partition.
        folder: of the generation.
        number: of the partition.
        center_rows: (c,) int64 of all centers that it was told of.

    Returns:
        How many units it has.
    """
    if len(part):
        rows, distance = part.rows.cpu().numpy(), part.distance.cpu().numpy()
        write_distances(folder, number, rows, distance, center_rows[part.center])
    return len(part)


def as_is(value: Any) -> Any:
    """Hold what several jobs need, once, where a lost worker's copy can be made again."""
    return value
