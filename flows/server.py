"""The Prefect server of the command: one that is named, or a temporary one that it watches."""

import os
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from prefect.exceptions import PrefectHTTPStatusError
from prefect.server.api.server import SubprocessASGIServer
from prefect.settings import PREFECT_API_URL, PREFECT_HOME

from coreframe.flows.supervisor import fail
from coreframe.tasks import status
from coreframe.tasks.errors import CoreframeError

LOOK_S = 0.2

DATABASE_BYTES = 16_000_000
"""Of a temporary server: a database and its journal take 8 MB after some runs, 12 after 20."""

ATTEMPTS = 2
"""To start a temporary one."""

REACH_S = 10
"""For a named server to answer."""

PORT_TAKEN = 3
"""Exit status of a server that found its port taken; Prefect then tries another."""


def on_server(flow: Callable[..., Any], **parameters: Any) -> Any:
    """Run a flow on the Prefect server that is named, or on a temporary one.

    Args:
        flow: the flow.
        parameters: of the flow.

    Raises:
        CoreframeError: the named server cannot be reached, or the temporary one not be started.
    """
    if url := PREFECT_API_URL.value():
        return _on_named(url, flow, parameters)
    check_home(PREFECT_HOME.value())
    status.show("starting Prefect's temporary server")
    with _temporary():
        status.show("beginning the run")
        with explained(PREFECT_HOME.value()):
            return flow(**parameters)


@contextmanager
def _temporary() -> Iterator[None]:
    """While the context lasts there is a temporary server, and the command ends when it does."""
    for attempt in range(ATTEMPTS):
        ended = threading.Event()
        server = SubprocessASGIServer()  # the one that Prefect takes when it needs one
        watch = threading.Thread(
            target=_watch, args=(server, ended), name="coreframe-server", daemon=True
        )
        watch.start()
        try:
            server.start()
            break
        except (RuntimeError, httpx.HTTPError) as error:
            ended.set()
            server.stop()  # where a machine is busy, it may cut the first connection
            if attempt == ATTEMPTS - 1:
                raise CoreframeError(
                    f"Prefect's temporary server cannot be started ({error}). Run the same "
                    "command again, or name a server that runs in PREFECT_API_URL."
                ) from error
    try:
        yield
    finally:
        ended.set()


def check_home(home: Path) -> None:
    """Refuse to start a server whose database finds no room: it would hang, and say nothing.

    Raises:
        CoreframeError: naming the folder, and what it lacks.
    """
    try:
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=home) as probe:
            os.posix_fallocate(probe.fileno(), 0, DATABASE_BYTES)
    except OSError as error:
        raise CoreframeError(
            f"Prefect cannot keep its runs in {home} ({error.strerror}; it needs "
            f"{DATABASE_BYTES // 1_000_000} MB there): make room, or name another folder in "
            "PREFECT_HOME, or a server that runs in PREFECT_API_URL."
        ) from error


@contextmanager
def explained(home: Path) -> Iterator[None]:
    """Say in a sentence when a server that runs cannot keep what it is told.

    Raises:
        CoreframeError: naming the folder that it writes to.
    """
    try:
        yield
    except PrefectHTTPStatusError as error:
        raise CoreframeError(
            f"Prefect's temporary server answered with status {error.response.status_code}: look "
            f"whether {home} has room. What was committed is kept; run it again to continue."
        ) from error


def _on_named(url: str, flow: Callable[..., Any], parameters: Mapping[str, Any]) -> Any:
    """Run a flow on a server that is there; it may go away for a while, as Prefect's client does.

    Raises:
        CoreframeError: it does not answer at all, before the run or in the middle of it.
    """
    try:
        # Whoever answers, whatever it says: it is reached. Prefect itself would try for a minute.
        httpx.get(url, timeout=REACH_S, verify=False)
        return flow(**parameters)
    except httpx.TransportError as error:
        if not _was_for(url, error):  # such as the hub's, for a model
            raise
        raise CoreframeError(
            f"the Prefect server at {url}, which PREFECT_API_URL names, cannot be reached "
            f"({error}). Start it and run the same command again, or unset the variable."
        ) from error


def _was_for(url: str, error: httpx.TransportError) -> bool:
    try:
        return str(error.request.url).startswith(url)
    except RuntimeError:  # nothing was asked
        return False


def _watch(server: SubprocessASGIServer, ended: threading.Event) -> None:
    """End the command when its server does: Prefect would ask it again and again for minutes."""
    while not ended.wait(LOOK_S):
        process = server.server_process
        code = process.poll() if process is not None else None
        if code is not None and code != PORT_TAKEN and not ended.is_set():
            fail(
                f"Prefect's temporary server has ended by itself (status {code}; was memory "
                "free?). What was committed is kept; run it again to continue"
            )
