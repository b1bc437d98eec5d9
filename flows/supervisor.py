"""The command's outer process: it hears signals, and leaves nothing running behind it.

What the command does is done by a child in a process group of its own. Ctrl-C in a terminal goes to
a whole group: here to the outer process alone, and not to the servers and workers that the child
needs to end in good order. The outer process imports nothing that takes long and calls no foreign
code, so it answers at any moment, whatever the child is doing. Nothing here imports anything but
the standard library, and psutil in the end.
"""

import atexit
import math
import os
import secrets
import select
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

GRACE_S = 6.0
"""For the child to give back its lease, to record how it ended, and to close what it opened."""

AGAIN_S = 0.5
"""A signal that comes sooner after the first is the same one: `timeout`, and shells that end, send
theirs to the process and to its group."""

LAST_S = 1.0
"""For Python's resource tracker, which removes what dead processes left in shared memory."""

KILLED_S = 3.0
"""For killed processes to be gone: one that waits for a disk that does not answer stays."""

TRACKER = "multiprocessing.resource_tracker"

CLEAN_LINE = "\r\x1b[K\x1b[?25h"
"""For a terminal: what was painted on its last line goes, and the cursor that bars hide is back."""

UNHEARD = 120
"""Python's own status for a program whose last words found nobody to read them."""

SET_CHILD_SUBREAPER = 36
"""Of Linux's prctl: orphans below become children of this process, so that they are found."""

_stopped_by: int | None = None
_status: int | None = None
_supervised = False
_ends_with = 0
_prefix = f"coreframe-{secrets.token_hex(6)}-"
"""Of the name of the child's temporary folder; both processes know it."""
_place: str | None = None


def supervise() -> None:
    """Go on in a child process; the calling process attends to it and never returns.

    Where the command was started with a signal ignored (``nohup``), it stays so.
    """
    heard = [one for one in STOPPING if signal.getsignal(one) != signal.SIG_IGN]
    signal.pthread_sigmask(signal.SIG_BLOCK, [*heard, signal.SIGTSTP])
    lifeline, held = os.pipe()
    child = os.fork()
    if child:
        os.close(lifeline)  # what is held breaks when this process ends, however it does
        os._exit(_attend(child, heard))
    os.close(held)
    _join(0)
    for one in (signal.SIGTTIN, signal.SIGTTOU):  # it may write to the terminal and set it
        signal.signal(one, signal.SIG_IGN)
    global _supervised
    _supervised = True
    threading.Thread(
        target=_end_with, args=(lifeline,), name="coreframe-lifeline", daemon=True
    ).start()
    _take_folder()
    atexit.register(_leave)  # before all others, and so called last
    _hear({*heard, signal.SIGINT})  # that is how the outer process stops it
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [*heard, signal.SIGTSTP])


def temporary_place() -> str:
    """The folder that people know as that of temporary files."""
    return _place or tempfile.gettempdir()


def stopped_by() -> int | None:
    """The signal that ends this process, if one does."""
    return _stopped_by


@contextmanager
def ending() -> Iterator[None]:
    """Whatever ends what is done within ends this process, soon.

    After a signal, or :func:`fail`, at once. Otherwise after what libraries have registered to be
    done at the end, and without taking modules apart: that takes up to a second, and there C++
    libraries have ended a command that was done with an abort.
    """
    global _ends_with
    try:
        yield
    except SystemExit as ended:
        _ends_with = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        raise
    except BaseException:
        _ends_with = 1
        raise
    finally:
        if _supervised and _status is not None:
            os._exit(_status)


def fail(sentence: str) -> None:
    """End the command with status 1, from a thread that sees what the main one waits for in vain.

    Args:
        sentence: what is said, without the program's name.
    """
    global _status
    if _status is None:
        _status = 1
        _say(sentence)
        quiet()
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)  # wakes it, too
        time.sleep(GRACE_S)
        os._exit(1)


def stopped(command: Sequence[str]) -> str:
    """What is said of a command that was stopped.

    Args:
        command: its words, with the program's name.
    """
    named = next((word for word in command[1:] if not word.startswith("-")), "")
    if named == "train":
        return "stopped; the checkpoint of the last whole epoch is kept in the output folder"
    return "stopped; run it again to continue"


def quiet() -> None:
    """Say nothing more on the error stream: what ends in the middle of its work says much."""
    with suppress(OSError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 2)
        os.close(null)


def _hear(heard: Iterable[int]) -> None:
    """Let the first of some signals raise in the main thread, as Ctrl-C does in any program."""
    raised = False

    def stop(number: int, _: FrameType | None) -> None:
        global _stopped_by, _status
        nonlocal raised
        if _status is None:
            _stopped_by, _status = number, 128 + number
            if _supervised:
                quiet()
        if not raised:
            raised = True
            raise KeyboardInterrupt

    for one in heard:
        signal.signal(one, stop)


def _join(process: int) -> None:
    """Give a child a process group of its own; it does so itself, too: whoever comes first."""
    with suppress(OSError):
        os.setpgid(process, process)


def _leave() -> None:
    """End here: all that was to be done at the end has been done."""
    status = _ends_with
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            status = status or UNHEARD
    os._exit(status)


def _take_folder() -> None:
    """Let all temporary files of this process lie in one folder, which goes however it ends."""
    global _place
    with suppress(OSError):  # which whoever needs one meets again, and explains
        _place = tempfile.gettempdir()
        tempfile.tempdir = tempfile.mkdtemp(prefix=_prefix)


def _remove_folder() -> None:
    with suppress(OSError):
        for folder in Path(temporary_place()).glob(f"{_prefix}*"):
            shutil.rmtree(folder, ignore_errors=True)


def _end_with(lifeline: int) -> None:
    """End with the outer process, and take all others of the group along."""
    os.read(lifeline, 1)
    _remove_folder()
    os.killpg(os.getpgrp(), signal.SIGKILL)


def _attend(child: int, heard: Sequence[int]) -> int:
    """Wait for the child's end, pass signals on, and give the command's exit status."""
    _join(child)
    if sys.platform == "linux":
        import ctypes

        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    awake, wake = os.pipe()
    os.set_blocking(awake, False)
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    for one in (*heard, signal.SIGCHLD, signal.SIGTSTP):
        signal.signal(one, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [*heard, signal.SIGTSTP])
    stop: int | None = None
    first_s, limit_s = 0.0, math.inf
    while True:
        status = _reap(child)
        if status is not None or time.monotonic() >= limit_s:
            break
        wait_s = None if stop is None else max(0.0, limit_s - time.monotonic())
        if not select.select([awake], [], [], wait_s)[0]:
            continue
        for number in os.read(awake, 4096):
            if number == signal.SIGTSTP:
                _pause(child)
            elif number in heard and stop is None:
                stop, first_s = number, time.monotonic()
                limit_s = first_s + GRACE_S
                os.kill(child, signal.SIGINT)
            elif number in heard and time.monotonic() - first_s > AGAIN_S:
                limit_s = time.monotonic()
    _clear(child)
    _remove_folder()
    _clean_terminal()
    return _outcome(status, stop)


def _reap(child: int) -> int | None:
    """The child's wait status, once it has ended; orphans below it are reaped, too."""
    with suppress(ChildProcessError):
        while True:
            process, status = os.waitpid(-1, os.WNOHANG)
            if process == child:
                return status
            if process == 0:
                return None
    return None


def _pause(child: int) -> None:
    """Ctrl-Z stops all of it; ``fg`` and ``bg`` let it go on."""
    os.killpg(child, signal.SIGSTOP)
    os.kill(os.getpid(), signal.SIGSTOP)
    os.killpg(child, signal.SIGCONT)


def _clear(child: int) -> None:
    """End all that the child has started, and the child."""
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:  # there is nothing
        return
    import psutil

    me = psutil.Process()
    begin_s = time.monotonic()
    while True:
        left = [one for one in me.children(recursive=True) if not _tracks(one)]
        for one in left:
            with suppress(psutil.Error):
                one.kill()
        _reap(child)
        limit_s = KILLED_S if left else LAST_S
        if not me.children() or time.monotonic() - begin_s > limit_s:
            break
        time.sleep(0.01)
    with suppress(OSError):
        os.killpg(child, signal.SIGKILL)


def _tracks(process: object) -> bool:
    import psutil

    try:
        return any(TRACKER in word for word in process.cmdline())  # type: ignore[attr-defined]
    except psutil.Error:
        return False


def _outcome(status: int | None, stop: int | None) -> int:
    """The exit status; what the child could not say is said here."""
    code = os.waitstatus_to_exitcode(status) if status is not None else 0
    if stop is None and code - 128 in STOPPING:  # it was the child that was told to stop
        stop = code - 128
    if stop is None and -code in STOPPING:
        stop = -code
    if stop is not None:
        _say(stopped(sys.argv))
        return 128 + stop
    if code < 0:
        _say(
            f"ended by signal {-code} ({signal.strsignal(-code)}): was memory free? What was "
            "committed is kept; run it again to continue"
        )
        return 128 - code
    return code


def _say(sentence: str) -> None:
    _clean_terminal()
    _write(f"coreframe: {sentence}.\n")


def _clean_terminal() -> None:
    if os.isatty(2):
        _write(CLEAN_LINE)


def _write(text: str) -> None:
    with suppress(OSError):  # the terminal may be gone
        os.write(2, text.encode())
