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

FIRST = 2**15
"""What is taken off positions of candidates, so that they fit in int16."""

MOST_LISTED = 2 * FIRST
"""Candidates at most."""

SLACK = 2.0
"""Lattice units by which bounds are loosened: gaps are rounded by half of one."""


class Block(NamedTuple):
    """The lists of rows side by side."""

    start: torch.Tensor
    """(r + 1,) int64: where each row's list begins, and at last their length."""
    candidate: torch.Tensor
    """(p,) int16 positions among the candidates, less FIRST."""
    apart: torch.Tensor
    """(p,) int16 their gaps to the row."""


class Found(NamedTuple):
    """Some pairs of a block."""

    own: torch.Tensor
    """(p,) int16 places of the rows in it."""
    candidate: torch.Tensor
    """(p,) int16, see `Block`."""
    apart: torch.Tensor
    """(p,) int16 their gaps."""


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
        units: (c,) int64 ascending, the candidates.
        blocks: of all rows.
        formed: distances formed for them, beside those of lists that there were.
        sums: at first what candidates bring, then by how much less after the last centers.
    """

    units: NDArray[np.int64]
    blocks: tuple[Block, ...]
    formed: int
    sums: Sums

    @property
    def nbytes(self) -> int:
        """Bytes of the lists."""
        return sum(tensor.nbytes for block in self.blocks for tensor in block)

    def lost(self, before: torch.Tensor, now: torch.Tensor) -> Sums:
        """By how much less candidates bring, given the (n,) gaps before and now."""
        total = torch.zeros(len(self.units), dtype=torch.int64, device=now.device)
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
            total.index_add_(0, block.candidate[at].int() + FIRST, less.long())
        return _sums(total)

    def left(self, number: int, units: NDArray[np.int64], gap: torch.Tensor) -> Found:
        """What of a block still matters.

        Args:
            number: of the block.
            units: (d,) int64 ascending, the candidates that still do.
            gap: (n,) float32 of all rows now.
        """
        block, device = self.blocks[number], gap.device
        at = np.searchsorted(units, self.units).clip(max=len(units) - 1)
        now = on_device(np.where(units[at] == self.units, at, -1), device)
        at = now.index_select(0, block.candidate.int() + FIRST)
        rows = torch.arange(len(block.start) - 1, dtype=torch.int16, device=device)
        own = torch.repeat_interleave(rows, torch.diff(block.start))
        gap = gap[number * BLOCK_ROWS :].index_select(0, own.int())
        kept = torch.nonzero((block.apart < gap) & (at >= 0)).flatten()
        return Found(own[kept], (at[kept] - FIRST).short(), block.apart[kept])


def make_lists(
    part: Partition,
    gap: torch.Tensor,
    source: Source,
    units: NDArray[np.int64],
    before: Lists | None = None,
) -> Lists:
    """Form the pairs that matter.

    Args:
        part: the partition, with centers.
        gap: (n,) float32 of its rows.
        source: reads the vectors of all units.
        units: (c,) int64 ascending, the candidates, at most MOST_LISTED.
        before: lists that there are: what is in them is not formed again.
    """
    device, dim, tile_values = gap.device, part.vectors.dim, part.tuning.tile_values
    reach, formed = _Reach(part, gap), 0
    workspace = Workspace(dim, SUMMED, device, tile_values)
    total = torch.zeros(len(units), dtype=torch.int64, device=device)
    count = -(-max(1, len(part)) // BLOCK_ROWS)
    found: list[list[Found]] = [[] for _ in range(count)]
    new = np.arange(len(units))
    if before is not None:
        new = np.flatnonzero(~np.isin(units, before.units, assume_unique=True))
        found = [[before.left(number, units, gap)] for number in range(count)]
    for start in range(0, len(new), SUMMED):
        some = new[start : start + SUMMED]
        targets = Targets.from_lattice(
            on_device(_read(source, units[some], part), device), tile_values
        )
        numbers = on_device((some - FIRST).astype(np.int16), device)[targets.place]
        places = reach.rows(targets)
        formed += len(places) * len(targets)
        for rows, scores in _scores(part, places, targets, workspace):
            own, at, apart = _pairs(scores, targets, part.vectors.norms[rows], gap[rows])
            number = int(rows[0]) // BLOCK_ROWS
            own = (rows[own] - number * BLOCK_ROWS).short()
            found[number].append(Found(own, numbers[at], apart.short()))
    blocks = []
    for number in range(count):
        own_gap = gap[number * BLOCK_ROWS : (number + 1) * BLOCK_ROWS]
        for pairs in found[number]:
            saved = own_gap.index_select(0, pairs.own.int()) - pairs.apart
            total.index_add_(0, pairs.candidate.int() + FIRST, saved.long())
        blocks.append(_block(found[number], len(own_gap), device))
        found[number] = []
    return Lists(units, tuple(blocks), formed, _sums(total))


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
    flat = _above(scores, Targets.least_score(norms, gap.double().square()))
    at = torch.div(flat, len(norms), rounding_mode="floor")
    own = flat - at * len(norms)
    squared = norms[own] + SCALE**2 - 2 * scores.flatten()[flat].int() - (at < targets.odd).int()
    apart = whole_gaps(squared)
    kept = torch.nonzero(apart < gap[own]).flatten()
    return own[kept], at[kept], apart[kept]


def _above(scores: torch.Tensor, least: torch.Tensor) -> torch.Tensor:
    """(p,) int64 places, row by row, of the (m, r) scores above those of (r,) in their column."""
    if scores.device.type != "cpu":
        return torch.nonzero((scores > least).flatten()).flatten()
    # torch takes three times as long to compare, and to look for the few that are True
    return torch.from_numpy(np.flatnonzero(scores.numpy() > least.numpy()))


def _block(found: list[Found], rows: int, device: torch.device) -> Block:
    """Put pairs in order by their rows."""
    start = torch.zeros(rows + 1, dtype=torch.int64, device=device)
    if not found:
        return Block(start, start[:0].short(), start[:0].short())
    own = torch.cat([some.own for some in found])
    order = torch.argsort(own, stable=True)
    start[1:] = torch.cumsum(torch.bincount(own.int(), minlength=rows), 0)
    candidate = torch.cat([some.candidate for some in found]).index_select(0, order)
    return Block(start, candidate, torch.cat([some.apart for some in found])[order])


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
