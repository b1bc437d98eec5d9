"""What `tests/forget/test_task.py` does, at every moment."""

from pathlib import Path

import pytest

from tests.forget.trial import ended_at_moments, make_store

pytestmark = pytest.mark.timeout(600)


def test_ended_at_every_moment_the_next_run_completes_it(tmp_path: Path, cluster: str) -> None:
    made = make_store(tmp_path / "made", cluster)
    assert ended_at_moments(made, tmp_path, cluster, every=1) > 20
