"""What several tests share."""

import os
from collections.abc import Iterator
from pathlib import Path

import dask
import pytest
import torch
from dask.distributed import LocalCluster

from flows.cluster import SETTINGS
from tests.videos import RECIPES, make

os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
os.environ.setdefault("PREFECT_LOGGING_LEVEL", "ERROR")
os.environ.setdefault("SVT_LOG", "0")  # the AV1 encoder talks much


# Tests run side by side, one process a core: threads that wait for each other's cores would spin.
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def real_videos() -> Path:
    """The folder of real videos that may not be redistributed."""
    folder = Path(__file__).parents[1].parent / "shared" / "videos"
    if not folder.is_dir():
        pytest.skip(f"the real test videos are not at {folder}")
    return folder


@pytest.fixture(scope="session")
def made_videos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One file of every recipe, by its name."""
    folder = tmp_path_factory.mktemp("made")
    return {recipe.file: make(recipe, folder) for recipe in RECIPES}


@pytest.fixture(scope="session")
def cluster() -> Iterator[str]:
    """A Dask cluster inside the test process."""
    with (
        dask.config.set(SETTINGS),
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0"
        ) as local,
    ):
        yield local.scheduler_address
