"""The part of the corpus that one worker holds, and what it does with it.

Everything is a pure function of lattice integers, so any split of the corpus into partitions, on
any device, gives the same answers to the bit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coreframe.tasks.kcenter.exchange import Near, Pairs
from coreframe.tasks.kcenter.pruning import CenterCells
from coreframe.tasks.kcenter.sketch import Sketch
from coreframe.tasks.kcenter.tuning import Tuning
from coreframe.tasks.kcenter.vectors import Vectors
from coreframe.tasks.lattice import TILE_VALUES, Workspace, on_device
from coreframe.tasks.lazy import torch

FAR = 2**28
"""Squared distance of a row before there is any center: farther than any two rows can be."""


@dataclass(frozen=True)
class Partition:
    """Rows of the corpus, and where each stands in the selection.

    Attributes:
        rows: (n,) int64, ascending.
        vectors: their vectors, (n, dim) int16 lattice.
        open: (n,) bool, may still be picked.
        weight: (n,) int64 by which the squared distance is multiplied to say which row comes
            next, or None when all rows are alike.
        group: (n,) int32, see :class:`coreframe.tasks.kcenter.goal.Quota`, or None without one.
        distance: (n,) int32 squared distance to the nearest center; FAR before the first.
        owner: (n,) int32, that center's place in ``centers``; of equally near ones the earliest.
        sketch: what rules out distances; made with the first center if it is None.
        centers: the centers so far.
        distances_formed: (row, center) distances formed so far.
        rough_distances_formed: distances between sketches, or in bfloat16, formed so far.
        curve: (m,) int32, the largest squared distance in the partition after each of the last m
            centers; None unless asked for.
    """

    rows: torch.Tensor
    vectors: Vectors
    open: torch.Tensor
    weight: torch.Tensor | None
    group: torch.Tensor | None
    distance: torch.Tensor
    owner: torch.Tensor
    sketch: Sketch | None = None
    centers: CenterCells | None = None
    distances_formed: int = 0
    rough_distances_formed: int = 0
    curve: NDArray[np.int32] | None = None

    @classmethod
    def without_centers(
        cls,
        rows: NDArray[np.int64],
        vectors: Vectors,
        *,
        weight: NDArray[np.int64] | None = None,
        group: NDArray[np.int32] | None = None,
    ) -> Partition:
        """Begin with no center; the shapes are those of the attributes."""
        device, count = vectors.device, len(rows)
        return cls(
            rows=on_device(rows, device),
            vectors=vectors,
            open=torch.ones(count, dtype=torch.bool, device=device),
            weight=None if weight is None else on_device(weight, device),
            group=None if group is None else on_device(group, device),
            distance=torch.full((count,), FAR, dtype=torch.int32, device=device),
            owner=torch.full((count,), -1, dtype=torch.int32, device=device),
        )

    def __len__(self) -> int:
        return len(self.rows)

    def __sizeof__(self) -> int:
        """Bytes, so that Dask knows what moving this would cost."""
        each = (self.rows, self.open, self.distance, self.owner)
        return self.vectors.__sizeof__() + sum(tensor.nbytes for tensor in each)

    @property
    def tuning(self) -> Tuning:
        """How it is worked on."""
        return self.vectors.tuning

    @property
    def center(self) -> NDArray[np.int64]:
        """(n,) int64, each row's nearest center in the order of their arrival; -1 for none."""
        if self.centers is None:
            return np.full(len(self), -1)
        return self.centers.number.index_select(0, self.owner).cpu().numpy()


@dataclass(frozen=True)
class Farthest:
    """The rows of a partition that may be picked next.

    Attributes:
        rows: (s,) int64, first those with the largest key, ties by ascending row.
        distance: (s,) int64 squared.
        keys: (s,) int64, squared distance times weight.
        pickable: how many there are in all.
        unpicked: how many rows are not picked, though their group may be full or they too near.
        largest: squared distance of the farthest row, pickable or not.
        distances_formed: see :class:`Partition`.
        rough_distances_formed: see :class:`Partition`.
        curve: see :class:`Partition`.
    """

    rows: NDArray[np.int64]
    distance: NDArray[np.int64]
    keys: NDArray[np.int64]
    pickable: int
    unpicked: int
    largest: int
    distances_formed: int
    rough_distances_formed: int
    curve: NDArray[np.int32] | None


def vector_sum(part: Partition) -> tuple[int, NDArray[np.int64]]:
    """The number of rows and their (dim,) int64 lattice sum."""
    dim = part.vectors.dim
    total = torch.zeros(dim, dtype=torch.float64, device=part.rows.device)
    workspace = Workspace(dim, 1, part.rows.device, part.tuning.tile_values)
    for _, vectors, index in part.vectors.chunks():
        # of 4096 rows the sums are exact in float32, for 4096 * 4064 < 2^24
        for tile in workspace.tiles(len(index), dim, most_rows=4096):
            total += workspace.widen(vectors, index[tile]).sum(dim=0)
    return len(part), total.long().cpu().numpy()


def most_central(
    part: Partition,
    count: int,
    total: NDArray[np.int64],
    closed: NDArray[np.int32] | None = None,
) -> tuple[int, int] | None:
    """(score, row) of the row nearest to the mean ``total / count``; lower is nearer.

    The score, count * |x|^2 - 2 x.total, is an exact integer: in float64 up to 5 * 10^8 rows.

    Args:
        part: the partition.
        count: rows of all partitions.
        total: (dim,) sum of all rows.
        closed: (c,) int32 groups whose rows do not count; None when there is no quota.
    """
    shut = torch.zeros(len(part), dtype=torch.bool, device=part.rows.device)
    if closed is not None and part.group is not None:
        shut = torch.isin(part.group, on_device(closed, part.group.device))
    if bool(shut.all()):
        return None
    exact = on_device(total.astype(np.float64), part.rows.device)
    mean = (exact / count).float()
    best: tuple[int, int] | None = None
    dim = part.vectors.dim
    workspace = Workspace(dim, 1, mean.device, part.tuning.tile_values)
    for asked, vectors, index in part.vectors.chunks():
        norms = part.vectors.norms[asked]
        about = norms.float()
        for tile in workspace.tiles(len(index), dim):
            about[tile] -= 2 * (workspace.widen(vectors, index[tile]) @ mean)
        about[shut[asked]] = torch.inf
        if bool(shut[asked].all()):
            continue
        # float32 errs by less than dim * 2^-23 of |x| |mean| < 2^24, twice: look again, exactly
        again = torch.nonzero(about <= about.min() + (16 + 8 * dim)).flatten()
        for tile in workspace.tiles(len(again), dim):
            places = again[tile]
            dots = vectors.index_select(0, index.index_select(0, places)).double() @ exact
            scores = (count * norms.index_select(0, places).double() - 2 * dots).long()
            place = int(torch.nonzero(scores == scores.min())[0, 0])
            found = int(scores[place]), int(part.rows[asked][places[place]])
            best = found if best is None else min(best, found)
    return best


def farthest(
    part: Partition,
    count: int,
    squared_threshold: int,
    closed: NDArray[np.int32] | None = None,
) -> Farthest:
    """The ``count`` rows to be picked next; see :class:`Farthest`.

    Args:
        part: the partition.
        count: how many to name at most.
        squared_threshold: rows nearer than this to a center are not picked.
        closed: (c,) int32 groups of which no row is picked now.
    """
    pickable = part.open & (part.distance >= squared_threshold)
    if closed is not None and part.group is not None:
        pickable &= ~torch.isin(part.group, on_device(closed, part.group.device))
    keys = part.distance if part.weight is None else part.distance * part.weight
    keys = torch.where(pickable, keys, -1)
    available = int(pickable.sum())
    count = min(count, available)
    places = torch.empty(0, dtype=torch.int64, device=part.rows.device)
    if count:
        least = torch.topk(keys, count).values[-1]
        above = torch.nonzero(keys > least).flatten()
        ties = torch.nonzero(keys == least).flatten()[: count - len(above)]
        places = torch.cat([above[torch.argsort(keys[above], descending=True, stable=True)], ties])
    return Farthest(
        rows=part.rows[places].cpu().numpy(),
        distance=part.distance[places].long().cpu().numpy(),
        keys=keys[places].long().cpu().numpy(),
        pickable=available,
        unpicked=int(part.open.sum()),
        largest=int(part.distance.max()) if len(part) else 0,
        distances_formed=part.distances_formed,
        rough_distances_formed=part.rough_distances_formed,
        curve=part.curve,
    )


def collect(part: Partition, rows: NDArray[np.int64]) -> NDArray[np.int16]:
    """(k, dim) int16 lattice of ascending rows of its own."""
    places = torch.searchsorted(part.rows, on_device(rows, part.rows.device))
    return part.vectors.at(places).cpu().numpy()


def near(part: Partition, pairs: Pairs) -> Near:
    """Of pairs of one of its rows and a pick those that are near each other."""
    device, dim = part.rows.device, part.vectors.dim
    places = torch.searchsorted(part.rows, on_device(pairs.rows, device))
    of, picks = on_device(pairs.of, device), on_device(pairs.picks, device)
    step = max(1, TILE_VALUES[device.type] // dim)
    kept = [torch.empty(0, dtype=torch.int64, device=device)]
    vectors = [torch.empty((0, dim), dtype=torch.int16, device=device)]
    apart = [torch.empty(0, dtype=torch.int32, device=device)]
    for start in range(0, len(places), step):
        own = part.vectors.at(places[start : start + step])
        wide, other = own.float(), picks.index_select(0, of[start : start + step]).float()
        # three sums of whole numbers, each exact: see `lattice`
        squared = wide.square().sum(dim=1).int() + other.square().sum(dim=1).int()
        squared -= 2 * (wide * other).sum(dim=1).int()
        enough = torch.nonzero(squared <= pairs.squared_within).flatten()
        kept.append(start + enough)
        vectors.append(own.index_select(0, enough))
        apart.append(squared.index_select(0, enough))
    at = torch.cat(kept)
    return Near(
        place=at.cpu().numpy(),
        vectors=torch.cat(vectors).cpu().numpy(),
        apart=torch.cat(apart).long().cpu().numpy(),
        squared=part.distance.index_select(0, places.index_select(0, at)).long().cpu().numpy(),
    )
