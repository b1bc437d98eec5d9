"""What neighbours are, in plain NumPy: all distances, sorted. And vectors with ties and copies."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch  # noqa: F401 - loading it starts processes, which tests may not
from hypothesis import strategies as st

from coreframe.tasks.kcenter import job
from coreframe.tasks.kcenter.layout import block_cuts, layout_of_parts, partition_jobs
from coreframe.tasks.kcenter.local import LocalPartitions
from coreframe.tasks.neighbours.found import Neighbours
from coreframe.tasks.neighbours.sizes import Sizes
from coreframe.tasks.store.store import Store


def nearest(vectors: np.ndarray, rows: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """(n, k) rows and squared distances of the k nearest others of each of n rows; -1 for none.

    Args:
        vectors: (m, dim) lattice, of rows 0, 1, ...
        rows: (n,) ascending; only these exist.
        k: how many.
    """
    own = vectors[rows].astype(np.int64)
    near = np.full((len(rows), k), -1)
    squared = np.full((len(rows), k), -1)
    for place in range(len(rows)):
        distance = ((own - own[place]) ** 2).sum(axis=1)
        others = np.delete(np.arange(len(rows)), place)
        order = others[np.lexsort((rows[others], distance[others]))][:k]
        near[place, : len(order)], squared[place, : len(order)] = rows[order], distance[order]
    return near, squared


def agrees(found: Neighbours, vectors: np.ndarray, rows: np.ndarray, k: int) -> None:
    near, squared = nearest(vectors, rows, k)
    assert np.array_equal(found.rows, rows)
    assert np.array_equal(found.near[:, :k], near)
    assert np.array_equal(found.squared[:, :k], squared)


@st.composite
def lattices(draw: st.DrawFn, most: int = 60) -> np.ndarray:
    """(n, dim) int16 unit vectors times 4000: scenes, copies, equal distances, odd ones."""
    dim = draw(st.integers(2, 9))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind = draw(st.sampled_from(["scenes", "few", "scattered"]))
    count = draw(st.integers(1, most))
    if kind == "few":  # of small integers: many copies, and many at the same distance
        vectors = rng.integers(-1, 2, (count, dim)).astype(float)
        vectors[np.abs(vectors).sum(axis=1) == 0, 0] = 1
    elif kind == "scattered":
        vectors = rng.normal(size=(count, dim))
    else:
        cuts = rng.random(count) < 0.15
        vectors = rng.normal(size=(count, dim))[np.cumsum(cuts) % count]
        vectors = vectors + rng.normal(size=(count, dim)) * draw(st.sampled_from([0, 0.01, 0.1]))
    return np.rint(4000 * vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.int16)


def scenes(count: int, frames: int, dim: int, seed: int) -> np.ndarray:
    """(count * frames, dim) int16 lattice: scenes of near frames, each far from all others."""
    rng = np.random.default_rng(seed)
    centers = rng.normal(size=(count, 1, dim))
    vectors = (centers + 0.03 * rng.normal(size=(count, frames, dim))).reshape(-1, dim)
    return np.rint(4000 * vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.int16)


SIZES = st.builds(
    Sizes,
    cell_rows=st.integers(1, 9),
    piece_rows=st.integers(1, 40),
    read_rows=st.integers(1, 40),
    group_rows=st.integers(1, 40),
    group_products=st.sampled_from([0.0, 1.0, 2.0, float("inf")]),
    tile_values=st.sampled_from([1, 16, 100, None]),
)


def split(parts: int) -> Any:
    """What gives the partitions of a store, so many of them."""

    @contextmanager
    def partitions(
        store: Store, rows: np.ndarray, *, tuning: Any, **units: Any
    ) -> Iterator[LocalPartitions]:
        cuts = block_cuts(rows, store.block_rows, parts)
        layout = layout_of_parts(np.split(rows, cuts), [None] * (len(cuts) + 1))
        assert (units["length"], units["weight"], units["before"]) == (1, None, None)
        jobs = partition_jobs(
            store, layout, length=1, group=None, device="cpu", vectors_bytes=None, tuning=tuning
        )
        yield LocalPartitions([job.load_partition(one) for one in jobs], layout)

    return partitions
