"""Dask's dashboard of a cluster that is made here: for this machine, behind a secret in its URL."""

import hmac
import logging
import secrets
from importlib.util import find_spec
from typing import Any

from rich.console import Console
from tornado.httputil import HTTPServerRequest
from tornado.web import ErrorHandler

from coreframe.flows.logs import LOGGER
from coreframe.tasks.errors import UsageError

logger = logging.getLogger(LOGGER)

PAGES = [
    f"distributed.http.{name}"
    for name in ("scheduler.info", "scheduler.json", "scheduler.prometheus", "statics")
]
"""What there is beside the plots: tables of workers and tasks, and metrics."""

NO_DASHBOARD: dict[str, Any] = {
    "dashboard_address": "127.0.0.1:0",  # any free port
    "scheduler_kwargs": {"dashboard": False},
}
"""Of a `LocalCluster` whose dashboard is off, or follows with :func:`show_dashboard`."""


def show_dashboard(cluster: Any) -> None:
    """Serve the dashboard of a cluster whose scheduler runs in this process, and say where.

    Anyone on this machine can reach the port, and Dask asks nobody for a password: only who was
    told the URL finds a page. It is on the terminal and in the run's log.

    Raises:
        UsageError: Bokeh is missing, or the scheduler runs elsewhere.
    """
    if find_spec("bokeh") is None:
        raise UsageError("--dashboard needs Bokeh, which draws it: pip install bokeh.")
    scheduler: Any = getattr(cluster, "scheduler", None)
    if not hasattr(scheduler, "http_application"):
        raise UsageError(
            "--dashboard shows a cluster whose scheduler the command starts itself: the named one "
            "has its own, or none."
        )
    prefix = f"/{secrets.token_urlsafe(24)}"
    cluster.sync(_serve, scheduler, prefix)
    url = f"http://127.0.0.1:{scheduler.http_server.port}{prefix}/status"
    logger.info("Dask's dashboard: %s", url)
    console = Console(stderr=True)
    if console.is_terminal:
        console.print(f"Dask's dashboard: {url}", soft_wrap=True)


async def _serve(scheduler: Any, prefix: str) -> None:
    """Give a scheduler's server of pages, which has none, those of the dashboard."""
    from distributed.dashboard.scheduler import connect
    from distributed.http.utils import get_handlers

    application = scheduler.http_application
    find = application.find_handler

    def find_under_prefix(request: HTTPServerRequest, **options: Any) -> Any:
        # Dask answers elsewhere, too: with a list of all pages, and by sending one to the first.
        given = request.path[: len(prefix)].encode()
        if hmac.compare_digest(given, prefix.encode()):
            return find(request, **options)
        return application.get_handler_delegate(request, ErrorHandler, {"status_code": 404})

    application.find_handler = find_under_prefix
    application.add_handlers(".*$", get_handlers(scheduler, PAGES, prefix))
    connect(application, scheduler.http_server, scheduler, prefix=prefix)
