"""The corpus in this process: for notebooks and small corpora."""

from collections.abc import Sequence

import numpy as np

from coreframe.tasks.kcenter.assign import assign
from coreframe.tasks.kcenter.greedy import central_row, share_of
from coreframe.tasks.kcenter.partition import (
    Farthest,
    Partition,
    collect,
    farthest,
    most_central,
    vector_sum,
)


class LocalPartitions:
    """Partitions in this process: for small corpora, notebooks and tests."""

    def __init__(self, parts: Sequence[Partition]) -> None:
        """Take at least one partition."""
        self._parts = list(parts)

    @property
    def dim(self) -> int:
        return self._parts[0].vectors.dim

    def central(self) -> int | None:
        return central_row(
            [vector_sum(part) for part in self._parts],
            lambda count, total: [most_central(part, count, total) for part in self._parts],
        )

    def assign(self, rows: np.ndarray, vectors: np.ndarray, curve: bool = False) -> None:
        self._parts = [assign(part, rows, vectors, curve) for part in self._parts]

    def farthest(
        self, count: int, squared_threshold: int, closed: np.ndarray | None
    ) -> list[Farthest]:
        share = share_of(count, len(self._parts))
        return [farthest(part, share, squared_threshold, closed) for part in self._parts]

    def collect(self, rows: np.ndarray) -> np.ndarray:
        found = [collect(part, own) for part, own in self._owners(rows) if len(own)]
        return np.concatenate(found)

    def weight(self, rows: np.ndarray) -> np.ndarray | None:
        if not self._parts or self._parts[0].weight is None:
            return None
        held = {
            int(row): int(weight)
            for part in self._parts
            if part.weight is not None
            for row, weight in zip(part.rows, part.weight, strict=True)
        }
        return np.array([held[row] for row in rows.tolist()], np.int64)

    def _owners(self, rows: np.ndarray) -> list[tuple[Partition, np.ndarray]]:
        ends = [int(part.rows[-1]) + 1 for part in self._parts if len(part)]
        owned = np.split(rows, np.searchsorted(rows, ends)[:-1])
        return list(zip([part for part in self._parts if len(part)], owned, strict=True))
