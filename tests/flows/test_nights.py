"""A store that grows night by night, is interrupted, and is written to by two at once.

The same at full length: `tests/trials/test_nights.py`.
"""

from pathlib import Path

import pytest

from tests.flows import nights, odd_nights
from tests.videos import clips

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clips(tmp_path_factory.mktemp("nights") / "videos", nights.NAMES)


def test_runs_killed_at_any_moment_end_like_one_left_alone(
    videos: Path, tmp_path: Path, cluster: str
) -> None:
    nights.killed_at_moments(videos, tmp_path, cluster, kills=3, least=1, seed=3)


def test_workers_killed_at_any_moment_change_nothing(
    videos: Path, tmp_path: Path, cluster: str, processes: str
) -> None:
    nights.workers_killed_at_moments(videos, tmp_path, cluster, processes, kills=3, seed=5)


def test_five_nights_in_any_split_give_the_rows_of_one(
    videos: Path, tmp_path: Path, cluster: str
) -> None:
    nights.nights_in_any_split(videos, tmp_path, cluster, seeds=1)


def test_two_runs_at_once_lose_nothing(videos: Path, tmp_path: Path, cluster: str) -> None:
    nights.two_at_once(videos, tmp_path, cluster, attempts=4)


@pytest.mark.usefixtures("server", "without_page")
def test_nights_with_odd_files_end_as_documented(tmp_path: Path, cluster: str) -> None:
    odd_nights.three_nights(tmp_path, cluster)
