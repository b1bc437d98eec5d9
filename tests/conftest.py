"""What several tests share.

What is dear to start is started once a test process, when a test first asks for it: the Prefect
server, the clusters, the object store. Whoever asks for one of them is marked ``integration``;
tests without that mark start nothing, and are what ``make quick`` runs.
"""

import gc
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import settings

from tests.videos import RECIPES, make

# As the command does: else importing takes a fifth longer, in each process that runs tests. Once
# tests run, what they leave is looked for as often as ever, or videos' frames would pile up.
USUAL = gc.get_threshold()
gc.set_threshold(100_000)
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
os.environ.setdefault("PREFECT_LOGGING_LEVEL", "ERROR")
os.environ.setdefault("DASK_LOGGING__DISTRIBUTED", "error")  # as the command does
os.environ.setdefault("SVT_LOG", "0")  # the AV1 encoder talks much

# No deadlines: on a busy machine the first example may take a second, and the next 2 ms.
settings.register_profile("tests", max_examples=60, deadline=None)
settings.register_profile("trials", max_examples=1000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "tests"))

STARTED = {"bucket", "browser", "cluster", "forked", "object_store", "processes", "server"}
"""Fixtures that start something: a test with one of them is an integration test."""

LONGEST = (
    "test_deployments.py",
    "flows/test_run.py",
    "flows/test_nights.py",
    "report/test_task.py",
    "test_benchmarks.py",
    "report/test_page.py",
    "flows/test_faults.py",
    "flows/test_command.py",
    "flows/test_cluster.py",
    "flows/test_curate_again.py",
    "test_object_store.py",
    "video/test_decode.py",
    "test_demo.py",
    "train/test_task.py",
)
"""Files to begin with: a long one that comes last would leave the other cores idle."""

CLOSING_S = 30
"""For how long a cluster of tests may take to end."""

FORKED = {"distributed.worker.multiprocessing-method": "forkserver"}


@pytest.hookimpl(optionalhook=True)  # of a plugin that may be off
def pytest_xdist_auto_num_workers() -> int:
    """Of three processes that run tests on two cores one waits: for servers, for time to pass."""
    return len(os.sched_getaffinity(0)) * 3 // 2 if hasattr(os, "sched_getaffinity") else 2


@pytest.hookimpl(tryfirst=True)  # -m reads the marks in its own
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what starts something, and put long files first."""
    folder = Path(__file__).parent
    for item in items:
        if STARTED & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.integration)
    order = {str(folder / name): place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(str(item.path), len(order)))


def pytest_collection_finish() -> None:
    """Leave what was imported out of what Python looks through for garbage."""
    gc.freeze()
    gc.set_threshold(*USUAL)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave the long trials out where they are not asked for by name, as `make trials` does."""
    trials = Path(__file__).with_name("trials")
    asked = [Path(argument.split("::")[0]).resolve() for argument in config.args]
    wanted = any(trials in (one, *one.parents) for one in asked)
    return True if collection_path == trials and not wanted else None


@pytest.fixture(autouse=True)
def pure(request: pytest.FixtureRequest) -> Iterator[None]:
    """Keep tests that are not marked from starting anything, and torch from using other cores.

    And all from keeping signals, which a module that is imported may take.
    """
    if "torch" in sys.modules:
        # Tests run side by side on all cores: threads that wait for each other would spin.
        sys.modules["torch"].set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        if request.node.get_closest_marker("integration") is None:

            def refuse(*_: object, **__: object) -> NoReturn:
                pytest.fail("it starts a process or a server: mark it `integration`")

            patch.setattr(subprocess.Popen, "__init__", refuse)
            patch.setattr(BaseProcess, "start", refuse)
            patch.setattr(socket.socket, "bind", refuse)
        hears = signal.getsignal(signal.SIGINT)
        yield
        assert signal.getsignal(signal.SIGINT) is hears, "the next test would miss Ctrl-C"


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
    from coreframe.tasks.output.files import PAGE

    def empty(_store: object, _choice: object, out: Path, *_: object) -> None:
        (out / PAGE).touch()

    monkeypatch.setattr("coreframe.flows.selection.page_stage", empty)


@pytest.fixture(scope="session")
def object_store() -> Iterator[str]:
    """A real S3 server on this machine: its address. This process is told of it."""
    from moto.server import ThreadedMotoServer

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
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prefect server, which flows called in this process run on: the address of its API.

    It is the command's own, which starts in half the time of the one that Prefect has for tests.
    """
    from prefect.context import _temporary_global_settings_context, get_settings_context
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from coreframe.flows.server import TemporaryServer

    with TemporaryServer(tmp_path_factory.mktemp("server") / "runs") as started:
        address = started.wait()
        with (
            temporary_settings({PREFECT_API_URL: address}),
            _temporary_global_settings_context(get_settings_context()),  # other threads' settings
        ):
            yield address
            with suppress(RuntimeError):  # nothing was logged
                APILogWorker.instance().drain()
            EventsWorker.drain_all()


@pytest.fixture(scope="session")
def cluster() -> Iterator[str]:
    """A Dask cluster inside the test process."""
    import dask
    from dask.distributed import LocalCluster

    from coreframe.flows.cluster import DASK_SETTINGS

    with (
        dask.config.set(DASK_SETTINGS),
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0"
        ) as local,
    ):
        yield local.scheduler_address


@pytest.fixture(scope="session")
def _fork_server(object_store: str) -> None:
    """Start the process of which workers are forks; they know what its environment says."""
    from coreframe.flows.fork_server import start_fork_server
    from coreframe.flows.local_workers import variables

    start_fork_server(variables(threads=1))


@pytest.fixture(scope="module")
def forked(_fork_server: None) -> Iterator[None]:
    """Let the workers of local clusters be forks, whatever number of threads they have.

    A worker starts in 0.1 s instead of 2 s.
    """
    import dask

    with dask.config.set(FORKED):
        yield


@pytest.fixture(scope="session")
def _processes(_fork_server: None) -> Iterator[str]:
    import dask
    from dask.distributed import LocalCluster

    from coreframe.flows.cluster import DASK_SETTINGS

    with dask.config.set(DASK_SETTINGS):
        with dask.config.set(FORKED | {"distributed.worker.preload": ["tests.deadly"]}):
            local = LocalCluster(
                n_workers=2,
                threads_per_worker=1,
                host="127.0.0.1",
                dashboard_address="127.0.0.1:0",
                silence_logs="ERROR",
            )
        yield local.scheduler_address
        # once in many runs Dask waits for ever for a worker that was killed and came back
        with suppress(TimeoutError):
            local.close(timeout=CLOSING_S)


@pytest.fixture
def processes(_processes: str, forked: None) -> str:
    """Two worker processes, which a test may kill; with the decoders of `tests.deadly`."""
    from dask.distributed import Client

    with Client(_processes) as client:
        client.wait_for_workers(2, timeout=60)  # those that the test before this one killed
    return _processes
