"""Lists of the pairs that still matter: rows, and candidates nearer to them than their centers.

Once there are some centers, most rows are farther from most candidates than from their center, and
will always be. The few other pairs are formed once and kept, by row. When a center changes some
rows, the pairs in their lists say by how much every listed candidate brings less: exactly, and
without a product.

Which rows a group of candidates may be nearer to is asked of one row a center first, by the
triangle inequality: a row x with center c, and an anchor a with the same center, are apart by
d(x, c) + d(a, c) at most, so a candidate j can only be nearer to x than c is where
d(j, a) < 2 d(x, c) + d(a, c).

Lists lie in the machine's own memory, and NumPy works on them: beside the products little is left
to do, and what torch frees on a CPU older C libraries do not find again (see `lattice.Workspace`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from coreframe.tasks.facility.gaps import SUMMED, rounded_root
from coreframe.tasks.kcenter.partition import Partition
from coreframe.tasks.kcenter.vectors import Source
from coreframe.tasks.lattice import Targets, Workspace, on_device, squared_distances, squared_norms
from coreframe.tasks.lazy import torch
from coreframe.tasks.scale import SCALE

BLOCK_ROWS = 2**13
"""Rows whose lists are put in order together; their places in it fit in int16."""

MOST_LISTED = 2**16
"""Candidates at most: their positions fit in uint16."""

SLACK = 2.0
"""Lattice units by which bounds are loosened: gaps are rounded by half of one."""


class Block(NamedTuple):
    """The lists of rows side by side."""

    start: NDArray[np.int64]
    """(r + 1,): where each row's list begins, and at last their length."""
    candidate: NDArray[np.uint16]
    """(p,) positions among the candidates."""
    apart: NDArray[np.int16]
    """(p,) their gaps to the row."""


class Found(NamedTuple):
    """Some pairs of a block."""

    own: NDArray[np.int16]
    """(p,) places of the rows in it."""
    candidate: NDArray[np.integer]
    """(p,) see `Block`."""
    apart: NDArray[np.int16]
    """(p,) their gaps."""


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
        return sum(array.nbytes for block in self.blocks for array in block)

    def lost(self, before: torch.Tensor, now: torch.Tensor) -> Sums:
        """By how much less candidates bring, given the (n,) gaps before and now."""
        changed = torch.nonzero(now < before).flatten()
        upper, lower = (gap[changed].cpu().numpy().astype(np.int16) for gap in (before, now))
        places = changed.cpu().numpy()
        numbers = places // BLOCK_ROWS
        edges = np.searchsorted(numbers, np.arange(len(self.blocks) + 1))
        candidates, amounts = [np.zeros(0, np.uint16)], [np.zeros(0, np.int16)]
        for number in np.unique(numbers).tolist():
            block, some = self.blocks[number], slice(*edges[number : number + 2])
            own = places[some] - number * BLOCK_ROWS
            start = block.start[own]
            lengths = block.start[own + 1] - start
            at = np.arange(lengths.sum()) + np.repeat(start - np.cumsum(lengths) + lengths, lengths)
            least = np.maximum(block.apart[at], np.repeat(lower[some], lengths))
            candidates.append(block.candidate[at])
            amounts.append(np.maximum(np.repeat(upper[some], lengths) - least, 0))
        less = np.concatenate(amounts).astype(np.float64)
        return _sums(np.bincount(np.concatenate(candidates), less, len(self.units)))

    def left(self, number: int, units: NDArray[np.int64], gap: NDArray[np.int16]) -> Found:
        """What of a block still matters.

        Args:
            number: of the block.
            units: (d,) int64 ascending, the candidates that still do.
            gap: (r,) of the block's rows now.
        """
        block = self.blocks[number]
        at = np.searchsorted(units, self.units).clip(max=len(units) - 1)
        stays = units[at] == self.units
        own = np.repeat(np.arange(len(gap), dtype=np.int16), np.diff(block.start))
        kept = np.flatnonzero((block.apart < gap[own]) & stays[block.candidate])
        now = at[block.candidate[kept]].astype(np.uint16)
        return Found(own[kept], now, block.apart[kept])


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
    new = np.arange(len(units))
    if before is not None:
        new = np.flatnonzero(~np.isin(units, before.units, assume_unique=True))
    asked = _Asked(part, gap, _read(source, units[new], part))
    own_gap, total, blocks = gap.cpu().numpy().astype(np.int16), np.zeros(len(units)), []
    for number, start in enumerate(range(0, len(own_gap), BLOCK_ROWS)):
        here = own_gap[start : start + BLOCK_ROWS]
        found = [] if before is None else [before.left(number, units, here)]
        for own, place, apart in asked.pairs(start, start + len(here)):
            found.append(Found(own, new[place].astype(np.uint16), apart))
        for pairs in found:
            saved = here[pairs.own] - pairs.apart
            total += np.bincount(pairs.candidate, saved, len(total))
        blocks.append(_block(found, len(here)))
    return Lists(units, tuple(blocks), asked.formed, _sums(total))


class _Asked:
    """New candidates, and which rows each some of them may be nearer to.

    Attributes:
        formed: distances formed with them.
    """

    def __init__(self, part: Partition, gap: torch.Tensor, vectors: NDArray[np.int16]) -> None:
        """Take (c, dim) lattice of them."""
        self._part, self._gap, self._vectors, self.formed = part, gap, vectors, 0
        self._workspace = Workspace(part.vectors.dim, SUMMED, gap.device, part.tuning.tile_values)
        reach, starts = _Reach(part, gap), range(0, len(vectors), SUMMED)
        self._near = {start: reach.near(self._targets(start)) for start in starts}

    def _targets(self, start: int) -> Targets:
        some = on_device(self._vectors[start : start + SUMMED], self._gap.device)
        return Targets.from_lattice(some, self._part.tuning.tile_values)

    def pairs(self, start: int, stop: int) -> Iterator[Found]:
        """The pairs of a block of rows; a candidate's position is that among these."""
        norms, gap = self._part.vectors.norms, self._gap
        for first, near in self._near.items():
            places = start + torch.nonzero(near[start:stop]).flatten()
            if len(places) == 0:
                continue
            targets = self._targets(first)
            numbers = first + targets.place.cpu().numpy()
            self.formed += len(places) * len(targets)
            for rows, scores in _scores(self._part, places, targets, self._workspace):
                own, at, apart = _pairs(scores, targets, norms[rows], gap[rows])
                yield Found((rows.cpu().numpy() - start).astype(np.int16)[own], numbers[at], apart)


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
    """Rows tile by tile, and their (m, r) scores; valid until the next."""
    for asked, chunk, at in part.vectors.chunks(places):
        rows = places[asked]
        for tile in workspace.tiles(len(rows), part.vectors.dim, len(targets)):
            yield rows[tile], targets.scores(workspace.widen(chunk, at[tile]), workspace)


def _pairs(scores: torch.Tensor, targets: Targets, norms: torch.Tensor, gap: torch.Tensor) -> Found:
    """The pairs of (m, r) scores that are nearer than the (r,) gaps; positions as they are here."""
    flat, score = _above(scores, Targets.least_score(norms, gap.double().square()))
    at, own = np.divmod(flat.astype(np.int32), np.int32(len(norms)))
    squared = (norms.cpu().numpy() + np.int32(SCALE**2))[own]
    squared -= 2 * score.astype(np.int32) + (at < targets.odd)
    apart = rounded_root(squared.astype(np.float32))
    kept = np.flatnonzero(apart < gap.cpu().numpy()[own])
    own, at = own[kept].astype(np.int16), at[kept].astype(np.uint16)
    return Found(own, at, apart[kept].astype(np.int16))


def _above(
    scores: torch.Tensor, least: torch.Tensor
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """(p,) places, row by row, of the (m, r) scores above those of (r,) in their column; and they.

    NumPy finds the few in a third of the time that torch takes on a CPU.
    """
    if scores.device.type == "cpu":
        array = scores.numpy()
        flat = np.flatnonzero(array > least.numpy())
        return flat, array.ravel()[flat]
    places = torch.nonzero((scores > least).flatten()).flatten()
    return places.cpu().numpy(), scores.flatten()[places].cpu().numpy()


def _block(found: list[Found], rows: int) -> Block:
    """Put pairs in order by their rows."""
    start = np.zeros(rows + 1, np.int64)
    if not found:
        return Block(start, np.zeros(0, np.uint16), np.zeros(0, np.int16))
    own = np.concatenate([some.own for some in found])
    order = np.argsort(own, kind="stable")
    np.cumsum(np.bincount(own, minlength=rows), out=start[1:])
    candidate = np.concatenate([some.candidate for some in found])[order]
    return Block(start, candidate, np.concatenate([some.apart for some in found])[order])


def _sums(total: NDArray[np.number]) -> Sums:
    """Of whole numbers, below 2^53 where they are float64: these are added up exactly."""
    places = np.flatnonzero(total)
    return Sums(places.astype(np.int32), total[places].astype(np.int64))


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

    def near(self, targets: Targets) -> torch.Tensor:
        """(n,) bool, whether any of some candidates may be nearer to each."""
        squared = squared_distances(self._anchors, self._norms, targets.wide, targets.norms)
        nearest = squared.amin(dim=1).double().sqrt()
        near = nearest.index_select(0, self._cell) < self._limit
        return near & (self._gap > 0)
