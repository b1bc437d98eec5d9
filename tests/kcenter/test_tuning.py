"""What is tuned reaches those that work, on whatever worker they are."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from coreframe.tasks.kcenter.assign import assign
from coreframe.tasks.kcenter.goal import Goal
from coreframe.tasks.kcenter.greedy import greedy_k_center
from coreframe.tasks.kcenter.job import PartitionJob, load_partition
from coreframe.tasks.kcenter.local import LocalPartitions, local_partitions
from coreframe.tasks.kcenter.partition import Partition
from coreframe.tasks.kcenter.tuning import DEFAULT_TUNING, Tuning
from coreframe.tasks.kcenter.vectors import ArraySource, Vectors
from tests.stores import make_store, walks

OTHER = Tuning(max_cells=3, tile_values=64)


def test_a_partition_keeps_its_tuning_where_it_travels() -> None:
    vectors = Vectors(ArraySource(walks(60, 8, 0)), [0, 60], 8, torch.device("cpu"), tuning=OTHER)
    part = Partition.without_centers(np.arange(60), vectors)
    part = assign(part, np.array([3]), walks(60, 8, 0)[[3]])
    arrived = pickle.loads(pickle.dumps(part))
    assert arrived.tuning == OTHER
    assert arrived.centers.max_anchors == 3


def test_where_nothing_is_pruned_only_the_numbers_of_centers_are_kept() -> None:
    tuning = Tuning(pruning_devices=frozenset())
    lattice = walks(400, 64, 0)
    vectors = Vectors(ArraySource(lattice), [0, 400], 64, torch.device("cpu"), tuning=tuning)
    part = Partition.without_centers(np.arange(400), vectors)
    for rows in (np.arange(3), np.arange(100, 108)):
        part = assign(part, rows, lattice[rows])
    assert part.centers is not None
    assert part.sketch is not None
    assert not part.sketch.shortens
    assert part.centers.received == 11
    assert 3 < len(part.centers) <= 11
    assert len(part.centers.sketches) == len(part.centers.anchors) == 0


def test_jobs_bring_their_tuning_to_workers(tmp_path: Path) -> None:
    store = make_store(tmp_path / "s", walks(60, 8, 0), [60], block_rows=16)
    job = PartitionJob(store.path, np.arange(60), 1, None, None, "cpu", None)
    assert load_partition(job).tuning == DEFAULT_TUNING
    job = PartitionJob(store.path, np.arange(60), 1, None, None, "cpu", None, OTHER)
    assert load_partition(job).tuning == OTHER
    with local_partitions(store, np.arange(60), device="cpu", tuning=OTHER) as here:
        assert here._parts
        assert all(part.tuning == OTHER for part in here._parts)


def test_pools_are_as_large_as_tuned() -> None:
    tuning = Tuning(pool_rows=10, pool_values=1000, extending_factor=3)
    assert tuning.pool_rows_of(20) == 50
    assert tuning.pool_rows_of(20, extending=True) == 150
    assert tuning.pool_rows_of(500) == 10


@pytest.mark.parametrize("pool_rows", [1, 100])
def test_a_larger_pool_takes_fewer_passes(pool_rows: int) -> None:
    vectors = Vectors.from_array(walks(200, 8, 0), torch.device("cpu"))
    corpus = LocalPartitions([Partition.without_centers(np.arange(200), vectors)])
    tuning = Tuning(pool_rows=pool_rows, pool_values=0)
    picks = greedy_k_center(corpus, Goal(40), tuning=tuning)
    assert (picks.passes > 40) == (pool_rows == 1)
