"""The Prefect server of the command: one that is named, or a temporary one that it watches."""

import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prefect.exceptions import PrefectHTTPStatusError
from prefect.server.api.server import SubprocessASGIServer
from prefect.settings import PREFECT_API_URL, PREFECT_HOME

from coreframe.flows.supervisor import fail
from coreframe.tasks import status
from coreframe.tasks.errors import CoreframeError

LOOK_S = 0.2

DATABASE_BYTES = 16_000_000
"""Of a temporary server: a database and its journal take 8 MB after some runs, 12 after 20."""

PORT_TAKEN = 3
"""Exit status of a server that found its port taken; Prefect then tries another."""


def on_server(flow: Callable[..., Any], **parameters: Any) -> Any:
    """Run a flow on the Prefect server that is named, or on a temporary one.

    Args:
        flow: the flow.
        parameters: of the flow.

    Raises:
        CoreframeError: the temporary server cannot be started.
    """
    if PREFECT_API_URL.value():
        return flow(**parameters)
    check_home(PREFECT_HOME.value())
    status.show("starting Prefect's temporary server")
    server = SubprocessASGIServer()  # the one that Prefect takes when it needs one
    ended = threading.Event()
    threading.Thread(
        target=_watch, args=(server, ended), name="coreframe-server", daemon=True
    ).start()
    try:
        try:
            server.start()
        except RuntimeError as error:
            raise CoreframeError(
                f"Prefect's temporary server cannot be started ({error}). Run the same command "
                "again, or name a server that runs in PREFECT_API_URL."
            ) from error
        status.show("beginning the run")
        with explained(PREFECT_HOME.value()):
            return flow(**parameters)
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
