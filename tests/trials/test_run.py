"""What `tests/flows/test_run.py` does, at full length."""

from pathlib import Path

import numpy as np
import pytest

from tests.flows.shots import shots_hit
from tests.shots import FILES, HELD_OUT, seeded_files

pytestmark = pytest.mark.usefixtures("server", "forked", "without_page")


def test_few_frames_hit_shots_of_very_unequal_length(real_videos: Path, tmp_path: Path) -> None:
    sets = {0: FILES} | {seed: seeded_files(seed) for seed in HELD_OUT}
    hit = [
        shots_hit(real_videos, tmp_path / str(seed), files, shorter=1)
        for seed, files in sets.items()
    ]
    assert (np.mean(hit, axis=0) >= (28.5, 30, 31, 31)).all(), hit
