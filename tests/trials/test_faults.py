"""What `tests/flows/test_faults.py` does, with 200 videos."""

from pathlib import Path

import pytest

from tests.flows import faults

pytestmark = pytest.mark.timeout(300)


@pytest.mark.parametrize("where", ["crash-open", "crash-decode"])
def test_of_200_videos_one_that_crashes_its_decoder_is_quarantined(
    where: str, tmp_path: Path, processes: str, cluster: str
) -> None:
    faults.one_crashes(where, tmp_path, processes, cluster, videos=200)


@pytest.mark.parametrize("where", ["hang-open", "hang-decode"])
def test_a_video_that_hangs_is_quarantined(where: str, tmp_path: Path, processes: str) -> None:
    faults.one_hangs(where, tmp_path, processes, videos=200)
