"""What several tests share."""

import os
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import dask
import pytest
import torch
from dask.distributed import LocalCluster
from moto.server import ThreadedMotoServer

from coreframe.flows.cluster import SETTINGS
from coreframe.tasks.output.files import PAGE
from tests.videos import RECIPES, make

os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
os.environ.setdefault("PREFECT_LOGGING_LEVEL", "ERROR")
os.environ.setdefault("SVT_LOG", "0")  # the AV1 encoder talks much


SLOW = ("test_nights.py", "test_faults.py", "test_deployments.py", "test_command.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files: one that comes last would leave the other cores idle."""
    items.sort(key=lambda item: item.path.name not in SLOW)


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
    made = {recipe.file: make(recipe, folder) for recipe in RECIPES}
    if hasattr(os, "sched_getscheduler"):  # an encoder that changes it would starve other tests
        assert os.sched_getscheduler(0) == os.SCHED_OTHER
    return made


@pytest.fixture
def without_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs leave an empty page: it takes four seconds of each, and has tests of its own."""

    def empty(_store: object, _choice: object, out: Path, *_: object) -> None:
        (out / PAGE).touch()

    monkeypatch.setattr("coreframe.flows.selection.page_stage", empty)


@pytest.fixture(scope="session")
def object_store() -> Iterator[str]:
    """A real S3 server on this machine: its address. This process is told of it."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    address = "http://{}:{}".format(*server.get_host_and_port())
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ENDPOINT_URL", address)
        environment.setenv("AWS_ACCESS_KEY_ID", "test")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "test")
        environment.setenv("AWS_REGION", "us-east-1")
        yield address
    server.stop()


@pytest.fixture
def bucket(object_store: str, request: pytest.FixtureRequest) -> str:
    """The URL of an empty bucket."""
    name = f"b{abs(hash(request.node.nodeid))}"
    make = urllib.request.Request(f"{object_store}/{name}", method="PUT")
    with urllib.request.urlopen(make):
        return f"s3://{name}"


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
