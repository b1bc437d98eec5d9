"""A process of its own for what opens videos: it may crash or hang, and whoever asked goes on."""

import signal
import subprocess
import sys
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

from coreframe.tasks.watchdog import beat, watching

GRACE_S = 5.0
"""By which whoever asked is the first to end a process that hangs. It ends itself where they are
gone, since a hanging decoder does not notice that."""

END = "end"


class Apart:
    """One process that answers, started when it is first asked; after its end, another."""

    def __init__(self, module: str) -> None:
        """Ask a module that calls :func:`serve` when it is run."""
        self._module = module
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection[Any, Any] | None = None

    def __enter__(self) -> "Apart":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(self, request: Any, timeout_s: float) -> Iterator[Any]:
        """Give each answer as it comes; all must be taken before something else is asked.

        Raises:
            TimeoutError: none came for so long: the process was ended.
            EOFError: the process has ended.
        """
        connection = self._connected()
        try:
            connection.send((request, timeout_s))
            while True:
                if not connection.poll(timeout_s):
                    raise TimeoutError
                answer = connection.recv()
                if answer == (END, None):
                    return
                yield answer[1]
        except TimeoutError:
            self.close()
            raise
        except (EOFError, OSError) as error:
            self.close()
            raise EOFError from error
        except GeneratorExit:  # what comes now would pass for an answer to the next
            self.close()
            raise

    def close(self) -> None:
        """End the process; whoever asks next starts another."""
        if self._process is not None and self._connection is not None:
            _end(self._process, self._connection)
        self._process = self._connection = None

    def _connected(self) -> "Connection[Any, Any]":
        if self._connection is None:
            ours, theirs = Pipe()
            # by its module's name: a script that asks need not be importable
            self._process = subprocess.Popen(
                [sys.executable, "-m", self._module, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                process_group=0,  # Ctrl-C is for whoever asks
            )
            theirs.close()
            self._connection = ours
            weakref.finalize(self, _end, self._process, ours)
        return self._connection


def _end(process: "subprocess.Popen[bytes]", connection: "Connection[Any, Any]") -> None:
    connection.close()
    process.kill()
    process.wait()


def serve(answers: Callable[[Any], Iterator[Any]]) -> None:
    """Answer until the other side is gone; for a module that :class:`Apart` runs."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # some notebooks interrupt all their processes
    connection: Connection[Any, Any] = Connection(int(sys.argv[1]))
    with suppress(EOFError, ConnectionError):  # whoever asked is gone
        while True:
            request, timeout_s = connection.recv()
            with watching(timeout_s + GRACE_S, lambda: None):
                for answer in answers(request):
                    connection.send((None, answer))
                    beat()
            connection.send((END, None))
