"""What every row would bring as the next center: all pairs of rows, each formed once.

A distance counts for both of its rows, so half of the products do. Rows are cut into tiles, and of
two tiles of different partitions one of the two processes forms the products: the lower tile's if
their numbers differ by an odd number, else the higher tile's. So all have the same share of the
work. The vectors of other partitions come from the store itself, tile by tile.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from coreframe.tasks.facility.gaps import SUMMED, Gaps
from coreframe.tasks.facility.standing import Standing
from coreframe.tasks.kcenter.vectors import Source
from coreframe.tasks.lattice import Targets, on_device
from coreframe.tasks.lazy import torch


class Tiles(NamedTuple):
    """All units of a corpus, in runs side by side that are in one stretch of one partition."""

    source: Source
    """Reads the vectors of any of them."""
    edges: NDArray[np.int64]
    """(t + 1,) places where tiles begin, and at last the number of units."""
    owner: NDArray[np.int32]
    """(t,) the number of the partition that has each."""
    local: NDArray[np.int64]
    """(t,) where in its partition each begins."""
    stretch: NDArray[np.int64]
    """(t,) its stretch, of those of all partitions one after the other."""


class PairSums(NamedTuple):
    """Sums over the pairs that one process formed."""

    distances: NDArray[np.int64]
    """(u,) of each unit the sum of its distances to others, in whole lattice units."""
    at_own: NDArray[np.int32]
    """(o, u) what each unit would save each of the partition's own stretches."""
    of_own: NDArray[np.int32]
    """(s, n) what each unit of the partition would save each stretch."""
    formed: int
    """Distances formed."""


def forms(tiles: Tiles, own: int, other: int) -> bool:
    """Whether the process that has tile ``own`` forms its products with another, or itself."""
    if tiles.owner[own] == tiles.owner[other]:
        return own <= other
    return (own + other) % 2 == int(own < other)


def pair_sums(standing: Standing, tiles: Tiles, gap: NDArray[np.int16], number: int) -> PairSums:
    """Go through the pairs that are this partition's to form.

    Args:
        standing: the partition.
        tiles: all units.
        gap: (u,) of all units, to their nearest center.
        number: of the partition.
    """
    part = standing.part
    device, dim, tile_values = part.rows.device, part.vectors.dim, part.tuning.tile_values
    own = np.flatnonzero(tiles.owner == number).tolist()
    gaps = Gaps(dim, SUMMED, device, tile_values)
    sums = _Sums(on_device(gap, device).float(), tiles, number, gaps.values)
    for other in range(len(tiles.owner)):
        mine = [tile for tile in own if forms(tiles, tile, other)]
        if not mine:
            continue
        start, stop = tiles.edges[other : other + 2].tolist()
        if tiles.owner[other] == number:
            vectors = part.vectors.at(sums.places(other))
        else:
            vectors = on_device(tiles.source.read(start, stop), device)
        targets = Targets.from_lattice(vectors, tile_values)
        for tile in mine:
            places = sums.places(tile)
            for asked, chunk, at in part.vectors.chunks(places):
                here = places[asked]
                for rows in gaps.tiles(len(at), 1):
                    norms = part.vectors.norms.index_select(0, here[rows])
                    wide = gaps.widen(chunk, at[rows])
                    for some in gaps.target_tiles(len(targets), len(wide)):
                        formed = gaps(targets.at_slice(some), wide, norms)
                        sums.add(formed, tile, here[rows], other, start + targets.place[some])
    return sums.found()


class _Sums:
    """The sums of one partition while they grow."""

    def __init__(self, gap: torch.Tensor, tiles: Tiles, number: int, values: int) -> None:
        """Begin at 0.

        Args:
            gap: (u,) float32 of all units.
            tiles: all units.
            number: of the partition.
            values: distances at most that are added together.
        """
        device, mine = gap.device, np.flatnonzero(tiles.owner == number)
        self._gap, self._tiles, self._formed, self._device = gap, tiles, 0, device
        self._sizes = np.diff(tiles.edges)
        stretches = tiles.stretch[mine]
        self._first = int(stretches.min(initial=len(gap))) if len(mine) else 0
        own_stretches = len(np.unique(stretches))
        rows, every = int(self._sizes[mine].sum()), int(tiles.stretch.max(initial=-1)) + 1
        self._at_own = gap.new_zeros((own_stretches, len(gap)), dtype=torch.int32)
        self._of_own = gap.new_zeros((every, rows), dtype=torch.int32)
        self._distances = torch.zeros(len(gap), dtype=torch.float64, device=device)
        self._spare = torch.empty(values, device=device)

    def places(self, tile: int) -> torch.Tensor:
        """The places in the partition of one of its tiles."""
        first = int(self._tiles.local[tile])
        return torch.arange(first, first + int(self._sizes[tile]), device=self._device)

    def add(
        self, formed: torch.Tensor, tile: int, rows: torch.Tensor, other: int, targets: torch.Tensor
    ) -> None:
        """Add some distances.

        Args:
            formed: (m, n) float32.
            tile: the partition's own that their rows are of.
            rows: (n,) int64 places of these in the partition.
            other: the tile that their targets are of.
            targets: (m,) int64 units.
        """
        tiles = self._tiles
        self._formed += formed.numel()
        spare = self._spare[: formed.numel()].view(formed.shape)
        units = rows + (int(tiles.edges[tile]) - int(tiles.local[tile]))
        gap = self._gap.index_select(0, units)
        saved = gap.sum() - torch.minimum(formed, gap[None], out=spare).sum(dim=1)
        self._at_own[int(tiles.stretch[tile]) - self._first].index_add_(0, targets, saved.int())
        self._distances.index_add_(0, targets, formed.sum(dim=1).double())
        if tile == other:  # each pair is there twice
            return
        gap = self._gap.index_select(0, targets)
        saved = gap.sum() - torch.minimum(formed, gap[:, None], out=spare).sum(dim=0)
        self._of_own[int(tiles.stretch[other])].index_add_(0, rows, saved.int())
        self._distances.index_add_(0, units, formed.sum(dim=0).double())

    def found(self) -> PairSums:
        """What they came to."""
        return PairSums(
            self._distances.long().cpu().numpy(),
            self._at_own.cpu().numpy(),
            self._of_own.cpu().numpy(),
            self._formed,
        )
