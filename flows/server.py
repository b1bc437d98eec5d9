"""The Prefect server of the command: one that is named, or a temporary one that it watches."""

import threading
from collections.abc import Callable
from typing import Any

from prefect.server.api.server import SubprocessASGIServer
from prefect.settings import PREFECT_API_URL

from coreframe.flows.supervisor import fail
from coreframe.tasks import status
from coreframe.tasks.errors import CoreframeError

LOOK_S = 0.2

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
        return flow(**parameters)
    finally:
        ended.set()


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
