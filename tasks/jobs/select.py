"""Hold a part of the corpus for selecting and measuring."""

import numpy as np

from tasks.embedding.embedder import resolve_device
from tasks.metrics.pairwise import PairStatistics, pairs_within
from tasks.selection.partition import Partition
from tasks.store.store import Store


def load_partition(store: str, rows: np.ndarray, eligible: np.ndarray, device: str) -> Partition:
    """Read rows from the store onto this worker's device."""
    return Partition.of(rows, Store.open(store).read_rows(rows), eligible, resolve_device(device))


def measure_pairs(store: str, rows: np.ndarray, start: int, stop: int) -> PairStatistics:
    """Read rows from the store; see :func:`tasks.metrics.pairwise.pairs_within` for the rest."""
    return pairs_within(Store.open(store).read_rows(rows), start, stop)
