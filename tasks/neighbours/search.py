"""Find the nearest neighbours of some rows among others, which are read a few cells at a time.

By the triangle inequality no row of a cell A is nearer to one of a cell B than
d(a, b) - r_A - r_B, with their anchors a and b and radii r. So only pairs of cells are compared
for which this is no more than the largest distance of a row in A to its k-th nearest so far. There
is such a bound before any two rows are compared: the nearest cells that hold k + 1 rows together
hold k neighbours of each row in A, none farther than r_A + d(a, b) + r_B. These cells come first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coreframe.tasks.lattice import TILE_VALUES, squared_norms
from coreframe.tasks.lazy import torch
from coreframe.tasks.neighbours.cells import SLACK, Anchors, Cells, cut_cells
from coreframe.tasks.neighbours.found import NONE
from coreframe.tasks.neighbours.nearest import Nearest
from coreframe.tasks.neighbours.sizes import DEFAULT_SIZES, Sizes

Read = Callable[[NDArray[np.int64]], NDArray[np.int16]]
"""Gives the (n, dim) int16 lattice vectors of n ascending rows."""


@dataclass(frozen=True)
class _Portion:
    """Cells of others that are looked at together.

    Attributes:
        cells: which.
        anchors: theirs.
        sizes: (c,) int64 rows in each.
    """

    cells: slice
    anchors: Anchors
    sizes: torch.Tensor


class Search:
    """A search for the nearest neighbours of rows that follow one another."""

    def __init__(self, own: Nearest, others: Cells, read: Read, sizes: Sizes) -> None:
        """Prepare it.

        Args:
            own: the rows, with what is known of their neighbours.
            others: among which neighbours are sought.
            read: reads the vectors of these.
            sizes: how.
        """
        self._own, self._others, self._read, self._sizes = own, others, read, sizes
        self._device = own.vectors.device
        cells = cut_cells(own.rows.cpu().numpy(), own.vectors, sizes.cell_rows)
        self._edges = cells.edges
        self._cell = torch.from_numpy(np.repeat(np.arange(len(cells)), np.diff(cells.edges)))
        self._cell = self._cell.to(self._device)
        self._anchors = Anchors.of(cells, slice(None), self._device)
        gpu = self._device.type == "cuda"
        together = sizes.gpu_group_rows if gpu else sizes.group_rows
        self._groups = list(_runs(cells.edges, together))
        self._most_products = float("inf") if gpu else sizes.group_products
        self._tile_values = sizes.tile_values or TILE_VALUES[self._device.type]

    def run(self) -> None:
        """Let the nearest be those among what was known and the others."""
        if len(self._own.rows) == 0 or len(self._others) == 0:
            return
        reach = self._reach()
        bound = (self._anchors.radius + reach + SLACK).double().square_().ceil_()
        bound = bound.nan_to_num_(posinf=2.0**26).clamp_(max=2.0**26).long()
        self._own.lower(bound.index_select(0, self._cell))
        for first in (True, False):
            for portion in self._portions():
                apart = self._anchors.apart(portion.anchors)
                seed = apart + portion.anchors.radius <= reach[:, None]
                least = apart - portion.anchors.radius - self._anchors.radius[:, None]
                wanted = (seed == first) & (least - SLACK <= self._farthest()[:, None])
                if bool(wanted.any()):
                    self._compare(portion, wanted)

    def _portions(self) -> Iterator[_Portion]:
        """Go through the cells of the others."""
        dim, edges = self._others.anchors.shape[1], self._others.edges
        for some in _runs(edges, self._sizes.read_of(dim)):
            sizes = torch.from_numpy(np.diff(edges[some.start : some.stop + 1]))
            anchors = Anchors.of(self._others, some, self._device)
            yield _Portion(some, anchors, sizes.to(self._device))

    def _reach(self) -> torch.Tensor:
        """(a,) float32: from each anchor, within which there are more rows than neighbours sought.

        One more, for a row is no neighbour of itself; infinite where there are not so many.
        """
        most = self._own.keys.shape[1] + 1  # of cells: none is empty
        count = len(self._anchors.norms)
        nearest = torch.full((count, most), torch.inf, device=self._device)
        sizes = torch.zeros((count, most), dtype=torch.int64, device=self._device)
        for portion in self._portions():
            reach = self._anchors.apart(portion.anchors) + portion.anchors.radius
            reach, at = torch.topk(reach, min(most, reach.shape[1]), dim=1, largest=False)
            nearest, order = torch.cat([nearest, reach], dim=1).sort(dim=1, stable=True)
            sizes = torch.cat([sizes, portion.sizes[at]], dim=1).gather(1, order)[:, :most]
            nearest = nearest[:, :most]
        enough = torch.cumsum(sizes, 1) >= most
        place = enough.int().argmax(dim=1, keepdim=True)
        return torch.where(enough.any(dim=1), nearest.gather(1, place).flatten(), torch.inf)

    def _farthest(self) -> torch.Tensor:
        """(a,) float32: the largest distance in each cell that a neighbour still may have."""
        largest = torch.zeros(len(self._anchors.norms), dtype=torch.int64, device=self._device)
        largest.scatter_reduce_(0, self._cell, self._own.bound, "amax")
        return largest.float().sqrt_()

    def _compare(self, portion: _Portion, wanted: torch.Tensor) -> None:
        """Compare cells of the own rows with cells of a portion.

        Args:
            portion: of the others.
            wanted: (own cells, cells of the portion) bool, which with which.
        """
        cells = np.flatnonzero(wanted.any(dim=0).cpu().numpy())
        met = wanted.cpu().numpy()[:, cells]
        rows, sizes = self._rows_of(portion.cells.start + cells)
        vectors = torch.from_numpy(self._read(rows)).to(self._device)
        held, norms = torch.from_numpy(rows).to(self._device), squared_norms(vectors)
        wide = vectors.float()
        for own, some in self._tasks(met, sizes):
            at = torch.from_numpy(np.flatnonzero(np.repeat(some, sizes))).to(self._device)
            if len(at) == len(rows):
                self._own.compare(own, held, wide, norms, self._tile_values)
            else:
                picked = held[at], wide.index_select(0, at), norms[at]
                self._own.compare(own, *picked, self._tile_values)

    def _tasks(
        self, met: NDArray[np.bool_], sizes: NDArray[np.int64]
    ) -> Iterator[tuple[slice, NDArray[np.bool_]]]:
        """Decide which rows to compare with the same others at once.

        Args:
            met: (own cells, c) whether a cell meets one of c others.
            sizes: (c,) rows of each of these.

        Yields:
            Places of own rows, and which of the others they meet.
        """
        edges = self._edges
        products = np.diff(edges) * (met @ sizes)
        for group in self._groups:
            union = np.asarray(met[group].any(axis=0))
            own = slice(edges[group.start], edges[group.stop])
            at_once = (own.stop - own.start) * (union @ sizes)
            if not at_once:
                continue
            if at_once <= self._most_products * products[group].sum():
                yield own, union
                continue
            for cell in range(group.start, group.stop):
                if products[cell]:
                    yield slice(edges[cell], edges[cell + 1]), met[cell]

    def _rows_of(self, cells: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The rows of some of the others' cells, and how many each has."""
        begin, end = self._others.edges[cells], self._others.edges[cells + 1]
        sizes = end - begin
        places = np.repeat(begin - (np.cumsum(sizes) - sizes), sizes) + np.arange(sizes.sum())
        return self._others.rows[places], sizes


def _runs(edges: NDArray[np.int64], most_rows: int) -> Iterator[slice]:
    """Split cells, which begin at some edges, into runs of at most so many rows, or of one cell."""
    first, count = 0, len(edges) - 1
    while first < count:
        last = int(np.searchsorted(edges, edges[first] + most_rows, side="right")) - 1
        last = min(count, max(last, first + 1))
        yield slice(first, last)
        first = last


def nearest_among(
    rows: NDArray[np.int64],
    vectors: torch.Tensor,
    others: Cells,
    read: Read,
    k: int,
    known: NDArray[np.int64] | None = None,
    sizes: Sizes = DEFAULT_SIZES,
) -> NDArray[np.int64]:
    """The k nearest neighbours of rows among others and those that are known, as keys.

    Args:
        rows: (n,) int64 ascending.
        vectors: (n, dim) int16 lattice.
        others: among which to look.
        read: reads their vectors.
        k: how many, at least 1.
        known: (n, k) keys, see :mod:`coreframe.tasks.neighbours.found`; none by default.
        sizes: how it goes about it.

    Returns:
        (n, k) int64 keys.
    """
    device = vectors.device
    keys = torch.full((len(rows), k), NONE, dtype=torch.int64, device=device)
    if known is not None:
        keys.copy_(torch.from_numpy(known))
    own = Nearest(torch.from_numpy(rows).to(device), vectors, keys)
    Search(own, others, read, sizes).run()
    return own.keys.cpu().numpy()
