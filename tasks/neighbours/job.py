"""What a worker does that holds some of the rows: cut cells, and find neighbours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coreframe.tasks.kcenter.partition import Partition
from coreframe.tasks.lattice import on_device
from coreframe.tasks.lazy import torch
from coreframe.tasks.neighbours.cells import Cells, cut_cells
from coreframe.tasks.neighbours.search import nearest_among
from coreframe.tasks.neighbours.sizes import Sizes
from coreframe.tasks.store.store import Store


@dataclass(frozen=True)
class Piece:
    """Some rows of a partition.

    Attributes:
        start: place of the first in the partition.
        stop: that after the last.
        known: (stop - start, k) int64 keys of the neighbours that are known, None for none.
    """

    start: int
    stop: int
    known: NDArray[np.int64] | None


def cells_of(part: Partition, store: str, sizes: Sizes, rows: NDArray[np.int64]) -> Cells:
    """Cut rows into cells.

    Args:
        part: any; the worker that holds it does this, where its vectors will be.
        store: that has the rows.
        sizes: how.
        rows: (n,) int64 ascending, of this partition or not.
    """
    reader, device = Store.open(store).row_reader(), part.rows.device
    step = sizes.read_of(part.vectors.dim)
    found = [cut_cells(rows[:0], part.vectors.norms.new_empty((0, part.vectors.dim)), 1)]
    for start in range(0, len(rows), step):
        some = rows[start : start + step]
        found.append(cut_cells(some, on_device(reader(some), device), sizes.cell_rows))
    return Cells.joined(found)


def neighbours_of(
    part: Partition, others: Cells, store: str, k: int, sizes: Sizes, piece: Piece
) -> NDArray[np.int64]:
    """Find the nearest neighbours of a piece of a partition.

    Args:
        part: that has the rows.
        others: among which to look.
        store: that has these.
        k: how many.
        sizes: how.
        piece: which of the rows.

    Returns:
        (piece's rows, k) int64 keys, see :mod:`coreframe.tasks.neighbours.found`.
    """
    places = torch.arange(piece.start, piece.stop, device=part.rows.device)
    rows = part.rows[piece.start : piece.stop].cpu().numpy()
    vectors, read = part.vectors.at(places), Store.open(store).row_reader()
    return nearest_among(rows, vectors, others, read, k, piece.known, sizes)
