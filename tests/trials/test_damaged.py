"""1,000 random single faults in a small store; see `tests.check.damaged`."""

from collections import Counter
from pathlib import Path

import pytest

from tests.check.damaged import Nights, fault, read_all

SEEDS = 50


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("first", range(0, 1000, SEEDS))
def test_no_fault_is_read_or_called_sound(first: int, tmp_path: Path, cluster: str) -> None:
    nights = Nights.make(tmp_path, cluster)
    expected = read_all(nights.stores[-1], tmp_path)
    ends: Counter[str] = Counter()
    for seed in range(first, first + SEEDS):
        what, _, end = fault(nights, tmp_path, cluster, seed, expected).rpartition(": ")
        ends[end] += 1
        print(seed, what, end)
    print(ends)
