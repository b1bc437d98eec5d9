"""Lattice arithmetic is exact, whatever the size of the tiles it is done in."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from coreframe.tasks.lattice import (
    Targets,
    Workspace,
    square_roots,
    squared_distances,
    squared_norms,
)
from coreframe.tasks.scale import MAX_DIM, SCALE

CPU = torch.device("cpu")


def unit_lattice(rows: int, dim: int) -> NDArray[np.int16]:
    vectors = np.random.default_rng(0).normal(size=(rows, dim))
    return np.rint(SCALE * vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(
        np.int16
    )


def test_square_roots_are_correctly_rounded() -> None:
    """Of torch's own, on CPUs, one in seventy is not."""
    values = np.arange(2**18, dtype=np.float64)
    assert np.array_equal(square_roots(torch.from_numpy(values)).numpy(), np.sqrt(values))


@pytest.mark.parametrize("tile_values", [1, 30, 100, None])
@pytest.mark.parametrize("dim", [8, MAX_DIM])
def test_norms_distances_and_nearest_are_exact_for_any_tile(
    tile_values: int | None, dim: int
) -> None:
    lattice = unit_lattice(23, dim)
    wide = lattice.astype(np.int64)
    expected = ((wide[:, None] - wide[None, :9]) ** 2).sum(axis=2)
    vectors = torch.from_numpy(lattice)
    norms = squared_norms(vectors, tile_values)
    assert norms.tolist() == (wide**2).sum(axis=1).tolist()
    found = squared_distances(vectors.float(), norms, vectors[:9].float(), norms[:9])
    assert np.array_equal(found.numpy(), expected)

    targets = Targets.from_lattice(vectors[:9], tile_values)
    workspace = Workspace(dim, 9, CPU, tile_values)
    every, nearest = torch.arange(23), []
    for tile in workspace.tiles(23, dim, 9):
        scores = targets.scores(workspace.widen(vectors, every[tile]), workspace)
        nearest += targets.nearest(scores, norms[tile]).tolist()
        first = targets.place[scores.max(dim=0).indices]
        assert np.array_equal(first.numpy(), expected[tile].argmin(axis=1))
    assert nearest == expected.min(axis=1).tolist()


def test_tiles_cover_all_rows_within_their_limits() -> None:
    workspace = Workspace(10, 4, CPU, 100)
    assert list(workspace.tiles(23, 10)) == [slice(0, 10), slice(10, 20), slice(20, 23)]
    assert list(workspace.tiles(23, 10, targets=50))[:2] == [slice(0, 2), slice(2, 4)]
    assert list(workspace.tiles(5, 10, most_rows=3)) == [slice(0, 3), slice(3, 5)]
    assert list(workspace.tiles(2, 1000)) == [slice(0, 1), slice(1, 2)]
    assert list(workspace.tiles(0, 10)) == []
