"""The line that says what goes on where no bar does."""

import os
import time
from collections.abc import Iterator

import pytest

from coreframe.tasks import status
from coreframe.tasks.status import CLEAR


class Terminal:
    """What is written to one of some width."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, columns: int = 80) -> None:
        self.written = ""
        size = os.terminal_size((columns, 24))
        monkeypatch.setattr(status._Line, "_write", lambda _, text: self._write(text))
        monkeypatch.setattr(status.os, "get_terminal_size", lambda _: size)
        monkeypatch.setattr(status.sys.stderr, "isatty", lambda: True, raising=False)
        monkeypatch.setattr(status, "_line", status._Line())
        monkeypatch.setattr(status, "_begun", False)
        monkeypatch.setattr(status, "FIRST_S", 0.02)
        monkeypatch.setattr(status, "EVERY_S", 0.02)

    def _write(self, text: str) -> None:
        self.written += text

    def wait_for(self, text: str) -> None:
        limit_s = time.monotonic() + 30
        while text not in self.written:
            assert time.monotonic() < limit_s, self.written
            time.sleep(0.005)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    yield Terminal(monkeypatch)
    status.hide()


def test_what_goes_on_is_said_until_something_else_does(terminal: Terminal) -> None:
    status.begin("starting")
    terminal.wait_for(f"{CLEAR}coreframe: starting")
    status.show("looking at the videos")
    terminal.wait_for(f"{CLEAR}coreframe: looking at the videos")
    with status.hidden():
        assert terminal.written.endswith(CLEAR)
        before = terminal.written
        time.sleep(0.1)
        assert terminal.written == before
    terminal.written = ""
    terminal.wait_for("coreframe: looking at the videos")
    status.end()
    assert terminal.written.endswith(CLEAR)
    status.show("more")
    time.sleep(0.1)
    assert terminal.written.endswith(CLEAR)


def test_only_a_command_says_so(terminal: Terminal) -> None:
    status.show("starting the workers")  # a flow of a Prefect worker
    time.sleep(0.1)
    assert terminal.written == ""


def test_seconds_are_a_sign_of_life(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "SECONDS_FROM_S", 0)
    status.begin("starting")
    terminal.wait_for("coreframe: starting (0 s)")


def test_a_narrow_terminal_gets_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    narrow = Terminal(monkeypatch, columns=16)
    status.begin("starting the workers")
    narrow.wait_for("coreframe: star")
    time.sleep(0.1)
    status.hide()
    assert "start" not in narrow.written
