"""The Prefect server of a command: one that is named, or a temporary one that it watches.

A temporary one is started before anything of Prefect is imported: both take seconds, side by side.
"""

import atexit
import http.client
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import TYPE_CHECKING, Any

from coreframe.flows.supervisor import fail, temporary_place
from coreframe.tasks import status
from coreframe.tasks.errors import CoreframeError

if TYPE_CHECKING:
    import httpx

API_URL = "PREFECT_API_URL"
"""The setting that names a server."""

LOOK_S = 0.2

DATABASE_BYTES = 16_000_000
"""Of a temporary server: a database and its journal take 8 MB after some runs."""

ATTEMPTS = 2
"""To start a temporary one."""

START_S = 120
"""For a temporary one to answer: 20 were too few on a cold machine."""

STOP_S = 5

REACH_S = 10
"""For a named server to answer."""

PROGRAM = ["-m", "coreframe.flows.temporary_server"]

RunFlow = Callable[..., Any]
"""Runs a flow, given with its parameters, and gives what it returns."""


@contextmanager
def prefect_server(prepare: Callable[[], object]) -> Iterator[RunFlow]:
    """Run flows on the Prefect server that is named, or on a temporary one.

    A temporary one begins to start here and is waited for when a flow is run. It then stays until
    the process ends: Prefect sends it the last logs and events when all else is done.

    Args:
        prepare: begins what else takes time and a core: here, or, with a temporary server, when
            nothing is left to do but to wait for it. That takes longest, so nothing competes with
            it before.

    Raises:
        CoreframeError: the named server cannot be reached, or the temporary one not be started.
    """
    if url := named_server():

        def on_named(flow: Callable[..., Any], **parameters: Any) -> Any:
            return _on_named(url, flow, parameters)

        prepare()
        yield on_named
        return
    with ExitStack() as started:
        folder = TemporaryDirectory(prefix="coreframe-", ignore_cleanup_errors=True)
        server = started.enter_context(TemporaryServer(Path(started.enter_context(folder))))

        def on_temporary(flow: Callable[..., Any], **parameters: Any) -> Any:
            prepare()
            status.show("waiting for Prefect's temporary server")
            os.environ[API_URL] = server.wait()
            atexit.register(started.pop_all().close)
            _read_settings()
            status.show("beginning the run")
            with explained():
                return flow(**parameters)

        yield on_temporary


def named_server() -> str | None:
    """The URL of the server that Prefect's settings name, if they do.

    Prefect itself, which takes a second to import, is asked only where a file may name one, or
    where it is imported already.
    """
    if url := os.environ.get(API_URL):
        return url
    home = Path(os.environ.get("PREFECT_HOME") or "~/.prefect").expanduser()
    variables = ("PREFECT_PROFILE", "PREFECT_PROFILES_PATH")
    files = [Path(".env"), Path("prefect.toml"), home / "profiles.toml"]
    project = Path("pyproject.toml")
    if (
        "prefect.settings" in sys.modules
        or any(os.environ.get(name) for name in variables)
        or any(file.exists() for file in files)
        or (project.exists() and b"tool.prefect" in project.read_bytes())
    ):
        from prefect.settings import PREFECT_API_URL

        return PREFECT_API_URL.value()
    return None


class TemporaryServer:
    """A server in a process of its own, for as long as the context lasts; see `temporary_server`.

    The command ends when it does: Prefect would ask it again and again for minutes.
    """

    def __init__(self, folder: Path) -> None:
        """Begin to start it.

        Args:
            folder: an empty or a new one for its database.

        Raises:
            CoreframeError: there is no room.
        """
        folder.mkdir(exist_ok=True)
        check_room(folder)
        self._folder = folder
        self.process: subprocess.Popen[bytes] | None = None
        self._ended = threading.Event()
        self._begin()

    def __enter__(self) -> "TemporaryServer":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def wait(self) -> str:
        """Wait until it answers, and give the URL of its API.

        Raises:
            CoreframeError: it does not.
        """
        for attempt in range(ATTEMPTS):
            try:
                self._ask()
                break
            except (OSError, http.client.HTTPException) as error:
                self.stop()  # where memory is short, the first one may have been ended
                if attempt == ATTEMPTS - 1:
                    raise CoreframeError(
                        f"Prefect's temporary server cannot be started ({error}). Run the same "
                        f"command again, or name a server that runs in {API_URL}."
                    ) from error
                self._begin()
        threading.Thread(target=self._watch, name="coreframe-server", daemon=True).start()
        return f"http://127.0.0.1:{self._port}/api"

    def stop(self) -> None:
        """End it, in good order where that does not take long."""
        self._ended.set()
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(timeout=STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def _begin(self) -> None:
        for file in self._folder.iterdir():  # of one that did not start
            file.unlink()
        with socket.create_server(("127.0.0.1", 0)) as listening:
            self._port: int = listening.getsockname()[1]
            number = listening.fileno()
            program = [sys.executable, *PROGRAM, str(number), str(self._folder)]
            self.process = subprocess.Popen(program, pass_fds=[number])

    def _ask(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=START_S)
        try:
            connection.request("GET", "/api/health")
            answer = connection.getresponse()
            if answer.status != http.client.OK:
                raise http.client.HTTPException(f"it answers with status {answer.status}")
        finally:
            connection.close()

    def _watch(self) -> None:
        process = self.process
        while process is not None and not self._ended.wait(LOOK_S):
            code = process.poll()
            if code is not None and not self._ended.is_set():
                fail(
                    f"Prefect's temporary server has ended by itself (status {code}; was memory "
                    "free?). What was committed is kept; run it again to continue"
                )


def check_room(folder: Path) -> None:
    """Refuse to start a server whose database finds no room: it would hang, and say nothing.

    Raises:
        CoreframeError: naming the folder, and what it lacks.
    """
    try:
        with TemporaryFile(dir=folder) as probe:
            os.posix_fallocate(probe.fileno(), 0, DATABASE_BYTES)
    except OSError as error:
        raise CoreframeError(
            f"Prefect's temporary server cannot keep its runs in {temporary_place()} "
            f"({error.strerror}; it needs {DATABASE_BYTES // 1_000_000} MB there): make room, or "
            f"name another folder in TMPDIR, or a server that runs in {API_URL}."
        ) from error


@contextmanager
def explained() -> Iterator[None]:
    """Say in a sentence when a temporary server that runs cannot keep what it is told.

    Raises:
        CoreframeError: naming the folder that it writes to.
    """
    from prefect.exceptions import PrefectHTTPStatusError

    try:
        yield
    except PrefectHTTPStatusError as error:
        raise CoreframeError(
            f"Prefect's temporary server answered with status {error.response.status_code}: look "
            f"whether {temporary_place()} has room. What was committed is kept; run it again to "
            "continue."
        ) from error


def _read_settings() -> None:
    """Let Prefect know its server, if it has read the environment before."""
    from prefect.context import refresh_global_settings_context

    refresh_global_settings_context()


def _on_named(url: str, flow: Callable[..., Any], parameters: Mapping[str, Any]) -> Any:
    """Run a flow on a server that is there; it may go away for a while, as Prefect's client does.

    Raises:
        CoreframeError: it does not answer at all, before the run or in the middle of it.
    """
    import httpx

    try:
        # Whoever answers, whatever it says: it is reached. Prefect itself would try for a minute.
        httpx.get(url, timeout=REACH_S, verify=False)
        return flow(**parameters)
    except httpx.TransportError as error:
        if not _was_for(url, error):  # such as the hub's, for a model
            raise
        raise CoreframeError(
            f"the Prefect server at {url}, which {API_URL} names, cannot be reached "
            f"({error}). Start it and run the same command again, or unset the variable."
        ) from error


def _was_for(url: str, error: "httpx.TransportError") -> bool:
    try:
        return str(error.request.url).startswith(url)
    except RuntimeError:  # nothing was asked
        return False
