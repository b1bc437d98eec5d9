"""Rows in cells: runs of a few rows that follow one another, around a vector in their middle.

Frames of a video that follow one another look alike, so such runs are small balls already, and
nothing has to be clustered. That whole balls are ruled out by the triangle inequality is known from
metric trees: Uhlmann (1991), "Satisfying general proximity/similarity queries with metric trees".
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from coreframe.tasks.lattice import squared_distances, squared_norms
from coreframe.tasks.lazy import torch

JUMP: Final = 3.0
"""A cell ends where the next row is so many times as far away as rows are on average."""

SLACK: Final = 0.05
"""Lattice units by which bounds are loosened, against rounding in their float32 arithmetic: each
of few terms is below 2^13 and off by less than 2^-10."""


@dataclass(frozen=True)
class Cells:
    """Cells of rows.

    Attributes:
        rows: (n,) int64 ascending, all rows in them.
        starts: (c,) int64 ascending, the place among ``rows`` at which each cell begins.
        anchors: (c, dim) int16 lattice, near the middle of each; none is longer than a vector.
        radius: (c,) float32 lattice distance of its farthest row to its anchor.
    """

    rows: NDArray[np.int64]
    starts: NDArray[np.int64]
    anchors: NDArray[np.int16]
    radius: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def edges(self) -> NDArray[np.int64]:
        """(c + 1,) int64: where cells begin, and at last how many rows there are."""
        return np.append(self.starts, len(self.rows))

    @classmethod
    def joined(cls, parts: list[Cells]) -> Cells:
        """One after the other; at least one part."""
        before = np.cumsum([0, *(len(part.rows) for part in parts)])
        return cls(
            np.concatenate([part.rows for part in parts]),
            np.concatenate([part.starts + at for part, at in zip(parts, before, strict=False)]),
            np.concatenate([part.anchors for part in parts]),
            np.concatenate([part.radius for part in parts]),
        )


def cut_cells(rows: NDArray[np.int64], vectors: torch.Tensor, most_rows: int) -> Cells:
    """Cut rows that follow one another into cells.

    Args:
        rows: (n,) int64 ascending.
        vectors: (n, dim) int16 lattice of them.
        most_rows: of a cell.
    """
    if len(rows) == 0:
        empty = np.empty(0, np.int64)
        none = np.empty((0, vectors.shape[1]), np.int16)
        return Cells(rows, empty, none, np.empty(0, np.float32))
    device, wide = vectors.device, vectors.float()
    steps = (wide[1:] - wide[:-1]).square_().sum(dim=1).sqrt_()
    starts = _starts(steps.cpu().numpy(), most_rows)
    sizes = np.diff(np.append(starts, len(rows)))
    cell = torch.from_numpy(np.repeat(np.arange(len(starts)), sizes)).to(device)
    total = torch.zeros((len(starts), wide.shape[1]), device=device).index_add_(0, cell, wide)
    # towards zero: an anchor that is no longer than a vector has exact products, see `lattice`
    anchors = (total / torch.from_numpy(sizes).to(device)[:, None]).trunc_()
    own = anchors.index_select(0, cell)
    anchors = anchors.to(torch.int16)
    squared = squared_norms(vectors) + squared_norms(anchors).index_select(0, cell)
    squared -= 2 * (wide * own).sum(dim=1).int()
    radius = torch.zeros(len(starts), dtype=torch.int32, device=device)
    radius.scatter_reduce_(0, cell, squared, "amax")
    return Cells(rows, starts, anchors.cpu().numpy(), radius.float().sqrt_().cpu().numpy())


def _starts(steps: NDArray[np.float32], most_rows: int) -> NDArray[np.int64]:
    """Where cells begin, of n rows with (n - 1,) distances from each to the next."""
    jumps = np.flatnonzero(steps > JUMP * steps.mean()) + 1 if len(steps) else steps.astype(int)
    edges = [0, *jumps.tolist(), len(steps) + 1]
    found = []
    for start, stop in pairwise(edges):
        count = -(-(stop - start) // most_rows)
        found.append(start + np.arange(count) * (stop - start) // count)
    return np.concatenate(found)


@dataclass(frozen=True)
class Anchors:
    """The anchors of some cells, where distances are formed.

    Attributes:
        wide: (c, dim) float32 holding lattice integers.
        norms: (c,) int32 squared lengths.
        radius: (c,) float32.
    """

    wide: torch.Tensor
    norms: torch.Tensor
    radius: torch.Tensor

    @classmethod
    def of(cls, cells: Cells, some: slice, device: torch.device) -> Anchors:
        """Those of some cells, on a device."""
        anchors = torch.from_numpy(np.require(cells.anchors[some], requirements=["C", "W"]))
        anchors = anchors.to(device)
        radius = torch.from_numpy(np.require(cells.radius[some], requirements=["C", "W"]))
        return cls(anchors.float(), squared_norms(anchors), radius.to(device))

    def apart(self, others: Anchors) -> torch.Tensor:
        """(c, o) float32 lattice distances between these and others."""
        squared = squared_distances(self.wide, self.norms, others.wide, others.norms)
        return squared.float().sqrt_()
