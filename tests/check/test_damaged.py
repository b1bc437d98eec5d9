"""A few of the faults of `tests.check.damaged`; `make trials` makes 1,000."""

from pathlib import Path

import pytest

from tests.check.damaged import Nights, fault, read_all

SEEDS = 6


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_single_faults_are_found_and_mended(tmp_path: Path, cluster: str) -> None:
    nights = Nights.make(tmp_path, cluster)
    expected = read_all(nights.stores[-1], tmp_path)
    assert not any(value.startswith("refused") for value in expected.values()), expected
    for seed in range(SEEDS):
        fault(nights, tmp_path, cluster, seed, expected)
