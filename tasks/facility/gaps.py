"""Distances in whole lattice units, whose sums are exact on any device and in any order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from coreframe.tasks.lattice import Targets, Workspace
from coreframe.tasks.lazy import torch
from coreframe.tasks.scale import SCALE

NO_CENTER: Final = 2**14
"""Gap of a row before there is any center: farther than any two rows can be. It is the root of
`coreframe.tasks.kcenter.partition.FAR`."""

SUMMED: Final = 1024
"""Gaps at most that are added up in float32: none is above 2^14, so no sum exceeds 2^24."""


def whole_gaps(squared: torch.Tensor) -> torch.Tensor:
    """(...) int32 squared lattice distances to float32 distances in whole lattice units.

    The integer becomes float32, its root is taken and rounded, halves to even. IEEE 754 says of
    each step what comes out, to the bit, so no device differs. A larger squared distance never has
    the smaller gap, and only equal vectors have a gap of 0.
    """
    return _rounded_root(squared.float())


def rounded_root(squared: NDArray[np.float32]) -> NDArray[np.float32]:
    """Replace squared distances by their gaps, as `whole_gaps` forms them, in NumPy's memory."""
    np.sqrt(squared, out=squared)
    return np.rint(squared, out=squared)


def _rounded_root(squared: torch.Tensor) -> torch.Tensor:
    """Replace float32 squared distances by their roots, rounded.

    On a CPU torch takes roots with Intel's library, which is off by one in the last place for a
    fifth of all squared distances: then 5,464 of 2^26 have another gap. NumPy uses the
    processor's own instruction, which rounds as it should, and so do GPUs.
    """
    if squared.device.type == "cpu":
        rounded_root(squared.numpy())
        return squared
    return squared.sqrt_().round_()


class Gaps:
    """Forms the gaps between tiles of rows and targets, always in the same memory."""

    def __init__(
        self, dim: int, targets: int, device: torch.device, tile_values: int | None
    ) -> None:
        """Allocate it; arguments as of :class:`coreframe.tasks.lattice.Workspace`."""
        self._dim, self._workspace = dim, Workspace(dim, targets, device, tile_values)
        self._integers = torch.empty_like(self._workspace.scores, dtype=torch.int32)

    def tiles(self, rows: int, targets: int) -> Iterator[slice]:
        """Cut rows so that a tile fits, and the sums over its rows are exact in float32."""
        return self._workspace.tiles(rows, self._dim, targets, most_rows=SUMMED)

    def target_tiles(self, targets: int, rows: int) -> Iterator[slice]:
        """Cut targets so that their gaps to so many rows fit, and sums over them are exact."""
        step = max(1, min(SUMMED, self.values // max(1, rows)))
        for start in range(0, targets, step):
            yield slice(start, min(start + step, targets))

    @property
    def values(self) -> int:
        """Gaps at most that are formed at a time."""
        return len(self._integers)

    def widen(self, vectors: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        """See :meth:`coreframe.tasks.lattice.Workspace.widen`."""
        return self._workspace.widen(vectors, places)

    def __call__(self, targets: Targets, wide: torch.Tensor, norms: torch.Tensor) -> torch.Tensor:
        """(m, n) float32 gaps between m targets and n rows; valid until the next call.

        Args:
            targets: the targets.
            wide: (n, dim) float32 that holds the rows' lattice integers.
            norms: (n,) int32 their squared lengths.
        """
        scores = targets.scores(wide, self._workspace)
        squared = self._integers[: scores.numel()].view(scores.shape).copy_(scores)
        torch.sub((norms + SCALE**2)[None, :], squared, alpha=2, out=squared)
        squared[: targets.odd] -= 1  # see Targets.squared
        return _rounded_root(scores.copy_(squared))
