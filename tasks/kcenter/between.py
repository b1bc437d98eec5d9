"""The distances of candidates to one another, formed on the device that has the partitions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from coreframe.tasks.lattice import on_device, squared_distances, squared_norms
from coreframe.tasks.lazy import torch


class DeviceDistances:
    """Forms all distances between some vectors at once; they come back through the same memory.

    A GPU forms those of 4096 vectors in less than a millisecond, and one more brings them here,
    if it may write to memory that stays where it is. To make 64 MiB of that takes tens of them.
    """

    def __init__(self, device: torch.device) -> None:
        """Allocate nothing yet."""
        self._device = device
        self._here = torch.empty(0, dtype=torch.int32)

    def __call__(self, vectors: NDArray[np.int16]) -> NDArray[np.int32]:
        """(f, f) squared distances of (f, dim) lattice vectors; valid until the next call."""
        count = len(vectors)
        if len(self._here) < count**2:
            pinned = self._device.type == "cuda"
            self._here = torch.empty(count**2, dtype=torch.int32, pin_memory=pinned)
        there = on_device(vectors, self._device)
        wide, norms = there.float(), squared_norms(there)
        here = self._here[: count**2].view(count, count)
        return here.copy_(squared_distances(wide, norms, wide, norms)).numpy()
