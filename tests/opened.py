"""Notice when a file is opened, by whatever means: Linux tells (inotify)."""

import ctypes
import os
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

IN_OPEN = 0x20


@contextmanager
def never_opened(*paths: Path) -> Iterator[None]:
    """Fail where one of these is opened while the context lasts."""
    if sys.platform != "linux":
        pytest.skip("inotify is Linux's")
    libc = ctypes.CDLL(None, use_errno=True)
    watched = libc.inotify_init1(os.O_NONBLOCK)
    names = {}
    try:
        for path in paths:
            number = libc.inotify_add_watch(watched, os.fsencode(path), IN_OPEN)
            assert number >= 0, os.strerror(ctypes.get_errno())
            names[number] = path
        yield
        try:
            events = os.read(watched, 4096)
        except BlockingIOError:
            return
        pytest.fail(f"{names[struct.unpack_from('i', events)[0]]} was opened")
    finally:
        os.close(watched)
