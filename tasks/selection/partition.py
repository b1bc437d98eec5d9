"""The part of the corpus that one worker holds, and the three things it does with it.

Everything is a pure function of lattice integers, so any split of the corpus into partitions, on
any device, gives the same answers to the bit.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch

from tasks.lattice import TILE_VALUES, on_device, squared_distances, squared_norms, tiles

FAR = 2**31 - 1
"""Distance of a row before there is any center: farther than anything."""


@dataclass(frozen=True)
class Partition:
    """Rows of the corpus and their distance to the nearest center.

    Attributes:
        rows: (n,) int64, ascending.
        vectors: (n, dim) int16 lattice.
        norms: (n,) int32 squared lengths.
        eligible: (n,) bool, may still be picked.
        distance: (n,) int32 squared distance to the nearest center; FAR before the first.
    """

    rows: torch.Tensor
    vectors: torch.Tensor
    norms: torch.Tensor
    eligible: torch.Tensor
    distance: torch.Tensor

    @classmethod
    def of(
        cls, rows: np.ndarray, vectors: np.ndarray, eligible: np.ndarray, device: torch.device
    ) -> "Partition":
        """Put rows on a device; the shapes are those of the attributes."""
        held = on_device(vectors, device)
        return cls(
            rows=on_device(rows, device),
            vectors=held,
            norms=squared_norms(held),
            eligible=on_device(eligible, device),
            distance=torch.full((len(rows),), FAR, dtype=torch.int32, device=device),
        )

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True)
class Candidates:
    """The farthest eligible rows of a partition, farthest first, ties by ascending row.

    Attributes:
        rows: (m,) int64.
        distance: (m,) int32 squared.
        vectors: (m, dim) int16 lattice.
        bar: (distance, row) of the farthest eligible row *not* among them, None if there is none.
    """

    rows: np.ndarray
    distance: np.ndarray
    vectors: np.ndarray
    bar: tuple[int, int] | None


def vector_sum(part: Partition) -> tuple[int, np.ndarray]:
    """Number of eligible rows and the (dim,) int64 sum of their vectors."""
    total = torch.zeros(part.vectors.shape[1], dtype=torch.int64, device=part.vectors.device)
    masks = torch.split(part.eligible, max(1, len(tiles(part.vectors)[0])))
    for tile, mask in zip(tiles(part.vectors), masks, strict=True):
        total += tile[mask].sum(dim=0, dtype=torch.int64)
    return int(part.eligible.sum()), total.cpu().numpy()


def most_central(part: Partition, count: int, total: np.ndarray) -> tuple[int, int] | None:
    """(score, row) of the eligible row nearest to the mean ``total / count``; lower is nearer.

    The score, count * |x|^2 - 2 x.total, is an exact integer: in float64 up to 5 * 10^8 rows.
    """
    if not bool(part.eligible.any()):
        return None
    mean = on_device(total.astype(np.float64), part.vectors.device)
    dots = torch.cat([tile.double() @ mean for tile in tiles(part.vectors)])
    scores = (count * part.norms.double() - 2 * dots).long()
    scores[~part.eligible] = torch.iinfo(torch.int64).max
    best = int(torch.nonzero(scores == scores.min())[0, 0])
    return int(scores[best]), int(part.rows[best])


def assign(part: Partition, rows: np.ndarray, vectors: np.ndarray) -> Partition:
    """Take new centers into account; the given partition is left as it is.

    Args:
        part: the partition.
        rows: (m,) int64 rows of the new centers, in this partition or not.
        vectors: (m, dim) int16 lattice.
    """
    device = part.vectors.device
    centers = on_device(vectors, device)
    center_norms = squared_norms(centers)
    wide = centers.float()
    distance = part.distance.clone()
    tile = max(1, TILE_VALUES // max(len(centers), part.vectors.shape[1], 1))
    for start in range(0, len(part), tile):
        here = slice(start, start + tile)
        found = squared_distances(part.vectors[here].float(), part.norms[here], wide, center_norms)
        distance[here] = torch.minimum(distance[here], found.amin(dim=1))
    picked = torch.isin(part.rows, on_device(rows, device))
    return replace(part, distance=distance, eligible=part.eligible & ~picked)


def candidates(part: Partition, count: int) -> Candidates:
    """The ``count`` farthest eligible rows; see :class:`Candidates`."""
    # One key orders by distance, then by place; rows ascend, so the lower row has the higher key.
    place = torch.arange(len(part), device=part.rows.device)
    key = (part.distance.long() << 32) + (2**32 - 1 - place)
    key = torch.where(part.eligible, key, -1)
    best = torch.topk(key, min(count + 1, len(part))).indices
    best = best[key[best] >= 0]
    top = best[:count]
    bar = None
    if len(best) > count:
        bar = int(part.distance[best[count]]), int(part.rows[best[count]])
    return Candidates(
        rows=part.rows[top].cpu().numpy(),
        distance=part.distance[top].cpu().numpy(),
        vectors=part.vectors[top].cpu().numpy(),
        bar=bar,
    )


def coverage(part: Partition, subset: np.ndarray) -> tuple[int, float, int]:
    """How well a subset covers the partition's rows.

    Args:
        part: the partition.
        subset: (m, dim) int16 lattice.

    Returns:
        The largest squared distance of a row to its nearest subset vector, the sum of the
        (unsquared) lattice distances, and the number of rows.
    """
    if len(part) == 0:
        return 0, 0.0, 0
    fresh = replace(part, distance=torch.full_like(part.distance, FAR))
    nearest = assign(fresh, np.empty(0, np.int64), subset).distance
    return int(nearest.max()), float(nearest.double().sqrt().sum()), len(part)
