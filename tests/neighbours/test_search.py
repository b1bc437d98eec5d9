"""The search for neighbours against plain NumPy, whatever the vectors and the sizes."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from coreframe.tasks.neighbours.cells import SLACK, Anchors, Cells, cut_cells
from coreframe.tasks.neighbours.found import Neighbours
from coreframe.tasks.neighbours.nearest import Nearest
from coreframe.tasks.neighbours.search import nearest_among
from coreframe.tasks.neighbours.sizes import Sizes
from tests.neighbours.plain import SIZES, agrees, lattices, scenes


def cells_of(vectors: np.ndarray, rows: np.ndarray, sizes: Sizes) -> Cells:
    step = sizes.read_rows
    return Cells.joined(
        [
            cut_cells(
                rows[at : at + step],
                torch.from_numpy(vectors[rows[at : at + step]]),
                sizes.cell_rows,
            )
            for at in range(0, max(1, len(rows)), step)
        ]
    )


def found(
    vectors: np.ndarray,
    rows: np.ndarray,
    others: np.ndarray,
    k: int,
    sizes: Sizes,
    known: np.ndarray | None = None,
) -> Neighbours:
    keys = nearest_among(
        rows,
        torch.from_numpy(vectors[rows]),
        cells_of(vectors, others, sizes),
        lambda asked: vectors[asked],
        k,
        known,
        sizes,
    )
    return Neighbours(rows, rows.astype(np.uint64), keys)


@given(lattices(), st.integers(1, 12), SIZES)
def test_neighbours_are_those_of_sorting_all_distances(
    vectors: np.ndarray, k: int, sizes: Sizes
) -> None:
    rows = np.arange(len(vectors))
    agrees(found(vectors, rows, rows, k, sizes), vectors, rows, k)


@given(lattices(), st.integers(1, 6), SIZES, st.data())
def test_what_is_known_is_taken_up_and_found_again_does_no_harm(
    vectors: np.ndarray, k: int, sizes: Sizes, data: st.DataObject
) -> None:
    rows = np.arange(len(vectors))
    first = np.array(data.draw(st.lists(st.sampled_from(rows.tolist()), unique=True)), int)
    second = np.union1d(
        np.setdiff1d(rows, first),
        np.array(data.draw(st.lists(st.sampled_from(rows.tolist()))), int),
    )
    known = found(vectors, rows, np.sort(first), k, sizes).keys
    agrees(found(vectors, rows, second, k, sizes, known), vectors, rows, k)


@given(lattices(), SIZES)
def test_cells_hold_their_rows_and_end_at_jumps(vectors: np.ndarray, sizes: Sizes) -> None:
    rows = np.arange(len(vectors)) * 3
    cells = cut_cells(rows, torch.from_numpy(vectors), sizes.cell_rows)
    assert np.array_equal(cells.rows, rows)
    length = np.diff(cells.edges)
    assert cells.starts[0] == 0
    assert length.min() >= 1
    assert length.max() <= sizes.cell_rows
    anchors = Anchors.of(cells, slice(None), torch.device("cpu"))
    assert int(anchors.norms.max()) <= 4064**2
    away = vectors - np.repeat(cells.anchors, length, axis=0).astype(np.float64)
    away = np.linalg.norm(away, axis=1)
    assert (away <= np.repeat(cells.radius, length) + SLACK / 2).all()


def test_a_cut_ends_a_cell() -> None:
    vectors = np.repeat(np.array([[4000, 0], [0, 4000]], np.int16), [10, 6], axis=0)
    cells = cut_cells(np.arange(16), torch.from_numpy(vectors), 8)
    assert cells.edges.tolist() == [0, 5, 10, 16]
    assert cells.radius.tolist() == [0, 0, 0]


def test_cells_far_away_are_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, rows = scenes(12, 100, 32, 0), np.arange(1200)
    formed = []
    compare = Nearest.compare

    def counted(self: Nearest, own: slice, others: torch.Tensor, *more: Any) -> None:
        formed.append((own.stop - own.start) * len(others))
        compare(self, own, others, *more)

    monkeypatch.setattr(Nearest, "compare", counted)
    agrees(found(vectors, rows, rows, 5, Sizes(cell_rows=16)), vectors, rows, 5)
    assert sum(formed) < 1200**2 / 10
