"""The Prefect server of a command: one that is not there, has no room, or dies, is one sentence."""

import errno
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from prefect.exceptions import PrefectHTTPStatusError

from coreframe.flows import server
from coreframe.flows.server import check_home, explained
from coreframe.tasks.errors import CoreframeError
from tests.powers import obeying_modes

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


def test_a_server_needs_a_home_with_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_home(tmp_path / "new" / "home")
    assert not list((tmp_path / "new" / "home").iterdir())
    (tmp_path / "file").touch()
    with pytest.raises(CoreframeError, match=r"file/home \(Not a directory.*PREFECT_HOME"):
        check_home(tmp_path / "file" / "home")
    (tmp_path / "new").chmod(0o555)
    with obeying_modes(), pytest.raises(CoreframeError, match="Permission denied"):
        check_home(tmp_path / "new" / "other")

    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(CoreframeError, match="No space left on device; it needs 16 MB"):
        check_home(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"new", "file"}


def test_a_server_that_cannot_write_is_a_sentence(tmp_path: Path) -> None:
    request = httpx.Request("POST", "http://127.0.0.1/api")
    refusal = PrefectHTTPStatusError("full", request=request, response=httpx.Response(500))
    sentence = f"status 500: look whether {tmp_path} has room"
    with pytest.raises(CoreframeError, match=sentence), explained(tmp_path):
        raise refusal
