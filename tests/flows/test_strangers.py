"""Connections to a scheduler that are none of Dask's give no traceback."""

import logging
import sys

import pytest

from coreframe.flows.logs import LOGGER, _Strangers


def record(message: str) -> logging.LogRecord:
    try:
        raise ValueError("unpack_from requires a buffer of at least 8 bytes")
    except ValueError:
        raised = sys.exc_info()
    return logging.LogRecord("tornado.application", logging.ERROR, "", 0, message, (), raised)


def test_one_line_says_so(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", LOGGER)
    strange = "Exception in callback functools.partial(<function TCPServer._handle_connection.<l"
    assert not _Strangers().filter(record(strange))
    assert caplog.messages == [
        "a connection to the scheduler was refused: it is none of Dask's (ValueError)"
    ]


def test_what_else_fails_is_logged_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    assert _Strangers().filter(record("Exception in callback functools.partial(<function stage"))
    assert caplog.messages == []
