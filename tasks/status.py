"""One line on the terminal that says what goes on where no bar does.

It is seen only where the error stream is a terminal, and only of what takes longer than a moment.
"""

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

FIRST_S = 0.3
"""What is over sooner is not shown: commands that only refuse something would flicker."""

EVERY_S = 1.0

CLEAR = "\r\x1b[K"

SECONDS_FROM_S = 3
"""From then on, how many seconds it has taken is said, too: a sign of life."""


class _Line:
    """The line, painted by a thread of its own: the main one may be in the middle of imports."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._text: str | None = None
        self._since_s = 0.0
        self._painted = False
        self._thread: threading.Thread | None = None

    def set(self, text: str | None) -> str | None:
        """Show something else, or nothing; gives what was shown before."""
        with self._lock:
            before, self._text = self._text, text
            self._since_s = time.monotonic()
            if text is None:
                self._clear()
            elif self._thread is None:
                self._thread = threading.Thread(
                    target=self._paint_on, name="coreframe-status", daemon=True
                )
                self._thread.start()
            self._changed.notify()
        return before

    def _clear(self) -> None:
        if self._painted:
            self._write(CLEAR)
            self._painted = False

    def _paint_on(self) -> None:
        with self._lock:
            while True:
                shown = self._text, self._since_s
                self._changed.wait(FIRST_S if self._text and not self._painted else EVERY_S)
                if self._text is not None and (shown == (self._text, self._since_s)):
                    self._paint()

    def _paint(self) -> None:
        seconds = int(time.monotonic() - self._since_s)
        took = f" ({seconds} s)" if seconds >= SECONDS_FROM_S else ""
        with suppress(OSError):
            columns = os.get_terminal_size(2).columns or 80  # some say 0
            line = f"coreframe: {self._text}{took}"
            self._write(CLEAR + line[: max(1, columns - 1)])
            self._painted = True

    def _write(self, text: str) -> None:
        with suppress(OSError):  # the terminal may be gone
            os.write(2, text.encode())


_line = _Line()
_begun = False


def begin(text: str) -> None:
    """Say what goes on, and from now on let :func:`show` do so: this process is a command."""
    global _begun
    _begun = sys.stderr.isatty()
    show(text)


def show(text: str) -> None:
    """Say what goes on from now on, in some words; it replaces what was said before."""
    if _begun:
        _line.set(text)


def end() -> None:
    """Show nothing any more: something else says what goes on."""
    global _begun
    _begun = False
    hide()


def hide() -> str | None:
    """Say nothing from now on, and leave nothing on the terminal; gives what was said."""
    return _line.set(None)


@contextmanager
def hidden() -> Iterator[None]:
    """While the context lasts something else writes to the terminal."""
    before = hide()
    try:
        yield
    finally:
        if before is not None:
            _line.set(before)
