"""What workers and stages log: into the run's logs on Prefect's server, and as JSON for machines.

All of it goes through the logger ``coreframe``. Workers know neither Prefect nor where the run's
logs go; Dask brings what they log to the flow's process.
"""

import json
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

from dask.distributed import Client
from prefect.exceptions import MissingContextError
from prefect.logging import get_run_logger

from coreframe.flows.failures import tell_once
from coreframe.tasks.names import shown, shown_all
from coreframe.tasks.video.listing import Unread

LOGGER = "coreframe"

tell_once()  # here, since all flows import this module

ALWAYS_THERE = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
"""Attributes of any record; what else it has was given as ``extra``."""


STRANGERS = "TCPServer._handle_connection"
"""What Tornado names when a connection fails that it has just accepted."""


class JsonLines(logging.Formatter):
    """A record as one line of JSON: ``time``, ``level``, ``message``, and what was given extra."""

    def format(self, record: logging.LogRecord) -> str:
        """Give the line."""
        extra = {name: value for name, value in vars(record).items() if name not in ALWAYS_THERE}
        when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {"time": when, "level": record.levelname.lower(), "message": record.getMessage()}
        return json.dumps(shown_all(line | extra), default=str)


class _ToRun(logging.Handler):
    """Hands records to a Prefect run's logger, from whatever thread they come."""

    def __init__(self) -> None:
        super().__init__()
        self._run = get_run_logger()

    def emit(self, record: logging.LogRecord) -> None:
        self._run.log(record.levelno, shown(record.getMessage()), exc_info=record.exc_info)


def level() -> int:
    """From which level on is logged: INFO, or DEBUG where Prefect's runs are."""
    return min(logging.INFO, logging.getLogger("prefect.flow_runs").getEffectiveLevel())


def log_json() -> None:
    """Write everything that is logged to the error stream, a line of JSON each."""
    logger = logging.getLogger(LOGGER)
    if any(isinstance(handler.formatter, JsonLines) for handler in logger.handlers):
        return  # asked for twice: before the command and after it
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False


def log_unread(unread: Sequence[Unread]) -> None:
    """Log of each folder and link that could not be looked at that it is left out."""
    for one in unread:
        logging.getLogger(LOGGER).warning("%s is left out: %s", one.path, one.why)


@contextmanager
def logs_of_run() -> Iterator[None]:
    """While the context lasts, what is logged here is in the logs of the Prefect run."""
    logger = logging.getLogger(LOGGER)
    try:
        handler = _ToRun()
    except MissingContextError:
        yield
        return
    logger.addHandler(handler)
    before, propagate = logger.level, logger.propagate
    logger.setLevel(level())
    logger.propagate = False  # the run's logger shows it where Prefect shows logs
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
        logger.propagate = propagate


class _Strangers(logging.Filter):
    """Lets pass what Tornado logs, but for connections that speak another language than Dask's.

    Port scanners and browsers find a scheduler that listens on a network. Tornado logs the
    traceback of each; here it is a line.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Say whether the record is to be logged as it is."""
        error = record.exc_info[1] if record.exc_info else None
        if error is None or STRANGERS not in record.getMessage():
            return True
        said = "a connection to the scheduler was refused: it is none of Dask's (%s)"
        logging.getLogger(LOGGER).info(said, type(error).__name__)
        return False


@contextmanager
def logs_of_workers(cluster: str) -> Iterator[None]:
    """While the context lasts, what workers log is logged here."""
    with _filtered("tornado.application", _Strangers()), Client(cluster) as client:
        pids = client.run(os.getpid, on_error="ignore").values()
        if os.getpid() not in pids:  # threads of this process log here by themselves
            # A worker that dies just now takes the call with it, not what it was for: the others
            # were told at the same time, and whoever comes later is told by the scheduler.
            with suppress(OSError):
                client.forward_logging(LOGGER, level=level())
        yield


@contextmanager
def _filtered(name: str, by: logging.Filter) -> Iterator[None]:
    logger = logging.getLogger(name)
    logger.addFilter(by)
    try:
        yield
    finally:
        logger.removeFilter(by)
