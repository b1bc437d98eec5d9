"""The Prefect server of a command: one that is not there, or dies, is one sentence."""

import subprocess
import sys
import time
from types import SimpleNamespace

import httpx
import pytest

from coreframe.flows import server
from coreframe.tasks.errors import CoreframeError

pytestmark = pytest.mark.integration


class FakeServer:
    """A process in its place."""

    def __init__(self) -> None:
        self.server_process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.server_process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=-1)

    def stop(self) -> None:
        self.server_process = None


@pytest.fixture
def failures(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    said: list[str] = []

    def fail(sentence: str) -> None:
        said.append(sentence)

    monkeypatch.setattr(server, "fail", fail)
    monkeypatch.setattr(server, "SubprocessASGIServer", FakeServer)
    monkeypatch.setattr(server, "PREFECT_API_URL", SimpleNamespace(value=lambda: None))
    monkeypatch.setattr(server, "LOOK_S", 0.01)
    return said


def test_a_temporary_server_that_dies_ends_the_command(
    failures: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = FakeServer()
    monkeypatch.setattr(server, "SubprocessASGIServer", lambda: made)

    def flow(number: int) -> int:
        assert made.server_process is not None
        made.server_process.kill()
        limit_s = time.monotonic() + 30
        while not failures and time.monotonic() < limit_s:
            time.sleep(0.01)
        return number

    assert server.on_server(flow, number=3) == 3
    assert "temporary server has ended by itself (status -9" in failures[0]


def test_one_that_is_ended_after_the_run_does_not(
    failures: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = FakeServer()
    monkeypatch.setattr(server, "SubprocessASGIServer", lambda: made)
    server.on_server(lambda: None)
    assert made.server_process is not None
    made.server_process.kill()
    made.server_process.wait()
    time.sleep(0.1)
    assert failures == []


def test_one_that_cannot_start_is_a_sentence(
    failures: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(_: FakeServer) -> None:
        raise RuntimeError("timed out")

    monkeypatch.setattr(FakeServer, "start", start)
    with pytest.raises(CoreframeError, match=r"cannot be started \(timed out\)"):
        server.on_server(lambda: None)
    assert failures == []


def test_one_that_cuts_the_first_connection_is_started_again(
    failures: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    starts = []

    def start(_: FakeServer) -> None:
        starts.append(True)
        if len(starts) == 1:
            raise httpx.ReadError("Connection reset by peer")

    monkeypatch.setattr(FakeServer, "start", start)
    assert server.on_server(lambda: 3) == 3
    assert (len(starts), failures) == (2, [])


def test_a_named_server_that_is_not_there_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "http://127.0.0.1:9/api"
    monkeypatch.setattr(server, "PREFECT_API_URL", SimpleNamespace(value=lambda: url))
    with pytest.raises(CoreframeError, match=r"server at http://127.0.0.1:9/api, which PREFECT"):
        server.on_server(lambda: None)
