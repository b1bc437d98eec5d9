"""Lists of the pairs that still matter: rows, and candidates nearer to them than their centers.

Once there are some centers, most rows are farther from most candidates than from their center, and
will always be. The few other pairs are formed once and kept, by row. When a center changes some
rows, the pairs in their lists say by how much every listed candidate brings less: exactly, and
without a product.

Which rows a group of candidates may be nearer to is asked of one row a center first, by the
triangle inequality: a row x with center c, and an anchor a with the same center, are apart by
d(x, c) + d(a, c) at most, so a candidate j can only be nearer to x than c is where
d(j, a) < 2 d(x, c) + d(a, c).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from coreframe.tasks.facility.gaps import SUMMED, whole_gaps
from coreframe.tasks.kcenter.partition import Partition
from coreframe.tasks.kcenter.vectors import Source
from coreframe.tasks.lattice import Targets, Workspace, on_device, squared_distances, squared_norms
from coreframe.tasks.lazy import torch
from coreframe.tasks.scale import SCALE

BLOCK_ROWS = 2**14
"""Rows whose lists are put in order together; their places in it fit in int16."""

SLACK = 2.0
"""Lattice units by which bounds are loosened: gaps are rounded by half of one."""


class Block(NamedTuple):
    """The lists of rows side by side."""

    start: torch.Tensor
    """(r + 1,) int64: where each row's list begins, and at last their length."""
    candidate: torch.Tensor
    """(p,) int32 positions among the candidates."""
    apart: torch.Tensor
    """(p,) int16 their gaps to the row."""


class Sums(NamedTuple):
    """What some candidates bring, or bring less."""

    candidate: NDArray[np.int32]
    """(c,) ascending positions among the candidates; others nothing."""
    amount: NDArray[np.int64]
    """(c,) in whole lattice units, over the rows of a partition."""


@dataclass(frozen=True)
class Lists:
    """The pairs of one partition's rows and some candidates.

    Attributes:
        count: candidates.
        blocks: of all rows.
        formed: distances formed for them.
        sums: at first what candidates bring, then by how much less after the last centers.
    """

    count: int
    blocks: tuple[Block, ...]
    formed: int
    sums: Sums

    @property
    def nbytes(self) -> int:
        """Bytes of the lists."""
        return sum(tensor.nbytes for block in self.blocks for tensor in block)

    def lost(self, before: torch.Tensor, now: torch.Tensor) -> Sums:
        """By how much less candidates bring, given the (n,) gaps before and now."""
        total = torch.zeros(self.count, dtype=torch.int64, device=now.device)
        changed = torch.nonzero(now < before).flatten()
        numbers = changed // BLOCK_ROWS
        for number in torch.unique_consecutive(numbers).tolist():
            block, places = self.blocks[number], changed[numbers == number]
            own = places - number * BLOCK_ROWS
            start = block.start[own]
            lengths = block.start[own + 1] - start
            shift = torch.repeat_interleave(start - torch.cumsum(lengths, 0) + lengths, lengths)
            at = torch.arange(len(shift), device=now.device) + shift
            upper = torch.repeat_interleave(before[places].int(), lengths)
            lower = torch.repeat_interleave(now[places].int(), lengths)
            less = (upper - torch.maximum(block.apart[at].int(), lower)).clamp_(min=0)
            total.index_add_(0, block.candidate[at], less.long())
        return _sums(total)


def make_lists(part: Partition, gap: torch.Tensor, source: Source, units: NDArray) -> Lists:
    """Form the pairs that matter.

    Args:
        part: the partition, with centers.
        gap: (n,) float32 of its rows.
        source: reads the vectors of all units.
        units: (c,) int64 ascending, the candidates.
    """
    device, dim, tile_values = gap.device, part.vectors.dim, part.tuning.tile_values
    reach, formed = _Reach(part, gap), 0
    workspace = Workspace(dim, SUMMED, device, tile_values)
    total = torch.zeros(len(units), dtype=torch.int64, device=device)
    found: list[list[tuple[torch.Tensor, ...]]] = [
        [] for _ in range(0, max(1, len(part)), BLOCK_ROWS)
    ]
    for first in range(0, len(units), SUMMED):
        read = _read(source, units[first : first + SUMMED], part)
        targets = Targets.from_lattice(on_device(read, device), tile_values)
        places = reach.rows(targets)
        formed += len(places) * len(targets)
        for rows, scores in _scores(part, places, targets, workspace):
            own, at, apart = _pairs(scores, targets, part.vectors.norms[rows], gap[rows])
            at = (targets.place[at] + first).int()
            total.index_add_(0, at, (gap[rows][own] - apart).long())
            number = int(rows[0]) // BLOCK_ROWS
            own = (rows[own] - number * BLOCK_ROWS).short()
            found[number].append((own, at, apart.short()))
    blocks = []
    for number in range(len(found)):
        size = min(BLOCK_ROWS, len(part) - number * BLOCK_ROWS)
        blocks.append(_block(found[number], size, device))
        found[number] = []
    return Lists(len(units), tuple(blocks), formed, _sums(total))


def _read(source: Source, units: NDArray[np.int64], part: Partition) -> NDArray[np.int16]:
    """(c, dim) lattice of ascending units, a chunk of the corpus at a time."""
    found = np.empty((len(units), part.vectors.dim), np.int16)
    step, start = part.tuning.rows_read_together(part.vectors.dim), 0
    while start < len(units):
        first = int(units[start])
        stop = int(np.searchsorted(units, first + step))
        some = source.read(first, int(units[stop - 1]) + 1)
        found[start:stop] = some[units[start:stop] - first]
        start = stop
    return found


def _scores(
    part: Partition, places: torch.Tensor, targets: Targets, workspace: Workspace
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Rows tile by tile, each of one block, and their (m, r) scores; valid until the next."""
    for asked, chunk, index in part.vectors.chunks(places):
        here = places[asked]
        edges = torch.unique_consecutive(here // BLOCK_ROWS, return_counts=True)[1].tolist()
        for rows, at in zip(here.split(edges), index.split(edges), strict=True):
            for tile in workspace.tiles(len(rows), part.vectors.dim, len(targets)):
                yield rows[tile], targets.scores(workspace.widen(chunk, at[tile]), workspace)


def _pairs(
    scores: torch.Tensor, targets: Targets, norms: torch.Tensor, gap: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(p,) rows, targets and float32 gaps of the pairs that are nearer than the (r,) gaps."""
    least = Targets.least_score(norms, gap.double().square())
    flat = torch.nonzero((scores > least).flatten()).flatten()
    at = torch.div(flat, len(norms), rounding_mode="floor")
    own = flat - at * len(norms)
    squared = norms[own] + SCALE**2 - 2 * scores.flatten()[flat].int() - (at < targets.odd).int()
    apart = whole_gaps(squared)
    kept = torch.nonzero(apart < gap[own]).flatten()
    return own[kept], at[kept], apart[kept]


def _block(found: list[tuple[torch.Tensor, ...]], rows: int, device: torch.device) -> Block:
    """Put pairs in order by their rows."""
    start = torch.zeros(rows + 1, dtype=torch.int64, device=device)
    if not found:
        return Block(start, start[:0].int(), start[:0].short())
    own = torch.cat([some for some, _, _ in found])
    order = torch.argsort(own, stable=True)
    start[1:] = torch.cumsum(torch.bincount(own.int(), minlength=rows), 0)
    candidate = torch.cat([some for _, some, _ in found]).index_select(0, order)
    return Block(start, candidate, torch.cat([some for _, _, some in found])[order])


def _sums(total: torch.Tensor) -> Sums:
    places = torch.nonzero(total).flatten()
    return Sums(places.int().cpu().numpy(), total[places].cpu().numpy())


class _Reach:
    """Which rows candidates may be nearer to than their centers."""

    def __init__(self, part: Partition, gap: torch.Tensor) -> None:
        """Take of every center's rows the nearest as an anchor."""
        self._gap = gap
        nearest_first = torch.argsort(part.distance, stable=True)
        owner = part.owner.index_select(0, nearest_first)
        by_owner = torch.argsort(owner, stable=True)
        _, cell, sizes = torch.unique_consecutive(
            owner[by_owner], return_inverse=True, return_counts=True
        )
        self._cell = torch.empty_like(cell)
        rows = nearest_first[by_owner]
        self._cell[rows] = cell
        anchors, order = rows[torch.cumsum(sizes, 0) - sizes].sort()
        vectors = torch.empty(
            (len(anchors), part.vectors.dim), dtype=torch.float32, device=gap.device
        )
        vectors[order] = part.vectors.at(anchors).float()
        self._anchors, self._norms = vectors, squared_norms(vectors, part.tuning.tile_values)
        far = part.distance.double().sqrt()
        to_center = torch.empty(len(anchors), dtype=torch.float64, device=gap.device)
        to_center[order] = far[anchors]
        self._limit = 2 * far + to_center[self._cell] + SLACK

    def rows(self, targets: Targets) -> torch.Tensor:
        """(r,) int64 ascending places of those that any of some candidates may be nearer to."""
        squared = squared_distances(self._anchors, self._norms, targets.wide, targets.norms)
        nearest = squared.amin(dim=1).double().sqrt()
        near = nearest.index_select(0, self._cell) < self._limit
        return torch.nonzero(near & (self._gap > 0)).flatten()
