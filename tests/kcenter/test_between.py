"""Distances of candidates that a device forms are those that are formed here."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from coreframe.tasks.kcenter.between import DeviceDistances
from coreframe.tasks.kcenter.goal import Goal
from coreframe.tasks.kcenter.greedy import greedy_k_center
from coreframe.tasks.kcenter.local import LocalPartitions
from coreframe.tasks.kcenter.partition import Partition
from coreframe.tasks.kcenter.tuning import DEFAULT_TUNING, Tuning
from coreframe.tasks.kcenter.vectors import ArraySource, Vectors
from tests.stores import walks

CPU = torch.device("cpu")


def squared(vectors: NDArray[np.int16]) -> NDArray[np.int64]:
    wide = vectors.astype(np.int64)
    return ((wide[:, None] - wide[None]) ** 2).sum(axis=2)


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_they_are_exact_for_any_number(device: str) -> None:
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no NVIDIA GPU on this machine")
    between, vectors = DeviceDistances(torch.device(device)), walks(60, 16, 0)
    for count in (1, 40, 7, 60):  # the memory is used again, and made anew when it is too small
        assert np.array_equal(between(vectors[:count]), squared(vectors[:count]))


def corpus(lattice: NDArray[np.int16], tuning: Tuning) -> LocalPartitions:
    vectors = Vectors(ArraySource(lattice), [0, len(lattice)], lattice.shape[1], CPU, tuning=tuning)
    return LocalPartitions([Partition.without_centers(np.arange(len(lattice)), vectors)])


def test_a_pool_is_picked_from_by_the_device_that_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes, formed = [], DeviceDistances.__call__

    def noting(self: DeviceDistances, vectors: NDArray[np.int16]) -> NDArray[np.int32]:
        sizes.append(len(vectors))
        return formed(self, vectors)

    monkeypatch.setattr(DeviceDistances, "__call__", noting)
    lattice = walks(900, 8, 0)
    tuning = Tuning(pool_rows=300, pool_values=0)
    expected = greedy_k_center(corpus(lattice, tuning), Goal(90), tuning=tuning)
    assert sizes == []  # a CPU picks in fronts
    tuning = replace(tuning, between_devices=frozenset({"cpu"}))
    picks = greedy_k_center(corpus(lattice, tuning), Goal(90), tuning=tuning)
    assert np.array_equal(picks.rows, expected.rows)
    assert picks.passes == expected.passes
    assert sizes[0] == 300
    assert len(sizes) == picks.passes - 3  # once a pass, but for the first pick and the mean
    assert DEFAULT_TUNING.between_devices == {"cuda"}
