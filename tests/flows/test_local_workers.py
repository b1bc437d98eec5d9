"""Workers of this machine: how many, and forks of a process that has imported what they need."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from dask.distributed import Client

from coreframe.flows.cluster import open_cluster
from coreframe.flows.local_workers import LocalWorkers, variables
from coreframe.flows.parameters import Compute

pytestmark = pytest.mark.integration


def test_cores_are_shared_among_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(8))
    assert LocalWorkers.of(Compute(device="cpu")) == LocalWorkers(8, 1)
    assert LocalWorkers.of(Compute(workers=3)) == LocalWorkers(3, 2)
    assert LocalWorkers.of(Compute(workers=20)) == LocalWorkers(20, 1)
    assert variables(2)["OMP_NUM_THREADS"] == "2"


FORKS = """
import os, sys, time
from coreframe.flows.fork_server import start_fork_server
from coreframe.flows.local_workers import variables
begin = time.monotonic()
assert start_fork_server(variables(1))
assert time.monotonic() - begin < 1, "it is waited for"
assert start_fork_server(variables(1))
assert not start_fork_server(variables(2))  # it was started with another environment
assert "OMP_NUM_THREADS" not in os.environ
assert not {"torch", "dask", "prefect"} & set(sys.modules)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="workers are forks on Linux only")
def test_a_fork_server_is_started_once_and_not_waited_for() -> None:
    environment = {name: value for name, value in os.environ.items() if "THREADS" not in name}
    subprocess.run([sys.executable, "-c", FORKS], env=environment, check=True)


@pytest.mark.skipif(sys.platform != "linux", reason="workers are forks on Linux only")
def test_where_temporary_files_have_long_names_workers_are_no_forks(tmp_path: Path) -> None:
    """A socket's name has room for a hundred bytes; what is not a fork starts anyhow."""
    long = tmp_path / ("x" * 100)
    long.mkdir()
    asked = (
        "from coreframe.flows.fork_server import start_fork_server; "
        "print(start_fork_server({}), start_fork_server({}))"
    )
    environment = os.environ | {"TMPDIR": str(long)}
    answer = subprocess.check_output([sys.executable, "-c", asked], env=environment, text=True)
    assert answer == "False False\n"


@pytest.mark.usefixtures("forked")
def test_forks_know_the_environment_of_their_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not that of when the process was started of which they are forks."""

    def seen() -> tuple[str | None, int, bool]:
        import torch

        begin_s = time.monotonic()
        import coreframe.tasks.embed.job  # noqa: F401

        known = time.monotonic() - begin_s < 0.1
        return os.environ.get("SET_LATE"), torch.get_num_threads(), known

    monkeypatch.setenv("SET_LATE", "now")
    with open_cluster(Compute(workers=2, device="cpu")) as cluster, Client(cluster) as client:
        assert client.submit(seen, pure=False).result(timeout=60) == ("now", 1, True)
