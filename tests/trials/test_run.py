"""What `tests/flows/test_run.py` does, at full length."""

from pathlib import Path

import pytest

from tests.flows.shots import hit_shots

pytestmark = pytest.mark.usefixtures("server", "forked", "without_page")


def test_few_frames_hit_shots_of_very_unequal_length(real_videos: Path, tmp_path: Path) -> None:
    hit_shots(real_videos, tmp_path, shorter=1)
