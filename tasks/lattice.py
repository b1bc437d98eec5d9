"""Distances of lattice vectors (see `scale`) on any device, exact and reproducible to the bit.

All partial sums of a dot product of two such vectors are integers below 2^24 (Cauchy-Schwarz),
hence a float32 matrix product over them is exact in any order, on any device, with TF32 off.
Squared distances reach 4 * 4064^2 < 2^26 and are formed in int32.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from coreframe.tasks.lazy import torch
from coreframe.tasks.scale import SCALE

TILE_VALUES: Final[Mapping[str, int]] = MappingProxyType({"cpu": 2**19, "cuda": 2**26})
"""By type of device, values widened to float32, and scores formed, at a time: 2 MiB stay in a
core's cache, and 256 MiB keep a GPU busy for much longer than it takes to start a kernel."""


def quantise(vectors: torch.Tensor) -> torch.Tensor:
    """(n, dim) float unit vectors to (n, dim) int16 lattice, on the same device."""
    return torch.round(vectors.double() * SCALE).to(torch.int16)


def on_device(array: NDArray[Any], device: torch.device) -> torch.Tensor:
    """Bring an array to a device. What Dask hands over may be read-only, which torch cannot be."""
    return torch.from_numpy(np.require(array, requirements=["C", "W"])).to(device)


def square_roots(values: torch.Tensor) -> torch.Tensor:
    """Square roots of float64 numbers, correctly rounded as IEEE 754 asks, on any device.

    On a CPU NumPy forms them: those of torch 2.13 with Intel's library are off in the last place
    for one number in seventy, 51 among them (``findings/torch-cpu-square-roots.sh``).
    """
    if values.device.type == "cpu":
        return torch.from_numpy(np.sqrt(values.numpy()))
    return values.sqrt()


def squared_norms(vectors: torch.Tensor, tile_values: int | None = None) -> torch.Tensor:
    """(n, dim) int16 lattice to (n,) int32 squared lengths.

    Args:
        vectors: the vectors.
        tile_values: twice as many as are widened at a time; by default TILE_VALUES of the device.
    """
    rows, dim = vectors.shape
    norms = torch.empty(rows, dtype=torch.int32, device=vectors.device)
    step = max(1, (tile_values or TILE_VALUES[vectors.device.type]) // max(1, 2 * dim))
    # one buffer for all tiles, see Workspace: with fresh memory for each it took ten times as long
    buffer = torch.empty((min(step, rows), dim), dtype=torch.float32, device=vectors.device)
    for start in range(0, rows, step):
        some = vectors[start : start + step]
        wide = buffer[: len(some)].copy_(some)
        norms[start : start + step] = wide.square_().sum(dim=1)
    return norms


class Workspace:
    """Memory for the vectors and scores of one tile, made once and used for tile after tile.

    Fresh memory for each tile is not only slow: glibc before 2.38 does not find freed aligned
    memory again, and a worker was seen to grow by 200 MB in a tenth of a second.

    Attributes:
        scores: a float32 buffer for the scores of one tile.
    """

    def __init__(
        self, dim: int, targets: int, device: torch.device, tile_values: int | None = None
    ) -> None:
        """Allocate it.

        Args:
            dim: of the vectors.
            targets: with which they have scores, at most.
            device: where it lies.
            tile_values: values of a tile at most; by default TILE_VALUES of the device.
        """
        self._tile_values = tile_values or TILE_VALUES[device.type]
        values = max(self._tile_values, dim)
        self._integers = torch.empty(values, dtype=torch.int16, device=device)
        self._wide = torch.empty(values, dtype=torch.float32, device=device)
        self.scores = torch.empty(max(values, targets), dtype=torch.float32, device=device)

    def tiles(
        self, rows: int, dim: int, targets: int = 1, most_rows: int | None = None
    ) -> Iterator[slice]:
        """Cut ``rows`` so that a tile's vectors, and scores with so many targets, fit.

        Args:
            rows: how many there are.
            dim: of their vectors.
            targets: with which they have scores.
            most_rows: rows of a tile at most; by default as many as fit.
        """
        step = max(1, self._tile_values // max(1, dim, targets))
        step = step if most_rows is None else min(step, most_rows)
        for start in range(0, rows, step):
            yield slice(start, min(start + step, rows))

    def widen(self, vectors: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        """(n, dim) float32 of the int16 vectors at n places; valid until the next call."""
        count, dim = len(places), vectors.shape[1]
        integers = self._integers[: count * dim].view(count, dim)
        torch.index_select(vectors, 0, places, out=integers)
        return self._wide[: count * dim].view(count, dim).copy_(integers)


def squared_distances(
    left: torch.Tensor, left_norms: torch.Tensor, right: torch.Tensor, right_norms: torch.Tensor
) -> torch.Tensor:
    """(n, m) int32 exact squared distances.

    Args:
        left: (n, dim) float32 holding lattice integers.
        left_norms: (n,) int32 squared lengths.
        right: (m, dim) float32 holding lattice integers.
        right_norms: (m,) int32 squared lengths.
    """
    dots = (left @ right.T).to(torch.int32)
    return left_norms[:, None] + right_norms[None, :] - 2 * dots


@dataclass(frozen=True)
class Targets:
    """Vectors made ready for finding, exactly and cheaply, which of them is nearest to others.

    Written |c|^2 = SCALE^2 + 2h - p with an integer h and p 0 or 1, the squared distance of x and c
    is |x|^2 + SCALE^2 - p - 2 (x.c - h). The score x.c - h is an integer that a float32 product
    gives exactly: its partial sums stay below 4064^2 + (4064^2 - SCALE^2) / 2 < 2^24. So the
    nearest is the one with the highest score, found among float32 numbers without forming a matrix
    of integers; among equal scores those with p = 1 are nearer, and stand first.

    Attributes:
        wide: (m, dim) float32 holding lattice integers, those with p = 1 first.
        offset: (m, 1) float32, -h.
        norms: (m,) int32 squared lengths.
        odd: how many have p = 1.
        place: (m,) int64, where each stood among the vectors given; ascending among equal p.
    """

    wide: torch.Tensor
    offset: torch.Tensor
    norms: torch.Tensor
    odd: int
    place: torch.Tensor

    @classmethod
    def from_lattice(cls, vectors: torch.Tensor, tile_values: int | None = None) -> Targets:
        """Prepare (m, dim) int16 lattice vectors; see :func:`squared_norms` for the tiles."""
        norms = squared_norms(vectors, tile_values)
        odd = (norms - SCALE**2) & 1
        place = torch.argsort(odd, descending=True, stable=True)
        norms, odd = norms[place], odd[place]
        half = (norms - SCALE**2 + odd) // 2
        wide = vectors.index_select(0, place).float()
        return cls(wide, -half.float()[:, None], norms, int(odd.sum()), place)

    def __len__(self) -> int:
        return int(self.wide.shape[0])

    def at(self, chosen: torch.Tensor) -> Targets:
        """Those at ascending positions (int64) of these; ``place`` and ``norms`` stay whole."""
        return replace(
            self,
            wide=self.wide.index_select(0, chosen),
            offset=self.offset.index_select(0, chosen),
            odd=int((chosen < self.odd).sum()),
        )

    def at_slice(self, chosen: slice) -> Targets:
        """Those side by side at a slice of positions; otherwise as :meth:`at`."""
        start, stop, _ = chosen.indices(len(self))
        odd = min(max(self.odd - start, 0), stop - start)
        return replace(self, wide=self.wide[chosen], offset=self.offset[chosen], odd=odd)

    def scores(self, wide: torch.Tensor, workspace: Workspace | None = None) -> torch.Tensor:
        """(m, n) float32 scores of (n, dim) float32 vectors that hold lattice integers.

        They lie in the workspace, if one is given, and are valid until it is used again.
        """
        if workspace is None:
            return torch.addmm(self.offset, self.wide, wide.T)
        shape = len(self.wide), len(wide)
        buffer = workspace.scores[: shape[0] * shape[1]].view(shape)
        return torch.addmm(self.offset, self.wide, wide.T, out=buffer)

    @staticmethod
    def least_score(norms: torch.Tensor, squared: torch.Tensor) -> torch.Tensor:
        """(n,) float32: whoever scores no more is no nearer than ``squared``, (n,) of any type."""
        return ((norms + SCALE**2 - 1 - squared) / 2 - 1).float()

    def nearest(self, scores: torch.Tensor, norms: torch.Tensor) -> torch.Tensor:
        """(n,) int32 squared distance to the nearest of these.

        Args:
            scores: of the n vectors.
            norms: (n,) int32, their squared lengths.
        """
        best = [
            2 * part.amax(dim=0).to(torch.int32) + parity
            for part, parity in ((scores[: self.odd], 1), (scores[self.odd :], 0))
            if len(part)
        ]
        return norms + (SCALE**2 - (torch.maximum(*best) if len(best) == 2 else best[0]))

    def squared(self, scores: torch.Tensor, norms: torch.Tensor) -> torch.Tensor:
        """(m, n) int32 squared distances; arguments as of :meth:`nearest`."""
        distance = norms[None, :] + SCALE**2 - 2 * scores.to(torch.int32)
        distance[: self.odd] -= 1
        return distance
