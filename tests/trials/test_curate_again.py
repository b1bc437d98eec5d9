"""What `tests/flows/test_curate_again.py` does, with many videos."""

from pathlib import Path

import pytest

from tests.flows.again import nothing_new

pytestmark = [pytest.mark.timeout(600), pytest.mark.usefixtures("server", "without_page")]


def test_a_night_with_nothing_new_on_10_000_videos(tmp_path: Path, cluster: str) -> None:
    nothing_new(tmp_path, cluster, count=10_000)
