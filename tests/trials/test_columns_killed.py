"""`coreframe columns add`, killed before and after each file that it writes."""

from pathlib import Path

import pytest

from tests.columns.test_killed import MOMENTS, look_after_a_kill

pytestmark = pytest.mark.integration


@pytest.mark.parametrize(("at", "when"), MOMENTS)
def test_every_moment(tmp_path: Path, cluster: str, at: int, when: str) -> None:
    look_after_a_kill(tmp_path, cluster, at, when)
