"""Whatever a clip is like, store and images are those of a sequential decode."""

from pathlib import Path

from tests.any_clips import check_any_clips


def test_clips_of_random_kinds(tmp_path: Path, cluster: str, processes: str) -> None:
    check_any_clips(tmp_path, range(12), [cluster, processes])
