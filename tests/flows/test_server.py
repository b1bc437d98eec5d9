"""The Prefect server of a command: one that is not there, has no room, or dies, is one sentence."""

import errno
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import gettempdir

import httpx
import psutil
import pytest
from prefect.exceptions import PrefectHTTPStatusError

from coreframe.flows import server
from coreframe.flows.server import (
    TemporaryServer,
    check_room,
    explained,
    prefect_server,
)
from coreframe.tasks.errors import CoreframeError, UsageError

pytestmark = pytest.mark.integration


@pytest.fixture
def failures(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """What ends the command; no server is named."""
    said: list[str] = []
    monkeypatch.setattr(server, "fail", said.append)
    monkeypatch.setattr(server, "LOOK_S", 0.01)
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.setattr(server, "named_server", lambda: None)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return said


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Let the server's process be another program, which is given a listening socket."""

    def run(code: str) -> None:
        whole = f"import socket, sys; listening = socket.socket(fileno=int(sys.argv[1])); {code}"
        monkeypatch.setattr(server, "PROGRAM", ["-c", whole])

    return run


LIVES = "import time; time.sleep(600)"  # not input(): it ends at once where nothing can be read
ANSWERS = (
    "client, _ = listening.accept(); client.recv(9999); "
    "client.send(b'HTTP/1.1 200 OK\\r\\nContent-Length: 4\\r\\n\\r\\ntrue'); " + LIVES
)
CUTS_THE_FIRST = (
    "import os; first = not os.path.exists('begun'); open('begun', 'w'); "
    f"first and sys.exit(1); {ANSWERS}"
)


def test_a_temporary_server_that_dies_ends_the_command(
    failures: list[str], program: Callable[[str], None], tmp_path: Path
) -> None:
    program(ANSWERS)
    with TemporaryServer(tmp_path / "new") as made:
        assert made.wait().startswith("http://127.0.0.1:")
        assert made.process is not None
        made.process.kill()
        limit_s = time.monotonic() + 30
        while not failures and time.monotonic() < limit_s:
            time.sleep(0.01)
    assert "temporary server has ended by itself (status -9" in failures[0]


def test_one_that_is_ended_after_the_run_does_not(
    failures: list[str], program: Callable[[str], None], tmp_path: Path
) -> None:
    program(ANSWERS)
    with TemporaryServer(tmp_path / "new") as made:
        made.wait()
        process = made.process
    assert process is not None
    assert process.returncode is not None
    time.sleep(0.1)
    assert failures == []


def test_one_that_cannot_start_is_a_sentence(
    failures: list[str], program: Callable[[str], None], tmp_path: Path
) -> None:
    program("sys.exit(1)")
    with (
        TemporaryServer(tmp_path / "new") as made,
        pytest.raises(CoreframeError, match=r"temporary server cannot be started \(.*PREFECT_API"),
    ):
        made.wait()
    assert failures == []


def test_one_that_dies_at_once_is_started_again(
    failures: list[str], program: Callable[[str], None], tmp_path: Path
) -> None:
    program(CUTS_THE_FIRST)
    with TemporaryServer(tmp_path / "new") as made:
        made.wait()
    assert (tmp_path / "begun").exists()
    assert failures == []


def test_nothing_is_left_of_a_command_that_is_refused(
    failures: list[str], program: Callable[[str], None], tmp_path: Path
) -> None:
    program(LIVES)
    processes, folders = psutil.Process().children(), set(Path(gettempdir()).glob("coreframe-*"))
    with pytest.raises(UsageError), prefect_server(lambda: None):
        raise UsageError("no videos given")
    assert psutil.Process().children() == processes
    assert set(Path(gettempdir()).glob("coreframe-*")) == folders


ASKED = (
    "import sys; from coreframe.flows.server import named_server; "
    "print(named_server(), 'prefect' in sys.modules)"
)


def test_only_where_a_file_may_name_a_server_is_prefect_asked(
    failures: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def answer() -> str:
        return subprocess.check_output([sys.executable, "-c", ASKED], text=True).strip()

    (tmp_path / "pyproject.toml").write_text("[project]\n")
    assert answer() == "None False"
    monkeypatch.setenv("PREFECT_API_URL", "http://here/api")
    assert answer() == "http://here/api False"
    monkeypatch.delenv("PREFECT_API_URL")
    for name, text in {
        "prefect.toml": "[api]\nurl = 'http://there/api'\n",
        "pyproject.toml": "[tool.prefect.api]\nurl = 'http://there/api'\n",
        ".env": "PREFECT_API_URL=http://there/api\n",
        "profiles.toml": "active='a'\n[profiles.a]\nPREFECT_API_URL = 'http://there/api'\n",
    }.items():
        (tmp_path / name).write_text(text)
        assert answer() == "http://there/api True", name
        (tmp_path / name).unlink()


def test_a_named_server_that_is_not_there_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "http://127.0.0.1:9/api"
    monkeypatch.setenv("PREFECT_API_URL", url)
    with (
        prefect_server(lambda: None) as run,
        pytest.raises(CoreframeError, match=r"server at http://127.0.0.1:9/api, which PREFECT"),
    ):
        run(lambda: None)


def test_a_server_needs_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_room(tmp_path)
    assert not list(tmp_path.iterdir())

    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(CoreframeError, match=r"No space left on device; it needs 16 MB.*TMPDIR"):
        check_room(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_server_that_cannot_write_is_a_sentence() -> None:
    request = httpx.Request("POST", "http://127.0.0.1/api")
    refusal = PrefectHTTPStatusError("full", request=request, response=httpx.Response(500))
    sentence = f"status 500: look whether {gettempdir()} has room"
    with pytest.raises(CoreframeError, match=sentence), explained():
        raise refusal
